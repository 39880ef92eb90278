"""The hostile server: three lists of its own, answered honestly or with a nastiness, by address or by switch."""

from __future__ import annotations

import contextlib
import json
import re
import ssl
from collections.abc import Iterator

from pydantic import Field, ValidationError, field_validator

from simulators.hostile.menu import named
from simulators.hostile.script import (
    FEED_ITEMS,
    ITEMS,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    Ask,
    Resource,
    Step,
    encoded,
    message,
)
from simulators.hostile.talking import Listener, Request, Talker, is_whole, talking
from simulators.kit.switches import CHANGES, Switchboard, Switches

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


class HostileServer(Talker):
    """The server and the stranger, and how they are switched."""

    def __init__(self, *, switches: HostileSwitches | None = None, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls=tls)
        self._switchboard = Switchboard(switches or HostileSwitches())
        self._honest_left = self._switchboard.now.after

    async def answer(self, request: Request, listener: Listener) -> Iterator[Step]:
        """The steps of the answer to a request."""
        return self._steps(request, listener)

    def switch(self, **changes: object) -> None:
        """Set switches; `pydantic.ValidationError` says what does not fit."""
        self._switchboard.set(changes)
        self._honest_left = self._switchboard.now.after

    def _steps(self, request: Request, listener: Listener) -> Iterator[Step]:
        match request.path.strip("/").split("/"):
            case ["_sim", *rest] if listener == "server":
                yield self._control(request, "/".join(rest))
            case [name] if name in _RESOURCES:
                self.note(request, listener)
                nastiness = None if listener == "stranger" else self._switched()
                yield from self._answer(request, _RESOURCES[name], nastiness, prefix="")
            case ["hostile", nastiness, name] if name in _RESOURCES and _is_about(nastiness, name, request.method):
                self.note(request, listener)
                yield from self._answer(request, _RESOURCES[name], nastiness, prefix=f"/hostile/{nastiness}")
            case ["sign-in"]:
                self.note(request, listener)
                yield message(_SIGN_IN, content_type="text/html")
            case _:
                self.note(request, listener)
                yield message(encoded({"message": "no such path"}), status="404 Not Found")

    def _answer(self, request: Request, resource: Resource, nastiness: str | None, *, prefix: str) -> Iterator[Step]:
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

    def _control(self, request: Request, rest: str) -> bytes:
        status = "200 OK"
        document: object
        try:
            match request.method, rest:
                case "GET", "health":
                    document = {"status": "ok", "simulator": "hostile", "stranger": self.stranger_url}
                case "GET", "journal":
                    document = {"entries": self.seen(), "last_seq": self.last_seq()}
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


@contextlib.contextmanager
def serving_hostile(
    *, switches: HostileSwitches | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[HostileServer]:
    """Serve from a thread on free ports of this machine; for tests."""
    server = HostileServer(switches=switches, tls=tls)
    with talking(server):
        yield server


def _is_about(nastiness: str, resource: str, method: str) -> bool:
    found = named(nastiness)
    return found is not None and (found.is_everywhere or (found.resource == resource and method == "GET"))


def _page(request: Request, resource: Resource) -> tuple[int, int]:
    if resource == "items":
        offset, limit = request.query.get("offset", "0"), request.query.get("limit", str(LIMIT_DEFAULT))
        if not (is_whole(offset) and is_whole(limit) and 1 <= int(limit) <= LIMIT_MAX):
            raise ValueError(f"offset is a whole number from 0, limit one from 1 to {LIMIT_MAX}")
        return int(offset), int(limit)
    cursor = _CURSOR.match(request.query.get("cursor", "c0"))
    if cursor is None or int(cursor[1]) % FEED_ITEMS or int(cursor[1]) > 10**6 * len(ITEMS):
        raise ValueError("cursor is none of this server's")
    return int(cursor[1]), FEED_ITEMS
