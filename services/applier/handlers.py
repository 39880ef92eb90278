"""What the applier does with an approved plan, and with the request to go on with a paused one.

It takes the target's lease, makes sure that the stored plan is the approved one, and carries it out. Nothing but an
approved plan moves it, and nothing but its own folder's rules decides about a write.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from random import Random

import structlog
from nats.js import JetStreamContext

from services.applier.apply import ASKED_TO_END, Applying, Stop, Surroundings
from services.applier.examination import (
    PlanIsStale,
    StoredBytes,
    examine_age,
    examine_approvals,
    examine_pages,
    examine_plan,
)
from services.applier.outcomes import Known, RunLedger, codes_of, counts_of, counts_without_plan, read_known
from shared.bus.commit import Committer
from shared.bus.dispatch import Actor, Asked, RequestRoute, Route
from shared.bus.lease import LeaseHeld, LeaseHold, LeaseLost, plant_fence
from shared.bus.publishing import Conflict
from shared.bus.reading import StreamUnavailable, last, read_all
from shared.clock import Clock, from_text, to_text
from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.events.commands import ApplyPlan, NameRun, apply_plan_subject
from shared.events.documents import FailureNote
from shared.events.envelope import decode
from shared.events.facts import (
    ApplyFinished,
    ApplyPaused,
    ApplyRefused,
    ApplyStarted,
    RunCancelled,
    RunResumed,
    apply_started_subject,
)
from shared.events.stored import Stored
from shared.ids import Ids, is_run_id
from shared.plan.change import Change
from shared.plan.document import Plan, header_subject, pages_filter
from shared.policy.approval import Identities
from shared.ports.connections import Connections
from shared.ports.registry import Registry
from shared.run.counts import NineCounts
from shared.run.moves import Decision, Message, Move, move_run, run_state_in, state_message
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from shared.telemetry.memory import memory_peak_mb

log = structlog.get_logger(__name__)

WATCH_SECONDS = 0.3
"""How often a running apply looks whether a person asked it to end."""
BUSY_SECONDS = 2.0
"""When to look again for a target that another apply holds."""

_APPLICABLE = {RunStatus.APPROVED, RunStatus.APPLYING, RunStatus.THROTTLED, RunStatus.VERIFYING}


@dataclass(frozen=True)
class Context:
    """What the applier's handlers work with."""

    js: JetStreamContext
    committer: Committer
    connections: Connections
    registry: Registry
    identities: Identities
    clock: Clock
    ids: Ids
    rng: Random
    holder: str
    """Name of this replica on its leases."""
    lease_seconds: int
    writes_in_flight: int


# --- go on with a paused run ----------------------------------------------------------------------------------------


async def on_resume_run(command: NameRun, actor: Actor, context: Context) -> Asked:
    """Let a paused run go on, under the same plan and the same approval."""
    if not is_run_id(command.run):
        raise NeedsPerson("APV_UNKNOWN_RUN", f"{command.run[:60]!r} is no run id")
    at = to_text(context.clock.now())

    def decide(state: RunState) -> Decision:
        return resume(state, actor=actor.name, reason=command.reason, at=at)

    return Asked(run=command.run, move=move_run(command.run, decide))


def resume(state: RunState, *, actor: str | None, reason: str, at: str) -> Decision:
    """The paused run, applying again; `NeedsPerson` for a run that is not paused."""
    if state.status is not RunStatus.PAUSED:
        raise NeedsPerson(
            "APV_WRONG_STATE", f"run {state.run} is {state.status}; only a paused run can be resumed", run=state.run
        )
    ordinal = 1 + sum(phase.status is RunStatus.APPLYING for phase in state.history)
    # The counts of the pause will not hold any more; a run that is paused again by a crash must not show them.
    going_on = state.model_copy(update={"counts": None}).moved(RunStatus.APPLYING, at=at)
    return Decision(
        (
            state_message(going_on),
            Message(
                subject=f"evt.applier.run_resumed.{state.run}",
                event=RunResumed(run=state.run, actor=actor, reason=reason),
                message_id=f"{state.run}.resumed.{ordinal}",
                about=state.run,
            ),
            Message(
                subject=apply_plan_subject(state.run),
                event=ApplyPlan(run=state.run, ordinal=ordinal),
                message_id=f"{state.run}.apply.{ordinal}",
                about=state.run,
            ),
        )
    )


