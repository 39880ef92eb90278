"""A hostile gateway before any vendor: it relays requests, and spoils the answers to some of them with a nastiness.

What the vendor is asked is done there, and its own answer is what gets spoiled: a write that was answered badly has
taken place all the same. How a vendor's lists are built is told to it in a `ListForm`; without one only what is
`is_everywhere` makes sense. It knows no vendor by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import http.client
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from simulators.hostile.contents import renamed
from simulators.hostile.script import ITEMS, STRANGE, Ask, Item, Nastiness, Part, Step, encoded, message
from simulators.hostile.talking import Listener, Request, Talker, talking

VENDOR_SECONDS_MAX = 10.0
INVENTED = "hostile-"
"""How a cursor begins that no vendor has given; what stands behind it is where it leads."""
_NOT_RELAYED = frozenset({"connection", "content-length", "date", "host", "server", "transfer-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListForm:
    """Where a vendor's list keeps what."""

    items: str | None
    """The member in which the list stands; None where the list is the whole answer."""
    ids: tuple[str, ...]
    """The members that tell a record from others; an id that is altered is altered in all."""
    name: tuple[str, ...]
    """The way to a text of a record that people wrote, member by member."""
    position: Callable[[Request], int] = lambda _: 0
    """How many records, or pages, lie before the page that is asked for."""
    is_position_in_pages: bool = False
    position_query: frozenset[str] = frozenset()
    """What in a query says which page is meant; all else says which list."""
    total: str | None = None
    """The member that tells how long the list is."""
    total_header: str | None = None
    cursor: str | None = None
    """The member that leads to the next page; left out on the last."""
    cursor_query: str = ""


