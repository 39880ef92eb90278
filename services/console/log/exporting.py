"""Exports entries of the audit log as JSON Lines: their canonical bytes, oldest first, in bounded batches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.console.log.days import first_at
from shared.audit import tables

BATCH: Final = 1_000
ENTRIES_MAX: Final = 2_000_000
"""Of one export; who needs more takes `aether audit export`, or two ranges of time."""


async def exported(
    engine: AsyncEngine, *, run: str | None, since: datetime | None, until: datetime | None
) -> AsyncIterator[bytes]:
    """The entries of a run, or recorded from `since` to before `until`; each line is what was hashed."""
    column = tables.entry.c
    async with engine.connect() as connection:
        after = -1 if since is None else await first_at(connection, since) - 1
        end = None if until is None else await first_at(connection, until)
    given = 0
    while given < ENTRIES_MAX:
        query = select(column.entry_index, column.body).where(column.entry_index > after)
        if run is not None:
            query = query.where(column.run == run)
        if end is not None:
            query = query.where(column.entry_index < end)
        # A connection a batch: a slow reader must not keep one from the pages.
        async with engine.connect() as connection:
            rows = (await connection.execute(query.order_by(column.entry_index).limit(BATCH))).all()
        if not rows:
            return
        yield "".join(f"{body}\n" for _, body in rows).encode()
        after, given = rows[-1][0], given + len(rows)
