"""An auditor that is cancelled ends: at whatever moment, under load, and while the bus is gone."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.auditor.store import Batch, Store, WriterFenced
from shared.audit.lookups import Lookups
from shared.bus.embedded import EmbeddedServer
from tests.integration.auditor.house import House, new_run
from tests.support.bus import PEOPLE, BusUnderTest, until

END_SECONDS_MAX = 20.0
MOMENTS_SECONDS = 3.0
"""How long random moments are tried; some 20 of them."""
SEED = 20261122
PROGRAM_SECONDS_MAX = 60.0
ROOT = Path(__file__).parents[3]


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite only: its single writer's lock is the harder case."""
    return f"sqlite+aiosqlite:///{tmp_path / 'audit.db'}"


async def cancelled(task: asyncio.Task[None]) -> float:
    """Cancel once, and wait; how long it took."""
    started = time.monotonic()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=END_SECONDS_MAX)
    assert done, f"still running {END_SECONDS_MAX} s after it was cancelled: {task.get_stack()}"
    assert task.cancelled()
    return time.monotonic() - started


async def test_cancelled_auditor_ends_at_any_moment(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(SEED)
    with capsys.disabled():
        sys.stdout.write(f"\nseed {SEED}\n")
    auditor = await house.idle_auditor(batch_messages_max=1000)
    until_when, tried = time.monotonic() + MOMENTS_SECONDS, 0
    while time.monotonic() < until_when:
        if tried % 4 == 0:
            await house.conclude(new_run(), 400)
        task = asyncio.create_task(auditor.run())
        await asyncio.sleep(rng.uniform(0, 0.25))
        await cancelled(task)
        tried += 1
    assert tried > 5
    # Whatever was broken off, nothing is missing and nobody is locked out.
    await house.auditor()
    await house.until_recorded()
    assert (await house.verified(auditor)).is_valid


async def test_cancelled_auditor_ends_while_the_bus_is_gone(house: House) -> None:
    rng = random.Random(SEED)
    for _ in range(2):
        await house.conclude(new_run(), 400)
        task = asyncio.create_task((await house.idle_auditor(lease_seconds=4)).run())
        await asyncio.sleep(rng.uniform(0, 0.3))
        house.bus.server.kill()
        await asyncio.sleep(rng.uniform(0, 0.5))
        await cancelled(task)
        await house.bus.server.restart_async()


async def test_writing_transaction_that_is_cancelled_is_whole(store: Store) -> None:
    await store.take_over(7)
    task = asyncio.create_task(store.append(Batch((), (), {}), 8))
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # Its lock is free and its token stands: the transaction ended before its task did.
    async with asyncio.timeout(END_SECONDS_MAX):
        with pytest.raises(WriterFenced):
            await store.take_over(7)
        await store.take_over(8)


def leave_everything_running(folder: Path) -> None:
    """A program that ends with an auditor at work: `asyncio.run` cancels each task once and waits for all of them."""

    async def program(server: EmbeddedServer) -> None:
        bus = BusUnderTest(server)
        await bus.provision()
        store = Store.open(f"sqlite+aiosqlite:///{folder / 'audit.db'}")
        await store.migrate()
        house = await House.made(bus, store)
        await house.conclude(new_run(), 400)
        await house.auditor(batch_messages_max=1000, lease_seconds=3)
        lookups = Lookups(store.engine)

        async def has_begun() -> bool:
            return await lookups.size() > 0

        await until(has_begun)

    with EmbeddedServer(folder / "bus", PEOPLE) as server:
        asyncio.run(program(server))


def test_program_ends_that_leaves_an_auditor_running(tmp_path: Path) -> None:
    # A process of its own: it leaves its connections open too.
    call = f"from {__name__} import *; leave_everything_running(Path({str(tmp_path)!r}))"
    ended = subprocess.run(
        [sys.executable, "-c", call], cwd=ROOT, timeout=PROGRAM_SECONDS_MAX, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr.decode()
