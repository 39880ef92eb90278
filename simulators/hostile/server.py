"""The hostile server: reads requests from raw sockets and carries out the steps of a nastiness, byte by byte.

Two listeners: the server that a client was configured for, and a stranger to whom redirects and links lead. Both note
who showed a credential. Nothing between here and the socket mends an answer, which is why no HTTP library is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, TypedDict
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, ValidationError, field_validator

from simulators.hostile.menu import named
from simulators.hostile.script import (
    FEED_ITEMS,
    ITEMS,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    Ask,
    End,
    Pause,
    Resource,
    Step,
    encoded,
    message,
)
from simulators.kit.switches import CHANGES, Switchboard, Switches

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 1024 * 1024
SEEN_MAX = 10_000
PIECE_BYTES = 64 * 1024
LOOK_SECONDS = 0.02
"""How often a pause looks whether the client has left."""
IDLE_SECONDS_MAX = 75.0
START_SECONDS_MAX = 30.0

_CURSOR = re.compile(r"c([0-9]{1,9})")
_RESOURCES: dict[str, Resource] = {"items": "items", "feed": "feed", "linked": "linked"}
_SIGN_IN = b"<!doctype html><html><body><form>Please sign in.</form></body></html>"


class HostileSwitches(Switches):
    """What plain resources, those without a nastiness in their path, do."""

    nastiness: str | None = None
    """The nastiness over `/items`, `/feed` and `/linked`; honest when null."""
    after: int = Field(default=0, ge=0)
    """How many requests for them are answered honestly first, counted from when it was set."""

    @field_validator("nastiness")
    @classmethod
    def _is_on_the_menu(cls, value: str | None) -> str | None:
        if value is not None and named(value) is None:
            raise ValueError(f"{value!r} is not on the menu; README.md tells how to list it")
        return value


class Seen(TypedDict):
    """One request, as far as a judge may need it; never a credential itself."""

    seq: int
    listener: Literal["server", "stranger"]
    method: str
    path: str
    has_credential: bool
    """Whether it carried `Authorization` or a header whose name ends in `key` or `token`."""
    has_cookie: bool


class _Request:
    def __init__(self, *, method: str, target: str, headers: dict[str, str], body: bytes) -> None:
        parts = urlsplit(target)
        self.method = method
        self.path = unquote(parts.path)
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.headers = headers
        self.body = body


class HostileServer:
    """Both listeners, what they saw and how they are switched."""

    def __init__(self, *, switches: HostileSwitches | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._switchboard = Switchboard(switches or HostileSwitches())
        self._tls = tls
        self._seen: deque[Seen] = deque(maxlen=SEEN_MAX)
        self._seq = 0
        self._honest_left = self._switchboard.now.after
        self._lock = threading.Lock()  # tests look from other threads
        self.url = ""
        """Address of the server; known once it listens."""
        self.stranger_url = ""
        """Address of the stranger, always plain http."""

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
        """List the requests for resources, oldest first."""
        with self._lock:
            return [entry for entry in self._seen if entry["seq"] > after_seq]

    def switch(self, **changes: object) -> None:
        """Set switches; `pydantic.ValidationError` says what does not fit."""
        self._switchboard.set(changes)
        self._honest_left = self._switchboard.now.after

    async def _on_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer, listener="server")

    async def _on_stranger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._talk(reader, writer, listener="stranger")

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, listener: Literal["server", "stranger"]
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._talks.add(task)
            task.add_done_callback(self._talks.discard)
        try:
            while (request := await _read(reader)) is not None:
                if not await self._carry_out(self._steps(request, listener), reader, writer):
                    break
        except (OSError, EOFError, asyncio.LimitOverrunError, ValueError):
            pass  # the client left, or asked in a way nobody could answer
        except asyncio.CancelledError:
            writer.transport.abort()  # the server stops
        finally:
            writer.close()

    def _steps(self, request: _Request, listener: Literal["server", "stranger"]) -> Iterator[Step]:
        match request.path.strip("/").split("/"):
            case ["_sim", *rest] if listener == "server":
                yield self._control(request, "/".join(rest))
            case [name] if name in _RESOURCES:
                self._note(request, listener)
                nastiness = None if listener == "stranger" else self._switched()
                yield from self._answer(request, _RESOURCES[name], nastiness, prefix="")
            case ["hostile", nastiness, name] if name in _RESOURCES and _is_about(nastiness, name, request.method):
                self._note(request, listener)
                yield from self._answer(request, _RESOURCES[name], nastiness, prefix=f"/hostile/{nastiness}")
            case ["sign-in"]:
                self._note(request, listener)
                yield message(_SIGN_IN, content_type="text/html")
            case _:
                self._note(request, listener)
                yield message(encoded({"message": "no such path"}), status="404 Not Found")

    def _answer(self, request: _Request, resource: Resource, nastiness: str | None, *, prefix: str) -> Iterator[Step]:
        try:
            offset, limit = _page(request, resource)
        except ValueError as error:
            yield message(encoded({"message": str(error)}), status="400 Bad Request")
            return
        ask = Ask(
            method=request.method,
            resource=resource,
            base=f"{self.url}{prefix}/{resource}",
            stranger=self.stranger_url,
            headers=request.headers,
            query=request.query,
            offset=offset,
            limit=limit,
        )
        found = named(nastiness) if nastiness is not None and _is_about(nastiness, resource, ask.method) else None
        if found is None:
            yield ask.honest()
        else:
            yield from found.act(ask)

    def _switched(self) -> str | None:
        now = self._switchboard.now
        if now.nastiness is not None and self._honest_left > 0:
            self._honest_left -= 1
            return None
        return now.nastiness

    def _note(self, request: _Request, listener: Literal["server", "stranger"]) -> None:
        names = request.headers.keys()
        with self._lock:
            self._seq += 1
            self._seen.append(
                Seen(
                    seq=self._seq,
                    listener=listener,
                    method=request.method,
                    path=request.path[:200],
                    has_credential=any(name == "authorization" or name.endswith(("key", "token")) for name in names),
                    has_cookie="cookie" in names,
                )
            )

    def _control(self, request: _Request, rest: str) -> bytes:
        status = "200 OK"
        document: object
        try:
            match request.method, rest:
                case "GET", "health":
                    document = {"status": "ok", "simulator": "hostile", "stranger": self.stranger_url}
                case "GET", "journal":
                    document = {"entries": self.seen(), "last_seq": self._seq}
                case "GET", "switches":
                    document = self._switchboard.document()
                case "PATCH", "switches":
                    self.switch(**CHANGES.validate_python(json.loads(request.body)))
                    document = self._switchboard.document()
                case "DELETE", "switches":
                    self._switchboard.reset()
                    self._honest_left = self._switchboard.now.after
                    document = self._switchboard.document()
                case _:
                    status, document = "404 Not Found", {"message": "no such control"}
        except (ValidationError, ValueError) as error:
            status, document = "422 Unprocessable Content", {"message": str(error)}
        return message(encoded(document), status=status)

    @staticmethod
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


@contextlib.contextmanager
def serving_hostile(
    *, switches: HostileSwitches | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[HostileServer]:
    """Serve from a thread on free ports of this machine; for tests."""
    server = HostileServer(switches=switches, tls=tls)
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()
    faults: list[str] = []  # a bug of ours closes a connection too, and must not pass for a nastiness
    loop.set_exception_handler(lambda _loop, context: faults.append(repr(context.get("exception", context["message"]))))

    def run() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(server.serve(host="127.0.0.1", port=0, ready=ready.set, stop=stop.wait()))

    thread = threading.Thread(target=run, name="hostile", daemon=True)
    thread.start()
    try:
        if not ready.wait(START_SECONDS_MAX):
            raise TimeoutError(f"the hostile server did not start within {START_SECONDS_MAX:.0f} s")
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(START_SECONDS_MAX)
    if faults:
        raise RuntimeError(f"the hostile server itself failed: {'; '.join(faults[:5])}")


def _is_about(nastiness: str, resource: str, method: str) -> bool:
    found = named(nastiness)
    return found is not None and (found.is_everywhere or (found.resource == resource and method == "GET"))


def _page(request: _Request, resource: Resource) -> tuple[int, int]:
    if resource == "items":
        offset, limit = request.query.get("offset", "0"), request.query.get("limit", str(LIMIT_DEFAULT))
        if not (_is_whole(offset) and _is_whole(limit) and 1 <= int(limit) <= LIMIT_MAX):
            raise ValueError(f"offset is a whole number from 0, limit one from 1 to {LIMIT_MAX}")
        return int(offset), int(limit)
    cursor = _CURSOR.match(request.query.get("cursor", "c0"))
    if cursor is None or int(cursor[1]) % FEED_ITEMS or int(cursor[1]) > 10**6 * len(ITEMS):
        raise ValueError("cursor is none of this server's")
    return int(cursor[1]), FEED_ITEMS


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15


async def _read(reader: asyncio.StreamReader) -> _Request | None:
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
        if not _is_whole(length) or int(length) > BODY_BYTES_MAX:
            return None
        body = await reader.readexactly(int(length))
    return _Request(method=method, target=rest.rpartition(" ")[0], headers=headers, body=body)


async def _wait(seconds: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Wait, or stop waiting and say so when the client has left."""
    for _ in range(max(1, round(seconds / LOOK_SECONDS))):
        if reader.at_eof() or writer.is_closing():
            return False
        await asyncio.sleep(min(seconds, LOOK_SECONDS))
    return True
