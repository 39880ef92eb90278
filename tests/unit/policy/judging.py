"""Figures and verdicts in which a test says only what matters to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.policy.figures import (
    CohortFigures,
    DeclaredFigures,
    EntityFigures,
    GroupFigures,
    GuardFigures,
    Window,
    WindowFigures,
)
from shared.policy.guard import Verdict, VerdictLine, guard
from shared.policy.limits import DEFAULT_POLICY, Limit, Policy, policy_with
from tests.unit.plan.plan_builder import figures

HUGE = 10_000_000
"""So many records that no share of them is reached."""
DELETES = policy_with({"delete": Limit(count=25, percent=1, floor=2)})
"""The default policy of a connector that may delete."""


def verdict_of(policy: Policy = DEFAULT_POLICY, **changed: Any) -> Verdict:
    """The verdict over one entity, `contacts`, of 1,000 quiet records but for what is given."""
    return guard(GuardFigures(entities=(figures(**changed),)), policy)


def line_of(verdict: Verdict, check: str, measured: str | None = None) -> VerdictLine:
    """The one line of a check; `measured` names the cohort, group, field or window."""
    (line,) = [line for line in verdict.lines if (line.check, line.measured) == (check, measured)]
    return line


def cohort(
    name: str, live: int, changes: Mapping[str, int], declared: Mapping[str, int] | None = None
) -> CohortFigures:
    return CohortFigures(cohort=name, live_managed=live, changes=dict(changes), declared=dict(declared or {}))


def window(
    name: Window, applied: Mapping[str, int] | None = None, declared: Mapping[str, int] | None = None
) -> WindowFigures:
    return WindowFigures(window=name, applied=dict(applied or {}), declared=dict(declared or {}))


def group(name: str, members: int, removals: int, declared: int = 0) -> GroupFigures:
    return GroupFigures(group=name, members=members, removals=removals, declared=declared)


def declared(
    matched: int,
    change_class: str = "suspend",
    *,
    expected: int = 1400,
    tolerance: float = 5,
    before: int = 0,
    name: str = "leavers",
) -> DeclaredFigures:
    return DeclaredFigures(
        declaration=name,
        text="grade 12 leaves",
        change_class=change_class,
        expected=expected,
        tolerance_percent=tolerance,
        matched=matched,
        applied_before=before,
    )


def district(**changed: Any) -> EntityFigures:
    """A district of 20,000 records."""
    return figures(live_managed=20_000, desired=20_000, **changed)
