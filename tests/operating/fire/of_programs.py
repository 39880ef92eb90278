"""Faults of programs and of what they stand on: releases, restarts, files, disks, processors, a database."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import resource
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx

from tests.operating.fire.fault import asking, pid_of, stuttering
from tests.operating.fire.house import SPILL_BYTES, House

PEOPLE: Final = ("operator", "approver", "approver2", "viewer")
HELD_SECONDS: Final = 2.2
FREE_SECONDS: Final = 0.15
"""Long enough for whoever waits for a database to ask once more."""


@asynccontextmanager
async def releases_differ(house: House) -> AsyncIterator[None]:
    """One program is of another release."""
    house.release_file.write_text("0.0.1", encoding="utf-8")
    await house.road.stack.restart("differ")
    yield
    house.release_file.unlink()
    await house.road.stack.restart("differ")


@asynccontextmanager
async def files_run_out(house: House) -> AsyncIterator[None]:
    """The console may open hardly more than it has open."""
    pid = pid_of(house, "console")
    kept = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    number = _open_files(pid)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (int(number * 1.1) + 1, kept[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, kept)


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@asynccontextmanager
async def pages_fail(house: House) -> AsyncIterator[None]:
    """Another program holds the console's database while people sign in."""
    with _console_database(house) as database:
        database.execute("BEGIN EXCLUSIVE")
        try:
            async with _visits(house):
                yield
        finally:
            database.execute("ROLLBACK")


@asynccontextmanager
async def pages_are_slow(house: House) -> AsyncIterator[None]:
    """Another program holds the console's database again and again, for less than the console waits for it."""

    async def hold() -> None:
        with _console_database(house) as database:
            while True:  # until cancelled; closing rolls back
                database.execute("BEGIN EXCLUSIVE")
                await asyncio.sleep(HELD_SECONDS)
                database.execute("ROLLBACK")
                await asyncio.sleep(FREE_SECONDS)

    task = asyncio.create_task(hold())
    try:
        async with _visits(house):
            yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.contextmanager
def _console_database(house: House) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(house.road.stack.layout.database("console"), timeout=30)) as database:
        database.isolation_level = None
        yield database


@asynccontextmanager
async def requests_are_slow(house: House) -> AsyncIterator[None]:
    """The extractor gets a processor for a tenth of the time, while people ask for runs."""
    pid = pid_of(house, "extractor")
    async with (
        asking(house, people=4, pause_seconds=0),
        stuttering(pid, stopped_seconds=3.0, running_seconds=0.2),
    ):
        yield


@asynccontextmanager
async def _visits(house: House) -> AsyncIterator[None]:
    """People who sign in, again and again."""
    layout = house.road.stack.layout
    known = {user: layout.console_password(user).read_text(encoding="utf-8").strip() for user in PEOPLE}
    visits = [asyncio.create_task(_sign_in(house, user, password)) for user, password in known.items()]
    try:
        yield
    finally:
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


async def _sign_in(house: House, user: str, password: str) -> None:
    url = house.road.stack.console_url
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, headers={"origin": url}) as client:
        while True:  # until cancelled
            with contextlib.suppress(httpx.HTTPError):
                form = (await client.get("/sign-in")).text
                token = re.search(r'name="csrf" value="([^"]+)"', form)
                await client.post(
                    "/sign-in",
                    data={"csrf": token[1] if token else "", "user": user, "password": password},
                )
            await asyncio.sleep(0.1)


@asynccontextmanager
async def disk_fills(house: House) -> AsyncIterator[None]:
    """The disk of the extractor's spill fills in steps, up to the last twentieth."""
    if house.spill is None:
        raise RuntimeError("this user may mount no disk to fill")
    path = house.spill / "ballast"
    try:
        with path.open("wb") as ballast:
            for share in (0.2, 0.35, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.97):
                ballast.truncate(0)
                os.posix_fallocate(ballast.fileno(), 0, int(SPILL_BYTES * share))
                await asyncio.sleep(15)
        yield
    finally:
        path.unlink()


@asynccontextmanager
async def program_dies_again_and_again(house: House) -> AsyncIterator[None]:
    """Five starts within what the rule calls half an hour."""
    for _ in range(5):
        house.road.stack.kill("console")
        await house.road.stack.wait_ready("console")
        await asyncio.sleep(2)
    yield
