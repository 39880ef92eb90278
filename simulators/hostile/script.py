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
Reach = Literal["own", "list", "wrapped", "total", "cursor"]
"""Which lists of others a nastiness can be done to as well: none; any list in JSON; one that is a member of an object;
one that tells how long it is; one whose pages tell where the next one is."""
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
STRANGE = "&cursor=c0#?/%2e \r\n\u00eb"
"""What a cursor may end with: signs that mean something else in an address unless they are encoded."""


class Part(Enum):
    """What may be said in place of a part of a page."""

    HONEST = "honest"
    LEFT_OUT = "left out"


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

    @property
    def total(self) -> int:
        """How long the list says it is."""
        return len(ITEMS)

    @property
    def items_key(self) -> str:
        """The member in which the list stands."""
        return "items"

    @property
    def name_key(self) -> str:
        """The member in which an item's name stands."""
        return "name"

    def items(self) -> list[Item]:
        """The items of the page that was asked for."""
        return [dict(item) for item in ITEMS[self.offset : self.offset + self.limit]]

    def first_items(self) -> list[Item]:
        """The items of the first page."""
        return [dict(item) for item in ITEMS[: self.limit]]

    def items_before(self) -> list[Item]:
        """The items before this page, or the last of them at least."""
        return [dict(item) for item in ITEMS[: self.offset]]

    def id_of(self, item: Item) -> Any:
        """The id of an item."""
        return item["id"]

    def altered(self, item: Item, **changes: Any) -> Item:
        """The item with another `id` or `name`."""
        return item | changes

    def invented(self, number: int) -> Item:
        """An item that the list does not hold."""
        return {"id": number, "name": f"Sample {number}"}

    def with_items(self, items: object) -> Any:
        """The document with something else where the list stands."""
        return {"total": self.total, "items": items}

    def page(
        self, *, items: object = Part.HONEST, total: object = Part.HONEST, cursor: object = Part.HONEST
    ) -> Iterator[bytes]:
        """The answer with something else for its list, its total or the way to the next page."""
        document = {"items": self.items() if items is Part.HONEST else items}
        if self.resource == "feed":
            document |= _part("next", cursor, self.next_cursor())
        else:
            document = _part("total", total, self.total) | document
        yield self.honest(body=encoded(document))

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

    def first_cursor(self) -> str:
        """The cursor that leads back to an early page."""
        return "c0"

    def second_cursor(self) -> str:
        """The cursor on the first page."""
        return f"c{self.limit}"

    def cursor_onward(self) -> str:
        """The honest cursor; after the last page one that nobody has given, whose page has no items."""
        return f"c{self.offset + self.limit}"

    def is_cursor_whole(self) -> bool:
        """Whether the cursor that was sent with `STRANGE` at its end came back as it was."""
        return self.query.get("cursor", f"c0{STRANGE}") == f"c{self.offset}{STRANGE}"

    def unasked(self) -> bytes:
        """A whole answer to a question that nobody put; its items are others."""
        return message(encoded({"total": self.total, "items": [{"id": 666, "name": "Mallory Sample"}]}))

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
    reach: Reach = "own"
    items: tuple[Item, ...] = ITEMS
    """Exactly what a client that accepts must deliver."""
    renames: str | None = None
    """What every item is called in the answer; None where each keeps its name."""
    act: Act = field(repr=False)


class Card:
    """The nastinesses of one module, in the order they are written."""

    def __init__(self, *, is_everywhere: bool = False, reach: Reach = "own") -> None:
        """Both hold for every nastiness that does not say otherwise."""
        self.entries: list[Nastiness] = []
        self._is_everywhere = is_everywhere
        self._reach: Reach = reach

    def add(
        self,
        expect: Expect,
        *,
        resource: Resource = "items",
        items: tuple[Item, ...] = ITEMS,
        is_everywhere: bool = False,
        reach: Reach | None = None,
        renames: str | None = None,
    ) -> Callable[[Callable[[Ask], Any]], Callable[[Ask], Any]]:
        """Take a function onto the card: its name is the nastiness, its docstring the reason."""
        if renames is not None:
            items = tuple(item | {"name": renames} for item in items)

        def taken(written: Callable[[Ask], Any]) -> Callable[[Ask], Any]:
            why = " ".join((written.__doc__ or "").split())
            entry = Nastiness(
                name=written.__name__,
                expect=expect,
                why=why,
                resource=resource,
                is_everywhere=is_everywhere or self._is_everywhere,
                reach=self._reach if reach is None else reach,
                items=items,
                renames=renames,
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


def _part(name: str, said: object, honest: object) -> dict[str, Any]:
    return {} if said is Part.LEFT_OUT else {name: honest if said is Part.HONEST else said}


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
