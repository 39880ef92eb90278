"""The staff of a made district: their records in both years, accounts, jobs, teacher numbers and sections."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from simulators.aeries_api.world_schools import PERIODS, Plan
from simulators.aeries_api.world_students import SECTION_SIZE
from simulators.district import names

Row = dict[str, Any]

FIRST_STAFF_ID = 900_001
TEACHER_SHARE = 0.6


@dataclass(slots=True, kw_only=True)
class Staff:
    """What was made."""

    plan: Plan
    rows: list[Row] = field(default_factory=list)
    former_rows: list[Row] = field(default_factory=list)
    teachers: list[Row] = field(default_factory=list)
    assignments: list[Row] = field(default_factory=list)
    teachers_at: dict[int, list[Row]] = field(default_factory=dict)
    truth: dict[str, Any] = field(default_factory=dict)

    def sections_for(self, seats_at: Mapping[int, int]) -> list[Row]:
        """Make the sections that so many students per school fill, each with its staff."""
        courses = [course["ID"] for course in self.plan.courses]
        sections: list[Row] = []
        for school in sorted(seats_at):
            there = self.teachers_at.get(school) or self.rows[:1]
            groups = -(-seats_at[school] // SECTION_SIZE)
            for section in range(1, groups * PERIODS + 1):
                members = [_member(there[section % len(there)], is_primary=True)]
                if section % 10 == 0 and len(there) > 1:
                    members.append(_member(there[(section + 1) % len(there)], is_primary=False))
                sections.append(
                    {
                        "SchoolCode": school,
                        "SectionNumber": section,
                        "Period": (section - 1) % PERIODS + 1,
                        "Semester": "Y",
                        "CourseID": courses[(section - 1) % PERIODS],
                        "Room": f"{section % 60:03d}",
                        "MaxStudents": SECTION_SIZE,
                        "SectionStaffMembers": members,
                    }
                )
        return sections


def make_staff(rng: random.Random, *, count: int, plan: Plan) -> Staff:
    """Make `count` staff members, some gone, some without what a join would need."""
    made = Staff(plan=plan)
    cases: dict[str, list[Any]] = {
        name: []
        for name in ("left", "inactive", "without_hrid", "shared_hrid", "expired_account", "address_of_account")
    }
    for number in range(count):
        row = _member_of_staff(rng, number=number, plan=plan)
        _make_awkward(row, number=number, made=made, cases=cases)
        made.rows.append(row)
        if number % 20:  # every twentieth is new this year
            made.former_rows.append({name: value for name, value in row.items() if name != "LeaveDate"})
    made.truth = {"total": count, "former_total": len(made.former_rows), "cases": cases}
    return made


def _member_of_staff(rng: random.Random, *, number: int, plan: Plan) -> Row:
    first, last = names.first_name(rng)[:20], names.last_name(rng)
    staff_id = FIRST_STAFF_ID + number
    school = plan.schools[number % len(plan.schools)].code
    return {
        "ID": staff_id,
        "FirstName": first,
        "LastName": last,
        "BirthDate": f"{rng.randrange(1960, 2000)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}T00:00:00",
        "FullTimePercentage": 100,
        "HireDate": f"{rng.randrange(1995, 2026)}-08-01T00:00:00",
        "StateEducatorID": f"{staff_id:010d}",
        "EmailAddress": f"{names.local_part(first=first, last=last)}{number}@{names.DOMAIN}",
        "PrimaryAeriesSchool": school,
        # Alphanumeric with leading zeros: what HR calls a person.
        "HumanResourcesSystemID": f"{number + 1:06d}" if number % 3 else f"E{number + 1:05d}",
        "CellPhone": names.digits_of_phone(rng),
        "Title": "Teacher" if rng.random() < TEACHER_SHARE else "Office",
        "SchoolAccessPermissions": [{"SchoolCode": school, "ReadOnlyAccess": False, "CommunicationGroup": True}],
    }


def _make_awkward(row: Row, *, number: int, made: Staff, cases: dict[str, list[Any]]) -> None:
    staff_id = row["ID"]
    match number % 50:
        case 7:
            row["LeaveDate"] = "2026-06-05T00:00:00"
            cases["left"].append(staff_id)
        case 13:
            row["InactiveStatusCode"] = "I"
            cases["inactive"].append(staff_id)
        case 19:
            del row["HumanResourcesSystemID"]
            cases["without_hrid"].append(staff_id)
        case 23:
            row["HumanResourcesSystemID"] = made.rows[-1]["HumanResourcesSystemID"].lower()
            cases["shared_hrid"].append([made.rows[-1]["ID"], staff_id])
        case 29:
            row["Account"] = {"UserName": f"u{staff_id}", "Expired": True}
            cases["expired_account"].append(staff_id)
        case 31:
            row["Account"] = {"UserName": f"u{staff_id}", "EmailAddress": f"u{staff_id}@{names.OLD_DOMAIN}"}
            cases["address_of_account"].append(staff_id)
        case _:
            row["Account"] = {"UserName": f"u{staff_id}"}
    if row["Title"] == "Teacher":
        _make_teacher(row, made=made)


def _make_teacher(row: Row, *, made: Staff) -> None:
    school = row["PrimaryAeriesSchool"]
    there = made.teachers_at.setdefault(school, [])
    there.append(row)
    made.teachers.append(
        {
            "SchoolCode": school,
            "TeacherNumber": len(there),
            "DisplayName": row["LastName"],
            "FirstName": row["FirstName"],
            "LastName": row["LastName"],
            "StaffID1": row["ID"],
            "Room": f"{len(there):03d}",
        }
    )
    made.assignments.append(
        {
            "AssignmentType": "certificated",
            "ID": row["ID"],
            "SequenceNumber": 1,
            "JobClassificationCode": "12",
            "FullTimePercentage": 100,
            "SchoolCode": school,
            "StartDate": "2026-08-01T00:00:00",
        }
    )


def _member(row: Row, *, is_primary: bool) -> Row:
    return {
        "StaffID": row["ID"],
        "LastName": row["LastName"],
        "FirstName": row["FirstName"],
        "IsPrimaryTeacher": is_primary,
    }
