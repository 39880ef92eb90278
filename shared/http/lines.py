"""Lines to the other side: HTTP clients with one connection each, lent to one request at a time.

A pool of many connections searches all of them for every request and every answer; with 32 requests under way that
costs twice what the request itself does. It sends nothing by itself and knows nothing of what is sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from shared.errors import AetherError

LINES_MAX = 64
"""Requests under way at once; further ones wait for a line."""


@cache
def _trust_store() -> ssl.SSLContext:
    """Whom we believe, read once: it takes longer than most requests. A renewed store counts from the next start on."""
    return httpx.create_ssl_context()


class Lines:
    """The lines of one client; a line is opened when all others are busy."""

    def __init__(self, *, headers: Mapping[str, str], timeout_seconds: float) -> None:
        self._headers = dict(headers)
        self._timeout_seconds = timeout_seconds
        self._ssl = _trust_store()
        self._free = asyncio.Semaphore(LINES_MAX)
        self._idle: list[httpx.AsyncClient] = []
        self._all: list[httpx.AsyncClient] = []
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[httpx.AsyncClient]:
        """A line that nobody else uses until the block ends; the one used last, so that few stay open."""
        async with self._free:
            line = self._idle.pop() if self._idle else self._opened()
            try:
                yield line
            except AetherError:
                self._idle.append(line)  # nothing was sent
                raise
            except BaseException:
                # A request that is broken off can leave its connection taken for ever, and the next one waiting for it.
                self._give_up(line)
                raise
            if _is_clean(line):
                self._idle.append(line)
            else:
                self._give_up(line)

    async def close(self) -> None:
        """Close every line; may be called twice."""
        await asyncio.gather(*self._leaving, return_exceptions=True)
        for line in self._all:
            await line.aclose()

    def _give_up(self, line: httpx.AsyncClient) -> None:
        self._all.remove(line)
        leaving = asyncio.create_task(line.aclose(), name="line-leaves")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _opened(self) -> httpx.AsyncClient:
        line = httpx.AsyncClient(
            headers=self._headers,
            timeout=self._timeout_seconds,
            follow_redirects=False,
            verify=self._ssl,
            # A cookie would let the other side tell our requests apart, and answer by what it remembers of them.
            cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
        )
        self._all.append(line)
        return line


def _is_clean(line: httpx.AsyncClient) -> bool:
    """Whether nothing came behind the last answer: it would pass for the answer to the next request.

    httpx keeps such bytes for that request and gives no way to ask for them, so we look where its parser has them; the
    tests of this file fail when a release of it keeps them elsewhere. What comes later is noticed by httpx itself.
    """
    for transport in (line._transport, *line._mounts.values()):
        pool: Any = getattr(transport, "_pool", None)
        for connection in () if pool is None else pool.connections:
            parser = _parser_of(connection)
            if parser is not None and parser.trailing_data[0]:
                return False
    return True


def _parser_of(connection: Any) -> Any:
    """The h11 parser of a connection of httpcore, which may stand behind one to a proxy; None before it is open."""
    while connection is not None and not hasattr(connection, "_h11_state"):
        connection = getattr(connection, "_connection", None)
    return None if connection is None else connection._h11_state
