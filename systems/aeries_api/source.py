"""Reads Aeries's lists whole, or says that it could not.

Nothing that is paged or cut tells a total here, so what makes a reading whole is how it is read: lists of students are
read up to a proven end (`positions`), every other list comes as one array in one answer. The year is looked at before
and after. Pages are made of the answers, in the order of the schools; empty schools make no page.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from shared.errors import StopRun
from shared.http.patience import patiently
from shared.http.reading import Fetched, PagedReading
from shared.http.rows import Rows
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Reading
from systems.aeries_api import entities, wire
from systems.aeries_api.asking import GRANT_FIELDS, SCHOOLS_PATH, Asker, gone
from systems.aeries_api.checking import findings
from systems.aeries_api.client import AeriesClient
from systems.aeries_api.config import AeriesApiConfig
from systems.aeries_api.entities import ENROLMENTS, AeriesEntity
from systems.aeries_api.positions import Stretch, whole_list
from systems.aeries_api.year import YearGuard

WITHHELD_ROWS_MIN: Final = 10
"""From how many records on a column that is blank in all of them counts as kept back."""
Unit = TypeVar("Unit")
Result = TypeVar("Result")
Lists = AsyncGenerator[Fetched, None]


def build_source(config: AeriesApiConfig, surroundings: Surroundings) -> AeriesSource:
    """A source with the certificate that may only read."""
    return AeriesSource(config, surroundings, client=AeriesClient(config, surroundings, may_write=False))


@dataclass
class _Whole:
    """What a reading has shown of itself so far."""

    rows: int = 0
    origin: str = ""
    is_blank: frozenset[str] = frozenset()
    """Columns without a value in any record so far."""


class AeriesSource:
    """One school year of one district; see `shared.ports.system.Source`."""

    def __init__(self, config: AeriesApiConfig, surroundings: Surroundings, *, client: AeriesClient) -> None:
        self._config = config
        self._surroundings = surroundings
        self._client = client
        self._asker = Asker(config, surroundings, client=client)
        self._year = YearGuard(client, wanted=config.database_year, clock=surroundings.clock)

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return entities.columns_of(entity)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        described, whole = entities.entity_of(entity), _Whole()
        return PagedReading(
            entity,
            columns=described.columns,
            key=described.key,
            pages=lambda: self._pages(described, whole),
            total=lambda: ExpectedRows(whole.rows, whole.origin),
            pages_max=self._config.pages_max,
        )

    async def check(self) -> Sequence[Finding]:
        """Network, virtual directory and year; then the certificate; then the permission and shape of each area."""
        return await findings(self._asker, self._year)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()

    # --- lists ------------------------------------------------------------------------------------------------------

    async def _pages(self, entity: AeriesEntity, whole: _Whole) -> Lists:
        await patiently(lambda: self._year.require(use="SRC"), surroundings=self._surroundings)
        whole.is_blank = frozenset(entity.never_all_blank)
        async with aclosing(self._lists(entity, whole)) as lists:
            async for fetched in lists:
                if not fetched.rows.length:
                    continue
                whole.rows += fetched.rows.length
                whole.is_blank = frozenset(name for name in whole.is_blank if not any(fetched.rows.columns[name]))
                yield fetched
        if whole.is_blank and whole.rows >= WITHHELD_ROWS_MIN:
            names = ", ".join(sorted(whole.is_blank))
            text = f"entity {entity.name}: blank in all {whole.rows} records: {names}; {GRANT_FIELDS}"
            raise StopRun("SRC_WRONG_SHAPE", text, entity=entity.name)
        await patiently(self._year.require_still, surroundings=self._surroundings)
        if not whole.rows:
            yield Fetched(wire.rows_of([], entity), hashlib.sha256(b"").hexdigest())

    def _lists(self, entity: AeriesEntity, whole: _Whole) -> Lists:
        match entity.name:
            case "schools" | "terms":
                whole.origin = "one whole array"
                return self._schools(entity)
            case "staff" | "courses":
                whole.origin = "one whole array"
                return self._one(f"/{entity.name}", entity)
            case "students":
                whole.origin = (
                    "each school's list asked for up to its last record, which then came alone, and nothing behind it"
                )
                return self._by_school(self._students)
            case "rosters":
                whole.origin = "one whole array for each section"
                return self._rosters()
            case _:
                whole.origin = "one whole array for each school"
                return self._by_school(lambda school: self._array(school, entity))

    async def _schools(self, entity: AeriesEntity) -> Lists:
        items, sha256 = await self._asker.schools()
        items = wire.terms_of(items) if entity is entities.TERMS else items
        yield Fetched(self._asker.rows(items, entity, SCHOOLS_PATH), sha256)

    async def _one(self, path: str, entity: AeriesEntity) -> Lists:
        answer = await self._asker.get(path, entity)
        yield Fetched(self._asker.rows(wire.records_in(answer.body), entity, path), answer.sha256)

    async def _by_school(self, read: Callable[[int], Awaitable[list[Fetched]]]) -> Lists:
        schools, _ = await self._asker.schools()
        codes = self._asker.codes(schools)
        async with aclosing(_in_order(codes, read, at_once=self._config.requests_at_once)) as found:
            async for fetched in found:
                for each in fetched:
                    yield each

    async def _students(self, school: int) -> list[Fetched]:
        entity, path = entities.STUDENTS, f"/schools/{school}/students"

        async def ask(first: int, last: int) -> Stretch:
            query: dict[str, str | int] = {"StartingRecord": first, "EndingRecord": last}
            answer = await self._asker.look(path, entity, query=query)
            if answer is None:
                # No document says how a stretch behind the last record is answered: with no records, or as missing.
                if first == 1:
                    raise gone(entity)
                return Stretch([], [], "")
            items = wire.records_in(answer.body)
            return Stretch(items, [wire.student_in(item) for item in items], answer.sha256)

        stretches = await whole_list(
            ask,
            place=f"entity {entity.name}, school {school}",
            records=self._config.page_records,
            stretches_max=self._config.pages_max,
        )
        return [Fetched(self._asker.rows_at(school, each.items, entity, path), each.sha256) for each in stretches]

    async def _array(self, school: int, entity: AeriesEntity) -> list[Fetched]:
        year = self._config.database_year
        path = f"/schools/{school}/{f'enrollment/0/year/{year}' if entity is ENROLMENTS else 'sections'}"
        answer = await self._asker.get(path, entity)
        rows = self._asker.rows_at(school, wire.records_in(answer.body), entity, path)
        if entity is ENROLMENTS and set(rows.columns["year"]) - {year}:
            text = f"entity {entity.name}: records of another year than {year} came; report it"
            raise StopRun("SRC_WRONG_SHAPE", text, entity=entity.name)
        return [Fetched(rows, answer.sha256)]

    async def _rosters(self) -> Lists:
        """The seats of every section, a page's worth at a time: most sections have some thirty."""
        sections = await self._sections()

        async def read(section: _Section) -> Fetched:
            path = f"/schools/{section.school}/sections/{section.number}/students"
            answer = await self._asker.get(path, entities.ROSTERS)
            items = wire.records_in(answer.body)
            rows = self._asker.rows_at(section.school, items, entities.ROSTERS, path, term_ends=section.term_ends)
            return Fetched(rows, answer.sha256)

        seats: list[Fetched] = []
        async with aclosing(_in_order(sections, read, at_once=self._config.requests_at_once)) as found:
            async for fetched in found:
                seats.append(fetched)
                if sum(each.rows.length for each in seats) >= self._config.page_records:
                    yield _as_one(seats)
                    seats = []
        if seats:
            yield _as_one(seats)

    async def _sections(self) -> list[_Section]:
        schools, _ = await self._asker.schools()
        terms = self._asker.rows(wire.terms_of(schools), entities.TERMS, SCHOOLS_PATH).columns
        ends = dict(zip(terms["key"], terms["end_date"], strict=True))
        found: list[_Section] = []
        async with aclosing(self._by_school(lambda school: self._array(school, entities.SECTIONS))) as pages:
            async for page in pages:
                columns = page.rows.columns
                for school, number, term in zip(columns["school"], columns["number"], columns["term_key"], strict=True):
                    end = ends.get(term)
                    found.append(_Section(int(str(school)), int(str(number)), None if end is None else str(end)))
        return found


@dataclass(frozen=True)
class _Section:
    """A section whose seats are asked for."""

    school: int
    number: int
    term_ends: str | None


async def _in_order(
    units: Sequence[Unit], read: Callable[[Unit], Awaitable[Result]], *, at_once: int
) -> AsyncGenerator[Result, None]:
    """What each unit was read to, in the order of the units, some of them read ahead."""
    ahead: deque[asyncio.Future[Result]] = deque()
    left = deque(units)
    try:
        while left or ahead:
            while left and len(ahead) < at_once:
                ahead.append(asyncio.ensure_future(read(left.popleft())))
            yield await ahead[0]
            ahead.popleft()
    finally:
        for each in ahead:
            each.cancel()
        await asyncio.gather(*ahead, return_exceptions=True)


def _as_one(pages: Sequence[Fetched]) -> Fetched:
    columns = {name: [value for page in pages for value in page.rows.columns[name]] for name in pages[0].rows.columns}
    unknown: Counter[str] = Counter()
    for page in pages:
        unknown.update(page.rows.unknown_fields)
    digest = hashlib.sha256(b"".join(bytes.fromhex(page.sha256) for page in pages))
    return Fetched(Rows(columns, sum(page.rows.length for page in pages), unknown), digest.hexdigest())
