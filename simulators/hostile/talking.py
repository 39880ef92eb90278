"""Talking HTTP over raw sockets: requests are read, and answers are carried out step by step, byte by byte.

Two listeners: the server that a client was configured for, and a stranger to whom redirects and links lead. Both note
who showed a credential. Nothing between here and the socket mends an answer, which is why no HTTP library is used. What
is answered is for others to say: see `server` and `gateway`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

from simulators.hostile.script import End, Pause, Step

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 1024 * 1024
SEEN_MAX = 10_000
PIECE_BYTES = 64 * 1024
LOOK_SECONDS = 0.02
"""How often a pause looks whether the client has left."""
IDLE_SECONDS_MAX = 75.0
START_SECONDS_MAX = 30.0

Listener = Literal["server", "stranger"]


class Seen(TypedDict):
    """One request, as far as a judge may need it; never a credential itself."""

    seq: int
    listener: Listener
    method: str
    path: str
    has_credential: bool
    """Whether it carried `Authorization` or a header whose name ends in `key`, `token` or `cert`."""
    has_cookie: bool


class Request:
    """One request, read whole."""

    def __init__(self, *, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(target)
        self.method = method
        self.target = target
        self.path = unquote(parts.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.headers = headers
        self.body = body


class Talker(ABC):
    """Both listeners and what they saw."""

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._seen: deque[Seen] = deque(maxlen=SEEN_MAX)
        self._seq = 0
        self._lock = threading.Lock()  # tests look from other threads
        self.url = ""
        """Address of the server; known once it listens."""
        self.stranger_url = ""
        """Address of the stranger, always plain http."""

    @abstractmethod
    async def answer(self, request: Request, listener: Listener) -> Iterator[Step]:
        """The steps of the answer to a request."""

    async def serve(self, *, host: str, port: int, ready: Callable[[], None], stop: Awaitable[object]) -> None:
        """Listen until `stop` is done."""
        server = await asyncio.start_server(self._on_server, host, port, limit=HEAD_BYTES_MAX, ssl=self._tls)
        stranger = await asyncio.start_server(self._on_stranger, host, 0, limit=HEAD_BYTES_MAX)
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://{host}:{server.sockets[0].getsockname()[1]}"
        self.stranger_url = f"http://{host}:{stranger.sockets[0].getsockname()[1]}"
        self._talks: set[asyncio.Task[None]] = set()
        try:
            ready()
            await stop
        finally:
            server.close()
            stranger.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)

    def seen(self, *, after_seq: int = 0) -> list[Seen]:
        """List the requests that were noted, oldest first."""
        with self._lock:
            return [entry for entry in self._seen if entry["seq"] > after_seq]

    def last_seq(self) -> int:
        """The number of the last request that was noted."""
        with self._lock:
            return self._seq

    def note(self, request: Request, listener: Listener) -> None:
        """Keep what a judge may need of a request."""
        names = request.headers.keys()
        with self._lock:
            self._seq += 1
            self._seen.append(
                Seen(
                    seq=self._seq,
                    listener=listener,
                    method=request.method,
                    path=request.path[:200],
                    has_credential=any(
                        name == "authorization" or name.endswith(("key", "token", "cert")) for name in names
                    ),
                    has_cookie="cookie" in names,
                )
            )

    async def _on_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer, listener="server")

    async def _on_stranger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer, listener="stranger")

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, listener: Listener) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            while (request := await _read(reader)) is not None:
                if not await _carry_out(await self.answer(request, listener), reader, writer):
                    break
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            pass  # the client left, or asked in a way nobody could answer
        except asyncio.CancelledError:
            writer.transport.abort()  # the server stops
        finally:
            writer.close()


@contextlib.contextmanager
def talking(talker: Talker) -> Iterator[None]:
    """Serve from a thread on free ports of this machine; for tests."""
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    faults: list[str] = []  # a bug of ours closes a connection too, and must not pass for a nastiness
    loop.set_exception_handler(lambda _loop, context: faults.append(repr(context.get("exception", context["message"]))))

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(talker.serve(host="127.0.0.1", port=0, ready=ready.set, stop=stop.wait()))

    thread = threading.Thread(target=run, name="hostile", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_SECONDS_MAX):
            raise TimeoutError(f"the hostile server did not start within {START_SECONDS_MAX:.0f} s")
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS_MAX)
    if faults:
        raise RuntimeError(f"the hostile server itself failed: {'; '.join(faults[:5])}")


def is_whole(text: str) -> bool:
    """Whether a text is a whole number of a sensible length."""
    return text.isascii() and text.isdigit() and len(text) <= 15


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None when the client has said its last word."""
    async with asyncio.timeout(IDLE_SECONDS_MAX):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return None
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, _, rest = first.partition(" ")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = headers.get("content-length", "0")
        if not is_whole(length) or int(length) > BODY_BYTES_MAX:
            return None
        body = await reader.readexactly(int(length))
    return Request(method=method, target=rest.rpartition(" ")[0], headers=headers, body=body)


async def _carry_out(steps: Iterator[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Do the steps; say whether the connection is kept."""
    for step in steps:
        match step:
            case bytes():
                for start in range(0, len(step), PIECE_BYTES):
                    writer.write(step[start : start + PIECE_BYTES])
                    await writer.drain()
                    await asyncio.sleep(0)  # a fast reader must not keep everybody else waiting
                    if writer.is_closing():
                        return False
            case Pause(seconds):
                if not await _wait(seconds, reader, writer):
                    return False
            case End.CLOSE:
                await writer.drain()
                writer.close()
                return False
            case End.RESET:
                sock = writer.get_extra_info("socket")
                if sock is not None:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
    return True


async def _wait(seconds: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Wait, or stop waiting and say so when the client has left."""
    for _ in range(max(1, round(seconds / LOOK_SECONDS))):
        if reader.at_eof() or writer.is_closing():
            return False
        await asyncio.sleep(min(seconds, LOOK_SECONDS))
    return True
