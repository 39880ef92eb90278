"""What becomes of a time at which a schedule is due. Pure.

The order of the gates is the order in which they stand below: a blackout beats everything, also a jittered beginning;
then the pause, then the calendar. Whether another run is under way is for the admission of runs to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, takewhile
from typing import Final

from shared.clock import from_text
from shared.contract.model import Schedule
from shared.hashing.canonical import digest_of
from shared.ids import RunId, run_id_of
from shared.run.states import TERMINAL, RunStatus
from shared.schedule.calendar import HouseCalendar
from shared.schedule.state import BAD_RUNS_MAX, ITSELF, Pause, ScheduleState
from shared.schedule.times import latest_time, times_after

EARLY_SECONDS_MAX: Final = 5
"""How much before its time a bell may ring: the clocks of server and program differ a little."""
LATE: Final = timedelta(minutes=2)
"""A time that is settled later than this after it was due was missed, and is caught up or left out."""
TIMES_COUNTED_MAX: Final = 1_000
"""Missed times that are counted, for the text that says how many there were."""
TIMES_TAKEN: Final = 10
"""Coming times whose gaps say how old the last success may be."""
TIMES_LOOKED_AT: Final = 400
"""Times among which those are looked for."""
BEFORE_DAYS: Final = (1, 30, 120)
"""How far back the last time that was taken is looked for."""
FRESH_MIN: Final = timedelta(hours=1)
"""The least age of a last success at which a connector counts as stale."""
BAD: Final = frozenset({RunStatus.HELD, RunStatus.BLOCKED, RunStatus.FAILED})
"""States of a run that count against its schedule."""
GOOD: Final = frozenset({RunStatus.SUCCEEDED, RunStatus.NO_CHANGES, RunStatus.PLANNED})
"""States of a run that end the row of bad ones."""


@dataclass(frozen=True, slots=True)
class Due:
    """The time is taken: a run is asked for."""

    nominal: datetime
    missed: int = 0
    """Times before it that passed while nobody listened."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The time is left out."""

    nominal: datetime
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Later:
    """The time is taken, after a while."""

    nominal: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Nothing:
    """No time is open."""


What = Due | LeftOut | Later | Nothing


def clause_of(schedule: Schedule) -> str:
    """The digest of a schedule's clause: another one is another schedule."""
    return str(digest_of(schedule.model_dump(mode="json")))


def run_of(connector: str, nominal: datetime) -> RunId:
    """The run of one time: whoever asks for it, how often ever, asks for the same."""
    return run_id_of(nominal, seed=f"{connector}|{nominal.astimezone(UTC).isoformat()}")


def jitter_of(schedule: Schedule, connector: str, nominal: datetime) -> timedelta:
    """How long after its time this one begins: the same for everybody who asks, spread over connectors and days."""
    if schedule.jitter_seconds_max == 0:
        return timedelta()
    number = int.from_bytes(hashlib.sha256(f"jitter|{connector}|{nominal.isoformat()}".encode()).digest()[:8], "big")
    return timedelta(seconds=number % (schedule.jitter_seconds_max + 1))


def decide(
    schedule: Schedule, calendar: HouseCalendar | None, state: ScheduleState, *, connector: str, now: datetime
) -> What:
    """What is to be done about the latest time that is due, if it is still open."""
    nominal = latest_time(schedule.cron, schedule.time_zone, now + timedelta(seconds=EARLY_SECONDS_MAX))
    if nominal is None or nominal <= from_text(state.since):
        return Nothing()
    if state.settled is not None and nominal <= from_text(state.settled):
        return Nothing()
    begins = nominal + jitter_of(schedule, connector, nominal)
    # Judged by its beginning and not by when somebody looks: whoever looks, and however often, finds the same.
    at = max(begins, now)
    if (why := reason_against(schedule, calendar, state, connector=connector, nominal=nominal, at=at)) is not None:
        return why
    if now < begins - timedelta(seconds=EARLY_SECONDS_MAX):
        return Later(nominal, begins)
    if now - begins > LATE and schedule.catch_up == "none":
        return LeftOut(nominal, "SCH_MISSED", "the time passed while nobody listened, and none is caught up")
    return Due(nominal, missed=_missed(schedule, state, nominal))


