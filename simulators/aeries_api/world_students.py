"""The students of a made district: records in both years, enrollment, seats in sections, and the truth of them.

A person has one id and one or more school records; which record is active is decided here first and then spelled the
way Aeries spells it.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from simulators.aeries_api.world_schools import PERIODS, Plan, SchoolPlan
from simulators.district import names

Row = dict[str, Any]

FIRST_ID = 50_000_001
SECTION_SIZE = 30
STORE_SCHOOL = 999
GRADES = 13
EMAIL_FROM_GRADE = 3
"""Younger students have no mail address of their own."""
_DOMAIN = f"student.{names.DOMAIN}"


@dataclass(slots=True, kw_only=True)
class Students:
    """What was made."""

    rows: list[Row] = field(default_factory=list)
    former_rows: list[Row] = field(default_factory=list)
    rosters: list[Row] = field(default_factory=list)
    enrollment: list[Row] = field(default_factory=list)
    seats_at: Counter[int] = field(default_factory=Counter)
    """Active students per school with sections."""
    truth: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    student_id: int
    grade: int
    school: SchoolPlan
    shared: Row
    """What is the same in every school record of the person."""


class _Maker:
    """Makes one person after another; the numbers of students at a school only ever rise."""

    def __init__(self, rng: random.Random, plan: Plan) -> None:
        self.made = Students()
        self._rng = rng
        self._plan = plan
        self._numbers: Counter[int] = Counter()
        self._former_numbers: Counter[int] = Counter()
        self._next_id = FIRST_ID
        self.active_at: Counter[int] = Counter()
        self.former_active_at: Counter[int] = Counter()
        self.cases: dict[str, list[Any]] = {
            name: []
            for name in ("at_two_schools", "transferred", "left", "only_stored", "pre_enrolled", "one_blank_code",
                         "same_person", "without_email", "last_year_only", "not_here_last_year")
        }  # fmt: skip

    def take_id(self) -> int:
        """The next id of a student."""
        self._next_id += 1
        return self._next_id - 1

    def person(self, *, grade: int | None = None) -> _Person:
        """Draw a person and the school they belong to."""
        rng = self._rng
        student_id = self.take_id()
        grade = rng.randrange(GRADES) if grade is None else grade
        school = rng.choice(self._plan.by_grade[grade])
        first, last = names.first_name(rng), names.last_name(rng)
        year_of_birth = self._plan.year - grade - 6
        shared = {
            "StudentID": student_id,
            "StateStudentID": f"{student_id - FIRST_ID + 1:010d}",
            "LastName": last,
            "FirstName": first,
            "Gender": rng.choice("FMX"),
            "Birthdate": f"{year_of_birth}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T00:00:00",
            "HomePhone": names.digits_of_phone(rng),
            "EthnicityCode": rng.choice("YN"),
            "FamilyKey": student_id // 2,
        }
        if grade >= EMAIL_FROM_GRADE and rng.random() >= 0.03:
            local = names.local_part(first=first, last=last)
            address = f"{local}{student_id % 1_000_000:06d}@{_DOMAIN}"
            shared["StudentEmailAddress"] = address.upper() if rng.random() < 0.02 else address
            shared["NetworkLoginID"] = f"{local}{student_id % 1_000_000:06d}"
        else:
            self.cases["without_email"].append(student_id)
        return _Person(student_id=student_id, grade=grade, school=school, shared=shared)

    def record(self, person: _Person, school: int, *, tag: str = "", is_here: bool = True) -> None:
        """Add a school record of this year; `is_here` is the truth that `tag` spells."""
        self._numbers[school] += 1
        row = person.shared | {
            "SchoolCode": school,
            "StudentNumber": self._numbers[school],
            "Grade": person.grade,
            "SchoolEnterDate": f"{self._plan.year}-08-17T00:00:00",
            "InactiveStatusCode": tag,
        }
        if not person.school.has_sections:
            # Three digits behind zeros: the number of a teacher is text.
            row["HomeRoomTeacherNumber"] = f"{self._rng.randrange(1, 40):04d}"
        if person.grade in {5, 8}:
            row["NextGrade"] = person.grade + 1
            row["NextSchoolCode"] = self._plan.by_grade[person.grade + 1][0].code
        left_on = None if is_here else f"{self._plan.year}-10-02T00:00:00"
        if left_on is not None:
            row["SchoolLeaveDate"] = left_on
        self.made.rows.append(row)
        if school != STORE_SCHOOL:
            self._enroll(person, school, year=self._plan.year, number=self._numbers[school], left_on=left_on)
            if is_here:
                self.active_at[school] += 1
                self._seat(person, school)

    def former(self, person: _Person) -> None:
        """Add the school record of the year before: one grade lower, at a school that has it."""
        grade = person.grade - 1
        schools = self._plan.by_grade[grade]
        school = person.school if person.school in schools else schools[person.student_id % len(schools)]
        self._former_numbers[school.code] += 1
        number = self._former_numbers[school.code]
        self.made.former_rows.append(
            person.shared | {"SchoolCode": school.code, "StudentNumber": number, "Grade": grade}
        )
        self.former_active_at[school.code] += 1
        self._enroll(person, school.code, year=self._plan.year - 1, number=number, left_on=None, grade=grade)

    def _enroll(
        self, person: _Person, school: int, *, year: int, number: int, left_on: str | None, grade: int | None = None
    ) -> None:
        row: Row = {
            "AcademicYear": year,
            "StudentID": person.student_id,
            "SchoolCode": school,
            "StudentNumber": number,
            "Grade": person.grade if grade is None else grade,
            "EnterDate": f"{year}-08-17T00:00:00",
        }
        if year < self._plan.year:
            row["LeaveDate"] = f"{year + 1}-06-04T00:00:00"
        elif left_on is not None:
            row |= {"LeaveDate": left_on, "ExitReasonCode": "T160"}
        self.made.enrollment.append(row)

    def _seat(self, person: _Person, school: int) -> None:
        if school != person.school.code or not person.school.has_sections:
            return
        group = self.made.seats_at[school] // SECTION_SIZE
        self.made.seats_at[school] += 1
        for period in range(1, PERIODS + 1):
            self.made.rosters.append(
                {
                    "StudentID": person.student_id,
                    "SchoolCode": school,
                    "SectionNumber": group * PERIODS + period,
                    "SequenceNumber": self.made.seats_at[school],
                }
            )


def make_students(rng: random.Random, *, count: int, plan: Plan) -> Students:
    """Make `count` active persons, and beside them those who left, never came or are only stored."""
    maker = _Maker(rng, plan)
    for _ in range(count):
        _active_person(maker, rng, plan)
    for name, share, tag in (("left", 0.02, "I"), ("pre_enrolled", 0.01, "*")):
        for _ in range(max(1, int(count * share))):
            person = maker.person()
            maker.record(person, person.school.code, tag=tag, is_here=False)
            maker.cases[name].append(person.student_id)
    for _ in range(max(1, count // 100)):
        # The stored record looks active: only the school's code tells that it is not.
        person = maker.person(grade=12)
        maker.record(person, STORE_SCHOOL, is_here=False)
        maker.former(person)
        maker.cases["only_stored"].append(person.student_id)
    for _ in range(max(1, count // 50)):
        person = maker.person(grade=12)
        maker.former(person)
        maker.cases["last_year_only"].append(person.student_id)
    maker.made.truth = _truth(maker, plan, count=count)
    return maker.made


def _active_person(maker: _Maker, rng: random.Random, plan: Plan) -> None:
    person = maker.person()
    draw = rng.random()
    others = [school for school in plan.by_grade[person.grade] if school is not person.school]
    if draw < 0.03 and others:
        maker.record(person, rng.choice(others).code, tag="I", is_here=False)
        maker.cases["transferred"].append(person.student_id)
    tag = ""
    if 0.03 <= draw < 0.05:
        tag = " "
        maker.cases["one_blank_code"].append(person.student_id)
    maker.record(person, person.school.code, tag=tag)
    if 0.05 <= draw < 0.06 and others:
        maker.record(person, rng.choice(others).code)
        maker.cases["at_two_schools"].append(person.student_id)
    if person.grade > 0 and rng.random() >= 0.05:
        maker.former(person)
    else:
        maker.cases["not_here_last_year"].append(person.student_id)
    if 0.06 <= draw < 0.065 and maker.made.former_rows:
        _second_id(maker, person)


def _second_id(maker: _Maker, person: _Person) -> None:
    """Add an inactive record of the same person under another id, as a wrong registration leaves it."""
    other_id = maker.take_id()
    double = replace(person, student_id=other_id, shared=person.shared | {"StudentID": other_id})
    maker.record(double, person.school.code, tag="I", is_here=False)
    maker.cases["same_person"].append([person.student_id, other_id])


def _truth(maker: _Maker, plan: Plan, *, count: int) -> dict[str, Any]:
    codes = [school.code for school in plan.schools]
    return {
        "distinct_active": count,
        "rows": len(maker.made.rows),
        "active_at": {str(code): maker.active_at[code] for code in codes},
        "former_distinct_active": len(maker.made.former_rows),
        "former_active_at": {str(code): maker.former_active_at[code] for code in codes},
        "seats": len(maker.made.rosters),
        "cases": maker.cases,
    }
