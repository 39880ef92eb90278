"""The peers of the comparison: how others diff two Parquet files of people, each in the way its users would.

Each takes the folder of `bench.snapshots.write` and tells which keys are new, which are gone, and every changed cell
with its value before and after. Libraries are imported by the one that needs them: each runs in a process of its own,
and the import is not measured.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from bench.snapshots import COLUMNS, KEY

FIELDS = [name for name in COLUMNS if name != KEY]
CELLS = {"key": pl.String, "field": pl.String, "before": pl.String, "after": pl.String}
Contest = Callable[[Path], "Found"]


@dataclass
class Found:
    """What a contestant found."""

    creates: int
    removals: int
    cells: list[pl.DataFrame]
    """Changed cells: key, field, before, after, as text."""


def cells_of(pairs: pl.DataFrame, *, before: str, after: str, key: str = KEY) -> list[pl.DataFrame]:
    """Changed cells of a wide frame that holds both sides under names with these prefixes."""
    found = []
    for name in FIELDS:
        ours, theirs = pl.col(before + name), pl.col(after + name)
        found.append(
            pairs.filter(ours.ne_missing(theirs)).select(
                pl.col(key).alias("key"),
                pl.lit(name).alias("field"),
                ours.cast(pl.String).alias("before"),
                theirs.cast(pl.String).alias("after"),
            )
        )
    return found


def polars_hash(folder: Path) -> Found:
    """Polars: a row hash on both sides, join of key and hash, then all fields of the rows whose hashes differ."""
    before, after = pl.read_parquet(folder / "before.parquet"), pl.read_parquet(folder / "after.parquet")
    old = pl.DataFrame({KEY: before.get_column(KEY), "old": before.hash_rows()}).with_row_index("o")
    new = pl.DataFrame({KEY: after.get_column(KEY), "new": after.hash_rows()}).with_row_index("n")
    joined = old.join(new, on=KEY, how="full", coalesce=True)
    changed = joined.filter(pl.col("old") != pl.col("new"))
    pairs = before[changed.get_column("o")].rename(lambda name: "old " + name if name != KEY else name)
    pairs = pairs.hstack(after[changed.get_column("n")].select(pl.col(FIELDS).name.prefix("new ")))
    return Found(
        creates=after[joined.filter(pl.col("o").is_null()).get_column("n")].height,
        removals=before[joined.filter(pl.col("n").is_null()).get_column("o")].height,
        cells=cells_of(pairs, before="old ", after="new "),
    )


def polars_join(folder: Path) -> Found:
    """Polars: a full join of all columns, then every field."""
    before, after = pl.read_parquet(folder / "before.parquet"), pl.read_parquet(folder / "after.parquet")
    joined = before.join(after, on=KEY, how="full", suffix=" new")
    both = joined.filter(pl.col(KEY).is_not_null() & pl.col(KEY + " new").is_not_null())
    both = both.rename({name: "old " + name for name in FIELDS} | {name + " new": "new " + name for name in FIELDS})
    return Found(
        creates=joined.filter(pl.col(KEY).is_null()).height,
        removals=joined.filter(pl.col(KEY + " new").is_null()).height,
        cells=cells_of(both, before="old ", after="new "),
    )


def duckdb_hash(folder: Path) -> Found:
    """DuckDB: join of key and row hash, then all fields of the rows whose hashes differ."""
    fields = ", ".join(FIELDS)
    return _duckdb(
        folder,
        f"""
        create temp table o as select {KEY} k, hash({fields}) h from before;
        create temp table n as select {KEY} k, hash({fields}) h from after;
        create temp table joined as select o.k ok, n.k nk, o.h oh, n.h nh from o full join n on o.k = n.k;
        create temp table changed as select ok k from joined where oh != nh;
        create temp table pairs as select o.*, n.* from (select * from before semi join changed on {KEY} = k) o
          join (select * from after semi join changed on {KEY} = k) n using ({KEY});
        """,
    )


def duckdb_join(folder: Path) -> Found:
    """DuckDB: a full join of all columns, filtered to rows in which any field differs."""
    differs = " or ".join(f"o.{name} is distinct from n.{name}" for name in FIELDS)
    return _duckdb(
        folder,
        f"""
        create temp table joined as select o.{KEY} ok, n.{KEY} nk from before o full join after n on o.{KEY} = n.{KEY}
          where o.{KEY} is null or n.{KEY} is null;
        create temp table pairs as select o.*, n.* from before o join after n on o.{KEY} = n.{KEY} where {differs};
        """,
    )


def _duckdb(folder: Path, script: str) -> Found:
    duckdb = _library("duckdb")
    base = duckdb.connect()
    base.execute(f"create view before as from '{folder}/before.parquet'")
    base.execute(f"create view after as from '{folder}/after.parquet'")
    base.execute(script)
    counted = base.sql("select count(*) filter (ok is null), count(*) filter (nk is null) from joined").fetchall()[0]
    pairs = base.sql("select * from pairs").to_arrow_table()
    # Both sides have the same names, so they are told apart by place; `using` leaves one key, `on` leaves two.
    again = ["again"] if len(pairs.column_names) > 2 * len(FIELDS) + 1 else []
    told = [KEY, *("old " + name for name in FIELDS), *again, *("new " + name for name in FIELDS)]
    frame = pl.from_arrow(pairs.rename_columns(told))
    assert isinstance(frame, pl.DataFrame)
    return Found(counted[0], counted[1], cells_of(frame, before="old ", after="new "))


def pandas_merge(folder: Path) -> Found:
    """pandas: an outer merge with indicator, then every field."""
    pandas = _library("pandas")
    before, after = pandas.read_parquet(folder / "before.parquet"), pandas.read_parquet(folder / "after.parquet")
    joined = before.merge(after, on=KEY, how="outer", suffixes=(" old", " new"), indicator=True)
    both = joined[joined["_merge"] == "both"]
    found = []
    for name in FIELDS:
        old, new = both[name + " old"], both[name + " new"]
        differs = (old != new) & ~(old.isna() & new.isna())
        rows = both.loc[differs, [KEY, name + " old", name + " new"]]
        found.append(
            pl.DataFrame(
                {
                    "key": rows[KEY].to_list(),
                    "field": [name] * len(rows),
                    "before": [None if pandas.isna(one) else str(one) for one in rows[name + " old"]],
                    "after": [None if pandas.isna(one) else str(one) for one in rows[name + " new"]],
                },
                schema=CELLS,
            )
        )
    counts = joined["_merge"].value_counts()
    return Found(creates=int(counts["right_only"]), removals=int(counts["left_only"]), cells=found)


def pyarrow_join(folder: Path) -> Found:
    """PyArrow: a full outer join of all columns, then every field."""
    pc, pq = _library("pyarrow.compute"), _library("pyarrow.parquet")
    before, after = pq.read_table(folder / "before.parquet"), pq.read_table(folder / "after.parquet")
    after = after.rename_columns([KEY, *("new " + name for name in after.column_names[1:])])
    before = before.rename_columns([KEY, *("old " + name for name in before.column_names[1:])])
    after, before = after.append_column("is new", after[KEY]), before.append_column("is old", before[KEY])
    joined = before.join(after, keys=KEY, join_type="full outer")
    is_old, is_new = pc.is_valid(joined["is old"]), pc.is_valid(joined["is new"])
    both = joined.filter(pc.and_(is_old, is_new))
    differs = None
    for name in FIELDS:
        old, new = both["old " + name], both["new " + name]
        unequal = pc.if_else(
            pc.and_(pc.is_valid(old), pc.is_valid(new)),
            pc.not_equal(old, new),
            pc.xor(pc.is_valid(old), pc.is_valid(new)),
        )
        differs = unequal if differs is None else pc.or_(differs, unequal)
    pairs = pl.from_arrow(both.filter(differs))
    assert isinstance(pairs, pl.DataFrame)
    return Found(
        creates=pc.sum(pc.invert(is_old)).as_py(),
        removals=pc.sum(pc.invert(is_new)).as_py(),
        cells=cells_of(pairs, before="old ", after="new "),
    )


def datacompy_polars(folder: Path) -> Found:
    """datacompy over polars frames."""
    datacompy = _library("datacompy")
    before, after = pl.read_parquet(folder / "before.parquet"), pl.read_parquet(folder / "after.parquet")
    compared = datacompy.PolarsCompare(before, after, join_columns=KEY, df1_name="old", df2_name="new")
    both = compared.intersect_rows
    sides = [name for name in both.columns if name.endswith(("_old", "_new", "_df1", "_df2"))]
    first, second = ("_old", "_new") if any(name.endswith("_old") for name in sides) else ("_df1", "_df2")
    both = both.rename(
        {name + first: "old " + name for name in FIELDS} | {name + second: "new " + name for name in FIELDS}
    )
    return Found(
        creates=compared.df2_unq_rows.height,
        removals=compared.df1_unq_rows.height,
        cells=cells_of(both, before="old ", after="new "),
    )


def plain_dicts(folder: Path) -> Found:
    """Plain Python: a dict a record, as many scripts do it."""
    before = {row[KEY]: row for row in pl.read_parquet(folder / "before.parquet").iter_rows(named=True)}
    after = {row[KEY]: row for row in pl.read_parquet(folder / "after.parquet").iter_rows(named=True)}
    cells: list[tuple[str, str, str | None, str | None]] = []
    for key, new in after.items():
        old = before.get(key)
        if old is not None and old != new:
            cells += [(key, name, _text(old[name]), _text(new[name])) for name in FIELDS if old[name] != new[name]]
    return Found(
        creates=sum(key not in before for key in after),
        removals=sum(key not in after for key in before),
        cells=[pl.DataFrame(cells, schema=CELLS, orient="row")],
    )


def _library(name: str) -> Any:
    """A peer's library; only whoever measures has it."""
    return importlib.import_module(name)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


PEERS: dict[str, Contest] = {
    "polars row hash": polars_hash,
    "polars join": polars_join,
    "duckdb row hash": duckdb_hash,
    "duckdb join": duckdb_join,
    "pandas merge": pandas_merge,
    "pyarrow join": pyarrow_join,
    "datacompy (polars)": datacompy_polars,
    "plain dicts": plain_dicts,
}
LIBRARIES: dict[str, tuple[str, ...]] = {
    "duckdb row hash": ("duckdb", "pyarrow"),
    "duckdb join": ("duckdb", "pyarrow"),
    "pandas merge": ("pandas", "pyarrow.parquet"),
    "pyarrow join": ("pyarrow.compute", "pyarrow.parquet"),
    "datacompy (polars)": ("datacompy",),
}
"""What is loaded before the clock starts."""


def load(name: str) -> None:
    """Load what a contestant needs."""
    for library in LIBRARIES.get(name, ()):
        _library(library)
