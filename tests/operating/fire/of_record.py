"""Faults of the record and of who tells people: the audit log stops, lags or is not signed; a notice is given up."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from shared.bus.publishing import Outgoing, publish_batch
from shared.events.schedules import NameSchedule
from tests.operating.fire.fault import asking, pid_of, stuttering
from tests.operating.fire.house import DUE, House, until

FLOOD_MESSAGES: Final = 1000
FLOOD_SECONDS: Final = 0.2
BEHIND_MESSAGES: Final = 12_000
"""More than twice what the rule lets wait."""
TOLD_SECONDS_MAX: Final = 60.0


@asynccontextmanager
async def log_is_locked(house: House) -> AsyncIterator[None]:
    """Another program holds the auditor's database; a run gives it something to record."""
    with contextlib.closing(sqlite3.connect(house.road.stack.layout.database("auditor"), timeout=30)) as database:
        database.isolation_level = None
        database.execute("BEGIN IMMEDIATE")
        try:
            async with asking(house):
                yield
        finally:
            database.execute("ROLLBACK")


@asynccontextmanager
async def log_is_behind(house: House) -> AsyncIterator[None]:
    """The auditor hardly gets a processor, and a captured extractor floods the bus with what must be recorded."""
    flood = asyncio.create_task(_flood(house))
    try:
        async with stuttering(pid_of(house, "auditor"), stopped_seconds=0.19, running_seconds=0.01):
            yield
    finally:
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
    # What comes next asks the record where runs stand.
    async with asyncio.timeout(120):
        while (await _lag(house)) > 0:
            await asyncio.sleep(1)


async def _flood(house: House) -> None:
    async with house.road.bus_as("extractor") as js:
        for batch in itertools.count():  # until cancelled
            names = [f"flood-{batch}-{number}" for number in range(FLOOD_MESSAGES)]
            await publish_batch(
                js,
                [
                    Outgoing(
                        subject="evt.extractor.flood",
                        body=b"{}",
                        headers={"ce-id": name, "ce-specversion": "1.0", "ce-type": "flood"},
                        message_id=name,
                    )
                    for name in names
                ],
            )
            await asyncio.sleep(FLOOD_SECONDS)
            while await _lag(house) > BEHIND_MESSAGES:
                await asyncio.sleep(1)


async def _lag(house: House) -> float:
    """What waits; endlessly much while the auditor does not answer."""
    found = await house.prometheus.instant("sum(aether_audit_lag)")
    return float(found[0]["value"][1]) if found else math.inf


@asynccontextmanager
async def log_is_not_signed(house: House) -> AsyncIterator[None]:
    """The database takes entries and refuses checkpoints, while runs give the auditor something to sign."""
    with contextlib.closing(sqlite3.connect(house.road.stack.layout.database("auditor"), timeout=30)) as database:
        database.isolation_level = None
        database.execute(
            "CREATE TRIGGER refused BEFORE INSERT ON checkpoint BEGIN SELECT RAISE(ABORT, 'refused by a test'); END"
        )
        try:
            async with asking(house):
                yield
        finally:
            database.execute("DROP TRIGGER refused")


@asynccontextmanager
async def notice_is_given_up(house: House) -> AsyncIterator[None]:
    """A schedule is paused, which is told; when it goes on, the channel is gone."""
    told = house.channel.taken
    async with house.road.stack.client("operator") as operator:
        await operator.pause_schedule(NameSchedule(connector=DUE, reason="to see the alert"))
    if not await until(lambda: house.channel.taken > told, seconds_max=TOLD_SECONDS_MAX):
        raise RuntimeError(f"nobody was told within {TOLD_SECONDS_MAX:g} s")
    async with house.channel.gone():
        async with house.road.stack.client("operator") as operator:
            await operator.resume_schedule(NameSchedule(connector=DUE, reason="seen"))
        yield
