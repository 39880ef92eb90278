"""What the extractor does with a request for a run, a cancellation, and the command to read one side.

Admits runs, reads and certifies, normalises, and hands the canonical records on. It plans nothing and holds no
credential that may write.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import structlog
from nats.js import JetStreamContext

from services.extractor.admission import Admission, admit, cancel
from services.extractor.checkpoints import CheckpointRule, Checkpoints
from services.extractor.kept import (
    REPLAY_ROWS_MAX,
    are_kept,
    batches_of,
    fact_of,
    kept_rows,
    replayed,
)
from services.extractor.normalise import Account, Rules
from services.extractor.one_entity import Systems
from services.extractor.pipeline import Counts, SideInWork
from services.extractor.promoting import promote
from services.extractor.reading import TARGET, SideRead, read_source, read_target
from services.extractor.schedule_moves import pause, resume
from services.extractor.snapshot import Place, publish
from services.extractor.spill import SpillFile
from shared.bus.commit import Committer
from shared.bus.dispatch import Actor, Asked, RequestRoute, Route
from shared.bus.reading import last
from shared.clock import Clock, to_text
from shared.contract.catalog import Connectors
from shared.contract.loading import Connector
from shared.errors import NeedsPerson, RecordRefused, StopRun
from shared.events.commands import (
    DiffPartition,
    NameRun,
    PromoteConnector,
    ReadSide,
    RequestRun,
    diff_partition_subject,
)
from shared.events.documents import FailureNote, PartitionManifest
from shared.events.facts import DriftFound, KeptRows, SnapshotRead, UnmappedId, apply_started_subject
from shared.events.schedules import NameSchedule
from shared.events.stored import Stored
from shared.ids import Ids, new_run_id
from shared.ports.connections import Connections
from shared.ports.registry import Registry
from shared.records.hashes import HASH_VERSION
from shared.records.subjects import snapshot_read_subject
from shared.run.active import active_in, active_subject
from shared.run.moves import Decision, Message, Move, move_run, run_state_in, state_message
from shared.run.promoted import promoted_subject, promotions_in
from shared.run.state import RunState, WorkItem, checked_run, state_subject
from shared.run.states import RunStatus
from shared.schedule.state import schedule_state_in, schedule_subject
from shared.telemetry.memory import memory_peak_mb
from shared.telemetry.spans import RECORDS, phase

log = structlog.get_logger(__name__)

UNMAPPED_SHOWN_MAX = 50
"""Unmapped ids listed in the fact; the quarantine holds every row."""
DRIFT_SHOWN_MAX = 50
"""Notes on drift listed in the fact."""


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
    spill_folder: Path | None = None
    """Where large reads are laid down while they are worked on; None: the folder for passing files."""
    replay_rows_max: int = REPLAY_ROWS_MAX
    """Rows of one certified side that are kept for a replay; 0 keeps none."""
    checkpoints: CheckpointRule | None = None
    """How often a reading is made durable, so that it can be taken up; None: never."""
    environment: str = "staging"
    """In production only what was promoted is applied."""
    rng: Random = field(default_factory=Random)
    """For the jitter of waits."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


# --- commands of people ---------------------------------------------------------------------------------------------


async def on_request_run(request: RequestRun, actor: Actor, context: Context) -> Asked:
    """Admit a run, or refuse it."""
    connector = context.connectors.load(request.connector, version=request.version)
    original = None if request.replay_of is None else checked_run(request.replay_of)
    now = context.clock.now()
    run = new_run_id(now, context.ids)
    admission = Admission(
        request=request,
        requester=actor.name,
        run=run,
        definition=connector.definition,
        release_digest=connector.digest,
        is_published=connector.is_published,
        is_promoted=await is_promoted(connector, context),
        at=to_text(now),
    )
    subject = active_subject(connector.definition.name)
    active = active_in(await last(context.js, "CORE", subject))
    earlier = [] if active is None else [one for one in (active.run, active.waiting) if one is not None]
    looked_at = earlier if original is None else [*earlier, original]
    watched = (subject, state_subject(run), *dict.fromkeys(state_subject(one) for one in looked_at))

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
            original=None if original is None else run_state_in(original, read[state_subject(original)]),
        )

    return Asked(run=run, move=Move(reads=watched, decide=decide))


