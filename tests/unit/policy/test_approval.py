"""An approval counts only for what it names, by whom it names, in its time; each refusal has its own code."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from shared.clock import to_text
from shared.errors import AetherError, NeedsPerson, StopRun
from shared.plan.change import ChangeClass
from shared.plan.document import Plan
from shared.policy.approval import (
    Approval,
    PlanFacts,
    SignedApproval,
    approvals_needed,
    check_approval,
    expiry_of,
    payload_of,
    risk_of,
)
from shared.policy.guard import Level
from tests.unit.plan.plan_builder import IDENTITIES, NOW, OTHER_RUN, approval, change, plan, signed

PLAIN = plan([change(1)])
PART, OTHER_PART = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def facts(of: Plan = PLAIN, **overrides: Any) -> PlanFacts:
    head = of.header
    plain = PlanFacts(
        run=head.run,
        requester=head.requester,
        plan_digest=of.plan_digest,
        verdict_digest=head.verdict.digest,
        verdict_level=head.verdict.level,
        changes_by_class=head.changes_by_class,
        expires_at=head.expires_at,
    )
    return plain.model_copy(update=overrides)


def check(
    given: SignedApproval, of: PlanFacts | None = None, *, earlier: Sequence[str] = (), now: datetime = NOW
) -> None:
    check_approval(given, plan=of or facts(), identities=IDENTITIES, earlier=earlier, now=now)


def refusal(given: SignedApproval, of: PlanFacts | None = None, **more: Any) -> AetherError:
    with pytest.raises(AetherError) as refused:
        check(given, of, **more)
    return refused.value


def test_approval_of_the_plan_by_another_person_counts() -> None:
    check(approval(PLAIN))
    check(approval(PLAIN, "abel"), earlier=["anna"])
    check(approval(PLAIN, decision="reject"))


FIELDS = [
    "run",
    "plan_digest",
    "verdict_digest",
    "subset",
    "left_out_root",
    "decision",
    "is_override",
    "approver",
    "reason",
    "nonce",
    "signed_at",
    "expires_at",
]


@pytest.mark.parametrize("name", FIELDS)
def test_altered_field_breaks_the_signature(name: str) -> None:
    good = approval(PLAIN)
    altered: dict[str, Any] = {
        "decision": "reject",
        "is_override": True,
        "approver": "abel",
        "subset": PART,
        "left_out_root": PART,
    }
    value = altered.get(name, f"{getattr(good.approval, name)}x")
    found = refusal(good.model_copy(update={"approval": good.approval.model_copy(update={name: value})}))
    assert isinstance(found, StopRun)
    assert found.code == "APV_BAD_SIGNATURE"


def test_every_field_of_an_approval_is_signed() -> None:
    assert set(FIELDS) == set(type(approval(PLAIN).approval).model_fields)


def test_altered_byte_of_the_signature_is_refused() -> None:
    good = approval(PLAIN)
    for at in range(0, len(good.signature), 9):
        sign = "A" if good.signature[at] != "A" else "B"
        broken = good.signature[:at] + sign + good.signature[at + 1 :]
        assert refusal(good.model_copy(update={"signature": broken})).code == "APV_BAD_SIGNATURE"
    assert refusal(good.model_copy(update={"signature": ""})).code == "APV_BAD_SIGNATURE"


def test_signature_by_the_key_of_another_person_is_refused() -> None:
    assert refusal(signed(approval(PLAIN).approval, key_of="abel")).code == "APV_BAD_SIGNATURE"


@pytest.mark.parametrize("who", ["nobody-we-know", "olga", "keyless"])
def test_who_is_no_approver_with_a_key_is_refused(who: str) -> None:
    found = refusal(approval(PLAIN, who))
    assert isinstance(found, NeedsPerson)
    assert found.code == "APV_NOT_AUTHORISED"


@pytest.mark.parametrize(
    "other", [{"plan_digest": "sha256:other"}, {"verdict_digest": "sha256:other"}, {"run": OTHER_RUN}]
)
def test_approval_of_something_else_is_refused(other: dict[str, str]) -> None:
    assert refusal(approval(PLAIN, **other)).code == "APV_WRONG_DIGEST"


def test_requester_cannot_approve_the_own_run() -> None:
    assert refusal(approval(PLAIN, "otto")).code == "APV_OWN_REQUEST"
    check(approval(PLAIN, "otto"), facts(requester="olga"))


def test_run_that_nobody_requested_cannot_be_approved() -> None:
    assert refusal(approval(PLAIN), facts(requester=None)).code == "APV_UNATTRIBUTED"


def test_one_person_does_not_count_twice() -> None:
    assert refusal(approval(PLAIN, nonce="another"), earlier=["anna"]).code == "APV_TWICE"


def of_part(subset: str) -> dict[str, Any]:
    return {"subset": subset, "left_out_root": None if subset == "ALL" else PART}


def test_two_people_approve_the_same_part_or_it_does_not_count() -> None:
    for first in ("ALL", PART):
        of = facts(subset=first)
        check(approval(PLAIN, "abel", **of_part(first)), of, earlier=["anna"])
        for other in {"ALL", PART, OTHER_PART} - {first}:
            found = refusal(approval(PLAIN, "abel", **of_part(other)), of, earlier=["anna"])
            assert (found.code, "anna approved" in found.message) == ("APV_WRONG_DIGEST", True)
    check(approval(PLAIN, "abel", decision="reject"), facts(subset=PART), earlier=["anna"])


def test_plan_is_rejected_as_a_whole() -> None:
    assert refusal(approval(PLAIN, decision="reject", **of_part(PART))).code == "APV_MALFORMED"


@pytest.mark.parametrize(("subset", "left_out"), [("ALL", PART), (PART, None)])
def test_approval_of_a_part_names_what_it_leaves_out_and_no_other_does(subset: str, left_out: str | None) -> None:
    plain = {**approval(PLAIN).approval.model_dump(), "subset": subset, "left_out_root": left_out}
    with pytest.raises(ValidationError, match="left_out_root"):
        Approval.model_validate(plain)
    Approval.model_validate({**plain, "subset": PART, "left_out_root": PART})


def test_approval_of_the_whole_is_signed_over_the_bytes_that_it_always_had() -> None:
    """An approval that was stored before there were parts must still verify."""
    assert b"left_out" not in payload_of(approval(PLAIN).approval)
    assert b'"subset":"ALL"' in payload_of(approval(PLAIN).approval)


@pytest.mark.parametrize("subset", ["", "all", "sha256:", "sha256:" + "A" * 64, "a" * 64, PART + "0", PART + "\n"])
def test_what_is_neither_all_nor_a_root_is_no_approval(subset: str) -> None:
    with pytest.raises(ValidationError, match="subset"):
        Approval.model_validate({**approval(PLAIN).approval.model_dump(), "left_out_root": PART, "subset": subset})


def test_expired_plan_cannot_be_approved() -> None:
    late = NOW + timedelta(hours=4, seconds=1)
    fresh = approval(PLAIN, signed_at=to_text(late), expires_at=to_text(late + timedelta(hours=1)))
    assert refusal(fresh, now=late).code == "APV_EXPIRED"


def test_approval_lapses_when_it_says_so() -> None:
    short = approval(PLAIN, expires_at=to_text(NOW + timedelta(minutes=10)))
    check(short, now=NOW + timedelta(minutes=10))
    assert refusal(short, now=NOW + timedelta(minutes=10, seconds=1)).code == "APV_EXPIRED"


@pytest.mark.parametrize(("classes", "hours"), [({"update": 1}, 24), ({"suspend": 1}, 24), ({"delete": 1}, 4)])
def test_approval_never_outlives_what_its_risk_allows(classes: dict[str, int], hours: int) -> None:
    of = facts(changes_by_class=classes, expires_at=to_text(NOW + timedelta(days=9)))
    long = approval(PLAIN, expires_at=to_text(NOW + timedelta(days=9)))
    check(long, of, now=NOW + timedelta(hours=hours))
    assert refusal(long, of, now=NOW + timedelta(hours=hours, seconds=1)).code == "APV_EXPIRED"


def test_approval_dated_in_the_future_is_refused() -> None:
    check(approval(PLAIN, signed_at=to_text(NOW + timedelta(minutes=5))))
    assert refusal(approval(PLAIN, signed_at=to_text(NOW + timedelta(minutes=6)))).code == "APV_EXPIRED"


def test_held_plan_needs_the_override_to_be_stated_to_approve_but_not_to_reject() -> None:
    of = facts(verdict_level=Level.HOLD)
    assert refusal(approval(PLAIN), of).code == "APV_WRONG_STATE"
    check(approval(PLAIN, is_override=True), of)
    check(approval(PLAIN, decision="reject"), of)


@pytest.mark.parametrize(
    ("change_class", "risk"),
    [
        (ChangeClass.CREATE, "D0"),
        (ChangeClass.UPDATE, "D0"),
        (ChangeClass.REACTIVATE, "D0"),
        (ChangeClass.SUSPEND, "D1"),
        (ChangeClass.ROLE_CHANGE, "D1"),
        (ChangeClass.RENAME, "D1"),
        (ChangeClass.NULL_OUT, "D1"),
        (ChangeClass.MEMBER_REMOVE, "D1"),
        (ChangeClass.DELETE, "D2"),
        (ChangeClass.PRIVILEGE_GAIN, "D2"),
    ],
)
def test_risk_is_that_of_the_riskiest_class(change_class: ChangeClass, risk: str) -> None:
    for level in (Level.PASS, Level.WARN):
        assert risk_of({"update": 500, change_class.value: 1}, level) == risk
    assert risk_of({"update": 500, change_class.value: 0}, Level.PASS) == "D0"
    assert risk_of({change_class.value: 1}, Level.HOLD) == "D2"


def test_deletes_privileges_and_overrides_need_two_people() -> None:
    assert [approvals_needed(risk) for risk in ("D0", "D1", "D2")] == [1, 1, 2]
    assert approvals_needed(risk_of({"update": 1}, Level.HOLD)) == 2
    assert expiry_of("D2", NOW) - NOW == timedelta(hours=4)
