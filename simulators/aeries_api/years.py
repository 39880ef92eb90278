"""The records of one school year: one database, with the indexes that make every lookup by key a single step.

A row is replaced, never changed in place, so a page handed out stays what it was. Nothing here knows of HTTP, of
certificates or of how a row is shown.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Self

from simulators.aeries_api import fields
from simulators.aeries_api.fields import Row, Shape

ROWS_MAX = 5_000_000
"""Rows of one table in one year."""
_NESTED: dict[str, tuple[Shape, dict[str, Shape]]] = {
    "schools": (fields.SCHOOL, {"Terms": fields.TERM}),
    "staff": (fields.STAFF, {"SchoolAccessPermissions": fields.ACCESS}),
    "sections": (fields.SECTION, {"SectionStaffMembers": fields.SECTION_STAFF}),
}
_GROUPED: dict[str, tuple[Shape, str]] = {
    "contacts": (fields.CONTACT, "StudentID"),
    "programs": (fields.PROGRAM, "StudentID"),
    "enrollment": (fields.ENROLLMENT, "StudentID"),
    "assignments": (fields.ASSIGNMENT, "ID"),
    "teachers": (fields.TEACHER, "SchoolCode"),
    "absenceCodes": (fields.ABSENCE_CODE, "SchoolCode"),
    "bellSchedule": (fields.BELL, "SchoolCode"),
    "calendar": (fields.CALENDAR, "SchoolCode"),
}
TABLES = ("schools", "students", "staff", "courses", "sections", "rosters", "codes", *_GROUPED)
StudentPlace = tuple[str, str, int, int]


class Grouped:
    """A table that is read whole or by one key."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.rows: list[Row] = []
        self._by_key: defaultdict[int, list[Row]] = defaultdict(list)

    def add(self, row: Row) -> None:
        """Append a row."""
        self.rows.append(row)
        self._by_key[row[self._key]].append(row)

    def of(self, key: int) -> list[Row]:
        """List the rows of one key."""
        return self._by_key.get(key, [])


