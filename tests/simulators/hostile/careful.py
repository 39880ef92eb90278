"""A careful client, written for these tests alone: it shows that the menu's demands can be met.

It follows nothing, decodes within bounds, gives every request a deadline of its own, and checks the agreement of
simulators/hostile/README.md to the letter.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import zlib
from typing import Any

import httpx

BODY_BYTES_MAX = 4 * 1024 * 1024
PAGES_MAX = 20
LIMIT = 2
SECRET = {"Authorization": "Bearer secret-of-the-tests", "Accept-Encoding": "gzip"}


PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Never used, but a client without one of its own reads the machine's certificates first."""
_LINK = re.compile(r'<([^>]*)>((?:\s*;\s*[^=;,\s]+(?:=(?:"[^"]*"|[^",;\s]*))?)*)')
_PARAMETER = re.compile(r';\s*([^=;,\s]+)(?:=(?:"([^"]*)"|([^",;\s]*)))?')


class RefusedError(Exception):
    """The answer is not what was agreed."""


async def read_items(base: str, *, deadline_seconds: float) -> list[dict[str, Any]]:
    """Walk the list by offset and limit."""
    found: list[dict[str, Any]] = []
    total: int | None = None
    async with _client() as client:
        for _ in range(PAGES_MAX):
            query = {"offset": str(len(found)), "limit": str(LIMIT)}
            _, document = await _get(client, f"{base}/items", query, deadline_seconds)
            if not isinstance(document, dict) or type(document.get("total")) is not int:
                raise RefusedError("no object with a whole total")
            if total is None:
                total = document["total"]
            items = _items(document.get("items"))
            found += items
            if document["total"] != total or not 0 <= total < 1_000 or len(found) > total or len(items) > LIMIT:
                raise RefusedError(f"{len(found)} of {document['total']}, before of {total}")
            if len(found) == total:
                return _distinct(found)
            if not items:
                raise RefusedError("an empty page before the end")
    raise RefusedError("too many pages")


async def read_feed(base: str, *, deadline_seconds: float) -> list[dict[str, Any]]:
    """Walk the feed by cursor."""
    found: list[dict[str, Any]] = []
    query: dict[str, str] = {}
    async with _client() as client:
        for _ in range(PAGES_MAX):
            _, document = await _get(client, f"{base}/feed", query, deadline_seconds)
            if not isinstance(document, dict) or "next" not in document:
                raise RefusedError("no object with a cursor")
            found += _items(document.get("items"))
            cursor = document["next"]
            if cursor is None:
                return _distinct(found)
            if not isinstance(cursor, str) or len(cursor) > 1_000:
                raise RefusedError("no usable cursor")
            query = {"cursor": cursor}
    raise RefusedError("too many pages")


async def read_linked(base: str, *, deadline_seconds: float) -> list[dict[str, Any]]:
    """Walk the linked list."""
    found: list[dict[str, Any]] = []
    address = f"{base}/linked"
    async with _client() as client:
        for _ in range(PAGES_MAX):
            answer, document = await _get(client, address, None, deadline_seconds)
            found += _items(document)
            following = _next_link(answer.headers.get("link", ""))
            if following is None:
                return _distinct(found)
            if not following.startswith(f"{base}/"):
                raise RefusedError("the way on leaves the server")
            address = following
    raise RefusedError("too many pages")


READERS = {"items": read_items, "feed": read_feed, "linked": read_linked}


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=5.0,
        headers=SECRET,
        verify=PLAIN,
        # What comes behind an answer must not be the next one's.
        limits=httpx.Limits(max_keepalive_connections=0),
    )


async def _get(
    client: httpx.AsyncClient, address: str, query: dict[str, str] | None, deadline_seconds: float
) -> tuple[httpx.Response, Any]:
    client.cookies.clear()
    try:
        async with asyncio.timeout(deadline_seconds), client.stream("GET", address, params=query) as answer:
            if answer.status_code != 200 or "json" not in answer.headers.get("content-type", "").lower():
                raise RefusedError(f"status {answer.status_code}")
            return answer, json.loads(await _body(answer), parse_constant=_refuse_constant, parse_float=_finite)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError, zlib.error) as error:
        raise RefusedError(type(error).__name__) from error


async def _body(answer: httpx.Response) -> str:
    encoding = answer.headers.get("content-encoding", "identity")
    if encoding not in {"identity", "gzip"}:
        raise RefusedError("an encoding nobody asked for")
    unpack = zlib.decompressobj(31) if encoding == "gzip" else None
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += unpack.decompress(piece, BODY_BYTES_MAX + 1) if unpack is not None else piece
        if len(body) > BODY_BYTES_MAX:
            raise RefusedError("too large")
    if unpack is not None and not unpack.eof:
        raise RefusedError("packed, and not to its end")
    return body.decode("utf-8")


def _next_link(header: str) -> str | None:
    for target, parameters in _LINK.findall(header):
        relations = [quoted or bare for name, quoted, bare in _PARAMETER.findall(parameters) if name.lower() == "rel"]
        if relations[:1] == ["next"]:
            return str(target)
    return None


def _items(items: Any) -> list[dict[str, Any]]:
    if not isinstance(items, list):
        raise RefusedError("no list")
    for item in items:
        if not isinstance(item, dict) or type(item.get("id")) is not int or not isinstance(item.get("name"), str):
            raise RefusedError("no item")
        if any("\ud800" <= sign <= "\udfff" for sign in item["name"]):
            raise RefusedError("half a character")
    return [{"id": item["id"], "name": item["name"]} for item in items]


def _distinct(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len({item["id"] for item in items}) != len(items):
        raise RefusedError("an id comes twice")
    return items


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    if abs(float(text)) == float("inf"):
        raise ValueError("a number beyond all")
    return float(text)
