"""Which part of a plan a person means to approve: what is asked of the differ, what is checked, what is told.

It signs nothing. Classes are turned into change ids by what the auditor shows, and what the differ answers is compared
with the ids that were named: neither of the two alone can have a person sign for what was to be left out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.problem import EXIT_USAGE, CommandFailed

if TYPE_CHECKING:
    from shared.asking.client import PersonClient
    from shared.events.queries import PlanAnswer, SubsetAnswer

ALONG_SHOWN_MAX = 20
"""Changes that go along and are named on the screen; the others are counted."""


@dataclass(frozen=True)
class Part:
    """What a person says of the part of a plan that is to be approved."""

    left_out: tuple[str, ...] = ()
    """Change ids, or how they begin."""
    only_classes: tuple[str, ...] = ()
    is_as_before: bool = False

    @property
    def is_all(self) -> bool:
        """Whether nothing was said, so that the whole plan is meant."""
        return not (self.left_out or self.only_classes or self.is_as_before)


def words_in(given: str | None) -> tuple[str, ...]:
    """The words of an option that takes several, separated by commas."""
    return tuple(word for part in (given or "").split(",") if (word := part.strip()))


async def chosen_part(
    client: PersonClient, part: Part, shown: PlanAnswer, *, of_class: Callable[[str], Awaitable[PlanAnswer]]
) -> SubsetAnswer:
    """What approving that part of the plan shown means; `CommandFailed` when it cannot be approved.

    `of_class` gives the plan with all changes of one class.
    """
    from shared.asking.deciding import checked_part
    from shared.events.queries import SubsetQuery

    named = [*part.left_out]
    for name in _classes_left_out(part, shown):
        named += [change.change_id for change in (await of_class(name)).changes]
    answer = await client.subset(SubsetQuery(run=shown.run, left_out=tuple(named), is_as_before=part.is_as_before))
    return checked_part(answer, shown=shown, named=named)


def part_lines(part: SubsetAnswer) -> list[str]:
    """What stays in, what is left out, and what goes along with what was named, and why."""
    from cli.rendering import ID_DIGITS

    if not part.left_out:
        return [f"Nothing is left out: all {part.approved:,} changes are approved."]
    lines = [
        f"{part.approved:,} changes are approved, {len(part.left_out):,} are left out; the next plan shows these again."
    ]
    if part.because:
        lines.append(f"{len(part.because):,} of those left out go along, because they build on another:")
    shown = list(part.because.items())[:ALONG_SHOWN_MAX]
    lines += [f"  {change_id[:ID_DIGITS]} builds on {other[:ID_DIGITS]}" for change_id, other in shown]
    if len(part.because) > len(shown):
        lines.append(f"  … and {len(part.because) - len(shown):,} more")
    return lines


def _classes_left_out(part: Part, shown: PlanAnswer) -> list[str]:
    """The plan's classes that were not named, where some were; refused when they hold more than may be left out."""
    from shared.plan.change import ChangeClass
    from shared.plan.subset import too_many
    from shared.policy.approval import DEFERRED_MAX

    if not part.only_classes or shown.plan is None:
        return []
    present = {name: number for name, number in shown.plan.changes_by_class.items() if number}
    for name in part.only_classes:
        if name not in {each.value for each in ChangeClass}:
            raise CommandFailed(
                f"--only-class {name}: there is no such class of change",
                action=f"The plan of run {shown.run} has: {', '.join(sorted(present)) or 'no change at all'}.",
                exit_code=EXIT_USAGE,
            )
    others = sorted(set(present).difference(part.only_classes))
    if (number := sum(present[name] for name in others) - shown.excluded) > DEFERRED_MAX:
        raise CommandFailed(
            f"run {shown.run}: {too_many(number)}",
            action="Name more classes, or approve or reject the whole plan.",
            code="APV_MALFORMED",
        )
    return others
