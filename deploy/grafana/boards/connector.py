"""Connector: one connector, or a few, over weeks."""

from __future__ import annotations

from typing import Final

from deploy.grafana.boards.parts import CONNECTORS, NO_YES, NONE_WANTED
from deploy.grafana.building.model import (
    Colour,
    Dashboard,
    Heatmap,
    Query,
    Row,
    Stat,
    StateTimeline,
    Table,
    Thresholds,
    TimeSeries,
    Unit,
)
from deploy.prometheus.rising import rise

MINE: Final = 'connector=~"$connector"'
TIMES: Final = rise("aether_run_seconds_bucket", "1d", MINE)

CONNECTOR: Final = Dashboard(
    uid="aether-connector",
    title="Connector",
    sentence="One connector over time: how fresh, how long, what it changes, what stays in quarantine.",
    variables=(CONNECTORS,),
    since="now-7d",
    rows=(
        Row(
            "Freshness",
            (
                Stat(
                    title="Last success",
                    sentence="When the connector last succeeded or found nothing to change, in mode apply.",
                    unit=Unit.SINCE,
                    queries=(
                        Query(
                            expr=f"max by (connector) (aether_connector_last_success_timestamp_seconds{{{MINE}}})",
                            legend="{{connector}}",
                        ),
                    ),
                    width=6,
                ),
                Stat(
                    title="Part of the allowed age",
                    sentence="How much of the time that a success may be old, by the schedule, is used up; above 100 %"
                    " it is late.",
                    unit=Unit.SHARE,
                    queries=(
                        Query(
                            expr=f"(time() - max by (connector)"
                            f" (aether_connector_last_success_timestamp_seconds{{{MINE}}}))"
                            f" / max by (connector) (aether_connector_freshness_limit_seconds{{{MINE}}})",
                            legend="{{connector}}",
                        ),
                    ),
                    thresholds=Thresholds(((0.8, Colour.WARNING), (1, Colour.BAD)), base=Colour.GOOD),
                    width=6,
                    why_empty="The connector has no schedule, or has not succeeded yet.",
                ),
                Stat(
                    title="Next time",
                    sentence="When the connector runs by itself next.",
                    unit=Unit.SINCE,
                    queries=(
                        Query(
                            expr=f"max by (connector) (aether_schedule_next_timestamp_seconds{{{MINE}}})",
                            legend="{{connector}}",
                        ),
                    ),
                    width=6,
                ),
                StateTimeline(
                    title="Schedule paused",
                    sentence="When the schedule was paused, by a person or after two bad runs in a row.",
                    unit=Unit.STATE,
                    queries=(
                        Query(expr=f"max by (connector) (aether_schedule_paused{{{MINE}}})", legend="{{connector}}"),
                    ),
                    mappings=NO_YES,
                    width=6,
                    height=4,
                ),
            ),
        ),
        Row(
            "Runs",
            (
                TimeSeries(
                    title="Runs by end",
                    sentence="Runs that ended in the day before, by mode and by the state they ended in.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (mode, status) ({rise('aether_runs_ended_total', '1d', MINE)})",
                            legend="{{mode}} {{status}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Time of a run",
                    sentence="Median and 95th percentile from request to end, without the time people took.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr=f"histogram_quantile(0.5, sum by (le) ({TIMES}))",
                            legend="median",
                            has_exemplars=True,
                        ),
                        Query(
                            expr=f"histogram_quantile(0.95, sum by (le) ({TIMES}))",
                            legend="95 %",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Time by phase",
                    sentence="Mean time of a run in each phase, over the runs of the day before.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr=f"sum by (phase) ({rise('aether_run_phase_seconds_sum', '1d', MINE)})"
                            f" / sum by (phase) ({rise('aether_run_phase_seconds_count', '1d', MINE)})",
                            legend="{{phase}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                Heatmap(
                    title="Times of runs",
                    sentence="How many runs took how long, over time.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr=f"sum by (le) ({rise('aether_run_seconds_bucket', '1h', MINE)})",
                            legend="{{le}}",
                            has_exemplars=True,
                        ),
                    ),
                ),
                TimeSeries(
                    title="Planned changes",
                    sentence="Changes of the plans that were applied in the day before.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (connector) ({rise('aether_run_changes_planned_total', '1d', MINE)})",
                            legend="{{connector}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "What became of changes, and what is wrong",
            (
                TimeSeries(
                    title="Outcomes",
                    sentence="What became of the changes of runs that ended in the day before: the nine outcomes.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (outcome) ({rise('aether_run_changes_total', '1d', MINE)})",
                            legend="{{outcome}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Quarantine",
                    sentence="Records in quarantine after the last read, by entity and code.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (entity, code)"
                            f" (max without (instance) (aether_quarantine_records{{{MINE}}}))",
                            legend="{{entity}} {{code}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                Table(
                    title="Failures of the week",
                    sentence="Codes of the last seven days, and how often; docs/failures.md says what each means.",
                    unit=Unit.NUMBER,
                    labels=("connector", "code"),
                    queries=(
                        Query(
                            expr=f"sum by (connector, code) ({rise('aether_run_failures_total', '7d', MINE)}) > 0",
                            legend="number",
                        ),
                    ),
                    width=8,
                    height=7,
                    why_empty="No run failed, and nothing was noted at any.",
                ),
                Stat(
                    title="Oldest quarantine",
                    sentence="Since when no read of the entity was without quarantine.",
                    unit=Unit.SINCE,
                    queries=(
                        Query(
                            expr=f"min by (connector, entity) (aether_quarantine_since_timestamp_seconds{{{MINE}}})",
                            legend="{{connector}} {{entity}}",
                        ),
                    ),
                    width=8,
                ),
                Stat(
                    title="Unknown effects",
                    sentence="Changes of the connector with an intent and no outcome.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (connector) (max without (instance) (aether_unknown_effects{{{MINE}}}))",
                            legend="{{connector}}",
                        ),
                    ),
                    thresholds=NONE_WANTED,
                    width=8,
                ),
            ),
        ),
    ),
)
