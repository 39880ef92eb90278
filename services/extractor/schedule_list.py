"""The answer to what is scheduled: every connector with a schedule, its next times, and the calendar."""

from __future__ import annotations

from datetime import datetime

from services.extractor.handlers import Context
from services.extractor.scheduling import Scheduling, status_of
from shared.bus.reading import last
from shared.clock import to_text
from shared.contract.model import Schedule
from shared.errors import AetherError, NeedsPerson
from shared.events.documents import FailureNote
from shared.events.schedules import CalendarView, NextTime, ScheduleList, ScheduleQuery, ScheduleView, WindowView
from shared.schedule.calendar import Days, HouseCalendar
from shared.schedule.deciding import LeftOut, clause_of, preview
from shared.schedule.state import ScheduleState, schedule_state_in, schedule_subject


async def scheduled(query: ScheduleQuery, scheduling: Scheduling, context: Context) -> ScheduleList:
    """Every schedule, or one; `NeedsPerson` (SCH_UNKNOWN) when the one that is asked for has none."""
    calendar, problem = None, None
    try:
        calendar = scheduling.calendar()
    except NeedsPerson as error:
        problem = FailureNote.of(error)
    names = context.connectors.names() if query.connector is None else (query.connector,)
    found = [view for name in names if (view := await _view(name, query, calendar, problem, context)) is not None]
    if query.connector is not None and not found:
        raise NeedsPerson(
            "SCH_UNKNOWN",
            f"connector {query.connector} has no schedule; write `schedule:` into its definition",
            connector=query.connector,
        )
    return ScheduleList(
        schedules=tuple(found), calendar=None if calendar is None else calendar_view(calendar), problem=problem
    )


async def _view(
    name: str, query: ScheduleQuery, calendar: HouseCalendar | None, problem: FailureNote | None, context: Context
) -> ScheduleView | None:
    try:
        definition = context.connectors.load(name).definition
    except AetherError:
        return None  # said by `aether connector list`; it is no schedule's problem
    schedule = definition.schedule
    if schedule is None:
        return None
    if definition.lifecycle != "active":
        problem = FailureNote(
            code="CTR_DRAFT", text=f"{name} {definition.version} is {definition.lifecycle}; only an active one runs"
        )
    now = context.clock.now()
    stored = schedule_state_in(await last(context.js, "CORE", schedule_subject(name)))
    state = stored or ScheduleState(connector=name, since=to_text(now), clause=clause_of(schedule))
    return ScheduleView(
        connector=name,
        version=definition.version,
        cron=schedule.cron,
        time_zone=schedule.time_zone,
        mode=schedule.mode,
        calendar=schedule.calendar,
        rollover=schedule.rollover,
        catch_up=schedule.catch_up,
        jitter_seconds_max=schedule.jitter_seconds_max,
        problem=problem,
        next=() if problem is not None else _next(schedule, calendar, state, now=now, count=query.times),
        paused=state.paused,
        settled=state.settled,
        last_run=state.last_run,
        last_status=await status_of(context, state.last_run),
        last_code=state.last_code,
        bad_in_row=state.bad_in_row,
    )


def _next(
    schedule: Schedule, calendar: HouseCalendar | None, state: ScheduleState, *, now: datetime, count: int
) -> tuple[NextTime, ...]:
    coming = preview(schedule, calendar, state, connector=state.connector, now=now, count=count)
    return tuple(NextTime(at=to_text(nominal), left_out=_note(why)) for nominal, why in coming)


def _note(why: LeftOut | None) -> FailureNote | None:
    return None if why is None else FailureNote(code=why.code, text=why.text)


def calendar_view(calendar: HouseCalendar) -> CalendarView:
    """The calendar in words."""
    match calendar.rollover:
        case "july":
            rollover = "1 to 15 July of every year"
        case "none":
            rollover = "none"
        case days:
            rollover = "; ".join(_days(each) for each in days)
    once = [
        WindowView(
            name=each.name,
            when=f"{each.begins.isoformat(sep=' ')} until {each.ends.isoformat(sep=' ')}",
            connectors=() if each.connectors == "all" else each.connectors,
        )
        for each in calendar.blackouts
    ]
    weekly = [
        WindowView(
            name=each.name,
            when=f"{', '.join(each.weekdays)} {each.begins:%H:%M} until {each.ends:%H:%M}",
            connectors=() if each.connectors == "all" else each.connectors,
        )
        for each in calendar.weekly_blackouts
    ]
    return CalendarView(
        time_zone=calendar.time_zone,
        rollover=rollover,
        school_years=tuple(f"{each.name}: {each.first_day} to {each.last_day}" for each in calendar.school_years),
        no_school=tuple(_days(each) for each in calendar.no_school),
        blackouts=(*once, *weekly),
    )


def _days(days: Days) -> str:
    return f"{days.name}: {days.first} to {days.last}"
