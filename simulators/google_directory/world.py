"""A made-up school district as a seed: organisational units, staff, students and groups, the same for the same number.

`python -m simulators.google_directory.world --users N --out F` writes one. Every name and address is invented; the
domains are reserved for examples.
"""

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

USERS_MAX = 1_000_000
STUDENTS_OF_TEN = 8
USERS_PER_SCHOOL = 800
DOMAIN, STUDENT_DOMAIN = "district.example", "students.district.example"
ADMIN = f"admin@{DOMAIN}"
_GIVEN = [
    "Ada",
    "Ben",
    "Cleo",
    "Dov",
    "Esi",
    "Finn",
    "Gita",
    "Hugo",
    "Ines",
    "Jun",
    "Kofi",
    "Lena",
    "Milo",
    "Nara",
    "Omar",
    "Pia",
    "Quin",
    "Rosa",
    "Sven",
    "Tala",
]
_FAMILY = [
    "Alder",
    "Birch",
    "Cedar",
    "Dahlia",
    "Elm",
    "Fern",
    "Ginkgo",
    "Hazel",
    "Iris",
    "Juniper",
    "Kale",
    "Laurel",
    "Maple",
    "Nettle",
    "Oak",
    "Poplar",
]


def make_world(*, users: int, groups: int = 0, members_per_group: int = 30, seed: int = 1) -> dict[str, Any]:
    """Make a district with `users` people, one of them the administrator `ADMIN`."""
    if not 1 <= users <= USERS_MAX or groups < 0 or members_per_group < 0:
        raise ValueError(f"users {users}: from 1 to {USERS_MAX}; groups and members per group: not below 0")
    rng = random.Random(seed)
    schools = [f"School {number:03d}" for number in range(1, users // USERS_PER_SCHOOL + 2)]
    units = ["/Staff", "/Students", "/Suspended"]
    units += [f"/{side}/{school}" for side in ("Staff", "Students") for school in schools]
    people = [_admin(), *(_person(number, schools, rng) for number in range(1, users))]
    return {
        "customerId": "C00simul8",
        "domains": [DOMAIN, STUDENT_DOMAIN],
        "orgUnits": [{"orgUnitPath": path} for path in units],
        "users": people,
        "groups": [_group(number, people, members_per_group, rng) for number in range(1, groups + 1)],
    }


def _admin() -> dict[str, Any]:
    return {"primaryEmail": ADMIN, "name": {"givenName": "Ada", "familyName": "Admin"}, "isAdmin": True}


def _person(number: int, schools: list[str], rng: random.Random) -> dict[str, Any]:
    is_student = number % 10 < STUDENTS_OF_TEN
    given, family, school = rng.choice(_GIVEN), rng.choice(_FAMILY), rng.choice(schools)
    side, domain = ("Students", STUDENT_DOMAIN) if is_student else ("Staff", DOMAIN)
    return {
        "primaryEmail": f"{given}.{family}{number}@{domain}".lower(),
        "name": {"givenName": given, "familyName": family},
        "orgUnitPath": f"/{side}/{school}",
        "suspended": rng.random() < 0.02,
        "externalIds": [{"type": "organization", "value": f"{'S' if is_student else 'E'}{number:06d}"}],
        "organizations": [{"primary": True, "title": "Student" if is_student else "Teacher", "department": school}],
    }


def _group(number: int, people: list[dict[str, Any]], size: int, rng: random.Random) -> dict[str, Any]:
    chosen = rng.sample(people, min(size, len(people)))
    members = [{"email": person["primaryEmail"], "role": "MEMBER"} for person in chosen]
    return {"email": f"group{number:05d}@{DOMAIN}", "name": f"Group {number}", "members": members}


def main(arguments: list[str] | None = None) -> int:
    """Write a world into a file."""
    parser = argparse.ArgumentParser(prog="python -m simulators.google_directory.world", description="A district.")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--groups", type=int, default=0)
    parser.add_argument("--members-per-group", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    world = make_world(
        users=options.users, groups=options.groups, members_per_group=options.members_per_group, seed=options.seed
    )
    options.out.write_text(json.dumps(world), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
