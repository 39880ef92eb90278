"""The Aeries side of the sample district: rows of LOC, STF, TCH, USR and UGN.

It writes down who has a live staff row and which of three places holds the mail address, and surrounds the row that
counts with others that do not: deleted, inactive, older, later. Names here are copies; nothing depends on them.
"""

from __future__ import annotations

import random
from datetime import date, datetime, time

from simulators.district import names
from simulators.district.catalogue import SITES
from simulators.district.people import Person, Row, World, moment, scaled

STAFF_WITHOUT_HRID = 40
GROUPS = 12


def add(world: World, rng: random.Random) -> None:
    """Fill the five Aeries tables of the world."""
    for table in ("LOC", "STF", "TCH", "USR", "UGN"):
        world.tables[table] = []
    _add_schools(world)
    for number in range(GROUPS):
        _add_user(world, rng, staff_id=None, name=f"Group {number + 1}", address=None, kind=2)
    order = list(world.people)
    rng.shuffle(order)
    for person in order:
        _add_person(world, rng, person)
    for _ in range(scaled(STAFF_WITHOUT_HRID, staff=world.staff)):
        world.mess["stf_without_hrid"] += 1
        local = f"guest{len(world.tables['STF'])}"
        staff_id = _add_staff(
            world, rng, last=names.last_name(rng), first=names.first_name(rng), hrid=names.blank(rng),
            address=f"{local}@{names.DOMAIN}",
        )  # fmt: skip
        _add_user(world, rng, staff_id=staff_id, name=local, address=f"{local}@{names.DOMAIN}")


def _add_schools(world: World) -> None:
    schools = [(site.school_code, site.name, "") for site in SITES if site.school_code is not None]
    # Pseudo schools that every Aeries district has, and one that was closed.
    schools += [(0, "Bristlecone Unified School District", ""), (999, "Graduates and dropped", "")]
    schools += [(77, "Old Mill Elementary (closed)", "I")]
    for code, name, tag in sorted(schools):
        world.tables["LOC"].append(
            {"CD": code, "NM": name, "CY": "Bristlecone", "ST": "CA", "TG": tag, "PR": "", "LO": 0, "HI": 12, "DEL": 0}
        )


def _add_person(world: World, rng: random.Random, person: Person) -> None:
    wrong = f"{person.external_id.lower()}.x@{names.OLD_DOMAIN}"

    def tempting(**columns: object) -> None:
        """A staff row with the person's HRID that must not count, with a user row of its own."""
        staff_id = _staff_of(world, rng, person, address=wrong, phone=names.digits_of_phone(rng), **columns)
        if rng.random() < 0.5:
            _add_user(world, rng, staff_id=staff_id, name=f"x{person.external_id}", address=wrong)

    if rng.random() < 0.03:
        world.mess["stf_inactive_duplicate"] += 1
        tempting(TG="I")
    if rng.random() < 0.03:
        world.mess["stf_deleted_duplicate"] += 1
        tempting(DEL=1)
    if not person.has_aeries:
        return
    staff_id = _add_live(world, rng, person)
    if rng.random() < 0.015:
        world.mess["stf_later_live_duplicate"] += 1
        tempting()
    if person.job.is_teaching and person.site.school_code is not None:
        _add_teacher(world, rng, person, staff_id=staff_id)


def _add_live(world: World, rng: random.Random, person: Person) -> int:
    """The one live staff row of a person, and the user rows that hang on it."""
    clean = person.wanted.email
    local = "none" if clean is None else clean.split("@", maxsplit=1)[0]
    old = f"{local}@{names.OLD_DOMAIN}"
    in_ugn, in_stf = person.address_source == "ugn", person.address_source == "stf"
    address: str | None = names.blank(rng)
    if in_stf:
        address = _counting_address(world, rng, person)
    elif in_ugn:
        address = rng.choice((clean, clean, old, names.blank(rng), names.bad_address(rng, local)))
    phone = {
        "hr": rng.choice((names.digits_of_phone(rng), None, "")),
        "cp": (person.wanted.mobile or "").removeprefix("+1"),
        "useless_hr": names.digits_of_phone(rng),
        "useless_cp": names.digits_of_phone(rng)[3:],
        "none": names.blank(rng),
    }[person.mobile_source]
    staff_id = _staff_of(world, rng, person, address=address, phone=phone)
    if rng.random() < 0.04:
        world.mess["ugn_deleted_before"] += 1
        _add_user(world, rng, staff_id=staff_id, name=f"{local}.old", address=old, deleted=1)
    if in_ugn:
        user_id = _add_user(world, rng, staff_id=staff_id, name=local, address=_counting_address(world, rng, person))
        _add_access(world, rng, person, user_id)
        if rng.random() < 0.02:
            world.mess["ugn_later_live"] += 1
            _add_user(world, rng, staff_id=staff_id, name=f"{local}.2", address=old)
    elif rng.random() < 0.3:
        # The first live user row counts although it is blank; a later one with an address does not.
        world.mess["ugn_blank_address"] += 1
        user_id = _add_user(world, rng, staff_id=staff_id, name=local, address=names.blank(rng))
        _add_access(world, rng, person, user_id)
        if rng.random() < 0.3:
            _add_user(world, rng, staff_id=staff_id, name=f"{local}.2", address=old)
    return staff_id


