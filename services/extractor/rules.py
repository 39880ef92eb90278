"""What normalising needs besides the contract and the rows: tables, transforms, lookups, and the agreed shape.

Pure. One `Rules` serves all batches of a reading, so that tables and lookups are made ready once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import polars as pl

from shared.contract.columnar import Transforms, as_text, blank_to_null, once, stepped
from shared.contract.field import FieldContract, Lookup
from shared.contract.tables import MappingTable
from shared.contract.words import Step
from shared.errors import StopRun

Kind: TypeAlias = Literal["text", "integer", "decimal", "boolean", "date", "datetime"]
"""What a system says of a column; see `shared.ports.system.Column`."""


@dataclass(frozen=True)
class Answers:
    """What a table or an entity of the target answers to ids that have taken the field's steps."""

    ids: pl.Series
    values: pl.Series
    """The answer to each id."""
    unsure: pl.Series
    """Ids that are there and give no answer: several records have them, or the record found has nothing to take."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What normalising one entity needs besides its contract."""

    tables: Mapping[str, MappingTable] = field(default_factory=dict)
    """Mapping tables by name."""
    transforms: Transforms = field(default_factory=dict)
    """Registered transforms by name."""
    lookups: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    """Rows of the target's entities in which fields are looked up, as read, by entity."""
    declared: Mapping[str, Mapping[str, Kind]] = field(default_factory=dict)
    """What the systems say of their columns, by alias; an alias that is not here is not judged."""
    shapes: Mapping[str, pl.Schema] | None = None
    """Columns as they came, by alias, where the frames hold only those that the contract uses; None: as the frames."""
    _ready: dict[tuple[object, ...], Answers] = field(default_factory=dict, repr=False, compare=False)

    def for_batch(self) -> Rules:
        """The same rules, calling each transform once for each distinct value of one batch."""
        return replace(self, transforms=once(self.transforms)) if self.transforms else self

    def answers(self, contract: FieldContract) -> Answers | None:
        """What the field's table or lookup answers; None when it has neither."""
        if contract.map is None and contract.lookup is None:
            return None
        asked = (contract.map, contract.lookup, contract.steps)
        if asked not in self._ready:
            if contract.map is not None:
                self._ready[asked] = _of_table(self.tables[contract.map], contract.steps, self.transforms)
            elif contract.lookup is not None:
                self._ready[asked] = _of_entity(self.lookups, contract.lookup, contract.steps, self.transforms)
        return self._ready[asked]


def _of_table(table: MappingTable, steps: Sequence[Step], transforms: Transforms) -> Answers:
    """The table's ids take the same steps as the source's, so that both are compared in one spelling."""
    schema = {"id": pl.String, "value": pl.String}
    known = pl.DataFrame({"id": list(table.entries), "value": list(table.entries.values())}, schema=schema)
    known = known.with_columns(blank_to_null(stepped(pl.col("id"), steps, transforms))).drop_nulls("id")
    known = known.unique("id", keep="first", maintain_order=True)
    return Answers(known.get_column("id"), known.get_column("value"), pl.Series([], dtype=pl.String))


def _of_entity(
    lookups: Mapping[str, pl.DataFrame], lookup: Lookup, steps: Sequence[Step], transforms: Transforms
) -> Answers:
    rows = lookups[lookup.entity]
    missing = [name for name in (lookup.by, lookup.take) if name not in rows.columns]
    if missing:
        raise StopRun(
            "NRM_SCHEMA_DRIFT",
            f"columns that the contract looks up are missing: {lookup.entity} of the target: {', '.join(missing)}; "
            "restore them in the target or release a new contract",
            columns=", ".join(missing),
        )
    text = stepped(as_text(pl.col(lookup.by), rows.schema[lookup.by]), steps, transforms)
    known = rows.select(
        blank_to_null(text).alias("id"), as_text(pl.col(lookup.take), rows.schema[lookup.take]).alias("value")
    ).drop_nulls("id")
    is_sure = ~pl.col("id").is_duplicated() & pl.col("value").is_not_null()
    sure = known.filter(is_sure)
    unsure = known.filter(~is_sure).get_column("id").unique()
    return Answers(sure.get_column("id"), sure.get_column("value"), unsure)
