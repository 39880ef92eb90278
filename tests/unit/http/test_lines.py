"""A line is lent to one request at a time, and one whose request was broken off is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from shared.errors import TryLater
from shared.http.lines import Lines


@asynccontextmanager
async def slow_server(seconds: float) -> AsyncIterator[str]:
    """Answers each request after so many seconds."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await asyncio.sleep(seconds)
                writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def asked(lines: Lines, url: str) -> httpx.Response:
    async with lines.one() as line:
        return await line.get(url)


async def test_requests_that_were_broken_off_keep_nobody_waiting() -> None:
    async with slow_server(0.01) as url:
        for moments in range(60):  # broken off while connecting, asking, waiting and reading
            lines = Lines(headers={}, timeout_seconds=5)
            left = [asyncio.create_task(asked(lines, url)) for _ in range(3)]
            for _ in range(moments):
                await asyncio.sleep(0)
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            async with asyncio.timeout(20):
                await asyncio.gather(*(asked(lines, url) for _ in range(3)))
            await lines.close()


async def test_a_line_is_used_again_and_also_after_a_turn_that_did_not_come() -> None:
    async with slow_server(0) as url:
        lines = Lines(headers={}, timeout_seconds=5)
        async with lines.one() as first:
            await first.get(url)
        with pytest.raises(TryLater):
            async with lines.one() as again:
                assert again is first
                raise TryLater("SRC_RATE_LIMITED", "no turn")
        async with lines.one() as last:
            assert last is first
            assert "cookie" not in (await last.get(url)).request.headers
        await lines.close()
        await lines.close()
