"""Reading one side of one entity: every source of it, or the target, and the lookup entities that its fields name.

Acts on systems through the port, and lays the rows on shelves, cut to the columns that the contract uses. It decides
only whether the side can be used at all: a reading that broke off makes the whole side useless.

A lookup entity is read through the port here and not taken from a snapshot of the run: the column looked up need not be
a field of any contract, nor its entity one of the connector's, and no side has to wait for another. Its reading is
certified and counted like a source's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from services.extractor.copartition import Layout, layout_of, pieces_of
from services.extractor.extract import Extract, Sink, extract
from services.extractor.gathering import used_columns
from services.extractor.rules import Kind
from services.extractor.spill import Shelves, SpillFile
from shared.clock import Clock
from shared.contract.loading import Connector
from shared.contract.model import EntityContract
from shared.errors import AetherError
from shared.events.documents import FailureNote
from shared.policy.figures import SourceFigures
from shared.ports.connections import Connections
from shared.ports.registry import Registry
from shared.ports.system import Column, Source
from shared.records.certificate import Certificate, Side

TARGET = "target"
"""The alias of the target's rows; a source cannot have it beside a dot."""


@dataclass(frozen=True)
class Systems:
    """How systems are reached."""

    connections: Connections
    registry: Registry
    clock: Clock


@dataclass(frozen=True)
class Wanted:
    """One entity of one connection."""

    connection: str
    entity: str
    side: Side
    columns: Sequence[str]
    """What is kept of each row."""


@dataclass(frozen=True)
class Proof:
    """What is known of the completeness of one side."""

    certificates: tuple[Certificate, ...]
    figures: tuple[SourceFigures, ...]
    incomplete: FailureNote | None
    """The first reason why a certificate is missing."""
    is_usable: bool
    """Whether every reading came to its end, so that there is something to go on with."""


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
    shelves: dict[str, Shelves] = {}
    for alias in used:
        reference = connector.definition.sources[alias]
        wanted[alias] = Wanted(reference.connection, reference.entity, "source", used[alias])
        shelves[alias] = shelves_for(alias, layout, connector, file)
    looked_up = lookup_columns(contract)
    for name, columns in looked_up.items():
        wanted[lookup_alias(name)] = Wanted(connector.definition.target.connection, name, "target", columns)
        shelves[lookup_alias(name)] = shelves_for_lookup(file)
    extracts, declared = await _read_all(wanted, shelves, systems)
    return SideRead(
        shelves={alias: shelves[alias] for alias in used},
        lookups={name: shelves[lookup_alias(name)] for name in looked_up},
        schemas={alias: extracts[alias].schema or pl.Schema() for alias in used},
        declared={alias: declared[alias] for alias in used},
        proof=_proof(extracts),
        keepable=(
            *(Keepable("source", alias, wanted[alias], declared[alias], shelves[alias]) for alias in used),
            *(
                Keepable("lookup", name, wanted[alias], declared[alias], shelves[alias])
                for name, alias in ((name, lookup_alias(name)) for name in looked_up)
            ),
        ),
    )


async def read_target(connector: Connector, entity: str, systems: Systems, file: SpillFile) -> SideRead:
    """Read the target's records of an entity."""
    columns = target_columns(connector.definition.entities[entity])
    wanted = {TARGET: Wanted(connector.definition.target.connection, entity, "target", columns)}
    shelves = {TARGET: shelves_for_target(file)}
    extracts, declared = await _read_all(wanted, shelves, systems)
    return SideRead(
        shelves=shelves,
        lookups={},
        schemas={TARGET: extracts[TARGET].schema or pl.Schema()},
        declared=declared,
        proof=_proof(extracts),
        keepable=(Keepable("target", entity, wanted[TARGET], declared[TARGET], shelves[TARGET]),),
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


async def _read_all(
    wanted: Mapping[str, Wanted], shelves: Mapping[str, Shelves], systems: Systems
) -> tuple[dict[str, Extract], dict[str, Mapping[str, Kind]]]:
    async with asyncio.TaskGroup() as group:
        tasks = {
            alias: group.create_task(_read(one, _keeping(shelves[alias], one.columns), systems))
            for alias, one in wanted.items()
        }
    results = {alias: task.result() for alias, task in tasks.items()}
    extracts = {alias: got for alias, (got, _) in results.items()}
    return extracts, {
        alias: {column.name: column.kind for column in columns} for alias, (_, columns) in results.items()
    }


def _keeping(shelves: Shelves, columns: Sequence[str]) -> Sink:
    def keep(frame: pl.DataFrame) -> None:
        kept = [name for name in columns if name in frame.columns]
        # A frame without any column would forget how many rows it has.
        shelves.put(frame.select(kept or frame.columns[:1]))

    return keep


async def _read(wanted: Wanted, sink: Sink, systems: Systems) -> tuple[Extract, Sequence[Column]]:
    source: Source | None = None
    try:
        connection = systems.connections.named(wanted.connection)
        source = systems.registry.open_source(connection)
        columns = source.columns(wanted.entity)
        got = await extract(
            source,
            connection=connection,
            name=wanted.connection,
            entity=wanted.entity,
            side=wanted.side,
            clock=systems.clock,
            sink=sink,
        )
        return got, columns
    except AetherError as error:
        return Extract(rows=None, schema=None, certificate=None, incomplete=FailureNote.of(error)), ()
    finally:
        if source is not None:
            await source.close()


def _proof(extracts: Mapping[str, Extract]) -> Proof:
    faults = [got.incomplete for got in extracts.values() if got.incomplete is not None]
    return Proof(
        certificates=tuple(got.certificate for got in extracts.values() if got.certificate is not None),
        figures=tuple(
            SourceFigures(source=alias, rows=got.rows, is_certified=got.certificate is not None)
            for alias, got in extracts.items()
        ),
        incomplete=faults[0] if faults else None,
        is_usable=all(got.schema is not None for got in extracts.values()),
    )
