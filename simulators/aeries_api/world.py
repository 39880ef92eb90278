"""A district for the simulated Aeries, made from a seed: the state to start from, and the truth about it.

Every awkward case of the trade is in it on purpose (README lists them), and the truth is written down as each case is
made, never worked out from the rows afterwards. Equal arguments give equal worlds. All persons are invented.
"""

import random
from dataclasses import dataclass
from typing import Any

from simulators.aeries_api.world_schools import PSEUDO_SCHOOLS, Plan, plan_of, schools_of
from simulators.aeries_api.world_staff import make_staff
from simulators.aeries_api.world_students import make_students

STUDENTS_MAX = 200_000
STAFF_MAX = 50_000
SCHOOLS_MAX = 300
YEAR = 2026


@dataclass(frozen=True, slots=True, kw_only=True)
class AeriesWorld:
    """A made district."""

    document: dict[str, Any]
    """The seed document, of the current and the former year."""
    truth: dict[str, Any]
    """What a correct reader must find, in plain values."""


def make_world(seed: int, *, students: int, staff: int, schools: int, year: int = YEAR) -> AeriesWorld:
    """Make a district with so many active students, staff members and schools in the school year starting in `year`."""
    for name, value, least, most in (
        ("students", students, 1, STUDENTS_MAX),
        ("staff", staff, 1, STAFF_MAX),
        ("schools", schools, 3, SCHOOLS_MAX),
    ):
        if not least <= value <= most:
            raise ValueError(f"{name} is {value}; a world has {least} to {most}")
    rng = random.Random(seed)
    plan = plan_of(schools=schools, year=year)
    staff_made = make_staff(rng, count=staff, plan=plan)
    people = make_students(rng, count=students, plan=plan)
    document = {
        "defaultYear": year,
        "years": {
            str(year): {
                "schools": schools_of(plan, year=year),
                "students": people.rows,
                "staff": staff_made.rows,
                "teachers": staff_made.teachers,
                "assignments": staff_made.assignments,
                "courses": plan.courses,
                "sections": staff_made.sections_for(people.seats_at),
                "rosters": people.rosters,
                "enrollment": people.enrollment,
                "codes": plan.codes,
                "absenceCodes": plan.absence_codes,
            },
            str(year - 1): {
                "schools": schools_of(plan, year=year - 1),
                "students": people.former_rows,
                "staff": staff_made.former_rows,
                "courses": plan.courses,
                "enrollment": [row for row in people.enrollment if row["AcademicYear"] == year - 1],
                "codes": plan.codes,
            },
        },
    }
    return AeriesWorld(document=document, truth=_truth(seed, plan, staff_made.truth, people.truth))


def _truth(seed: int, plan: Plan, staff: dict[str, Any], students: dict[str, Any]) -> dict[str, Any]:
    return {
        "seed": seed,
        "year": plan.year,
        "schools": [school.code for school in plan.schools],
        "pseudo_schools": sorted(PSEUDO_SCHOOLS),
        "students": students,
        "staff": staff,
    }
