"""How a run ends, pauses and goes on: the applier's decisions over the run's document."""

from __future__ import annotations

import pytest

from services.applier.apply import ASKED_TO_END, Stop
from services.applier.commands import resume
from services.applier.ending import final_status, finished, paused, refuse
from services.applier.examination import PlanIsStale
from services.applier.handlers import may_be_worked_on
from services.applier.outcomes import Known
from shared.errors import AetherError, NeedsPerson, StopRun
from shared.events.commands import ApplyPlan
from shared.events.documents import FailureNote
from shared.events.facts import ApplyFinished, ApplyPaused, OutcomeRecorded, RunResumed
from shared.run.counts import NineCounts
from shared.run.moves import Decision
from shared.run.state import RunState
from shared.run.states import TERMINAL, RunStatus
from tests.unit.plan.plan_builder import RUN, TARGET, change, plan, run_state

S = RunStatus
AT = "2026-11-22T08:30:00.000Z"
STALE = Stop("stale", FailureNote(code="APL_STALE", text="6 records of 10 had moved, allowed 5"))
DONE = NineCounts(planned=3, applied=2, noop_already=1)
HALF = NineCounts(planned=3, applied=1, not_attempted=2)
NONE = NineCounts(planned=3, not_attempted=3)
ALL_STALE = NineCounts(planned=10, stale_skipped=6, not_attempted=4)
ALL_REFUSED = NineCounts(planned=3, quarantined=3)


def state_in(decision: Decision) -> RunState:
    (found,) = [message.event for message in decision.messages if isinstance(message.event, RunState)]
    return found


def fact(counts: NineCounts, **by_code: int) -> ApplyFinished:
    return ApplyFinished(
        run=RUN,
        target=TARGET,
        status="",
        counts=counts,
        counts_by_code=by_code,
        seconds=1,
        retries=0,
        rate_limited=0,
        memory_peak_mb=1,
    )


@pytest.mark.parametrize(
    ("counts", "stop", "expected"),
    [
        (DONE, None, S.SUCCEEDED),
        (NineCounts(planned=2, noop_already=2), None, S.SUCCEEDED),
        (NineCounts(planned=3, applied=2, stale_skipped=1), None, S.PARTIAL),
        (NineCounts(planned=3, applied=2, quarantined=1), None, S.PARTIAL),
        (ALL_REFUSED, None, S.FAILED),
        (NineCounts(planned=3, applied=2, deferred=1), None, S.PARTIAL),
        (NineCounts(planned=3, noop_already=2, deferred=1), None, S.PARTIAL),
        (NineCounts(planned=3, failed=2, deferred=1), None, S.FAILED),
        (HALF, ASKED_TO_END, S.PARTIAL),
        (DONE, ASKED_TO_END, S.PARTIAL),
        (NONE, ASKED_TO_END, S.CANCELLED),
        (NineCounts(planned=3, noop_already=1, not_attempted=2), ASKED_TO_END, S.CANCELLED),
        (NineCounts(planned=10, applied=1, stale_skipped=6, not_attempted=3), STALE, S.PARTIAL),
        (ALL_STALE, STALE, S.PARTIAL),
    ],
)
def test_end_says_what_was_done_and_what_was_not(counts: NineCounts, stop: Stop | None, expected: RunStatus) -> None:
    assert final_status(counts, stop) is expected


def test_stale_stop_with_nothing_applied_ends_partial_with_its_reason() -> None:
    ended = state_in(finished(run_state(S.VERIFYING), fact(ALL_STALE, APL_CONFLICT=6), STALE, at=AT))
    assert (ended.status, ended.counts, ended.failure) == (S.PARTIAL, ALL_STALE, STALE.note)


def test_run_that_ended_short_without_a_stop_names_its_first_code() -> None:
    ended = state_in(finished(run_state(S.VERIFYING), fact(ALL_REFUSED, APL_REFUSED_RECORD=3), None, at=AT))
    assert ended.failure is not None
    assert (ended.failure.code, ended.failure.text) == (
        "APL_REFUSED_RECORD",
        "not every change was applied: 3 quarantined",
    )


def test_run_that_did_all_that_was_approved_is_amber_and_names_no_failure() -> None:
    part = NineCounts(planned=5, applied=2, noop_already=1, deferred=2)
    ended = state_in(finished(run_state(S.VERIFYING), fact(part), None, at=AT))
    assert (ended.status, ended.failure, ended.counts) == (S.PARTIAL, None, part)
    short = part.model_copy(update={"applied": 1, "failed": 1})
    told = state_in(finished(run_state(S.VERIFYING), fact(short, APL_INTERNAL=1), None, at=AT)).failure
    assert told is not None
    assert "2 deferred, 1 failed" in told.text


