"""What the differ does: compares partitions, drafts the plan, takes decisions on it, and remembers what was written.

It owns the plan until the plan is approved, rejected, expired or stale. It writes to no outside system and holds no
credential of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from nats.js import JetStreamContext

from services.differ.approving import decide_plan
from services.differ.diff import Partition, diff, explained
from services.differ.ledger import Ledger, Written
from services.differ.pages import CutPage, cut, read_changes
from services.differ.planning import Draft, plan_of, status_after, summary_of
from services.differ.snapshots import partition_of, snapshot_read
from shared.bus.commit import Committer
from shared.bus.dispatch import Actor, Asked, RequestRoute, Route
from shared.bus.publishing import publish_one
from shared.bus.reading import last, read_all
from shared.clock import Clock, to_text
from shared.contract.catalog import Connectors
from shared.contract.loading import Connector
from shared.errors import NeedsPerson, StopRun
from shared.events.commands import DecideRun, DiffPartition, DraftPlan, draft_plan_subject
from shared.events.envelope import decode
from shared.events.facts import (
    ApplyFinished,
    OutcomeRecorded,
    PartitionDiffed,
    PlanDrafted,
    SnapshotRead,
    outcomes_filter,
)
from shared.hashing.commitment import commit
from shared.ids import is_run_id
from shared.plan.change import Change
from shared.plan.document import Plan, header_subject
from shared.policy.approval import Identities
from shared.policy.guard import Level
from shared.ports.connections import Connections
from shared.ports.registry import Registry
from shared.records.subjects import QUARANTINE, UNKEYED
from shared.run.moves import Decision, Message, Move, move_run, state_message
from shared.run.state import RunState
from shared.run.states import RunStatus
from shared.telemetry.memory import memory_peak_mb

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Context:
    """What the differ's handlers work with."""

    js: JetStreamContext
    committer: Committer
    connectors: Connectors
    connections: Connections
    registry: Registry
    identities: Identities
    ledger: Ledger
    commitment_master: bytes
    clock: Clock


# --- compare one partition ------------------------------------------------------------------------------------------


async def on_diff_partition(command: DiffPartition, context: Context) -> Move | None:
    """Compare one partition of every entity; the last one done asks for the plan."""
    state = await context.committer.run_state(command.run)
    if state.status is not RunStatus.DIFFING or command.partition in state.partitions_done:
        return None
    connector = _connector(state, context)
    facts = [
        await _diff_entity(state, command.partition, entity, connector, context)
        for entity in connector.definition.entities
    ]
    at = to_text(context.clock.now())
    return move_run(command.run, lambda now: partition_is_diffed(now, command.partition, facts, at=at))


async def _diff_entity(
    state: RunState, number: int, entity: str, connector: Connector, context: Context
) -> PartitionDiffed:
    started = context.clock.monotonic_seconds()
    source = await snapshot_read(context.js, run=state.run, side="source", entity=entity)
    target = await snapshot_read(context.js, run=state.run, side="target", entity=entity)
    quarantined = [await partition_of(context.js, side, QUARANTINE) for side in (source, target)]
    partition = Partition(
        target=state.target,
        entity=entity,
        contract=connector.definition.entities[entity],
        desired=await partition_of(context.js, source, str(number)),
        existing=await partition_of(context.js, target, str(number)),
        unkeyed=await partition_of(context.js, target, UNKEYED),
        quarantined_keys=frozenset(key for side in quarantined for key in side.get_column("key").drop_nulls()),
        may_remove=source.incomplete is None and all(one.is_certified for one in source.sources),
        commitment_master=context.commitment_master,
    )
    wire = context.registry.wire(connector.definition.target.system)
    result = await asyncio.to_thread(diff, partition, wire)
    written = await context.ledger.written_last(state.target, entity, [change.key for change in result.changes])
    changes = explained(result.changes, written)
    pages = cut(changes, run=state.run, entity=entity, partition=number)
    for page in pages:
        await _publish_page(page, context)
    return PartitionDiffed(
        run=state.run,
        partition=number,
        entity=entity,
        changes=len(changes),
        changes_by_class=result.by_class,
        null_outs=result.null_outs,
        ambiguous=len(result.ambiguous_keys),
        removals_suppressed=result.removals_suppressed,
        desired=result.desired,
        live_managed=result.live_managed,
        quarantined_kept=result.quarantined_kept,
        pages=tuple(page.reference for page in pages),
        seconds=round(context.clock.monotonic_seconds() - started, 3),
        memory_peak_mb=memory_peak_mb(),
    )


