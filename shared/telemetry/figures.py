"""Every figure that the house gives to Prometheus: its name, kind, unit and labels. The one table of it.

Labels come from this table and are few: connectors, connections, states, codes, services, never a person and never a
run. Dashboards and alerts are written against these rows, and a test holds what the programs really give against them.
Names follow Prometheus: a counter has its `_total`, a duration is in seconds, a moment is a `_timestamp_seconds`.
Pure data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric family."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str
    service: str
    """Which program gives it; `every` for each of them."""


LABELS: Final = frozenset(
    {
        "act", "channel", "code", "connection", "connector", "consumer", "entity", "event", "mode",
        "name", "outcome", "phase", "place", "route", "server", "service", "setting", "status", "stream", "use",
        "verdict", "version",
    }
)  # fmt: skip
"""The labels that may be. None can hold a person, a run, a subject or a text of a vendor."""

FIGURES: Final[tuple[Figure, ...]] = (
    # --- runs, as the auditor recorded them
    Figure("aether_runs_ended_total", "counter", ("connector", "mode", "status"), "Runs that ended.", "monitor"),
    Figure("aether_runs_open", "gauge", ("connector", "status"), "Runs that have not ended.", "monitor"),
    Figure("aether_runs_open_since_timestamp_seconds", "gauge", ("connector", "status"),
           "When the oldest run in this state came into it.", "monitor"),
    Figure("aether_run_changes_planned_total", "counter", ("connector",), "Changes of applied plans.", "monitor"),
    Figure("aether_run_changes_total", "counter", ("connector", "outcome"),
           "Changes of ended runs in mode apply by the nine outcomes.", "monitor"),
    Figure("aether_run_failures_total", "counter", ("connector", "code"),
           "Failures of runs and of their changes by code of the catalogue.", "monitor"),
    Figure("aether_run_seconds", "histogram", ("connector", "mode"),
           "From request to end, without the time a person took to decide.", "monitor"),
    Figure("aether_run_phase_seconds", "histogram", ("connector", "phase"), "Time in each phase of a run.", "monitor"),
    Figure("aether_connector_last_success_timestamp_seconds", "gauge", ("connector",),
           "End of the last run that succeeded or found nothing to change, in mode apply.", "monitor"),
    Figure("aether_connector_last_run_timestamp_seconds", "gauge", ("connector",),
           "When the last run was asked for.", "monitor"),
    Figure("aether_connector_freshness_limit_seconds", "gauge", ("connector",),
           "How old the last success may be, by the connector's schedule.", "extractor"),
    Figure("aether_guard_level", "gauge", ("connector",),
           "Verdict on the last plan: 0 PASS, 1 WARN, 2 HOLD, 3 BLOCK.", "monitor"),
    Figure("aether_quarantine_records", "gauge", ("connector", "entity", "code"),
           "Records in quarantine after the last read.", "monitor"),
    Figure("aether_quarantine_since_timestamp_seconds", "gauge", ("connector", "entity"),
           "Since when no read of the entity was without quarantine.", "monitor"),
    Figure("aether_unknown_effects", "gauge", ("connector",),
           "Changes with an intent and no outcome, or whose outcome is unknown.", "monitor"),
    Figure("aether_monitor_last_look_timestamp_seconds", "gauge", (),
           "When the monitor last read the auditor's record; figures of runs are as of then.", "monitor"),
    # --- schedules
    Figure("aether_schedule_last_due_timestamp_seconds", "gauge", ("connector",),
           "The last time that was due and not left out by calendar, blackout or pause.", "extractor"),
    Figure("aether_schedule_next_timestamp_seconds", "gauge", ("connector",), "The next time.", "extractor"),
    Figure("aether_schedule_paused", "gauge", ("connector",), "1 while the schedule is paused.", "extractor"),
    Figure("aether_schedule_firings_total", "counter", ("connector", "outcome"),
           "Times that were due by what became of them: run, or the code why not.", "extractor"),
    # --- credentials, certificates, disks
    Figure("aether_credential_changed_timestamp_seconds", "gauge", ("connection", "setting"),
           "When the file of a secret was last written.", "extractor"),
    Figure("aether_credential_expiry_timestamp_seconds", "gauge", ("connection", "setting"),
           "When a credential ends, where that can be known.", "extractor"),
    Figure("aether_connection_quarantined", "gauge", ("connection",),
           "1 while nothing is written over the connection because its credential was refused.", "monitor"),
    Figure("aether_certificate_expiry_timestamp_seconds", "gauge", ("name",), "When a certificate ends.", "monitor"),
    Figure("aether_disk_free_bytes", "gauge", ("place",), "Room on the disk under a folder of the program.", "every"),
    Figure("aether_disk_size_bytes", "gauge", ("place",), "Size of that disk.", "every"),
    # --- the bus
    Figure("aether_bus_server_up", "gauge", ("server",), "1 while the server says it is healthy.", "monitor"),
    Figure("aether_bus_stream_messages", "gauge", ("stream",), "Messages in a stream.", "monitor"),
    Figure("aether_bus_stream_bytes", "gauge", ("stream",), "Bytes of a stream.", "monitor"),
    Figure("aether_bus_stream_limit_bytes", "gauge", ("stream",), "Bytes at which a stream refuses.", "monitor"),
    Figure("aether_bus_stream_replicas", "gauge", ("stream",), "Replicas that a stream shall have.", "monitor"),
    Figure("aether_bus_stream_replicas_current", "gauge", ("stream",), "Replicas that are up to date.", "monitor"),
    Figure("aether_bus_consumer_pending", "gauge", ("stream", "consumer"), "Messages not delivered yet.", "monitor"),
    Figure("aether_bus_consumer_ack_pending", "gauge", ("stream", "consumer"), "Messages at work.", "monitor"),
    Figure("aether_bus_consumer_redelivered", "gauge", ("stream", "consumer"), "Of these, delivered again.", "monitor"),
    Figure("aether_bus_slow_consumers_total", "counter", ("server",), "Clients cut off as too slow.", "monitor"),
    Figure("aether_bus_verdicts_total", "counter", ("consumer", "verdict"),
           "Deliveries by what became of them.", "every"),
    Figure("aether_bus_dead_letters_total", "counter", ("consumer", "code"),
           "Messages laid among the dead letters.", "every"),
    Figure("aether_bus_permission_refusals_total", "counter", ("act",),
           "Acts that the bus refused to this program.", "every"),
    Figure("aether_bus_wait_seconds", "histogram", ("consumer",),
           "From a message's storing to its first delivery here.", "every"),
    Figure("aether_handler_seconds", "histogram", ("event", "outcome"),
           "Handling of one event or command; its exemplars name traces.", "extractor, differ and applier"),
    # --- outside systems
    Figure("aether_system_requests_total", "counter", ("connection", "use", "outcome"),
           "Requests to outside systems by how they ended.", "extractor and applier"),
    Figure("aether_system_request_seconds", "histogram", ("connection", "use"),
           "How long requests to outside systems took; its exemplars name traces.", "extractor and applier"),
    Figure("aether_rate_limit_wait_seconds", "histogram", ("connection",),
           "How long requests waited for their turn within the rate of a connection.", "extractor and applier"),
    # --- audit, safety, people
    Figure("aether_alarms_total", "counter", ("code",), "Forgeries and defects that were refused.", "every"),
    Figure("aether_audit_entries_total", "counter", (), "Entries added to the audit log.", "auditor"),
    Figure("aether_audit_checkpoints_total", "counter", (), "Checkpoints signed.", "auditor"),
    Figure("aether_audit_lag", "gauge", ("stream",), "Messages not in the log yet.", "auditor"),
    Figure("aether_console_request_seconds", "histogram", ("route", "status"), "Time to answer, by route.", "console"),
    Figure("aether_console_live_pages", "gauge", (), "Live pages now.", "console"),
    Figure("aether_notices_total", "counter", ("channel", "outcome"), "Notices to people.", "monitor"),
    Figure("aether_build_info", "gauge", ("service", "version"), "1; which release this program is of.", "every"),
)  # fmt: skip

FIGURE: Final = {figure.name: figure for figure in FIGURES}
