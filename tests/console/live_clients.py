"""Live pages without browsers: a socket that asks for a stream and notes when each of its events came.

Light, so that hundreds of them in one process say something about the console and not about themselves: what arrives
is put aside with its moment, and taken apart afterwards.
"""

from __future__ import annotations

import asyncio
import html
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httpx

from services.console.visiting import COOKIE

_STREAM: Final = re.compile(r'sse-connect="([^"]+)"')
_HIDDEN: Final = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Told:
    """One event as a page got it."""

    at: float
    """Seconds since 1970 at which its last byte was there."""
    name: str
    data: str


class LivePage(asyncio.Protocol):
    """One open stream."""

    def __init__(self, host: str, path: str, cookie: str, on_bytes: Callable[[bytes], None] | None) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nhost: {host}\r\ncookie: {cookie}\r\naccept: text/event-stream\r\n\r\n"
        self._arrived: list[tuple[float, bytes]] = []
        self._on_bytes = on_bytes
        self.ended = asyncio.Event()
        """Set once the other side has ended the stream."""
        self.begun = asyncio.Event()
        """Set once anything has come."""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        """Put aside."""
        self._arrived.append((time.time(), data))
        self.begun.set()
        if self._on_bytes is not None:
            self._on_bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self.ended.set()

    def close(self) -> None:
        """Go away, as a browser does whose window is closed."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def status(self) -> int:
        """Of the answer; 0 while there is none."""
        first = b"".join(data for _, data in self._arrived[:2])[:12]
        return int(first[9:12]) if len(first) == 12 else 0

    @property
    def is_whole(self) -> bool:
        """Whether the stream was brought to its end, and not broken off."""
        return self._arrived[-1][1].endswith(b"0\r\n\r\n") if self._arrived else False

    def told(self) -> Iterator[Told]:
        """Every event so far, in order."""
        rest, text = b"", b""
        is_body = False
        for at, data in self._arrived:
            rest += data
            if not is_body:
                head, found, behind = rest.partition(b"\r\n\r\n")
                if not found:
                    continue
                assert b"transfer-encoding: chunked" in head.lower(), head
                is_body, rest = True, behind
            while (end := rest.find(b"\r\n")) >= 0:
                length = int(rest[:end], 16)
                if len(rest) < end + 2 + length + 2:
                    break
                text += rest[end + 2 : end + 2 + length]
                rest = rest[end + 2 + length + 2 :]
            while (end := text.find(b"\n\n")) >= 0:
                event, text = text[:end].decode(), text[end + 2 :]
                lines = event.splitlines()
                if lines and lines[0].startswith("event: "):
                    data_lines = [line.removeprefix("data: ") for line in lines[1:]]
                    yield Told(at, lines[0].removeprefix("event: "), "\n".join(data_lines))


async def open_page(
    url: str, path: str, cookie: str, *, on_bytes: Callable[[bytes], None] | None = None
) -> LivePage:  # fmt: skip
    """Ask the console at `url` for the stream at `path`; `cookie` is the whole header."""
    place = urlsplit(url)
    assert place.hostname is not None
    assert place.port is not None
    _, page = await asyncio.get_running_loop().create_connection(
        lambda: LivePage(place.netloc, path, cookie, on_bytes), place.hostname, place.port
    )
    return page


def stream_of(page: str) -> str:
    """The path of the stream that the HTML of a page asks for, with the stamps of what it shows already."""
    found = _STREAM.search(page)
    assert found is not None, "the page asks for no stream"
    return html.unescape(found[1])


async def signed_in(url: str, user: str, password: str) -> str:
    """Sign in by the form, as a browser does; the cookie header of the session."""
    async with httpx.AsyncClient(base_url=url, headers={"origin": url}) as browser:
        form = await browser.get("/sign-in")
        token = _HIDDEN.search(form.text)
        assert token is not None, form.text[:500]
        sent = {"csrf": token[1], "user": user, "password": password, "next": "/"}
        answer = await browser.post("/sign-in", data=sent)
        assert answer.status_code == 303, f"{user} was not let in: {answer.status_code}"
        return f"{COOKIE}={browser.cookies[COOKIE]}"
