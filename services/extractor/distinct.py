"""Columns of text rewritten in the cheaper of two ways: each distinct value once, or row by row.

Pure. A column whose values repeat is rewritten once for each distinct value, which is then handed out to the rows; any
other column is rewritten row by row. Both ways give the same; a sample decides. All columns are rewritten side by side,
so that every core has work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

TEXT = "text"
"""The column of texts, as a rewriting finds it: as read, blank or not."""
SAMPLE_ROWS = 4_096
"""Rows looked at to see whether a column repeats; a batch of no more rows is rewritten row by row."""
DISTINCT_SHARE_MAX = 0.95
"""Of the values in the sample: above it, more than about half of the values of a full batch would be distinct."""


@dataclass(frozen=True)
class Rewriting:
    """What is to be made of one column of texts."""

    rewrite: Callable[[pl.LazyFrame], pl.LazyFrame]
    """From a frame with the column `TEXT` to a frame of as many rows; each row depends on its own text only."""
    beside: Mapping[str, pl.Series] | None = None
    """Further columns that the rewriting needs; the column is then rewritten row by row."""


def rewritten(texts: pl.DataFrame, works: Mapping[str, Rewriting]) -> dict[str, pl.DataFrame]:
    """What becomes of each column that has work, for every row; columns in which all is null may be left out."""
    names = [name for name, work in works.items() if not work.beside]
    coded = _coded(texts, _repeating(texts, names))
    plans = []
    for name, work in works.items():
        column = coded[name].distinct if name in coded else texts.get_column(name)
        plans.append(work.rewrite(pl.LazyFrame({TEXT: column, **(work.beside or {})})))
    made = dict(zip(works, pl.collect_all(plans), strict=True))
    return made | _handed_out({name: made[name] for name in coded}, coded)


def _repeating(texts: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """The columns whose texts repeat, as far as a sample can tell."""
    if texts.height <= SAMPLE_ROWS or not names:
        return []
    sample = texts.gather_every(texts.height // SAMPLE_ROWS)
    distinct = sample.select(pl.col(name).drop_nulls().n_unique() for name in names).row(0)
    present = sample.select(pl.col(name).count() for name in names).row(0)
    counted = zip(names, distinct, present, strict=True)
    return [name for name, different, count in counted if different <= DISTINCT_SHARE_MAX * count]


@dataclass(frozen=True)
class _Coded:
    """A column as numbers of its distinct values, counted from 0; null has the number behind the last."""

    numbers: pl.Series
    distinct: pl.Series
    """The values in the order of their numbers, and null behind them."""


def _coded(texts: pl.DataFrame, names: Sequence[str]) -> dict[str, _Coded]:
    # A dictionary for each column, so that it holds this batch's values only and goes with the batch.
    dictionaries = {name: pl.Categories.random() for name in names}
    frame = texts.select(pl.col(name).cast(pl.Categorical(own)) for name, own in dictionaries.items())
    coded: dict[str, _Coded] = {}
    for name, own in dictionaries.items():
        values = own.to_series().cast(pl.String)
        numbers = frame.get_column(name).to_physical().fill_null(values.len())
        coded[name] = _Coded(numbers, values.extend_constant(None, 1))
    return coded


def _handed_out(made: Mapping[str, pl.DataFrame], coded: Mapping[str, _Coded]) -> dict[str, pl.DataFrame]:
    """What was made of the distinct values, for every row."""
    wanted = {
        name: [column.name for column in frame if column.null_count() < frame.height] for name, frame in made.items()
    }
    numbers = pl.DataFrame([one.numbers.alias(name) for name, one in coded.items()])
    everywhere = numbers.select(
        pl.lit(made[name].get_column(column)).gather(pl.col(name)).alias(f"{name} {column}")
        for name, columns in wanted.items()
        for column in columns
    )
    return {
        name: pl.DataFrame([everywhere.get_column(f"{name} {column}").alias(column) for column in columns])
        for name, columns in wanted.items()
    }
