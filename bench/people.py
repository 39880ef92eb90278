"""Messy people for measurements: the same rows for the same seed, on any machine.

Twenty-five columns as a personnel system might deliver them: names that repeat as names do, spellings as they come, and
about six rows of a hundred with something that cannot go on. Nobody in them exists.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

BATCH_ROWS = 65_536
SITES = {f"{number:03}": f"SITE-{number:03}" for number in range(10, 90)}
ROLES = {f"{number:04}": f"ROLE-{number % 40:02}" for number in range(100, 400)}
GENDERS = {"F": "female", "M": "male", "N": "nonbinary"}
_ONSETS = ("B", "Br", "C", "D", "F", "G", "H", "J", "K", "L", "M", "N", "P", "R", "S", "St", "T", "V", "W", "Z")
_VOWELS = (*("a", "e", "i", "o", "u", "ae") * 12, "é", "í", "o\u0301", "ñu")
_CODAS = ("lder", "rch", "n", "dar", "ple", "rez", "ss", "nn", "lo", "ris", "th", "ck", "ya", "son", "ez", "")
_STREETS = ("Oak", "Elm", "Bristlecone", "Manzanita", "Willow", "Sycamore", "Juniper", "Laurel", "Madrone", "Toyon")
_CITIES = ("Lakeside", "San  Tomas", "ORCHARD", "el Prado", "Harbor View", "Stonefield", "Mesa Alta", "Bristlecone")
_TITLES = ("Teacher", "Office  Assistant", "Custodian", "Principal", "Nurse", "Bus Driver", "Cafétera", "Aide")


def batches(rows: int, seed: int = 7) -> Iterator[pl.DataFrame]:
    """The rows in batches of at most `BATCH_ROWS`."""
    for number, start in enumerate(range(0, rows, BATCH_ROWS)):
        yield _batch(np.random.default_rng([seed, number]), start, min(BATCH_ROWS, rows - start))


def _names(parts: int, count: int) -> list[str]:
    rng = np.random.default_rng(parts)
    syllables = ["".join(map(rng.choice, (_ONSETS, _VOWELS, _CODAS))) for _ in range(parts * count)]
    together = ("".join(syllables[place : place + parts]) for place in range(0, parts * count, parts))
    return [name[:1] + name[1:].lower() for name in together]


_FIRST = _names(1, 3_000) + _names(2, 2_000)
_LAST = _names(2, 30_000)


def _batch(rng: np.random.Generator, start: int, height: int) -> pl.DataFrame:
    ids = [f"E{number:07}" for number in range(start, start + height)]
    last, first = _drawn(rng, _LAST, height), _drawn(rng, _FIRST, height)
    mail = _mails(last, first, ids)
    is_bad_mail = rng.random(height) < 0.015
    columns: dict[str, Any] = {
        "employee_id": [_messy_id(one, pick) for one, pick in zip(ids, rng.random(height), strict=True)],
        "last": _spaced(rng, _blanked(rng, last, 0.005)),
        "first": _spaced(rng, first),
        "preferred_first": _blanked(rng, _drawn(rng, _FIRST, height), 0.8),
        "middle": _blanked(rng, _drawn(rng, _FIRST, height), 0.5),
        "suffix": _blanked(rng, _of(rng, ("Jr", "sr ", "III"), height), 0.95),
        "work_email": [one.replace("@", " at ") if bad else one for one, bad in zip(mail, is_bad_mail, strict=True)],
        "personal_email": _blanked(rng, [f"{one.partition('@')[0].upper()}@mail.example" for one in mail], 0.4),
        "mobile": _blanked(rng, _phones(rng, height), 0.1),
        "home_phone": _blanked(rng, _phones(rng, height), 0.6),
        "birth_date": _dates(rng, 1945, 2004, height, wrong=0.01),
        "hire_date": _dates(rng, 1985, 2026, height, wrong=0.0),
        "leave_date": _blanked(rng, _dates(rng, 2020, 2026, height, wrong=0.05), 0.9),
        "site_code": _of(rng, [f" {one}" if place % 3 else one for place, one in enumerate(SITES)], height),
        "job_code": _of(rng, [*ROLES] * 49 + ["X1"] * 100 + ["9999"] * 200, height),
        "status": _of(rng, ["A"] * 80 + ["a "] * 10 + ["L"] * 9 + ["Q"], height),
        "grade": _blanked(rng, _of(rng, ("K", "1", "02", "3rd", "Grade 4", "05", "12", "TK", "-1", "99"), height), 0.3),
        "gender": _of(rng, ("F", "m", "N ", "?"), height),
        "street": _streets(rng, height),
        "city": _of(rng, _CITIES, height),
        "state": _of(rng, ("CA", "ca", "Ca "), height),
        "zip": [f"{number:05}" for number in rng.integers(90_000, 96_000, height)],
        "is_primary": _of(rng, ["Y"] * 60 + ["N"] * 20 + ["true", "0", " yes"] * 6 + ["maybe"], height),
        "seq": [f"{number:02}" for number in rng.integers(0, 30, height)],
        "title": _spaced(rng, _of(rng, _TITLES, height)),
    }
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _drawn(rng: np.random.Generator, names: Sequence[str], height: int) -> list[str]:
    """Names drawn so that a few are frequent and most are rare."""
    places = (len(names) * rng.random(height) ** 3).astype(int)
    return [names[place] for place in places]


def _of(rng: np.random.Generator, values: Sequence[str], height: int) -> list[str]:
    return [values[place] for place in rng.integers(0, len(values), height)]


def _blanked(rng: np.random.Generator, values: Sequence[str | None], share: float) -> list[str | None]:
    return [None if chance < share else value for value, chance in zip(values, rng.random(len(values)), strict=True)]


def _spaced(rng: np.random.Generator, values: Sequence[str | None]) -> list[str | None]:
    return [
        value if value is None or chance > 0.1 else f" {value}  "
        for value, chance in zip(values, rng.random(len(values)), strict=True)
    ]


def _messy_id(one: str, chance: float) -> str:
    if chance < 0.002:
        return " "
    return f"{one.lower()} " if chance < 0.1 else one


def _mails(last: Sequence[str], first: Sequence[str], ids: Sequence[str]) -> list[str]:
    return [
        f"{family[:6]}.{given[:5]}{one[-5:]}@District.example"
        for family, given, one in zip(last, first, ids, strict=True)
    ]


def _phones(rng: np.random.Generator, height: int) -> list[str]:
    area, middle, end = (rng.integers(*bounds, height) for bounds in ((200, 999), (200, 999), (0, 9_999)))
    shapes = ("({}) {}-{:04}", "{}-{}-{:04}", "{}{}{:04}", "+1 {} {} {:04}", "{}.{}.{:04}")
    shape = rng.integers(0, len(shapes) * 40 + 1, height)
    return [
        "n/a" if which == len(shapes) * 40 else shapes[which % len(shapes)].format(a, b, c)
        for which, a, b, c in zip(shape, area, middle, end, strict=True)
    ]


def _dates(rng: np.random.Generator, since: int, until: int, height: int, *, wrong: float) -> list[str | None]:
    year, month, day = rng.integers(since, until, height), rng.integers(1, 13, height), rng.integers(1, 29, height)
    chance = rng.random(height)
    return [
        "unknown" if luck < wrong else (f"{m:02}/{d:02}/{y}" if luck < 0.5 else f"{y}-{m:02}-{d:02}")
        for y, m, d, luck in zip(year, month, day, chance, strict=True)
    ]


def _streets(rng: np.random.Generator, height: int) -> list[str]:
    return [
        f"{number}  {name} Street"
        for number, name in zip(rng.integers(1, 4_000, height), _of(rng, _STREETS, height), strict=True)
    ]
