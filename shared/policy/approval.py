"""Approval: a signed record that binds a person to one plan digest, and what it must show to count.

Pure. The record is signed with the approver's own key, so that no program of the house and nobody on the bus can
make or alter one. The differ checks it when it is given, the applier again before the first write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from shared.clock import from_text
from shared.errors import NeedsPerson, StopRun
from shared.events.model import Document
from shared.hashing.canonical import canonical_json
from shared.hashing.signing import verify
from shared.policy.guard import Level

SIGNATURE_DOMAIN = "aether.approval.v1"
VALID_HOURS = {"D0": 24, "D1": 24, "D2": 4}
"""How long an approval stands, by risk."""
_D1_CLASSES = frozenset({"suspend", "role_change", "rename", "null_out", "member_remove"})
_D2_CLASSES = frozenset({"delete", "privilege_gain"})

Risk = Literal["D0", "D1", "D2"]
ALL: Final = "ALL"
"""The subset of a whole plan."""
Subset = Annotated[str, Field(pattern=r"^(ALL|sha256:[0-9a-f]{64})$")]
"""`ALL`, or the root over the changes that are approved (`shared.plan.subset`)."""
ChangeId = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
DEFERRED_MAX: Final = 2_000
"""Changes that one decision may leave out: the run's document names each, and must fit in one message."""
NEVER_WITH_APPROVER = frozenset({"steward", "admin"})
"""Roles that nobody has beside `approver`."""


class Person(Document):
    """Who somebody is to the house."""

    roles: tuple[str, ...]
    approval_key: str | None = None
    """Ed25519 public key, base64; approvals of this person must be signed with its other half."""


class Identities(Document):
    """Everybody who may give commands, by the name the bus asserts."""

    people: dict[str, Person]

    @model_validator(mode="after")
    def _approvers_stand_apart(self) -> Self:
        """Who says what is allowed, or who may act, does not approve what is done under it."""
        for name, person in self.people.items():
            if "approver" in person.roles and (both := NEVER_WITH_APPROVER.intersection(person.roles)):
                raise ValueError(
                    f"{name} has the roles approver and {', '.join(sorted(both))}; give them to different people"
                )
        return self


