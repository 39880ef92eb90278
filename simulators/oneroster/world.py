"""A made-up district for OneRoster: orgs, sessions, courses, classes, people and enrolments, all invented.

The same order gives the same district. Pure; the result is a seed like any other and is checked like any other.
"""

import random
from datetime import datetime, timedelta
from typing import Any

from simulators.oneroster.rows import RACES, stamp_of

PEOPLE_MAX = 200_000
STUDENTS_PER_SCHOOL = 800
STUDENTS_PER_TEACHER = 20
CLASSES_PER_STUDENT = 2
COURSES = (("Algebra 1", "Mathematics"), ("Biology", "Science"), ("English 9", "English"), ("World History", "History"))
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
_DAYS_OF_CHANGES = 100

Row = dict[str, Any]


def world(order: Any, *, now: datetime) -> dict[str, Any]:
    """Make a seed with so many people: `{"people": 1000, "seed": 7}`."""
    match order:
        case {"people": int(people), "seed": int(number), **rest} if 2 <= people <= PEOPLE_MAX and not rest:
            rng = random.Random(number)
        case _:
            raise ValueError(f"generate: needs people from 2 to {PEOPLE_MAX} and a seed, and nothing else")
    year = now.year if now.month >= 7 else now.year - 1
    teachers = max(1, people // (STUDENTS_PER_TEACHER + 1))
    schools = [f"S{position:03d}" for position in range(1, 2 + (people - teachers) // STUDENTS_PER_SCHOOL)]
    classes = [
        _class(position, school=schools[position % len(schools)], year=year)
        for position in range(max(teachers, len(schools)))
    ]
    rooms_of = {school: [row["sourcedId"] for row in classes if row["schoolSourcedId"] == school] for school in schools}
    staff = [_user(rng, f"T{n:06d}", role="teacher", school=schools[n % len(schools)]) for n in range(teachers)]
    students = [
        _user(rng, f"P{n:06d}", role="student", school=schools[n % len(schools)]) | {"grades": [f"{9 + n % 4:02d}"]}
        for n in range(people - teachers)
    ]
    enrollments = [
        _enrollment(row["sourcedId"], staff[n % teachers]["sourcedId"], school=row["schoolSourcedId"], role="teacher")
        for n, row in enumerate(classes)
    ]
    for n, student in enumerate(students):
        school = schools[n % len(schools)]
        rooms = rooms_of[school]
        first = n // len(schools)
        taken = {rooms[(first + step) % len(rooms)] for step in range(CLASSES_PER_STUDENT)}
        enrollments += [
            _enrollment(room, student["sourcedId"], school=school, role="student") for room in sorted(taken)
        ]
    seed: dict[str, list[Row]] = {
        "orgs": [{"sourcedId": "D1", "name": "Bristlecone", "type": "district", "identifier": "0000000"}]
        + [
            {"sourcedId": school, "name": f"School {school}", "type": "school", "identifier": school[1:]}
            | {"parentSourcedId": "D1"}
            for school in schools
        ],
        "academicSessions": _sessions(year),
        "courses": [
            {"sourcedId": f"C{n}", "title": title, "courseCode": f"{n:04d}", "grades": ["09", "10"]}
            | {"orgSourcedId": "D1", "subjects": [subject], "schoolYearSourcedId": f"Y{year}"}
            for n, (title, subject) in enumerate(COURSES)
        ],
        "classes": classes,
        "users": staff + students,
        "enrollments": enrollments,
        "demographics": [_demographics(rng, student["sourcedId"], year=year) for student in students],
    }
    stamps = [stamp_of(now - timedelta(hours=hours)) for hours in range(_DAYS_OF_CHANGES * 24)]
    for rows in seed.values():
        for row in rows:
            row["dateLastModified"] = rng.choice(stamps)
    return seed


def _sessions(year: int) -> list[Row]:
    spans = (
        (f"Y{year}", "schoolYear", None, f"{year}-08-17", f"{year + 1}-06-05"),
        (f"Y{year}-F", "term", f"Y{year}", f"{year}-08-17", f"{year}-12-18"),
        (f"Y{year}-S", "term", f"Y{year}", f"{year + 1}-01-11", f"{year + 1}-06-05"),
        (f"Y{year}-F1", "gradingPeriod", f"Y{year}-F", f"{year}-08-17", f"{year}-10-16"),
        (f"Y{year}-F2", "gradingPeriod", f"Y{year}-F", f"{year}-10-19", f"{year}-12-18"),
    )
    return [
        {"sourcedId": key, "title": key, "type": kind, "startDate": start, "endDate": end, "schoolYear": str(year + 1)}
        | ({"parentSourcedId": parent} if parent else {})
        for key, kind, parent, start, end in spans
    ]


def _class(number: int, *, school: str, year: int) -> Row:
    course = number % len(COURSES)
    return {
        "sourcedId": f"R{number:06d}",
        "title": f"{COURSES[course][0]} {number}",
        "courseSourcedId": f"C{course}",
        "classCode": f"{course:04d}-{number}",
        "classType": "scheduled",
        "schoolSourcedId": school,
        "termSourcedIds": [f"Y{year}-F"],
        "periods": [str(1 + number % 6)],
        "location": f"Room {number % 100}",
    }


def _user(rng: random.Random, key: str, *, role: str, school: str) -> Row:
    name = key.lower()
    return {
        "sourcedId": key,
        "enabledUser": True,
        "username": f"{name}@bristlecone-usd.example",
        "userIds": [{"type": "SIS", "identifier": key}],
        "givenName": rng.choice(_FIRST),
        "familyName": rng.choice(_LAST),
        "identifier": key[1:],
        "email": f"{name}@bristlecone-usd.example",
        "roles": [{"role": role, "roleType": "primary", "orgSourcedId": school}],
        "primaryOrgSourcedId": school,
    }


def _enrollment(room: str, user: str, *, school: str, role: str) -> Row:
    return {
        "sourcedId": f"{room}-{user}",
        "classSourcedId": room,
        "schoolSourcedId": school,
        "userSourcedId": user,
        "role": role,
        "primary": role == "teacher",
    }


def _demographics(rng: random.Random, user: str, *, year: int) -> Row:
    return {
        "sourcedId": user,
        "birthDate": f"{year - rng.randrange(14, 19)}-{rng.randrange(1, 13):02d}-{rng.randrange(1, 29):02d}",
        "sex": rng.choice(("female", "male")),
        rng.choice(RACES): True,
    }