def _counting_address(world: World, rng: random.Random, person: Person) -> str:
    clean = person.wanted.email or ""
    if person.case == "bad_address":
        return names.bad_address(rng, clean.split("@", maxsplit=1)[0])
    text, kind = names.messy_address(rng, clean)
    if kind is not None:
        world.mess[kind] += 1
    return text


def _staff_of(
    world: World, rng: random.Random, person: Person, *, address: str | None, phone: str | None, **columns: object
) -> int:
    hrid = person.external_id
    if rng.random() < 0.05:
        world.mess["hrid_spelled_otherwise"] += 1
        hrid = rng.choice((f" {hrid.lower()}", f"{hrid.lower()}   "))
    staff_id = _add_staff(
        world, rng, last=person.wanted.last_name, first=person.wanted.first_name, hrid=hrid, address=address,
        phone=phone,
    )  # fmt: skip
    row = world.tables["STF"][-1]
    row.update({"TI": person.job.title, "PSC": person.site.school_code or 0, **columns})
    if not person.in_scope and rng.random() < 0.6:
        row.update({"TG": "I", "LD": moment(rng, world.reference)})
    return staff_id


def _add_staff(
    world: World,
    rng: random.Random,
    *,
    last: str,
    first: str,
    hrid: str | None,
    address: str | None,
    phone: str | None = None,
) -> int:
    staff_id = 100_001 + len(world.tables["STF"])
    world.tables["STF"].append(
        {
            "ID": staff_id, "LN": last, "FN": first, "MN": "", "EM": address, "AEM": names.blank(rng), "CP": phone,
            "NP": rng.choice((0, 1, 2)), "PS": rng.choice(("", "P", "T")), "PSC": 0, "U8": "",
            "TG": rng.choice(("", " ", "", None)), "SID": f"{rng.randrange(10**9, 10**10)}", "NID": None, "HRID": hrid,
            "HD": moment(rng, world.reference, days_max=6_000), "LD": None, "TP": rng.choice((100.0, 100.0, 50.0)),
            "TI": "", "BD": _birth(rng),
            "DEL": rng.choice((0, 0, 0, None)),
        }
    )  # fmt: skip
    return staff_id


def _birth(rng: random.Random) -> datetime:
    return datetime.combine(date(rng.randint(1955, 2003), rng.randint(1, 12), rng.randint(1, 28)), time())


def _add_user(
    world: World,
    rng: random.Random,
    *,
    staff_id: int | None,
    name: str,
    address: str | None,
    kind: int = 1,
    deleted: int = 0,
) -> int:
    user_id = 1 + len(world.tables["UGN"])
    row: Row = {
        "UID": user_id, "UN": name, "SY": "AERIES.NET", "TY": kind, "UTY": "group" if kind == 2 else "teacher",
        "SID": staff_id, "LN": "", "FN": "", "EM": address,
        "XD": moment(rng, world.reference) if rng.random() < 0.03 else None,
        "DEL": deleted or rng.choice((0, 0, None)),
    }  # fmt: skip
    world.tables["UGN"].append(row)
    return user_id


def _add_access(world: World, rng: random.Random, person: Person, user_id: int) -> None:
    codes = {person.site.school_code or 0} | ({0} if rng.random() < 0.05 else set())
    for code in sorted(codes):
        world.tables["USR"].append({"UID": user_id, "SC": code, "RO": rng.choice((0, 1)), "CG": None, "DEL": 0})


def _add_teacher(world: World, rng: random.Random, person: Person, *, staff_id: int) -> None:
    """A teacher-at-school row; its mail address is a copy that nobody keeps up."""
    world.mess["stale_tch_address"] += 1
    wanted = person.wanted
    world.tables["TCH"].append(
        {
            "SC": person.site.school_code, "TN": 1 + len(world.tables["TCH"]),
            "TE": f"{wanted.last_name}, {wanted.first_name[0]}"[:30], "TF": wanted.first_name[:20],
            "TLN": wanted.last_name[:30], "EM": f"{person.external_id.lower()}@{names.OLD_DOMAIN}", "ID": staff_id,
            "ID2": 0, "TG": rng.choice(("", " ")), "LO": 0, "HI": 12, "DEL": 0,
        }
    )  # fmt: skip