class Approval(Document):
    """What an approver signs."""

    run: str
    plan_digest: str
    verdict_digest: str
    subset: Subset = ALL
    """What of the plan is approved; a rejection is of all."""
    left_out_root: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Root over the ids of what is left out (`shared.plan.subset`), which whoever signs computes from what they named;
    the root over the rest they have from the differ."""
    decision: Literal["approve", "reject"]
    is_override: bool = False
    """Whether the approver releases a held plan knowingly."""
    approver: str
    reason: str
    nonce: str
    signed_at: str
    expires_at: str

    @model_validator(mode="after")
    def _a_part_names_the_rest(self) -> Self:
        if (self.subset == ALL) is not (self.left_out_root is None):
            raise ValueError("left_out_root belongs to an approval of a part, and to no other")
        return self


class SignedApproval(Document):
    """An approval and its signature."""

    approval: Approval
    signature: str
    """Ed25519 over the canonical JSON of the approval, base64."""


class PlanFacts(Document):
    """What an approval is measured against."""

    run: str
    requester: str | None
    plan_digest: str
    verdict_digest: str
    verdict_level: Level
    changes_by_class: dict[str, int]
    """Of the whole plan: approving a part of it asks for no fewer people."""
    expires_at: str
    subset: Subset | None = None
    """What the approvals that count already are about; None while there are none."""


def risk_of(changes_by_class: Mapping[str, int], level: Level) -> Risk:
    """D0: creates and updates within limits. D1: what takes away or moves. D2: deletes, privileges, overrides."""
    present = {name for name, count in changes_by_class.items() if count > 0}
    if level is Level.HOLD or present & _D2_CLASSES:
        return "D2"
    return "D1" if present & _D1_CLASSES else "D0"


def approvals_needed(risk: Risk) -> int:
    """How many different people must approve."""
    return 2 if risk == "D2" else 1


def expiry_of(risk: Risk, signed_at: datetime) -> datetime:
    """When an approval signed now lapses."""
    return signed_at + timedelta(hours=VALID_HOURS[risk])


def payload_of(approval: Approval) -> bytes:
    """The bytes that are signed; what is None is not among them, so that an approval of all has those it always had."""
    return canonical_json(approval.model_dump(mode="json", exclude_none=True))


def check_approval(
    signed: SignedApproval, *, plan: PlanFacts, identities: Identities, earlier: Sequence[str], now: datetime
) -> None:
    """Raise (`NeedsPerson` or `StopRun`, with its code) unless this approval counts for this plan.

    `earlier` names those whose approval of this plan counts already.
    """
    approval = signed.approval
    person = identities.people.get(approval.approver)
    if person is None or "approver" not in person.roles or person.approval_key is None:
        raise NeedsPerson(
            "APV_NOT_AUTHORISED", f"{approval.approver} is not known as an approver with a key", run=plan.run
        )
    if not verify(
        person.approval_key, domain=SIGNATURE_DOMAIN, payload=payload_of(approval), signature=signed.signature
    ):
        raise StopRun(
            "APV_BAD_SIGNATURE",
            f"run {plan.run}: the signature under the approval in the name of {approval.approver} does not hold",
            run=plan.run,
        )
    if approval.run != plan.run or approval.plan_digest != plan.plan_digest:
        raise NeedsPerson(
            "APV_WRONG_DIGEST",
            f"run {plan.run} has plan {plan.plan_digest}; the approval names {approval.plan_digest} of {approval.run}",
            run=plan.run,
        )
    if approval.verdict_digest != plan.verdict_digest:
        raise NeedsPerson(
            "APV_WRONG_DIGEST",
            f"run {plan.run}: the approval names another verdict of the guard than the plan holds",
            run=plan.run,
        )
    if plan.requester is None:
        raise NeedsPerson(
            "APV_UNATTRIBUTED",
            f"run {plan.run} was requested without an identity, so nobody can be shown to be a second person",
            run=plan.run,
        )
    if approval.approver == plan.requester:
        raise NeedsPerson(
            "APV_OWN_REQUEST",
            f"{approval.approver} requested run {plan.run} and cannot approve it; ask another approver",
            run=plan.run,
        )
    if approval.approver in earlier:
        raise NeedsPerson(
            "APV_TWICE",
            f"{approval.approver} has approved run {plan.run} already; the second approver must be another person",
            run=plan.run,
        )
    _check_times(approval, plan=plan, now=now)
    if approval.decision == "approve" and plan.subset not in {None, approval.subset}:
        raise NeedsPerson(
            "APV_WRONG_DIGEST",
            f"run {plan.run}: {', '.join(earlier)} approved {_in_words(plan.subset)}, this approval is of "
            f"{_in_words(approval.subset)}; approve the same part, or reject the plan",
            run=plan.run,
        )
    if approval.decision == "reject" and approval.subset != ALL:
        raise NeedsPerson(
            "APV_MALFORMED", f"run {plan.run}: a plan is rejected as a whole; sign the subset {ALL}", run=plan.run
        )
    if approval.decision == "approve" and plan.verdict_level is Level.HOLD and not approval.is_override:
        raise NeedsPerson(
            "APV_WRONG_STATE",
            f"run {plan.run} is held by the guard; approving it needs the override to be stated",
            run=plan.run,
        )


def _in_words(subset: str | None) -> str:
    return "the whole plan" if subset == ALL else f"the part {subset}"


def _check_times(approval: Approval, *, plan: PlanFacts, now: datetime) -> None:
    if now > from_text(plan.expires_at):
        raise NeedsPerson("APV_EXPIRED", f"run {plan.run}: the plan expired at {plan.expires_at}", run=plan.run)
    longest = expiry_of(risk_of(plan.changes_by_class, plan.verdict_level), from_text(approval.signed_at))
    if now > from_text(approval.expires_at) or now > longest:
        raise NeedsPerson(
            "APV_EXPIRED",
            f"run {plan.run}: the approval of {approval.approver} was valid until {approval.expires_at}",
            run=plan.run,
        )
    if from_text(approval.signed_at) > now + timedelta(minutes=5):
        raise NeedsPerson(
            "APV_EXPIRED",
            f"run {plan.run}: the approval is dated {approval.signed_at}, in the future; check the approver's clock",
            run=plan.run,
        )
