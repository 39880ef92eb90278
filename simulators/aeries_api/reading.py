"""Which records a GET asks for: every path of the API that reads, people apart.

Pure over the year it is given: it finds rows and their area of permission, and shows none. A list is a slice of rows
that exist already, so that a page costs the page and not the school.
"""

from simulators.aeries_api import fields
from simulators.aeries_api.asking import Asked, Refused, number
from simulators.aeries_api.fields import Row
from simulators.aeries_api.finding import Found, Listing, Single, there
from simulators.aeries_api.reading_staff import find_staff
from simulators.aeries_api.reading_students import PAGE_COLLECTION, find_students

_PAGING = ("startingrecord", "endingrecord")


def find(asked: Asked) -> Found:
    """Find what a GET asks for; `Refused` when there is no such path or record."""
    found = _schools(asked) or find_students(asked) or find_staff(asked) or _schedule(asked)
    if found is None:
        raise Refused(404, "No HTTP resource was found that matches the request URI.")
    if not (isinstance(found, Listing) and found.collection.startswith(PAGE_COLLECTION)):
        _note_useless_paging(asked)
    return found


def _schools(asked: Asked) -> Found | None:
    year = asked.year
    match asked.words:
        case ("schools",):
            rows = [year.schools[code] for code in sorted(year.schools)]
            return Listing(area="School Data", collection="schools", shape=fields.SCHOOL, rows=rows)
        case ("schools", code):
            return Single(area="School Data", shape=fields.SCHOOL, row=_school(asked, code))
        case ("schools", code, "terms"):
            terms = _school(asked, code).get("Terms", [])
            return Listing(area="School Data", collection=f"terms/{code}", shape=fields.TERM, rows=terms)
        case ("schools", code, "calendar" | "bellschedule" | "absencecodes" as word):
            name, shape = {
                "calendar": ("calendar", fields.CALENDAR),
                "bellschedule": ("bellSchedule", fields.BELL),
                "absencecodes": ("absenceCodes", fields.ABSENCE_CODE),
            }[word]
            rows = year.grouped[name].of(number(code, name="SchoolCode"))
            return Listing(area="School Data", collection=f"{name}/{code}", shape=shape, rows=rows)
        case ("codes", table, name):
            rows = year.codes.get((table.upper(), name.upper()), [])
            return Listing(area="Code Data", collection=f"codes/{table}/{name}", shape=fields.CODE, rows=rows)
    return None


def _schedule(asked: Asked) -> Found | None:
    found: Found | None = None
    year = asked.year
    match asked.words:
        case ("courses",):
            rows: list[Row] = list(year.courses.values())
            found = Listing(area="Course Data", collection="courses", shape=fields.COURSE, rows=rows)
        case ("courses", _):
            found = Single(
                area="Course Data", shape=fields.COURSE, row=there(year.courses.get(asked.path[1]), area="Course Data")
            )
        case ("schools", code, "sections"):
            rows = year.sections_at.get(number(code, name="SchoolCode"), [])
            found = Listing(area="Master Schedule Data", collection=f"sections/{code}", shape=fields.SECTION, rows=rows)
        case ("schools", code, "sections", text):
            found = Single(area="Master Schedule Data", shape=fields.SECTION, row=_section(asked, code, text))
        case ("schools", code, "sections", text, "students"):
            section = _section(asked, code, text)
            rows = year.rosters.get((section["SchoolCode"], section["SectionNumber"]), [])
            where = f"rosters/{code}/{text}"
            found = Listing(area="Class Schedule Data", collection=where, shape=fields.ROSTER, rows=rows)
        case ("schools", code, "classes", text):
            school = number(code, name="SchoolCode")
            taken = year.classes_of.get(number(text, name="StudentID"), [])
            rows = [row for row in taken if row["SchoolCode"] == school]
            found = Listing(area="Class Schedule Data", collection="student classes", shape=fields.ROSTER, rows=rows)
    return found


def _school(asked: Asked, code: str) -> Row:
    return there(asked.year.schools.get(number(code, name="SchoolCode")), area="School Data")


def _section(asked: Asked, code: str, text: str) -> Row:
    key = (number(code, name="SchoolCode"), number(text, name="SectionNumber"))
    return there(asked.year.sections.get(key), area="Master Schedule Data")


def _note_useless_paging(asked: Asked) -> None:
    if any(name in asked.query for name in _PAGING):
        asked.note("A11", "record positions are for the students of a school; elsewhere they do nothing")
