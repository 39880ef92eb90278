"""Reads TitanHST's lists whole, or says that it could not.

A few pages are asked for ahead and looked at one after another; each is tested against all before it. A list that
changes while it is read cannot be certified, so any sign of it ends the reading: a total that moves, a page cut short,
a record twice, an order that breaks. Retries happen per request, bounded; a retried page is asked for from the same
offset.
"""

from __future__ import annotations

import asyncio
import hashlib
import operator
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Literal

import polars as pl

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Page
from systems.titanhst.client import Answer, TitanhstClient
from systems.titanhst.config import HttpDescription, TitanhstConfig, description
from systems.titanhst.wire import Rows, WrongShape, entity_of, rows_of

TRIES_MAX = 5
"""Of one request that finds nobody or a broken server."""
RATE_WAITS_MAX = 20
"""Of one request that is told to slow down; these use up no try."""
WAIT_SECONDS_FIRST, WAIT_SECONDS_MAX = 1.0, 60.0

TOTAL_ORIGIN = "total of the last page"

_DTYPES = {"text": pl.String(), "boolean": pl.Boolean(), "integer": pl.Int64()}
_DIGITS = re.compile(r"([0-9]+)")
_DIGIT_TO_ZERO = str.maketrans("123456789", "000000000")


def columns_of(entity: str, http: HttpDescription | None = None) -> Sequence[Column]:
    """The columns of an entity, from the description; `StopRun` for one that it does not hold."""
    fields = entity_of(http or description(), entity).fields
    return tuple(Column(name, field.kind) for name, field in fields.items())


def build_source(config: TitanhstConfig, surroundings: Surroundings) -> TitanhstSource:
    """A source with the credential that may only read."""
    http = description()
    client = TitanhstClient(config, http=http, token=surroundings.resolve(config.token), surroundings=surroundings)
    return TitanhstSource(config, http=http, client=client, surroundings=surroundings)


