"""The bytes under one connection: packets put together into messages, TLS inside them, and ways to break off.

TLS begins inside prelogin packets and then lies under all packets (or under the login alone), as TDS 7.x has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from typing import Final

from simulators.tds.messages import END_OF_MESSAGE, HEADER_BYTES, PRELOGIN, packets

MESSAGE_BYTES_MAX: Final = 16 * 1024 * 1024
READ_BYTES: Final = 65_536
IGNORE: Final = 0x02
FIRST_PACKET_BYTES: Final = 4_096
HANDSHAKE_ROUNDS_MAX: Final = 20


class HungUpError(Exception):
    """The client has left, or what it sends is no TDS."""


class Wire:
    """One socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        sock = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def message(self) -> tuple[int, int, bytes]:
        """Read one whole message: its kind, the status of its first packet and its body."""
        while True:
            kind = first = size = 0
            parts: list[bytes] = []
            while True:
                kind_here, status, length = struct.unpack(">BBH4x", await self._exactly(HEADER_BYTES))
                if length < HEADER_BYTES or (parts and kind_here != kind):
                    raise HungUpError("a packet that is no TDS")
                if not parts:
                    kind, first = kind_here, status
                parts.append(await self._exactly(length - HEADER_BYTES))
                size += len(parts[-1])
                if size > MESSAGE_BYTES_MAX:
                    raise HungUpError(f"a message of more than {MESSAGE_BYTES_MAX} bytes")
                if status & END_OF_MESSAGE:
                    break
            if not status & IGNORE:
                return kind, first, b"".join(parts)

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        if self._tls is None:
            self._writer.write(data)
        else:
            self._tls.write(data)
            self._writer.write(self._outgoing.read())

    async def drain(self) -> None:
        """Wait until the client has taken enough, and let others run."""
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        await asyncio.sleep(0)

    async def start_tls(self, context: ssl.SSLContext) -> None:
        """Agree on TLS with the client, inside prelogin packets."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        for _ in range(HANDSHAKE_ROUNDS_MAX):
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush_handshake()
                kind, _, body = await self.message()
                if kind != PRELOGIN:
                    raise HungUpError("no TLS where TLS was agreed on") from None
                self._incoming.write(body)
            except ssl.SSLError as error:
                self._flush_handshake()
                await self.drain()
                raise HungUpError(f"TLS failed: {error.reason}") from error
            else:
                self._flush_handshake()
                self._tls = tls
                return
        raise HungUpError("TLS takes too many rounds")

    def stop_tls(self) -> None:
        """Go on without TLS, as a server does that protects the login alone."""
        self._tls = None

    def reset(self) -> None:
        """Reset the connection at once; nothing still unsent leaves."""
        sock = self._writer.get_extra_info("socket")
        if sock is not None:
            # Lingering for zero seconds turns the close into a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def close(self) -> None:
        """End the connection politely."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self._writer.close()
            await self._writer.wait_closed()

    def _flush_handshake(self) -> None:
        data = self._outgoing.read()
        if data:
            self._writer.write(packets(PRELOGIN, data, packet_bytes=FIRST_PACKET_BYTES))

    async def _exactly(self, size: int) -> bytes:
        if self._tls is None:
            try:
                return await self._reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise HungUpError("the client has left") from error
        data = b""
        while len(data) < size:
            try:
                chunk = self._tls.read(size - len(data))
            except ssl.SSLWantReadError:
                try:
                    raw = await self._reader.read(READ_BYTES)
                except ConnectionError as error:
                    raise HungUpError("the client has left") from error
                if not raw:
                    raise HungUpError("the client has left") from None
                self._incoming.write(raw)
                continue
            except ssl.SSLError as error:
                raise HungUpError("the client has left") from error
            if not chunk:
                raise HungUpError("the client has left")
            data += chunk
        return data