async def is_promoted(connector: Connector, context: Context) -> bool:
    """Whether the house lets this release be applied: in staging every one."""
    if context.environment != "production":
        return True
    promotions = promotions_in(await last(context.js, "CORE", promoted_subject(connector.definition.name)))
    return promotions is not None and promotions.has(connector.digest)


async def on_promote_connector(command: PromoteConnector, actor: Actor, context: Context) -> Asked:
    """Let a release be applied in production, or refuse it."""
    release = context.connectors.load(command.connector, version=command.version)
    subject, at = promoted_subject(release.definition.name), to_text(context.clock.now())

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        return promote(
            command,
            release=release,
            environment=context.environment,
            present=promotions_in(read[subject]),
            actor=actor.name,
            at=at,
        )

    return Asked(run=None, move=Move(reads=(subject,), decide=decide))


async def on_pause_schedule(command: NameSchedule, actor: Actor, context: Context) -> Asked:
    """Let a connector run by itself no more, until it is resumed."""
    subject, at = schedule_subject(command.connector), to_text(context.clock.now())
    return Asked(
        run=None,
        move=Move(
            reads=(subject,),
            decide=lambda read: pause(command, present=schedule_state_in(read[subject]), actor=actor.name, at=at),
        ),
    )


async def on_resume_schedule(command: NameSchedule, actor: Actor, context: Context) -> Asked:
    """Let a connector run by itself again."""
    subject, at = schedule_subject(command.connector), to_text(context.clock.now())
    return Asked(
        run=None,
        move=Move(
            reads=(subject,),
            decide=lambda read: resume(command, present=schedule_state_in(read[subject]), actor=actor.name, at=at),
        ),
    )


async def on_cancel_run(command: NameRun, actor: Actor, context: Context) -> Asked:
    """End a run, or ask its applier to end it at the next change."""
    run = checked_run(command.run)
    at = to_text(context.clock.now())
    return Asked(
        run=run,
        move=move_run(run, lambda state: cancel(state, actor=actor.name, reason=command.reason, at=at)),
    )


# --- the command to read --------------------------------------------------------------------------------------------


async def on_read_side(command: ReadSide, context: Context) -> Move | None:
    """Read one side of one entity, normalise it, and put the records on the bus."""
    state = await context.committer.run_state(command.run)
    if state.has_ended or state.item(command.side, command.entity).status in {"ready", "incomplete"}:
        return None
    started = context.clock.monotonic_seconds()
    began = context.clock.now()
    await context.committer.commit(move_run(command.run, lambda now: _begin_reading(now, at=to_text(began))))
    connector = context.connectors.release(state.connector, state.release_digest)
    original = await _original(state, command, context)
    attempt = context.ids.token(8)
    serial = await _target_serial(context, state.target) if original is None else original.target_serial
    made: _Made | None = None
    with SpillFile(context.spill_folder) as file:
        if original is None:
            read = read_source if command.side == "source" else read_target
            with phase("read", side=command.side, entity=command.entity):
                side = await read(connector, command.entity, _systems(command, serial, context), file)
        else:
            side = await replayed(connector, original, context.js, file)
        proof = side.proof
        if proof.incomplete is None and command.side == "source":
            await context.committer.commit(
                move_run(command.run, lambda now: _source_was_read(now, at=to_text(context.clock.now())))
            )
        if proof.is_usable:
            place = Place(run=command.run, side=command.side, entity=command.entity, attempt=attempt)
            try:
                with phase("normalise", side=command.side, entity=command.entity) as span:
                    made = await _make(side, place=place, connector=connector, file=file, context=context)
                    span.set_attribute(RECORDS, made.counts.records)
            except (StopRun, RecordRefused) as error:
                proof = replace(proof, is_usable=False, incomplete=FailureNote.of(error))
    fact = SnapshotRead(
        run=command.run,
        side=command.side,
        entity=command.entity,
        attempt=attempt,
        certificates=proof.certificates,
        sources=proof.figures,
        incomplete=proof.incomplete,
        target_serial=serial,
        records=0 if made is None else made.counts.records,
        quarantined=0 if made is None else made.counts.quarantined,
        quarantined_by_code={} if made is None else dict(made.counts.by_code),
        unmapped=_unmapped(made),
        out_of_scope=0 if made is None else made.account.out_of_scope,
        partitions=() if made is None else made.manifests,
        # What a replay decides by time, it decides as of the reading; so does one that an earlier process began.
        started_at=to_text(min(began, proof.began_at or began)) if original is None else original.started_at,
        seconds=round(context.clock.monotonic_seconds() - started, 3),
        memory_peak_mb=memory_peak_mb(),
        hash_version=None if made is None else HASH_VERSION,
        keyless=0 if made is None else made.counts.keyless,
        discarded=_discarded(made),
        drift=_drift(made),
        drift_total=0 if made is None else len(made.account.drift),
        kept=() if made is None else made.kept,
        rereads=proof.rereads,
    )
    log.info(
        "side_read", run=command.run, side=command.side, entity=command.entity, records=fact.records,
        seconds=fact.seconds, code=proof.incomplete.code if proof.incomplete else None,
    )  # fmt: skip
    at, is_usable = to_text(context.clock.now()), proof.is_usable
    return move_run(command.run, lambda now: side_is_read(now, fact, is_usable=is_usable, at=at))


