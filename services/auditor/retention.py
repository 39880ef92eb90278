"""Takes the listings of old plans out of the database, beside the writing of the log and never before it.

A listing (masked changes, ready to be filtered) serves people who decide, and for a while those who ask what was done.
It is swept when its run has ended and was asked for long ago: first the review says that nothing is listed, then the
rows go, a few in each short transaction. The log, the runs and their outcomes are never touched, and a listing that is
broken off on the way is ended by the next round.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auditor.listing import LISTED, delete_some
from services.auditor.store import Store, WriterFenced
from shared.audit import tables
from shared.audit.stored import PlanReview
from shared.bus.lease import LeaseHold, LeaseLost
from shared.clock import Clock, to_text
from shared.retention import LISTINGS_KEEP_DAYS
from shared.run.states import TERMINAL

SWEEP_SECONDS: Final = 3600.0
RUNS_AT_ONCE: Final = 20
"""Runs that are looked for with one question; when so many are found, the next round follows at once."""
PAUSE_SECONDS: Final = 0.02
"""Between two transactions, so that the log comes first."""

log = structlog.get_logger(__name__)


class ListingRetention:
    """One holding of the lease, as far as old listings are concerned."""

    def __init__(self, store: Store, clock: Clock, lease: LeaseHold, *, keep_days: int = LISTINGS_KEEP_DAYS) -> None:
        self._store = store
        self._clock = clock
        self._lease = lease
        self._keep = timedelta(days=keep_days)

    async def run(self) -> None:
        """Sweep until cancelled, or until another auditor writes."""
        while True:
            is_all = True
            try:
                is_all = await self.sweep() < RUNS_AT_ONCE
            except (WriterFenced, LeaseLost):
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with old listings, the log goes on
                log.error("plan_listings_not_swept", error=type(error).__name__)
            await asyncio.sleep(SWEEP_SECONDS if is_all else PAUSE_SECONDS)

    async def sweep(self) -> int:
        """Sweep the oldest listings that are due, at most `RUNS_AT_ONCE` of them; returns how many."""
        due = await self._due()
        for run, review in due:
            rows = await self._take_away(run, review)
            log.info("plan_listing_swept", run=run, rows=rows)
        return len(due)

    async def _due(self) -> list[tuple[str, str]]:
        """Runs that have ended, with their reviews: those still listed, and those whose sweeping was broken off."""
        run, review = tables.run.c, tables.plan_review.c
        # The changes go last, and a plan without any has only what it left out: one of the two shows a broken sweep.
        rows_left = (exists().where(table.c.run == run.run) for table in (tables.plan_change, tables.plan_aside))
        query = (
            select(run.run, review.body)
            .join_from(tables.run, tables.plan_review, review.run == run.run)
            .where(
                run.requested_at < to_text(self._clock.now() - self._keep),
                run.status.in_(sorted(status.value for status in TERMINAL)),
                or_(review.is_listed, *rows_left),
            )
            .order_by(run.requested_at)
            .limit(RUNS_AT_ONCE)
        )
        async with self._store.engine.connect() as connection:
            return [(row[0], row[1]) for row in await connection.execute(query)]

    async def _take_away(self, run: str, review: str) -> int:
        unlisted = PlanReview.model_validate_json(review).model_copy(update={"is_listed": False})

        async def say_so(connection: AsyncConnection) -> None:
            statement = update(tables.plan_review).where(tables.plan_review.c.run == run)
            await connection.execute(statement.values(is_listed=False, body=unlisted.model_dump_json()))

        self._lease.require_held()
        await self._store.write(self._lease.token, say_so)
        rows = 0
        for table in reversed(LISTED):
            while True:
                self._lease.require_held()
                deleted = await self._store.write(self._lease.token, partial(delete_some, table=table, run=run))
                if not deleted:
                    break
                rows += deleted
                await asyncio.sleep(PAUSE_SECONDS)
        return rows
