"""The sample district read by its systems and normalised by a connector, to be held against the district's truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from services.extractor.normalise import normalise_desired
from services.extractor.quarantine import settle_duplicates
from services.extractor.rules import Rules
from shared.contract.loading import load_connector
from shared.ports.system import Source

CONNECTORS = Path(__file__).resolve().parents[2] / "connectors"


async def frames_of(source: Source, aliases: dict[str, str]) -> dict[str, pl.DataFrame]:
    """Each alias's entity as one frame, read whole; an uncertified reading fails."""
    frames = {}
    for alias, entity in aliases.items():
        reading = source.read(entity)
        pages = [page.rows async for page in reading]
        frames[alias] = pl.concat(pages)
        assert reading.expected is not None
        assert reading.expected.rows == frames[alias].height
    return frames


def found_by(connector: str, entity: str, frames: dict[str, pl.DataFrame]) -> tuple[dict[str, Any], dict[str, str]]:
    """The records by key and the first reason of each quarantined key, as the connector makes them of these rows."""
    loaded = load_connector(CONNECTORS / connector)
    contract = loaded.definition.entities[entity]
    used = {contract.origin.source, *(join.source for join in contract.joins)}
    made = normalise_desired(
        contract,
        Rules(tables=loaded.tables, transforms=loaded.transforms, lookups={}),
        {alias: frame for alias, frame in frames.items() if alias in used},
    )
    records, quarantined = settle_duplicates(made.records, made.quarantined, contract=contract)
    by_key = {row["key"]: {name: row[name] for name in contract.fields} for row in records.to_dicts()}
    return by_key, {str(row["key"]): row["code"] for row in quarantined.to_dicts()}
