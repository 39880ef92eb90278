"""Reads Apex's lists whole, or says that it could not.

Students and staff are lists. Enrolments are told by student only, so that every student who is active anywhere is asked
for; classrooms are told by nobody, so that those are found that any such student is or was in, unless the settings say
that Apex lists them. A walk through a list proves nothing by itself (see `lists`): every list is walked through again,
and both walks must hold the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from shared.errors import AetherError, StopRun
from shared.http.paging import Ahead
from shared.http.patience import patiently
from shared.http.reading import Fetched, PagedReading, finding_of
from shared.http.rows import Rows
from shared.http.shape import WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Reading
from shared.ports.wire import Value
from systems.apex.answers import classroom_of, columns_from, membership_of_row
from systems.apex.client import ApexClient, ListPage
from systems.apex.config import ApexConfig
from systems.apex.fields import ACTIVE, PEOPLE, TARGET_ID, USER_ID, columns_of
from systems.apex.lists import Enrollments, enrollments_of, people_pages
from systems.apex.wire import escaped

TWO_WALKS: Final = "two walks through every list, which held the same"

T = TypeVar("T")
Records = Sequence[Mapping[str, Value]]


def build_source(config: ApexConfig, surroundings: Surroundings) -> ApexSource:
    """A source with the client that may only read."""
    return ApexSource(config, ApexClient(config, surroundings, may_write=False), surroundings)


class ApexSource:
    """Apex for reading; see `shared.ports.system.Source`."""

    def __init__(self, config: ApexConfig, client: ApexClient, surroundings: Surroundings) -> None:
        self._config = config
        self._client = client
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return columns_of(entity)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        columns = columns_of(entity)
        walk = _Walk(entity, self._config, self._client, self._surroundings)
        return PagedReading(
            entity,
            columns=columns,
            key=[TARGET_ID],
            pages=walk.pages,
            total=walk.expected,
            pages_max=self._config.pages_max,
        )

    async def check(self) -> Sequence[Finding]:
        """Asks for a token and the first page of each list: network, authentication, permission, path, shape."""
        findings: list[Finding] = []
        for kind in PEOPLE:
            try:
                page = await self._client.page(f"/{kind}", 1, use="SRC")
                _records(page, kind)
            except AetherError as error:
                findings.append(finding_of(error, entity=kind))
                if not isinstance(error, StopRun):
                    break  # the next list would meet the same wall
            else:
                findings.append(Finding("shape", True, f"entity {kind}: can be read, {page.pages} pages"))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "Apex answers"))
            findings.insert(1, Finding("authentication", True, "the client is accepted for reading"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()


class _Walk:
    """One reading of one entity."""

    def __init__(self, entity: str, config: ApexConfig, client: ApexClient, surroundings: Surroundings) -> None:
        self._entity = entity
        self._config = config
        self._client = client
        self._surroundings = surroundings
        self._rows = 0
        self._classrooms_seen: set[str] = set()

    def expected(self) -> ExpectedRows | None:
        """How many there are, where that is proven."""
        # Without a list of their own, classrooms that nobody was ever in are told by nobody.
        is_found_by_chance = self._entity == "classrooms" and not self._config.classrooms_are_listed
        if is_found_by_chance or not self._config.lists_asked_twice:
            return None
        return ExpectedRows(self._rows, TWO_WALKS)

    async def pages(self) -> AsyncIterator[Fetched]:
        """The pages, in the order of the list of people that they come from."""
        kind = self._entity if self._is_listed() else "students"
        keys: set[Value] = set()
        known: set[str] = set()
        sha256 = ""
        async for page in self._people(kind):
            people = _records(page, kind)
            self._require_new(keys, people)
            records: Records = people
            sha256 = page.sha256
            if kind != self._entity:
                active = sorted({str(person[USER_ID]) for person in people if person[ACTIVE]} - known)
                known.update(active)
                records, digests = await self._of_students(active)
                sha256 = _digest(sha256, *digests)
            if records:
                yield self._fetched(records, sha256)
        if not self._rows:
            yield self._fetched([], sha256)
        if self._config.lists_asked_twice:
            await self._walk_again(kind, keys)

    def _is_listed(self) -> bool:
        return self._entity in PEOPLE or (self._entity == "classrooms" and self._config.classrooms_are_listed)

    def _people(self, kind: str, *, looks_behind: bool = False) -> AsyncIterator[ListPage]:
        return people_pages(
            self._client,
            kind,
            surroundings=self._surroundings,
            in_flight=self._config.requests_at_once,
            pages_max=self._config.pages_max,
            looks_behind=looks_behind,
        )

    async def _walk_again(self, kind: str, keys: set[Value]) -> None:
        again: set[Value] = set()
        async for page in self._people(kind, looks_behind=True):
            self._require_new(again, _records(page, kind))
        if again != keys:
            raise self._unsteady(f"{len(again ^ keys)} records of {kind} came in one walk through the list only")

    async def _of_students(self, user_ids: Sequence[str]) -> tuple[Records, list[str]]:
        """The enrolments of these students, or the classrooms that they name and that were not read yet; digests."""
        told = await self._side_by_side(self._enrollments, user_ids)
        if self._entity == "enrollments":
            return [record for each in told for record in each.records], [
                text for each in told for text in each.digests
            ]
        new = sorted(set().union(*(each.classroom_ids for each in told)) - self._classrooms_seen)
        self._classrooms_seen.update(new)
        records = await self._side_by_side(self._classroom, new)
        return records, [repr(sorted(record.items())) for record in records]

    async def _enrollments(self, user_id: str) -> Enrollments:
        first = await self._asked_enrollments(user_id)
        if self._config.lists_asked_twice:
            again = await self._asked_enrollments(user_id)
            if first != again:
                raise self._unsteady("the classrooms of a student came in two ways")
        return first

    async def _asked_enrollments(self, user_id: str) -> Enrollments:
        try:
            return await patiently(
                lambda: enrollments_of(self._client, user_id, use="SRC", pages_max=self._config.pages_max),
                surroundings=self._surroundings,
            )
        except WrongShape as wrong:
            raise _wrong("enrollments", wrong) from None

    async def _classroom(self, classroom_id: str) -> dict[str, Value]:
        body = await patiently(
            lambda: self._client.get(f"/classrooms/{escaped(classroom_id)}", use="SRC"), surroundings=self._surroundings
        )
        if body is None:
            raise self._unsteady("a classroom that a student is in is not there")
        try:
            return classroom_of(body)
        except WrongShape as wrong:
            raise _wrong("classrooms", wrong) from None

    async def _side_by_side(self, ask: Callable[[str], Awaitable[T]], what: Sequence[str]) -> list[T]:
        """What was asked, in that order, a few at a time."""

        async def one(index: int) -> T:
            return await ask(what[index])

        ahead = Ahead(one, limit=1, in_flight=self._config.requests_at_once)
        found: list[T] = []
        try:
            for index in range(len(what)):
                ahead.look_ahead(index, total=len(what))
                found.append(await ahead.page_at(index))
        finally:
            await ahead.leave()
        return found

    def _fetched(self, records: Records, sha256: str) -> Fetched:
        self._rows += len(records)
        names = [column.name for column in columns_of(self._entity)]
        return Fetched(Rows(columns=columns_from(records, names), length=len(records)), sha256)

    def _require_new(self, keys: set[Value], people: Records) -> None:
        before = len(keys)
        keys.update(person[TARGET_ID] for person in people)
        if len(keys) < before + len(people):
            raise self._unsteady("a record came twice")

    def _unsteady(self, text: str) -> StopRun:
        return StopRun("SRC_UNSTABLE", f"entity {self._entity}: {text}; read it anew", entity=self._entity)


def _records(page: ListPage, kind: str) -> list[dict[str, Value]]:
    try:
        if kind == "classrooms":
            return [classroom_of(item, pointer=f"/{index}") for index, item in enumerate(page.items)]
        return [membership_of_row(item, kind, pointer=f"/{index}") for index, item in enumerate(page.items)]
    except WrongShape as wrong:
        raise _wrong(kind, wrong) from None


def _wrong(entity: str, wrong: WrongShape) -> StopRun:
    return StopRun("SRC_WRONG_SHAPE", f"entity {entity}: {wrong}; ask Apex", entity=entity, pointer=wrong.pointer)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
