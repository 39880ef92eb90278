"""Alerts on runs that are late, missing, waiting, stuck or failing, on quarantine and unknown effects."""

from __future__ import annotations

from typing import Final

from deploy.prometheus.alerting.model import Alert, Case, Expected, Group
from deploy.prometheus.alerting.records import RECORDS
from deploy.prometheus.rising import rise

_LOOK: Final = "aether_monitor_last_look_timestamp_seconds"
_SUCCESS: Final = "aether_connector_last_success_timestamp_seconds"
_LIMIT: Final = "aether_connector_freshness_limit_seconds"
_DUE: Final = "aether_schedule_last_due_timestamp_seconds"
_NEXT: Final = "aether_schedule_next_timestamp_seconds"
_ASKED: Final = "aether_connector_last_run_timestamp_seconds"
_SINCE: Final = "aether_runs_open_since_timestamp_seconds"
_MINE: Final = '{connector="staff"}'
_WORKING: Final = "queued|extracting|normalising|diffing|guarding|approved|applying|throttled|verifying"
_AGE: Final = f"time() - max by (connector) ({_SUCCESS})"
_LATEST_DUE: Final = f"max by (connector) ({_DUE})"
_LATEST_RUN: Final = f"max by (connector) ({_ASKED})"
# A run may be asked for some seconds before its time: EARLY_SECONDS_MAX in shared/schedule/deciding.py.
_NO_RUN_SINCE_DUE: Final = (
    f"({_LATEST_DUE} > {_LATEST_RUN} + 60) or ({_LATEST_DUE} unless on (connector) {_LATEST_RUN})"
)
_LEFT_OUT: Final = 'outcome!="run"'
_BAD_ENDS: Final = 'status=~"failed|partial|blocked"'

