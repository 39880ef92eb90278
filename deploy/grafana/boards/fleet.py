"""Fleet: all connectors on one page, and what wants a person first."""

from __future__ import annotations

from typing import Final

from deploy.grafana.boards.parts import NONE_WANTED, VERDICTS
from deploy.grafana.building.model import (
    Colour,
    Dashboard,
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

FLEET: Final = Dashboard(
    uid="aether-fleet",
    title="Fleet",
    sentence="All connectors: what waits for a person, what is late, what ended how.",
    rows=(
        Row(
            "What wants a person",
            (
                Stat(
                    title="Waiting for approval",
                    sentence="Runs whose plan waits for an approval within its limits.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr='sum(max without (instance) (aether_runs_open{status="awaiting_approval"}))'),),
                    thresholds=Thresholds(((1, Colour.WARNING),), base=Colour.GOOD),
                ),
                Stat(
                    title="Held",
                    sentence="Runs that the guard holds until a person releases or rejects them.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr='sum(max without (instance) (aether_runs_open{status="held"}))'),),
                    thresholds=Thresholds(((1, Colour.WARNING),), base=Colour.GOOD),
                ),
                Stat(
                    title="Paused",
                    sentence="Runs that stopped while they were applying and go on when a person says so.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr='sum(max without (instance) (aether_runs_open{status="paused"}))'),),
                    thresholds=NONE_WANTED,
                ),
                Stat(
                    title="Unknown effects",
                    sentence="Changes that were sent and of which nobody knows yet whether they took effect.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="sum(max without (instance) (aether_unknown_effects))"),),
                    thresholds=NONE_WANTED,
                ),
                Stat(
                    title="In quarantine",
                    sentence="Records that the last reads could not understand; they are neither changed nor removed.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="sum(max without (instance) (aether_quarantine_records))"),),
                    thresholds=Thresholds(((1, Colour.WARNING),), base=Colour.GOOD),
                ),
                Stat(
                    title="Schedules paused",
                    sentence="Connectors that do not run by themselves because a person, or two bad runs, paused them.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="sum(max by (connector) (aether_schedule_paused))"),),
                    thresholds=Thresholds(((1, Colour.WARNING),), base=Colour.GOOD),
                ),
            ),
        ),
        Row(
            "Connectors",
            (
                Table(
                    title="Connectors now",
                    sentence="For each connector when it was last asked to run, when it last succeeded, and the verdict"
                    " on its last plan (0 PASS, 1 WARN, 2 HOLD, 3 BLOCK).",
                    unit=Unit.NUMBER,
                    labels=("connector",),
                    queries=(
                        Query(
                            expr="max by (connector) (aether_connector_last_run_timestamp_seconds)", legend="last run"
                        ),
                        Query(
                            expr="max by (connector) (aether_connector_last_success_timestamp_seconds)",
                            legend="last success",
                        ),
                        Query(expr="max by (connector) (aether_guard_level)", legend="verdict"),
                        Query(
                            expr="sum by (connector) (max without (instance) (aether_quarantine_records))",
                            legend="in quarantine",
                        ),
                    ),
                    column_units=(Unit.SINCE, Unit.SINCE, Unit.NUMBER, Unit.NUMBER),
                ),
                StateTimeline(
                    title="Verdicts",
                    sentence="What the guard said of the last plan of each connector, over time.",
                    unit=Unit.STATE,
                    queries=(Query(expr="max by (connector) (aether_guard_level)", legend="{{connector}}"),),
                    mappings=VERDICTS,
                    height=8,
                ),
                TimeSeries(
                    title="Age of the last success",
                    sentence="How long ago each connector last succeeded or found nothing to change, in mode apply.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="time() - max by (connector) (aether_connector_last_success_timestamp_seconds)",
                            legend="{{connector}}",
                        ),
                    ),
                    width=12,
                ),
                Table(
                    title="Schedules",
                    sentence="The next time, the last one that was due, and how old a success may be, for each"
                    " connector that runs by itself.",
                    unit=Unit.SINCE,
                    labels=("connector",),
                    queries=(
                        Query(expr="max by (connector) (aether_schedule_next_timestamp_seconds)", legend="next"),
                        Query(
                            expr="max by (connector) (aether_schedule_last_due_timestamp_seconds)", legend="last due"
                        ),
                        Query(
                            expr="max by (connector) (aether_connector_freshness_limit_seconds)", legend="may be old"
                        ),
                    ),
                    column_units=(Unit.SINCE, Unit.SINCE, Unit.SECONDS),
                    height=7,
                ),
            ),
        ),
        Row(
            "Runs",
            (
                TimeSeries(
                    title="Runs that ended",
                    sentence="How many runs ended in the hour before, by the state they ended in.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(expr=f"sum by (status) ({rise('aether_runs_ended_total', '1h')})", legend="{{status}}"),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Runs under way",
                    sentence="Runs that have not ended, by the state they are in.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr="sum by (status) (max without (instance) (aether_runs_open)) > 0", legend="{{status}}"
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Changes by outcome",
                    sentence="What became of the changes of runs that ended in the hour before.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (outcome) ({rise('aether_run_changes_total', '1h')})", legend="{{outcome}}"
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Failures by code",
                    sentence="Failures of runs and of their changes in the hour before; docs/failures.md says what each"
                    " code means.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(expr=f"sum by (code) ({rise('aether_run_failures_total', '1h')}) > 0", legend="{{code}}"),
                    ),
                    width=12,
                    why_empty="No run failed, and nothing was noted at any.",
                ),
                TimeSeries(
                    title="Times that were due",
                    sentence="Scheduled times of the hour before, by what became of them: a run, or the code why not.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (outcome) ({rise('aether_schedule_firings_total', '1h')})",
                            legend="{{outcome}}",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
)
