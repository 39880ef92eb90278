"""What the applier does with an approved plan: takes the target's lease, examines the plan, and carries it out.

Nothing but an approved plan moves it, and nothing but its own folder's rules decides about a write. What people ask of
a run stands in `commands`, how a run ends in `ending`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.applier.apply import ASKED_TO_END, ASKED_TO_PAUSE, Applying, Stop, Surroundings
from services.applier.approved_plan import Work, examined, work_of
from services.applier.commands import begun_by, on_pause_run, on_resume_run, on_retry_run
from services.applier.connection_health import health_in, health_of, note_of, quarantined, quarantines, try_half_open
from services.applier.context import TURN_SHARE_OF_LEASE, Context, lease_on
from services.applier.ending import finished, paused, refuse, throttled, verifying
from services.applier.examination import PlanIsStale, examine_age
from services.applier.journal import Journal
from services.applier.outcomes import Known, codes_of, counts_of, counts_without_plan, read_known
from services.applier.stopping import HANDED_OVER
from services.applier.watching import watched
from shared.bus.dispatch import RequestRoute, Route
from shared.bus.lease import LeaseHeld, LeaseHold, LeaseLost, plant_fence
from shared.bus.publishing import Conflict, Fence
from shared.bus.reading import last
from shared.clock import from_text, to_text
from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.events.commands import ApplyPlan, NameRun
from shared.events.documents import FailureNote
from shared.events.facts import (
    ApplyFinished,
    ApplyStarted,
    RunCancelled,
    apply_started_subject,
    connection_health_subject,
)
from shared.events.stored import Stored
from shared.plan.document import Plan
from shared.ports.system import Target
from shared.run.counts import NineCounts
from shared.run.moves import NOTHING, Decision, Message, Move, move_run, run_state_in, state_message
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from shared.secrets import forget_kept
from shared.telemetry.memory import memory_peak_mb

__all__ = ["REQUESTS", "ROUTES", "Context"]

log = structlog.get_logger(__name__)

BUSY_SECONDS = 2.0
HAND_OVER_SECONDS = 0.1
"""When to look again for a target that another apply holds."""
QUARANTINE_SECONDS = 30.0
"""When to try a connection in quarantine again for a run that has not begun; its plan is stale before we give up."""

_APPLICABLE = {RunStatus.APPROVED, RunStatus.APPLYING, RunStatus.THROTTLED, RunStatus.VERIFYING}


# --- what leads here ------------------------------------------------------------------------------------------------


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
    hold = lease_on(state.target, context)
    try:
        async with hold:
            await _apply_under_lease(run, hold, context)
    except LeaseHeld as held:
        raise TryLater("APL_TARGET_BUSY", str(held), retry_after_seconds=BUSY_SECONDS, run=run) from held
    except (LeaseLost, Conflict) as lost:
        raise TryLater("APL_LEASE_LOST", str(lost), retry_after_seconds=BUSY_SECONDS, run=run) from lost


# --- apply ----------------------------------------------------------------------------------------------------------


async def _apply_under_lease(run: str, hold: LeaseHold, context: Context) -> None:
    # Read again: what was read before the lease may be another applier's past.
    state = await context.committer.run_state(run)
    if not may_be_worked_on(state):
        return
    started = context.clock.monotonic_seconds()
    # Before anything is read or counted: what a former holder still sends is refused from here on.
    fence = await plant_fence(context.js, context.committer, target=state.target, token=hold.token)
    is_first = state.status is RunStatus.APPROVED
    try:
        # A run that goes on does so under the approval that it began with.
        plan, changes = await examined(state, context, now=context.clock.now() if is_first else _approved_at(state))
        work = await work_of(state, plan, changes, context)
        if is_first:
            # Asked again in the same step as the start; here so that a plan grown old does not wait for a connection.
            serial = await last(context.js, "CORE", apply_started_subject(state.target))
            _examine_age(state, plan, serial, now=context.clock.now())
    except StopRun as error:
        await _refuse(run, error, context)
        return
    async with AsyncExitStack() as opened:
        if not await _is_connection_fit(state, opened, context):
            return
        if is_first:
            try:
                begun = await context.committer.commit(_start(run, work, hold.token, at=to_text(context.clock.now())))
            except PlanIsStale as error:
                await _refuse(run, error, context)
                return
            if not begun.messages:
                return  # somebody ended the run between our look and our start
        try:
            target = await _opened(plan.header.target, opened, context)
        except NeedsPerson as error:
            # A connection can be mended; a run that has begun must not end while outcomes are unknown.
            await _refuse(run, error, context)
            return
        done = await _carried_out(state, work, target, opened, hold, fence, context)
    await _end(run, work, done, started, context)


@dataclass(frozen=True)
class Done:
    """How the work on a plan came to its end."""

    stop: Stop | None
    known: Known
    """The ledger as it lies on the bus; not what we remember of it."""
    retries: int
    rate_limited: int


async def _carried_out(
    state: RunState,
    work: Work,
    target: Target,
    opened: AsyncExitStack,
    hold: LeaseHold,
    fence: Fence,
    context: Context,
) -> Done:
    run, is_ending = state.run, state.status is RunStatus.PAUSED

    async def reopened() -> Target:
        forget_kept()
        return await _opened(state.target, opened, context)

    journal = Journal(context.js, context.committer, run=run, token=hold.token, fence=fence)
    try:
        known = await journal.read()
        async with watched(run, context) as asked:
            applying = Applying(
                target=target,
                header=work.header_of(run),
                journal=journal,
                known=known,
                around=Surroundings(
                    require_held=hold.require_held,
                    is_cancelled=lambda: asked.to_end,
                    is_pause_asked=lambda: asked.to_pause,
                    throttled=lambda seconds, why: _throttled(run, seconds, why, context),
                    reopened=reopened,
                    sleep=asyncio.sleep,
                    monotonic_seconds=context.clock.monotonic_seconds,
                    rng=context.rng,
                    is_leaving=context.is_leaving,
                    in_flight=in_flight(
                        context.writes_in_flight,
                        rate_per_second=context.connections.named(state.target).rate_per_second,
                        wait_seconds_max=context.lease_seconds * TURN_SHARE_OF_LEASE,
                    ),
                ),
            )
            await applying.set_aside(work.excluded, work.deferred)
            stop = await applying.run(work.to_carry_out)
            if stop is HANDED_OVER:
                # Whoever takes the command next goes on: all that was begun is durable, and the lease is free at once.
                note = HANDED_OVER.note
                raise TryLater(note.code, note.text, retry_after_seconds=HAND_OVER_SECONDS, run=run)
            if stop == ASKED_TO_PAUSE and _is_complete(work, await journal.read()):
                stop = None  # asked to pause after the last change: there is no next one to pause at
            if is_ending:
                stop = stop or ASKED_TO_END  # also when an earlier attempt left nothing to look up
            if stop is None:
                at = to_text(context.clock.now())
                await context.committer.commit(move_run(run, lambda now: verifying(now, at=at)))
                await applying.verify(work.to_carry_out)
    finally:
        await journal.close()
    return Done(stop, await read_known(context.js, run), applying.retries, applying.rate_limited)


def in_flight(wanted: int, *, rate_per_second: float | None, wait_seconds_max: float) -> int:
    """How many changes are under way at once: no more than have their turn before they would give up waiting for it."""
    if rate_per_second is None:
        return wanted
    return max(1, min(wanted, int(rate_per_second * wait_seconds_max)))


def _is_complete(work: Work, known: Known) -> bool:
    return all(change.change_id in known.outcomes for change in work.planned)


async def _opened(name: str, opened: AsyncExitStack, context: Context) -> Target:
    """The target with its secrets read now; closed with everything else that was opened."""
    target = context.registry.open_target(context.connections.named(name))
    opened.push_async_callback(target.close)
    return target


async def _is_connection_fit(state: RunState, opened: AsyncExitStack, context: Context) -> bool:
    """Whether the run may use its connection: one in quarantine is tried first, and the run waits if it is not.

    A run that has not begun stays approved and is looked at again (`TryLater`); one that goes on is paused again.
    """
    health = await health_of(state.target, context)
    if health is None or health.status == "healthy":
        return True
    try:
        target = await _opened(state.target, opened, context)
    except NeedsPerson as error:
        log.warning("connection_not_opened", connection=state.target, code=error.code)
    else:
        if await try_half_open(target, health, run=state.run, context=context):
            return True
    note = note_of(health)
    if state.status is RunStatus.APPROVED:
        raise TryLater(note.code, note.text, retry_after_seconds=QUARANTINE_SECONDS, run=state.run)
    await _pause(state.run, None, note, context)
    return False


async def _refuse(run: str, error: AetherError, context: Context) -> None:
    at = to_text(context.clock.now())
    known = await read_known(context.js, run)
    await context.committer.commit(move_run(run, lambda now: refuse(now, error, known, at=at)))
    log.error("apply_refused", run=run, code=error.code)


def _approved_at(state: RunState) -> datetime:
    return from_text(next(phase.at for phase in state.history if phase.status is RunStatus.APPROVED))


def _examine_age(state: RunState, plan: Plan, serial: Stored | None, *, now: datetime) -> None:
    examine_age(
        plan,
        target_serial=0 if serial is None else serial.seq,
        begun_by=begun_by(serial),
        retry_of=state.retry_of,
        now=now,
    )


def _start(run: str, work: Work, token: int, *, at: str) -> Move:
    header = work.plan.header
    run_subject, serial_subject = state_subject(run), apply_started_subject(header.target)

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        state = run_state_in(run, read[run_subject])
        if state.status is not RunStatus.APPROVED:
            return NOTHING
        _examine_age(state, work.plan, read[serial_subject], now=from_text(at))
        fact = ApplyStarted(
            run=run,
            target=header.target,
            fencing_token=token,
            plan_digest=work.plan.plan_digest,
            planned=len(work.planned),
        )
        return Decision(
            (
                state_message(state.moved(RunStatus.APPLYING, at=at)),
                Message(subject=serial_subject, event=fact, message_id=f"{run}.apply_started", about=run),
            )
        )

    return Move(reads=(run_subject, serial_subject), decide=decide)


async def _throttled(run: str, seconds: float, why: FailureNote | None, context: Context) -> None:
    """Tell that the target is not asked for a while, or is again; short waits are not worth a state."""
    if 0 < seconds < 1:
        return
    at = to_text(context.clock.now())
    await context.committer.commit(move_run(run, lambda now: throttled(now, seconds, why, at=at)))


# --- the end --------------------------------------------------------------------------------------------------------


async def _end(run: str, work: Work, done: Done, started: float, context: Context) -> None:
    stop, counts = done.stop, counts_of([change.change_id for change in work.planned], done.known)
    if counts.unknown and stop is None:
        stop = Stop("pause", FailureNote(code="APL_UNKNOWN_OUTCOME", text=f"{counts.unknown} changes have no outcome"))
    if stop is not None and (stop.kind == "pause" or counts.unknown):
        await _pause(run, counts, stop.note, context)
        return
    fact = ApplyFinished(
        run=run,
        target=work.plan.header.target,
        status="",
        counts=counts,
        counts_by_code=codes_of(done.known),
        seconds=round(context.clock.monotonic_seconds() - started, 3),
        retries=done.retries,
        rate_limited=done.rate_limited,
        memory_peak_mb=memory_peak_mb(),
    )
    at = to_text(context.clock.now())
    await context.committer.commit(move_run(run, lambda now: finished(now, fact, stop, at=at)))
    log.info("apply_finished", run=run, changes=counts.planned, seconds=fact.seconds)


async def _pause(run: str, counts: NineCounts | None, note: FailureNote, context: Context) -> None:
    """Pause the run, and with it put the connection into quarantine where its credential was refused."""
    state = await context.committer.run_state(run)
    if counts is None:
        planned = state.plan.changes if state.plan is not None else 0
        counts = counts_without_plan(planned, await read_known(context.js, run))
    told, subject, health_subject = counts, state_subject(run), connection_health_subject(state.target)
    at = to_text(context.clock.now())

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        pausing = paused(run_state_in(run, read[subject]), told, note, at=at)
        if not quarantines(note):
            return pausing
        health = quarantined(health_in(read[health_subject]), connection=state.target, reason=note, run=run, at=at)
        return Decision((*pausing.messages, *health.messages))

    await context.committer.commit(Move(reads=(subject, health_subject), decide=decide))
    log.warning("apply_paused", run=run, code=note.code)


ROUTES: tuple[Route[Context], ...] = (
    Route(event=ApplyPlan, handler=on_apply_plan),
    Route(event=RunCancelled, handler=on_run_cancelled),
)

REQUESTS: tuple[RequestRoute[Context], ...] = (
    RequestRoute(subject="aether.run.pause", body=NameRun, handler=on_pause_run),
    RequestRoute(subject="aether.run.resume", body=NameRun, handler=on_resume_run),
    RequestRoute(subject="aether.run.retry", body=NameRun, handler=on_retry_run),
)
