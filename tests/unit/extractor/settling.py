"""What the tests of the normaliser share: one batch from rows to settled records, and a contract of a few fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from services.extractor.normalise import (
    Normalised,
    Rules,
    normalise_desired,
    normalise_existing,
    refuse_blocked,
    settle_duplicates,
)
from shared.contract.model import EntityContract
from shared.contract.tables import MappingTable


def settled(contract: EntityContract, result: Normalised) -> Normalised:
    """The result as it stands after the last batch."""
    refuse_blocked(result.blocked)
    records, quarantined = settle_duplicates(result.records, result.quarantined, contract=contract)
    return replace(result, records=records, quarantined=quarantined)


def desired(contract: EntityContract, rules: Rules, frames: Mapping[str, pl.DataFrame]) -> Normalised:
    """The desired side as one batch, settled."""
    return settled(contract, normalise_desired(contract, rules, frames))


def existing(contract: EntityContract, frame: pl.DataFrame) -> Normalised:
    """The target side as one batch, settled."""
    return settled(contract, normalise_existing(contract, frame))


def contract_of(fields: Mapping[str, Any], **clauses: Any) -> EntityContract:
    """A contract over the rows of one source `row`, whose key `id` is its column `id`."""
    base: dict[str, Any] = {"from": {"source": "row"}, "key": "id", "fields": {"id": {"from": ["row.id"]}, **fields}}
    return EntityContract.model_validate(base | clauses)


def table_of(entries: Mapping[str, str], name: str = "codes") -> MappingTable:
    """A mapping table."""
    return MappingTable(name=name, id_column="id", value_column="code", entries=dict(entries), lines={})


def rows(**columns: Any) -> pl.DataFrame:
    """Rows with ids 1, 2, 3 …"""
    height = len(next(iter(columns.values())))
    return pl.DataFrame({"id": [str(number) for number in range(1, height + 1)]} | columns, strict=False)


def run(
    fields: Mapping[str, Any],
    frame: pl.DataFrame,
    table: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    **clauses: Any,
) -> Normalised:
    """One batch under `contract_of(fields, **clauses)` with a mapping table `codes`, settled."""
    rules = replace(rules or Rules(), tables={"codes": table_of(table or {})})
    return desired(contract_of(fields, **clauses), rules, {"row": frame})