async def _publish_page(page: CutPage, context: Context) -> None:
    reference = page.reference
    message = Message(
        subject=reference.subject,
        event=page.page,
        # The content is part of the id: a page that was stored differently must not pass for this one.
        message_id=f"{reference.subject}.{reference.sha256[:16]}",
        about=page.page.run,
    )
    await publish_one(context.js, context.committer.outgoing(message))


def partition_is_diffed(state: RunState, partition: int, facts: list[PartitionDiffed], *, at: str) -> Decision:
    """The run after one partition: on to the guard when it was the last."""
    if state.status is not RunStatus.DIFFING or partition in state.partitions_done:
        return Decision()
    state = state.model_copy(update={"partitions_done": tuple(sorted((*state.partitions_done, partition)))})
    told = tuple(
        Message(
            subject=partition_diffed_subject(state.run, fact.entity, partition),
            event=fact,
            message_id=f"{state.run}.diffed.{fact.entity}.{partition}",
            about=state.run,
        )
        for fact in facts
    )
    if len(state.partitions_done) < state.partitions:
        return Decision((state_message(state), *told))
    command = Message(
        subject=draft_plan_subject(state.run),
        event=DraftPlan(run=state.run),
        message_id=f"{state.run}.draft",
        about=state.run,
    )
    return Decision((state_message(state.moved(RunStatus.GUARDING, at=at)), *told, command))


def partition_diffed_subject(run: str, entity: str, partition: int | str) -> str:
    """Where the fact that a partition was compared lies."""
    return f"evt.differ.partition_diffed.{run}.{entity}.{partition}"


# --- draft the plan -------------------------------------------------------------------------------------------------


async def on_draft_plan(command: DraftPlan, context: Context) -> Move | None:
    """Judge, order and seal what the partitions brought."""
    state = await context.committer.run_state(command.run)
    if state.status is not RunStatus.GUARDING:
        return None
    started = context.clock.monotonic_seconds()
    connector = _connector(state, context)
    snapshots = [
        await snapshot_read(context.js, run=state.run, side=item.side, entity=item.entity) for item in state.work
    ]
    plan = await _stored_plan(state, context)
    if plan is None:
        plan = await _draft(state, connector, snapshots, context)
    if plan.header.verdict.level in {Level.PASS, Level.WARN}:
        await accept_rows(state, plan, context)
    at = to_text(context.clock.now())
    seconds = round(context.clock.monotonic_seconds() - started, 3)
    log.info("plan_drafted", run=state.run, changes=plan.header.changes, seconds=seconds)
    return move_run(command.run, lambda now: plan_is_drafted(now, plan, at=at, seconds=seconds))


async def _stored_plan(state: RunState, context: Context) -> Plan | None:
    """The plan of a delivery that was killed before the run moved on; a second one would differ in its times."""
    stored = await last(context.js, "PLAN", header_subject(state.run))
    return None if stored is None else decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)


async def _draft(state: RunState, connector: Connector, snapshots: list[SnapshotRead], context: Context) -> Plan:
    partitions: list[PartitionDiffed] = []
    wanted = state.partitions * len(connector.definition.entities)
    async for stored in read_all(context.js, "CORE", partition_diffed_subject(state.run, "*", "*")):
        partitions.append(decode(PartitionDiffed, data=stored.data, headers=stored.headers, subject=stored.subject))
    if len(partitions) != wanted:
        raise StopRun(
            "DIF_SNAPSHOT_GONE",
            f"run {state.run}: {len(partitions)} partitions compared, {wanted} wanted",
            run=state.run,
        )
    changes: list[Change] = []
    for part in partitions:
        changes += await read_changes(context.js, part.pages, run=state.run)
    draft = Draft(
        state=state,
        connector=connector,
        environment=context.connections.named(connector.definition.target.connection).environment,
        snapshots=snapshots,
        partitions=partitions,
        changes=changes,
        rows_accepted=await context.ledger.rows_accepted(state.connector),
        now=context.clock.now(),
    )
    plan = await asyncio.to_thread(plan_of, draft)
    message = Message(subject=header_subject(state.run), event=plan, message_id=f"{state.run}.plan", about=state.run)
    await publish_one(context.js, context.committer.outgoing(message, expected_last_seq=0))
    return plan


async def accept_rows(state: RunState, plan: Plan, context: Context) -> None:
    """Remember the certified row counts of an accepted plan; the next run is measured against them."""
    rows = {
        (entity.entity, source.source): source.rows
        for entity in plan.header.figures.entities
        for source in entity.sources
        if source.is_certified and source.rows is not None
    }
    await context.ledger.remember_rows(state.connector, rows, run=state.run)