@dataclass(frozen=True)
class _Made:
    """A snapshot that lies on the bus, and the account of it."""

    account: Account
    counts: Counts
    manifests: tuple[PartitionManifest, ...]
    kept: tuple[KeptRows, ...]


async def _original(state: RunState, command: ReadSide, context: Context) -> SnapshotRead | None:
    """For a replay the fact that the side was read; None when the systems are to be read."""
    if state.replay_of is None:
        return None
    return await fact_of(context.js, run=state.replay_of, side=command.side, entity=command.entity)


def _systems(command: ReadSide, target_serial: int, context: Context) -> Systems:
    """How the systems of this side are reached, and where its readings are made durable."""
    checkpoints = None
    if context.checkpoints is not None:
        checkpoints = Checkpoints(
            js=context.js,
            run=command.run,
            side=command.side,
            entity=command.entity,
            target_serial=target_serial,
            clock=context.clock,
            ids=context.ids,
            rule=context.checkpoints,
        )
    return Systems(
        context.connections, context.registry, context.clock, checkpoints, rng=context.rng, sleep=context.sleep
    )


async def _make(side: SideRead, *, place: Place, connector: Connector, file: SpillFile, context: Context) -> _Made:
    """Normalise what was read and put it on the bus; `StopRun` or `RecordRefused` when it cannot be."""
    definition = connector.definition
    work = SideInWork(definition.entities[place.entity], partitions=definition.partitions, file=file)
    if place.side == "source":
        rules = Rules(
            tables=connector.tables,
            transforms=connector.transforms,
            lookups={entity: shelves.take([0]) for entity, shelves in side.lookups.items()},
            declared=side.declared,
            shapes=side.schemas,
        )
        account = await asyncio.to_thread(work.take_desired, side.shelves, rules)
    else:
        account = await asyncio.to_thread(work.take_existing, side.shelves[TARGET])
    manifests = await publish(context.js, work.batches(), place=place, at=context.clock.now())
    kept: tuple[KeptRows, ...] = ()
    if side.proof.incomplete is None and are_kept(side.keepable, rows_max=context.replay_rows_max):
        raw = await publish(context.js, batches_of(side.keepable), place=place, at=context.clock.now())
        kept = kept_rows(side.keepable, raw)
    return _Made(account, work.counts(), manifests, kept)


async def _target_serial(context: Context, target: str) -> int:
    stored = await last(context.js, "CORE", apply_started_subject(target))
    return 0 if stored is None else stored.seq


def _unmapped(made: _Made | None) -> tuple[UnmappedId, ...]:
    if made is None:
        return ()
    return tuple(
        UnmappedId(table=item.table, value=item.raw_id, rows=item.rows)
        for item in made.account.unmapped[:UNMAPPED_SHOWN_MAX]
    )


def _discarded(made: _Made | None) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for item in made.account.discarded if made is not None else ():
        counts[item.field] += item.rows
    return dict(counts)


def _drift(made: _Made | None) -> tuple[DriftFound, ...]:
    if made is None:
        return ()
    return tuple(
        DriftFound(
            alias=note.alias, column=note.column, what=note.what, policy=note.policy, field=note.field,
            rows=note.rows, detail=note.detail,
        )
        for note in made.account.drift[:DRIFT_SHOWN_MAX]
    )  # fmt: skip


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
    RequestRoute(subject="aether.schedule.pause", body=NameSchedule, handler=on_pause_schedule),
    RequestRoute(subject="aether.schedule.resume", body=NameSchedule, handler=on_resume_schedule),
    RequestRoute(subject="aether.connector.promote", body=PromoteConnector, handler=on_promote_connector),
)
