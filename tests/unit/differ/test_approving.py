"""What becomes of a run when a person decides on its plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.differ.approving import decide_plan, facts_of, is_of_a_part
from shared.clock import to_text
from shared.errors import AetherError
from shared.events.commands import ApplyPlan
from shared.events.facts import PlanDecided, RunExpired
from shared.plan.change import ChangeClass
from shared.plan.subset import subset_index
from shared.policy.approval import DEFERRED_MAX, SignedApproval
from shared.policy.limits import Limit, policy_with
from shared.run.moves import Decision
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.unit.plan.plan_builder import IDENTITIES, NOW, approval, change, plan, run_state, signed_part

S = RunStatus
PLAIN = plan([change(1)])
DELETES = [change(n, ChangeClass.DELETE) for n in (1, 2)]
RISKY = plan(
    DELETES,
    # Deleting is off until a connector sets its limit; without one the plan would need an override as well.
    policy=policy_with({"delete": Limit(count=25, percent=1, floor=2)}),
)


def decide(
    state: RunState, given: SignedApproval, *, actor: str | None = None, now: datetime = NOW, **part: Any
) -> Decision:
    return decide_plan(state, given, actor=actor or given.approval.approver, identities=IDENTITIES, now=now, **part)


SOME = [change(n) for n in (1, 2, 3)]
BIGGER = plan(SOME)
INDEX = subset_index(BIGGER.header, SOME)
OUT = (SOME[1].change_id,)
RISKY_INDEX = subset_index(RISKY.header, DELETES)
RISKY_OUT = (DELETES[0].change_id,)


def next_state(decision: Decision) -> RunState:
    (state,) = [message.event for message in decision.messages if isinstance(message.event, RunState)]
    return state


def events(decision: Decision, kind: type[Any]) -> list[Any]:
    return [message.event for message in decision.messages if isinstance(message.event, kind)]


@pytest.mark.parametrize("status", [S.AWAITING_APPROVAL, S.HELD])
def test_last_needed_approval_sends_the_plan_to_the_applier(status: RunStatus) -> None:
    decision = decide(run_state(status, of=PLAIN), approval(PLAIN))
    assert next_state(decision).status is S.APPROVED
    assert events(decision, ApplyPlan) == [ApplyPlan(run=PLAIN.header.run, ordinal=1)]
    assert [fact.is_final for fact in events(decision, PlanDecided)] == [True]


def test_plan_of_high_risk_waits_for_a_second_person() -> None:
    first = decide(run_state(S.AWAITING_APPROVAL, of=RISKY), approval(RISKY, "anna"))
    waiting = next_state(first)
    assert waiting.status is S.AWAITING_APPROVAL
    assert events(first, ApplyPlan) == []
    assert [fact.is_final for fact in events(first, PlanDecided)] == [False]
    with pytest.raises(AetherError, match="second approver must be another") as twice:
        decide(waiting, approval(RISKY, "anna", nonce="other"))
    assert twice.value.code == "APV_TWICE"
    second = decide(waiting, approval(RISKY, "abel"))
    assert next_state(second).status is S.APPROVED
    assert [one.approval.approver for one in next_state(second).approvals] == ["anna", "abel"]
    assert len(events(second, ApplyPlan)) == 1


def test_rejected_plan_ends_its_run() -> None:
    decision = decide(run_state(S.HELD, of=PLAIN), approval(PLAIN, decision="reject"))
    assert next_state(decision).status is S.REJECTED
    assert events(decision, ApplyPlan) == []


def test_expired_plan_ends_its_run_as_expired() -> None:
    late = NOW + timedelta(hours=5)
    given = approval(PLAIN, signed_at=to_text(late), expires_at=to_text(late + timedelta(hours=1)))
    decision = decide(run_state(S.AWAITING_APPROVAL, of=PLAIN), given, now=late)
    assert next_state(decision).status is S.EXPIRED
    (told,) = events(decision, RunExpired)
    assert (told.run, told.plan_digest) == (PLAIN.header.run, PLAIN.plan_digest)
    assert events(decision, ApplyPlan) == events(decision, PlanDecided) == []


@pytest.mark.parametrize("actor", ["abel", "", "otto"])
def test_who_sends_is_who_signs(actor: str) -> None:
    with pytest.raises(AetherError) as refused:
        decide_plan(
            run_state(S.AWAITING_APPROVAL, of=PLAIN),
            approval(PLAIN),
            actor=actor or None,
            identities=IDENTITIES,
            now=NOW,
        )
    assert refused.value.code == "APV_NOT_AUTHORISED"


@pytest.mark.parametrize("status", [one for one in S if one not in (S.HELD, S.AWAITING_APPROVAL)])
def test_only_a_waiting_run_can_be_decided(status: RunStatus) -> None:
    with pytest.raises(AetherError, match=f"is {status}") as refused:
        decide(run_state(status, of=PLAIN), approval(PLAIN))
    assert refused.value.code == "APV_WRONG_STATE"


def test_run_without_plan_has_nothing_to_approve() -> None:
    with pytest.raises(AetherError, match="has no plan") as refused:
        facts_of(run_state(S.AWAITING_APPROVAL))
    assert refused.value.code == "APV_WRONG_STATE"


def test_decisions_of_two_people_with_one_nonce_are_two_messages() -> None:
    """A stream keeps one message of an id; whoever picks a nonce must not be able to swallow another's decision."""
    first = decide(run_state(S.AWAITING_APPROVAL, of=RISKY), approval(RISKY, "anna", nonce="1"))
    second = decide(next_state(first), approval(RISKY, "abel", nonce="1"))
    ids = [m.message_id for d in (first, second) for m in d.messages if isinstance(m.event, PlanDecided)]
    assert len(set(ids)) == 2
    assert all(one.isprintable() for one in ids)


