"""A server of a few lines that speaks the assumed interface of TitanHST, and misbehaves as a test tells it to.

It stands on a real socket, so that resets, silences and half-sent answers are real. It knows nothing of the client.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

READ_TOKEN = "read-token-of-a-test"
WRITE_TOKEN = "write-token-of-a-test"


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    number: int
    """1 for the first request to the server."""
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """One answer; `content` goes out as it is."""

    status: int = 200
    content: bytes = b""
    media_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Send only so many bytes of the content, then break the connection off."""
    is_silent: bool = False
    """Break the connection off without a word."""
    wait_seconds: float = 0.0


def as_json(status: int, value: object, **headers: str) -> Reply:
    """An answer of that JSON."""
    return Reply(status, json.dumps(value).encode(), headers=headers)


HTML = Reply(200, b"<html><body>Please sign in</body></html>", media_type="text/html; charset=utf-8")


def contact(number: int, **changes: Any) -> dict[str, Any]:
    """One synthetic contact."""
    return {
        "id": f"c-{number:06d}",
        "externalId": f"E{number:05d}",
        "firstName": f"First{number}",
        "lastName": f"Last{number}",
        "email": f"person{number}@district.example",
        "mobilePhone": None,
        "role": "TEACHER",
        "locationCode": "TL-010",
        "active": True,
        "createdAt": "2026-11-22T08:00:00Z",
        "updatedAt": "2026-11-22T08:00:00Z",
        **changes,
    }


Fault = Callable[[Asked, Reply], Reply | None]
"""Sees the request and the honest answer; returns what goes out instead, or None for the honest answer."""


class FakeTitanhst:
    """`async with FakeTitanhst(contacts) as fake:` serves until the block ends."""

    def __init__(self, contacts: list[dict[str, Any]] | None = None) -> None:
        self.contacts = contacts if contacts is not None else [contact(number) for number in range(1, 26)]
        self.asked: list[Asked] = []
        self.fault: Fault | None = None
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
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            content = await reader.readexactly(int(headers.get("content-length", 0)))
            parts = urlsplit(target)
            asked = Asked(
                len(self.asked) + 1,
                method,
                parts.path,
                {name: values[0] for name, values in parse_qs(parts.query).items()},
                headers,
                json.loads(content) if content else None,
            )
            self.asked.append(asked)
            reply = self._reply(asked)
            if self.fault is not None:
                reply = self.fault(asked, reply) or reply
            await asyncio.sleep(reply.wait_seconds)
            if not reply.is_silent:
                lines = [
                    f"HTTP/1.1 {reply.status} Status",
                    f"Content-Length: {len(reply.content)}",
                    "Connection: close",
                ]
                if reply.media_type is not None:
                    lines.append(f"Content-Type: {reply.media_type}")
                lines.extend(f"{name.replace('_', '-')}: {value}" for name, value in reply.headers.items())
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + reply.content[: reply.cut_after])
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as some tests want it to
        finally:
            writer.close()

    def _reply(self, asked: Asked) -> Reply:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in (READ_TOKEN, WRITE_TOKEN):
            return as_json(401, {"message": "unknown token"})
        if asked.method != "GET" and token != WRITE_TOKEN:
            return as_json(403, {"message": "this token may only read"})
        path = asked.path.removeprefix("/api/v1")
        if asked.method == "GET" and path == "/contacts":
            return self._list(asked, sorted(self.contacts, key=lambda each: str(each["id"])))
        if asked.method == "GET" and path in ("/roles", "/locations"):
            return self._list(asked, [{"code": "A", "name": "Name of A"}, {"code": "B", "name": "Name of B"}])
        if match := re.fullmatch(r"/contacts/external/([^/]+)", path):
            return self._one("externalId", unquote(match[1]))
        if asked.method == "POST" and path == "/contacts":
            made = contact(len(self.contacts) + 1, externalId=None) | asked.body
            if any(each["externalId"] == made["externalId"] for each in self.contacts):
                return as_json(409, {"message": "externalId exists"})
            self.contacts.append(made)
            return as_json(201, made)
        if match := re.fullmatch(r"/contacts/([^/]+)", path):
            return self._on_one(asked, unquote(match[1]))
        return as_json(404, {"message": "unknown path"})

    def _list(self, asked: Asked, items: list[dict[str, Any]]) -> Reply:
        offset, limit = int(asked.query.get("offset", 0)), int(asked.query.get("limit", 100))
        return as_json(200, {"total": len(items), "items": items[offset : offset + limit]})

    def _one(self, name: str, value: str) -> Reply:
        found = next((each for each in self.contacts if each[name] == value), None)
        return as_json(404, {"message": "no such contact"}) if found is None else as_json(200, found)

    def _on_one(self, asked: Asked, contact_id: str) -> Reply:
        found = next((each for each in self.contacts if each["id"] == contact_id), None)
        if found is None or asked.method == "GET":
            return self._one("id", contact_id)
        if asked.method == "DELETE":
            self.contacts.remove(found)
            return Reply(204, media_type=None)
        found.update(asked.body)
        return as_json(200, found)
