"""A made-up Apex: organisations, staff, students, classrooms and enrolments from a size and a number, all invented.

The same order gives the same world. Pure; the result is a seed like any other and is checked like any other.
"""

import random
from datetime import datetime, timedelta
from typing import Any

PEOPLE_MAX = 200_000
PEOPLE_PER_ORGANIZATION = 1_000
STUDENTS_PER_TEACHER = 20
STUDENTS_PER_CLASSROOM = 25
_FIRST = (
    "Ada",
    "Bo",
    "Chloé",
    "Dev",
    "Élan",
    "Fay",
    "Gus",
    "Hoa",
    "Ivo",
    "José",
    "Kim",
    "Lê",
    "Mei",
    "Nia",
    "Oz",
    "Pia",
)
_LAST = ("Abel", "Brontë", "Cruz", "D'Angelo", "Ek", "Fox", "García", "Hu", "Ito", "Jones", "Kaya", "Lund", "Muñoz")
_PROGRAMS = ("Alg1", "Bio1", "Eng9")


def world(order: Any, *, now: datetime) -> dict[str, Any]:
    """Make a seed with so many people: `{"people": 1000, "seed": 7}`."""
    match order:
        case {"people": int(people), "seed": int(number), **rest} if 1 <= people <= PEOPLE_MAX and not rest:
            rng = random.Random(number)
        case _:
            raise ValueError(f"generate: needs people from 1 to {PEOPLE_MAX} and a seed, and nothing else")
    teachers = max(1, people // (STUDENTS_PER_TEACHER + 1))
    orgs = [f"{10 + position:03d}" for position in range(1 + people // PEOPLE_PER_ORGANIZATION)]
    org_of = [orgs[position % len(orgs)] for position in range(people)]
    staff = [
        _person(rng, number=position, role="SC" if position % 20 == 19 else "T", org=org_of[position])
        for position in range(teachers)
    ]
    students = [
        _person(rng, number=position, role="S", org=org_of[position]) | {"GradeLevel": str(9 + position % 4)}
        for position in range(people - teachers)
    ]
    start = (now - timedelta(days=60)).replace(microsecond=0).isoformat()
    rooms = [
        {
            "ImportClassroomId": f"R{position:06d}",
            "ClassroomName": f"Room {position}",
            "ProductCodes": [f"{_PROGRAMS[position % 3]}-A"],
            "ImportUserId": staff[position % teachers]["ImportUserId"],
            "ImportOrgId": staff[position % teachers]["Organizations"][0]["ImportOrgId"],
            "ProgramCode": _PROGRAMS[position % 3],
            "ClassroomStartDate": start,
        }
        for position in range(max(1, len(students) // STUDENTS_PER_CLASSROOM))
    ]
    enrollments = [
        {
            "ImportClassroomId": rooms[position % len(rooms)]["ImportClassroomId"],
            "ImportUserId": student["ImportUserId"],
            "ImportOrgId": student["Organizations"][0]["ImportOrgId"],
            "EnrollmentStatus": "Active",
            "EnrolledAt": start,
        }
        for position, student in enumerate(students)
    ]
    return {
        "organizations": [{"ImportOrgId": org, "Name": f"School {org}"} for org in orgs],
        "products": [
            {"ProductCode": f"{program}-{part}", "ProgramCode": program, "ProductName": f"{program} {part}"}
            for program in _PROGRAMS
            for part in "AB"
        ],
        "students": students,
        "staff": staff,
        "classrooms": rooms,
        "enrollments": enrollments,
    }


def _person(rng: random.Random, *, number: int, role: str, org: str) -> dict[str, Any]:
    login = f"{'s' if role == 'S' else 't'}{number:06d}"
    is_archived = role == "S" and rng.random() < 0.01
    return {
        "ImportUserId": f"{login}@bristlecone-usd.example",
        "FirstName": rng.choice(_FIRST),
        "LastName": rng.choice(_LAST),
        "Email": f"{login}@bristlecone-usd.example",
        "LoginId": login,
        "Organizations": [{"ImportOrgId": org, "Role": role, "RoleStatus": "Archived" if is_archived else "Active"}],
    }