# --- apply ----------------------------------------------------------------------------------------------------------


async def on_apply_plan(command: ApplyPlan, context: Context) -> Move | None:
    """Carry out an approved plan, or go on with it after a crash or a pause."""
    await _under_lease(command.run, context)
    return None


async def on_run_cancelled(fact: RunCancelled, context: Context) -> Move | None:
    """End a paused run whose unknown outcomes must be looked up first.

    A run that is applying is ended by the applier that is at work; should that one pause it instead, or have died, it
    is ended here. Every other run has ended when this is delivered.
    """
    await _under_lease(fact.run, context)
    return None


def may_be_worked_on(state: RunState) -> bool:
    """Whether there is something for the applier to do: a paused run is left alone unless it is to end."""
    return state.status in _APPLICABLE or (state.status is RunStatus.PAUSED and state.cancel_requested_by is not None)


async def _under_lease(run: str, context: Context) -> None:
    state = await context.committer.run_state(run)
    if not may_be_worked_on(state):
        return
    subject = f"lease.target.{state.target}"
    hold = LeaseHold(
        context.js,
        subject=subject,
        holder=f"{context.holder}.{context.ids.token(6)}",
        ttl_seconds=context.lease_seconds,
        ids=context.ids,
        monotonic=context.clock.monotonic_seconds,
    )
    try:
        async with hold:
            await _apply_under_lease(run, hold, context)
    except LeaseHeld as held:
        raise TryLater("APL_TARGET_BUSY", str(held), retry_after_seconds=BUSY_SECONDS, run=run) from held
    except (LeaseLost, Conflict) as lost:
        raise TryLater("APL_LEASE_LOST", str(lost), retry_after_seconds=BUSY_SECONDS, run=run) from lost


async def _apply_under_lease(run: str, hold: LeaseHold, context: Context) -> None:
    # Read again: what was read before the lease may be another applier's past.
    state = await context.committer.run_state(run)
    if not may_be_worked_on(state):
        return
    started = context.clock.monotonic_seconds()
    # Before anything is read or counted: what a former holder still sends is refused from here on.
    fence = await plant_fence(context.js, context.committer, target=state.target, token=hold.token)
    try:
        plan, changes = await _examined(state, context)
    except StopRun as error:
        await _refuse(run, error, context)
        return
    if state.status is RunStatus.APPROVED:
        try:
            started_with = await context.committer.commit(_start(plan, hold.token, at=to_text(context.clock.now())))
        except PlanIsStale as error:
            await _refuse(run, error, context)
            return
        if not started_with.messages:
            return  # somebody ended the run between our look and our start
    ledger = RunLedger(context.js, context.committer, run=run, token=hold.token, fence=fence)
    known = await ledger.read()
    try:
        target = context.registry.open_target(context.connections.named(plan.header.target))
    except NeedsPerson as error:
        # A connection can be mended; a run that has begun must not end while outcomes are unknown.
        await _refuse(run, error, context)
        return
    try:
        async with _watched(run, context) as is_cancelled:
            applying = Applying(
                target=target,
                header=plan.header,
                ledger=ledger,
                known=known,
                around=Surroundings(
                    require_held=hold.require_held,
                    is_cancelled=is_cancelled,
                    throttled=lambda seconds: _throttled(run, seconds, context),
                    sleep=asyncio.sleep,
                    monotonic_seconds=context.clock.monotonic_seconds,
                    rng=context.rng,
                    in_flight=context.writes_in_flight,
                ),
            )
            excluded = {one.change_id for one in plan.header.excluded}
            stop = await applying.run([change for change in changes if change.change_id not in excluded])
    finally:
        await target.close()
    if state.status is RunStatus.PAUSED:
        stop = stop or ASKED_TO_END  # it was taken up to end, also when an earlier attempt left nothing to look up
    await _end(run, plan, changes, applying, stop, started, context)


async def _refuse(run: str, error: AetherError, context: Context) -> None:
    at = to_text(context.clock.now())
    known = await read_known(context.js, run)
    await context.committer.commit(move_run(run, lambda now: refuse(now, error, known, at=at)))
    log.error("apply_refused", run=run, code=error.code)