def decide_blind(
    schedule: Schedule, why: str, state: ScheduleState, *, connector: str, now: datetime
) -> LeftOut | Nothing:
    """The same while the calendar cannot be used: nothing runs, and a time that stays open too long is left out.

    Not at once, for a file that is just being written is whole again a moment later.
    """
    match decide(schedule, None, state, connector=connector, now=now - LATE):
        case Due() as due:
            return LeftOut(due.nominal, "SCH_CONFIG", why)
        case LeftOut() as left_out:
            return left_out
        case _:
            return Nothing()


def reason_against(
    schedule: Schedule,
    calendar: HouseCalendar | None,
    state: ScheduleState,
    *,
    connector: str,
    nominal: datetime,
    at: datetime,
) -> LeftOut | None:
    """Why a time is left out that would begin at `at`; None when nothing stands against it."""
    if calendar is not None:
        for moment in (nominal, at):
            if (name := calendar.blackout_at(moment, connector)) is not None:
                return LeftOut(nominal, "SCH_BLACKOUT", f"it lies in the blackout window {name!r}")
    if state.paused is not None:
        return LeftOut(nominal, "SCH_PAUSED", f"paused by {state.paused.by}: {state.paused.reason}")
    if calendar is not None:
        day = calendar.day_of(nominal)
        if schedule.rollover == "pause" and calendar.is_rollover(day):
            return LeftOut(nominal, "SCH_CALENDAR", f"{day} lies in the rollover to the new school year")
        if schedule.calendar == "school_days" and not calendar.is_school_day(day):
            return LeftOut(nominal, "SCH_CALENDAR", f"{day} is no school day")
    return None


def preview(
    schedule: Schedule,
    calendar: HouseCalendar | None,
    state: ScheduleState,
    *,
    connector: str,
    now: datetime,
    count: int,
) -> Iterator[tuple[datetime, LeftOut | None]]:
    """The next times, and why each would be left out if it came as things stand."""
    for nominal in islice(times_after(schedule.cron, schedule.time_zone, now), count):
        at = nominal + jitter_of(schedule, connector, nominal)
        yield nominal, reason_against(schedule, calendar, state, connector=connector, nominal=nominal, at=at)


def freshness_limit(
    schedule: Schedule, calendar: HouseCalendar | None, state: ScheduleState, *, connector: str, now: datetime
) -> timedelta:
    """How old the last success may be: twice the largest gap between the times that are taken around now.

    What the calendar leaves out is no time that was missed: during a break nothing is stale.
    """
    plain = state.model_copy(update={"paused": None})

    def taken(begin: datetime) -> Iterator[datetime]:
        coming = preview(schedule, calendar, plain, connector=connector, now=begin, count=TIMES_LOOKED_AT)
        return (nominal for nominal, why in coming if why is None)

    around = list(islice(taken(now), TIMES_TAKEN))
    for days in BEFORE_DAYS:
        passed = list(takewhile(lambda each: each <= now, taken(now - timedelta(days=days))))
        if passed:
            around.insert(0, passed[-1])
            break
    gap = max((later - earlier for earlier, later in pairwise(around)), default=timedelta(days=1))
    return max(2 * gap, FRESH_MIN)


def counted(state: ScheduleState, last: RunStatus | None, *, at: str) -> ScheduleState:
    """The state after a look at its last run: bad runs in a row are counted, and too many pause the schedule.

    A run that was held and then approved and succeeded ends the row after all. What a person or the next run ended
    (rejected, cancelled, stale, superseded, expired), and a partial one, neither lengthens nor ends it.
    """
    if last in GOOD:
        return state.model_copy(update={"bad_in_row": 0, "is_counted": True})
    if state.is_counted or last is None:
        return state
    if last in BAD:
        row, paused = state.bad_in_row + 1, state.paused
        if row >= BAD_RUNS_MAX and paused is None:
            text = f"{row} runs in a row were held, blocked or failed; the last is {state.last_run}"
            paused = Pause(by=ITSELF, at=at, reason=text)
        return state.model_copy(update={"bad_in_row": row, "paused": paused, "is_counted": True})
    return state.model_copy(update={"is_counted": True}) if last in TERMINAL else state


def _missed(schedule: Schedule, state: ScheduleState, nominal: datetime) -> int:
    """How many times before this one were never settled."""
    last = max(from_text(one) for one in (state.since, state.settled) if one is not None)
    passed = islice(times_after(schedule.cron, schedule.time_zone, last), TIMES_COUNTED_MAX)
    return sum(1 for _ in _before(passed, nominal))


def _before(times: Iterator[datetime], end: datetime) -> Iterator[datetime]:
    for each in times:
        if each >= end:
            return
        yield each
