"""How the guard's limits, backtests and declared deltas look to a person. Pure; it prints nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType

from cli.rendering import plain_table
from shared.events.queries import DeclaredView
from shared.policy.backtest import BacktestReport
from shared.policy.declared import words_of
from shared.policy.limits import LIMIT_NAMES, Policy, limit_named

LINES_SHOWN_MAX = 3
"""Lines of one run that a backtest shows; the verdict of a run is in its plan."""


def limits_document(policy: Policy, own: Iterable[str]) -> list[dict[str, object]]:
    """Every limit in force; `own` names those that the connector sets."""
    set_here = set(own)
    return [
        {"check": name, **limit_named(name, policy).model_dump(mode="json"), "is_own": name in set_here}
        for name in LIMIT_NAMES
    ]


def limits_table(policy: Policy, own: Iterable[str]) -> RenderableType:
    """The same for people."""
    set_here = set(own)
    rows = [
        (name, limit_named(name, policy).in_words(), "connector" if name in set_here else "house")
        for name in LIMIT_NAMES
    ]
    return plain_table("check", "limit", "set by", rows=rows)


def backtest_lines(connector: str, report: BacktestReport) -> list[RenderableType]:
    """What would have been different; runs that would have gone the same way are only counted."""
    changed = [run for run in report.runs if run.level_then is not run.level_now]
    lines: list[RenderableType] = [
        f"{connector}: {len(report.runs)} runs; {report.would_have_stopped} that went on would have been held or "
        f"blocked, {report.would_have_passed} that were held or blocked would have gone on"
    ]
    for run in changed:
        lines.append(f"{run.run}  {run.at}  {run.level_then.value} → {run.level_now.value}")
        lines += [f"    {line.level.value:<5} {line.text}" for line in run.lines[:LINES_SHOWN_MAX]]
        if len(run.lines) > LINES_SHOWN_MAX:
            lines.append(f"    … and {len(run.lines) - LINES_SHOWN_MAX} more lines")
    return lines


def declared_table(declared: Sequence[DeclaredView]) -> RenderableType:
    """A line for each declared delta."""
    if not declared:
        return "Nothing is declared."
    rows = [
        (
            one.state,
            one.declaration.id,
            one.declaration.entity,
            words_of(one.declaration),
            one.declaration.declared_by,
            one.declaration.reason,
        )
        for one in declared
    ]
    return plain_table("state", "id", "entity", "what", "by", "why", rows=rows)
