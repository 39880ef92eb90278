"""What becomes of a change when those that it builds on have, or have not, taken effect.

Pure. What builds on what is known from the plan (`shared.plan.dependencies`). Where another change did not take effect,
this one is skipped, and so is what builds on it in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from shared.events.facts import OutcomeRecorded, Result
from shared.plan.dependencies import Dependencies

HOLDS: Final[frozenset[Result]] = frozenset({"applied", "noop_already"})
"""Results after which the target is as the change wants it."""

Verdict = Literal["go", "skip", "wait"]


def verdict_on(change_id: str, dependencies: Dependencies, outcomes: Mapping[str, OutcomeRecorded]) -> Verdict:
    """`skip` when something it builds on did not take effect, `wait` when that is not known yet."""
    verdict: Verdict = "go"
    for other in dependencies.builds_on(change_id):
        outcome = outcomes.get(other)
        if outcome is None:
            verdict = "wait"
        elif outcome.result not in HOLDS:
            return "skip"
    return verdict