@pytest.mark.parametrize(("counts", "expected"), [(HALF, S.PARTIAL), (DONE, S.PARTIAL), (NONE, S.CANCELLED)])
def test_paused_run_that_was_asked_to_end_ends_straight_from_its_pause(counts: NineCounts, expected: S) -> None:
    waiting = run_state(S.PAUSED, cancel_requested_by="otto", counts=NineCounts(planned=3, unknown=3))
    decision = finished(waiting, fact(counts), ASKED_TO_END, at=AT)
    ended = state_in(decision)
    assert (ended.status, ended.counts) == (expected, counts)
    assert ended.failure is not None
    assert ended.failure.code == "SYS_CANCELLED"
    (told,) = [message.event for message in decision.messages if isinstance(message.event, ApplyFinished)]
    assert told.status == expected


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_end_is_told_once(status: RunStatus) -> None:
    ended = run_state(status)
    assert finished(ended, fact(DONE), None, at=AT) == Decision()
    assert paused(ended, HALF, STALE.note, at=AT) == Decision()
    assert refuse(ended, NeedsPerson("SYS_SECRET", "no token"), Known(), at=AT) == Decision()


def test_paused_run_is_not_paused_again() -> None:
    """Also when its target cannot be read while its unknown outcomes are looked up: it stays as it is."""
    unknown = NineCounts(planned=3, applied=1, unknown=2)
    waiting = state_in(paused(run_state(S.APPLYING), unknown, STALE.note, at=AT))
    assert (waiting.status, waiting.counts) == (S.PAUSED, unknown)
    assert paused(waiting, unknown, ASKED_TO_END.note, at=AT) == Decision()
    assert refuse(waiting, NeedsPerson("SYS_SECRET", "no token"), Known(), at=AT) == Decision()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StopRun("APL_PLAN_ALTERED", "another digest"), S.FAILED),
        (NeedsPerson("SYS_SECRET", "no token"), S.FAILED),
        (PlanIsStale("APL_STALE", "the plan has expired"), S.STALE),
    ],
)
def test_plan_refused_before_its_start_ends_the_run_with_nothing_attempted(error: AetherError, expected: S) -> None:
    of = plan([change(1), change(2)])
    ended = state_in(refuse(run_state(S.APPROVED, of=of), error, Known(), at=AT))
    assert (ended.status, ended.counts) == (expected, NineCounts(planned=2, not_attempted=2))


@pytest.mark.parametrize("status", [S.APPLYING, S.THROTTLED, S.VERIFYING])
def test_plan_refused_after_its_start_pauses_the_run_and_counts_by_the_ledger(status: RunStatus) -> None:
    of = plan([change(n) for n in range(5)])
    done = OutcomeRecorded(run=RUN, change_id="a", fencing_token=1, result="applied")
    known = Known(attempts={"a": 1, "b": 1}, outcomes={"a": done})
    state = state_in(refuse(run_state(status, of=of), StopRun("APL_PLAN_ALTERED", "gone"), known, at=AT))
    assert (state.status, state.counts) == (S.PAUSED, NineCounts(planned=5, applied=1, unknown=1, not_attempted=3))


def test_pause_tells_its_reason_and_its_counts() -> None:
    decision = paused(run_state(S.VERIFYING), HALF, STALE.note, at=AT)
    (told,) = [message.event for message in decision.messages if isinstance(message.event, ApplyPaused)]
    assert (told.reason, told.counts) == (STALE.note, HALF)


def test_resumed_run_forgets_the_counts_of_its_pause() -> None:
    """Paused again by a crash it would show what held before, and could be ended over outcomes that are unknown."""
    waiting = run_state(S.PAUSED, counts=HALF, cancel_requested_by="otto")
    decision = resume(waiting, actor="otto", reason="mended", at=AT)
    state = state_in(decision)
    assert (state.status, state.counts, state.cancel_requested_by) == (S.APPLYING, None, "otto")
    assert {type(message.event) for message in decision.messages} == {RunState, RunResumed, ApplyPlan}


@pytest.mark.parametrize("status", [one for one in S if one is not S.PAUSED])
def test_only_a_paused_run_can_be_resumed(status: RunStatus) -> None:
    with pytest.raises(NeedsPerson, match=f"is {status}; only a paused run") as refused:
        resume(run_state(status), actor="otto", reason="", at=AT)
    assert refused.value.code == "APV_WRONG_STATE"


@pytest.mark.parametrize("status", S)
def test_applier_takes_up_what_is_approved_or_begun_and_a_paused_run_only_to_end_it(status: RunStatus) -> None:
    begun = status in {S.APPROVED, S.APPLYING, S.THROTTLED, S.VERIFYING}
    assert may_be_worked_on(run_state(status)) is begun
    asked = run_state(status, cancel_requested_by="otto")
    assert may_be_worked_on(asked) is (begun or status is S.PAUSED)
