"""Run: the last run of one connector. A run is never a label, so it is found by its connector and its time."""

from __future__ import annotations

from typing import Final

from deploy.grafana.boards.parts import NONE_WANTED, ONE_CONNECTOR, VERDICTS
from deploy.grafana.building.model import Dashboard, Query, Row, Stat, StateTimeline, Text, TimeSeries, Unit
from deploy.prometheus.rising import rise

MINE: Final = 'connector=~"$connector"'
TIMES: Final = rise("aether_run_seconds_bucket", "10m", MINE)
HOW: Final = (
    "A run is never a label of a figure: there would be no end of them. This page shows **one connector over a short"
    " time**, and so its last run: choose the connector above, and with the clock the time of the run. What one run"
    " did, change by change, is told by the [console](${console_url}/runs?connector=${connector}) and by"
    " `aether show RUN`. The points on the curves of times are exemplars: each leads to the trace of one run."
)

RUN: Final = Dashboard(
    uid="aether-run",
    title="Run",
    sentence="The last run of one connector: where it is, how long each phase took, what it asked of outside systems.",
    variables=(ONE_CONNECTOR,),
    since="now-1h",
    refresh="10s",
    rows=(
        Row("How to find a run here", (Text(title="Which run is this?", markdown=HOW),)),
        Row(
            "Where it is",
            (
                Stat(
                    title="Asked for",
                    sentence="When the last run of the connector was asked for.",
                    unit=Unit.SINCE,
                    queries=(Query(expr=f"max(aether_connector_last_run_timestamp_seconds{{{MINE}}})"),),
                ),
                Stat(
                    title="Verdict",
                    sentence="What the guard said of the last plan.",
                    unit=Unit.STATE,
                    queries=(Query(expr=f"max(aether_guard_level{{{MINE}}})"),),
                    mappings=VERDICTS,
                ),
                Stat(
                    title="Unknown effects now",
                    sentence="Changes with an intent and no outcome; while a run applies, those that are under way.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr=f"sum(max without (instance) (aether_unknown_effects{{{MINE}}}))"),),
                    thresholds=NONE_WANTED,
                ),
                StateTimeline(
                    title="States",
                    sentence="In which states runs of the connector were; a band says `yes` while one is in it.",
                    unit=Unit.STATE,
                    queries=(
                        Query(
                            expr=f"clamp_max(max by (status) (aether_runs_open{{{MINE}}}), 1) > 0", legend="{{status}}"
                        ),
                    ),
                    mappings=((1, "yes", VERDICTS[1][2]),),
                ),
            ),
        ),
        Row(
            "How long it took",
            (
                TimeSeries(
                    title="Phases",
                    sentence="Mean time in each phase of the runs that ended within the ten minutes before.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr=f"sum by (phase) ({rise('aether_run_phase_seconds_sum', '10m', MINE)})"
                            f" / sum by (phase) ({rise('aether_run_phase_seconds_count', '10m', MINE)})",
                            legend="{{phase}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="From request to end",
                    sentence="Median of the runs that ended within the ten minutes before; its points lead to traces.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr=f"histogram_quantile(0.5, sum by (le) ({TIMES}))",
                            legend="median",
                            has_exemplars=True,
                        ),
                    ),
                ),
                TimeSeries(
                    title="Handling by event",
                    sentence="The slowest twentieth of handlings of each event, of all connectors; its points lead to"
                    " traces.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="histogram_quantile(0.95, sum by (event, le)"
                            " (increase(aether_handler_seconds_bucket[10m])))",
                            legend="{{event}}",
                            has_exemplars=True,
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "What it did",
            (
                TimeSeries(
                    title="Outcomes of changes",
                    sentence="Changes of the runs that ended within the ten minutes before, by outcome.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (outcome) ({rise('aether_run_changes_total', '10m', MINE)})",
                            legend="{{outcome}}",
                        ),
                    ),
                    is_stacked=True,
                ),
                TimeSeries(
                    title="Requests to outside systems",
                    sentence="Requests a second by connection, use and end, of all connectors: reads and writes.",
                    unit=Unit.REQUESTS_PER_SECOND,
                    queries=(
                        Query(
                            expr="sum by (connection, use, outcome)"
                            " (rate(aether_system_requests_total[$__rate_interval]))",
                            legend="{{connection}} {{use}} {{outcome}}",
                        ),
                    ),
                ),
                TimeSeries(
                    title="Waiting for the rate budget",
                    sentence="Mean time that a request waited for its turn within the rate of its connection.",
                    unit=Unit.SECONDS,
                    why_empty="No connection in use has a rate.",
                    queries=(
                        Query(
                            expr="sum by (connection) (rate(aether_rate_limit_wait_seconds_sum[$__rate_interval]))"
                            " / sum by (connection) (rate(aether_rate_limit_wait_seconds_count[$__rate_interval]))",
                            legend="{{connection}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