# --- a part of the plan ---------------------------------------------------------------------------------------------


def test_approved_part_is_kept_in_the_runs_document_and_told() -> None:
    given = approval(BIGGER, **signed_part(OUT, INDEX))
    decision = decide(run_state(S.AWAITING_APPROVAL, of=BIGGER), given, deferred=OUT, index=INDEX)
    after = next_state(decision)
    assert (after.status, after.deferred) == (S.APPROVED, OUT)
    (told,) = events(decision, PlanDecided)
    assert (told.left_out, told.signed.approval.subset) == (1, given.approval.subset)
    assert len(events(decision, ApplyPlan)) == 1


def test_what_is_left_out_is_kept_in_order_however_it_is_named() -> None:
    out = sorted((SOME[0].change_id, SOME[2].change_id))
    given = approval(BIGGER, **signed_part(out, INDEX))
    state = run_state(S.AWAITING_APPROVAL, of=BIGGER)
    for named in (out, out[::-1]):
        assert next_state(decide(state, given, deferred=named, index=INDEX)).deferred == tuple(out)


def test_part_of_a_plan_of_high_risk_needs_two_people_who_sign_the_same_part() -> None:
    part = signed_part(RISKY_OUT, RISKY_INDEX)
    state = run_state(S.AWAITING_APPROVAL, of=RISKY)
    waiting = next_state(decide(state, approval(RISKY, "anna", **part), deferred=RISKY_OUT, index=RISKY_INDEX))
    assert (waiting.status, waiting.deferred) == (S.AWAITING_APPROVAL, RISKY_OUT)
    with pytest.raises(AetherError, match="approve the same part") as other:
        decide(waiting, approval(RISKY, "abel"))
    assert other.value.code == "APV_WRONG_DIGEST"
    with pytest.raises(AetherError, match="0 changes are named as left out"):
        decide(waiting, approval(RISKY, "abel", **part), index=RISKY_INDEX)
    both = decide(waiting, approval(RISKY, "abel", **part), deferred=RISKY_OUT, index=RISKY_INDEX)
    assert (next_state(both).status, next_state(both).deferred) == (S.APPROVED, RISKY_OUT)


@pytest.mark.parametrize("deferred", [(), (SOME[0].change_id,), (*OUT, SOME[0].change_id), ("f" * 64,)])
def test_part_that_is_not_what_was_signed_does_not_count(deferred: tuple[str, ...]) -> None:
    given = approval(BIGGER, **signed_part(OUT, INDEX))
    with pytest.raises(AetherError) as refused:
        decide(run_state(S.AWAITING_APPROVAL, of=BIGGER), given, deferred=deferred, index=INDEX)
    assert refused.value.code in {"APV_MALFORMED", "APV_WRONG_DIGEST"}


def test_nothing_is_left_out_behind_an_approval_of_the_whole_plan() -> None:
    with pytest.raises(AetherError, match="of the whole plan, and 1 changes are named"):
        decide(run_state(S.AWAITING_APPROVAL, of=BIGGER), approval(BIGGER), deferred=OUT, index=INDEX)


def test_signature_of_another_person_under_a_part_does_not_hold() -> None:
    mine = approval(BIGGER, "anna", **signed_part(OUT, INDEX))
    forged = mine.model_copy(update={"signature": approval(BIGGER, "anna").signature})
    with pytest.raises(AetherError) as refused:
        decide(run_state(S.AWAITING_APPROVAL, of=BIGGER), forged, deferred=OUT, index=INDEX)
    assert refused.value.code == "APV_BAD_SIGNATURE"


def test_more_than_a_decision_may_leave_out_is_refused_before_the_plan_is_read() -> None:
    many = tuple(f"{number:064x}" for number in range(DEFERRED_MAX + 1))
    given, state = approval(BIGGER, **signed_part(OUT, INDEX)), run_state(S.AWAITING_APPROVAL, of=BIGGER)
    assert not is_of_a_part(state, given, many)
    with pytest.raises(AetherError, match="reject the plan, or narrow the connector"):
        decide(state, given, deferred=many)


def test_rejection_leaves_nothing_out() -> None:
    with pytest.raises(AetherError, match="a rejection leaves nothing out"):
        decide(run_state(S.HELD, of=BIGGER), approval(BIGGER, decision="reject"), deferred=OUT)


def test_plan_is_read_only_for_a_part_of_the_plan_that_is_to_be_decided() -> None:
    part, state = approval(BIGGER, **signed_part(OUT, INDEX)), run_state(S.AWAITING_APPROVAL, of=BIGGER)
    assert is_of_a_part(state, part, OUT)
    assert not is_of_a_part(state, approval(BIGGER), ())
    assert not is_of_a_part(run_state(S.APPLYING, of=BIGGER), part, OUT)
    assert not is_of_a_part(run_state(S.AWAITING_APPROVAL, of=PLAIN), part, OUT)
