"""What a person may ask of a run that is or was applied: when it counts, and what is said when it does not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.applier.approved_plan import choose_tried
from services.applier.commands import Retry, check_retried, pause, retry
from services.applier.ending import paused, refuse
from services.applier.examination import PlanIsStale, examine_age, examine_approvals, examine_plan
from services.applier.outcomes import Known
from shared.errors import NeedsPerson, StopRun
from shared.events.commands import ApplyPlan
from shared.events.documents import FailureNote
from shared.events.facts import (
    AlarmRaised,
    ApplyRefused,
    OutcomeRecorded,
    PauseRequested,
    Result,
    RetryRequested,
)
from shared.plan.change import ChangeClass
from shared.run.active import ConnectorActive
from shared.run.counts import NineCounts
from shared.run.moves import Decision
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.unit.plan.plan_builder import IDENTITIES, NOW, OTHER_RUN, RUN, approval, change, plan, run_state

S = RunStatus
AT = "2026-11-22T08:30:00.000Z"
AT_WORK = (S.APPLYING, S.THROTTLED, S.VERIFYING)
CHANGES = [change(n) for n in range(1, 6)]
PLAN = plan(CHANGES)
FAILED = NineCounts(planned=5, applied=3, failed=2)
THIRD = "20261122T075700-000003"


def events(decision: Decision, kind: type[Any]) -> list[Any]:
    return [message.event for message in decision.messages if isinstance(message.event, kind)]


def ended(status: RunStatus = S.PARTIAL, **overrides: Any) -> RunState:
    plain: dict[str, Any] = {"counts": FAILED, "approvals": (approval(PLAN),)}
    return run_state(status, of=PLAN, **(plain | overrides))


def asked(original: RunState | None = None, **overrides: Any) -> Retry:
    plain: dict[str, Any] = {
        "run": OTHER_RUN,
        "original": original or ended(),
        "plan": PLAN,
        "changes_by_class": {"update": 2},
        "actor": "olga",
        "reason": "mended",
        "now": NOW,
    }
    return Retry(**(plain | overrides))


# --- pause ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", AT_WORK)
def test_run_at_work_takes_the_request_and_goes_on_until_it_is_seen(status: RunStatus) -> None:
    decision = pause(run_state(status), actor="otto", reason="office hours")
    (state,) = events(decision, RunState)
    assert (state.status, state.pause_requested_by) == (status, "otto")
    assert events(decision, PauseRequested) == [PauseRequested(run=RUN, actor="otto", reason="office hours")]


@pytest.mark.parametrize(
    ("status", "what_to_do"),
    [(S.PAUSED, "resume it"), (S.APPROVED, "cancel it"), (S.HELD, "cancel it"), (S.SUCCEEDED, "nothing to pause")],
)
def test_pause_of_what_writes_nothing_is_refused_with_what_to_do(status: RunStatus, what_to_do: str) -> None:
    with pytest.raises(NeedsPerson, match=what_to_do) as refused:
        pause(run_state(status), actor="otto", reason="")
    assert refused.value.code == "APV_WRONG_STATE"


@pytest.mark.parametrize(("asked_before", "said"), [("pause", "pauses at"), ("cancel", "ends at")])
def test_second_request_is_refused_by_the_name_of_the_first(asked_before: str, said: str) -> None:
    state = run_state(S.APPLYING).model_copy(update={f"{asked_before}_requested_by": "olga"})
    with pytest.raises(NeedsPerson, match=f"{said} its next change already, as olga asked"):
        pause(state, actor="otto", reason="")


@pytest.mark.parametrize("status", [S.PAUSED, S.PARTIAL])
def test_request_to_pause_is_forgotten_once_the_run_stands(status: RunStatus) -> None:
    state = run_state(S.APPLYING, pause_requested_by="otto")
    assert state.moved(status, at=AT).pause_requested_by is None
    assert state.moved(S.THROTTLED, at=AT).pause_requested_by == "otto"


# --- retry ----------------------------------------------------------------------------------------------------------


def outcome(number: int, result: Result, code: str | None = None) -> OutcomeRecorded:
    return OutcomeRecorded(run=RUN, change_id=CHANGES[number].change_id, fencing_token=1, result=result, code=code)


@pytest.mark.parametrize(
    ("result", "code", "is_tried"),
    [
        ("failed", "APL_UNREACHABLE", True),
        ("failed", None, True),
        ("dependency_skipped", "APL_DEPENDENCY", True),
        ("quarantined", "APL_REFUSED_RECORD", True),
        ("quarantined", "MAT_DUPLICATE_KEY", False),
        ("quarantined", None, False),
        ("applied", None, False),
        ("noop_already", None, False),
        ("stale_skipped", "APL_CONFLICT", False),
        ("deferred", None, False),
        ("not_attempted", None, False),
    ],
)
def test_only_what_failed_or_was_refused_by_the_target_is_tried_again(
    result: Result, code: str | None, is_tried: bool
) -> None:
    one = outcome(0, result, code)
    known = Known(attempts={one.change_id: 1}, outcomes={one.change_id: one})
    assert choose_tried(PLAN, CHANGES, known) == (CHANGES[:1] if is_tried else [])


def test_change_that_the_plan_set_aside_stays_aside_and_a_foreign_outcome_adds_nothing() -> None:
    aside = outcome(1, "quarantined", "APL_REFUSED_RECORD")
    foreign = outcome(2, "failed").model_copy(update={"change_id": "f" * 64})
    known = Known(outcomes={aside.change_id: aside, foreign.change_id: foreign})
    of = plan(CHANGES, excluded=CHANGES[1:2])
    assert choose_tried(of, CHANGES, known) == []


def test_what_the_approvals_left_out_is_not_tried_again_whatever_the_ledger_says() -> None:
    forged, mine = outcome(0, "failed", "APL_UNREACHABLE"), outcome(1, "failed", "APL_UNREACHABLE")
    known = Known(outcomes={one.change_id: one for one in (forged, mine)})
    assert choose_tried(PLAN, CHANGES, known) == CHANGES[:2]
    assert choose_tried(PLAN, CHANGES, known, deferred=(forged.change_id,)) == CHANGES[1:2]


def test_retry_leaves_out_what_the_run_it_retries_left_out() -> None:
    out = (CHANGES[4].change_id,)
    (state,) = events(retry(asked(ended(deferred=out)), others=[ended()]), RunState)
    assert state.deferred == out


def test_retry_is_a_run_of_its_own_under_the_same_plan_and_approvals() -> None:
    decision = retry(asked(), others=[ended()])
    (state,) = events(decision, RunState)
    original = ended()
    assert (state.run, state.status, state.requester, state.mode) == (OTHER_RUN, S.APPROVED, "olga", "apply")
    assert (state.retry_of, state.plan_run, state.approvals) == (RUN, RUN, original.approvals)
    assert [phase.status for phase in state.history] == [S.QUEUED, S.APPROVED]
    assert state.plan is not None
    assert original.plan is not None
    assert state.plan == original.plan.model_copy(update={"changes": 2, "changes_by_class": {"update": 2}})
    assert events(decision, ConnectorActive) == [ConnectorActive(connector="tiny", run=OTHER_RUN)]
    assert events(decision, ApplyPlan) == [ApplyPlan(run=OTHER_RUN, ordinal=1)]
    (told,) = events(decision, RetryRequested)
    assert (told.retry_of, told.actor, told.changes) == (RUN, "olga", 2)


def test_retry_of_a_retry_names_the_run_it_retries_and_the_run_of_the_plan() -> None:
    first = ended().model_copy(update={"run": THIRD, "retry_of": RUN, "retry_plan_of": RUN})
    (state,) = events(retry(asked(first), others=[first]), RunState)
    assert (state.retry_of, state.retry_plan_of) == (THIRD, RUN)


@pytest.mark.parametrize("status", [one for one in S if one not in (S.PARTIAL, S.FAILED)])
def test_only_a_run_that_ended_partial_or_failed_can_be_retried(status: RunStatus) -> None:
    with pytest.raises(NeedsPerson, match="resume it" if status is S.PAUSED else "partial or failed") as refused:
        check_retried(ended(status), now=NOW)
    assert refused.value.code == "APV_WRONG_STATE"


@pytest.mark.parametrize(
    "counts", [None, NineCounts(planned=2, applied=1, stale_skipped=1), NineCounts(planned=2, not_attempted=2)]
)
def test_run_in_which_nothing_failed_cannot_be_retried(counts: NineCounts | None) -> None:
    with pytest.raises(NeedsPerson, match="failed or was refused") as refused:
        check_retried(ended(counts=counts), now=NOW)
    assert refused.value.code == "APV_WRONG_STATE"


def test_run_whose_plan_has_expired_cannot_be_retried() -> None:
    with pytest.raises(NeedsPerson, match="run the connector again") as refused:
        check_retried(ended(), now=NOW + timedelta(days=2))
    assert refused.value.code == "APV_EXPIRED"


def test_run_of_which_only_what_the_plan_set_aside_is_left_cannot_be_retried() -> None:
    with pytest.raises(NeedsPerson, match="set aside by its plan"):
        retry(asked(changes_by_class={}), others=[])


@pytest.mark.parametrize("status", [S.QUEUED, S.HELD, S.AWAITING_APPROVAL, S.APPROVED, S.PAUSED])
def test_run_under_way_excludes_a_retry(status: RunStatus) -> None:
    other = run_state(status, run=THIRD)
    with pytest.raises(NeedsPerson, match=THIRD) as refused:
        retry(asked(), others=[other])
    assert refused.value.code == "APV_OVERLAP"


def test_newer_plan_of_the_connector_excludes_a_retry_and_a_dry_run_does_not() -> None:
    newer = run_state(S.REJECTED, of=PLAN, run=THIRD)
    with pytest.raises(NeedsPerson, match=f"planned anew as run {THIRD}") as refused:
        retry(asked(), others=[newer])
    assert refused.value.code == "APL_STALE"
    for harmless in (run_state(S.PLANNED, of=PLAN, run=THIRD, mode="dry-run"), run_state(S.FAILED, run=THIRD)):
        assert retry(asked(), others=[harmless]).messages


# --- what the applier makes of a retry ------------------------------------------------------------------------------


def retrying() -> RunState:
    (state,) = events(retry(asked(), others=[]), RunState)
    assert isinstance(state, RunState)
    return state


def test_retry_is_examined_like_the_run_of_its_plan() -> None:
    examine_plan(PLAN, CHANGES, retrying())
    examine_approvals(retrying(), PLAN, identities=IDENTITIES, now=NOW)
    with pytest.raises(StopRun, match="another run's"):
        examine_plan(PLAN, CHANGES, retrying().model_copy(update={"retry_plan_of": THIRD}))
    with pytest.raises(StopRun, match="0 approvals"):
        examine_approvals(retrying().model_copy(update={"approvals": ()}), PLAN, identities=IDENTITIES, now=NOW)


def test_approval_of_one_plan_does_not_carry_the_retry_of_another() -> None:
    other = plan([change(1, ChangeClass.SUSPEND)])
    state = retrying().model_copy(update={"approvals": (approval(other),)})
    with pytest.raises(StopRun) as refused:
        examine_approvals(state, PLAN, identities=IDENTITIES, now=NOW)
    assert refused.value.code == "APV_WRONG_DIGEST"


def test_target_must_stand_where_the_retried_run_left_it() -> None:
    examine_age(PLAN, target_serial=99, begun_by=RUN, retry_of=RUN, now=NOW)
    for begun_by in (None, THIRD):
        with pytest.raises(PlanIsStale, match="has begun"):
            examine_age(PLAN, target_serial=7, begun_by=begun_by, retry_of=RUN, now=NOW)


# --- a paused run whose plan cannot be verified any more --------------------------------------------------------------


def test_run_that_cannot_end_says_that_its_plan_is_gone_once_and_stays_paused() -> None:
    unknown = NineCounts(planned=5, applied=1, unknown=4)
    note = FailureNote(code="APL_UNREACHABLE", text="no connection")
    (waiting,) = events(paused(run_state(S.APPLYING, of=PLAN), unknown, note, at=AT), RunState)
    known = Known(attempts={one.change_id: 1 for one in CHANGES}, outcomes={})
    gone = StopRun("APL_PLAN_ALTERED", "there is no plan on the bus")
    decision = refuse(waiting, gone, known, at=AT)
    (state,) = events(decision, RunState)
    assert (state.status, state.counts) == (S.PAUSED, NineCounts(planned=5, unknown=5))
    assert state.failure == FailureNote.of(gone)
    assert len(events(decision, ApplyRefused)) == 1
    assert [alarm.reason.code for alarm in events(decision, AlarmRaised)] == ["APL_PLAN_ALTERED"]
    assert refuse(state, gone, known, at=AT) == Decision()


@pytest.mark.parametrize("code", ["APL_PLAN_ALTERED", "APL_VERDICT_DIFFERS", "APV_BAD_SIGNATURE"])
def test_forged_plan_or_approval_is_refused_and_alarmed(code: str) -> None:
    decision = refuse(run_state(S.APPROVED, of=PLAN), StopRun(code, "forged"), Known(), at=AT)
    (alarm,) = events(decision, AlarmRaised)
    assert (alarm.service, alarm.run, alarm.reason.code) == ("applier", RUN, code)


def test_plan_that_is_merely_stale_is_no_alarm() -> None:
    decision = refuse(run_state(S.APPROVED, of=PLAN), PlanIsStale("APL_STALE", "too old"), Known(), at=AT)
    assert events(decision, AlarmRaised) == []
