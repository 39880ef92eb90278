"""Schedules on the bus: facts of what became of a time, commands of people, and the answer to what is scheduled."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from shared.events.documents import FailureNote
from shared.events.model import Document, Event, FailureCode
from shared.schedule.state import Pause

NEXT_TIMES_MAX = 50
"""Next times of one schedule in an answer."""


class ScheduleFired(Event):
    """A time was due, and a run was asked for."""

    event_type: ClassVar[str] = "aether.schedule.fired.v1"
    connector: str
    nominal: str
    """The time, RFC 3339."""
    run: str
    missed: int = Field(default=0, ge=0)
    """Times before it that passed while nobody listened."""


class ScheduleSkipped(Event):
    """A time was due, and no run was asked for."""

    event_type: ClassVar[str] = "aether.schedule.skipped.v1"
    connector: str
    nominal: str
    reason: FailureNote


class SchedulePaused(Event):
    """A schedule does not run any more until it is resumed."""

    event_type: ClassVar[str] = "aether.schedule.paused.v1"
    connector: str
    pause: Pause


class ScheduleResumed(Event):
    """A person let a schedule run again."""

    event_type: ClassVar[str] = "aether.schedule.resumed.v1"
    connector: str
    by: str
    reason: str


class NameSchedule(Document):
    """Body of `aether.schedule.pause` and `aether.schedule.resume`."""

    connector: str
    reason: str
    """1 to 500 characters; it is kept in the log."""


class ScheduleQuery(Document):
    """Body of `aether.schedule.list`."""

    connector: str | None = None
    """All when left out."""
    times: int = Field(default=5, ge=1, le=NEXT_TIMES_MAX)
    """Next times of each."""


class NextTime(Document):
    """One of the next times, as things stand."""

    at: str
    """RFC 3339."""
    left_out: FailureNote | None = None
    """Why it would be left out."""


class ScheduleView(Document):
    """One connector's schedule and what it has come to."""

    connector: str
    version: str
    cron: str
    time_zone: str
    mode: Literal["dry-run", "apply"]
    calendar: Literal["every_day", "school_days"]
    rollover: Literal["pause", "run"]
    catch_up: Literal["latest", "none"]
    jitter_seconds_max: int
    problem: FailureNote | None = None
    """Why nothing runs, whatever the time: the release is no active one, or the calendar cannot be used."""
    next: tuple[NextTime, ...] = ()
    paused: Pause | None = None
    settled: str | None = None
    """The last time that was settled."""
    last_run: str | None = None
    last_status: str | None = None
    last_code: FailureCode | None = None
    bad_in_row: int = 0


class WindowView(Document):
    """One window of the calendar in which nothing runs by schedule, as it is shown to people."""

    name: str
    when: str
    """In words: two moments, or weekdays and times."""
    connectors: tuple[str, ...] = ()
    """None: all of them."""


class CalendarView(Document):
    """The calendar of the house, as it is shown to people."""

    time_zone: str
    rollover: str
    """In words."""
    school_years: tuple[str, ...] = ()
    no_school: tuple[str, ...] = ()
    blackouts: tuple[WindowView, ...] = ()


class ScheduleList(Document):
    """Answer to `aether.schedule.list`."""

    schedules: tuple[ScheduleView, ...]
    calendar: CalendarView | None = None
    """None: the house has no calendar."""
    problem: FailureNote | None = None
    """What is wrong with the calendar."""
