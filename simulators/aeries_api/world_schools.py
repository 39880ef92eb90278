"""The fixed part of a made district: its schools, terms, courses and codes. Pure; no chance in it."""

from dataclasses import dataclass, field
from typing import Any

PSEUDO_SCHOOLS = {
    0: "Bristlecone Unified School District",
    100: "ZZZ Basic Code Tables",
    200: "ZZZ Basic Data",
    999: "ZZZ Inactive Students",
}
"""What stands in the list of schools and is none (README rule A18)."""
FIRST_CODE = 501
PERIODS = 6
_LEVELS = (("Elementary", 0, 5), ("Elementary", 0, 5), ("Middle", 6, 8), ("Elementary", 0, 5), ("High", 9, 12))
_SUBJECTS = ("English", "Algebra", "Biology", "History", "PE", "Art", "Spanish", "Physics")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchoolPlan:
    """One real school."""

    code: int
    name: str
    low: int
    high: int

    @property
    def has_sections(self) -> bool:
        """Elementary schools have homerooms and no sections."""
        return self.low >= 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the rest of the world is made around."""

    year: int
    schools: tuple[SchoolPlan, ...]
    courses: list[dict[str, Any]]
    codes: list[dict[str, Any]]
    absence_codes: list[dict[str, Any]]
    by_grade: dict[int, list[SchoolPlan]] = field(default_factory=dict)


def plan_of(*, schools: int, year: int) -> Plan:
    """Plan a district with so many real schools; the first three are one of each level."""
    order = (_LEVELS[0], _LEVELS[2], _LEVELS[4], *(_LEVELS[number % 5] for number in range(schools)))[:schools]
    made = tuple(
        SchoolPlan(code=FIRST_CODE + number, name=f"{level} School {number + 1}", low=low, high=high)
        for number, (level, low, high) in enumerate(order)
    )
    by_grade = {grade: [school for school in made if school.low <= grade <= school.high] for grade in range(13)}
    courses = [
        {
            # Four characters with leading zeros, as course ids are.
            "ID": f"{number + 1:04d}",
            "Title": subject,
            "LongDescription": f"{subject} year-long",
            "CreditDefault": 5.0,
            "CreditMax": 10.0,
            "DepartmentCode": subject[:2].upper(),
            "LowGrade": 6,
            "HighGrade": 12,
            "InactiveStatusCode": "I" if subject == "Physics" else "",
            "TermTypeCode": "Y",
        }
        for number, subject in enumerate(_SUBJECTS)
    ]
    codes = [
        {"Table": "STU", "Field": "TG", "Code": code, "Description": text}
        for code, text in (("", "Active"), ("I", "Inactive"), ("N", "No show"), ("*", "Pre-enrolled"))
    ]
    absence_codes = [
        {"SchoolCode": school.code, "AbsenceCode": "A", "Title": "Absent", "Abbreviation": "Abs", "TypeCode": 1}
        for school in made
    ]
    return Plan(year=year, schools=made, courses=courses, codes=codes, absence_codes=absence_codes, by_grade=by_grade)


def schools_of(plan: Plan, *, year: int) -> list[dict[str, Any]]:
    """List the schools of one year, pseudo schools and an inactive one among them."""
    terms = [
        _term("F", "Fall", start=f"{year}-08-17", end=f"{year}-12-18"),
        _term("S", "Spring", start=f"{year + 1}-01-11", end=f"{year + 1}-06-04"),
        _term("Y", "Year", start=f"{year}-08-17", end=f"{year + 1}-06-04"),
    ]
    pseudo = [{"SchoolCode": code, "Name": name, "DoNotReport": code != 0} for code, name in PSEUDO_SCHOOLS.items()]
    closed = {"SchoolCode": FIRST_CODE - 1, "Name": "Closed School", "InactiveStatusCode": "I"}
    real = [
        {
            "SchoolCode": school.code,
            "Name": school.name,
            "AddressCity": "Bristlecone",
            "AddressState": "CA",
            "AddressZipCode": "00501",
            "StateCountyID": "09",
            "StateSchoolID": f"{school.code:07d}",
            "LowGradeLevel": school.low,
            "HighGradeLevel": school.high,
            "ScheduleType": "Flex" if school.has_sections else "Elementary",
            "UsingSectionStaffInMasterSchedule": school.has_sections,
            "SessionType": "Regular",
            "AttendanceType": "Period" if school.has_sections else "Daily",
            "AttendanceReporting": "Negative",
            "ScheduleBasis": "Semester",
            "PhoneNumber": f"5305550{school.code % 100 + 100}",
            "Terms": terms,
        }
        for school in plan.schools
    ]
    return [*pseudo, closed, *real]


def _term(code: str, text: str, *, start: str, end: str) -> dict[str, Any]:
    return {
        "TermCode": code,
        "TermDescription": text,
        "StartDate": f"{start}T00:00:00",
        "EndDate": f"{end}T00:00:00",
    }
