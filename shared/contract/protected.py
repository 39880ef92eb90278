"""Protected records: target records that no run changes, kept apart from the mapping in `protected.yaml`.

Pure: the shape of the list, and which rows of a frame it means. A record is named by its key, by the target's id or by
conditions on the target's fields; every entry says why. Dropping and reporting the changes is for the differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Self

import polars as pl
from pydantic import Field, StrictStr, StringConstraints, TypeAdapter, model_validator

from shared.contract.columnar import as_text, holds
from shared.contract.tables import MappingTable
from shared.contract.transforms import Transform
from shared.contract.words import Condition, Document, Name

PROTECTED_MAX = 5_000
"""Entries for one entity."""


class ProtectedRecord(Document):
    """One entry of the list: exactly one of `key`, `target_id` and `where`."""

    key: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    """The record's key, as the contract spells it after steps and format."""
    target_id: Annotated[StrictStr, Field(min_length=1, max_length=200)] | None = None
    """The target's own id of the record."""
    where: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=20)] | None = None
    """Every record of whose fields all of these hold, as the target shows it."""
    reason: Annotated[StrictStr, StringConstraints(min_length=1, max_length=200)]
    """Why, for those who wonder later."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        given = sum(part is not None for part in (self.key, self.target_id, self.where))
        if given != 1:
            raise ValueError(f"an entry has {given} of `key`, `target_id` and `where`; give exactly one")
        return self


ProtectedRecords = Mapping[str, tuple[ProtectedRecord, ...]]
"""By the name of the entity."""
PROTECTED_FILE: TypeAdapter[ProtectedRecords] = TypeAdapter(
    dict[Name, Annotated[tuple[ProtectedRecord, ...], Field(max_length=PROTECTED_MAX)]]
)
"""What `protected.yaml` may say."""


@dataclass(frozen=True)
class Protection:
    """What is protected among the records of one entity."""

    records: Sequence[ProtectedRecord] = ()
    tables: Mapping[str, MappingTable] | None = None
    """For conditions with `in_table`."""
    transforms: Mapping[str, Transform] | None = None
    """For conditions with a registered transform."""

    def is_protected(self, frame: pl.DataFrame, *, prefix: str = "") -> pl.Series:
        """Whether each row is protected; never null.

        Columns are `key`, `target_id` and the contract's fields, each with the prefix before its name. A frame without
        one of the first two has no record that this column could name; a field that a condition asks for must be there.
        """
        tests = [*self._by_name(frame, prefix), *self._by_rule(frame, prefix)]
        if not tests or frame.is_empty():
            return pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True).alias("is protected")
        return frame.select(pl.any_horizontal(tests).alias("is protected")).get_column("is protected")

    def _by_name(self, frame: pl.DataFrame, prefix: str) -> list[pl.Expr]:
        named = {
            "key": [record.key for record in self.records if record.key is not None],
            "target_id": [record.target_id for record in self.records if record.target_id is not None],
        }
        return [
            as_text(pl.col(prefix + column), frame.schema[prefix + column]).is_in(values).fill_null(False)
            for column, values in named.items()
            if values and prefix + column in frame.columns
        ]

    def _by_rule(self, frame: pl.DataFrame, prefix: str) -> list[pl.Expr]:
        tests = []
        for record in self.records:
            if record.where is None:
                continue
            missing = sorted({test.column for test in record.where if prefix + test.column not in frame.columns})
            if missing:
                raise ValueError(f"the frame has no column {prefix + missing[0]!r}, which decides what is protected")
            tests.append(
                pl.all_horizontal(
                    holds(
                        test,
                        as_text(pl.col(prefix + test.column), frame.schema[prefix + test.column]),
                        tables=self.tables or {},
                        transforms=self.transforms or {},
                    )
                    for test in record.where
                )
            )
        return tests
