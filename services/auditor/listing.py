"""Lists the changes of plans in the database, beside the writing of the log and never before it.

When a run has a plan, its pages are read from PLAN, checked against the header's list, masked and written in short
transactions under the same lease as the log; the plan's review is written last, so that a plan is there whole or not
at all. One plan at a time. A listing that was broken off is begun anew; one that fails is tried again later, and
questions are answered from the pages meanwhile. The log itself never waits for it and never fails with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Final

import structlog
from nats.js import JetStreamContext
from sqlalchemy import Table, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.auditor.plan_rows import LISTED_CHANGES_MAX, PlanMaking, PlanRows, Row, review_of
from services.auditor.plans import page_in, pages_of, plan_on_bus
from services.auditor.store import Store, WriterFenced
from shared.audit import tables
from shared.audit.lookups import Lookups
from shared.audit.stored import PlanReview, StoredRun
from shared.bus.lease import LeaseHold, LeaseLost
from shared.bus.topology import stream_spec
from shared.clock import Clock, from_text
from shared.events.stored import Stored
from shared.plan.document import Plan
from shared.run.state import PlanSummary, RunState

ROWS_OF_ONE_TRANSACTION: Final = 250
"""A few hundredths of a second, which the log may have to wait."""
RUNS_AT_ONCE: Final = 100
"""Runs whose plans are looked for with one question."""
RETRY_SECONDS: Final = 30.0
"""How long a plan that could not be listed is left alone; also how often one looks without being rung."""

LISTED: Final = (tables.plan_change, tables.plan_change_body, tables.plan_aside)

log = structlog.get_logger(__name__)


class PlanListing:
    """One holding of the lease, as far as plans are concerned."""

    def __init__(
        self,
        js: JetStreamContext,
        store: Store,
        lookups: Lookups,
        clock: Clock,
        lease: LeaseHold,
        *,
        on_listed: Callable[[str], Awaitable[None]],
    ) -> None:
        self._js = js
        self._store = store
        self._lookups = lookups
        self._clock = clock
        self._lease = lease
        self._on_listed = on_listed
        self._failed_at: dict[str, float] = {}
        self.bell = asyncio.Event()
        """Rung when a run has got a plan."""

    async def run(self) -> None:
        """List until cancelled, or until another auditor writes."""
        while True:
            self.bell.clear()
            await self._list_all()
            try:
                async with asyncio.timeout(RETRY_SECONDS):
                    await self.bell.wait()
            except TimeoutError:
                continue

    async def _list_all(self) -> None:
        for stored in await self._waiting():
            try:
                if await self._list(stored):
                    self._failed_at.pop(stored.run, None)
                    await self._on_listed(stored.run)
                    continue
            except (WriterFenced, LeaseLost):
                raise
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one plan, the others are listed
                # The text of an error may quote a row.
                log.error("plan_not_listed", run=stored.run, error=type(error).__name__)
            self._failed_at[stored.run] = self._clock.monotonic_seconds()

    async def _waiting(self) -> list[StoredRun]:
        now = self._clock.monotonic_seconds()
        self._failed_at = {run: at for run, at in self._failed_at.items() if now - at < RETRY_SECONDS}
        found = await self._lookups.unlisted(limit=RUNS_AT_ONCE)
        return [stored for stored in found if stored.run not in self._failed_at]

    async def _list(self, stored: StoredRun) -> bool:
        """List one plan; False when it is not on the bus as the run says, and may yet be."""
        state = RunState.model_validate_json(stored.state)
        if state.plan is None:
            return False
        plan = await plan_on_bus(self._js, state.plan_run)
        if plan is None:
            if not self._is_aged(state.plan):
                return False
            gone = PlanReview(
                run=stored.run, plan_run=state.plan_run, plan_digest=state.plan.plan_digest, is_listed=False
            )
            await self._finish(gone)
            return True
        if plan.plan_digest != state.plan.plan_digest:
            log.error("plan_not_that_of_run", run=stored.run)
            return False
        if plan.header.changes > LISTED_CHANGES_MAX:
            await self._finish(review_of(plan, run=stored.run, changes=plan.header.changes, is_listed=False))
            return True
        tried = None if state.retry_of is None else await self._lookups.tried_again(state.retry_of)
        await self._list_changes(plan, PlanMaking(plan, run=stored.run, tried=tried), stored.run)
        return True

    async def _list_changes(self, plan: Plan, making: PlanMaking, run: str) -> None:
        await self._clear(run)
        async with aclosing(pages_of(self._js, plan)) as pages:
            async for page in pages:
                await asyncio.to_thread(making.count, page.data)
        making.order()
        async with aclosing(pages_of(self._js, plan)) as pages:
            async for page in pages:
                rows = await asyncio.to_thread(_rows, making, page)
                for changes, bodies in zip(_chunks(rows.changes), _chunks(rows.bodies), strict=True):
                    await self._add({tables.plan_change: changes, tables.plan_change_body: bodies})
        for some in _chunks(making.asides()):
            await self._add({tables.plan_aside: some})
        await self._store.count_rows(LISTED)
        await self._finish(making.review())

    def _is_aged(self, plan: PlanSummary) -> bool:
        """Whether the pages of a plan may be gone because of their age."""
        age = self._clock.now() - from_text(plan.created_at)
        return age.total_seconds() >= stream_spec("PLAN").max_age_seconds

    # -- writing -----------------------------------------------------------------------------------------------------

    async def _clear(self, run: str) -> None:
        """Take away what a listing that was broken off has left."""
        for table in LISTED:
            while await self._write(partial(delete_some, table=table, run=run)):
                pass

    async def _add(self, rows: Mapping[Table, Sequence[Row]]) -> None:
        async def add(connection: AsyncConnection) -> None:
            for table, some in rows.items():
                if some:
                    await connection.execute(insert(table), list(some))

        await self._write(add)

    async def _finish(self, review: PlanReview) -> None:
        row = {
            "run": review.run,
            "plan_digest": review.plan_digest,
            "is_listed": review.is_listed,
            "body": review.model_dump_json(),
        }
        await self._add({tables.plan_review: [row]})

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        self._lease.require_held()
        return await self._store.write(self._lease.token, work)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + ROWS_OF_ONE_TRANSACTION] for start in range(0, len(rows), ROWS_OF_ONE_TRANSACTION))


def _rows(making: PlanMaking, page: Stored) -> PlanRows:
    """A page decoded, masked and made into rows: what takes the time, away from the loop that writes the log."""
    return making.rows(page_in(page), subject=page.subject)


async def delete_some(connection: AsyncConnection, *, table: Table, run: str) -> int:
    """Delete the first rows of a run; how many there were."""
    column = table.c
    query = select(column.position).where(column.run == run).order_by(column.position).limit(ROWS_OF_ONE_TRANSACTION)
    places = list((await connection.execute(query)).scalars())
    if places:
        await connection.execute(delete(table).where(column.run == run, column.position <= places[-1]))
    return len(places)
