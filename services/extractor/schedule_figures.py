"""What the extractor measures of schedules: when the next time is, what became of times, and how old a success may be.

Counted where it happens, by the replica that settled the time; what is shown is what the last look found. It decides
nothing and publishes nothing.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry

from shared.clock import from_text
from shared.contract.model import Schedule
from shared.events.schedules import ScheduleFired, ScheduleSkipped
from shared.run.moves import Decision
from shared.schedule.calendar import HouseCalendar
from shared.schedule.deciding import freshness_limit, preview
from shared.schedule.state import ScheduleState
from shared.telemetry.families import counter, gauge

NOT_WANTED: Final = frozenset({"SCH_BLACKOUT", "SCH_CALENDAR", "SCH_PAUSED"})
"""Codes of times at which nobody wanted a run; with any other code one was due and did not come about."""


class ScheduleFigures:
    """The figures of one replica."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._firings = counter("aether_schedule_firings_total", registry)
        self._due = gauge("aether_schedule_last_due_timestamp_seconds", registry)
        self._next = gauge("aether_schedule_next_timestamp_seconds", registry)
        self._paused = gauge("aether_schedule_paused", registry)
        self._fresh = gauge("aether_connector_freshness_limit_seconds", registry)
        self._shown: set[str] = set()

    @property
    def shown(self) -> frozenset[str]:
        """Connectors of which something is shown."""
        return frozenset(self._shown)

    def count(self, decision: Decision) -> None:
        """Count the times that were settled with this."""
        for message in decision.messages:
            if isinstance(message.event, ScheduleFired):
                self._firings.labels(message.event.connector, "run").inc()
            elif isinstance(message.event, ScheduleSkipped):
                self._firings.labels(message.event.connector, message.event.reason.code).inc()

    def show(
        self, schedule: Schedule, calendar: HouseCalendar | None, state: ScheduleState, *, connector: str, now: datetime
    ) -> None:
        """Show what a look found."""
        self._shown.add(connector)
        self._paused.labels(connector).set(state.paused is not None)
        for nominal, _ in preview(schedule, calendar, state, connector=connector, now=now, count=1):
            self._next.labels(connector).set(nominal.timestamp())
        if state.settled is not None and state.last_code not in NOT_WANTED:
            self._due.labels(connector).set(from_text(state.settled).timestamp())
        limit = freshness_limit(schedule, calendar, state, connector=connector, now=now)
        self._fresh.labels(connector).set(limit.total_seconds())

    def hide(self, connector: str) -> None:
        """Show nothing any more of a connector that has no schedule: nobody shall be alarmed by its last figures."""
        self._shown.discard(connector)
        for figure in (self._due, self._next, self._paused, self._fresh):
            with suppress(KeyError):
                figure.remove(connector)
