"""Reads of students: their school records and pages of them, contacts, programs and enrollment.

Pure over the year it is given. Only lists of students have pages, by record positions (README rule A11).
"""

from collections.abc import Sequence

from simulators.aeries_api import fields
from simulators.aeries_api.asking import Asked, Refused, number
from simulators.aeries_api.fields import Row, Shape
from simulators.aeries_api.finding import Found, Listing

PAGE_COLLECTION = "students/"
"""How the collections begin that have pages."""


def find_students(asked: Asked) -> Found | None:
    """Find what a path about students asks for; None when it is about something else."""
    found: Found | None = None
    words = asked.words
    shape = fields.STUDENT
    if words[:1] == ("schools",) and words[2:3] == ("students",) and words[-1] == "extended":
        words, shape = words[:-1], fields.STUDENT_EXTENDED
    match words:
        case ("schools", code, "students") | ("schools", code, "students", "0"):
            rows = asked.year.students_at.get(number(code, name="SchoolCode"), [])
            found = _students_page(asked, code=code, shape=shape, rows=rows)
        case ("schools", code, "students", "grade", text):
            grade = number(text, name="GradeLevel")
            at_school = asked.year.students_at.get(number(code, name="SchoolCode"), [])
            rows = [row for row in at_school if row.get("Grade", 0) == grade]
            found = _students_page(asked, code=f"{code}/{grade}", shape=shape, rows=rows)
        case ("schools", code, "students", "sn", text):
            row = asked.year.student_at(
                school=number(code, name="SchoolCode"), number=number(text, name="StudentNumber")
            )
            found = _students_page(asked, code=f"{code}/sn", shape=shape, rows=[] if row is None else [row])
        case ("schools", code, "students", text):
            found = _one_student(asked, code=code, text=text, shape=shape)
        case ("schools", code, "students", text, "programs"):
            found = _of_students(asked, table="programs", area="Program Data", code=code, text=text)
        case ("schools", code, "contacts"):
            found = _of_students(asked, table="contacts", area="Contact Data", code=code, text="0")
        case ("schools", code, "contacts", text):
            found = _of_students(asked, table="contacts", area="Contact Data", code=code, text=text)
        case ("enrollment", text):
            found = _enrollment(asked, code=None, text=text, year=None)
        case ("enrollment", text, "year", year):
            found = _enrollment(asked, code=None, text=text, year=year)
        case ("schools", code, "enrollment", text):
            found = _enrollment(asked, code=code, text=text, year=None)
        case ("schools", code, "enrollment", text, "year", year):
            found = _enrollment(asked, code=code, text=text, year=year)
    return found


def _one_student(asked: Asked, *, code: str, text: str, shape: Shape) -> Listing:
    school = number(code, name="SchoolCode")
    rows = asked.year.students_of.get(number(text, name="StudentID"), [])
    if asked.switches.student_lookup == "this_school":  # A17
        rows = [row for row in rows if row["SchoolCode"] == school]
    return Listing(area="Student Data", collection="student", shape=shape, rows=list(rows))


def _students_page(asked: Asked, *, code: str, shape: Shape, rows: Sequence[Row]) -> Listing:
    start, stop = _positions(asked)
    return Listing(
        area="Student Data",
        collection=f"{PAGE_COLLECTION}{asked.year_number}/{code}/{len(shape.properties)}",
        shape=shape,
        rows=rows,
        start=start,
        stop=stop,
    )


def _positions(asked: Asked) -> tuple[int, int | None]:
    """Turn 1-based inclusive record positions into a start and a stop (A11)."""
    start = _position(asked, "startingrecord")
    stop = _position(asked, "endingrecord")
    first = 0 if start is None else start - 1
    if stop is not None and stop < first:
        asked.note("A11", "the last record lies before the first; the answer is empty")
        stop = first
    return first, stop


def _position(asked: Asked, name: str) -> int | None:
    text = asked.query.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 9 and int(text) >= 1:
        return int(text)
    asked.note("A11", f"{name} is not a record position from 1; it was ignored")
    return None


def _of_students(asked: Asked, *, table: str, area: str, code: str, text: str) -> Listing:
    student = number(text, name="StudentID")
    grouped = asked.year.grouped[table]
    shape = fields.CONTACT if table == "contacts" else fields.PROGRAM
    if student:
        rows = grouped.of(student)
    else:
        here = asked.year.students_at.get(number(code, name="SchoolCode"), [])
        rows = [
            row for student_id in dict.fromkeys(each["StudentID"] for each in here) for row in grouped.of(student_id)
        ]
    if table == "programs" and "code" in asked.query:
        rows = [row for row in rows if row.get("ProgramCode", "") == asked.query["code"]]
    return Listing(area=area, collection=f"{table}/{code}/{text}", shape=shape, rows=rows)


def _enrollment(asked: Asked, *, code: str | None, text: str, year: str | None) -> Listing:
    student = number(text, name="StudentID")
    table = asked.year.grouped["enrollment"]
    if student == 0 and year is None:
        asked.note("A21", "enrollment of all students without a year reads all years")
        if asked.switches.all_years_enrollment == "times_out":
            raise Refused(500, "An error has occurred.")
    rows = table.of(student) if student else table.rows
    if code is not None:
        school = number(code, name="SchoolCode")
        rows = [row for row in rows if row.get("SchoolCode", 0) == school]
    if year is not None:
        wanted = number(year, name="year")
        rows = [row for row in rows if row.get("AcademicYear", 0) == wanted]
    where = f"enrollment/{code}/{text}/{year}"
    return Listing(area="Enrollment History", collection=where, shape=fields.ENROLLMENT, rows=rows)