def plan_is_drafted(state: RunState, plan: Plan, *, at: str, seconds: float) -> Decision:
    """The run with its plan, in the state that the verdict leads to."""
    if state.status is not RunStatus.GUARDING:
        return Decision()
    status, failure = status_after(plan, state.mode)
    summary = summary_of(plan)
    moved = state.model_copy(update={"plan": summary}).moved(status, at=at, failure=failure)
    fact = PlanDrafted(
        run=state.run,
        plan_digest=summary.plan_digest,
        content_digest=summary.content_digest,
        verdict_digest=summary.verdict_digest,
        verdict_level=summary.verdict_level,
        verdict_lines=tuple(f"{line.level.value} {line.text}" for line in plan.header.verdict.lines),
        changes=summary.changes,
        changes_by_class=summary.changes_by_class,
        approvals_needed=summary.approvals_needed,
        expires_at=summary.expires_at,
        seconds=seconds,
        memory_peak_mb=memory_peak_mb(),
    )
    told = Message(
        subject=f"evt.differ.plan_drafted.{state.run}",
        event=fact,
        message_id=f"{state.run}.drafted",
        about=state.run,
    )
    return Decision((state_message(moved), told))


# --- decisions of people --------------------------------------------------------------------------------------------


async def on_decide_run(command: DecideRun, actor: Actor, context: Context, *, decision: str) -> Asked:
    """Count an approval or a rejection, or refuse it."""
    approval = command.signed.approval
    if not is_run_id(approval.run):
        raise NeedsPerson("APV_UNKNOWN_RUN", f"{approval.run[:60]!r} is no run id")
    if approval.decision != decision:
        raise NeedsPerson(
            "APV_MALFORMED",
            f"the signed decision is {approval.decision!r}, it was sent as {decision!r}",
            run=approval.run,
        )
    now = context.clock.now()

    def decide(state: RunState) -> Decision:
        return decide_plan(state, command.signed, actor=actor.name, identities=context.identities, now=now)

    return Asked(run=approval.run, move=move_run(approval.run, decide))


async def on_approve_run(command: DecideRun, actor: Actor, context: Context) -> Asked:
    """Count an approval, or refuse it."""
    return await on_decide_run(command, actor, context, decision="approve")


async def on_reject_run(command: DecideRun, actor: Actor, context: Context) -> Asked:
    """Reject a plan."""
    return await on_decide_run(command, actor, context, decision="reject")


# --- remember what was written --------------------------------------------------------------------------------------


async def on_apply_finished(fact: ApplyFinished, context: Context) -> Move | None:
    """Keep commitments to what the run wrote, and its row counts, for the next comparison."""
    stored = await last(context.js, "PLAN", header_subject(fact.run))
    if stored is None:
        return None
    plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
    results = await _results(fact.run, context)
    changes = await read_changes(context.js, plan.pages, run=fact.run)
    written = [
        Written(
            entity=change.entity,
            key=change.key,
            target_id=results[change.change_id].target_id or change.target_id,
            commitments={one.name: commit(bytes.fromhex(change.commitment_key), one.after) for one in change.fields},
        )
        for change in changes
        if change.change_id in results and results[change.change_id].result in {"applied", "noop_already"}
    ]
    await context.ledger.remember_written(fact.target, written, run=fact.run)
    await accept_rows(await context.committer.run_state(fact.run), plan, context)
    return None


async def _results(run: str, context: Context) -> Mapping[str, OutcomeRecorded]:
    results: dict[str, OutcomeRecorded] = {}
    async for stored in read_all(context.js, "LEDGER", outcomes_filter(run)):
        if stored.headers.get("ce-type") == OutcomeRecorded.event_type:
            outcome = decode(OutcomeRecorded, data=stored.data, headers=stored.headers, subject=stored.subject)
            results[outcome.change_id] = outcome
    return results


def _connector(state: RunState, context: Context) -> Connector:
    connector = context.connectors.load(state.connector)
    if connector.digest != state.release_digest:
        raise StopRun(
            "CTR_INVALID",
            f"run {state.run} was admitted for release {state.release_digest} of {state.connector}, "
            f"the folder now holds {connector.digest}; run again",
            run=state.run,
        )
    return connector


ROUTES: tuple[Route[Context], ...] = (
    Route(event=DiffPartition, handler=on_diff_partition),
    Route(event=DraftPlan, handler=on_draft_plan),
    Route(event=ApplyFinished, handler=on_apply_finished),
)

REQUESTS: tuple[RequestRoute[Context], ...] = (
    RequestRoute(subject="aether.run.approve", body=DecideRun, handler=on_approve_run),
    RequestRoute(subject="aether.run.reject", body=DecideRun, handler=on_reject_run),
)
