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


def answer(text: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()


@asynccontextmanager
async def talkative_server() -> AsyncIterator[tuple[str, list[str]]]:
    """Answers each request with its path, once together with an answer that nobody asked for; and what it was asked."""
    asked_for: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = head.split()[1].decode()
                asked_for.append(path)
                writer.write(answer(path) + (answer("unasked") if path.endswith("/1") else b""))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked_for


@pytest.mark.parametrize("is_behind_a_proxy", [False, True])
async def test_an_answer_that_nobody_asked_for_is_not_the_next_ones(
    is_behind_a_proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with talkative_server() as (url, asked_for):
        if is_behind_a_proxy:
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            url = "http://district.example"
        lines = Lines(headers={}, timeout_seconds=5)
        texts = [(await asked(lines, f"{url}/{number}")).text.removeprefix(url) for number in range(4)]
        await lines.close()
    assert texts == ["/0", "/1", "/2", "/3"]
    assert len(asked_for) == 4, "each was asked once"


async def test_who_reads_on_after_such_an_answer_would_be_told_a_lie() -> None:
    """Otherwise the test above guards against nothing."""
    async with talkative_server() as (url, _), httpx.AsyncClient() as client:
        texts = [(await client.get(f"{url}/{number}")).text for number in range(1, 3)]
    assert texts == ["/1", "unasked"]
