"""Poisoned answers of a vendor: HTTP and JSON as no description promises them, to reads and to writes.

A server on a real socket gives one answer, byte for byte as it was made up, to every request. A read must end in an
error of the house, unless the answer really was a whole list; a write must never seem done when it may not be, and
never seem undone when it may be done.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any, Final, Self

from shared.errors import (
    AetherError,
    NeedsPerson,
    OutcomeUnknown,
    RecordRefused,
    StopRun,
    TargetMoved,
    TryLater,
)
from shared.ports.connections import Connection
from shared.ports.surroundings import Surroundings
from shared.ports.system import Target
from shared.ports.wire import ChangeVerb, WireWrite
from shared.secrets import Secret
from tests.conformance.fake_titanhst import contact
from tests.poison.mutations import CANARY, SPOILERS, with_raw, written
from tests.poison.tally import Tally, bounded
from tests.support.systems import installed_systems

READ: Final = "vendor read"
WRITE: Final = "vendor write"
CONTACTS: Final = 3
TIMEOUT_SECONDS: Final = 0.5
"""For an answer that never comes; long enough for one that comes slowly on a busy machine."""
BODY_BYTES_MAX: Final = 64 * 1024
READ_ENDS: Final = (TryLater, NeedsPerson, StopRun)
STATUSES: Final = (
    100, 101, 102, 103, 199, 200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 305, 307,
    308, 399,
    400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 418, 421, 422, 423, 425, 426,
    428, 429,
    431, 451, 499, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 599,
)  # fmt: skip
JUNK: Final = (
    b"", b"null", b"[]", b"{}", b'""', b"0", f"<html><body>{CANARY}</body></html>".encode(), b"\xff\xfe\x00",
    b"{" * 4_000,
    json.dumps({"message": CANARY}).encode(), json.dumps({"message": 7, "errors": [CANARY]}).encode(),
    json.dumps({"message": "no", "errors": {CANARY: CANARY, "role": [CANARY]}}).encode(),
    json.dumps({"errors": {"role": {"a": [[]]}}}).encode(), b'{"message": "x", "errors": null}',
)  # fmt: skip
RETRY_AFTER: Final = (
    "", "-1", "0.5", "NaN", "9" * 400, "1e9", "soon", "Mon, 01 Jan 99999999999 00:00:00 GMT", "\u00b2", "Mon", ",",
    ";;",
    "Fri, 31 Dec 9999 23:59:59 -2359", "Sat, 01 Jan 0001 00:00:00 +2359", "Wed, 21 Oct 2026 99:99:99 GMT", "0x10",
    " 7 ",
    "Wed, 21 Oct 2026 07:28:00 +9999999999999999", "Wed, 21 Oct 2026 07:28:00", "1, 2", "007",
    "Mon, 01 Jan -2026 00:00:00",
)  # fmt: skip
LOCATIONS: Final = (
    "", "/", "//", "http://", "http://[::1", "https://other.example/x", "ftp://x/y", "javascript:x", "x" * 70_000, "?#",
    "http://a b/", "http://:99999/", "\\\\x\\y", "%zz", "http://xn--/", "http://\u2603/",
)  # fmt: skip


class OneAnswer:
    """A server that gives the same bytes to whoever asks, then breaks the connection off."""

    def __init__(self) -> None:
        self.answer = b""
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"content-length: " in head:
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
            writer.write(self.answer)
            await writer.drain()
        writer.close()


class Poison:
    """One answer, and what it says it is."""

    def __init__(self, way: str, status: int | None, content: bytes, body: bytes) -> None:
        self.way = way
        self.status = status
        """None when no status can be read from it."""
        self.content = content
        """The whole answer, as it goes out."""
        self.body = body
        """Its body, before anything was done to it on the way."""


def http(
    status: int, body: bytes, *headers: str, media_type: str = "application/json", length: str | None = None
) -> bytes:
    """An answer as bytes; headers and length may be anything."""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {media_type}", "Connection: close", *headers]
    if length != "none":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("utf-8", errors="surrogatepass") + b"\r\n\r\n" + body


def a_list() -> dict[str, Any]:
    """A sound list."""
    return {"total": CONTACTS, "items": [contact(number) for number in range(1, CONTACTS + 1)]}


class Poisoner:
    """Makes up answers around a sound body."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def around(self, sound: Any, status: int) -> Poison:
        """A poisoned answer where this body under this status would be sound."""
        makers: list[Callable[[Any, int], Poison]] = [
            self._spoilt_body, self._spoilt_body, self._spoilt_body, self._odd_value, self._odd_value, self._any_status,
            self._any_status, self._retry_after, self._redirect, self._encoding, self._length, self._chunked,
            self._headers,
            self._no_http, self._media_type, self._cut,
        ]  # fmt: skip
        return self._rng.choice(makers)(sound, status)

    def _spoilt_body(self, sound: Any, status: int) -> Poison:
        way = self._rng.choice(list(SPOILERS))
        body = SPOILERS[way](self._rng, sound)
        return Poison(way, status, http(status, body), body)

    def _odd_value(self, sound: Any, status: int) -> Poison:
        """A value of a kind that vendors do send by mistake, at a place that matters."""
        place: tuple[str | int, ...]
        if "items" in sound:
            place = self._rng.choice(
                [("total",), ("items",), ("items", 0), ("items", 1, "id"), ("items", 2, "active"), ("items", 2, "id")]
            )
        else:
            place = self._rng.choice([("id",), ("externalId",), ("active",), ("role",)])
        raw = self._rng.choice(
            ["-1", "3.0", "true", "1e400", "18446744073709551615", "18446744073709551616", "null", '"3"', "[]", "{}",
             '"c-000001"', '"c-000009"', '""', f'"{CANARY}"', "[[]]", "[null]", '"a/../b"', "2", "4",
             "9223372036854775808"]
        )  # fmt: skip
        body = with_raw(sound, place, raw)
        return Poison("odd_value", status, http(status, body), body)

    def _any_status(self, sound: Any, status: int) -> Poison:
        other, body = self._rng.choice(STATUSES), self._rng.choice([*JUNK, written(sound)])
        media_type = self._rng.choice(["application/json", "application/json", "text/html"])
        return Poison("any_status", other, http(other, body, media_type=media_type), body)

    def _retry_after(self, sound: Any, status: int) -> Poison:
        other, body = self._rng.choice([429, 429, 503, 503, 500, 301]), self._rng.choice(JUNK)
        value = self._rng.choice(RETRY_AFTER)
        return Poison("retry_after", other, http(other, body, f"Retry-After: {value}"), body)

    def _redirect(self, sound: Any, status: int) -> Poison:
        other = self._rng.choice([301, 302, 303, 307, 308, 300])
        content = http(other, written(sound), f"Location: {self._rng.choice(LOCATIONS)}")
        return Poison("redirect", other, content, written(sound))

    def _encoding(self, sound: Any, status: int) -> Poison:
        """A body that is compressed although nobody asked for it, or says so and is not, or is a bomb."""
        body = self._rng.choice([written(sound), b" " * 3_000_000, b"[" * 500_000, self._rng.randbytes(99)])
        name, packed = self._rng.choice(
            [("gzip", gzip.compress(body)), ("deflate", zlib.compress(body)), ("gzip", body[:9_999]), ("br",
             body[:999]),
             ("gzip, gzip", gzip.compress(gzip.compress(body))), ("zstd", body[:99]), ("identity", body[:60_000]),
             ("x" * 999, body[:99]), ("gzip", gzip.compress(body)[:-9]), ("GZIP", gzip.compress(body))]
        )  # fmt: skip
        return Poison("encoding", status, http(status, packed, f"Content-Encoding: {name}"), body)

    def _length(self, sound: Any, status: int) -> Poison:
        body = written(sound)
        length = self._rng.choice(
            [
                "0",
                "1",
                str(len(body) - 1),
                str(len(body) + 1),
                "-1",
                "9" * 30,
                "x",
                "",
                "1, 2",
                "+7",
                "0x10",
                "none",
                "1e3",
            ]
        )
        content = http(status, body, length=length)
        if self._rng.random() < 0.2:
            content = http(status, body, f"Content-Length: {len(body) // 2}")
        return Poison("length", status, content, body)

    def _chunked(self, sound: Any, status: int) -> Poison:
        body = written(sound)
        sizes = ["zz", "-1", "f" * 40, "1;" + "x" * 5_000, "", "0", f"{len(body):x}", f"{len(body) + 5:x}", "\x00"]
        framed = (
            f"{self._rng.choice(sizes)}\r\n".encode()
            + body
            + self._rng.choice([b"\r\n0\r\n\r\n", b"", b"\r\n", b"\r\nzz"])
        )
        name = self._rng.choice(["chunked", "chunked", "chunked, chunked", "gzip, chunked", "identity", "x"])
        length = self._rng.choice(["none", "none", None])
        return Poison("chunked", status, http(status, framed, f"Transfer-Encoding: {name}", length=length), body)

    def _headers(self, sound: Any, status: int) -> Poison:
        body = written(sound)
        header = self._rng.choice(
            ["no colon", ": no name", "X: \x00", "X\u2603: y", "X: " + "y" * 90_000, "Set-Cookie: a=b; Domain=\x7f",
             " folded",
             "Set-Cookie: " + "=;" * 3_000, "Content-Type: text/html", "X-RateLimit-Remaining: NaN",
             "X-RateLimit-Reset: -9e999",
             "RateLimit-Remaining: 9" + "9" * 400, "RateLimit: ;;;", "Link: <", "Date: never",
             "X-RateLimit-Remaining: \u0663",
             "Trailer: X", "Upgrade: h2c", "\r\n", "Keep-Alive: timeout=x"]
        )  # fmt: skip
        return Poison("headers", status, http(status, body, header), body)

    def _no_http(self, sound: Any, status: int) -> Poison:
        body = written(sound)
        content = self._rng.choice(
            [b"", b"\r\n\r\n", body, b"\x16\x03\x01\x02\x00", self._rng.randbytes(200), b"HTTP/1.1\r\n\r\n",
             b"HTTP/1.1 abc OK\r\n\r\n",
             b"HTTP/1.1 99 OK\r\n\r\n", b"HTTP/1.1 1000 OK\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n" + body,
             b"PRI * HTTP/2.0\r\n\r\n",
             b"HTTP/1.1 200 OK", b"220 smtp ready\r\n", b"SSH-2.0-x\r\n", b"<html>", b"HTTP/1.1 -200 OK\r\n\r\n",
             b"HTTP/1.1 100 Continue\r\n\r\n" * 50, b"x" * 200_000]
        )  # fmt: skip
        return Poison("no_http", None, content, b"")

    def _media_type(self, sound: Any, status: int) -> Poison:
        media_type = self._rng.choice(
            ["text/html", "", "application/json; charset=utf-16", "application/json; charset=nowhere", "text/json",
             ";", "x" * 9_000,
             "application/jsonp", "multipart/form-data; boundary=", "APPLICATION/JSON", "application/problem+json",
             "\u2603"]
        )  # fmt: skip
        return Poison("media_type", status, http(status, written(sound), media_type=media_type), written(sound))

    def _cut(self, sound: Any, status: int) -> Poison:
        content = http(status, written(sound))
        at = self._rng.randrange(len(content))
        is_status_there = at > content.index(b"\r\n\r\n")
        return Poison("cut", status if is_status_there else None, content[:at], written(sound))


