"""Old listings go and nothing else does: a few rows at a time, whole in the end, and never those that are needed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from services.auditor import retention
from services.auditor.listing import ROWS_OF_ONE_TRANSACTION
from services.auditor.retention import ListingRetention
from services.auditor.store import Store, WriterFenced
from shared.audit import tables
from shared.audit.lookups import Lookups
from shared.audit.plan_lookups import PlanFilter, PlanLookups
from shared.audit.stored import PlanReview
from shared.clock import SystemClock, to_text
from shared.run.states import RunStatus

CHANGES = ROWS_OF_ONE_TRANSACTION + 20
KEEP_DAYS = 90


class Lease:
    """A lease that is held."""

    token = 1

    def require_held(self) -> None:
        """It is."""


async def a_run(store: Store, run: str, *, days: float, status: str = "succeeded", changes: int = CHANGES) -> None:
    """A run of so many days ago with a listed plan."""
    at = to_text(SystemClock().now() - timedelta(days=days))
    review = PlanReview(run=run, plan_run=run, plan_digest="sha256:p", is_listed=True, changes=changes)
    places = [{"run": run, "position": position} for position in range(changes)]
    change: dict[str, Any] = {
        "change_id": "c", "entity": "staff", "change_class": "update", "wave": 0, "key_shown": "k", "record": "r",
        "alike": "a", "page": "p", "search": "s",
    }  # fmt: skip
    aside = {"run": run, "position": 0, "entity": "staff", "key_shown": "k", "change_class": "update",
             "code": "DIF_PROTECTED", "fields": "[]"}  # fmt: skip
    async with store.engine.begin() as connection:
        await connection.execute(
            insert(tables.run).values(
                run=run, connector="staff", status=status, requested_at=at, state="{}", plan_digest="sha256:p"
            )
        )
        await connection.execute(
            insert(tables.plan_review).values(
                run=run, plan_digest="sha256:p", is_listed=True, body=review.model_dump_json()
            )
        )
        if places:
            await connection.execute(insert(tables.plan_change), [{**place, **change} for place in places])
            await connection.execute(insert(tables.plan_change_body), [{**place, "body": "{}"} for place in places])
        await connection.execute(insert(tables.plan_aside).values(**aside))
        await connection.execute(
            insert(tables.change_outcome).values(run=run, change_id="c", result="applied", code=None)
        )


async def rows(store: Store, run: str) -> dict[str, int]:
    """How many rows of a run are in each table."""
    found = {}
    async with store.engine.connect() as connection:
        for table in (
            tables.plan_change,
            tables.plan_change_body,
            tables.plan_aside,
            tables.change_outcome,
            tables.run,
        ):
            query = select(func.count()).select_from(table).where(table.c.run == run)
            found[table.name] = int((await connection.execute(query)).scalar_one())
    return found


FULL = {"plan_change": CHANGES, "plan_change_body": CHANGES, "plan_aside": 1, "change_outcome": 1, "run": 1}
SWEPT = {"plan_change": 0, "plan_change_body": 0, "plan_aside": 0, "change_outcome": 1, "run": 1}


def retaining(store: Store) -> ListingRetention:
    return ListingRetention(store, SystemClock(), Lease(), keep_days=KEEP_DAYS)  # type: ignore[arg-type]  # a lease without a bus


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)


async def test_only_old_listings_of_ended_runs_go(store: Store) -> None:
    await store.take_over(1)
    await a_run(store, "old", days=KEEP_DAYS + 1)
    await a_run(store, "young", days=KEEP_DAYS - 1)
    await a_run(store, "open", days=KEEP_DAYS + 1, status=RunStatus.AWAITING_APPROVAL.value)
    await a_run(store, "without", days=KEEP_DAYS + 2, changes=0)
    assert await retaining(store).sweep() == 2
    assert await rows(store, "old") == SWEPT
    assert await rows(store, "young") == FULL
    assert await rows(store, "open") == FULL
    assert (await rows(store, "without"))["plan_aside"] == 0
    assert await retaining(store).sweep() == 0
    lookups = Lookups(store.engine)
    review = await lookups.review("old")
    assert review is not None
    assert (review.is_listed, review.changes) == (False, CHANGES), "what was approved is still said in numbers"
    assert await lookups.unlisted(limit=10) == [], "it is not listed anew"
    assert await PlanLookups(store.engine).changes("old", PlanFilter(), offset=0, limit=10) == ((), 0)


async def test_a_sweep_that_was_broken_off_is_ended_by_the_next(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await store.take_over(1)
    await a_run(store, "old", days=KEEP_DAYS + 1)
    written = 0
    write = store.write

    async def breaks(token: int, work: Any) -> Any:
        nonlocal written
        written += 1
        if written > 4:  # the review, what was left out, and a part of the bodies
            raise ConnectionError
        return await write(token, work)

    monkeypatch.setattr(store, "write", breaks)
    with pytest.raises(ConnectionError):
        await retaining(store).sweep()
    broken = await rows(store, "old")
    assert 0 < broken["plan_change_body"] < CHANGES == broken["plan_change"]
    review = await Lookups(store.engine).review("old")
    assert review is not None
    assert not review.is_listed, "half a listing is shown to nobody"
    monkeypatch.setattr(store, "write", write)
    assert await retaining(store).sweep() == 1
    assert await rows(store, "old") == SWEPT


async def test_an_auditor_that_was_replaced_sweeps_nothing(store: Store) -> None:
    await store.take_over(2)
    await a_run(store, "old", days=KEEP_DAYS + 1)
    with pytest.raises(WriterFenced):
        await retaining(store).sweep()
    assert await rows(store, "old") == FULL


async def test_a_listing_that_cannot_be_swept_does_not_stop_the_auditor(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.take_over(1)
    await a_run(store, "old", days=KEEP_DAYS + 1)
    async with store.engine.begin() as connection:
        await connection.execute(update(tables.plan_review).values(body="{}"))  # a review that nobody can read
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        raise asyncio.CancelledError

    monkeypatch.setattr("services.auditor.retention.asyncio.sleep", wait)
    with pytest.raises(asyncio.CancelledError):
        await retaining(store).run()
    assert waits == [retention.SWEEP_SECONDS], "it was reported, and is tried again later"
    assert await rows(store, "old") == FULL
