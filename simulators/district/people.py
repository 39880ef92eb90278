"""The sample district's people and what is true of each, before any database holds it badly.

It draws every person and the contact that the vendor should hold of them, clean. It never makes a row (`hr_rows`,
`aeries_rows`), never asks for the time of day and knows nothing of the vendor's state (`vendor`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Literal

from simulators.district import names
from simulators.district.catalogue import (
    MAPPED_JOB_CLASSES,
    MAPPED_SITES,
    UNMAPPED_JOB_CLASSES,
    UNMAPPED_SITES,
    JobClass,
    Site,
)
from simulators.district.students import Classes

Row = dict[str, object]
Reason = Literal[
    "missing_key",  # an hr_person row without employee_id
    "missing_required",  # no first name, no last name, or no open assignment
    "bad_format",  # the mail address that counts has no plausible form
    "unmapped_role",  # the job class that counts is not in the mapping table
    "unmapped_location",  # the site that counts is not in the mapping table
    "ambiguous_match",  # several unmanaged contacts carry the person's mail address (made by `vendor`)
]

REFERENCE_DATE = date(2026, 11, 20)
STAFF_DEFAULT = 2_400
STAFF_MIN = 400
"""Below this the special cases would be most of the district."""
STAFF_MAX = 200_000
"""The employee numbers have six digits, and each is drawn at most once."""
OUT_OF_SCOPE_SHARE = 0.08

# People of each special case in a district of STAFF_DEFAULT; scaled with the size and never less than two.
CASES_IN_SCOPE: dict[str, int] = {
    "no_open_assignment": 4,
    "blank_last": 2,
    "blank_first": 2,
    "bad_address": 6,
    "unmapped_role": 6,
    "unmapped_location": 5,
    "rehired": 30,
    "edited_tie": 6,
    "on_leave": 60,
    "future_hire": 12,
    "leaves_later": 10,
    "future_assignment": 8,
    "future_end": 8,
    "primary_tie": 10,
    "two_primaries": 8,
    "no_primary": 8,
    "no_address_yet": 25,
    "useless_mobile": 40,
}
CASES_OUT_OF_SCOPE: dict[str, int] = {"left_again": 8, "blank_status": 2, "substitute": 50}
ROWS_WITHOUT_KEY = 4
STATUS_OUT_OF_SCOPE = "TTTRRIXDWS"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the vendor should hold of one person (all clean)."""

    first_name: str
    last_name: str
    email: str | None
    mobile: str | None
    """E.164."""
    role: str
    location: str


@dataclass(frozen=True, slots=True)
class Person:
    """One employee, as they truly are."""

    external_id: str
    case: str
    """The special case this person stands for, "plain" for most."""
    in_scope: bool
    reason: Reason | None
    """Why their row is quarantined, None when it is sound."""
    wanted: Wanted
    """Of a quarantined or former employee: what the vendor may hold from earlier days."""
    job: JobClass
    site: Site
    status: str
    address_source: Literal["ugn", "stf", "hr", "none"]
    mobile_source: Literal["hr", "cp", "none", "useless_hr", "useless_cp"]
    has_aeries: bool
    """Whether a live STF row with their HRID exists."""


@dataclass(slots=True)
class World:
    """The whole district: people and the rows of every table."""

    seed: int
    staff: int
    reference: date
    people: list[Person] = field(default_factory=list)
    tables: dict[str, list[Row]] = field(default_factory=dict)
    """Table name → rows; the column names are those of `databases`."""
    rows_without_key: list[str] = field(default_factory=list)
    """Row references, `hr_person:<person_id>`."""
    classes: Classes | None = None
    """Students and classes, in a district that was asked for any."""
    mess: Counter[str] = field(default_factory=Counter)
    """How often each kind of mess was made."""

    @property
    def desired(self) -> dict[str, Wanted]:
        """The wanted contacts of all sound employees in scope, by external id in order."""
        sound = (person for person in self.people if person.in_scope and person.reason is None)
        return {person.external_id: person.wanted for person in sorted(sound, key=lambda person: person.external_id)}


def scaled(count: int, *, staff: int) -> int:
    """Scale a count of the default district to another size, never below two."""
    return max(2, round(count * staff / STAFF_DEFAULT))


