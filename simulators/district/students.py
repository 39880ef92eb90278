"""The sample district's students and what is true of each, before any table holds it badly.

It draws every student and the records that a correct run finds of them, clean. It never makes a row (`class_rows`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from simulators.district import names
from simulators.district.catalogue import SITES

STUDENTS_MAX = 500_000
CASES: dict[str, int] = {
    "two_schools": 12,  # active at two schools: the one with the lower code is the main one
    "moved": 25,  # an inactive row at the school they left
    "left": 30,  # nothing but an inactive row
    "graduate": 20,  # active, but at the pseudo school of those who left
    "deleted_twin": 15,  # a soft-deleted row with other names beside the live one
    "blank_last": 3,
    "bad_address": 5,
    "no_address": 20,
    "adult": 4,  # grade 13 and above
    "preschool": 4,
    "future_enter": 8,
    "no_homeroom": 6,  # neither class rows nor a homeroom teacher
    "dropped_class": 20,
    "nobodys_homeroom": 2,  # a teacher number that no teacher has
}
"""Students of each special case in a district of STUDENTS_DEFAULT; scaled with the size, never below two."""
STUDENTS_DEFAULT = 2_000
GRADUATES_SCHOOL = 999

SCHOOLS = tuple(site.school_code for site in SITES if site.school_code is not None and site.is_mapped)

Level = Literal["high", "middle", "elementary", "k8"]


@dataclass(frozen=True, slots=True)
class Pupil:
    """One student as they truly are."""

    person_id: int
    case: str
    school: int
    """Of the row that counts; of the only row, where none does."""
    grade: int
    """As Aeries counts: -2 preschool, -1 transitional kindergarten, 0 kindergarten, 1 to 12, 13 to 18 others."""
    first_name: str
    last_name: str
    middle_name: str | None
    email: str | None
    state_id: str | None
    birth_date: date
    enter_date: date

    @property
    def is_desired(self) -> bool:
        """Whether a correct run wants a record of them, sound or not."""
        return self.case not in ("left", "graduate")

    @property
    def reason(self) -> str | None:
        """Why their row is quarantined, None when it is sound."""
        return {"blank_last": "missing_required", "bad_address": "bad_format"}.get(self.case)


@dataclass(slots=True)
class Classes:
    """All that is true of students and classes: the records that a correct run finds, by table and key."""

    pupils: list[Pupil] = field(default_factory=list)
    courses: dict[str, dict[str, object]] = field(default_factory=dict)
    sections: dict[str, dict[str, object]] = field(default_factory=dict)
    enrolments: dict[str, dict[str, object]] = field(default_factory=dict)
    homeroom_of: dict[int, str] = field(default_factory=dict)
    """Student's person id → key of their homeroom's section."""


def level_of(school: int) -> Level:
    """What kind of school has that code."""
    if school <= 5:
        return "high"
    if school <= 10:
        return "middle"
    return "k8" if school == 24 else "elementary"


GRADES: dict[Level, tuple[int, ...]] = {
    "high": (9, 10, 11, 12),
    "middle": (6, 7, 8),
    "elementary": (-1, 0, 1, 2, 3, 4, 5),
    "k8": (0, 1, 2, 3, 4, 5, 6, 7, 8),
}
GRADE_CODES: dict[int, str] = {
    -2: "PK",
    -1: "TK",
    0: "KG",
    **{grade: f"{grade:02d}" for grade in range(1, 13)},
    **dict.fromkeys(range(13, 19), "UG"),
}
"""What a grade is called in the district's own tables."""


def draw_pupils(rng: random.Random, count: int, *, reference: date) -> Iterator[Pupil]:
    """Draw the students one after the other, special cases shuffled among plain ones."""
    cases = [case for case, n in CASES.items() for _ in range(max(2, round(n * count / STUDENTS_DEFAULT)))][:count]
    cases += ["plain"] * (count - len(cases))
    rng.shuffle(cases)
    numbers = rng.sample(range(500_001, 500_001 + 4 * count), count)
    taken: set[str] = set()
    for case, person_id in zip(cases, numbers, strict=True):
        yield _pupil(rng, case=case, person_id=person_id, taken=taken, reference=reference)


def _pupil(rng: random.Random, *, case: str, person_id: int, taken: set[str], reference: date) -> Pupil:
    school = rng.choice(SCHOOLS)
    if case in ("no_homeroom", "nobodys_homeroom"):
        school = rng.choice([each for each in SCHOOLS if level_of(each) == "elementary"])
    elif case == "dropped_class":
        school = rng.choice([each for each in SCHOOLS if level_of(each) in ("high", "middle")])
    elif case == "two_schools":
        # The main one must have a lower code than the second.
        school = rng.choice([each for each in SCHOOLS if each < max(SCHOOLS)])
    grade = rng.choice(GRADES[level_of(school)])
    if case == "adult":
        grade = rng.choice((13, 14, 18))
    elif case == "preschool":
        grade = -2
    if case == "graduate":
        school, grade = GRADUATES_SCHOOL, 12
    first, last = names.first_name(rng), names.last_name(rng)
    return Pupil(
        person_id=person_id,
        case=case,
        school=school,
        grade=grade,
        first_name=first,
        last_name=last,
        middle_name=rng.choice((None, None, "Lee", "Ruiz")),
        email=None if case == "no_address" else _address(first=first, last=last, taken=taken),
        state_id=f"{rng.randrange(10**9, 10**10)}" if rng.random() < 0.95 else None,
        birth_date=date(reference.year - max(grade, -2) - 5, rng.randint(1, 12), rng.randint(1, 28)),
        enter_date=reference + timedelta(days=rng.randint(3, 60))
        if case == "future_enter"
        else date(reference.year, 8, 13) + timedelta(days=rng.choice((0, 0, 0, 12, 40))),
    )


def _address(*, first: str, last: str, taken: set[str]) -> str:
    local = names.local_part(first=first, last=last)
    # Bounded: each step tries the next free number, and there are fewer students than numbers.
    for number in range(STUDENTS_MAX):
        candidate = f"{local}{number or ''}@students.{names.DOMAIN}"
        if candidate not in taken:
            taken.add(candidate)
            return candidate
    raise ValueError(f"mail addresses: more than {STUDENTS_MAX} students share the local part {local!r}")
