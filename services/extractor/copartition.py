"""Which rows of several sources must be looked at together, so that a large read can be normalised piece by piece.

Pure. The rows that one record is made of are found by the value that the origin is picked by, or else by the value that
most joins match on: rows of origin and joined sources that have it in common get one number. What a join finds in
another way cannot be cut and is kept whole beside every piece. The pieces give the same records as the whole, for any
number of pieces; only their order differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from shared.contract.columnar import NO_TRANSFORMS, Transforms, as_text, blank_to_null, stepped
from shared.contract.model import ColumnRef, EntityContract, Join, QualifiedColumnRef, Steps

PIECES = 64
"""Into how many pieces a read that is too large for memory is cut: five million rows give pieces of 78,000."""
_SEED = 0x70696563


@dataclass(frozen=True)
class Matching:
    """A column of one source and the steps that its text takes before it is compared."""

    column: str
    steps: Steps


@dataclass(frozen=True)
class Layout:
    """How the sources of an entity are cut."""

    cut_by: Mapping[str, Matching | None]
    """By alias: what decides the piece of a row; None where any piece will do."""
    whole: Mapping[str, Join]
    """The joins whose sources stand whole beside every piece, by alias."""


def layout_of(contract: EntityContract) -> Layout:
    """How the sources of this contract are cut."""
    origin = contract.origin
    by = _match_of(origin.pick.by) if origin.pick is not None else _commonest_match(contract)
    cut_by: dict[str, Matching | None] = {origin.source: by}
    whole: dict[str, Join] = {}
    for join in contract.joins:
        if by is not None and _left_of_origin(join, origin.source) == by:
            cut_by[join.source] = _match_of(join.on.right)
        else:
            whole[join.source] = join
    return Layout(cut_by, whole)


def pieces_of(
    frame: pl.DataFrame, by: Matching | None, *, transforms: Transforms = NO_TRANSFORMS, pieces: int = PIECES
) -> pl.Series:
    """The piece of each row. Rows without a value match nothing and are dealt out in turn."""
    in_turn = pl.int_range(pl.len(), dtype=pl.UInt32) % pieces
    if by is None or by.column not in frame.columns:
        return frame.select(in_turn.alias("piece")).get_column("piece")
    value = match_value(frame, by, transforms=transforms)
    number = (value.hash(_SEED) % pieces).cast(pl.UInt32)
    return frame.select(pl.when(value.is_null()).then(in_turn).otherwise(number).alias("piece")).get_column("piece")


def match_value(frame: pl.DataFrame, by: Matching, *, transforms: Transforms = NO_TRANSFORMS) -> pl.Expr:
    """The text by which rows find each other, null where it is blank."""
    text = as_text(pl.col(by.column), frame.schema[by.column])
    return blank_to_null(stepped(text, by.steps, transforms))


def grouped(rows_by_piece: Mapping[int, int], *, rows_max: int, pieces: int = PIECES) -> list[list[int]]:
    """Neighbouring pieces put together as long as they hold at most `rows_max` rows; at least one group."""
    groups: list[list[int]] = [[]]
    rows = 0
    for piece in range(pieces):
        more = rows_by_piece.get(piece, 0)
        if groups[-1] and rows + more > rows_max:
            groups.append([])
            rows = 0
        groups[-1].append(piece)
        rows += more
    return groups


def _commonest_match(contract: EntityContract) -> Matching | None:
    found = (_left_of_origin(join, contract.origin.source) for join in contract.joins)
    counts = Counter(match for match in found if match is not None)
    return counts.most_common(1)[0][0] if counts else None


def _left_of_origin(join: Join, origin: str) -> Matching | None:
    alias, _, column = join.on.left.column.partition(".")
    return Matching(column, join.on.left.steps) if alias == origin else None


def _match_of(ref: ColumnRef | QualifiedColumnRef) -> Matching:
    return Matching(ref.column, ref.steps)
