"""Deciding upon a plan: what was shown is compared with what is there, signed in the person's name, and handed in.

The checks here spare a person a refusal or a wrong signature. Whether the decision counts is judged by the differ when
it is given and by the applier before the first write; a requester who sends the form anyway is therefore signed for
and refused there, where the refusal enters the audit log.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from services.console.pages.plan_reading import head_of
from services.console.pages.plan_view import PlanHead
from services.console.visiting import StepUpNeeded, Visitor
from shared.asking.client import PersonClient
from shared.asking.deciding import REASON_CHARACTERS_MAX, Decision, checked_part, signed_decision
from shared.asking.problem import CommandFailed
from shared.events.commands import DecideRun, Reply
from shared.events.queries import PlanAnswer, SubsetAnswer, SubsetQuery
from shared.policy.approval import ALL, DEFERRED_MAX
from shared.run.states import RunStatus, is_terminal

if TYPE_CHECKING:
    from services.console.site import Console

_CHANGE_ID: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person wants, as the form or the body says it."""

    decision: Decision
    digest: str
    """Of the plan, as the page showed it."""
    reason: str
    is_override: bool = False
    left_out: tuple[str, ...] = ()
    """Every change that the page said would be left out."""
    subset_root: str = ALL
    """What the page said would be signed."""


async def decide(console: Console, visitor: Visitor, run: str, wish: Wish) -> Reply:
    """Sign the decision in the visitor's name and hand it in; `CommandFailed` or `StepUpNeeded` when it cannot be."""
    head = await head_of(console, run, visitor)
    check_wish(head, wish)
    now = console.clock.now()
    if wish.decision == "approve" and head.risk != "D0" and not visitor.is_stepped_up(now):
        raise StepUpNeeded(f"/runs/{run}/plan")
    key = console.acting.approval_key_of(visitor.user)
    if key is None:
        raise CommandFailed(
            f"the console keeps no approval key of {visitor.user}, so nothing can be signed in that name here",
            action=f"Decide on the command line with your own key: aether {wish.decision} {run} --digest …",
            code="APV_NOT_AUTHORISED",
        )
    async with console.acting.as_person(visitor) as person:
        part = await _part_of(person, head, wish)
        signed = signed_decision(
            head.plan,
            run=run,
            decision=wish.decision,
            approver=visitor.user,
            reason=wish.reason,
            is_override=wish.is_override and wish.decision == "approve",
            key_text=key,
            now=now,
            ids=console.ids,
            subset=wish.subset_root if part is not None else ALL,
            left_out=part.left_out if part is not None else (),
        )
        body = DecideRun(signed=signed, deferred=part.left_out if part is not None else ())
        return await (person.approve(body) if wish.decision == "approve" else person.reject(body))


def check_wish(head: PlanHead, wish: Wish) -> None:
    """`CommandFailed` unless the wish is about the plan that is there now, and says what it must."""
    if is_terminal(RunStatus(head.status)):
        raise CommandFailed(
            f"run {head.run} is {head.status.replace('_', ' ')}: nothing waits for a decision any more",
            action="Look at the run; request a new one if it is needed.",
            code="APV_WRONG_STATE",
        )
    if wish.digest != head.plan.plan_digest:
        raise CommandFailed(
            f"the plan of run {head.run} is {head.plan.plan_digest}; the page showed "
            f"{wish.digest[:80] or 'none'}, so nothing was signed",
            action="Review the plan as it is now, then decide.",
            code="APV_WRONG_DIGEST",
        )
    length = len(wish.reason.strip())
    if not 0 < length <= REASON_CHARACTERS_MAX:
        raise CommandFailed(
            f"the reason has {length} characters, allowed 1 to {REASON_CHARACTERS_MAX}",
            action="Go back and say in a sentence why.",
            code="APV_MALFORMED",
        )
    if wish.decision == "approve" and head.deciding.needs_override and not wish.is_override:
        raise CommandFailed(
            f"the guard holds the plan of run {head.run}; approving it releases that, and must say so",
            action="Read what the guard holds, tick the box that releases it, then approve; or reject the plan.",
            code="APV_WRONG_STATE",
        )
    if wish.is_override and not head.deciding.needs_override:
        raise CommandFailed(
            f"the guard does not hold the plan of run {head.run}, so there is nothing to release",
            action="Approve without the override.",
            code="APV_WRONG_STATE",
        )


def ids_in(text: str) -> tuple[str, ...]:
    """The change ids that a form carries, in order and each once; `CommandFailed` for anything else."""
    given = text.split()
    for one in given:
        if _CHANGE_ID.fullmatch(one) is None:
            raise CommandFailed(
                f"{one[:80]!r} among the changes to leave out is no change id",
                action="Begin again at the plan.",
                code="APV_MALFORMED",
            )
    found = tuple(sorted(set(given)))
    check_number(len(found))
    return found


def check_number(left_out: int) -> None:
    """`CommandFailed` for more changes than one decision may leave out."""
    if left_out > DEFERRED_MAX:
        raise CommandFailed(
            f"{left_out:,} changes would be left out, allowed {DEFERRED_MAX:,}",
            action="Reject the plan, or narrow the connector.",
            code="APV_MALFORMED",
        )


def checked(answer: SubsetAnswer, *, head: PlanHead, named: Collection[str]) -> SubsetAnswer:
    """The differ's answer about a part of the plan shown; `CommandFailed` when it is not what was asked about."""
    shown = PlanAnswer(run=head.run, plan=head.plan, excluded=head.excluded)
    return checked_part(answer, shown=shown, named=named)


async def _part_of(person: PersonClient, head: PlanHead, wish: Wish) -> SubsetAnswer | None:
    """The part that the wish is about, as the differ knows it now; None for the whole plan."""
    if wish.decision == "reject" or (not wish.left_out and wish.subset_root == ALL):
        return None
    answer = await person.subset(SubsetQuery(run=head.run, left_out=wish.left_out))
    checked(answer, head=head, named=wish.left_out)
    if answer.subset_root != wish.subset_root or {*answer.left_out} != {*wish.left_out}:
        raise CommandFailed(
            f"the part of run {head.run} that would be signed is {answer.subset_root} without "
            f"{len(answer.left_out):,} changes; the page showed {wish.subset_root[:80]} without {len(wish.left_out):,}"
            ", so nothing was signed",
            action="Review what is left out once more, then decide.",
            code="APV_WRONG_DIGEST",
        )
    return answer