async def _examined(state: RunState, context: Context) -> tuple[Plan, list[Change]]:
    """The stored plan, found to be the approved one; raises with the reason when it is not."""
    stored = await last(context.js, "PLAN", header_subject(state.run))
    if stored is None:
        raise StopRun("APL_PLAN_ALTERED", f"run {state.run}: there is no plan on the bus", run=state.run)
    try:
        plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
    except AetherError as error:
        raise StopRun("APL_PLAN_ALTERED", f"run {state.run}: {error.message}", run=state.run) from error
    pages = [
        StoredBytes(subject=page.subject, headers=page.headers, data=page.data)
        async for page in read_all(context.js, "PLAN", pages_filter(state.run))
    ]
    now = context.clock.now()
    changes = await asyncio.to_thread(examine_pages, plan, pages)
    await asyncio.to_thread(examine_plan, plan, changes, state)
    is_first = state.status is RunStatus.APPROVED
    # A run that goes on does so under the approval that it began with.
    examine_approvals(state, plan, identities=context.identities, now=now if is_first else _approved_at(state))
    return plan, changes


def _approved_at(state: RunState) -> datetime:
    return from_text(next(phase.at for phase in state.history if phase.status is RunStatus.APPROVED))


def _start(plan: Plan, token: int, *, at: str) -> Move:
    header = plan.header
    run_subject, serial_subject = state_subject(header.run), apply_started_subject(header.target)

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        state = run_state_in(header.run, read[run_subject])
        if state.status is not RunStatus.APPROVED:
            return Decision()
        serial = read[serial_subject]
        examine_age(plan, target_serial=0 if serial is None else serial.seq, now=from_text(at))
        fact = ApplyStarted(
            run=header.run,
            target=header.target,
            fencing_token=token,
            plan_digest=plan.plan_digest,
            planned=header.changes,
        )
        return Decision(
            (
                state_message(state.moved(RunStatus.APPLYING, at=at)),
                Message(subject=serial_subject, event=fact, message_id=f"{header.run}.apply_started", about=header.run),
            )
        )

    return Move(reads=(run_subject, serial_subject), decide=decide)


def refuse(state: RunState, error: AetherError, known: Known, *, at: str) -> Decision:
    """The run whose plan must not be applied: failed or stale before the first write, paused after it."""
    if state.status is RunStatus.PAUSED or state.has_ended:
        return Decision()
    note = FailureNote.of(error)
    if state.status is not RunStatus.APPROVED:
        status = RunStatus.PAUSED
    else:
        status = RunStatus.STALE if isinstance(error, PlanIsStale) else RunStatus.FAILED
    # Counted here, or a run whose plan cannot be read any more could not be ended by anybody.
    counts = counts_without_plan(state.plan.changes if state.plan is not None else 0, known)
    ended = state.model_copy(update={"counts": counts}).moved(status, at=at, failure=note)
    fact = Message(
        subject=f"evt.applier.apply_refused.{state.run}",
        event=ApplyRefused(run=state.run, refusal=note),
        message_id=f"{state.run}.refused.{len(state.history)}",
        about=state.run,
    )
    return Decision((state_message(ended), fact))


@asynccontextmanager
async def _watched(run: str, context: Context) -> AsyncIterator[Callable[[], bool]]:
    """Look from time to time whether the run should end; gives the function that tells."""

    async def is_asked() -> bool:
        return (await context.committer.run_state(run)).cancel_requested_by is not None

    # Before the first change: it may have been asked while no applier was at work.
    asked = await is_asked()

    async def look() -> None:
        nonlocal asked
        while not asked:
            await asyncio.sleep(WATCH_SECONDS)
            with suppress(StreamUnavailable):  # asked again at the next look
                asked = await is_asked()

    watching = asyncio.create_task(look(), name=f"watch {run}")
    try:
        yield lambda: asked
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _throttled(run: str, seconds: float, context: Context) -> None:
    """Tell that the target asks for a wait, or that the wait is over; short waits are not worth a state."""
    if 0 < seconds < 1:
        return
    at = to_text(context.clock.now())

    def decide(state: RunState) -> Decision:
        if seconds == 0 and state.status is RunStatus.THROTTLED:
            return Decision((state_message(state.moved(RunStatus.APPLYING, at=at)),))
        if seconds == 0 or state.status is not RunStatus.APPLYING:
            return Decision()
        note = FailureNote(code="APL_RATE_LIMITED", text=f"{state.target} asks to wait {seconds:g} s")
        return Decision((state_message(state.moved(RunStatus.THROTTLED, at=at, failure=note)),))

    await context.committer.commit(move_run(run, decide))


