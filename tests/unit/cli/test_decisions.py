"""What an approver signs is exactly the plan that was shown, and counts where it is checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cli.problem import CommandFailed
from shared.asking.deciding import full_digest, signed_decision
from shared.errors import AetherError
from shared.hashing.signing import generate, private_key_pem, public_key_b64
from shared.ids import RandomIds
from shared.policy.approval import Identities, Person, PlanFacts, SignedApproval, check_approval
from shared.policy.guard import Level
from tests.unit.cli.documents import DIGEST, RUN, plan_summary

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
KEY = generate()
IDENTITIES = Identities(people={"anna": Person(roles=("approver",), approval_key=public_key_b64(KEY))})


def _signed(**changed: Any) -> SignedApproval:
    values: dict[str, Any] = {
        "plan": plan_summary(),
        "run": RUN,
        "decision": "approve",
        "approver": "anna",
        "reason": "reviewed",
        "is_override": False,
        "key_text": private_key_pem(KEY),
        "now": NOW,
        "ids": RandomIds(),
    }
    values |= changed
    return signed_decision(values.pop("plan"), **values)


def _check(signed: SignedApproval, *, now: datetime = NOW, level: Level = Level.PASS) -> None:
    plan = plan_summary()
    facts = PlanFacts(
        run=RUN,
        requester="otto",
        plan_digest=plan.plan_digest,
        verdict_digest=plan.verdict_digest,
        verdict_level=level,
        changes_by_class=plan.changes_by_class,
        expires_at=plan.expires_at,
    )
    check_approval(signed, plan=facts, identities=IDENTITIES, earlier=(), now=now)


@pytest.mark.parametrize("given", [DIGEST, DIGEST.removeprefix("sha256:"), DIGEST[:19], DIGEST[7:19], DIGEST.upper()])
def test_digest_may_be_whole_or_its_first_twelve_digits(given: str) -> None:
    assert full_digest(given, shown=DIGEST, run=RUN) == DIGEST


@pytest.mark.parametrize("given", [DIGEST[:18], "", "sha256:", "latest", DIGEST + "00", "b" + DIGEST[8:19], DIGEST[8:]])
def test_digest_that_is_short_other_or_none_is_refused(given: str) -> None:
    with pytest.raises(CommandFailed):
        full_digest(given, shown=DIGEST, run=RUN)


def test_signed_decision_counts_where_it_is_checked() -> None:
    signed = _signed()
    _check(signed)
    assert signed.approval.plan_digest == DIGEST


def test_altered_decision_does_not_count() -> None:
    signed = _signed()
    altered = signed.model_copy(update={"approval": signed.approval.model_copy(update={"reason": "another"})})
    with pytest.raises(AetherError) as caught:
        _check(altered)
    assert caught.value.code == "APV_BAD_SIGNATURE"


@pytest.mark.parametrize(("classes", "hours"), [({"create": 1}, 24), ({"suspend": 1}, 24), ({"delete": 1}, 4)])
def test_decision_lapses_as_its_risk_asks(classes: dict[str, int], hours: int) -> None:
    signed = _signed(plan=plan_summary(changes_by_class=classes))
    lapses = datetime.fromisoformat(signed.approval.expires_at)
    assert lapses == NOW + timedelta(hours=hours)


def test_held_plan_is_approved_only_when_the_override_is_stated() -> None:
    held = plan_summary(verdict_level="HOLD")
    with pytest.raises(CommandFailed, match="held by the guard"):
        _signed(plan=held)
    _check(_signed(plan=held, is_override=True), level=Level.HOLD)
    assert _signed(plan=held, decision="reject").approval.decision == "reject"


def test_override_of_a_plan_that_is_not_held_is_a_usage_error_and_is_never_signed() -> None:
    with pytest.raises(CommandFailed, match="is not held") as caught:
        _signed(is_override=True)
    assert caught.value.exit_code == 64


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_decision_without_a_reason_is_not_signed(reason: str) -> None:
    with pytest.raises(CommandFailed, match="--reason"):
        _signed(reason=reason)


def test_two_decisions_never_share_a_nonce() -> None:
    assert _signed().approval.nonce != _signed().approval.nonce


def test_unreadable_key_is_refused_without_showing_it() -> None:
    with pytest.raises(CommandFailed) as caught:
        _signed(key_text="not-a-key-but-secret")
    assert "not-a-key-but-secret" not in caught.value.text
