"""Reads what the plan review shows, by queries alone: the head of a plan, a page of its changes, its groups.

It changes nothing and asks nobody but the auditor's database, so that a plan of 50,000 changes pages at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fastapi import HTTPException

from services.console.pages.plan_view import GROUPS_MAX, ChangesQuery, GroupShown, PlanHead, groups_shown, plan_head
from services.console.visiting import Visitor
from shared.asking.problem import CommandFailed
from shared.audit.plan_lookups import Grouping, PlanFilter
from shared.errors import NeedsPerson
from shared.events.queries import ChangeView
from shared.ids import is_run_id
from shared.policy.approval import Identities
from shared.policy.identities import load_identities

if TYPE_CHECKING:
    from services.console.site import Console

CHOICES_MAX: Final = 200
"""Entities and cohorts that the filters offer."""
OFFSET_MAX: Final = 1_000_000


@dataclass(frozen=True)
class Choices:
    """What the filters offer."""

    entities: tuple[str, ...]
    cohorts: tuple[str, ...]


async def head_of(console: Console, run: str, visitor: Visitor) -> PlanHead:
    """The head of a run's plan for this visitor; 404 for a run without one."""
    stored = await console.records.lookups.run(run) if is_run_id(run) else None
    if stored is None:
        raise HTTPException(404, "There is no such run.")
    now = console.clock.now()
    head = plan_head(
        stored,
        await console.records.lookups.review(run),
        identities=_identities(console),
        user=visitor.user,
        is_stepped_up=visitor.is_stepped_up(now),
        now=now,
    )
    if head is None:
        raise HTTPException(404, f"Run {run} has no plan (yet).")
    return head


def _identities(console: Console) -> Identities:
    # Read anew each time: who was given a role, or lost it, counts from the next page on.
    try:
        return load_identities(console.settings.identities)
    except NeedsPerson as problem:
        raise CommandFailed(problem.message, action="Correct the file of people.", code=problem.code) from None


def filter_of(query: ChangesQuery) -> PlanFilter:
    """The filter of the lookups; what is blank asks for nothing."""
    return PlanFilter(
        entity=query.entity or None,
        change_class=query.change_class or None,
        cohort=query.cohort or None,
        alike=query.alike or None,
        result=query.result or None,
        text=(query.text or "").strip() or None,
    )


async def changes_of(
    console: Console, head: PlanHead, query: ChangesQuery, *, offset: int, limit: int
) -> tuple[tuple[ChangeView, ...], int]:
    """A page of the changes asked for, and how many there are."""
    if not head.is_listed:
        return (), 0
    return await console.records.plans.changes(head.run, filter_of(query), offset=offset, limit=limit)


async def groups_of(console: Console, head: PlanHead, query: ChangesQuery, by: Grouping) -> tuple[GroupShown, ...]:
    """The largest groups among the changes asked for."""
    if not head.is_listed:
        return ()
    return groups_shown(await console.records.plans.groups(head.run, by, filter_of(query), limit=GROUPS_MAX), by)


class ChoicesMemory:
    """What the filters of a plan offer, remembered: the changes of a digest never change."""

    PLANS_MAX: Final = 64

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Choices] = {}

    async def of(self, console: Console, head: PlanHead) -> Choices:
        """The entities and cohorts of a plan."""
        place = (head.run, head.plan.plan_digest)
        if not head.is_listed:
            return Choices((), ())
        if (known := self._known.get(place)) is not None:
            return known
        plans, everything = console.records.plans, PlanFilter()
        entities = await plans.groups(head.run, "entity", everything, limit=CHOICES_MAX)
        cohorts = await plans.groups(head.run, "cohort", everything, limit=CHOICES_MAX)
        found = Choices(
            tuple(sorted(one.name for one in entities if one.name is not None)),
            tuple(sorted(one.name for one in cohorts if one.name is not None)),
        )
        if len(self._known) >= self.PLANS_MAX:
            self._known.pop(next(iter(self._known)))
        self._known[place] = found
        return found


CHOICES: Final = ChoicesMemory()
