"""What writes of students do: the few endpoints that a district can open to a vendor.

The effect happens only unless it is pretended; every effect is one row, replaced or added, and one line in the
change log.
"""

from dataclasses import replace

from simulators.aeries_api import fields
from simulators.aeries_api.asking import Asked, Refused, number
from simulators.aeries_api.fields import Row
from simulators.aeries_api.written import Written, changed_in, given_in, update_effect

_LOGIN_FIELDS = frozenset({"StudentEmailAddress", "NetworkLoginID"})
_STUDENT_KEYS = frozenset({"StudentID", "SchoolCode", "StudentNumber"})
_ADDRESS = ("MailingAddress", "ResidenceAddress")


def insert_student(asked: Asked, *, school: int, pretend: bool) -> Written:
    """Add a student whom the district has never had (A35)."""
    given = given_in(asked, fields.STUDENT_EXTENDED)
    if school not in asked.year.schools:
        raise Refused(400, "Invalid School Code")
    if not given.get("LastName") or not given.get("FirstName"):
        raise Refused(400, "Last Name and First Name are required.")
    student_id = given.get("StudentID") or max(asked.year.students_of, default=0) + 1
    if asked.year.students_of.get(student_id):
        raise Refused(400, "Student ID already exists.")
    number_there = asked.year.next_student_number(school)
    row = given | {"StudentID": student_id, "SchoolCode": school, "StudentNumber": number_there}
    if not pretend:
        asked.year.put_student(row)
        asked.district.touch("student", student_id, now=asked.now)
    return _student_written(row, effect=f"created {student_id}", pretend=pretend)


def update_student(asked: Asked, *, code: str, text: str, pretend: bool) -> Written:
    """Change one school record, or only its addresses (A36)."""
    school, student_id = number(code, name="SchoolCode"), number(text, name="StudentID")
    rows = [row for row in asked.year.students_of.get(student_id, []) if row["SchoolCode"] == school]
    if not rows:
        raise Refused(404, "Invalid Student ID")
    before = rows[0]
    given = {
        name: value for name, value in given_in(asked, fields.STUDENT_EXTENDED).items() if name not in _STUDENT_KEYS
    }
    if asked.words[2] == "updatestudentaddress":
        given = {name: value for name, value in given.items() if name.startswith(_ADDRESS)}
    if asked.switches.login_fields_read_only:  # A36: accepted, and nothing comes of it
        given = {name: value for name, value in given.items() if name not in _LOGIN_FIELDS}
    changed = changed_in(fields.STUDENT_EXTENDED, before, given)
    row = before | given
    if changed and not pretend:
        asked.year.put_student(row, before=before)
        asked.district.touch("student", student_id, now=asked.now)
    return _student_written(row, effect=update_effect(str(student_id), changed), pretend=pretend)


def insert_contact(asked: Asked, *, student_id: int, pretend: bool) -> Written:
    """Add a contact to a student (A22)."""
    if not asked.year.students_of.get(student_id):
        raise Refused(400, "Invalid Student ID")
    table = asked.year.grouped["contacts"]
    sequence = max((row.get("SequenceNumber", 0) for row in table.of(student_id)), default=0) + 1
    row = given_in(asked, fields.CONTACT) | {"StudentID": student_id, "SequenceNumber": sequence}
    if not pretend:
        table.add(row)
        asked.district.touch("contact", student_id, now=asked.now)
    return Written(
        status=200,
        shape=fields.CONTACT,
        row=row,
        effect="none" if pretend else f"created {student_id}/{sequence}",
        record_id=f"{student_id}/{sequence}",
        external_id=str(student_id),
    )


def pre_enroll(asked: Asked, *, student_id: int, pretend: bool) -> Written:
    """Copy the active record to the next school; what the rules of the trade forbid comes as 500 (A37)."""
    rows = asked.year.students_of.get(student_id, [])
    active = [row for row in rows if not row.get("InactiveStatusCode", "").strip()]
    if not active:
        raise Refused(500, "The student has no active record to pre-enroll from.")
    next_school = active[-1].get("NextSchoolCode", 0)
    if next_school not in asked.year.schools or next_school == 0:
        raise Refused(500, "The next school of the student is not valid.")
    if any(row["SchoolCode"] == next_school for row in rows):
        raise Refused(500, "The student is already pre-enrolled or enrolled at the next school.")
    row = active[-1] | {
        "SchoolCode": next_school,
        "StudentNumber": asked.year.next_student_number(next_school),
        "Grade": active[-1].get("NextGrade", active[-1].get("Grade", 0)),
        "InactiveStatusCode": "*",
    }
    if not pretend:
        asked.year.put_student(row)
        asked.district.touch("student", student_id, now=asked.now)
    log = {
        "StudentID": student_id,
        "SchoolCode": active[-1]["SchoolCode"],
        "StudentNumber": active[-1]["StudentNumber"],
        "Grade": active[-1].get("Grade", 0),
        "NextGrade": row["Grade"],
        "NextSchool": next_school,
        "NewStudentNumber": row["StudentNumber"],
        "Copied": "Yes",
        "Exception": "",
    }
    return replace(_student_written(row, effect=f"created {student_id}@{next_school}", pretend=pretend), log=log)


def _student_written(row: Row, *, effect: str, pretend: bool) -> Written:
    return Written(
        status=200,
        shape=fields.STUDENT,
        row=row,
        effect="none" if pretend else effect,
        record_id=str(row["StudentID"]),
        external_id=str(row["StudentID"]),
    )
