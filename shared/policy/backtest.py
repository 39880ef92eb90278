"""What another policy would have said to the plans of the past.

Judges the stored figures of earlier runs again and tells, run by run, what would have been different. It decides
nothing about those runs and changes none; an operator looks at it before a policy is tightened or loosened. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from shared.events.model import Document
from shared.policy.figures import GuardFigures
from shared.policy.guard import guard
from shared.policy.limits import Policy
from shared.policy.verdict import Level, VerdictLine

RUNS_MAX = 1_000
"""Runs that are judged at once."""


class StoredRun(Document):
    """A run of the past."""

    run: str
    at: str
    """RFC 3339; when it was planned."""
    figures: GuardFigures
    level: Level
    """What the guard said then."""


class RunBacktest(Document):
    """One run under the policy."""

    run: str
    at: str
    level_then: Level
    level_now: Level
    lines: tuple[VerdictLine, ...]
    """The lines that are not PASS under the policy; none where the level is as it was."""


class BacktestReport(Document):
    """All runs under the policy."""

    policy_digest: str
    runs: tuple[RunBacktest, ...]
    """In the order given."""
    by_level_then: dict[str, int]
    by_level_now: dict[str, int]
    would_have_stopped: int = Field(ge=0)
    """Runs that went on then and would have been held or blocked."""
    would_have_passed: int = Field(ge=0)
    """Runs that were held or blocked then and would have gone on."""


def backtest(history: Sequence[StoredRun], policy: Policy) -> BacktestReport:
    """The runs judged by the policy; `ValueError` for more than `RUNS_MAX`."""
    if len(history) > RUNS_MAX:
        raise ValueError(f"{len(history):,} runs are too many to judge at once; give at most {RUNS_MAX:,}")
    runs = tuple(_judged(one, policy) for one in history)
    return BacktestReport(
        policy_digest=policy.digest,
        runs=runs,
        by_level_then=_counted([one.level_then for one in runs]),
        by_level_now=_counted([one.level_now for one in runs]),
        would_have_stopped=sum(not _stops(one.level_then) and _stops(one.level_now) for one in runs),
        would_have_passed=sum(_stops(one.level_then) and not _stops(one.level_now) for one in runs),
    )


def _judged(stored: StoredRun, policy: Policy) -> RunBacktest:
    verdict = guard(stored.figures, policy)
    differs = verdict.level is not stored.level
    return RunBacktest(
        run=stored.run,
        at=stored.at,
        level_then=stored.level,
        level_now=verdict.level,
        lines=tuple(line for line in verdict.lines if differs and line.level is not Level.PASS),
    )


def _stops(level: Level) -> bool:
    return level in (Level.HOLD, Level.BLOCK)


def _counted(levels: Sequence[Level]) -> dict[str, int]:
    return {level.value: levels.count(level) for level in Level}
