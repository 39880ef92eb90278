"""Walks through lists that tell less of themselves than an ordered list with a total: page after page, to the end.

Each walk proves what can be proven with what its paging tells, and no more; where nothing proves that the list was
whole, the reading has no expected number, and nothing is ever removed because of it. That no record comes twice and
that the pages are not too many is `shared.http.reading.PagedReading`'s work.

    none           one answer, which the description says to be whole: its length is the proof
    with a total   the same total on every page, and as many records: the total is the proof
    offset_limit   each page begins with the last record of the page before, up to a page with nothing new: a list
                   that moved between two pages shows; that is the proof
    page_number, cursor, link_header, page_header without a total: no proof
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Final, assert_never
from urllib.parse import parse_qsl, urlsplit

from shared.http.reading import Fetched
from shared.http.rows import Rows
from shared.http.shape import WrongShape, at
from shared.ports.system import ExpectedRows
from systems.http.lists import Lister, ListPage, whole_number
from systems.http.paging import CursorPaging, HeaderPaging, LinkPaging, NoPaging, NumberPaging, OffsetPaging
from systems.http.steady import TOTAL_ORIGIN

CURSOR_CHARACTERS_MAX = 4_096
LINK_PARAMETERS_MAX = 50
LINK_CHARACTERS_MAX = 64_000
_LINK: Final = re.compile(r"""<([^>]*)>((?:\s*;\s*[^\s=;,"]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]*))?)*)""")
_PARAMETER: Final = re.compile(r""";\s*([^\s=;,"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*)))?""")


class Walk:
    """One walk through one list."""

    def __init__(self, lister: Lister, *, limit: int) -> None:
        self._lister = lister
        self._limit = limit
        self._rows = 0
        self._total: int | None = None
        self._proof: str | None = None

    def expected(self) -> ExpectedRows | None:
        """Behind the last page: how many records there are, and how that is known."""
        if self._proof is None:
            return None
        return ExpectedRows(rows=self._rows, origin=self._proof)

    async def pages(self) -> AsyncIterator[Fetched]:
        """The pages from the beginning to the end; `StopRun` at the first sign that they do not fit together."""
        paging = self._lister.paging
        match paging:
            case NoPaging():
                walk = self._at_once()
            case OffsetPaging():
                walk = self._by_offset(paging) if paging.tells_total else self._by_overlap(paging)
            case NumberPaging():
                walk = self._by_number(paging)
            case CursorPaging():
                walk = self._by_cursor(paging)
            case LinkPaging():
                walk = self._by_link(paging)
            case HeaderPaging():
                walk = self._by_header(paging)
            case _ as never:
                assert_never(never)
        async for page in walk:
            self._see(page)
            yield Fetched(page.rows, page.sha256)
        if self._total is not None:
            if self._rows != self._total:
                raise self._lister.broken(f"{self._rows} records came where the total is {self._total}")
            self._proof = TOTAL_ORIGIN

    def _see(self, page: ListPage) -> None:
        self._rows += page.rows.length
        if page.total is None:
            return
        if self._total is not None and page.total != self._total:
            raise self._lister.broken(f"the total moved from {self._total} to {page.total} while it was read")
        self._total = page.total
        if self._rows > page.total:
            raise self._lister.broken(f"{self._rows} records came where the total is {page.total}")

    def _require_fitting(self, page: ListPage) -> None:
        if page.rows.length > self._limit:
            text = f"a page of {page.rows.length} records where {self._limit} were asked for"
            raise self._lister.broken(text, "SRC_WRONG_SHAPE")

    async def _at_once(self) -> AsyncIterator[ListPage]:
        page = await self._lister.page({})
        self._proof = "one answer with the whole list"
        yield page

    async def _by_offset(self, paging: OffsetPaging) -> AsyncIterator[ListPage]:
        offset = 0
        while True:  # bounded by pages_max
            page = await self._lister.page({paging.offset: offset, paging.limit: self._limit})
            self._require_fitting(page)
            yield page
            offset += page.rows.length
            # A full page is followed by one more question: a total that is too low would hide the rest.
            if page.rows.length < self._limit:
                return

    async def _by_overlap(self, paging: OffsetPaging) -> AsyncIterator[ListPage]:
        reached, last = 0, None
        self._limit = max(self._limit, 2)  # a page of one record would hold nothing new
        while True:  # bounded by pages_max
            # The last record of the page before comes once more: has anything shifted, it is another one.
            back = 1 if reached else 0
            page = await self._lister.page({paging.offset: reached - back, paging.limit: self._limit})
            self._require_fitting(page)
            firsts = next(iter(page.rows.columns.values()))
            if back and (not firsts or firsts[0] != last):
                raise self._lister.broken(f"the record before offset {reached} is another one than it was")
            if back:
                page = _without_first(page)
            yield page
            if not page.rows.length:
                self._proof = "overlapping pages up to an empty one"
                return
            reached, last = reached + page.rows.length, next(iter(page.rows.columns.values()))[-1]

    async def _by_number(self, paging: NumberPaging) -> AsyncIterator[ListPage]:
        number: int = paging.first
        while True:  # bounded by pages_max
            page = await self._lister.page({paging.page: number, paging.limit: self._limit})
            self._require_fitting(page)
            yield page
            # Without a total, only an empty page says that there are no more: others may be shorter than asked for.
            if not page.rows.length or (paging.tells_total and page.rows.length < self._limit):
                return
            number += 1

    async def _by_cursor(self, paging: CursorPaging) -> AsyncIterator[ListPage]:
        cursor, seen = "", set[str]()
        while True:  # bounded by pages_max
            page = await self._lister.page({paging.limit: self._limit, **({paging.cursor: cursor} if cursor else {})})
            self._require_fitting(page)
            yield page
            cursor = self._next_cursor(page, paging)
            if not cursor:
                return
            if cursor in seen:
                raise self._lister.broken("a page leads back to one before it")
            seen.add(cursor)

    def _next_cursor(self, page: ListPage, paging: CursorPaging) -> str:
        try:
            told = at(page.body, paging.next)
        except WrongShape:
            return ""
        if told is None or told == "":
            return ""
        if isinstance(told, bool) or not isinstance(told, str | int) or len(str(told)) > CURSOR_CHARACTERS_MAX:
            raise self._lister.broken(f"{paging.next} is no cursor", "SRC_WRONG_SHAPE")
        return str(told)

    async def _by_link(self, paging: LinkPaging) -> AsyncIterator[ListPage]:
        query: dict[str, str | int] = {paging.limit: self._limit}
        seen = set[str]()
        while True:  # bounded by pages_max
            page = await self._lister.page(query)
            self._require_fitting(page)
            yield page
            link = _next_link(page)
            if link is None:
                return
            if link in seen:
                raise self._lister.broken("a page leads back to one before it")
            seen.add(link)
            try:
                found = urlsplit(link).query
                query = dict(parse_qsl(found, keep_blank_values=True, max_num_fields=LINK_PARAMETERS_MAX))
            except ValueError:  # what is no address, or has too many parameters
                query = {}
            if not query:
                raise self._lister.broken("the link to the next page has no query", "SRC_WRONG_SHAPE")

    async def _by_header(self, paging: HeaderPaging) -> AsyncIterator[ListPage]:
        number, pages = 1, None
        while True:  # bounded by pages_max
            page = await self._lister.page({paging.limit: self._limit}, headers={paging.page_header: str(number)})
            self._require_fitting(page)
            told = whole_number(page.headers.get(paging.pages_header))
            if told is None:
                raise self._lister.broken(f"header {paging.pages_header} is no number of pages", "SRC_WRONG_SHAPE")
            if pages is not None and told != pages:
                raise self._lister.broken(f"the number of pages moved from {pages} to {told} while it was read")
            pages = told
            if number < pages and not page.rows.length:
                raise self._lister.broken(f"page {number} of {pages} is empty")
            yield page
            if number >= pages:
                return
            number += 1


def _without_first(page: ListPage) -> ListPage:
    columns = {name: values[1:] for name, values in page.rows.columns.items()}
    rows = Rows(columns=columns, length=page.rows.length - 1, unknown_fields=page.rows.unknown_fields)
    return ListPage(rows, page.total, page.sha256, page.headers, page.body)


def _next_link(page: ListPage) -> str | None:
    """The address of `rel="next"` in the header `Link` (RFC 8288, 3); the readers at hand split within quotes."""
    for link in _LINK.finditer((page.headers.get("Link") or "")[:LINK_CHARACTERS_MAX]):
        for name, quoted, plain in _PARAMETER.findall(link[2]):
            if name.lower() == "rel" and "next" in (quoted or plain).lower().split():
                return link[1] or None
    return None
