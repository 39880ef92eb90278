"""What a person may ask of a run that is being applied or was: to pause, to go on, to try again what failed.

Each is a decision over the run's document and a handler that gathers what the decision needs. None of them writes to
a target: what they lead to is a command, which the handler of plans takes up under the target's lease.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.applier.approved_plan import examined, tried_again
from services.applier.context import Context
from services.applier.examination import examine_age
from shared.bus.dispatch import Actor, Asked
from shared.bus.reading import last
from shared.clock import from_text, to_text
from shared.errors import NeedsPerson
from shared.events.commands import ApplyPlan, NameRun, apply_plan_subject
from shared.events.envelope import decode
from shared.events.facts import ApplyStarted, PauseRequested, RetryRequested, RunResumed, apply_started_subject
from shared.events.stored import Stored
from shared.ids import new_run_id
from shared.plan.document import Plan
from shared.run.active import ConnectorActive, active_in, active_subject
from shared.run.moves import Decision, Message, Move, move_run, run_state_in, state_message
from shared.run.retries import may_hold_retries
from shared.run.state import PhaseTime, PlanSummary, RunState, checked_run, state_subject
from shared.run.states import RunStatus

_AT_WORK = frozenset({RunStatus.APPLYING, RunStatus.THROTTLED, RunStatus.VERIFYING})
_RETRIED = frozenset({RunStatus.PARTIAL, RunStatus.FAILED})


# --- resume ---------------------------------------------------------------------------------------------------------


async def on_resume_run(command: NameRun, actor: Actor, context: Context) -> Asked:
    """Let a paused run go on, under the same plan and the same approval."""
    run, at = checked_run(command.run), to_text(context.clock.now())

    def decide(state: RunState) -> Decision:
        return resume(state, actor=actor.name, reason=command.reason, at=at)

    return Asked(run=run, move=move_run(run, decide))


def resume(state: RunState, *, actor: str | None, reason: str, at: str) -> Decision:
    """The paused run, applying again; `NeedsPerson` for a run that is not paused."""
    if state.status is not RunStatus.PAUSED:
        raise _wrong_state(state, f"run {state.run} is {state.status}; only a paused run can be resumed")
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
            _apply_message(state.run, ordinal),
        )
    )


# --- pause ----------------------------------------------------------------------------------------------------------


async def on_pause_run(command: NameRun, actor: Actor, context: Context) -> Asked:
    """Ask the applier at work to pause at its next change; one that takes the run up later finds the request."""
    run = checked_run(command.run)

    def decide(state: RunState) -> Decision:
        return pause(state, actor=actor.name, reason=command.reason)

    return Asked(run=run, move=move_run(run, decide))


def pause(state: RunState, *, actor: str | None, reason: str) -> Decision:
    """The run with the request to pause in its document; `NeedsPerson` where there is nothing to pause.

    A run whose changes are all concluded when the request is seen ends instead: it has no next change.
    """
    if state.has_ended:
        raise _wrong_state(state, f"run {state.run} has ended as {state.status}; there is nothing to pause")
    if state.status is RunStatus.PAUSED:
        raise _wrong_state(state, f"run {state.run} is paused already; resume it, or cancel it")
    if state.status not in _AT_WORK:
        raise _wrong_state(state, f"run {state.run} is {state.status} and writes nothing; cancel it to stop it")
    if state.cancel_requested_by is not None:
        raise _wrong_state(
            state, f"run {state.run} ends at its next change already, as {state.cancel_requested_by} asked"
        )
    if state.pause_requested_by is not None:
        raise _wrong_state(
            state, f"run {state.run} pauses at its next change already, as {state.pause_requested_by} asked"
        )
    return Decision(
        (
            state_message(state.model_copy(update={"pause_requested_by": actor or "unknown"})),
            Message(
                subject=f"evt.applier.pause_requested.{state.run}",
                event=PauseRequested(run=state.run, actor=actor, reason=reason),
                message_id=f"{state.run}.pause_requested.{len(state.history)}",
                about=state.run,
            ),
        )
    )


# --- retry ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Retry:
    """A request to try again, with what was found about it."""

    run: str
    """The new run."""
    original: RunState
    plan: Plan
    changes_by_class: Mapping[str, int]
    """What is tried again."""
    actor: str | None
    reason: str
    now: datetime


async def on_retry_run(command: NameRun, actor: Actor, context: Context) -> Asked:
    """Try the failed changes of an ended run again, as a run of its own under the same plan and approvals."""
    now = context.clock.now()
    original = await context.committer.run_state(checked_run(command.run))
    check_retried(original, now=now)
    # The same examination as before the first write, so that a person hears at once what the applier would refuse.
    plan, changes = await examined(original, context, now=now)
    tried = await tried_again(original, plan, changes, js=context.js)
    asked = Retry(
        run=new_run_id(now, context.ids),
        original=original,
        plan=plan,
        changes_by_class=dict(sorted(Counter(change.change_class.value for change in tried).items())),
        actor=actor.name,
        reason=command.reason,
        now=now,
    )
    subject, serial_subject = active_subject(original.connector), apply_started_subject(original.target)
    active = active_in(await last(context.js, "CORE", subject))
    others = [] if active is None else [one for one in (active.run, active.waiting) if one is not None]
    watched = (subject, serial_subject, state_subject(asked.run), *dict.fromkeys(state_subject(one) for one in others))

    def decide(read: Mapping[str, Stored | None]) -> Decision:
        if active_in(read[subject]) != active:
            raise NeedsPerson(
                "APV_OVERLAP",
                f"connector {original.connector}: another run was admitted at the same moment; see `aether runs`",
                run=original.run,
            )
        serial = read[serial_subject]
        examine_age(
            plan,
            target_serial=0 if serial is None else serial.seq,
            begun_by=begun_by(serial),
            retry_of=original.run,
            now=now,
        )
        return retry(asked, others=[run_state_in(one, read[state_subject(one)]) for one in others])

    return Asked(run=asked.run, move=Move(reads=watched, decide=decide))


def check_retried(original: RunState, *, now: datetime) -> None:
    """`NeedsPerson` unless the run ended with changes that can be tried again, and its plan still stands."""
    if original.status is RunStatus.PAUSED:
        raise _wrong_state(original, f"run {original.run} is paused and not at its end; resume it")
    if original.status not in _RETRIED or original.plan is None:
        raise _wrong_state(
            original, f"run {original.run} is {original.status}; only a run that ended partial or failed can be retried"
        )
    if not may_hold_retries(original.counts):
        raise _wrong_state(
            original, f"no change of run {original.run} failed or was refused; run the connector again for the rest"
        )
    if now > from_text(original.plan.expires_at):
        raise NeedsPerson(
            "APV_EXPIRED",
            f"run {original.run}: its plan expired at {original.plan.expires_at}; run the connector again",
            run=original.run,
        )


def retry(asked: Retry, *, others: list[RunState]) -> Decision:
    """The messages that begin the retry; `NeedsPerson` when something stands in its way.

    `others` are the connector's last runs: one under way excludes a retry, and so does one that has planned anew.
    """
    original, changes = asked.original, sum(asked.changes_by_class.values())
    if changes == 0:
        raise _wrong_state(
            original, f"every change of run {original.run} that failed was set aside by its plan; nothing to try again"
        )
    for other in others:
        if not other.has_ended:
            raise NeedsPerson(
                "APV_OVERLAP",
                f"connector {original.connector}: run {other.run} is {other.status}; wait for it or cancel it",
                run=original.run,
                other_run=other.run,
            )
        if other.mode == "apply" and other.plan is not None and other.plan_run != original.plan_run:
            raise NeedsPerson(
                "APL_STALE",
                f"run {original.run} cannot be retried: the connector was planned anew as run {other.run}; "
                "go on from there",
                run=original.run,
                other_run=other.run,
            )
    state = _retrying(asked, changes)
    return Decision(
        (
            state_message(state),
            Message(
                subject=active_subject(state.connector),
                event=ConnectorActive(connector=state.connector, run=state.run),
                message_id=f"{state.run}.active",
                about=state.run,
            ),
            Message(
                subject=f"evt.applier.retry_requested.{state.run}",
                event=RetryRequested(
                    run=state.run,
                    retry_of=original.run,
                    connector=state.connector,
                    actor=asked.actor,
                    reason=asked.reason,
                    changes=changes,
                ),
                message_id=f"{state.run}.retry_requested",
                about=state.run,
            ),
            _apply_message(state.run, 1),
        )
    )


def begun_by(serial: Stored | None) -> str | None:
    """The run of the last apply that began on a target."""
    if serial is None:
        return None
    return decode(ApplyStarted, data=serial.data, headers=serial.headers, subject=serial.subject).run


def _retrying(asked: Retry, changes: int) -> RunState:
    original, at = asked.original, to_text(asked.now)
    assert original.plan is not None  # noqa: S101 - checked by `check_retried`
    summary: PlanSummary = original.plan.model_copy(
        update={"changes": changes, "changes_by_class": dict(asked.changes_by_class)}
    )
    return RunState(
        run=asked.run,
        connector=original.connector,
        connector_version=original.connector_version,
        release_digest=original.release_digest,
        mode="apply",
        requester=asked.actor,
        status=RunStatus.QUEUED,
        changed_at=at,
        work=(),
        partitions=original.partitions,
        target=original.target,
        plan=summary,
        approvals=original.approvals,
        deferred=original.deferred,
        history=(PhaseTime(status=RunStatus.QUEUED, at=at),),
        retry_of=original.run,
        retry_plan_of=original.plan_run,
    ).moved(RunStatus.APPROVED, at=at)


def _apply_message(run: str, ordinal: int) -> Message:
    return Message(
        subject=apply_plan_subject(run),
        event=ApplyPlan(run=run, ordinal=ordinal),
        message_id=f"{run}.apply.{ordinal}",
        about=run,
    )


def _wrong_state(state: RunState, text: str) -> NeedsPerson:
    return NeedsPerson("APV_WRONG_STATE", text, run=state.run)
