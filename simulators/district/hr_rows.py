"""The HR side of the sample district: rows of hr_person, hr_assignment, hr_position and hr_site.

It writes one person's truth down the way an HR office does: old and new rows for one employee, blanks, several
assignments. It decides which row *looks* tempting and is wrong; which one is right was decided by `world`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from simulators.district import names
from simulators.district.catalogue import JOB_CLASSES, MAPPED_JOB_CLASSES, SITES, UNMAPPED_JOB_CLASSES, JobClass, Site
from simulators.district.people import ROWS_WITHOUT_KEY, Person, Row, World, moment, scaled


def add(world: World, rng: random.Random) -> None:
    """Fill the four HR tables of the world."""
    for table in ("hr_person", "hr_assignment", "hr_position", "hr_site"):
        world.tables[table] = []
    world.tables["hr_site"].extend(
        {"site_code": site.code, "name": site.name, "school_code": site.school_code} for site in SITES
    )
    for person in world.people:
        _add_person(world, rng, person)
        _add_assignments(world, rng, person)
    for _ in range(scaled(ROWS_WITHOUT_KEY, staff=world.staff)):
        _add_row_without_key(world, rng)
    for _ in range(scaled(3, staff=world.staff)):
        _add_orphan_assignment(world, rng)


def _next_person_id(world: World) -> int:
    return 1_001 + len(world.tables["hr_person"])


def _spelled_id(world: World, rng: random.Random, external_id: str) -> str:
    """The employee id as some clerk typed it; it still trims and upper-cases to the external id."""
    draw = rng.random()
    if draw < 0.08 and external_id[0].isalpha():
        world.mess["lower_case_id"] += 1
        return external_id.lower()
    if draw < 0.12:
        world.mess["leading_blank_id"] += 1
        return f" {external_id}"
    return external_id


def _messy(world: World, rng: random.Random, clean: str) -> str:
    text, kind = names.messy_name(rng, clean)
    if kind is not None:
        world.mess[kind] += 1
    return text


def _add_person(world: World, rng: random.Random, person: Person) -> None:
    edited = moment(rng, world.reference)
    row = _person_row(world, rng, person, edited)
    other: Row | None = None
    if person.case == "rehired":
        other = _other_row(world, rng, person, edited - timedelta(days=rng.randint(1, 900)), "T")
    elif person.case == "left_again":
        other = _other_row(world, rng, person, edited - timedelta(days=rng.randint(1, 900)), "A")
    elif person.case == "edited_tie":
        other = _other_row(world, rng, person, edited, "T")
    rows = [row] if other is None else [row, other]
    # Which of two rows has the lower person_id says nothing, except where both were edited at the same moment.
    if other is not None and person.case != "edited_tie" and rng.random() < 0.5:
        rows.reverse()
    for each in rows:
        each["person_id"] = _next_person_id(world)
        world.tables["hr_person"].append(each)


def _person_row(world: World, rng: random.Random, person: Person, edited: datetime) -> Row:
    wanted, reference = person.wanted, world.reference
    first, preferred = _first_and_preferred(world, rng, person)
    hired = reference - timedelta(days=rng.randint(30, 9_000))
    if person.case == "future_hire":
        hired = reference + timedelta(days=rng.randint(3, 60))
    return {
        "employee_id": _spelled_id(world, rng, person.external_id),
        "last": names.blank(rng) if person.case == "blank_last" else _messy(world, rng, wanted.last_name),
        "first": first,
        "preferred_first": preferred,
        "middle": rng.choice((None, "", "A.", "Lee", "María")),
        "suffix": rng.choice((None, None, None, None, "Jr.", "III")),
        "work_email": _work_email(world, rng, person),
        "personal_email": f"{person.external_id.lower()}@mail.example" if rng.random() < 0.4 else None,
        "mobile": _mobile(rng, person),
        "birth_date": date(rng.randint(1955, 2003), rng.randint(1, 12), rng.randint(1, 28)),
        "state_educator_id": f"{rng.randrange(10**9, 10**10)}" if person.job.person_type == "1" else None,
        "status_code": _spelled_status(world, rng, person.status),
        "hire_date": hired,
        "last_day": _last_day(world, rng, person),
        "edited_at": edited,
    }


def _spelled_status(world: World, rng: random.Random, status: str) -> str:
    draw = rng.random()
    if draw < 0.02 and status:
        world.mess["lower_case_status"] += 1
        return status.lower()
    return f" {status}" if draw < 0.04 else status


def _last_day(world: World, rng: random.Random, person: Person) -> date | None:
    if person.case == "leaves_later":
        return world.reference + timedelta(days=rng.randint(5, 200))
    if person.in_scope or person.status == "S":
        return None
    return world.reference - timedelta(days=rng.randint(1, 700))


def _first_and_preferred(world: World, rng: random.Random, person: Person) -> tuple[str | None, str | None]:
    clean = person.wanted.first_name
    if person.case == "blank_first":
        return names.blank(rng), names.blank(rng)
    if rng.random() < 0.12:
        world.mess["preferred_first"] += 1
        legal = names.blank(rng) if rng.random() < 0.05 else _messy(world, rng, names.first_name(rng))
        return legal, _messy(world, rng, clean)
    return _messy(world, rng, clean), names.blank(rng)


def _work_email(world: World, rng: random.Random, person: Person) -> str | None:
    clean = person.wanted.email
    if clean is None:
        return names.blank(rng)
    local = clean.split("@", maxsplit=1)[0]
    if person.address_source == "hr":
        if person.case == "bad_address":
            return names.bad_address(rng, local)
        text, kind = names.messy_address(rng, clean)
        if kind is not None:
            world.mess[kind] += 1
        return text
    # The address does not count here: the same, an old one, a broken one, or none.
    draw = rng.random()
    if draw < 0.05:
        world.mess["bad_address_that_does_not_count"] += 1
        return names.bad_address(rng, local)
    if draw < 0.20:
        return f"{local}@{names.OLD_DOMAIN}"
    return clean if draw < 0.80 else names.blank(rng)


def _mobile(rng: random.Random, person: Person) -> str | None:
    match person.mobile_source:
        case "hr":
            return names.shaped_phone(rng, (person.wanted.mobile or "").removeprefix("+1"))
        case "useless_hr":
            return names.useless_phone(rng, names.digits_of_phone(rng))
        case _:
            return names.blank(rng)


def _other_row(world: World, rng: random.Random, person: Person, edited: datetime, status: str) -> Row:
    """A second row of the same employee that must lose: other names, other number, other status."""
    world.mess["second_row_of_one_employee"] += 1
    return _person_row(world, rng, person, edited) | {
        "last": names.last_name(rng),
        "first": names.first_name(rng),
        "preferred_first": None,
        "work_email": f"{person.external_id.lower()}@{names.OLD_DOMAIN}",
        "mobile": names.digits_of_phone(rng),
        "status_code": status,
        "last_day": world.reference - timedelta(days=1_000) if status == "T" else None,
    }


def _add_row_without_key(world: World, rng: random.Random) -> None:
    """A new employee whom payroll has not numbered: in scope by status, and unknown to every other table."""
    person_id = _next_person_id(world)
    row: Row = dict.fromkeys(world.tables["hr_person"][0]) | {
        "person_id": person_id,
        "employee_id": names.blank(rng),
        "last": names.last_name(rng),
        "first": names.first_name(rng),
        "mobile": names.digits_of_phone(rng),
        "status_code": "A",
        "hire_date": world.reference + timedelta(days=rng.randint(1, 20)),
        "edited_at": moment(rng, world.reference, days_max=10),
    }
    world.tables["hr_person"].append(row)
    world.rows_without_key.append(f"hr_person:{person_id}")


@dataclass(frozen=True, slots=True)
class _Job:
    """One assignment before it has a number."""

    job: JobClass
    site: Site
    is_primary: bool
    start: date
    end: date | None = None


def _add_assignments(world: World, rng: random.Random, person: Person) -> None:
    """Write the assignment that counts, and those that only look as if they did."""
    reference = world.reference
    start = reference - timedelta(days=rng.randint(40, 4_000))
    counts = _Job(person.job, person.site, person.case not in ("no_primary",), start)
    others: list[_Job] = []

    def elsewhere(*, is_primary: bool, start: date, end: date | None = None) -> _Job:
        # One in forty has a job class outside the mapping table: harmless, for it does not count.
        jobs = UNMAPPED_JOB_CLASSES if rng.random() < 0.025 else MAPPED_JOB_CLASSES
        return _Job(rng.choice(jobs), rng.choice(SITES), is_primary, start, end)

    match person.case:
        case "primary_tie":  # the lowest seq wins
            others.append(elsewhere(is_primary=True, start=start))
        case "two_primaries" | "no_primary":  # the latest start wins
            others.append(elsewhere(is_primary=counts.is_primary, start=start - timedelta(days=rng.randint(1, 300))))
        case "future_assignment":  # open and later: it counts already
            counts = _Job(person.job, person.site, True, reference + timedelta(days=rng.randint(2, 60)))
            others.append(elsewhere(is_primary=True, start=start))
        case "future_end":  # has an end, if a future one: it does not count
            end = reference + timedelta(days=rng.randint(10, 90))
            others.append(elsewhere(is_primary=True, start=start + timedelta(days=20), end=end))
        case _ if rng.random() < 0.15:
            # A second job beside the first, often begun later; the primary mark decides.
            world.mess["second_open_assignment"] += 1
            others.append(elsewhere(is_primary=False, start=start + timedelta(days=rng.randint(-500, 39))))
        case _:
            pass
    if rng.random() < 0.25:
        world.mess["closed_assignment"] += 1
        past = start - timedelta(days=rng.randint(400, 900))
        others.append(elsewhere(is_primary=True, start=past, end=past + timedelta(days=rng.randint(30, 399))))
    if not person.in_scope and person.status != "S":
        counts = _closed(counts, reference - timedelta(days=rng.randint(1, 39)))
        others = [_closed(each, each.end or reference - timedelta(days=1)) for each in others]
    jobs = [counts, *others]
    if person.case == "no_open_assignment":
        # In turn: closed in the past, closed in the future (which is closed all the same), no assignment at all.
        world.mess["no_open_assignment"] += 1
        turn = world.mess["no_open_assignment"] % 3
        end = reference + timedelta(days=30 if turn == 2 else -3)
        jobs = [_closed(each, each.end or end) for each in jobs] if turn else []
    if person.case != "primary_tie":
        rng.shuffle(jobs)
    first_seq = rng.choice((1, 1, 1, 2, 5))
    for seq, job in enumerate(jobs, start=first_seq):
        _add_assignment(world, rng, employee_id=person.external_id, seq=seq, job=job)


def _closed(job: _Job, end: date) -> _Job:
    return _Job(job.job, job.site, job.is_primary, job.start, end)


def _add_assignment(world: World, rng: random.Random, *, employee_id: str, seq: int, job: _Job) -> None:
    position_id = f"P{len(world.tables['hr_position']) + 1:06d}"
    fte = rng.choice((1.0, 1.0, 1.0, 0.8, 0.6, 0.5, 0.4375))
    world.tables["hr_position"].append(
        {
            "position_id": position_id,
            "site_code": job.site.code,
            "job_class_code": job.job.code,
            "authorised_fte": rng.choice((fte, 1.0)),
            "status": "open" if job.end is None else "closed",
        }
    )
    world.tables["hr_assignment"].append(
        {
            "employee_id": _spelled_id(world, rng, employee_id),
            "seq": seq,
            "position_id": position_id,
            "site_code": f" {job.site.code}" if rng.random() < 0.02 else job.site.code,
            "job_class_code": job.job.code.lower() if rng.random() < 0.05 else job.job.code,
            "job_title": job.job.title,
            "bargaining_unit": job.job.unit,
            "person_type": job.job.person_type,
            "fte": fte,
            "is_primary": int(job.is_primary),
            "start_date": job.start,
            "end_date": job.end,
            "supervisor_id": rng.choice(world.people).external_id if rng.random() < 0.8 else None,
            "edited_at": moment(rng, world.reference),
        }
    )


def _add_orphan_assignment(world: World, rng: random.Random) -> None:
    """An open assignment of an employee whom hr_person does not know; nobody may come of it."""
    world.mess["orphan_assignment"] += 1
    number = len(world.tables["hr_assignment"])
    job = _Job(rng.choice(JOB_CLASSES), rng.choice(SITES), True, world.reference - timedelta(days=100))
    _add_assignment(world, rng, employee_id=f"Z{number:06d}", seq=1, job=job)
