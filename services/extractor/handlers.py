"""What the extractor does with a request for a run, a cancellation, and the command to read one side.

Admits runs, reads and certifies, normalises, and hands the canonical records on. It plans nothing and holds no
credential that may write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl
import structlog
from nats.js import JetStreamContext

from services.extractor.admission import Admission, admit, cancel
from services.extractor.extract import Extract, extract
from services.extractor.normalise import Normalised, normalise_desired, normalise_existing
from services.extractor.snapshot import cut, publish
from shared.bus.commit import Committer
from shared.bus.dispatch import Actor, Asked, RequestRoute, Route
from shared.bus.reading import last
from shared.clock import Clock, to_text
from shared.contract.catalog import Connectors
from shared.contract.loading import Connector
from shared.errors import AetherError, NeedsPerson, StopRun
from shared.events.commands import DiffPartition, NameRun, ReadSide, RequestRun, diff_partition_subject
from shared.events.documents import FailureNote, PartitionManifest
from shared.events.envelope import decode
from shared.events.facts import SnapshotRead, UnmappedId, apply_started_subject
from shared.events.stored import Stored
from shared.ids import Ids, is_run_id, new_run_id
from shared.policy.guard import SourceFigures
from shared.ports.connections import Connection, Connections
from shared.ports.registry import Registry
from shared.ports.system import Source
from shared.records.certificate import Certificate
from shared.records.live import live_column
from shared.records.subjects import snapshot_read_subject
from shared.run.active import ConnectorActive, active_subject
from shared.run.moves import Decision, Message, Move, move_run, run_state_in, state_message
from shared.run.state import RunState, WorkItem, state_subject
from shared.run.states import RunStatus
from shared.telemetry.memory import memory_peak_mb

log = structlog.get_logger(__name__)

UNMAPPED_SHOWN_MAX = 50
"""Unmapped ids listed in the fact; the quarantine holds every row."""


@dataclass(frozen=True)
class Context:
    """What the extractor's handlers work with."""

    js: JetStreamContext
    committer: Committer
    connectors: Connectors
    connections: Connections
    registry: Registry
    clock: Clock
    ids: Ids


# --- commands of people ---------------------------------------------------------------------------------------------


async def on_request_run(request: RequestRun, actor: Actor, context: Context) -> Asked:
    """Admit a run, or refuse it."""
    connector = context.connectors.load(request.connector)
    now = context.clock.now()
    run = new_run_id(now, context.ids)
    admission = Admission(
        request=request,
        requester=actor.name,
        run=run,
        definition=connector.definition,
        release_digest=connector.digest,
        at=to_text(now),
    )
    subject = active_subject(connector.definition.name)
    active = active_in(await last(context.js, "CORE", subject))
    earlier = [] if active is None else [one for one in (active.run, active.waiting) if one is not None]
    watched = (subject, state_subject(run), *(state_subject(one) for one in earlier))

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        if active_in(read[subject]) != active:
            # Another request was quicker; its run is under way by now.
            raise NeedsPerson(
                "APV_OVERLAP",
                f"connector {request.connector}: another run was admitted at the same moment; see `aether runs`",
            )
        states = [run_state_in(one, read[state_subject(one)]) for one in earlier]
        return admit(
            admission,
            present=states[0] if states else None,
            waiting=states[1] if len(states) > 1 else None,
        )

    return Asked(run=run, move=Move(reads=watched, decide=decide))


def active_in(stored: Stored | None) -> ConnectorActive | None:
    """The connector's document in a stored message."""
    if stored is None:
        return None
    return decode(ConnectorActive, data=stored.data, headers=stored.headers, subject=stored.subject)


async def on_cancel_run(command: NameRun, actor: Actor, context: Context) -> Asked:
    """End a run, or ask its applier to end it at the next change."""
    run = checked_run(command.run)
    at = to_text(context.clock.now())
    return Asked(
        run=run,
        move=move_run(run, lambda state: cancel(state, actor=actor.name, reason=command.reason, at=at)),
    )


def checked_run(text: str) -> str:
    """The run id; `NeedsPerson` for a text that is none, before it becomes part of a subject."""
    if not is_run_id(text):
        raise NeedsPerson("APV_UNKNOWN_RUN", f"{text[:60]!r} is no run id; ids look like 20261122T083455-4k7zq2")
    return text


# --- the command to read --------------------------------------------------------------------------------------------


