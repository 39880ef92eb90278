"""A district of a million staff, made of copies of a small one: its databases and the vendor's seed.

The sample district's generator takes milliseconds a person; here its tables are copied inside the database, each copy
with ids and mail addresses of its own. What a run finds in the copies is what it finds in the original, once a copy.
"""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from simulators.district.__main__ import make

ORIGINAL_STAFF = 50_000
ID_DIGITS = 8
"""Digits of the vendor's ids; enough for every size that the simulator takes."""


def make_large(out: Path, *, staff: int) -> None:
    """Write aeries.db, hr.db and titanhst.json for about that many staff, a whole number of copies.

    `truth.json` tells of the original alone.
    """
    original = min(staff, ORIGINAL_STAFF)
    copies = max(1, round(staff / original))
    make(out=out, staff=original)
    if copies > 1:
        _widen_hr(out / "hr.db", copies)
        _widen_aeries(out / "aeries.db", copies)
        _widen_vendor(out / "titanhst.json", copies)


def _prefix(copy: int) -> str:
    return f"W{copy:02d}"


def _id(column: str) -> str:
    """SQL: the column with the copy's prefix; a blank one stays as it is."""
    return f"CASE WHEN trim(coalesce({column}, '')) = '' THEN {column} ELSE :prefix || trim({column}) END"


def _mail(column: str) -> str:
    return f"CASE WHEN {column} LIKE '%@%' THEN lower(:prefix) || '.' || trim({column}) ELSE {column} END"


def _widen_hr(path: Path, copies: int) -> None:
    replaced = {
        "hr_person": {
            "person_id": "person_id + :copy * 10000000",
            "employee_id": _id("employee_id"),
            "work_email": _mail("work_email"),
            "personal_email": _mail("personal_email"),
        },
        "hr_assignment": {"employee_id": _id("employee_id"), "supervisor_id": _id("supervisor_id")},
    }
    _widen(path, replaced, copies)


def _widen_aeries(path: Path, copies: int) -> None:
    replaced = {
        "STF": {"ID": "ID + :copy * 10000000", "HRID": _id("HRID"), "EM": _mail("EM"), "AEM": _mail("AEM")},
        "UGN": {
            "UID": "UID + :copy * 10000000",
            "SID": "SID + :copy * 10000000",
            "EM": _mail("EM"),
            "UN": ":prefix || UN",
        },
    }
    _widen(path, replaced, copies)


def _widen(path: Path, replaced: dict[str, dict[str, str]], copies: int) -> None:
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous = OFF")
        for table, columns in replaced.items():
            names = [str(row[1]) for row in database.execute(f'PRAGMA table_info("{table}")')]
            database.execute(f'CREATE TEMP TABLE original AS SELECT * FROM "{table}"')
            select = ", ".join(columns.get(name, f'"{name}"') for name in names)
            for copy in range(1, copies):
                database.execute(
                    f'INSERT INTO "{table}" SELECT {select} FROM original', {"copy": copy, "prefix": _prefix(copy)}
                )
            database.execute("DROP TABLE original")


def _widen_vendor(path: Path, copies: int) -> None:
    document = json.loads(path.read_bytes())
    original = document["contacts"]
    contacts = []
    for copy in range(copies):
        for place, contact in enumerate(original):
            number = copy * len(original) + place + 1
            own = {**contact, "id": f"c-{number:0{ID_DIGITS}d}"}
            if copy:
                for name, prefix in (("externalId", _prefix(copy)), ("email", _prefix(copy).lower() + ".")):
                    if contact[name] is not None:
                        own[name] = prefix + contact[name]
            contacts.append(own)
    document["contacts"] = contacts
    path.write_text(json.dumps(document, separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
