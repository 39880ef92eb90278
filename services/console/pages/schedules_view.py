"""What runs by itself, as the page shows it: a line for each schedule, and four weeks of days. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from shared.clock import from_text
from shared.events.schedules import CalendarView, NextTime, ScheduleList, ScheduleView

WEEKS: Final = 4
"""Weeks of the calendar, the present one first."""
TIMES_ASKED: Final = 50
TIMES_SHOWN: Final = 5
"""Next times of a schedule in its own line."""
ENTRIES_SHOWN: Final = 3
"""Times of one day; a denser schedule is counted."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Entry(_Model):
    """One time on one day."""

    connector: str
    at: str
    """Local time of the district, as 02:30."""
    code: str | None = None
    """Why it would be left out."""
    why: str | None = None


class Day(_Model):
    """One day of the calendar."""

    day: str
    """ISO date."""
    label: str
    """As 24 Nov."""
    is_today: bool = False
    is_past: bool = False
    entries: tuple[Entry, ...] = ()
    more: int = 0
    """Further times of this day."""


class SchedulesPage(_Model):
    """The whole page."""

    schedules: tuple[ScheduleView, ...]
    weeks: tuple[tuple[Day, ...], ...] = ()
    calendar: CalendarView | None = None
    problem: str | None = None
    """What is wrong with the calendar of the house."""
    why_not: str | None = None
    """Why the house could not be asked."""
    time_zone: str
    until: str | None = None
    """The last day of which everything is known; later days may hold more."""


def schedules_page(answer: ScheduleList | None, *, why_not: str | None, now: datetime, zone: ZoneInfo) -> SchedulesPage:
    """The page from the house's answer."""
    if answer is None:
        return SchedulesPage(schedules=(), why_not=why_not, time_zone=zone.key)
    return SchedulesPage(
        schedules=answer.schedules,
        weeks=tuple(_weeks(answer.schedules, now=now, zone=zone)) if answer.schedules else (),
        calendar=answer.calendar,
        problem=None if answer.problem is None else answer.problem.text,
        time_zone=zone.key,
        until=_known_until(answer.schedules, now=now, zone=zone),
    )


def shown_times(view: ScheduleView) -> tuple[NextTime, ...]:
    """The next times that stand in a schedule's own line."""
    return view.next[:TIMES_SHOWN]


def _weeks(schedules: tuple[ScheduleView, ...], *, now: datetime, zone: ZoneInfo) -> Iterator[tuple[Day, ...]]:
    today = now.astimezone(zone).date()
    by_day: dict[date, list[Entry]] = {}
    for view in schedules:
        for each in view.next:
            local = from_text(each.at).astimezone(zone)
            note = each.left_out
            by_day.setdefault(local.date(), []).append(
                Entry(
                    connector=view.connector,
                    at=f"{local:%H:%M}",
                    code=None if note is None else note.code,
                    why=None if note is None else note.text,
                )
            )
    first = today - timedelta(days=today.weekday())
    for week in range(WEEKS):
        yield tuple(_day(first + timedelta(days=7 * week + each), by_day, today=today) for each in range(7))


def _day(day: date, by_day: dict[date, list[Entry]], *, today: date) -> Day:
    entries = sorted(by_day.get(day, ()), key=lambda one: (one.at, one.connector))
    return Day(
        day=day.isoformat(),
        label=f"{day.day} {day:%b}",
        is_today=day == today,
        is_past=day < today,
        entries=tuple(entries[:ENTRIES_SHOWN]),
        more=max(0, len(entries) - ENTRIES_SHOWN),
    )


def _known_until(schedules: tuple[ScheduleView, ...], *, now: datetime, zone: ZoneInfo) -> str | None:
    """A dense schedule has more times in four weeks than are asked for: say from which day on some are missing."""
    ends = [from_text(view.next[-1].at) for view in schedules if len(view.next) == TIMES_ASKED]
    is_short = bool(ends) and min(ends) < now + timedelta(weeks=WEEKS)
    return min(ends).astimezone(zone).date().isoformat() if is_short else None