async def on_read_side(command: ReadSide, context: Context) -> Move | None:
    """Read one side of one entity, normalise it, and put the records on the bus."""
    state = await context.committer.run_state(command.run)
    if state.has_ended or state.item(command.side, command.entity).status in {"ready", "incomplete"}:
        return None
    started = context.clock.monotonic_seconds()
    started_at = to_text(context.clock.now())
    await context.committer.commit(move_run(command.run, lambda now: _begin_reading(now, at=started_at)))
    connector = context.connectors.load(state.connector)
    if connector.digest != state.release_digest:
        raise NeedsPerson(
            "CTR_INVALID",
            f"run {state.run} was admitted for release {state.release_digest} of {state.connector}, "
            f"the folder now holds {connector.digest}; run again",
            run=state.run,
        )
    attempt = context.ids.token(8)
    serial = await _target_serial(context, state.target)
    side = await (_read_source if command.side == "source" else _read_target)(command, connector, context)
    if side.incomplete is None and command.side == "source":
        await context.committer.commit(
            move_run(command.run, lambda now: _source_was_read(now, at=to_text(context.clock.now())))
        )
    manifests: tuple[PartitionManifest, ...] = ()
    normalised: Normalised | None = None
    if side.frames is not None:
        try:
            normalised = await asyncio.to_thread(_normalise, command, connector, side.frames)
        except StopRun as error:
            side = replace(side, frames=None, incomplete=FailureNote.of(error))
    if normalised is not None:
        parts = await asyncio.to_thread(
            cut, normalised.records, normalised.quarantined, partitions=connector.definition.partitions
        )
        manifests = await publish(
            context.js,
            parts,
            run=command.run,
            side=command.side,
            entity=command.entity,
            attempt=attempt,
            at=context.clock.now(),
        )
    fact = SnapshotRead(
        run=command.run,
        side=command.side,
        entity=command.entity,
        attempt=attempt,
        certificates=side.certificates,
        sources=side.figures,
        incomplete=side.incomplete,
        target_serial=serial,
        records=0 if normalised is None else normalised.records.height,
        quarantined=0 if normalised is None else _records_in(normalised),
        quarantined_by_code=_by_code(normalised),
        unmapped=_unmapped(normalised),
        out_of_scope=0 if normalised is None else normalised.out_of_scope,
        partitions=manifests,
        started_at=started_at,
        seconds=round(context.clock.monotonic_seconds() - started, 3),
        memory_peak_mb=memory_peak_mb(),
    )
    log.info(
        "side_read", run=command.run, side=command.side, entity=command.entity, records=fact.records,
        seconds=fact.seconds, code=side.incomplete.code if side.incomplete else None,
    )  # fmt: skip
    at, is_usable = to_text(context.clock.now()), side.frames is not None
    return move_run(command.run, lambda now: side_is_read(now, fact, is_usable=is_usable, at=at))


@dataclass(frozen=True)
class _Side:
    """What reading one side brought."""

    frames: Mapping[str, pl.DataFrame] | None
    """By alias; None when a reading broke off, so that there is nothing to go on with."""
    certificates: tuple[Certificate, ...]
    figures: tuple[SourceFigures, ...]
    incomplete: FailureNote | None


async def _read_source(command: ReadSide, connector: Connector, context: Context) -> _Side:
    entity = connector.definition.entities[command.entity]
    aliases = [entity.origin.source, *(join.source for join in entity.joins)]
    references = {alias: connector.definition.sources[alias] for alias in dict.fromkeys(aliases)}

    async def read(alias: str) -> Extract:
        reference = references[alias]
        return await _extract(context, reference.connection, reference.entity, side="source")

    async with asyncio.TaskGroup() as group:
        tasks = {alias: group.create_task(read(alias)) for alias in references}
    return _side_of({alias: task.result() for alias, task in tasks.items()})


async def _read_target(command: ReadSide, connector: Connector, context: Context) -> _Side:
    got = await _extract(context, connector.definition.target.connection, command.entity, side="target")
    return _side_of({"target": got})


async def _extract(context: Context, connection_name: str, entity: str, *, side: str) -> Extract:
    source: Source | None = None
    try:
        connection: Connection = context.connections.named(connection_name)
        source = context.registry.open_source(connection)
        return await extract(
            source,
            connection=connection,
            name=connection_name,
            entity=entity,
            side="source" if side == "source" else "target",
            clock=context.clock,
        )
    except AetherError as error:
        return Extract(frame=None, rows=None, certificate=None, incomplete=FailureNote.of(error))
    finally:
        if source is not None:
            await source.close()


def _side_of(extracts: Mapping[str, Extract]) -> _Side:
    faults = [got.incomplete for got in extracts.values() if got.incomplete is not None]
    frames = {alias: got.frame for alias, got in extracts.items() if got.frame is not None}
    return _Side(
        frames=frames if len(frames) == len(extracts) else None,
        certificates=tuple(got.certificate for got in extracts.values() if got.certificate is not None),
        figures=tuple(
            SourceFigures(source=alias, rows=got.rows, is_certified=got.certificate is not None)
            for alias, got in extracts.items()
        ),
        incomplete=faults[0] if faults else None,
    )


