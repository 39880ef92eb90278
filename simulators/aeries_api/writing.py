"""What writes do: which right each needs, and those of staff and their jobs.

The effect happens only unless it is pretended; every effect is one replaced row and one line in the change log. Text
over its length, a wrong kind of value and a broken rule are refused with 400, as the documents say.
"""

from dataclasses import dataclass

from simulators.aeries_api import fields
from simulators.aeries_api.asking import Asked, Refused, number
from simulators.aeries_api.fields import Row
from simulators.aeries_api.writing_students import insert_contact, insert_student, pre_enroll, update_student
from simulators.aeries_api.written import Written, changed_in, given_in, update_effect

_STAFF_READ_ONLY = frozenset({"ID", "UserName", "SchoolAccessPermissions", "ExtendedProperties"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """What a write needs to be granted."""

    area: str
    verb: str


def right_for(asked: Asked) -> Right | None:
    """Say what a write needs, or None when no path of the API takes it."""
    right: Right | None = None
    match (asked.method, *asked.words):
        case ("POST", "staff") | ("POST", "staff", _, "assignments"):
            right = Right(area="Staff Data", verb="insert")
        case ("PUT", "staff", text):
            is_there = number(text, name="StaffID") in asked.year.staff
            right = Right(area="Staff Data", verb="update" if is_there else "insert")
        case ("POST", "schools", _, "insertstudent"):
            right = Right(area="Student Data", verb="insert")
        case ("POST", "schools", _, "insertcontact", _):
            right = Right(area="Contact Data", verb="insert")
        case ("POST", "schools", _, "updatestudent" | "updatestudentaddress", _):
            right = Right(area="Student Data", verb="update")
        case ("GET", "commands", "preenrollstudent", _):
            right = Right(area="Trigger Student Pre-Enrollment", verb="insert")
    return right


def write(asked: Asked, *, pretend: bool) -> Written:
    """Do a write that `right_for` knows."""
    match asked.words:
        case ("staff",):
            written = _create_staff(asked, staff_id=None, pretend=pretend)
        case ("staff", text):
            written = _put_staff(asked, staff_id=number(text, name="StaffID"), pretend=pretend)
        case ("staff", text, "assignments"):
            written = _create_assignment(asked, staff_id=number(text, name="StaffID"), pretend=pretend)
        case ("schools", code, "insertstudent"):
            written = insert_student(asked, school=number(code, name="SchoolCode"), pretend=pretend)
        case ("schools", _, "insertcontact", text):
            written = insert_contact(asked, student_id=number(text, name="StudentID"), pretend=pretend)
        case ("schools", code, _, text):
            written = update_student(asked, code=code, text=text, pretend=pretend)
        case (*_, text):
            written = pre_enroll(asked, student_id=number(text, name="StudentID"), pretend=pretend)
        case _:
            raise AssertionError("a path that right_for knows has parts")
    return written


def _put_staff(asked: Asked, *, staff_id: int, pretend: bool) -> Written:
    if staff_id in asked.year.staff:
        return _update_staff(asked, staff_id=staff_id, pretend=pretend)
    return _create_staff(asked, staff_id=staff_id, pretend=pretend)


def _create_staff(asked: Asked, *, staff_id: int | None, pretend: bool) -> Written:
    given = given_in(asked, fields.STAFF)
    is_auto = asked.switches.auto_number_staff
    if staff_id is None:
        staff_id = given.get("ID", 0) or None
    elif is_auto:  # A33
        raise Refused(400, "Invalid Staff ID")
    if is_auto:
        if staff_id is not None:
            raise Refused(400, "Staff IDs are assigned automatically and cannot be specified.")
        staff_id = max(asked.year.staff_ids, default=0) + 1
    if staff_id is None or staff_id < 1:
        raise Refused(400, "Staff ID is required.")
    if staff_id in asked.year.staff:
        raise Refused(400, "Staff ID already exists.")
    row = {name: value for name, value in given.items() if name not in _STAFF_READ_ONLY} | {"ID": staff_id}
    if not pretend:
        asked.year.put_staff(row)
        asked.district.touch("staff", staff_id, now=asked.now)
    return _staff_written(201, row, effect=f"created {staff_id}", pretend=pretend)


def _update_staff(asked: Asked, *, staff_id: int, pretend: bool) -> Written:
    before = asked.year.staff[staff_id]
    given = {name: value for name, value in given_in(asked, fields.STAFF).items() if name not in _STAFF_READ_ONLY}
    given.setdefault("LeaveDate", None)  # A32: left out or null, the date of leaving is gone
    changed = changed_in(fields.STAFF, before, given)
    row = before | given
    if changed and not pretend:
        asked.year.put_staff(row)
        asked.district.touch("staff", staff_id, now=asked.now)
    return _staff_written(200, row, effect=update_effect(str(staff_id), changed), pretend=pretend)


def _staff_written(status: int, row: Row, *, effect: str, pretend: bool) -> Written:
    return Written(
        status=status,
        shape=fields.STAFF,
        row=row,
        effect="none" if pretend else effect,
        record_id=str(row["ID"]),
        external_id=row.get("HumanResourcesSystemID") or None,
    )


def _create_assignment(asked: Asked, *, staff_id: int, pretend: bool) -> Written:
    if staff_id not in asked.year.staff:
        raise Refused(400, "Invalid Staff ID")
    table = asked.year.grouped["assignments"]
    given = given_in(asked, fields.ASSIGNMENT)
    kind = given.get("AssignmentType", "").lower()
    if kind not in {"classified", "certificated"}:
        raise Refused(400, "Assignment Type must be classified or certificated.")
    if kind == "certificated" and len(given.get("JobClassificationCode", "")) > 2:
        raise Refused(400, "JobClassificationCode has more than 2 characters.")
    taken = [row["SequenceNumber"] for row in table.of(staff_id) if row.get("AssignmentType", "").lower() == kind]
    row = given | {"ID": staff_id, "SequenceNumber": max(taken, default=0) + 1}
    record_id = f"{staff_id}/{kind}/{row['SequenceNumber']}"
    if not pretend:
        table.add(row)
        asked.district.touch("staff", staff_id, now=asked.now)
    return Written(
        status=201,
        shape=fields.ASSIGNMENT,
        row=row,
        effect="none" if pretend else f"created {record_id}",
        record_id=record_id,
        external_id=asked.year.staff[staff_id].get("HumanResourcesSystemID") or None,
    )