def moment(rng: random.Random, reference: date, *, days_min: int = 1, days_max: int = 1_000) -> datetime:
    """A naive time before the reference date, with the thousandths that a datetime column of SQL Server can hold."""
    day = reference - timedelta(days=rng.randint(days_min, days_max))
    clock = time(rng.randrange(6, 19), rng.randrange(60), rng.randrange(60), rng.choice((0, 3, 7, 10, 13, 17)) * 1_000)
    return datetime.combine(day, clock)


def draw_people(rng: random.Random, staff: int) -> Iterator[Person]:
    """Draw the employees one after the other, special cases shuffled among plain ones."""
    cases = _cases(rng, staff)
    numbers = rng.sample(range(1, 5 * staff), staff)
    taken: set[str] = set()
    for case, number in zip(cases, numbers, strict=True):
        external_id = f"C{number:06d}" if rng.random() < 0.17 else f"{number:06d}"
        yield _person(rng, case=case, external_id=external_id, taken=taken)


def _cases(rng: random.Random, staff: int) -> list[str]:
    outside_total = round(staff * OUT_OF_SCOPE_SHARE)
    outside = [case for case, count in CASES_OUT_OF_SCOPE.items() for _ in range(scaled(count, staff=staff))]
    outside += ["former"] * (outside_total - len(outside))
    inside = [case for case, count in CASES_IN_SCOPE.items() for _ in range(scaled(count, staff=staff))]
    cases = outside + inside + ["plain"] * (staff - len(outside) - len(inside))
    rng.shuffle(cases)
    return cases


_REASON: dict[str, Reason] = {
    "no_open_assignment": "missing_required",
    "blank_last": "missing_required",
    "blank_first": "missing_required",
    "bad_address": "bad_format",
    "unmapped_role": "unmapped_role",
    "unmapped_location": "unmapped_location",
}
_WEIGHTS = [job.weight for job in MAPPED_JOB_CLASSES]
_STATUS = {"on_leave": "L", "substitute": "S", "left_again": "T", "blank_status": ""}


def _person(rng: random.Random, *, case: str, external_id: str, taken: set[str]) -> Person:
    first, last = names.first_name(rng), names.last_name(rng)
    job = rng.choices(MAPPED_JOB_CLASSES, _WEIGHTS)[0]
    site = rng.choice(MAPPED_SITES)
    if case == "substitute":
        job = rng.choice([job for job in MAPPED_JOB_CLASSES if job.role == "SUBSTITUTE"])
    if case == "unmapped_role":
        job = rng.choice(UNMAPPED_JOB_CLASSES)
    if case == "unmapped_location":
        site = rng.choice(UNMAPPED_SITES)
    in_scope = case not in CASES_OUT_OF_SCOPE and case != "former"
    status = rng.choice(STATUS_OUT_OF_SCOPE) if case == "former" else _STATUS.get(case, "A")
    has_aeries = rng.random() < (0.97 if job.person_type == "1" else 0.85)
    address_source: Literal["ugn", "stf", "hr", "none"] = "hr"
    if has_aeries:
        address_source = rng.choices(("ugn", "stf", "hr"), (86, 10, 4))[0]
    mobile_source: Literal["hr", "cp", "none", "useless_hr", "useless_cp"]
    mobile_source = rng.choices(("hr", "cp", "none"), (74, 18 if has_aeries else 0, 8))[0]
    if case == "no_address_yet":
        address_source = "none"
    if case == "useless_mobile":
        mobile_source = "useless_cp" if has_aeries and rng.random() < 0.4 else "useless_hr"
    return Person(
        external_id=external_id,
        case=case,
        in_scope=in_scope,
        reason=_REASON.get(case),
        wanted=Wanted(
            first_name=first,
            last_name=last,
            email=None if address_source == "none" else _address(first=first, last=last, taken=taken),
            mobile=f"+1{names.digits_of_phone(rng)}" if mobile_source in ("hr", "cp") else None,
            role=job.role or "OTHER",
            location=site.location if site.is_mapped else MAPPED_SITES[0].location,
        ),
        job=job,
        site=site,
        status=status,
        address_source=address_source,
        mobile_source=mobile_source,
        has_aeries=has_aeries,
    )


def _address(*, first: str, last: str, taken: set[str]) -> str:
    local = names.local_part(first=first, last=last)
    # Bounded: each step tries the next free number, and there are fewer people than numbers.
    for number in range(STAFF_MAX):
        candidate = f"{local}{number or ''}@{names.DOMAIN}"
        if candidate not in taken:
            taken.add(candidate)
            return candidate
    raise ValueError(f"mail addresses: more than {STAFF_MAX} people share the local part {local!r}")
