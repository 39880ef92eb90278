"""Two hundred live pages over real sockets on one console, and what becomes of live pages when a console ends.

The bounds are generous, since the machine of the tests may be busy; a regression of order is what they catch. The
figures of a quiet machine are those of `python -m bench.console_live`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn

from cli.stack import CONSOLE, Stack
from services.console.app import DRAIN_SECONDS
from services.console.visiting import COOKIE
from tests.console.altering import alter, conclude, planned_in, run_in
from tests.console.browsing import password_of, user_of
from tests.console.harness import ConsoleUnderTest, console_under_test
from tests.console.live_clients import LivePage, open_page, signed_in

PAGES = 200
CHANGES = 5
SECONDS_MAX = 1.5
WAIT_SECONDS = 20.0
SURVIVORS = 50
VIEWER = f"{COOKIE}=vera:viewer"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]  # the signals are pytest's
        yield


@asynccontextmanager
async def _served(under_test: ConsoleUnderTest) -> AsyncIterator[str]:
    """That console on a real port."""
    config = uvicorn.Config(under_test.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off", ws="none")
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not server.started:
                await asyncio.sleep(0.01)
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        under_test.console.live.end()
        server.should_exit = True
        async with asyncio.timeout(WAIT_SECONDS):
            await serving


@pytest.fixture
async def applying(own_record: Path, house_data: Path) -> AsyncIterator[tuple[ConsoleUnderTest, str, Path]]:
    """A console over a record in which a run applies, the run and the record."""
    run = run_in(own_record, "succeeded")
    alter(own_record, run, status="applying", counts=None)
    conclude(own_record, run, {("applied", None): 1})
    under_test = console_under_test(house_data, audit_database=own_record)
    yield under_test, run, own_record
    await under_test.console.records.close()


def _shown(page: LivePage, text: str) -> float | None:
    """When the page first held that text."""
    return next((told.at for told in page.told() if text in told.data), None)


async def _until_shown(pages: list[LivePage], text: str) -> list[float]:
    async with asyncio.timeout(WAIT_SECONDS):
        while True:
            found = [_shown(page, text) for page in pages]
            times = [at for at in found if at is not None]
            if len(times) == len(pages):
                return times
            await asyncio.sleep(0.05)


async def test_two_hundred_open_pages_show_each_change_in_time(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, record = applying
    planned = planned_in(record, run)
    async with _served(under_test) as url:
        pages = [await open_page(url, f"/live/runs/{run}", VIEWER) for _ in range(PAGES)]
        await _until_shown(pages, f"1 of {planned} changes")
        assert under_test.console.live.watchers == PAGES
        slowest = 0.0
        for number in range(2, 2 + CHANGES):
            conclude(record, run, {("applied", None): number})
            changed = time.time()
            under_test.console.live.hear([run])
            shown = await _until_shown(pages, f"{number} of {planned} changes")
            slowest = max(slowest, max(shown) - changed)
        under_test.console.live.end()
        async with asyncio.timeout(WAIT_SECONDS):
            await asyncio.gather(*(page.ended.wait() for page in pages))
    assert slowest < SECONDS_MAX, f"{slowest * 1000:.0f} ms"
    assert under_test.console.live.watchers == 0


async def test_pages_that_are_closed_without_a_word_are_forgotten(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, record = applying
    async with _served(under_test) as url:
        pages = [await open_page(url, f"/live/runs/{run}", VIEWER) for _ in range(SURVIVORS)]
        await asyncio.gather(*(page.begun.wait() for page in pages))
        for page in pages[1:]:
            page.close()
        conclude(record, run, {("applied", None): 7})
        under_test.console.live.hear([run])
        async with asyncio.timeout(WAIT_SECONDS):
            while under_test.console.live.watchers > 1:
                await asyncio.sleep(0.02)
        await _until_shown(pages[:1], "7 of ")


async def test_who_does_not_read_holds_nobody_up_and_gets_the_newest(
    applying: tuple[ConsoleUnderTest, str, Path],
) -> None:
    under_test, run, record = applying
    async with _served(under_test) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            request = f"GET /live/runs/{run} HTTP/1.1\r\nhost: x\r\ncookie: {VIEWER}\r\n\r\n"
            idle.sendall(request.encode())
            page = await open_page(url, f"/live/runs/{run}", VIEWER)
            for number in range(2, 8):
                conclude(record, run, {("applied", None): number})
                under_test.console.live.hear([run])
                await _until_shown([page], f"{number} of ")


async def test_pages_come_back_to_a_console_that_was_told_to_end_or_killed(tmp_path: Path) -> None:
    async with Stack(tmp_path, is_demo=True, has_console=True) as stack:
        url = stack.console_url
        cookie = await signed_in(url, user_of(stack, "viewer"), password_of(stack, "viewer"))
        pages = [await open_page(url, "/live/runs", cookie) for _ in range(SURVIVORS)]
        for end in (signal.SIGTERM, signal.SIGKILL):
            async with asyncio.timeout(WAIT_SECONDS):
                await asyncio.gather(*(page.begun.wait() for page in pages))
            seconds = await _ended(stack, end, pages)
            if end is signal.SIGTERM:
                assert all(page.is_whole for page in pages)
                assert seconds < DRAIN_SECONDS
            pages = await asyncio.gather(*(_back(url, cookie) for _ in range(SURVIVORS)))
            assert stack.console_url == url
        for page in pages:
            page.close()


async def _ended(stack: Stack, end: signal.Signals, pages: list[LivePage]) -> float:
    """End the console; seconds until every page has heard of it and the process is gone."""
    pid = stack.pid(CONSOLE)
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, end)
    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(page.ended.wait() for page in pages))
        while stack.pid(CONSOLE) == pid:
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def _back(url: str, cookie: str) -> LivePage:
    """As a browser does: ask again after the second that the stream told, until it is let in, with the same session."""
    async with asyncio.timeout(60):
        while True:
            await asyncio.sleep(1)
            with contextlib.suppress(OSError):
                page = await open_page(url, "/live/runs", cookie)
                waiting = [asyncio.ensure_future(each.wait()) for each in (page.begun, page.ended)]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in waiting:
                    one.cancel()
                if page.status == httpx.codes.OK:
                    return page
                page.close()
