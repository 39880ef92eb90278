"""Reads a list that is cut by numbers and told to be in order, and watches whether it stands still.

A few pages are asked for ahead and looked at one after another; each is tested against all before it. A list that
changes while it is read cannot be certified, so any sign of it ends the reading (SRC_UNSTABLE): a total that moves, a
page cut short, a record twice, an order that breaks. Retries happen per request, bounded; a retried page is asked for
from the same offset. A reading can be taken up behind any page, by another process too, as long as that page comes back
byte for byte.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import polars as pl

from shared.errors import StopRun
from shared.http.paging import Ahead, Point, Watch
from shared.http.reading import schema_of
from shared.ports.system import Column, ExpectedRows, Page
from systems.http.lists import ListPage

TOTAL_ORIGIN = "total of the last page"

Ask = Callable[[int], Coroutine[Any, Any, ListPage]]
"""Asks for the page that begins behind so many records."""


class SteadyReading:
    """One complete read of one list; see `shared.ports.system.Reading`."""

    def __init__(
        self,
        entity: str,
        columns: Sequence[Column],
        ask: Ask,
        *,
        limit: int,
        in_flight: int,
        pages_max: int,
        after: str | None = None,
    ) -> None:
        """`limit` is the number of records that `ask` asks for; `after` a resume point to go on behind."""
        self._entity = entity
        self._schema = schema_of(columns)
        self._ask = ask
        self._limit = limit
        self._in_flight = in_flight
        self._pages_max = pages_max
        self._after = after
        self._is_started = False
        self._expected: ExpectedRows | None = None
        self.unknown_fields: dict[str, int] = {}
        """Names in the records that the description does not hold, and how often they came."""

    @property
    def expected(self) -> ExpectedRows | None:
        """The other side's total; None until the last page."""
        return self._expected

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in the list's order; at least one, which is empty when there are no records."""
        if self._is_started:
            raise RuntimeError("a reading is iterated once; ask the source for a new one")
        self._is_started = True
        return self._pages()

    async def _pages(self) -> AsyncIterator[Page]:
        watch = Watch(self._entity, limit=self._limit)
        asked = Ahead(self._ask, limit=self._limit, in_flight=self._in_flight)
        number = 0
        try:
            if self._after is not None:
                number = await self._verify(Point.of(self._after, entity=self._entity), watch, asked)
            while not watch.is_at_end:
                if number >= self._pages_max:
                    raise StopRun(
                        "SRC_INCOMPLETE",
                        f"entity {self._entity}: not at its end after {number} pages of {self._limit} (pages_max)",
                        entity=self._entity,
                    )
                number += 1
                page = await asked.page_at(watch.offset)
                ids, offset, total = _ids(page), watch.offset, _total(page)
                watch.see(ids, total=total)
                for name, count in page.rows.unknown_fields.items():
                    self.unknown_fields[name] = self.unknown_fields.get(name, 0) + count
                asked.look_ahead(watch.offset, total=total)
                if ids or number == 1:
                    yield Page(
                        number=number,
                        rows=pl.DataFrame(page.rows.columns, schema=self._schema),
                        first_cursor=ids[0] if ids else "",
                        last_cursor=ids[-1] if ids else "",
                        sha256=page.sha256,
                        resume_point=watch.point(number=number, offset=offset, sha256=page.sha256).text(),
                    )
            self._expected = ExpectedRows(rows=watch.offset, origin=TOTAL_ORIGIN)
        finally:
            await asked.leave()

    async def _verify(self, point: Point, watch: Watch, asked: Ahead[ListPage]) -> int:
        """Look at the page of the resume point once more, and stand behind it; its number."""
        page = await asked.page_at(point.offset)
        total = _total(page)
        if (page.sha256, total, self._limit) != (point.sha256, point.total, point.limit):
            raise StopRun(
                "SRC_UNSTABLE",
                f"entity {self._entity}: the page at offset {point.offset} is not what it was when the reading was "
                f"left ({total} records in all, {point.total} then); read it anew",
                entity=self._entity,
                offset=point.offset,
            )
        watch.take_up(point, _ids(page))
        asked.look_ahead(watch.offset, total=total)
        return point.number


def _total(page: ListPage) -> int:
    assert page.total is not None, "lists that tell no total are read by `walks`"  # noqa: S101 - own invariant
    return page.total


def _ids(page: ListPage) -> list[str]:
    return list(map(str, next(iter(page.rows.columns.values()))))
