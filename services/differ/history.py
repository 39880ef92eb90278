"""What earlier runs tell the guard: how much was applied in sliding windows, and what is usual.

Pure. Both are shown and judged beside the plan's own numbers; neither is part of what a plan does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.policy.declared import covered_by_class
from shared.policy.figures import EntityFigures, UsualFigures, Window, WindowFigures
from shared.policy.limits import TOUCHING

WINDOWS: Mapping[Window, timedelta] = {"24h": timedelta(hours=24), "7d": timedelta(days=7)}
LONGEST_WINDOW = max(WINDOWS.values())
USUAL_RUNS = 20
"""Accepted runs from which the usual range of a number is taken."""


@dataclass(frozen=True)
class PastApply:
    """What one earlier run applied to an entity."""

    at: datetime
    """When its apply ended."""
    by_class: Mapping[str, int]
    figures: EntityFigures
    """Of its plan."""


def windows_of(past: Iterable[PastApply], *, now: datetime) -> tuple[WindowFigures, ...]:
    """What was applied in each window that ends now, by class; both windows, also empty ones."""
    ended = [one for one in past if one.at <= now]
    found = []
    for window, length in WINDOWS.items():
        applied: Counter[str] = Counter()
        declared: Counter[str] = Counter()
        for one in ended:
            if now - one.at <= length:
                applied.update(one.by_class)
                # What a declaration covered then stays covered when it has expired; never more than was applied.
                covered = covered_by_class(one.figures)
                declared.update({name: min(number, one.by_class.get(name, 0)) for name, number in covered.items()})
        found.append(WindowFigures(window=window, applied=_sorted(applied), declared=_sorted(declared)))
    return tuple(found)


def usual_of(earlier: Sequence[EntityFigures]) -> tuple[UsualFigures, ...]:
    """The range of every number that was ever above zero in these runs, by the name of the guard's check."""
    if not earlier:
        return ()
    numbers = [numbers_of(figures) for figures in earlier]
    names = sorted({name for one in numbers for name, number in one.items() if number})
    return tuple(
        UsualFigures(
            check=name,
            low=min(one.get(name, 0) for one in numbers),
            high=max(one.get(name, 0) for one in numbers),
            runs=len(numbers),
        )
        for name in names
    )


def numbers_of(figures: EntityFigures) -> dict[str, int]:
    """The numbers that the guard's checks of an entity look at, by check."""
    fell = grew = 0
    for source in figures.sources:
        if source.rows is not None and source.rows_accepted_last is not None:
            fell = max(fell, source.rows_accepted_last - source.rows)
            grew = max(grew, source.rows - source.rows_accepted_last)
    return {
        **figures.changes,
        "touched": sum(figures.changes.get(name, 0) for name in TOUCHING),
        "unmapped": figures.unmapped,
        "value_emptied": figures.null_outs,
        "quarantined": figures.quarantined,
        "ambiguous": figures.ambiguous,
        "source_fell": fell,
        "source_grew": grew,
    }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: counts[name] for name in sorted(counts) if counts[name]}
