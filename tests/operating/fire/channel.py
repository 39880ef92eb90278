"""A channel that takes notices, and that can be taken away: the other side of a webhook.

It believes everybody and keeps nothing but how many requests it answered.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

HOST: Final = "127.0.0.1"
HEAD_BYTES_MAX: Final = 65_536


class Channel:
    """A port on which notices are taken."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.taken = 0
        """Notices so far."""
        self._server: asyncio.Server | None = None

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """There while the context lasts, but for the times when it is `gone`."""
        await self._open()
        try:
            yield
        finally:
            await self._close()

    @asynccontextmanager
    async def gone(self) -> AsyncIterator[None]:
        """Nobody listens meanwhile."""
        await self._close()
        try:
            yield
        finally:
            await self._open()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._take, HOST, self.port, limit=HEAD_BYTES_MAX)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await reader.readuntil(b"\r\n\r\n")
            self.taken += 1
            writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()
