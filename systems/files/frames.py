"""Parquet as columns of the agreed kinds. The footer at its end tells how many rows there are: a torn file has none."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Final

import polars as pl

from systems.files.cells import FileWrong
from systems.files.description import TARGET_ID, Kind
from systems.files.layout import Layout
from systems.files.reading_schema import DTYPES

_IS_KIND: Final[Mapping[Kind, Callable[[pl.DataType], bool]]] = {
    "text": lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum),
    "integer": lambda dtype: dtype.is_integer(),
    "decimal": lambda dtype: dtype.is_numeric(),
    "boolean": lambda dtype: dtype == pl.Boolean,
    "date": lambda dtype: dtype in (pl.Date, pl.String),
    "datetime": lambda dtype: dtype in (pl.Datetime, pl.String),
}


def frame_of(layout: Layout, content: bytes) -> tuple[pl.DataFrame, dict[str, int]]:
    """The whole file as the columns of its entity, and the names that no field has; `FileWrong` as for text."""
    if len(content) < 12 or content[-4:] != b"PAR1" or content[:4] != b"PAR1":
        raise FileWrong("does not begin and end as Parquet does", is_torn=content[:4] == b"PAR1")
    try:
        frame = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        raise FileWrong("cannot be read as Parquet") from None
    described, made = layout.described, {}
    for name, field in described.fields.items():
        if field.header is None:
            continue
        header = layout.headers[name]
        if header not in frame.columns:
            if not field.optional:
                raise FileWrong(f"column {header} is missing; see spelling and headers")
            made[name] = pl.Series(name, [None] * frame.height, dtype=DTYPES[field.kind])
            continue
        series = frame[header].alias(name)
        if not (_IS_KIND[field.kind](series.dtype) or series.dtype == pl.Null):
            raise FileWrong(f"column {header} is no {field.kind} but {series.dtype.base_type()}")
        made[name] = _plain(series, field.kind)
    columns = pl.DataFrame(made) if made else pl.DataFrame()
    for name, field in described.fields.items():
        if field.parts:
            columns = columns.with_columns(
                pl.concat_str([pl.col(part).cast(pl.String) for part in field.parts], separator="/").alias(name)
            )
    columns = columns.with_columns(pl.col(described.key).alias(TARGET_ID))
    known = set(layout.headers.values())
    return columns.select(described.columns), {name: 1 for name in frame.columns if name not in known}


def _plain(series: pl.Series, kind: Kind) -> pl.Series:
    if series.dtype == pl.Date:
        return series.dt.to_string("%Y-%m-%d")
    if series.dtype == pl.Datetime:
        return series.dt.to_string("iso:strict")
    try:
        return series.cast(DTYPES[kind])
    except pl.exceptions.PolarsError:
        raise FileWrong(f"column {series.name} holds numbers that are too large") from None