class TitanhstSource:
    """TitanHST for reading; see `shared.ports.system.Source`."""

    def __init__(
        self, config: TitanhstConfig, *, http: HttpDescription, client: TitanhstClient, surroundings: Surroundings
    ) -> None:
        self._config = config
        self._http = http
        self._client = client
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the description."""
        return columns_of(entity, self._http)

    def read(self, entity: str) -> TitanhstReading:
        """A new reading; nothing is sent before it is iterated."""
        entity_of(self._http, entity)
        return TitanhstReading(
            entity, config=self._config, http=self._http, client=self._client, surroundings=self._surroundings
        )

    async def check(self) -> Sequence[Finding]:
        """Asks each list for one record, once: network, then authentication, then shape."""
        findings: list[Finding] = []
        for entity, described in self._http.entities.items():
            try:
                paging = self._http.paging
                answer = await self._client.get(
                    self._http.base_path + described.list, use="SRC", query={paging.offset: 0, paging.limit: 1}
                )
                rows = _rows(answer, http=self._http, entity=entity)
            except AetherError as error:
                findings.append(Finding(_subject(error), False, f"entity {entity}: {error.message}"))
                if not isinstance(error, StopRun):
                    break  # the next list would meet the same wall
            else:
                findings.append(Finding("shape", True, f"entity {entity}: can be read, {rows.total} records"))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "the interface answers"))
            findings.insert(1, Finding("authentication", True, "the token is accepted for reading"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()


class TitanhstReading:
    """One complete read of one list; see `shared.ports.system.Reading`."""

    def __init__(
        self,
        entity: str,
        *,
        config: TitanhstConfig,
        http: HttpDescription,
        client: TitanhstClient,
        surroundings: Surroundings,
    ) -> None:
        self._entity = entity
        self._config = config
        self._http = http
        self._client = client
        self._surroundings = surroundings
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
        limit = min(self._config.page_limit, self._http.paging.limit_max)
        described = entity_of(self._http, self._entity)
        schema = {name: _DTYPES[field.kind] for name, field in described.fields.items()}
        watch = _Watch(self._entity, limit=limit)
        asked = _Ahead(
            lambda offset: self._asked(described.list, offset=offset, limit=limit),
            limit=limit,
            in_flight=self._config.pages_in_flight,
        )
        try:
            for number in range(1, self._config.pages_max + 1):
                answer = await asked.page_at(watch.offset)
                rows = _rows(answer, http=self._http, entity=self._entity)
                ids = list(map(str, next(iter(rows.columns.values()))))
                watch.see(ids, total=rows.total)
                for name, count in rows.unknown_fields.items():
                    self.unknown_fields[name] = self.unknown_fields.get(name, 0) + count
                asked.look_ahead(watch.offset, total=rows.total)
                if ids or number == 1:
                    yield Page(
                        number=number,
                        rows=pl.DataFrame(rows.columns, schema=schema),
                        first_cursor=ids[0] if ids else "",
                        last_cursor=ids[-1] if ids else "",
                        sha256=answer.sha256 if answer is not None else hashlib.sha256(b"").hexdigest(),
                    )
                # A full last page is followed by one more question: a total that is too low would hide the rest.
                if watch.offset == rows.total and len(ids) < limit:
                    self._expected = ExpectedRows(rows=rows.total, origin=TOTAL_ORIGIN)
                    return
        finally:
            await asked.leave()
        raise StopRun(
            "SRC_INCOMPLETE",
            f"entity {self._entity}: not at its end after {self._config.pages_max} pages of {limit} (pages_max)",
            entity=self._entity,
        )

    async def _asked(self, path: str, *, offset: int, limit: int) -> Answer | None:
        paging = self._http.paging
        tries, rate_waits = 0, 0
        while True:
            try:
                return await self._client.get(
                    self._http.base_path + path, use="SRC", query={paging.offset: offset, paging.limit: limit}
                )
            except TryLater as later:
                if later.code == "SRC_RATE_LIMITED":
                    rate_waits += 1
                else:
                    tries += 1
                if tries >= TRIES_MAX or rate_waits > RATE_WAITS_MAX:
                    raise
                await self._surroundings.sleep(self._wait_seconds(tries + rate_waits, later.retry_after_seconds))

    def _wait_seconds(self, attempt: int, asked: float | None) -> float:
        # Full jitter on top of nothing, or on top of what was asked, so that many readers do not return at once.
        ceiling = min(WAIT_SECONDS_FIRST * 2 ** (attempt - 1), WAIT_SECONDS_MAX)
        jitter = self._surroundings.rng.uniform(0, ceiling)
        return jitter if asked is None else asked + min(jitter, WAIT_SECONDS_FIRST)


class _Ahead:
    """Asks for the next pages while the present one is looked at; never beyond the total that the last page told."""

    def __init__(self, ask: Callable[[int], Coroutine[Any, Any, Answer | None]], *, limit: int, in_flight: int) -> None:
        self._ask = ask
        self._limit = limit
        self._in_flight = in_flight
        self._asked: dict[int, asyncio.Task[Answer | None]] = {}

    async def page_at(self, offset: int) -> Answer | None:
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


class _Watch:
    """Tests each page against all pages before it."""

    def __init__(self, entity: str, *, limit: int) -> None:
        self.offset = 0
        """Records seen, and so the place of the next page."""
        self._entity = entity
        self._limit = limit
        self._total: int | None = None
        self._page_before: Sequence[str] = ()
        # Which order a list of ids like c-9, c-10 follows is not described; one of the two must hold throughout. Either
        # is strict, so that no record can come twice while it holds.
        self._is_in_text_order = True
        self._is_in_number_order = True

    def see(self, ids: Sequence[str], *, total: int) -> None:
        """`StopRun` (SRC_INCOMPLETE) at the first sign that the list is not whole or did not stand still."""
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
        self.offset = reached
        self._page_before = ids

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

    def _broken(self, text: str, code: Literal["SRC_INCOMPLETE", "SRC_WRONG_SHAPE"] = "SRC_INCOMPLETE") -> StopRun:
        return StopRun(code, f"entity {self._entity}: {text}; read it anew", entity=self._entity, offset=self.offset)


def _rows(answer: Answer | None, *, http: HttpDescription, entity: str) -> Rows:
    if answer is None:
        raise StopRun("SRC_WRONG_SHAPE", f"entity {entity}: there is no such list; check base_url", entity=entity)
    try:
        return rows_of(answer.body, http=http, entity=entity)
    except WrongShape as wrong:
        raise StopRun(
            "SRC_WRONG_SHAPE",
            f"entity {entity}: {wrong}; compare it with http.yaml",
            entity=entity,
            pointer=wrong.pointer,
        ) from None


def _number_order(text: str) -> list[tuple[int, str]]:
    # Digits are compared by length, then as text, which is their order as numbers of any length.
    parts = (part.lstrip("0") if index % 2 else part for index, part in enumerate(_DIGITS.split(text)))
    return [(len(part), part) if index % 2 else (0, part) for index, part in enumerate(parts)]


def _subject(error: AetherError) -> str:
    match error:
        case TryLater():
            return "network"
        case NeedsPerson() if error.facts.get("status") == 403:
            return "permission"
        case NeedsPerson() if error.code == "SRC_AUTH":
            return "authentication"
        case NeedsPerson():
            return "settings"
        case _:
            return "shape"