class SchoolYear:
    """All tables of one year."""

    def __init__(self) -> None:
        self.schools: dict[int, Row] = {}
        self.students_at: dict[int, list[Row]] = {}
        """Per school, in the order of names; positions of pages are positions in these lists."""
        self._places_at: dict[int, list[StudentPlace]] = {}
        self.students_of: dict[int, list[Row]] = {}
        self._student_by_number: dict[tuple[int, int], Row] = {}
        self.staff: dict[int, Row] = {}
        self.staff_ids: list[int] = []
        self._staff_by_hrid: dict[str, dict[int, None]] = {}
        self.courses: dict[str, Row] = {}
        self.sections: dict[tuple[int, int], Row] = {}
        self.sections_at: defaultdict[int, list[Row]] = defaultdict(list)
        self.sections_of_staff: defaultdict[int, list[Row]] = defaultdict(list)
        self.rosters: defaultdict[tuple[int, int], list[Row]] = defaultdict(list)
        self.classes_of: defaultdict[int, list[Row]] = defaultdict(list)
        self.codes: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
        self.grouped = {name: Grouped(key) for name, (_, key) in _GROUPED.items()}

    @classmethod
    def from_document(cls, document: Any, *, place: str) -> Self:
        """Build a year from a seed; `ValueError` names place, value and rule."""
        if not isinstance(document, dict) or not document.keys() <= set(TABLES):
            raise ValueError(f"{place}: an object with {', '.join(TABLES)}, and nothing else")
        year = cls()
        for name in TABLES:
            rows = document.get(name, [])
            if not isinstance(rows, list) or len(rows) > ROWS_MAX:
                raise ValueError(f"{place}.{name}: a list of at most {ROWS_MAX} rows")
            year._take_in(name, rows, place=f"{place}.{name}")
        return year

    def document(self) -> dict[str, Any]:
        """Describe the year; `from_document` reads it back."""
        return {
            "schools": list(self.schools.values()),
            "students": [row for rows in self.students_at.values() for row in rows],
            "staff": [self.staff[staff_id] for staff_id in self.staff_ids],
            "courses": list(self.courses.values()),
            "sections": list(self.sections.values()),
            "rosters": [row for rows in self.rosters.values() for row in rows],
            "codes": [row for rows in self.codes.values() for row in rows],
        } | {name: list(table.rows) for name, table in self.grouped.items()}

    def student_at(self, *, school: int, number: int) -> Row | None:
        """Find one school record of a student by its number there."""
        return self._student_by_number.get((school, number))

    def next_student_number(self, school: int) -> int:
        """The number after the greatest one at a school."""
        return max((row["StudentNumber"] for row in self.students_at.get(school, [])), default=0) + 1

    def put_student(self, row: Row, *, before: Row | None = None) -> None:
        """Add a school record, or put it in the place of the one before."""
        school = row["SchoolCode"]
        rows, places = self.students_at.setdefault(school, []), self._places_at.setdefault(school, [])
        if before is not None:
            old = bisect_left(places, _place_of(before))
            del rows[old], places[old]
            self.students_of[row["StudentID"]].remove(before)
        new = bisect_left(places, _place_of(row))
        places.insert(new, _place_of(row))
        rows.insert(new, row)
        self.students_of.setdefault(row["StudentID"], []).append(row)
        self._student_by_number[school, row["StudentNumber"]] = row

    def put_staff(self, row: Row) -> None:
        """Add a staff member, or replace the one with the same id."""
        staff_id = row["ID"]
        before = self.staff.get(staff_id)
        if before is None:
            insort(self.staff_ids, staff_id)
        elif hrid := before.get("HumanResourcesSystemID", ""):
            del self._staff_by_hrid[hrid.lower()][staff_id]
        self.staff[staff_id] = row
        if hrid := row.get("HumanResourcesSystemID", ""):
            self._staff_by_hrid.setdefault(hrid.lower(), {})[staff_id] = None

    def staff_with_hrid(self, hrid: str) -> Row | None:
        """Find the staff member with the lowest id that has this HR id, in any case."""
        ids = self._staff_by_hrid.get(hrid.lower())
        return self.staff[min(ids)] if ids else None

    def _take_in(self, name: str, rows: list[Any], *, place: str) -> None:
        match name:
            case "students":
                self._take_in_students(rows, place=place)
            case "staff":
                for position, row in enumerate(rows):
                    self._take_in_staff(row, place=f"{place}[{position}]")
            case "schools" | "courses" | "sections":
                for position, row in enumerate(rows):
                    self._take_in_keyed(name, row, place=f"{place}[{position}]")
            case "rosters" | "codes":
                for position, row in enumerate(rows):
                    self._take_in_listed(name, row, place=f"{place}[{position}]")
            case _:
                shape, key = _GROUPED[name]
                for position, row in enumerate(rows):
                    here = f"{place}[{position}]"
                    kept = shape.checked(row, place=here)
                    _number(kept, key, place=here, least=0)
                    self.grouped[name].add(kept)

    def _take_in_students(self, rows: list[Any], *, place: str) -> None:
        by_school: dict[int, list[Row]] = {}
        for position, row in enumerate(rows):
            here = f"{place}[{position}]"
            kept = fields.STUDENT_EXTENDED.checked(row, place=here)
            key = (
                _known(kept, "SchoolCode", self.schools, place=here),
                _number(kept, "StudentNumber", place=here, least=1),
            )
            if key in self._student_by_number:
                raise ValueError(f"{here}: school {key[0]} has a student with number {key[1]} already")
            self._student_by_number[key] = kept
            self.students_of.setdefault(_number(kept, "StudentID", place=here, least=1), []).append(kept)
            by_school.setdefault(key[0], []).append(kept)
        for school, found in by_school.items():
            # Sorted once here: one insertion per row would make a large seed slow.
            found.sort(key=_place_of)
            self.students_at[school] = found
            self._places_at[school] = [_place_of(row) for row in found]

    def _take_in_staff(self, row: Any, *, place: str) -> None:
        account = row.get("Account") if isinstance(row, dict) else None
        plain = {name: value for name, value in row.items() if name != "Account"} if isinstance(row, dict) else row
        kept = _with_nested("staff", plain, place=place)
        if account is not None:
            kept["Account"] = fields.ACCOUNT.checked(account, place=f"{place}.Account")
        if _number(kept, "ID", place=place, least=1) in self.staff:
            raise ValueError(f"{place}.ID: {kept['ID']} is another staff member's")
        self.put_staff(kept)

    def _take_in_keyed(self, name: str, row: Any, *, place: str) -> None:
        if name == "courses":
            kept = fields.COURSE.checked(row, place=place)
            if not kept.get("ID") or kept["ID"] in self.courses:
                raise ValueError(f"{place}.ID: {kept.get('ID')!r} is empty or another course's")
            self.courses[kept["ID"]] = kept
            return
        kept = _with_nested(name, row, place=place)
        if name == "schools":
            if _number(kept, "SchoolCode", place=place, least=0) in self.schools:
                raise ValueError(f"{place}.SchoolCode: {kept['SchoolCode']} is another school's")
            self.schools[kept["SchoolCode"]] = kept
            return
        school = _known(kept, "SchoolCode", self.schools, place=place)
        key = (school, _number(kept, "SectionNumber", place=place, least=1))
        if key in self.sections:
            raise ValueError(f"{place}.SectionNumber: school {key[0]} has a section {key[1]} already")
        self.sections[key] = kept
        self.sections_at[school].append(kept)
        for member in kept.get("SectionStaffMembers", []):
            self.sections_of_staff[member.get("StaffID", 0)].append(kept)

    def _take_in_listed(self, name: str, row: Any, *, place: str) -> None:
        if name == "codes":
            kept = fields.CODE.checked(row, place=place)
            self.codes[kept.get("Table", "").upper(), kept.get("Field", "").upper()].append(kept)
            return
        kept = fields.ROSTER.checked(row, place=place)
        key = (
            _number(kept, "SchoolCode", place=place, least=0),
            _number(kept, "SectionNumber", place=place, least=1),
        )
        if key not in self.sections:
            raise ValueError(f"{place}: school {key[0]} has no section {key[1]}")
        self.rosters[key].append(kept)
        self.classes_of[_known(kept, "StudentID", self.students_of, place=place)].append(kept)


def _place_of(row: Row) -> StudentPlace:
    return (row.get("LastName", ""), row.get("FirstName", ""), row["StudentID"], row["StudentNumber"])


def _with_nested(table: str, row: Any, *, place: str) -> Row:
    shape, nested = _NESTED[table]
    kept = shape.checked(row, place=place)
    for name, inner in nested.items():
        if name in kept:
            kept[name] = [
                inner.whole(inner.checked(item, place=f"{place}.{name}[{position}]"))
                for position, item in enumerate(kept[name])
            ]
    return kept


def _number(row: Row, name: str, *, place: str, least: int) -> int:
    value = row.get(name)
    if not isinstance(value, int) or value < least:
        raise ValueError(f"{place}.{name}: {value!r} is not a whole number from {least}, and the record's key")
    return value


def _known(row: Row, name: str, those: Mapping[int, object] | Iterable[int], *, place: str) -> int:
    value = _number(row, name, place=place, least=0)
    if value not in those:
        raise ValueError(f"{place}.{name}: {value} is not seeded in this year")
    return value
