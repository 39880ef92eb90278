"""How this Aeries behaves where versions and districts differ, or where its documents leave the form open."""

from enum import StrEnum
from typing import Literal

from simulators.kit.switches import Switches


class EmptyField(StrEnum):
    """How a field shows that a certificate may not read."""

    ABSENT = "absent"
    NULL = "null"
    BLANK = "blank"


class AeriesSwitches(Switches):
    """The defaults are the documented behaviour; README.md says which rule each one bends."""

    available_years: list[int] | None = None
    """Start years that exist now, out of those that were seeded; null: all of them (A10)."""
    default_year: int | None = None
    """The year that answers when none, a malformed or an unavailable one is asked for; null: as seeded (A8)."""
    single_school: Literal["array", "object"] = "array"
    """How one school comes (A14)."""
    single_record: Literal["array", "object"] = "object"
    """How one staff member, course, section or teacher comes (A15)."""
    one_element_list: Literal["array", "object"] = "array"
    """How a list comes that has exactly one element; some connectors have met an object (A16)."""
    student_lookup: Literal["any_school", "this_school"] = "any_school"
    """Whether a student asked for by id is found at every school or only at the one in the path (A17)."""
    denied_area_status: Literal[401, 403] = 403
    """The status for an area that the district has not granted (A5)."""
    denied_field: EmptyField = EmptyField.ABSENT
    """How a field comes that the district has not granted (A6)."""
    empty_dates: Literal["null", "year_0001"] = "null"
    """How a date without a value comes (A24)."""
    blank_codes: Literal["empty", "one_blank"] = "empty"
    """How a blank status code comes; old records hold one blank (A26)."""
    auto_number_staff: bool = False
    """The district lets Aeries number its staff: no id may be brought along (A33)."""
    exclude_expired_accounts: bool = False
    """The product record leaves out staff whose user account has expired (A30)."""
    all_years_enrollment: Literal["answers", "times_out"] = "answers"
    """What becomes of the enrollment of all students in all years (A21)."""
    wrong_directory: Literal["login_page", "not_found_page"] = "login_page"
    """Which page in HTML answers outside the virtual directory: 200 or 404 (A2)."""
    login_fields_read_only: bool = False
    """A write of a student's mail address or network login is accepted and has no effect, as one district saw (A36)."""
