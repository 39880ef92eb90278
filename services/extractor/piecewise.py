"""The rows of an entity's sources, piece after piece, as they lie on the shelves.

Reads the shelves and decides nothing: which rows belong together is for `services.extractor.copartition`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from services.extractor.copartition import Matching, grouped, layout_of, match_value
from services.extractor.spill import BATCH_ROWS, Shelves
from shared.contract.columnar import NO_TRANSFORMS, Transforms
from shared.contract.model import EntityContract, Join

_MATCH = "match "  # working column; no column of a source has a blank in its name


def pieces(
    contract: EntityContract,
    shelves: Mapping[str, Shelves],
    *,
    transforms: Transforms = NO_TRANSFORMS,
    batch_rows: int = BATCH_ROWS,
) -> Iterator[dict[str, pl.DataFrame]]:
    """The frames by alias, about `batch_rows` rows at a time; at least one piece, though it may be empty."""
    layout = layout_of(contract)
    rows: Counter[int] = Counter()
    for alias in layout.cut_by:
        rows.update(shelves[alias].rows_by_shelf())
    groups = grouped(rows, rows_max=batch_rows)
    beside = [_Beside.of(contract, join, shelves[alias], transforms) for alias, join in layout.whole.items()]
    for group in groups:
        frames = {alias: shelves[alias].take(group) for alias in layout.cut_by}
        origin = frames[contract.origin.source]
        frames.update((one.alias, one.frame if len(groups) == 1 else one.wanted_by(origin)) for one in beside)
        yield frames


@dataclass(frozen=True)
class _Beside:
    """A source that cannot be cut with the others: whole, with the value by which its rows are found."""

    alias: str
    frame: pl.DataFrame
    values: pl.DataFrame
    """The match value of each row."""
    left: Matching | None
    """The column of the origin that is matched; None when the left side is another joined source."""
    transforms: Transforms

    @classmethod
    def of(cls, contract: EntityContract, join: Join, shelves: Shelves, transforms: Transforms) -> _Beside:
        frame = shelves.take([0])
        alias, _, column = join.on.left.column.partition(".")
        right = Matching(join.on.right.column, join.on.right.steps)
        left = Matching(column, join.on.left.steps) if alias == contract.origin.source else None
        is_there = right.column in frame.columns
        return cls(
            alias=join.source,
            frame=frame,
            values=frame.select(match_value(frame, right, transforms=transforms).alias(_MATCH)) if is_there else frame,
            left=left if is_there else None,
            transforms=transforms,
        )

    def wanted_by(self, origin: pl.DataFrame) -> pl.DataFrame:
        """The rows that a record of this piece may be joined to; sorting the others for every piece would cost most."""
        if self.left is None or self.left.column not in origin.columns:
            return self.frame
        wanted = origin.select(match_value(origin, self.left, transforms=self.transforms).alias(_MATCH)).unique()
        return self.frame.filter(self.values.get_column(_MATCH).is_in(wanted.get_column(_MATCH).drop_nulls().implode()))
