"""Which cells of two paired records differ, found over whole columns, and records taken out of columns.

Values in, values out. It stands between pairing (`services.differ.engine`, `matching`) and the making of changes
(`making`): a pair costs something here only by the cells that differ, and a whole record is put together only when
somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl

from services.differ.comparing import EXISTING, LEFT_ALONE
from shared.contract.model import EntityContract
from shared.ports.wire import Value
from shared.records.live import live_column

Row = tuple[Value, ...]
"""The fields of one record in contract order."""


class Cell(NamedTuple):
    """One field of a pair that differs."""

    name: str
    wanted: Value
    shown: Value
    """As the target showed it."""
    had_value: bool
    """Whether the record had a value, normalised."""


class Part:
    """Some pairs; whole records are made of them only when somebody asks for one."""

    def __init__(self, frame: pl.DataFrame, names: Sequence[str]) -> None:
        self.frame = frame
        self._names = names

    @cached_property
    def wanted(self) -> list[Row]:
        """The desired records."""
        return rows_of(self.frame, self._names)

    @cached_property
    def known(self) -> list[Row]:
        """The target records, normalised."""
        return rows_of(self.frame, self._names, EXISTING)

    @cached_property
    def shown(self) -> list[Row]:
        """The target records, as the target showed them."""
        return rows_of(self.frame, [live_column(name) for name in self._names], EXISTING)


def differs(contract: EntityContract, desired: pl.DataFrame, name: str) -> pl.Expr:
    """Whether a field of a pair differs and would be set, protection left aside.

    Nothing in the source leaves the target's value alone, unless the contract says that it clears; a field of which
    nothing is known in this run is left alone either way. `desired` is a frame with the desired side's columns.
    """
    unequal = pl.col(name).ne_missing(pl.col(EXISTING + name))
    if not contract.fields[name].clear:
        unequal &= pl.col(name).is_not_null()
    if LEFT_ALONE in desired.columns and desired.get_column(LEFT_ALONE).null_count() < desired.height:
        unequal &= ~pl.col(LEFT_ALONE).str.split(",").list.contains(name).fill_null(False)
    return unequal


def looked_at(contract: EntityContract) -> list[str]:
    """The fields that are compared, in contract order, protected ones included."""
    return [name for name, one in contract.fields.items() if one.managed]


def cells_of(frame: pl.DataFrame, names: Sequence[str]) -> list[list[Cell]]:
    """What differs in each row, in the order of the names; `frame` has the marks of every name."""
    cells: list[list[Cell]] = [[] for _ in range(frame.height)]
    for name in names:
        rows = np.flatnonzero(frame.get_column(mark_of(name)).to_numpy())
        if not rows.size:
            continue
        # Indexed, not gathered: that goes through the engine, whose start costs more than the few rows of most runs.
        wanted = frame.get_column(name)[rows].to_list()
        shown = frame.get_column(EXISTING + live_column(name))[rows].to_list()
        had_value = [value is not None for value in frame.get_column(EXISTING + name)[rows].to_list()]
        for row, *values in zip(rows.tolist(), wanted, shown, had_value, strict=True):
            cells[row].append(Cell(name, *values))  # rows of one name, so every row has its cells in name order
    return cells


def mark_of(name: str) -> str:
    """The column that says of each pair whether the field differs."""
    return f"differs {name}"


def rows_of(frame: pl.DataFrame, names: Sequence[str], prefix: str = "") -> list[Row]:
    """The named columns, row by row."""
    return frame.select(prefix + name for name in names).rows()
