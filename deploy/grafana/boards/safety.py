"""Audit and safety: whether everything is recorded, whether anybody tried what they may not, what ends soon."""

from __future__ import annotations

from typing import Final

from deploy.grafana.boards.parts import DAYS_LEFT, NO_YES, NONE_WANTED, VERDICTS
from deploy.grafana.building.model import Dashboard, Query, Row, Stat, StateTimeline, Table, TimeSeries, Unit
from deploy.prometheus.rising import rise

BLOCKED: Final = 'status="blocked"'

SAFETY: Final = Dashboard(
    uid="aether-safety",
    title="Audit and safety",
    sentence="The audit log, the guard, forgeries and refusals, credentials and certificates.",
    since="now-7d",
    rows=(
        Row(
            "The audit log",
            (
                Stat(
                    title="Not in the log yet",
                    sentence="Messages that the auditor has yet to record; while it cannot, nothing is written.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="sum(aether_audit_lag)"),),
                    width=6,
                ),
                Stat(
                    title="Monitor's last look",
                    sentence="When the figures of runs were last brought up to date from the auditor's record.",
                    unit=Unit.SINCE,
                    queries=(Query(expr="max(aether_monitor_last_look_timestamp_seconds)"),),
                    width=6,
                ),
                TimeSeries(
                    title="Entries",
                    sentence="Entries added to the audit log a second.",
                    unit=Unit.PER_SECOND,
                    queries=(Query(expr="sum(rate(aether_audit_entries_total[$__rate_interval]))", legend="entries"),),
                    width=12,
                ),
                TimeSeries(
                    title="Lag by stream",
                    sentence="Messages of each stream that are not in the log yet.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr="max by (stream) (aether_audit_lag)", legend="{{stream}}"),),
                    width=12,
                ),
                TimeSeries(
                    title="Checkpoints",
                    sentence="Checkpoints that the auditor signed within the hour before.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr=f"sum({rise('aether_audit_checkpoints_total', '1h')})", legend="checkpoints"),),
                    width=12,
                ),
            ),
        ),
        Row(
            "Forgeries and refusals",
            (
                TimeSeries(
                    title="Alarms",
                    sentence="Forgeries and defects that were refused within the hour before, by code.",
                    unit=Unit.NUMBER,
                    queries=(Query(expr=f"sum by (code) ({rise('aether_alarms_total', '1h')})", legend="{{code}}"),),
                    thresholds=NONE_WANTED,
                    why_empty="Nothing was forged, and no defect was found.",
                ),
                TimeSeries(
                    title="Refused by the bus",
                    sentence="What programs of ours tried on the bus and were not permitted, within the hour before.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (service, act) ({rise('aether_bus_permission_refusals_total', '1h')})",
                            legend="{{service}} {{act}}",
                        ),
                    ),
                    thresholds=NONE_WANTED,
                    why_empty="No program tried what it may not.",
                ),
                TimeSeries(
                    title="Notices to people",
                    sentence="Notices of the hour before by channel, and whether the channel took them.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(
                            expr=f"sum by (channel, outcome) ({rise('aether_notices_total', '1h')})",
                            legend="{{channel}} {{outcome}}",
                        ),
                    ),
                    why_empty="No channel is configured (AETHER_NOTICES), or nothing was worth a notice.",
                ),
            ),
        ),
        Row(
            "The guard",
            (
                StateTimeline(
                    title="Verdict by connector",
                    sentence="What the guard said of the last plan of each connector.",
                    unit=Unit.STATE,
                    queries=(Query(expr="max by (connector) (aether_guard_level)", legend="{{connector}}"),),
                    mappings=VERDICTS,
                ),
                TimeSeries(
                    title="Held and blocked",
                    sentence="Runs that are held now, and runs that ended blocked within the day before.",
                    unit=Unit.NUMBER,
                    queries=(
                        Query(expr='sum(max without (instance) (aether_runs_open{status="held"}))', legend="held"),
                        Query(
                            expr=f"sum({rise('aether_runs_ended_total', '1d', BLOCKED)}) or vector(0)",
                            legend="blocked",
                        ),
                    ),
                    width=12,
                ),
            ),
        ),
        Row(
            "Credentials and certificates",
            (
                Table(
                    title="Secrets last written",
                    sentence="When the file of each credential was last written; what is old was not changed for long.",
                    unit=Unit.SINCE,
                    labels=("connection", "setting"),
                    queries=(
                        Query(
                            expr="max by (connection, setting) (aether_credential_changed_timestamp_seconds)",
                            legend="last written",
                        ),
                    ),
                    width=8,
                ),
                Stat(
                    title="Credentials end in",
                    sentence="Time left of each credential whose end can be known.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="min by (connection, setting) (aether_credential_expiry_timestamp_seconds) - time()",
                            legend="{{connection}} {{setting}}",
                        ),
                    ),
                    thresholds=DAYS_LEFT,
                    width=4,
                    height=8,
                    why_empty="No credential in use says when it ends.",
                ),
                Stat(
                    title="Certificates end in",
                    sentence="Time left of each certificate that the monitor was told to watch.",
                    unit=Unit.SECONDS,
                    queries=(
                        Query(
                            expr="min by (name) (aether_certificate_expiry_timestamp_seconds) - time()",
                            legend="{{name}}",
                        ),
                    ),
                    thresholds=DAYS_LEFT,
                    width=4,
                    height=8,
                ),
                StateTimeline(
                    title="Connections in quarantine",
                    sentence="Connections over which nothing is written because their credential was refused.",
                    unit=Unit.STATE,
                    queries=(
                        Query(expr="max by (connection) (aether_connection_quarantined)", legend="{{connection}}"),
                    ),
                    mappings=NO_YES,
                    width=8,
                    height=8,
                    why_empty="No connection was ever put into quarantine.",
                ),
            ),
        ),
    ),
)