class Vendor:
    """Reads from and writes to a vendor whose every answer is poison."""

    def __init__(self, server: OneAnswer, tally: Tally, rng: Random) -> None:
        self._server, self._tally, self._rng = server, tally, rng
        self._poisoner = Poisoner(rng)
        self._waits: list[float] = []
        registry = installed_systems(
            surroundings=Surroundings(resolve=lambda _: Secret("token"), rng=rng, sleep=self._sleep),
        )
        settings = {
            "base_url": server.url,
            "token": "env:READ",
            "timeout_seconds": TIMEOUT_SECONDS,
            "body_bytes_max": BODY_BYTES_MAX,
        }
        connection = Connection(name="alerts", system="titanhst", environment="staging", settings=settings)
        self._target: Target = registry.open_target(connection)
        self._wire = registry.wire("titanhst")

    async def close(self) -> None:
        """Give the connections back."""
        await self._target.close()

    async def _sleep(self, seconds: float) -> None:
        self._waits.append(seconds)
        await asyncio.sleep(0)

    async def one(self) -> None:
        """Poison the answer to one read or to one write."""
        self._waits.clear()
        if self._rng.random() < 0.5:
            await self._one_read()
        else:
            await self._one_write()
        if any(not 0 <= seconds <= 1_000 for seconds in self._waits):
            self._tally.violation(READ, "waits", f"would wait {max(self._waits)} s")

    # --- reads ------------------------------------------------------------------------------------------------------

    async def _one_read(self) -> None:
        kind = self._rng.choice(["list", "list", "record", "check"])
        poison = self._poisoner.around(a_list() if kind != "record" else contact(1), 200)
        self._server.answer = poison.content
        read = {"list": self._list, "record": self._record, "check": self._check}[kind]
        with self._tally.timed(READ, poison.way):
            await self._ended(READ, poison, read(poison), READ_ENDS)

    async def _list(self, poison: Poison) -> str:
        """A list that counts as read must be whole by every sign of the body."""
        reading = self._target.read("contacts")
        rows = [row for page in [one async for one in reading] for row in page.rows.to_dicts()]
        assert reading.expected is not None
        sent = json.loads(poison.body)
        ids = [record["id"] for record in sent["items"]]
        assert len(rows) == len(ids) == len(set(ids)) == sent["total"] == reading.expected.rows
        assert [row["target_id"] for row in rows] == ids
        return "list whole"

    async def _record(self, poison: Poison) -> str:
        found = await self._target.fetch("contacts", target_id="c-000001", key=None)
        if found is None:
            assert poison.status == 404  # only in the other side's own words is a record gone
            assert isinstance(json.loads(poison.body).get("message"), str)
            return "record gone"
        assert found["target_id"] == json.loads(poison.body)["id"] == "c-000001"
        return "record whole"

    async def _check(self, poison: Poison) -> str:
        findings = await self._target.check()
        self._tally.check_secrecy(READ, poison.way, *(finding.text for finding in findings))
        return "check good" if all(finding.is_good for finding in findings) else "check tells what is wrong"

    # --- writes -----------------------------------------------------------------------------------------------------

    async def _one_write(self) -> None:
        verbs: list[ChangeVerb] = ["create", "update", "delete"]
        verb = self._rng.choice(verbs)
        status = {"create": 201, "update": 200, "delete": 204}[verb]
        poison = self._poisoner.around(contact(1), status)
        self._server.answer = poison.content
        values = {"role": "NURSE"} if verb == "update" else {}
        if verb == "create":
            values = {
                "external_id": "N1",
                "first_name": "New",
                "last_name": "Person",
                "role": "NURSE",
                "location": "TL-010",
            }
        write = self._wire.write_for(
            "contacts", verb=verb, target_id=None if verb == "create" else "c-000001", values=values
        )
        with self._tally.timed(WRITE, poison.way):
            await self._ended(WRITE, poison, self._written(write, poison, status), allowed_ends(poison.status))

    async def _written(self, write: WireWrite, poison: Poison, status: int) -> str:
        """A receipt is believed only where the answer really says that this very write was done."""
        receipt = await self._target.write(write, idempotency_key="k1")
        assert poison.status == status
        if status != 204:
            sent = json.loads(poison.body)
            assert receipt.target_id == sent["id"]
            assert status == 201 or receipt.target_id == "c-000001"
        return "applied"

    async def _ended(
        self, name: str, poison: Poison, work: Awaitable[str], allowed: tuple[type[AetherError], ...]
    ) -> None:
        endings: list[str] = []

        async def run() -> None:
            endings.append(await work)

        try:
            await bounded(run())
        except TimeoutError:
            self._tally.violation(name, poison.way, f"hangs over {poison.content[:200]!r}")
            self._tally.add(name, poison.way, "hang")
        except allowed as error:
            self._tally.add(name, poison.way, f"{branch_of(error)} {error.code}")
            self._tally.check_secrecy(name, poison.way, str(error), str(dict(error.facts)))
        except AssertionError as error:
            self._tally.violation(name, poison.way, f"a lie was believed: {poison.content[:300]!r}")
            self._tally.crash(name, poison.way, error)
        except Exception as error:  # noqa: BLE001 -- any other exception is what this looks for
            self._tally.violation(name, poison.way, f"answer: {poison.content[:200]!r}")
            self._tally.crash(name, poison.way, error)
        else:
            self._tally.add(name, poison.way, endings[0])


def branch_of(error: AetherError) -> str:
    """The name of an error's branch of the tree, whatever its own type is."""
    return next(kind.__name__ for kind in type(error).__mro__ if AetherError in kind.__bases__)


def allowed_ends(status: int | None) -> tuple[type[AetherError], ...]:
    """What a write may end in under an answer's status: `TryLater` promises that nothing was done."""
    match status:
        case 429 | 503:
            return OutcomeUnknown, TryLater
        case 401 | 403:
            return OutcomeUnknown, NeedsPerson, TryLater
        case 507:
            return OutcomeUnknown, RecordRefused
        case int() if 400 <= status < 500 and status != 408:
            return OutcomeUnknown, StopRun, TargetMoved, RecordRefused, NeedsPerson
        case _:
            return (OutcomeUnknown,)