@dataclass
class Walk:
    """What was seen of one list since the gateway was told what to spoil."""

    first_items: list[Item] = field(default_factory=list)
    items_before: list[Item] = field(default_factory=list)
    second_cursor: str = ""
    places: dict[str, int] = field(default_factory=dict)
    """How many records lie before the page of a cursor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the vendor answered."""

    status: int
    reason: str
    content_type: str | None
    headers: tuple[tuple[str, str], ...]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed(Ask):
    """A request to a vendor, and the vendor's answer in place of our own."""

    answered: Answered
    form: ListForm | None
    walk: Walk
    is_beyond: bool
    """Whether a page was asked for that there is not."""

    @property
    def status(self) -> str:
        """The vendor's status."""
        return f"{self.answered.status} {self.answered.reason}"

    @property
    def total(self) -> int:
        """What the vendor says; the length of the page where it says nothing."""
        if self.form is not None and self.form.total is not None:
            return int(self.document()[self.form.total])
        if self.form is not None and self.form.total_header is not None:
            return int(dict(self.answered.headers)[self.form.total_header.lower()])
        return len(self.items())

    @property
    def items_key(self) -> str:
        """The member in which the list stands."""
        return (self.form.items if self.form is not None else None) or ""

    @property
    def name_key(self) -> str:
        """The member in which a record's text stands."""
        return self.form.name[-1] if self.form is not None else ""

    def items(self) -> list[Item]:
        """The records of the vendor's page."""
        if self.form is None or self.is_beyond:
            return []
        document = self.document()
        found = document if self.form.items is None else document.get(self.form.items, [])
        return list(found) if isinstance(found, list) else []

    def first_items(self) -> list[Item]:
        """The records of the first page that was asked for."""
        return copy.deepcopy(self.walk.first_items)

    def items_before(self) -> list[Item]:
        """The records of the page before."""
        return copy.deepcopy(self.walk.items_before)

    def id_of(self, item: Item) -> Any:
        """The id of a record."""
        return item[self._form.ids[0]]

    def altered(self, item: Item, **changes: Any) -> Item:
        """The record with another `id` or `name`."""
        made = copy.deepcopy(item)
        for member in self._form.ids if "id" in changes else ():
            made[member] = changes["id"]
        if "name" in changes:
            *way, last = self._form.name
            inner = made
            for member in way:
                inner = inner.get(member, {})
            if last in inner:  # a client may have asked for the ids alone
                inner[last] = changes["name"]
        return made

    def invented(self, number: int) -> Item:
        """A record that the vendor does not hold, as its first one but for id and name."""
        like = self.walk.first_items[0]
        is_number = isinstance(self.id_of(like), int)
        return self.altered(like, id=number if is_number else f"x{number}", name=f"Sample {number}")

    def with_items(self, items: object) -> Any:
        """The vendor's document with something else where the list stands."""
        if self.form is None:
            return self.document()
        return items if self.form.items is None else self.document() | {self.form.items: items}

    def page(
        self, *, items: object = Part.HONEST, total: object = Part.HONEST, cursor: object = Part.HONEST
    ) -> Iterator[bytes]:
        """The vendor's answer with something else for its list, its total or the way to the next page."""
        form = self._form
        document = self.with_items(self.items() if items is Part.HONEST else items)
        headers = self.answered.headers
        if form.total is not None and total is not Part.HONEST:
            document = _with(document, form.total, total)
        if form.total_header is not None and total is not Part.HONEST:
            headers = tuple(pair for pair in headers if pair[0] != form.total_header.lower())
            headers += () if total is Part.LEFT_OUT else ((form.total_header, str(total)),)
        if form.cursor is not None and cursor is not Part.HONEST:
            document = _with(document, form.cursor, Part.LEFT_OUT if cursor is None else cursor)
        yield message(
            encoded(document),
            status=self.status,
            content_type=self.answered.content_type,
            headers=list(headers),
        )

    def document(self) -> Any:
        """The vendor's document; an empty one where its answer is no JSON."""
        try:
            document: Any = json.loads(self.answered.content)
        except ValueError:
            document = {}
        return document

    def body(self) -> bytes:
        """The vendor's body, byte for byte."""
        return self.answered.content

    def next_cursor(self) -> str | None:
        """The vendor's cursor; None after the last page."""
        if self.form is None or self.form.cursor is None or self.is_beyond:
            return None
        cursor: str | None = self.document().get(self.form.cursor)
        return cursor

    def first_cursor(self) -> str:
        """The cursor of the second page: to the first one none leads."""
        return self.walk.second_cursor

    def second_cursor(self) -> str:
        """The cursor on the first page."""
        return self.walk.second_cursor

    def cursor_onward(self) -> str:
        """The vendor's cursor; after the last page an invented one."""
        return self.next_cursor() or f"{INVENTED}{self.offset + self.limit}"

    def is_cursor_whole(self) -> bool:
        """Whether the cursor that was sent with `STRANGE` at its end came back as it was."""
        cursor = self.query.get(self._form.cursor_query)
        return cursor is None or cursor.endswith(STRANGE)

    def unasked(self) -> bytes:
        """The vendor's answer once more, about others."""
        return self.honest(body=encoded(renamed(self, "Mallory")))

    def honest_headers(self) -> list[tuple[str, str]]:
        """The vendor's headers besides type and length."""
        return list(self.answered.headers)

    def honest(self, *, body: bytes | None = None, **frame: Any) -> bytes:
        """The vendor's answer whole, with another body or frame where one is given."""
        headers = [*self.honest_headers(), *frame.pop("headers", [])]
        honest = {"status": self.status, "content_type": self.answered.content_type}
        return message(self.body() if body is None else body, **(honest | frame), headers=headers)

    @property
    def _form(self) -> ListForm:
        if self.form is None:
            raise ValueError("this nastiness is done to lists: tell the gateway the form of this one")
        return self.form


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoiling:
    nasty: Nastiness
    where: re.Pattern[str]
    form: ListForm | None


