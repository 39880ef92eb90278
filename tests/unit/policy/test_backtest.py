"""A backtest tells, run by run, what another policy would have said, and decides nothing."""

from __future__ import annotations

import pytest

from shared.policy.backtest import RUNS_MAX, StoredRun, backtest
from shared.policy.figures import GuardFigures
from shared.policy.guard import Level, guard
from shared.policy.limits import DEFAULT_POLICY, Limit, policy_with
from tests.unit.plan.plan_builder import figures


def past(run: str, **changes: int) -> StoredRun:
    told = GuardFigures(entities=(figures(changes=changes),))
    return StoredRun(run=run, at="2026-11-01T02:00:00Z", figures=told, level=guard(told, DEFAULT_POLICY).level)


HISTORY = (past("quiet", update=3), past("lossy", suspend=20), past("renaming", rename=50), past("awful", promote=1))


def test_the_same_policy_says_what_it_said() -> None:
    report = backtest(HISTORY, DEFAULT_POLICY)
    assert (report.would_have_stopped, report.would_have_passed) == (0, 0)
    assert all(one.lines == () for one in report.runs)
    assert report.by_level_then == report.by_level_now == {"PASS": 2, "WARN": 0, "HOLD": 1, "BLOCK": 1}
    assert report.policy_digest == DEFAULT_POLICY.digest


def test_another_policy_shows_which_runs_would_have_gone_otherwise_and_why() -> None:
    policy = policy_with({"suspend": Limit(count=10), "rename": Limit(count=60)})
    report = backtest(HISTORY, policy)
    assert [(one.run, one.level_then, one.level_now) for one in report.runs] == [
        ("quiet", Level.PASS, Level.PASS),
        ("lossy", Level.PASS, Level.HOLD),
        ("renaming", Level.HOLD, Level.PASS),
        ("awful", Level.BLOCK, Level.BLOCK),
    ]
    assert (report.would_have_stopped, report.would_have_passed) == (1, 1)
    (line,) = report.runs[1].lines
    assert (line.check, line.number, line.limit_count) == ("suspend", 20, 10)
    assert report.runs[2].lines == ()
    assert report.policy_digest == policy.digest


def test_a_warning_stops_nothing() -> None:
    warned = backtest([past("quiet", update=3)], policy_with({"update": Limit(count=9, warn_percent=0.1)}))
    assert warned.runs[0].level_now is Level.WARN
    assert [line.check for line in warned.runs[0].lines] == ["update", "touched"]
    assert (warned.would_have_stopped, warned.would_have_passed) == (0, 0)


def test_number_of_runs_is_bounded() -> None:
    assert backtest([], DEFAULT_POLICY).runs == ()
    assert len(backtest([HISTORY[0]] * RUNS_MAX, DEFAULT_POLICY).runs) == RUNS_MAX
    with pytest.raises(ValueError, match="1,001 runs are too many"):
        backtest([HISTORY[0]] * (RUNS_MAX + 1), DEFAULT_POLICY)
