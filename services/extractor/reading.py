"""Reading one side of one entity: every source of it, or the target, and the lookup entities that its fields name.

Acts on systems through the port, and lays the rows on shelves, cut to the columns that the contract uses. It decides
only whether the side can be used at all: a reading that broke off makes the whole side useless. How one entity is read,
and how often, is for `services.extractor.one_entity`.

A lookup entity is read through the port here and not taken from a snapshot of the run: the column looked up need not be
a field of any contract, nor its entity one of the connector's, and no side has to wait for another. Its reading is
certified and counted like a source's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Literal

import polars as pl

from services.extractor.copartition import Layout, layout_of, pieces_of
from services.extractor.gathering import used_columns
from services.extractor.one_entity import Got, Systems, Wanted, read_entity
from services.extractor.rules import Kind
from services.extractor.spill import Shelves, SpillFile
from shared.contract.loading import Connector
from shared.contract.model import EntityContract
from shared.events.documents import FailureNote
from shared.policy.figures import SourceFigures
from shared.records.certificate import Certificate

TARGET = "target"
"""The alias of the target's rows; a source cannot have it beside a dot."""


@dataclass(frozen=True)
class Proof:
    """What is known of the completeness of one side."""

    certificates: tuple[Certificate, ...]
    figures: tuple[SourceFigures, ...]
    incomplete: FailureNote | None
    """The first reason why a certificate is missing."""
    is_usable: bool
    """Whether every reading came to its end, so that there is something to go on with."""
    began_at: datetime | None = None
    """When the first page of any was asked for, perhaps by an earlier process; None for rows that are kept already."""
    rereads: int = 0
    """Readings that were thrown away because the records moved while they were read."""


@dataclass(frozen=True)
class Keepable:
    """The rows of one reading, which may be kept for a replay."""

    role: Literal["source", "lookup", "target"]
    name: str
    """A source's alias, or the target's entity."""
    wanted: Wanted
    declared: Mapping[str, Kind]
    shelves: Shelves


@dataclass(frozen=True)
class SideRead:
    """What reading one side brought."""

    shelves: Mapping[str, Shelves]
    """The rows by alias, or under `target`."""
    lookups: Mapping[str, Shelves]
    """The target's rows by lookup entity."""
    schemas: Mapping[str, pl.Schema]
    """By alias: columns and types as they came, also of columns that were not kept."""
    declared: Mapping[str, Mapping[str, Kind]]
    """By alias: the kind of each column that the system declares."""
    proof: Proof
    keepable: tuple[Keepable, ...] = ()
    """Every reading of the side; empty for rows that are kept already."""


async def read_source(connector: Connector, entity: str, systems: Systems, file: SpillFile) -> SideRead:
    """Read all sources of an entity side by side, and the target's entities in which its fields look values up."""
    contract = connector.definition.entities[entity]
    layout = layout_of(contract)
    used = used_columns(contract)
    wanted: dict[str, Wanted] = {}
    fresh: dict[str, Callable[[], Shelves]] = {}
    for alias in used:
        reference = connector.definition.sources[alias]
        wanted[alias] = Wanted(reference.connection, reference.entity, "source", used[alias])
        fresh[alias] = partial(shelves_for, alias, layout, connector, file)
    looked_up = lookup_columns(contract)
    for name, columns in looked_up.items():
        wanted[lookup_alias(name)] = Wanted(connector.definition.target.connection, name, "target", columns)
        fresh[lookup_alias(name)] = partial(shelves_for_lookup, file)
    got = await _read_all(wanted, fresh, systems)
    return SideRead(
        shelves={alias: got[alias].shelves for alias in used},
        lookups={name: got[lookup_alias(name)].shelves for name in looked_up},
        schemas={alias: got[alias].extract.schema or pl.Schema() for alias in used},
        declared={alias: _kinds(got[alias]) for alias in used},
        proof=_proof(got),
        keepable=(
            *(_keepable("source", alias, wanted[alias], got[alias]) for alias in used),
            *(
                _keepable("lookup", name, wanted[alias], got[alias])
                for name, alias in ((name, lookup_alias(name)) for name in looked_up)
            ),
        ),
    )


