"""When a schedule is due: occurrences of a cron expression in a time zone, as moments in UTC.

Pure. This is the only authority on times; whatever else rings a bell is asked here which time it rings for. On the day
when clocks go forward, a time that does not exist is due at the first moment after the gap; on the day when they go
back, a time that comes twice is due the first time only. `0 * * * *` and the like follow real hours on both days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

CRON_CHARACTERS_MAX: Final = 100
SHORTEST_GAP: Final = timedelta(minutes=5)
"""Between two times of a schedule; a run takes longer than less."""
GAPS_LOOKED_AT: Final = 400
"""Times whose gaps are looked at: more than a day of the densest schedule, over a change of clocks as well."""
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
        found = list(islice(CronSim(expression, _A_SUNDAY), GAPS_LOOKED_AT))
    except CronSimError as error:
        raise ValueError(f"is no cron expression: {error}") from None
    if not found:
        raise ValueError("names no time that ever comes, such as a 30th of February")
    shortest = min((later - earlier for earlier, later in pairwise(found)), default=shortest_gap)
    if shortest < shortest_gap:
        raise ValueError(
            f"is due every {shortest.total_seconds() / 60:g} minutes; at most every "
            f"{shortest_gap.total_seconds() / 60:g} minutes is allowed"
        )
    return expression


def checked_zone(name: str) -> str:
    """The name of a time zone; `ValueError` when the IANA database has none of that name."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name[:60]!r} is no time zone of the IANA database, such as America/Los_Angeles") from None
    return name


def times_after(cron: str, time_zone: str, moment: datetime) -> Iterator[datetime]:
    """The times strictly after a moment, ascending, without end or until they end."""
    for found in CronSim(cron, moment.astimezone(ZoneInfo(time_zone))):
        yield found.astimezone(UTC)


def latest_time(cron: str, time_zone: str, moment: datetime) -> datetime | None:
    """The last time at or before a moment; None when there was none in the last decades."""
    # The library begins strictly before what it is given, in whole minutes.
    just_after = moment.astimezone(ZoneInfo(time_zone)).replace(second=0, microsecond=0) + timedelta(minutes=1)
    for found in islice(CronSim(cron, just_after, reverse=True), 3):
        at = found.astimezone(UTC)
        if at <= moment:
            return at
    return None


def largest_gap(cron: str, time_zone: str, moment: datetime, *, count: int = 10) -> timedelta:
    """The largest gap between the next times; a day where there are fewer than two."""
    found = list(islice(times_after(cron, time_zone, moment), count))
    return max((later - earlier for earlier, later in pairwise(found)), default=timedelta(days=1))


def with_seconds(cron: str) -> str:
    """The expression as the bus's own scheduler wants it: six fields, the first of them seconds; Sunday is 0."""
    minute, hour, day, month, weekday = cron.split()
    return f"0 {minute} {hour} {day} {month} {re.sub(r'(?<![0-9])7(?![0-9])', '0', weekday)}"
