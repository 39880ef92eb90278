"""What becomes of a run when a person decides on its plan."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.differ.approving import decide_plan, facts_of
from shared.clock import to_text
from shared.errors import AetherError
from shared.events.commands import ApplyPlan
from shared.events.facts import PlanDecided, RunExpired
from shared.plan.change import ChangeClass
from shared.policy.approval import SignedApproval
from shared.policy.limits import Limit, policy_with
from shared.run.moves import Decision
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.unit.plan.plan_builder import IDENTITIES, NOW, approval, change, plan, run_state

S = RunStatus
PLAIN = plan([change(1)])
RISKY = plan(
    [change(n, ChangeClass.DELETE) for n in (1, 2)],
    # Deleting is off until a connector sets its limit; without one the plan would need an override as well.
    policy=policy_with({"delete": Limit(count=25, percent=1, floor=2)}),
)


def decide(state: RunState, given: SignedApproval, *, actor: str | None = None, now: datetime = NOW) -> Decision:
    return decide_plan(state, given, actor=actor or given.approval.approver, identities=IDENTITIES, now=now)


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
