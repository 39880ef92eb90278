"""The words in which a nastiness is written: what was asked, the honest answer to it, and the steps of another answer.

A nastiness is a function from an `Ask` to a document, a body, or a sequence of steps; the server only carries out.
Pure: nothing here knows a socket or a clock.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

Expect = Literal["refuse", "accept", "either"]
"""`refuse`: the read must end in an error; `accept`: it must bring exactly the items; `either`: one of the two."""
Resource = Literal["items", "feed", "linked"]
Item = dict[str, Any]

ITEMS: tuple[Item, ...] = tuple(
    {"id": number, "name": f"{name} Sample"}
    for number, name in enumerate(("Ada", "Ben", "Cleo", "Dan", "Eve", "Finn"), start=1)
)
"""The list behind every honest answer."""
LIMIT_DEFAULT = 2
LIMIT_MAX = 3
"""Less than half of the list and one, so that every client needs two pages at least."""
FEED_ITEMS = 2
"""Items on a page of the feed and of the linked list."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for a while; ends early when the client leaves."""

    seconds: float


class End(Enum):
    """How a connection ends; without it, it is kept for the next request."""

    CLOSE = "close"
    RESET = "reset"


Step = bytes | Pause | End
Steps = Iterator[Step]
Act = Callable[["Ask"], Steps]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request for a resource, read and checked."""

    method: str
    resource: Resource
    base: str
    """Address of the resource as the client has it, without the query."""
    stranger: str
    """Address of the other server, which must never see a credential."""
    headers: Mapping[str, str]
    query: Mapping[str, str]
    offset: int = 0
    limit: int = LIMIT_DEFAULT

    @property
    def status(self) -> str:
        """The honest status line's end."""
        return "201 Created" if self.method == "POST" else "200 OK"

    @property
    def takes_gzip(self) -> bool:
        """Whether the client says that it understands gzip."""
        return "gzip" in self.headers.get("accept-encoding", "")

    def items(self) -> list[Item]:
        """The items of the page that was asked for."""
        return [dict(item) for item in ITEMS[self.offset : self.offset + self.limit]]

    def document(self) -> Any:
        """The honest answer."""
        if self.method != "GET":
            return {"id": len(ITEMS) + 1, "name": "New Sample"}
        if self.resource == "linked":
            return self.items()
        if self.resource == "feed":
            return {"items": self.items(), "next": self.next_cursor()}
        return {"total": len(ITEMS), "items": self.items()}

    def body(self) -> bytes:
        """The honest answer's body."""
        return encoded(self.document())

    def next_cursor(self) -> str | None:
        """The honest cursor after this page; null after the last."""
        after = self.offset + self.limit
        return f"c{after}" if after < len(ITEMS) else None

    def honest_headers(self) -> list[tuple[str, str]]:
        """What an honest answer carries besides its type and length."""
        cursor = self.next_cursor()
        if self.resource == "linked" and cursor is not None:
            return [("Link", f'<{self.base}?cursor={cursor}>; rel="next"')]
        return []

    def honest(self, *, body: bytes | None = None, **frame: Any) -> bytes:
        """The honest answer whole, with another body or frame where one is given."""
        headers = [*self.honest_headers(), *frame.pop("headers", [])]
        return message(self.body() if body is None else body, **({"status": self.status} | frame), headers=headers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nastiness:
    """One way to be nasty, and what a careful client makes of it."""

    name: str
    expect: Expect
    why: str
    resource: Resource = "items"
    is_everywhere: bool = False
    """Whether it may be asked of every resource with every verb, and not of its own resource with GET only."""
    items: tuple[Item, ...] = ITEMS
    """Exactly what a client that accepts must deliver."""
    act: Act = field(repr=False)


class Card:
    """The nastinesses of one module, in the order they are written."""

    def __init__(self, *, is_everywhere: bool = False) -> None:
        self.entries: list[Nastiness] = []
        self._is_everywhere = is_everywhere

    def add(
        self,
        expect: Expect,
        *,
        resource: Resource = "items",
        items: tuple[Item, ...] = ITEMS,
        is_everywhere: bool = False,
    ) -> Callable[[Callable[[Ask], Any]], Callable[[Ask], Any]]:
        """Take a function onto the card: its name is the nastiness, its docstring the reason."""

        def taken(written: Callable[[Ask], Any]) -> Callable[[Ask], Any]:
            why = " ".join((written.__doc__ or "").split())
            entry = Nastiness(
                name=written.__name__,
                expect=expect,
                why=why,
                resource=resource,
                is_everywhere=is_everywhere or self._is_everywhere,
                items=items,
                act=_steps_of(written),
            )
            self.entries.append(entry)
            return written

        return taken


def _steps_of(written: Callable[[Ask], Any]) -> Act:
    def act(ask: Ask) -> Steps:
        made = written(ask)
        if isinstance(made, bytes):
            yield ask.honest(body=made)
        elif isinstance(made, Iterator):
            yield from made
        else:
            yield ask.honest(body=encoded(made))

    return act


def encoded(document: object) -> bytes:
    """JSON as it is sent, in ASCII."""
    return json.dumps(document, separators=(",", ":")).encode()


def message(
    body: bytes,
    *,
    status: str = "200 OK",
    version: str = "HTTP/1.1",
    content_type: str | None = "application/json",
    headers: list[tuple[str, str]] | None = None,
    has_length: bool = True,
) -> bytes:
    """A whole HTTP answer in bytes."""
    lines = [f"{version} {status}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in headers or []]
    if has_length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; empty data make the last one."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"
