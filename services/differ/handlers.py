"""What the differ does: compares partitions, drafts the plan, takes decisions on it, and remembers what was written.

It owns the plan until the plan is approved, rejected, expired or stale. It writes to no outside system and holds no
credential of one.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from services.differ.approving import decide_plan
from services.differ.context import ATTEMPT_SIGNS, Context, connector_of, declared_in
from services.differ.declaring import declare, withdraw
from services.differ.drafting import drafted_plan, partition_diffed_subject, stored_plan
from services.differ.expiry import expiry_command, on_expire_plan
from services.differ.partitions import compare_partition
from services.differ.planning import status_after, summary_of
from services.differ.remembering import remember_apply
from services.differ.subsets import index_for
from shared.bus.dispatch import Actor, Asked, RequestRoute, Route
from shared.clock import to_text
from shared.errors import NeedsPerson
from shared.events.commands import (
    DecideRun,
    DeclareDelta,
    DiffPartition,
    DraftPlan,
    ExpirePlan,
    WithdrawDelta,
    draft_plan_subject,
)
from shared.events.facts import ApplyFinished, PartitionDiffed, PlanDrafted
from shared.events.stored import Stored
from shared.ids import is_name, is_run_id
from shared.plan.document import Plan
from shared.policy.guard import Level
from shared.run.declared import connector_of_declaration, declared_subject
from shared.run.moves import Decision, Message, Move, move_run, state_message
from shared.run.state import RunState
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus
from shared.telemetry.memory import memory_peak_mb
from shared.telemetry.spans import CHANGES, phase

__all__ = ["REQUESTS", "ROUTES", "Context"]

log = structlog.get_logger(__name__)

DECLARATION_SIGNS = 6
"""Length of the token in the id of a declaration."""


# --- compare one partition ------------------------------------------------------------------------------------------


async def on_diff_partition(command: DiffPartition, context: Context) -> Move | None:
    """Compare one partition of every entity; the last one done asks for the plan."""
    state = await context.committer.run_state(command.run)
    if state.status is not RunStatus.DIFFING or command.partition in state.partitions_done:
        return None
    connector = connector_of(state, context)
    attempt = context.ids.token(ATTEMPT_SIGNS)
    facts = []
    for entity in connector.definition.entities:
        with phase("compare", entity=entity, partition=command.partition):
            facts.append(await compare_partition(state, command.partition, entity, connector, context, attempt=attempt))
    at = to_text(context.clock.now())
    return move_run(command.run, lambda now: partition_is_diffed(now, command.partition, facts, at=at))


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


# --- draft the plan -------------------------------------------------------------------------------------------------


async def on_draft_plan(command: DraftPlan, context: Context) -> Move | None:
    """Judge, order and seal what the partitions brought."""
    state = await context.committer.run_state(command.run)
    if state.status is not RunStatus.GUARDING:
        return None
    started = context.clock.monotonic_seconds()
    with phase("draft") as span:
        plan = await drafted_plan(state, connector_of(state, context), context)
        span.set_attribute(CHANGES, plan.header.changes)
    if plan.header.verdict.level in {Level.PASS, Level.WARN} and state.replay_of is None:
        await accept_rows(state, plan, context)
    at = to_text(context.clock.now())
    seconds = round(context.clock.monotonic_seconds() - started, 3)
    log.info("plan_drafted", run=state.run, changes=plan.header.changes, seconds=seconds)
    return move_run(command.run, lambda now: plan_is_drafted(now, plan, at=at, seconds=seconds))


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
    clock = (expiry_command(state.run, summary),) if status in WAITING_FOR_A_PERSON else ()
    return Decision((state_message(moved), told, *clock))


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
    index = await index_for(command, context)
    now = context.clock.now()

    def decide(state: RunState) -> Decision:
        return decide_plan(
            state,
            command.signed,
            actor=actor.name,
            identities=context.identities,
            now=now,
            deferred=command.deferred,
            index=index,
        )

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
    state = await context.committer.run_state(fact.run)
    plan = await stored_plan(state.plan_run, context)
    if plan is None:
        return None
    with phase("remember"):
        await remember_apply(fact, state, plan, context)
    # The rows of a retry are those that the run it retries was planned from, and were accepted with it.
    if state.retry_of is None:
        await accept_rows(state, plan, context)
    return None


ROUTES: tuple[Route[Context], ...] = (
    Route(event=DiffPartition, handler=on_diff_partition),
    Route(event=DraftPlan, handler=on_draft_plan),
    Route(event=ExpirePlan, handler=on_expire_plan),
    Route(event=ApplyFinished, handler=on_apply_finished),
)

# --- declared deltas ------------------------------------------------------------------------------------------------


async def on_declare_delta(command: DeclareDelta, actor: Actor, context: Context) -> Asked:
    """Take a change that is announced in advance, or refuse it."""
    definition = context.connectors.load(command.connector).definition
    subject, now = declared_subject(definition.name), context.clock.now()
    declaration = f"{definition.name}.{context.ids.token(DECLARATION_SIGNS)}"

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        return declare(
            command,
            definition=definition,
            present=declared_in(read[subject]),
            actor=actor.name,
            declaration=declaration,
            now=now,
        )

    return Asked(run=None, move=Move(reads=(subject,), decide=decide), declaration=declaration)


async def on_withdraw_delta(command: WithdrawDelta, actor: Actor, context: Context) -> Asked:
    """Take an announcement back."""
    connector = connector_of_declaration(command.declaration)
    if not is_name(connector):
        raise NeedsPerson(
            "APV_MALFORMED",
            f"{command.declaration[:80]!r} is no id of a declaration; they look like titanhst-staff.4k7zq2",
        )
    subject, now = declared_subject(connector), context.clock.now()

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        return withdraw(command, present=declared_in(read[subject]), actor=actor.name, now=now)

    return Asked(run=None, move=Move(reads=(subject,), decide=decide), declaration=command.declaration)


REQUESTS: tuple[RequestRoute[Context], ...] = (
    RequestRoute(subject="aether.run.approve", body=DecideRun, handler=on_approve_run),
    RequestRoute(subject="aether.run.reject", body=DecideRun, handler=on_reject_run),
    RequestRoute(subject="aether.guard.declare", body=DeclareDelta, handler=on_declare_delta),
    RequestRoute(subject="aether.guard.withdraw", body=WithdrawDelta, handler=on_withdraw_delta),
)