def _normalise(command: ReadSide, connector: Connector, frames: Mapping[str, pl.DataFrame]) -> Normalised:
    contract = connector.definition.entities[command.entity]
    if command.side == "source":
        return normalise_desired(contract, connector.tables, frames)
    existing = normalise_existing(contract, frames["target"])
    # The record as the target showed it stands beside its normalised form: preconditions speak of the former.
    live = frames["target"].select("target_id", *(pl.col(name).alias(live_column(name)) for name in contract.fields))
    return Normalised(
        records=existing.records.join(live, on="target_id", how="left", validate="1:1"),
        quarantined=existing.quarantined,
        unmapped=existing.unmapped,
        discarded=existing.discarded,
        out_of_scope=existing.out_of_scope,
        rows_read=existing.rows_read,
    )


async def _target_serial(context: Context, target: str) -> int:
    stored = await last(context.js, "CORE", apply_started_subject(target))
    return 0 if stored is None else stored.seq


def _records_in(normalised: Normalised) -> int:
    return len(normalised.quarantined_keys) + normalised.quarantined_without_key


def _by_code(normalised: Normalised | None) -> dict[str, int]:
    if normalised is None:
        return {}
    counted = normalised.quarantined.group_by("code").len().sort("code")
    return {str(code): int(count) for code, count in counted.iter_rows()}


def _unmapped(normalised: Normalised | None) -> tuple[UnmappedId, ...]:
    if normalised is None:
        return ()
    return tuple(
        UnmappedId(table=item.table, value=item.raw_id, rows=item.rows)
        for item in normalised.unmapped[:UNMAPPED_SHOWN_MAX]
    )


# --- decisions ------------------------------------------------------------------------------------------------------


def _begin_reading(state: RunState, *, at: str) -> Decision:
    if state.status is not RunStatus.QUEUED:
        return Decision()
    return Decision((state_message(state.moved(RunStatus.EXTRACTING, at=at)),))


def _source_was_read(state: RunState, *, at: str) -> Decision:
    if state.status is not RunStatus.EXTRACTING:
        return Decision()
    return Decision((state_message(state.moved(RunStatus.NORMALISING, at=at)),))


def side_is_read(state: RunState, fact: SnapshotRead, *, is_usable: bool, at: str) -> Decision:
    """The run after one side was read: blocked when it cannot be used, on to diffing when it was the last."""
    item = state.item(fact.side, fact.entity)
    if state.has_ended or item.status in {"ready", "incomplete"}:
        return Decision()
    changed = WorkItem(
        side=fact.side,
        entity=fact.entity,
        status="ready" if fact.incomplete is None else "incomplete",
        attempt=fact.attempt,
    )
    state = state.with_item(changed)
    told = Message(
        subject=snapshot_read_subject(run=fact.run, side=fact.side, entity=fact.entity),
        event=fact,
        message_id=f"{fact.run}.read.{fact.side}.{fact.entity}.{fact.attempt}",
        about=fact.run,
    )
    if not is_usable:
        return Decision((state_message(_blocked(state, fact, at=at)), told))
    if any(other.status == "waiting" for other in state.work):
        return Decision((state_message(state), told))
    if state.status is RunStatus.EXTRACTING:
        state = state.moved(RunStatus.NORMALISING, at=at)
    state = state.moved(RunStatus.DIFFING, at=at)
    commands = tuple(
        Message(
            subject=diff_partition_subject(state.run, partition),
            event=DiffPartition(run=state.run, partition=partition),
            message_id=f"{state.run}.diff.{partition}",
            about=state.run,
        )
        for partition in range(state.partitions)
    )
    return Decision((state_message(state), told, *commands))


def _blocked(state: RunState, fact: SnapshotRead, *, at: str) -> RunState:
    assert fact.incomplete is not None, "a side that cannot be used says why"  # noqa: S101 -- a boundary of ours
    if state.status is RunStatus.QUEUED:
        state = state.moved(RunStatus.EXTRACTING, at=at)
    note = FailureNote(
        code=fact.incomplete.code,
        text=f"the {fact.side} of {fact.entity} could not be read whole: {fact.incomplete.text}",
    )
    return state.moved(RunStatus.BLOCKED, at=at, failure=note)


ROUTES: tuple[Route[Context], ...] = (Route(event=ReadSide, handler=on_read_side),)

REQUESTS: tuple[RequestRoute[Context], ...] = (
    RequestRoute(subject="aether.run.request", body=RequestRun, handler=on_request_run),
    RequestRoute(subject="aether.run.cancel", body=NameRun, handler=on_cancel_run),
)