# --- the end --------------------------------------------------------------------------------------------------------


async def _end(
    run: str,
    plan: Plan,
    changes: list[Change],
    applying: Applying,
    stop: Stop | None,
    started: float,
    context: Context,
) -> None:
    planned = [change.change_id for change in changes]
    if stop is None or stop.kind != "pause":
        at = to_text(context.clock.now())
        await context.committer.commit(move_run(run, lambda now: _verifying(now, at=at)))
    # The ledger as it lies on the bus, not what we remember of it, says what became of the run.
    known = await read_known(context.js, run)
    counts = counts_of(planned, known)
    if counts.unknown and stop is None:
        stop = Stop("pause", FailureNote(code="APL_UNKNOWN_OUTCOME", text=f"{counts.unknown} changes have no outcome"))
    at = to_text(context.clock.now())
    if stop is not None and (stop.kind == "pause" or counts.unknown):
        note = stop.note
        await context.committer.commit(move_run(run, lambda now: paused(now, counts, note, at=at)))
        log.warning("apply_paused", run=run, code=note.code)
        return
    fact = ApplyFinished(
        run=run,
        target=plan.header.target,
        status="",
        counts=counts,
        counts_by_code=codes_of(known),
        seconds=round(context.clock.monotonic_seconds() - started, 3),
        retries=applying.retries,
        rate_limited=applying.rate_limited,
        memory_peak_mb=memory_peak_mb(),
    )
    await context.committer.commit(move_run(run, lambda now: finished(now, fact, stop, at=at)))
    log.info("apply_finished", run=run, changes=counts.planned, seconds=fact.seconds)


def _verifying(state: RunState, *, at: str) -> Decision:
    if state.status not in {RunStatus.APPLYING, RunStatus.THROTTLED}:
        return Decision()
    return Decision((state_message(state.moved(RunStatus.VERIFYING, at=at)),))


def paused(state: RunState, counts: NineCounts, note: FailureNote, *, at: str) -> Decision:
    """The run that waits for a person."""
    if state.status is RunStatus.PAUSED or state.has_ended:
        return Decision()
    moved = state.model_copy(update={"counts": counts}).moved(RunStatus.PAUSED, at=at, failure=note)
    fact = Message(
        subject=f"evt.applier.apply_paused.{state.run}",
        event=ApplyPaused(run=state.run, reason=note, counts=counts),
        message_id=f"{state.run}.paused.{len(state.history)}",
        about=state.run,
    )
    return Decision((state_message(moved), fact))


def final_status(counts: NineCounts, stop: Stop | None) -> RunStatus:
    """How a run ends: clean, amber when something was done and something else not, otherwise as what stopped it."""
    if stop is None and counts.is_clean:
        return RunStatus.SUCCEEDED
    if counts.applied or (stop is not None and stop.kind == "stale"):
        return RunStatus.PARTIAL
    return RunStatus.CANCELLED if stop is not None and stop.kind == "cancel" else RunStatus.FAILED


def finished(state: RunState, fact: ApplyFinished, stop: Stop | None, *, at: str) -> Decision:
    """The run that has ended, with its counts."""
    if state.has_ended:
        return Decision()
    status = final_status(fact.counts, stop)
    note = stop.note if stop is not None else None
    if note is None and status is not RunStatus.SUCCEEDED:
        worst = next(iter(fact.counts_by_code), "APL_CONFLICT")
        note = FailureNote(code=worst, text=f"not every change was applied: {_in_words(fact.counts)}")
    ended = state.model_copy(update={"counts": fact.counts}).moved(status, at=at, failure=note)
    told = Message(
        subject=f"evt.applier.apply_finished.{state.run}",
        event=fact.model_copy(update={"status": status.value}),
        message_id=f"{state.run}.apply_finished",
        about=state.run,
    )
    return Decision((state_message(ended), told))


def _in_words(counts: NineCounts) -> str:
    parts = {name: number for name, number in counts.model_dump().items() if number and name != "planned"}
    return ", ".join(f"{number} {name}" for name, number in parts.items())


ROUTES: tuple[Route[Context], ...] = (
    Route(event=ApplyPlan, handler=on_apply_plan),
    Route(event=RunCancelled, handler=on_run_cancelled),
)

REQUESTS: tuple[RequestRoute[Context], ...] = (
    RequestRoute(subject="aether.run.resume", body=NameRun, handler=on_resume_run),
)
