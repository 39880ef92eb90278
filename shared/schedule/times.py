"""When a schedule is due: occurrences of a cron expression in a time zone, as moments in UTC.

Pure. This is the only authority on times; whatever else rings a bell is asked here which time it rings for. On the day
when clocks go forward, a time that does not exist is due at the first moment after the gap; on the day when they go
back, a time that comes twice is due the first time only. `0 * * * *` and the like follow real hours on both days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from itertools import dropwhile, islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

CRON_CHARACTERS_MAX: Final = 100
SHORTEST_GAP: Final = timedelta(minutes=5)
"""Between two times of a schedule; a run takes longer than less."""
GAPS_LOOKED_AT: Final = 400
"""Times whose gaps are looked at: more than a day of the densest schedule, over a change of clocks as well."""
LOOK_BACK_DAYS: Final = (1, 10, 100, 1_500, 16_000)
"""How far before a moment its latest time is looked for: further only while nothing is found, so never over many."""
EXPRESSIONS_KEPT_MAX: Final = 1_000
"""Expressions whose gap is remembered: a definition is checked more often than it changes."""
_FIELD = re.compile(r"(?:[0-9*,/-]|MON|TUE|WED|THU|FRI|SAT|SUN|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)+")
_A_SUNDAY: Final = datetime(2026, 3, 1, tzinfo=UTC)
"""From where gaps are measured: a week before clocks change in America, a month before Europe."""


def checked_cron(text: str, *, shortest_gap: timedelta = SHORTEST_GAP) -> str:
    """The expression, its words in capitals and its fields apart by one blank.

    `ValueError` says what is wrong: five fields (minute, hour, day, month, weekday) of numbers, names, `*`, lists,
    ranges and steps, that come to pass, and not more often than the shortest gap.
    """
    if len(text) > CRON_CHARACTERS_MAX:
        raise ValueError(f"has {len(text)} characters, allowed {CRON_CHARACTERS_MAX}")
    fields = text.upper().split()
    if len(fields) != 5 or not all(_FIELD.fullmatch(field) for field in fields):
        raise ValueError(
            "is no cron expression of five fields (minute hour day month weekday), such as '30 2 * * MON-FRI'"
        )
    expression = " ".join(fields)
    try:
        shortest = gap_of(expression)
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error}") from None
    if shortest is None:
        raise ValueError("names no time that ever comes, such as a 30th of February")
    if shortest < shortest_gap:
        raise ValueError(
            f"is due every {shortest.total_seconds() / 60:g} minutes; at most every "
            f"{shortest_gap.total_seconds() / 60:g} minutes is allowed"
        )
    return expression


@lru_cache(maxsize=EXPRESSIONS_KEPT_MAX)
def gap_of(cron: str) -> timedelta | None:
    """The shortest gap between two of its times; the longest there is when it comes once, None when it never comes."""
    found = list(islice(CronSim(cron, _A_SUNDAY), GAPS_LOOKED_AT))
    if not found:
        return None
    return min((later - earlier for earlier, later in pairwise(found)), default=timedelta.max)


def checked_zone(name: str) -> str:
    """The name of a time zone; `ValueError` when the IANA database has none of that name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:60]!r} is no time zone of the IANA database, such as America/Los_Angeles") from None
    return name


def times_after(cron: str, time_zone: str, moment: datetime) -> Iterator[datetime]:
    """The times strictly after a moment, ascending, without end or until they end."""
    yield from dropwhile(lambda found: found <= moment, _from_noon(cron, time_zone, moment, days_before=1))


def latest_time(cron: str, time_zone: str, moment: datetime) -> datetime | None:
    """The last time at or before a moment; None when there was none in the last decades."""
    # Not the library's way backwards: in the hour that comes twice it knows other times than the way forwards.
    for days in LOOK_BACK_DAYS:
        latest = None
        for found in _from_noon(cron, time_zone, moment, days_before=days):
            if found > moment:
                break
            latest = found
        if latest is not None:
            return latest
    return None


def _from_noon(cron: str, time_zone: str, moment: datetime, *, days_before: int) -> Iterator[datetime]:
    """The times after noon of an earlier day: begun within an hour that comes twice, the library goes astray."""
    zone = ZoneInfo(time_zone)
    day = moment.astimezone(zone).date() - timedelta(days=days_before)
    for found in CronSim(cron, datetime.combine(day, time(12), tzinfo=zone)):
        yield found.astimezone(UTC)


def in_words(cron: str) -> str:
    """The expression in words, such as "At 02:30 on Monday through Friday"."""
    return CronSim(cron, _A_SUNDAY).explain()


def with_seconds(cron: str) -> str:
    """The expression as the bus's own scheduler wants it: six fields, the first of them seconds; Sunday is 0."""
    minute, hour, day, month, weekday = cron.split()
    return f"0 {minute} {hour} {day} {month} {re.sub(r'(?<![0-9])7(?![0-9])', '0', weekday)}"
