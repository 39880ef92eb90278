"""Rows of a reading kept on the bus beside the snapshot, and read back so that the run can be replayed.

Kept are the rows as they came, of the columns that the contract uses and of no other: what a system delivers beyond
that is nobody's business. They hold personal data and live as long as the SNAP stream keeps anything. A replay stands
on the certificates of the run whose rows it takes; it asks no system.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from nats.js import JetStreamContext

from services.extractor.copartition import layout_of
from services.extractor.gathering import used_columns
from services.extractor.pipeline import Batch, messages
from services.extractor.reading import (
    TARGET,
    Keepable,
    Proof,
    SideRead,
    lookup_alias,
    lookup_columns,
    shelves_for,
    shelves_for_lookup,
    shelves_for_target,
    target_columns,
)
from services.extractor.rules import Kind
from services.extractor.snapshot import Place, frames_of
from services.extractor.spill import Shelves, SpillFile
from shared.bus.reading import last
from shared.contract.loading import Connector
from shared.errors import StopRun
from shared.events.documents import PartitionManifest
from shared.events.envelope import decode
from shared.events.facts import KeptRows, SnapshotRead
from shared.records.subjects import snapshot_read_subject

REPLAY_ROWS_MAX = 200_000
"""Rows of one side that are kept; a larger side is read again. At 200 bytes a row it is 40 MB before compression."""


def partition_of_kept(role: str, name: str) -> str:
    """The partition under which kept rows lie."""
    return f"raw-{role}-{name}"


def are_kept(keepable: Sequence[Keepable], *, rows_max: int) -> bool:
    """Whether these rows are few enough to be kept; never when the bound is 0."""
    return rows_max > 0 and sum(one.shelves.rows for one in keepable) <= rows_max


def batches_of(keepable: Iterable[Keepable]) -> Iterator[Batch]:
    """The messages of the rows that are kept."""
    for one in keepable:
        yield from messages(partition_of_kept(one.role, one.name), one.shelves.batches())


def kept_rows(keepable: Iterable[Keepable], manifests: Iterable[PartitionManifest]) -> tuple[KeptRows, ...]:
    """What the fact tells of the rows that were kept."""
    by_partition = {one.partition: one for one in manifests}
    return tuple(
        KeptRows(
            role=one.role,
            name=one.name,
            connection=one.wanted.connection,
            entity=one.wanted.entity,
            columns=tuple(one.wanted.columns),
            declared=dict(one.declared),
            manifest=by_partition[partition_of_kept(one.role, one.name)],
        )
        for one in keepable
    )


# --- reading back ---------------------------------------------------------------------------------------------------


async def fact_of(js: JetStreamContext, *, run: str, side: str, entity: str) -> SnapshotRead:
    """The fact that a side was read; `StopRun` when there is none."""
    subject = snapshot_read_subject(run=run, side=side, entity=entity)
    stored = await last(js, "CORE", subject)
    if stored is None:
        raise StopRun("DIF_SNAPSHOT_GONE", f"run {run}: nothing tells that the {side} of {entity} was read", run=run)
    return decode(SnapshotRead, data=stored.data, headers=stored.headers, subject=subject)


async def replayed(connector: Connector, fact: SnapshotRead, js: JetStreamContext, file: SpillFile) -> SideRead:
    """One side as the run of the fact read it, for another release; `StopRun` when its rows do not suffice."""
    if not fact.kept:
        raise StopRun(
            "DIF_SNAPSHOT_GONE",
            f"run {fact.run} kept no rows of the {fact.side} of {fact.entity}: its read was not certified, or had more "
            "rows than the extractor is told to keep (AETHER_REPLAY_ROWS_MAX); make a dry-run that reads the systems",
            run=fact.run,
        )
    if fact.side == "target":
        return await _replayed_target(connector, fact, js, file)
    contract = connector.definition.entities[fact.entity]
    layout, used = layout_of(contract), used_columns(contract)
    chosen: dict[str, KeptRows] = {}
    shelves: dict[str, Shelves] = {}
    for alias, columns in used.items():
        source = connector.definition.sources[alias]
        wanted = {"connection": source.connection, "entity": source.entity}
        chosen[alias] = _suitable(fact, role="source", name=alias, columns=columns, **wanted)
        shelves[alias] = shelves_for(alias, layout, connector, file)
    looked_up = lookup_columns(contract)
    for name, columns in looked_up.items():
        alias, connection = lookup_alias(name), connector.definition.target.connection
        chosen[alias] = _suitable(fact, role="lookup", name=name, columns=columns, connection=connection, entity=name)
        shelves[alias] = shelves_for_lookup(file)
    for alias, kept in chosen.items():
        await _fill(shelves[alias], fact, kept, js)
    return SideRead(
        shelves={alias: shelves[alias] for alias in used},
        lookups={name: shelves[lookup_alias(name)] for name in looked_up},
        schemas={alias: shelves[alias].schema for alias in used},
        declared={alias: _kinds(chosen[alias]) for alias in used},
        proof=_proof(fact, chosen),
    )


async def _replayed_target(connector: Connector, fact: SnapshotRead, js: JetStreamContext, file: SpillFile) -> SideRead:
    columns = target_columns(connector.definition.entities[fact.entity])
    connection = connector.definition.target.connection
    kept = _suitable(fact, role="target", name=fact.entity, columns=columns, connection=connection, entity=fact.entity)
    shelves = shelves_for_target(file)
    await _fill(shelves, fact, kept, js)
    return SideRead(
        shelves={TARGET: shelves},
        lookups={},
        schemas={TARGET: shelves.schema},
        declared={TARGET: _kinds(kept)},
        proof=_proof(fact, {}),
    )


def _suitable(
    fact: SnapshotRead, *, role: str, name: str, connection: str, entity: str, columns: Sequence[str]
) -> KeptRows:
    """The kept rows of that reading; an alias may have another name now, its system may not be another."""
    found = [one for one in fact.kept if (one.role, one.connection, one.entity) == (role, connection, entity)]
    if not found:
        raise StopRun(
            "DIF_SNAPSHOT_GONE",
            f"run {fact.run} did not read {entity} of {connection} as {role}; make a dry-run that reads the systems",
            run=fact.run,
        )
    found.sort(key=lambda one: (one.name != name, one.name))
    missing = [sorted(set(columns) - set(one.columns)) for one in found]
    for one, lacking in zip(found, missing, strict=True):
        if not lacking:
            return one
    raise StopRun(
        "DIF_SNAPSHOT_GONE",
        f"run {fact.run} kept no column {', '.join(missing[0])} of {entity} of {connection}, because its release used "
        "none; make a dry-run that reads the systems",
        run=fact.run,
    )


async def _fill(shelves: Shelves, fact: SnapshotRead, kept: KeptRows, js: JetStreamContext) -> None:
    async for frame in frames_of(js, Place.of(fact), kept.manifest):
        shelves.put(frame)


def _kinds(kept: KeptRows) -> dict[str, Kind]:
    return {name: cast("Kind", kind) for name, kind in kept.declared.items()}


def _proof(fact: SnapshotRead, chosen: Mapping[str, KeptRows]) -> Proof:
    """The certificates of the run that read; its figures under the names that the sources have now."""
    figures = fact.sources
    if chosen:
        by_name = {one.source: one for one in fact.sources}
        figures = tuple(
            by_name[lookup_alias(kept.name) if kept.role == "lookup" else kept.name].model_copy(
                update={"source": alias}
            )
            for alias, kept in chosen.items()
        )
    return Proof(certificates=fact.certificates, figures=figures, incomplete=fact.incomplete, is_usable=True)
