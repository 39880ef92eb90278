"""How records look on the wire: whole, with what is derived, without what a certificate may not read.

Pure. Every habit that differs by version or district is one of the switches; the defaults are the documented forms.
"""

from collections.abc import Callable
from typing import Any

import orjson

from simulators.aeries_api import fields
from simulators.aeries_api.asking import Asked
from simulators.aeries_api.certificates import Certificate
from simulators.aeries_api.fields import Row, Shape
from simulators.aeries_api.finding import Listing, Single
from simulators.aeries_api.reading_staff import shown_staff
from simulators.aeries_api.switches import EmptyField

YEAR_ONE = "0001-01-01T00:00:00"
_STATUS_CODES = ("InactiveStatusCode",)


def encoded(found: Listing | Single, *, asked: Asked, certificate: Certificate, window: slice | None) -> bytes:
    """Write an answer as JSON; `window` is the page to show of a listing."""
    show = _shower(found.shape, asked=asked, certificate=certificate)
    switches = asked.switches
    if isinstance(found, Single):
        form = switches.single_school if found.shape is fields.SCHOOL else switches.single_record
        whole = show(found.row)
        return orjson.dumps([whole] if form == "array" else whole)
    rows = [show(row) for row in (found.rows[window] if window is not None else found.rows)]
    if len(rows) == 1 and switches.one_element_list == "object":  # A16
        return orjson.dumps(rows[0])
    return orjson.dumps(rows)


def _shower(shape: Shape | None, *, asked: Asked, certificate: Certificate) -> Callable[[Row], Row]:
    """The way rows of one shape are shown under these switches, decided once per answer."""
    if shape is None:
        return lambda row: row
    derive = _DERIVED.get(shape.name)
    denied = [name for name in shape.properties if f"{shape.name}.{name}" in certificate.denied_fields]
    year_one = shape.dates if asked.switches.empty_dates == "year_0001" else ()
    one_blank = (
        [name for name in _STATUS_CODES if name in shape.properties]
        if asked.switches.blank_codes == "one_blank"
        else []
    )

    # A school record is kept with its extended fields, and the plain endpoint does not show them.
    hidden = fields.STUDENT_EXTENDED.properties.keys() - shape.properties.keys() if shape is fields.STUDENT else ()

    def show(row: Row) -> Row:
        whole = shape.whole(row if derive is None else derive(row, asked))
        for name in hidden:
            whole.pop(name, None)
        for name in year_one:
            whole[name] = whole[name] or YEAR_ONE
        for name in one_blank:
            whole[name] = whole[name] or " "
        for name in denied:
            _deny(whole, name, shape=shape, form=asked.switches.denied_field)
        return whole

    return show


def _deny(whole: Row, name: str, *, shape: Shape, form: EmptyField) -> None:
    match form:
        case EmptyField.ABSENT:
            del whole[name]
        case EmptyField.NULL:
            whole[name] = None
        case EmptyField.BLANK:
            whole[name] = shape.empty[name]


def _staff(row: Row, asked: Asked) -> Row:
    return shown_staff(row)


def _section(row: Row, asked: Asked) -> Row:
    if "TotalStudents" in row:
        return row
    return row | {"TotalStudents": len(asked.year.rosters.get((row["SchoolCode"], row["SectionNumber"]), ()))}


def _student(row: Row, asked: Asked) -> Row:
    """Names of the grades, which nobody types in."""
    shown: Row = dict(row)
    for prefix in ("Grade", "NextGrade"):
        if prefix in row:
            short = _GRADES.get(row[prefix], str(row[prefix]))
            shown[f"{prefix}LevelShortDescription"] = short
            shown[f"{prefix}LevelLongDescription"] = _LONG_GRADES.get(row[prefix], f"Grade {short}")
    return shown


def _roster(row: Row, asked: Asked) -> Row:
    """A seat in a section: until the school starts its number is the section's, and its end is the term's (A20)."""
    section = asked.year.sections[row["SchoolCode"], row["SectionNumber"]]
    terms: list[dict[str, Any]] = asked.year.schools[row["SchoolCode"]].get("Terms", [])
    term = next((each for each in terms if each["TermCode"] == section.get("Semester", "Y")), None)
    shown = {"CourseID": section.get("CourseID", "")} | row
    if term is not None:
        shown.setdefault("DateStarted", term["StartDate"])
        if shown.get("DateEnded") is None:
            shown["DateEnded"] = term["EndDate"]
    today = asked.district.local(asked.now).strftime("%Y-%m-%dT%H:%M:%S")
    has_started = any((each["StartDate"] or today) <= today for each in terms)
    if not has_started or "SequenceNumber" not in row:
        shown["SequenceNumber"] = row["SectionNumber"]
    return shown


_GRADES = {-2: "PS", -1: "TK", 0: "K"}
_LONG_GRADES = {-2: "Preschool", -1: "Transitional Kindergarten", 0: "Kindergarten"}
_DERIVED: dict[str, Callable[[Row, Asked], Row]] = {
    "Staff": _staff,
    "Section": _section,
    "Student": _student,
    "Roster": _roster,
}
