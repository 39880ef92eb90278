"""What the log says of schedules, connections, alarms and notices, folded entry by entry.

Pure. The same entries in the same order lead to the same value wherever one begins to look, so that the ids of
conditions outlast a restart. Entries are the house's own; one that has not the form it should is passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from services.monitor.notices.names import known_code, known_name
from services.monitor.notices.told import Told, ToldNotice
from shared.clock import from_text, to_text
from shared.events.facts import AlarmRaised, ConnectionHealth
from shared.events.operating import NoticeSent
from shared.events.schedules import SchedulePaused, ScheduleResumed

ALARM_QUIET: Final = timedelta(hours=24)
"""An alarm that is raised again within this time is the same one; one that is not is over."""
NAMES_MAX: Final = 2_000
"""Schedules, connections, or kinds of alarm that are kept; a house has tens."""
TYPES: Final = (
    SchedulePaused.event_type, ScheduleResumed.event_type, ConnectionHealth.event_type, AlarmRaised.event_type,
    NoticeSent.event_type,
)  # fmt: skip
"""Types of the entries that are wanted here."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One entry of the log."""

    index: int
    type: str
    at: str
    """When it was recorded."""
    run: str | None
    summary: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Since:
    """When something began, and by which entry."""

    entry: int
    at: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm, as often as it was raised without a day of quiet between."""

    service: str
    code: str
    entry: int
    """The first."""
    first_at: str
    last_at: str
    times: int
    run: str | None
    """The run of the newest, where it was about one."""


@dataclass(slots=True)
class LogPast:
    """What the entries taken so far amount to."""

    paused: dict[str, Since] = field(default_factory=dict)
    """Schedules that are paused, by connector."""
    quarantined: dict[str, Since] = field(default_factory=dict)
    """Connections in quarantine, by name."""
    told: Told = field(default_factory=Told)
    _alarms: dict[tuple[str, str], Alarm] = field(default_factory=dict)

    def alarms(self) -> tuple[Alarm, ...]:
        """The last occurrence of each kind of alarm."""
        return tuple(alarm for _, alarm in sorted(self._alarms.items()))

    def take(self, entry: LogEntry) -> None:
        """Go on by one entry."""
        about = entry.summary
        if entry.type == SchedulePaused.event_type:
            if (connector := known_name(about.get("connector"))) is not None:
                # Whoever pauses what is paused begins nothing.
                _keep(self.paused, connector, self.paused.get(connector) or Since(entry.index, entry.at))
        elif entry.type == ScheduleResumed.event_type:
            if (connector := known_name(about.get("connector"))) is not None:
                self.paused.pop(connector, None)
        elif entry.type == ConnectionHealth.event_type:
            self._take_health(entry)
        elif entry.type == AlarmRaised.event_type:
            self._take_alarm(entry)
        elif entry.type == NoticeSent.event_type:
            notice = ToldNotice.of(about, run=entry.run)
            if notice is not None:
                self.told.take(notice)

    def _take_health(self, entry: LogEntry) -> None:
        connection = known_name(entry.summary.get("connection"))
        if connection is None:
            return
        if entry.summary.get("status") == "quarantined":
            since = _moment(entry.summary.get("since"), otherwise=entry.at)
            _keep(self.quarantined, connection, Since(entry.index, since, known_code(entry.summary.get("code"))))
        else:
            self.quarantined.pop(connection, None)

    def _take_alarm(self, entry: LogEntry) -> None:
        service, code = known_name(entry.summary.get("service")), known_code(entry.summary.get("code"))
        if service is None:
            return
        key = (service, code or "unlisted")
        before = self._alarms.get(key)
        if before is not None and from_text(entry.at) - from_text(before.last_at) < ALARM_QUIET:
            alarm = Alarm(*key, before.entry, before.first_at, entry.at, before.times + 1, entry.run)
        else:
            alarm = Alarm(*key, entry.index, entry.at, entry.at, 1, entry.run)
        _keep(self._alarms, key, alarm)


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if key in kept or len(kept) < NAMES_MAX:
        kept[key] = value


def _moment(text: object, *, otherwise: str) -> str:
    try:
        return to_text(from_text(str(text)))
    except ValueError:
        return otherwise
