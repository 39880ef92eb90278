"""What Apex accepts in a posted record: fields, kinds, dates; and how it shows dates.

Pure: takes one item and says what is wrong with it, naming fields and never their values. A complaint is either plain
(the data is wrong) or a breach (a known rule of the interface was broken), which the caller records.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from typing import Any, Literal

Kind = Literal["students", "staff", "classrooms"]
KINDS: tuple[Kind, ...] = ("students", "staff", "classrooms")
HEADINGS: dict[Kind, str] = {"students": "studentUsers", "staff": "staffUsers", "classrooms": "classroomEntries"}
KEYS: dict[Kind, str] = {"students": "ImportUserId", "staff": "ImportUserId", "classrooms": "ImportClassroomId"}
SYNCHRONOUS_ITEMS_MAX = 50
BATCH_ITEMS_MAX: dict[Kind, int] = {"students": 2_000, "staff": 2_500, "classrooms": 2_500}

ROLES: dict[str, frozenset[str]] = {"students": frozenset({"S"}), "staff": frozenset({"T", "M", "TC", "SC"})}
PERSON_FIELDS = ("FirstName", "MiddleName", "LastName", "Email", "GradeLevel", "LoginId", "CoachEmails")
"""What is kept of a person besides key, organisations and role; the password is taken and never kept."""
CLASSROOM_FIELDS = ("ClassroomName", "ProductCodes", "ImportUserId", "ImportOrgId", "ClassroomStartDate", "ProgramCode")
_WRITABLE: dict[Kind, frozenset[str]] = {
    "students": frozenset({*PERSON_FIELDS, "ImportUserId", "ImportOrgId", "Role", "LoginPw"}),
    "staff": frozenset({*PERSON_FIELDS, "ImportUserId", "ImportOrgId", "Role", "LoginPw"}) - {"GradeLevel"},
    "classrooms": frozenset({*CLASSROOM_FIELDS, "ImportClassroomId", "IsPrimary"}),
}
REQUIRED: dict[Kind, tuple[str, ...]] = {
    "students": ("ImportUserId", "ImportOrgId", "FirstName", "LastName", "Email", "LoginId", "Role"),
    "staff": ("ImportUserId", "ImportOrgId", "FirstName", "LastName", "Email", "LoginId", "Role"),
    "classrooms": ("ImportClassroomId", "ClassroomName", "ProductCodes", "ImportUserId", "ImportOrgId", "ProgramCode"),
}
_NOT_IN_UPDATES = frozenset({"ImportClassroomId", "LoginPw"})
TEXT_LENGTH_MAX = 255
FIELD_NAME_SHOWN_MAX = 40
_DATE = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with an item; `rule` is set when a rule of the interface was broken."""

    text: str
    rule: str | None = None


def complaints(item: Mapping[str, Any], *, kind: Kind, is_update: bool) -> list[Complaint]:
    """Say what is wrong with one posted record; the literal text 'null' is told here but does not refuse (A12)."""
    found: list[Complaint] = []
    for name, value in item.items():
        found += _field_complaints(name, value, kind=kind, is_update=is_update)
    if not is_update:
        found += [Complaint(f"{name} is required") for name in REQUIRED[kind] if not item.get(name)]
    return found


def refuses(complaint: Complaint) -> bool:
    """Tell whether the item is refused for it: the text 'null' is taken as it stands, as a real server would (A12)."""
    return complaint.rule != "A12"


def _field_complaints(name: str, value: Any, *, kind: Kind, is_update: bool) -> list[Complaint]:
    complaint: Complaint | None = None
    if is_update and (name == KEYS[kind] or name in _NOT_IN_UPDATES):
        complaint = Complaint(f"{name} must not be in an update", rule="A19")  # A19
    elif name not in _WRITABLE[kind]:
        complaint = Complaint(f"{name[:FIELD_NAME_SHOWN_MAX]} is not a field that Apex knows", rule="A11")
    elif name == "ProductCodes":
        if not (isinstance(value, list) and value and all(isinstance(code, str) and code for code in value)):
            complaint = Complaint("ProductCodes must be a list of texts", rule="A11")
    elif name == "IsPrimary" and isinstance(value, bool):
        pass
    elif not isinstance(value, str):
        complaint = Complaint(f"{name} must be sent as text", rule="A11")  # A11
    elif value.strip().lower() == "null":
        complaint = Complaint(f"{name} holds the text 'null'", rule="A12")  # A12
    elif len(value) > TEXT_LENGTH_MAX:
        complaint = Complaint(f"{name} has {len(value)} characters, at most {TEXT_LENGTH_MAX} are allowed")
    elif name == "Role" and value not in ROLES[kind]:
        complaint = Complaint(f"Role must be one of {', '.join(sorted(ROLES[kind]))}")
    elif name == "ClassroomStartDate" and written_date(value) is None:
        complaint = Complaint("ClassroomStartDate must be YYYY/MM/DD", rule="A22")  # A22
    return [complaint] if complaint is not None else []


def written_date(text: str) -> date | None:
    """Read a date as it is written to Apex, 'YYYY/MM/DD'."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return date(int(text[:4]), int(text[5:7]), int(text[8:]))
    except ValueError:
        return None


def shown_date(moment: str | None) -> str | None:
    """Write a kept moment (ISO 8601) as Apex shows it, such as 'Wed, 17 Aug 2022 08:30:09 GMT' (A23)."""
    return None if moment is None else format_datetime(datetime.fromisoformat(moment).astimezone(UTC), usegmt=True)


def kept_moment(moment: datetime) -> str:
    """Write a moment as the state keeps it, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat()
