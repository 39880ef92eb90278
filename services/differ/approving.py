"""What becomes of a run when a person approves or rejects its plan, or nobody does in time.

Pure. The approval itself is judged by `shared.policy.approval`, a part of a plan by `shared.plan.subset`; here stands
where the run goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared.clock import from_text, to_text
from shared.errors import NeedsPerson
from shared.events.commands import ApplyPlan, apply_plan_subject
from shared.events.documents import FailureNote
from shared.events.facts import PlanDecided, RunExpired
from shared.hashing.canonical import sha256_hex
from shared.plan.subset import SubsetIndex, check_subset, too_many
from shared.policy.approval import ALL, DEFERRED_MAX, Identities, PlanFacts, SignedApproval, check_approval
from shared.policy.guard import Level
from shared.run.moves import Decision, Message, state_message
from shared.run.state import RunState
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus


def decide_plan(
    state: RunState,
    signed: SignedApproval,
    *,
    actor: str | None,
    identities: Identities,
    now: datetime,
    deferred: Sequence[str] = (),
    index: SubsetIndex | None = None,
) -> Decision:
    """The run after a decision on its plan; raises with the reason when the decision does not count.

    `deferred` are the changes that the approval leaves out; `index` is of the plan, where it is of a part.
    """
    approval = signed.approval
    if actor is None or actor != approval.approver:
        raise NeedsPerson(
            "APV_NOT_AUTHORISED",
            f"the approval is in the name of {approval.approver}, the bus says that {actor or 'nobody'} sent it",
            run=state.run,
        )
    if state.status not in WAITING_FOR_A_PERSON or state.plan is None:
        raise NeedsPerson(
            "APV_WRONG_STATE",
            f"run {state.run} is {state.status}; only a run that is awaiting_approval or held can be decided",
            run=state.run,
        )
    facts, needed = facts_of(state), state.plan.approvals_needed
    if now > from_text(facts.expires_at):
        return expired(state, at=to_text(now))
    earlier = [one.approval.approver for one in state.approvals]
    check_approval(signed, plan=facts, identities=identities, earlier=earlier, now=now)
    _check_part(state, signed, deferred, index)
    if approval.decision == "reject":
        note = FailureNote(code="SYS_CANCELLED", text=f"rejected by {approval.approver}")
        return _told(state.moved(RunStatus.REJECTED, at=to_text(now), failure=note), signed, is_final=True)
    state = state.model_copy(update={"approvals": (*state.approvals, signed), "deferred": tuple(sorted(deferred))})
    if len(state.approvals) < needed:
        return _told(state, signed, is_final=False, left_out=len(deferred))
    approved = state.moved(RunStatus.APPROVED, at=to_text(now))
    command = Message(
        subject=apply_plan_subject(state.run),
        event=ApplyPlan(run=state.run, ordinal=1),
        message_id=f"{state.run}.apply.1",
        about=state.run,
    )
    return _told(approved, signed, command, is_final=True, left_out=len(deferred))


def _check_part(state: RunState, signed: SignedApproval, deferred: Sequence[str], index: SubsetIndex | None) -> None:
    """`NeedsPerson` unless what is left out may be, and the rest is what was signed."""
    if signed.approval.subset == ALL and not deferred:
        return
    if signed.approval.decision == "reject":
        text = f"a rejection leaves nothing out, and {len(deferred)} changes are named"
        raise NeedsPerson("APV_MALFORMED", f"run {state.run}: {text}", run=state.run)
    if len(deferred) > DEFERRED_MAX:
        raise NeedsPerson("APV_MALFORMED", f"run {state.run}: {too_many(len(deferred))}", run=state.run)
    if index is None:  # it came to be decided between the look at it and this decision
        raise NeedsPerson("APV_WRONG_STATE", f"run {state.run} was not to be decided yet; ask again", run=state.run)
    check_subset(signed.approval.subset, deferred, index, signed_left_out=signed.approval.left_out_root)


def expired(state: RunState, *, at: str) -> Decision:
    """The run whose plan nobody decided upon in its time."""
    assert state.plan is not None  # noqa: S101 - a run that waits for a person has a plan
    note = FailureNote(code="APV_EXPIRED", text=f"nobody decided upon the plan until {state.plan.expires_at}")
    fact = RunExpired(run=state.run, plan_digest=state.plan.plan_digest, expired_at=state.plan.expires_at)
    return Decision(
        (
            state_message(state.moved(RunStatus.EXPIRED, at=at, failure=note)),
            Message(
                subject=f"evt.differ.run_expired.{state.run}",
                event=fact,
                message_id=f"{state.run}.expired",
                about=state.run,
            ),
        )
    )


def facts_of(state: RunState) -> PlanFacts:
    """What an approval of this run is measured against."""
    plan = state.plan
    if plan is None:
        raise NeedsPerson("APV_WRONG_STATE", f"run {state.run} has no plan", run=state.run)
    return PlanFacts(
        run=state.run,
        requester=state.requester,
        plan_digest=plan.plan_digest,
        verdict_digest=plan.verdict_digest,
        verdict_level=Level(plan.verdict_level),
        changes_by_class=plan.changes_by_class,
        expires_at=plan.expires_at,
        subset=next((one.approval.subset for one in state.approvals), None),
    )


def is_of_a_part(state: RunState, signed: SignedApproval, deferred: Sequence[str]) -> bool:
    """Whether the plan must be read to decide: cheaper reasons to refuse a decision come first."""
    approval = signed.approval
    return (
        (approval.subset != ALL or bool(deferred))
        and approval.decision == "approve"
        and len(deferred) <= DEFERRED_MAX
        and state.status in WAITING_FOR_A_PERSON
        and state.plan is not None
        and state.plan.plan_digest == approval.plan_digest
    )


def _told(state: RunState, signed: SignedApproval, *more: Message, is_final: bool, left_out: int = 0) -> Decision:
    fact = Message(
        subject=f"evt.differ.plan_decided.{state.run}",
        event=PlanDecided(run=state.run, signed=signed, is_final=is_final, left_out=left_out),
        # Not the nonce: two people may pick the same, and it is any text.
        message_id=f"{state.run}.decided.{sha256_hex(signed.signature.encode())[:16]}",
        about=state.run,
    )
    return Decision((state_message(state), fact, *more))
