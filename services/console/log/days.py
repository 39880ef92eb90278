"""How many entries the log got each day, from the places where days begin in it.

Entries stand in the order of their time and never change, so that the place where a past day began is found once, by
halving, and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.audit import tables
from shared.clock import from_text

DAYS_MAX: Final = 60


@dataclass(frozen=True, slots=True)
class EntryDay:
    """The entries of one day of the district."""

    day: date
    entries: int


class EntryDays:
    """Entries by day, for one console."""

    def __init__(self, engine: AsyncEngine, zone: ZoneInfo) -> None:
        self._engine = engine
        self._zone = zone
        self._begins: dict[date, int] = {}
        """Where a past day begins; at most `DAYS_MAX` are kept."""

    async def newest(self, days: int, *, now: datetime) -> tuple[EntryDay, ...]:
        """The last days, today last; at most `DAYS_MAX`."""
        today = now.astimezone(self._zone).date()
        wanted = [today - timedelta(days=back) for back in range(min(days, DAYS_MAX) - 1, -1, -1)]
        async with self._engine.connect() as connection:
            high = size = await _size(connection)
            begins: dict[date, int] = {}
            for day in reversed(wanted):
                known = self._begins.get(day)
                high = begins[day] = (
                    await first_at(connection, self._midnight(day), high=high) if known is None else known
                )
        # A day that has not an entry yet begins at the end of the log, and that end moves.
        self._begins = {day: at for day, at in begins.items() if at < size}
        ends = [*(begins[day] for day in wanted[1:]), size]
        return tuple(EntryDay(day, end - begins[day]) for day, end in zip(wanted, ends, strict=True))

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._zone)


async def first_at(connection: AsyncConnection, moment: datetime, *, high: int | None = None) -> int:
    """Index of the first entry recorded at or after a moment, `high` or the size of the log when there is none."""
    low, high = 0, await _size(connection) if high is None else high
    while low < high:
        middle = (low + high) // 2
        query = select(tables.entry.c.body).where(tables.entry.c.entry_index == middle)
        body = (await connection.execute(query)).scalar_one()
        is_before = from_text(orjson.loads(body)["recorded_at"]) < moment
        low, high = (middle + 1, high) if is_before else (low, middle)
    return low


async def _size(connection: AsyncConnection) -> int:
    last = (await connection.execute(select(func.max(tables.entry.c.entry_index)))).scalar_one()
    return 0 if last is None else int(last) + 1