class HostileGateway(Talker):
    """Stands before one vendor."""

    def __init__(self, vendor_url: str) -> None:
        super().__init__()
        self._vendor = urlsplit(vendor_url)
        self._spoiling: _Spoiling | None = None
        self._walks: dict[str, Walk] = {}
        self._credentials: set[str] = set()
        self._switching = threading.Lock()  # tests switch from other threads
        self.struck = 0
        """How many answers have been spoiled."""

    def spoil(self, nasty: Nastiness | None, *, where: str = "", form: ListForm | None = None) -> None:
        """Spoil the answers to the requests whose `METHOD path` the pattern `where` is found in; None spoils none."""
        with self._switching:
            self._spoiling = None if nasty is None else _Spoiling(nasty=nasty, where=re.compile(where), form=form)
            self._walks = {}

    def credentials(self) -> frozenset[str]:
        """Every credential that was shown, so that a test can look for them where none may stand."""
        with self._switching:
            return frozenset(self._credentials)

    async def answer(self, request: Request, listener: Listener) -> Iterator[Step]:
        """The vendor's answer, honest or spoiled; the stranger knows nothing."""
        self.note(request, listener)
        if listener == "stranger":
            return iter((message(encoded({"message": "no such path"}), status="404 Not Found"),))
        with self._switching:
            spoiling, walks = self._spoiling, self._walks
            self._credentials |= _credentials_in(request)
        if spoiling is None or spoiling.where.search(f"{request.method} {request.path}") is None:
            spoiling = None
        form = spoiling.form if spoiling is not None else None
        answered = await asyncio.to_thread(self._asked, request, form)
        ask = self._relayed(request, answered, form, walks)
        if spoiling is None:
            return iter((ask.honest(),))
        self.struck += 1
        return spoiling.nasty.act(ask)

    def _relayed(self, request: Request, answered: Answered, form: ListForm | None, walks: dict[str, Walk]) -> Relayed:
        walk = walks.setdefault(_list_of(request, form), Walk())
        cursor = request.query.get(form.cursor_query, "") if form is not None else ""
        place = _place(request, form, walk, cursor) if form is not None else 0
        ask = Relayed(
            method=request.method,
            resource="items",
            base=f"{self.url}{request.path}",
            stranger=self.stranger_url,
            headers=request.headers,
            query=request.query,
            offset=place,
            answered=answered,
            form=form,
            walk=walk,
            is_beyond=cursor.startswith(INVENTED),
        )
        if form is None:
            return ask
        items, onward = ask.items(), ask.next_cursor()
        if place == 0:
            walk.first_items, walk.second_cursor = items, onward or ""
        if onward is not None:
            walk.places[onward] = place + len(items)
        seen = replace(walk)  # the page at hand is the page before only to whoever asks next
        walk.items_before = items or walk.items_before
        return replace(ask, limit=max(1, len(walk.first_items)), walk=seen)

    def _asked(self, request: Request, form: ListForm | None) -> Answered:
        """Ask the vendor, without what the gateway has added to a cursor."""
        target = request.target
        cursor = request.query.get(form.cursor_query) if form is not None else None
        if form is not None and cursor is not None and (cursor.startswith(INVENTED) or STRANGE in cursor):
            query = {name: value for name, value in request.query.items() if name != form.cursor_query}
            if not cursor.startswith(INVENTED):
                query[form.cursor_query] = cursor.partition(STRANGE)[0]
            target = f"{urlsplit(target).path}?{urlencode(query)}"
        connection = http.client.HTTPConnection(self._vendor.netloc, timeout=VENDOR_SECONDS_MAX)
        with contextlib.closing(connection):
            headers = {name: value for name, value in request.headers.items() if name not in _NOT_RELAYED}
            connection.request(request.method, target, body=request.body or None, headers=headers)
            response = connection.getresponse()
            content = response.read()
        told = tuple((name.lower(), value) for name, value in response.getheaders())
        return Answered(
            status=response.status,
            reason=response.reason,
            content_type=response.headers.get("content-type"),
            headers=tuple(pair for pair in told if pair[0] not in _NOT_RELAYED and pair[0] != "content-type"),
            content=content,
        )


@contextlib.contextmanager
def serving_gateway(vendor_url: str) -> Iterator[HostileGateway]:
    """Serve from a thread on free ports of this machine; for tests."""
    gateway = HostileGateway(vendor_url)
    with talking(gateway):
        yield gateway


def rows_after(nasty: Nastiness, rows: list[dict[str, Any]], *, name: str) -> list[dict[str, Any]]:
    """The rows that a client who accepts must deliver, by those of the vendor; `name` is the column of the name."""
    if nasty.renames is None and nasty.items != ITEMS:
        raise ValueError(f"{nasty.name} alters more than names")
    return rows if nasty.renames is None else [row | {name: nasty.renames} for row in rows]


def _with(document: Any, member: str, said: object) -> Any:
    kept = {name: value for name, value in document.items() if name != member}
    return kept if said is Part.LEFT_OUT else kept | {member: said}


def _list_of(request: Request, form: ListForm | None) -> str:
    query: Mapping[str, str] = request.query
    positions = form.position_query | {form.cursor_query} if form is not None else frozenset()
    return f"{request.path}?{sorted((name, value) for name, value in query.items() if name not in positions)}"


def _place(request: Request, form: ListForm, walk: Walk, cursor: str) -> int:
    if cursor.startswith(INVENTED):
        return int(cursor.removeprefix(INVENTED))
    if cursor:
        return walk.places.get(cursor.partition(STRANGE)[0], 1)
    place = form.position(request)
    return place * max(1, len(walk.first_items)) if form.is_position_in_pages else place


def _credentials_in(request: Request) -> set[str]:
    shown = {value for name, value in request.headers.items() if name == "authorization" or name.endswith("cert")}
    return {part for value in shown for part in value.split(" ") if len(part) > len("Bearer")}