RUNS: Final = Group(
    component="runs",
    evaluated_minutes=5,
    alerts=(
        Alert(
            name="MonitorBlind",
            severity="critical",
            expr=f"(time() - max({_LOOK}) > 300) or absent({_LOOK})",
            holds="2m",
            summary="Nobody knows how runs stand.",
            description="The monitor has not read the record for more than 300 seconds ({{ $value |"
            " humanizeDuration }}; 1s"
            " stands for never): no alert on runs can come, and no notice.",
            cases=(
                Case(
                    what="the record cannot be read",
                    series={_LOOK: "0+60x5 300x30"},
                    at="20m",
                    fires=(
                        Expected(
                            labels={},
                            summary="Nobody knows how runs stand.",
                            description="The monitor has not read the record for more than 300 seconds (15m 0s; 1s"
                            " stands for never): no alert on runs can come, and no notice.",
                        ),
                    ),
                ),
                Case(
                    what="the monitor never looked",
                    series={"up": "1x20"},
                    at="10m",
                    fires=(
                        Expected(
                            labels={},
                            summary="Nobody knows how runs stand.",
                            description="The monitor has not read the record for more than 300 seconds (1s; 1s"
                            " stands for"
                            " never): no alert on runs can come, and no notice.",
                        ),
                    ),
                ),
                Case(what="it looks every minute", series={_LOOK: "0+60x30"}, at="20m"),
            ),
        ),
        Alert(
            name="ConnectorStale",
            severity="warning",
            expr=f"{_AGE} > max by (connector) ({_LIMIT})",
            holds="5m",
            summary="{{ $labels.connector }} is older than its schedule allows.",
            description="{{ $labels.connector }} last succeeded {{ $value | humanizeDuration }} ago; how long"
            " that may be"
            " follows from its schedule.",
            cases=(
                Case(
                    what="three hours, allowed are two",
                    series={f"{_SUCCESS}{_MINE}": "0x200", f"{_LIMIT}{_MINE}": "7200x200"},
                    at="180m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="staff is older than its schedule allows.",
                            description="staff last succeeded 3h 0m 0s ago; how long that may be follows from its"
                            " schedule.",
                        ),
                    ),
                ),
                Case(
                    what="one hour, allowed are two",
                    series={f"{_SUCCESS}{_MINE}": "0x120 7200x80", f"{_LIMIT}{_MINE}": "7200x200"},
                    at="180m",
                ),
                Case(
                    what="three hours, allowed is half of one",
                    series={f"{_SUCCESS}{_MINE}": "0x200", f"{_LIMIT}{_MINE}": "7200x173 1800x30"},
                    at="180m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="staff is older than its schedule allows.",
                            description="staff last succeeded 3h 0m 0s ago; how long that may be follows from its"
                            " schedule.",
                        ),
                    ),
                ),
                Case(what="no schedule, no limit", series={f"{_SUCCESS}{_MINE}": "0x200"}, at="180m"),
            ),
        ),
        Alert(
            name="ConnectorStale",
            severity="critical",
            expr=f"{_AGE} > 3 * max by (connector) ({_LIMIT})",
            holds="5m",
            summary="{{ $labels.connector }} is far older than its schedule allows.",
            description="{{ $labels.connector }} last succeeded {{ $value | humanizeDuration }} ago; that is more"
            " than 3 times"
            " what its schedule allows.",
            cases=(
                Case(
                    what="three hours, allowed is half of one",
                    series={f"{_SUCCESS}{_MINE}": "0x200", f"{_LIMIT}{_MINE}": "7200x173 1800x30"},
                    at="180m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="staff is far older than its schedule allows.",
                            description="staff last succeeded 3h 0m 0s ago; that is more than 3 times what its schedule"
                            " allows.",
                        ),
                    ),
                ),
                Case(
                    what="one hour, allowed are two",
                    series={f"{_SUCCESS}{_MINE}": "0x120 7200x80", f"{_LIMIT}{_MINE}": "7200x200"},
                    at="180m",
                ),
            ),
        ),
        Alert(
            name="RunMissing",
            severity="critical",
            # The second part: whoever looks shows a next time that lies ahead, so nobody settled one that passed.
            expr=f"(time() - ({_NO_RUN_SINCE_DUE}) > 1200)"
            f" unless on (connector) (sum by (connector) (aether_runs_open) > 0) and on () (time() - max({_LOOK})"
            f" < 300) or (time() - max by (connector) ({_NEXT}) > 1200)",
            holds="5m",
            summary="{{ $labels.connector }} was due and did not run.",
            description="{{ $labels.connector }} was due {{ $value | humanizeDuration }} ago, and no run was"
            " asked for since;"
            " after 20 minutes it counts as missing.",
            cases=(
                Case(
                    what="due and not asked for",
                    series={f"{_DUE}{_MINE}": "0x60 3600x60", f"{_ASKED}{_MINE}": "5x120", _LOOK: "0+60x120"},
                    at="90m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="staff was due and did not run.",
                            description="staff was due 30m 0s ago, and no run was asked for since; after 20 minutes it"
                            " counts as missing.",
                        ),
                    ),
                ),
                Case(
                    what="due for the first time",
                    series={f"{_DUE}{_MINE}": "0x120", _LOOK: "0+60x120"},
                    at="60m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="staff was due and did not run.",
                            description="staff was due 1h 0m 0s ago, and no run was asked for since; after 20"
                            " minutes it"
                            " counts as missing.",
                        ),
                    ),
                ),
                Case(
                    what="its time passed and nobody could settle it",
                    series={
                        f"{_NEXT}{_MINE}": "3600x120",
                        f"{_DUE}{_MINE}": "0x120",
                        f"{_ASKED}{_MINE}": "5x120",
                        _LOOK: "0+60x120",
                    },
                    at="90m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="staff was due and did not run.",
                            description="staff was due 30m 0s ago, and no run was asked for since; after 20 minutes it"
                            " counts as missing.",
                        ),
                    ),
                ),
                Case(
                    what="it ran, and the next time lies ahead",
                    series={
                        f"{_NEXT}{_MINE}": "3600x60 7200x60",
                        f"{_DUE}{_MINE}": "0x60 3600x60",
                        f"{_ASKED}{_MINE}": "5x60 3605x60",
                        _LOOK: "0+60x120",
                    },
                    at="90m",
                ),
                Case(
                    what="it was asked for three seconds before its time",
                    series={f"{_DUE}{_MINE}": "0x60 3600x60", f"{_ASKED}{_MINE}": "5x60 3597x60", _LOOK: "0+60x120"},
                    at="90m",
                ),
                Case(
                    what="the one before is still under way",
                    series={
                        f"{_DUE}{_MINE}": "0x60 3600x60",
                        f"{_ASKED}{_MINE}": "5x120",
                        _LOOK: "0+60x120",
                        'aether_runs_open{connector="staff",status="applying"}': "1x120",
                    },
                    at="90m",
                ),
                Case(
                    what="the monitor is blind, which another alert says",
                    series={f"{_DUE}{_MINE}": "0x60 3600x60", _LOOK: "5x120"},
                    at="90m",
                ),
            ),
        ),
        Alert(
            name="RunWaitsForPerson",
            severity="warning",
            expr=f'time() - min by (connector, status) ({_SINCE}{{status=~"held|awaiting_approval"}}) > 7200',
            summary="A run of {{ $labels.connector }} waits for a decision.",
            description="A run of {{ $labels.connector }} is {{ $labels.status }} for {{ $value |"
            " humanizeDuration }}; after 4"
            " hours what was read is too old to be applied.",
            cases=(
                Case(
                    what="held for three hours",
                    series={f'{_SINCE}{{connector="staff",status="held"}}': "0x200"},
                    at="180m",
                    fires=(
                        Expected(
                            labels={"connector": "staff", "status": "held"},
                            summary="A run of staff waits for a decision.",
                            description="A run of staff is held for 3h 0m 0s; after 4 hours what was read is too"
                            " old to be"
                            " applied.",
                        ),
                    ),
                ),
                Case(
                    what="held for one hour",
                    series={f'{_SINCE}{{connector="staff",status="held"}}': "7200x200"},
                    at="180m",
                ),
                Case(
                    what="applying for three hours",
                    series={f'{_SINCE}{{connector="staff",status="applying"}}': "0x200"},
                    at="180m",
                ),
            ),
        ),
        Alert(
            name="RunPaused",
            severity="critical",
            expr=f'time() - min by (connector) ({_SINCE}{{status="paused"}}) > 1800',
            summary="A run of {{ $labels.connector }} is paused half-way.",
            description="A run of {{ $labels.connector }} has been paused while applying for {{ $value |"
            " humanizeDuration }};"
            " after 30 minutes somebody should decide.",
            cases=(
                Case(
                    what="for an hour",
                    series={f'{_SINCE}{{connector="staff",status="paused"}}': "0x100"},
                    at="60m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="A run of staff is paused half-way.",
                            description="A run of staff has been paused while applying for 1h 0m 0s; after 30 minutes"
                            " somebody should decide.",
                        ),
                    ),
                ),
                Case(
                    what="for ten minutes",
                    series={f'{_SINCE}{{connector="staff",status="paused"}}': "3000x100"},
                    at="60m",
                ),
            ),
        ),
        Alert(
            name="RunStuck",
            severity="warning",
            expr=f'time() - min by (connector, status) ({_SINCE}{{status=~"{_WORKING}"}}) > 7200',
            summary="A run of {{ $labels.connector }} does not get on.",
            description="A run of {{ $labels.connector }} has been {{ $labels.status }} for {{ $value |"
            " humanizeDuration }};"
            " 2 hours are more than any phase should take.",
            cases=(
                Case(
                    what="extracting for three hours",
                    series={f'{_SINCE}{{connector="staff",status="extracting"}}': "0x200"},
                    at="180m",
                    fires=(
                        Expected(
                            labels={"connector": "staff", "status": "extracting"},
                            summary="A run of staff does not get on.",
                            description="A run of staff has been extracting for 3h 0m 0s; 2 hours are more than"
                            " any phase"
                            " should take.",
                        ),
                    ),
                ),
                Case(
                    what="it waits for a person",
                    series={f'{_SINCE}{{connector="staff",status="held"}}': "0x200"},
                    at="180m",
                ),
            ),
        ),
        Alert(
            name="RunsEndBadly",
            severity="warning",
            expr=f"sum by (connector) ({rise('aether_runs_ended_total', '6h', _BAD_ENDS)}) >= 2",
            summary="Runs of {{ $labels.connector }} end badly again and again.",
            description="{{ $value }} runs of {{ $labels.connector }} failed, were blocked or ended partial"
            " within 6 hours;"
            " one can happen, 2 are a pattern.",
            cases=(
                Case(
                    what="a failed one and a partial one",
                    series={
                        'aether_runs_ended_total{connector="staff",mode="apply",status="failed"}': "4x400 5x100",
                        'aether_runs_ended_total{connector="staff",mode="apply",status="partial"}': "_x450 1x50",
                    },
                    at="480m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="Runs of staff end badly again and again.",
                            description="2 runs of staff failed, were blocked or ended partial within 6 hours; one can"
                            " happen, 2 are a pattern.",
                        ),
                    ),
                ),
                Case(
                    what="one failed, the others are of last week",
                    series={'aether_runs_ended_total{connector="staff",mode="apply",status="failed"}': "4x400 5x100"},
                    at="480m",
                ),
                Case(
                    what="two monitors tell of the same run, and one of them has a new address",
                    series={
                        'aether_runs_ended_total{connector="staff",mode="apply",status="failed",instance="a"}': "4x400"
                        " 5x100",
                        'aether_runs_ended_total{connector="staff",mode="apply",status="failed",instance="b"}': "_x450"
                        " 5x50",
                    },
                    at="480m",
                ),
            ),
        ),
        Alert(
            name="SchedulePaused",
            severity="warning",
            expr="max by (connector) (min_over_time(aether_schedule_paused[1d])) == 1",
            holds="1h",
            summary="The schedule of {{ $labels.connector }} has been paused for a day.",
            description="{{ $labels.connector }} has run by itself 0 times for more than 24 hours, because its"
            " schedule is"
            " paused.",
            cases=(
                Case(
                    what="for longer than a day",
                    series={f"aether_schedule_paused{_MINE}": "0x10 1x1600"},
                    at="1600m",
                    fires=(
                        Expected(
                            labels={"connector": "staff"},
                            summary="The schedule of staff has been paused for a day.",
                            description="staff has run by itself 0 times for more than 24 hours, because its"
                            " schedule is"
                            " paused.",
                        ),
                    ),
                ),
                Case(what="since the evening", series={f"aether_schedule_paused{_MINE}": "0x1000 1x700"}, at="1600m"),
            ),
        ),
        Alert(
            name="ScheduleSkips",
            severity="warning",
            expr=f"sum by (connector, outcome) ({rise('aether_schedule_firings_total', '12h', _LEFT_OUT)}) >= 3",
            summary="Times of {{ $labels.connector }} are left out again and again.",
            description="{{ $value | humanize }} times of {{ $labels.connector }} were left out within 12 hours, for"
            " {{ $labels.outcome }}; fewer than 3 are usual.",
            cases=(
                Case(
                    what="four overlaps",
                    series={
                        'aether_schedule_firings_total{connector="staff",outcome="SCH_OVERLAP"}': "_x100 1x60 2x60 3x60"
                        " 4x60"
                    },
                    at="320m",
                    fires=(
                        Expected(
                            labels={"connector": "staff", "outcome": "SCH_OVERLAP"},
                            summary="Times of staff are left out again and again.",
                            description="4 times of staff were left out within 12 hours, for SCH_OVERLAP; fewer"
                            " than 3 are"
                            " usual.",
                        ),
                    ),
                ),
                Case(
                    what="it runs",
                    series={'aether_schedule_firings_total{connector="staff",outcome="run"}': "1+1x400"},
                    at="320m",
                ),
            ),
        ),
        *RECORDS,
    ),
)
