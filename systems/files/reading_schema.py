"""The types that columns have in a page, by their kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from systems.files.description import Kind

DTYPES: Final[Mapping[Kind, pl.DataType]] = {
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "integer": pl.Int64(),
    "decimal": pl.Float64(),
    "date": pl.String(),
    "datetime": pl.String(),
}
