"""How an apply begins to end: the run throttled, verifying, paused, refused or finished, as decisions.

It reads and publishes nothing. Each decision says nothing when the run has gone elsewhere meanwhile, so that it can be
made twice and late.
"""

from __future__ import annotations

from services.applier.apply import Stop
from services.applier.examination import PlanIsStale
from services.applier.outcomes import Known, counts_without_plan
from shared.errors import AetherError, StopRun
from shared.events.documents import FailureNote
from shared.events.facts import ApplyFinished, ApplyPaused, ApplyRefused
from shared.run.alarms import ALARMING, alarm_message
from shared.run.counts import NineCounts
from shared.run.moves import NOTHING, Decision, Message, state_message
from shared.run.state import RunState
from shared.run.states import RunStatus

SERVICE = "applier"


def throttled(state: RunState, seconds: float, why: FailureNote | None, *, at: str) -> Decision:
    """The run while its target is not asked anything (`seconds` > 0), and again when the wait is over (0)."""
    if seconds == 0 and state.status is RunStatus.THROTTLED:
        return Decision((state_message(state.moved(RunStatus.APPLYING, at=at)),))
    if seconds == 0 or state.status is not RunStatus.APPLYING:
        return NOTHING
    note = why or FailureNote(code="APL_RATE_LIMITED", text=f"{state.target} asks to wait {seconds:g} s")
    return Decision((state_message(state.moved(RunStatus.THROTTLED, at=at, failure=note)),))


def verifying(state: RunState, *, at: str) -> Decision:
    """The run whose changes are all concluded, and looked at once more."""
    if state.status not in {RunStatus.APPLYING, RunStatus.THROTTLED}:
        return NOTHING
    return Decision((state_message(state.moved(RunStatus.VERIFYING, at=at)),))


def paused(state: RunState, counts: NineCounts, note: FailureNote, *, at: str) -> Decision:
    """The run that waits for a person."""
    if state.status is RunStatus.PAUSED or state.has_ended:
        return NOTHING
    moved = state.model_copy(update={"counts": counts}).moved(RunStatus.PAUSED, at=at, failure=note)
    fact = Message(
        subject=f"evt.applier.apply_paused.{state.run}",
        event=ApplyPaused(run=state.run, reason=note, counts=counts),
        message_id=f"{state.run}.paused.{len(state.history)}",
        about=state.run,
    )
    return Decision((state_message(moved), fact))


def refuse(state: RunState, error: AetherError, known: Known, *, at: str) -> Decision:
    """The run whose plan must not be applied: failed or stale before the first write, paused after it.

    A paused run that was asked to end stays paused: without its plan nobody can look its unknown outcomes up, and a
    run must not end over them. Its document then says so, in place of what paused it first.
    """
    if state.has_ended:
        return NOTHING
    note = FailureNote.of(error)
    # Counted here, or a run whose plan cannot be read any more could not be ended by anybody.
    counts = counts_without_plan(state.plan.changes if state.plan is not None else 0, known)
    counted = state.model_copy(update={"counts": counts})
    if state.status is RunStatus.PAUSED:
        is_known = state.failure is not None and state.failure.code == note.code
        if is_known or not isinstance(error, StopRun):
            return NOTHING  # what can be mended is no reason to forget what paused the run
        refused = counted.model_copy(update={"failure": note, "changed_at": at})
    elif state.status is not RunStatus.APPROVED:
        refused = counted.moved(RunStatus.PAUSED, at=at, failure=note)
    else:
        status = RunStatus.STALE if isinstance(error, PlanIsStale) else RunStatus.FAILED
        refused = counted.moved(status, at=at, failure=note)
    # The code is part of the ids: a run that stays paused can be refused for one reason after the other.
    step = f"{len(state.history)}.{note.code}"
    fact = Message(
        subject=f"evt.applier.apply_refused.{state.run}",
        event=ApplyRefused(run=state.run, refusal=note),
        message_id=f"{state.run}.refused.{step}",
        about=state.run,
    )
    alarm = alarm_message(SERVICE, run=state.run, reason=note, message_id=f"{state.run}.alarm.{step}")
    return Decision((state_message(refused), fact, *((alarm,) if note.code in ALARMING else ())))


def final_status(counts: NineCounts, stop: Stop | None) -> RunStatus:
    """How a run ends: clean, amber when something was done and something else not, otherwise as what stopped it."""
    if stop is None and counts.is_clean:
        return RunStatus.SUCCEEDED
    if counts.applied or (stop is not None and stop.kind == "stale") or is_clean_but_for_the_deferred(counts):
        return RunStatus.PARTIAL
    return RunStatus.CANCELLED if stop is not None and stop.kind == "cancel" else RunStatus.FAILED


def is_clean_but_for_the_deferred(counts: NineCounts) -> bool:
    """Whether everything that was approved was applied or not needed any more, and something was left out."""
    return counts.deferred > 0 and counts.planned == counts.applied + counts.noop_already + counts.deferred


def finished(state: RunState, fact: ApplyFinished, stop: Stop | None, *, at: str) -> Decision:
    """The run that has ended, with its counts."""
    if state.has_ended:
        return NOTHING
    status = final_status(fact.counts, stop)
    note = stop.note if stop is not None else None
    # What was left out on purpose is no failure: the counts tell of it, and the approval.
    if note is None and status is not RunStatus.SUCCEEDED and not is_clean_but_for_the_deferred(fact.counts):
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
