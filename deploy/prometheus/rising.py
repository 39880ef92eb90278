"""By how much a counter rose, as dashboards and alerts ask it: one way for all, that sees a first step too.

It makes text of PromQL and asks nothing. Pure.
"""

from __future__ import annotations

from typing import Final

TALLIED: Final = frozenset(
    {
        "aether_run_changes_planned_total",
        "aether_run_changes_total",
        "aether_run_failures_total",
        "aether_run_phase_seconds_count",
        "aether_run_phase_seconds_sum",
        "aether_run_seconds_bucket",
        "aether_runs_ended_total",
    }
)
"""What every monitor adds up from the record: sums of all time, which no restart resets and replicas give alike."""


def rise(counter: str, span: str, matchers: str = "") -> str:
    """By how much a counter rose within a span of time, each series for itself.

    A counter that nobody had counted yet has no series, and `increase` cannot see its first step from nothing to one.
    So what is there now and was not there in the hour before the span counts whole.
    """
    series = f"{counter}{{{matchers}}}" if matchers else counter
    before = f"max_over_time({series}[1h] offset {span})"
    if counter not in TALLIED:
        return f"({series} unless {before}) or increase({series}[{span}])"
    now, least = f"max without (instance) ({series})", f"min without (instance) (min_over_time({series}[{span}]))"
    return f"({now} unless max without (instance) ({before})) or ({now} - {least})"