async def read_target(connector: Connector, entity: str, systems: Systems, file: SpillFile) -> SideRead:
    """Read the target's records of an entity."""
    columns = target_columns(connector.definition.entities[entity])
    wanted = {TARGET: Wanted(connector.definition.target.connection, entity, "target", columns)}
    got = await _read_all(wanted, {TARGET: partial(shelves_for_target, file)}, systems)
    return SideRead(
        shelves={TARGET: got[TARGET].shelves},
        lookups={},
        schemas={TARGET: got[TARGET].extract.schema or pl.Schema()},
        declared={TARGET: _kinds(got[TARGET])},
        proof=_proof(got),
        keepable=(_keepable("target", entity, wanted[TARGET], got[TARGET]),),
    )


def lookup_columns(contract: EntityContract) -> dict[str, list[str]]:
    """The columns that the fields' lookups use, by entity of the target, each once."""
    columns: dict[str, dict[str, None]] = {}
    for field in contract.fields.values():
        if field.lookup is not None:
            columns.setdefault(field.lookup.entity, {}).update({field.lookup.by: None, field.lookup.take: None})
    return {entity: list(names) for entity, names in columns.items()}


def target_columns(contract: EntityContract) -> list[str]:
    """The columns of the target's records that are read."""
    return list(dict.fromkeys(["target_id", *contract.fields]))


def lookup_alias(entity: str) -> str:
    """The alias of an entity of the target in which values are looked up."""
    return f"{TARGET}.{entity}"


def shelves_for(alias: str, layout: Layout, connector: Connector, file: SpillFile) -> Shelves:
    """Shelves for the rows of a source, cut so that those of one record stand together."""
    if alias in layout.whole:
        return Shelves(file, _one_shelf)
    by = layout.cut_by[alias]
    return Shelves(file, lambda frame: pieces_of(frame, by, transforms=connector.transforms))


def shelves_for_lookup(file: SpillFile) -> Shelves:
    """Shelves for rows that are needed whole."""
    return Shelves(file, _one_shelf)


def shelves_for_target(file: SpillFile) -> Shelves:
    """Shelves for the target's records."""
    return Shelves(file, lambda frame: pieces_of(frame, None))


def _one_shelf(frame: pl.DataFrame) -> pl.Series:
    return pl.repeat(0, frame.height, dtype=pl.UInt32, eager=True)


def _keepable(role: Literal["source", "lookup", "target"], name: str, wanted: Wanted, got: Got) -> Keepable:
    return Keepable(role, name, wanted, _kinds(got), got.shelves)


def _kinds(got: Got) -> dict[str, Kind]:
    return {column.name: column.kind for column in got.columns}


async def _read_all(
    wanted: Mapping[str, Wanted], fresh: Mapping[str, Callable[[], Shelves]], systems: Systems
) -> dict[str, Got]:
    async with asyncio.TaskGroup() as group:
        tasks = {
            alias: group.create_task(read_entity(alias, one, fresh=fresh[alias], systems=systems))
            for alias, one in wanted.items()
        }
    return {alias: task.result() for alias, task in tasks.items()}


def _proof(got: Mapping[str, Got]) -> Proof:
    extracts = {alias: one.extract for alias, one in got.items()}
    faults = [one.incomplete for one in extracts.values() if one.incomplete is not None]
    began = [one.started_at for one in extracts.values() if one.started_at is not None]
    return Proof(
        certificates=tuple(one.certificate for one in extracts.values() if one.certificate is not None),
        figures=tuple(
            SourceFigures(source=alias, rows=one.rows, is_certified=one.certificate is not None)
            for alias, one in extracts.items()
        ),
        incomplete=faults[0] if faults else None,
        is_usable=all(one.schema is not None for one in extracts.values()),
        began_at=min(began, default=None),
        rereads=sum(one.rereads for one in got.values()),
    )
