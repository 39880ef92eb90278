"""Two snapshots of a district's people for measurements: the same rows for the same seed, on any machine.

Twenty-five canonical columns. Of the second snapshot, 1 % of the people are new, 1 % of the first are gone, 3 % differ
in a few fields, and both are shuffled. Nobody in them exists.

`write` lays them down twice: as Parquet, as anybody would have them, and as the kept state of a differ: uncompressed
Arrow, cut by key hash and in its order, with the fingerprints of `shared.records.hashes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from shared.records.hashes import KEY_HASH, with_hashes
from shared.records.live import live_column

CREATES_SHARE, REMOVALS_SHARE, UPDATES_SHARE = 0.01, 0.01, 0.03
ROWS_PER_PARTITION = 32_768
PARTITIONS_MAX = 64
ROW_GROUP_ROWS = 122_880
KEY = "employee_id"
CHANGING = ("last", "email", "mobile", "street", "zip", "role", "location", "title", "room", "status")
"""Fields that differ in changed records."""
_SYLLABLES = ("al", "ber", "cor", "dan", "el", "fa", "gor", "han", "is", "jo", "ka", "lin", "mar", "nor", "ol", "pe")
COLUMNS = (
    KEY, "first", "last", "middle", "preferred", "email", "mobile", "work_phone", "street", "city", "zip", "birth_date",
    "hire_date", "role", "location", "department", "title", "grade", "status", "unit", "supervisor", "room", "badge",
    "active", "edited_at",
)  # fmt: skip


def snapshots(rows: int, seed: int = 11) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Before and after."""
    rng = np.random.default_rng(seed)
    creates, removals, updates = (max(1, int(rows * share)) for share in (CREATES_SHARE, REMOVALS_SHARE, UPDATES_SHARE))
    people = _people(rng, rows + creates)
    before = people.head(rows)
    after = people.slice(removals)  # the first are gone, the last are new
    changed = rng.choice(rows - removals, size=updates, replace=False)
    after = after.with_columns(_altered(rng, name, after, changed) for name in CHANGING)
    return before[rng.permutation(before.height)], after[rng.permutation(after.height)]


def write(folder: Path, rows: int) -> None:
    """Both snapshots in all forms that contestants read."""
    before, after = snapshots(rows)
    before.write_parquet(folder / "before.parquet", row_group_size=ROW_GROUP_ROWS)
    after.write_parquet(folder / "after.parquet", row_group_size=ROW_GROUP_ROWS)
    partitions = partitions_of(rows)
    for name, frame in (("before", before), ("after", after)):
        hashed = with_hashes(frame.with_columns(pl.col(KEY).alias("key")), COLUMNS)
        for number, part in enumerate(cut(hashed, partitions)):
            part.write_ipc(folder / f"{name}-{number}.arrow", compression="uncompressed")
            if name == "before":
                existing = part.with_columns(
                    ("t" + pl.col("key")).alias("target_id"), *(pl.col(one).alias(live_column(one)) for one in COLUMNS)
                )
                existing.write_ipc(folder / f"existing-{number}.arrow", compression="uncompressed")


def partitions_of(rows: int) -> int:
    """Into how many parts this many rows are cut."""
    return min(PARTITIONS_MAX, max(1, -(-rows // ROWS_PER_PARTITION)))


def cut(hashed: pl.DataFrame, partitions: int) -> Sequence[pl.DataFrame]:
    """The parts, each in the order of the key hash."""
    number = pl.col(KEY_HASH) % partitions
    parts = hashed.with_columns(number.alias("part")).partition_by("part", include_key=False, as_dict=True)
    return [parts[one,].sort(KEY_HASH).rechunk() for one in sorted(key[0] for key in parts)]


def _people(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    firsts, lasts = _names(2), _names(3)
    first, last = _drawn(rng, firsts, rows), _drawn(rng, lasts, rows)
    number = pl.Series(np.arange(rows))
    padded = number.cast(pl.String).str.zfill(8)
    birth = pl.Series(rng.integers(-10_000, 12_000, rows)).cast(pl.Int32).cast(pl.Date).dt.to_string("%Y-%m-%d")
    hired = pl.Series(rng.integers(12_000, 20_000, rows)).cast(pl.Int32).cast(pl.Date).dt.to_string("%Y-%m-%d")
    columns = {
        KEY: "E" + padded,
        "first": first,
        "last": last,
        "middle": _blanked(rng, _drawn(rng, firsts, rows), 0.5),
        "preferred": _blanked(rng, _drawn(rng, firsts, rows), 0.8),
        "email": first + "." + last + padded + "@example.org",
        "mobile": _blanked(rng, "+1555" + _digits(rng, rows, 7), 0.2),
        "work_phone": "+1556" + _digits(rng, rows, 7),
        "street": _digits(rng, rows, 4) + " " + _drawn(rng, lasts, rows) + " Street",
        "city": _drawn(rng, lasts[:40], rows),
        "zip": "9" + _digits(rng, rows, 4),
        "birth_date": birth,
        "hire_date": hired,
        "role": _coded(rng, "ROLE", 40, rows),
        "location": _coded(rng, "SITE", 80, rows),
        "department": _coded(rng, "DEPT", 25, rows),
        "title": _coded(rng, "Title of work", 300, rows),
        "grade": _blanked(rng, _coded(rng, "G", 14, rows), 0.6),
        "status": _coded(rng, "S", 4, rows),
        "unit": _coded(rng, "UNIT", 12, rows),
        "supervisor": "E" + _digits(rng, rows, 8),
        "room": _coded(rng, "R", 900, rows),
        "badge": "B" + padded,
        "active": pl.Series(rng.random(rows) < 0.97),
        "edited_at": hired + "T08:00:00Z",
    }
    return pl.DataFrame({name: columns[name] for name in COLUMNS})


def _altered(rng: np.random.Generator, name: str, frame: pl.DataFrame, changed: np.ndarray) -> pl.Series:
    """The column with other values in about a fifth of the changed rows, and in all of them for the first field."""
    rows = changed if name == CHANGING[0] else changed[rng.random(changed.size) < 0.12]
    column = frame.get_column(name)
    return column.scatter(rows.tolist(), (column[rows.tolist()].fill_null("") + "x").to_list())


def _names(parts: int) -> pl.Series:
    names = [""]
    for _ in range(parts):
        names = [name + syllable for name in names for syllable in _SYLLABLES]
    return pl.Series([name.capitalize() for name in names])


def _drawn(rng: np.random.Generator, names: pl.Series, rows: int) -> pl.Series:
    return names[rng.integers(0, len(names), rows)]


def _coded(rng: np.random.Generator, prefix: str, codes: int, rows: int) -> pl.Series:
    return _drawn(rng, pl.Series([f"{prefix}-{number:03}" for number in range(codes)]), rows)


def _digits(rng: np.random.Generator, rows: int, count: int) -> pl.Series:
    return pl.Series(rng.integers(0, 10**count, rows)).cast(pl.String).str.zfill(count)


def _blanked(rng: np.random.Generator, values: pl.Series, share: float) -> pl.Series:
    blank = pl.Series(rng.random(len(values)) < share)
    return pl.select(pl.when(~blank).then(values)).to_series()
