"""What walking through a list page by page has to watch: what is asked for ahead, whether the list stands still, and
where to go on.

Everything here is about places, ids and digests of pages; it sends nothing itself and sees no record. `Watch` is the
one judge of whether pages fit together; `Point` is what it takes for another process to stand where this one stood.
"""

from __future__ import annotations

import asyncio
import operator
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import StopRun

Page = TypeVar("Page")

_DIGITS = re.compile(r"([0-9]+)")
_DIGIT_TO_ZERO = str.maketrans("123456789", "000000000")


class Ahead(Generic[Page]):
    """Asks for the next pages while the present one is looked at; never beyond the total that the last page told."""

    def __init__(self, ask: Callable[[int], Coroutine[Any, Any, Page]], *, limit: int, in_flight: int) -> None:
        self._ask = ask
        self._limit = limit
        self._in_flight = in_flight
        self._asked: dict[int, asyncio.Task[Page]] = {}

    async def page_at(self, offset: int) -> Page:
        """The page at that offset; what its request raised is raised here, in the order of the pages."""
        task = self._asked.pop(offset, None)
        return await (self._ask(offset) if task is None else task)

    def look_ahead(self, offset: int, *, total: int) -> None:
        """Have the pages from that offset on asked for, as many as may be in flight beside the one to come next."""
        for ahead in range(offset, min(total, offset + self._limit * self._in_flight), self._limit):
            if ahead not in self._asked:
                self._asked[ahead] = asyncio.create_task(self._ask(ahead))

    async def leave(self) -> None:
        """Give up what was asked for and is not wanted any more."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)
        self._asked.clear()


class Point(BaseModel):
    """Where a reading stands behind one page, and by what the page is known again; no value of any record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    number: int
    offset: int
    """Of the page itself."""
    limit: int
    total: int
    sha256: str
    is_in_text_order: bool
    is_in_number_order: bool

    @classmethod
    def of(cls, text: str, *, entity: str) -> Self:
        """The point in a text; `StopRun` for one that no source of this make has written."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            raise StopRun(
                "SRC_UNSTABLE", f"entity {entity}: the resume point cannot be read; read it anew", entity=entity
            ) from None

    def text(self) -> str:
        """As it travels."""
        return self.model_dump_json()


class Watch:
    """Tests each page against all pages before it."""

    def __init__(self, entity: str, *, limit: int) -> None:
        self.offset = 0
        """Records seen, and so the place of the next page."""
        self.is_at_end = False
        """Whether the list has no further page."""
        self._entity = entity
        self._limit = limit
        self._total: int | None = None
        self._page_before: Sequence[str] = ()
        # Which order a list of ids like c-9, c-10 follows is not described; one of the two must hold throughout. Either
        # is strict, so that no record can come twice while it holds.
        self._is_in_text_order = True
        self._is_in_number_order = True

    def point(self, *, number: int, offset: int, sha256: str) -> Point:
        """Where it stands, behind the page of that number."""
        return Point(
            number=number,
            offset=offset,
            limit=self._limit,
            total=self._total or 0,
            sha256=sha256,
            is_in_text_order=self._is_in_text_order,
            is_in_number_order=self._is_in_number_order,
        )

    def take_up(self, point: Point, ids: Sequence[str]) -> None:
        """Stand behind the page of that point, which holds these ids."""
        self._is_in_text_order, self._is_in_number_order = point.is_in_text_order, point.is_in_number_order
        self._total = point.total
        self._stand_behind(ids, offset=point.offset)

    def see(self, ids: Sequence[str], *, total: int) -> None:
        """`StopRun` (SRC_UNSTABLE) at the first sign that the list is not whole or did not stand still."""
        if self._total is None:
            self._total = total
        if total != self._total:
            raise self._broken(f"the total moved from {self._total} to {total} while it was read")
        if len(ids) > self._limit:
            raise self._broken(f"a page of {len(ids)} records where {self._limit} were asked for", "SRC_WRONG_SHAPE")
        if ids and ids == self._page_before:
            raise self._broken(f"the page at offset {self.offset} repeats the page before it")
        self._watch_order([*self._page_before[-1:], *ids])
        if not (self._is_in_text_order or self._is_in_number_order):
            is_twice = len(set(ids)) < len(ids) or not set(ids).isdisjoint(self._page_before)
            what = "a record comes twice" if is_twice else "the records are not in order"
            raise self._broken(f"{what} at offset {self.offset}")
        reached = self.offset + len(ids)
        if reached > total:
            raise self._broken(f"{reached} records came where the total is {total}")
        if len(ids) < self._limit and reached < total:
            raise self._broken(f"the page at offset {self.offset} is cut short: {reached} of {total} records came")
        self._stand_behind(ids, offset=self.offset)

    def _stand_behind(self, ids: Sequence[str], *, offset: int) -> None:
        self.offset = offset + len(ids)
        self._page_before = ids
        # A full last page is followed by one more question: a total that is too low would hide the rest.
        self.is_at_end = self.offset == self._total and len(ids) < self._limit

    def _watch_order(self, ids: Sequence[str]) -> None:
        is_in_text_order = all(map(operator.lt, ids, ids[1:]))
        self._is_in_text_order &= is_in_text_order
        # Where every id has its digits at the same places, both orders are one.
        is_of_one_form = len({each.translate(_DIGIT_TO_ZERO) for each in ids}) <= 1
        if is_of_one_form:
            self._is_in_number_order &= is_in_text_order
        elif self._is_in_number_order:
            numbers = [_number_order(each) for each in ids]
            self._is_in_number_order = all(map(operator.lt, numbers, numbers[1:]))

    def _broken(self, text: str, code: Literal["SRC_UNSTABLE", "SRC_WRONG_SHAPE"] = "SRC_UNSTABLE") -> StopRun:
        return StopRun(code, f"entity {self._entity}: {text}; read it anew", entity=self._entity, offset=self.offset)


def _number_order(text: str) -> list[tuple[int, str]]:
    # Digits are compared by length, then as text, which is their order as numbers of any length.
    parts = (part.lstrip("0") if index % 2 else part for index, part in enumerate(_DIGITS.split(text)))
    return [(len(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]
