"""Reads Google's directory whole, or says that it could not; `lists` says how a whole list is told from a part.

Memberships are read group by group, a few groups at a time, and handed on in pages of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from shared.errors import AetherError, StopRun
from shared.http.reading import Fetched, PagedReading, finding_of, subject_of
from shared.http.rows import Rows
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Reading
from systems.google_directory.client import GoogleDirectoryClient
from systems.google_directory.config import GoogleDirectoryConfig
from systems.google_directory.entities import (
    ENTITIES,
    GROUPS,
    MEMBERS,
    ORG_UNITS,
    columns_of,
    entity_of,
)
from systems.google_directory.lists import BOTH_WAYS, Lister, digest_of, id_at, wrong_shape
from systems.google_directory.records import GroupSeen, group_in, rows_in

ROOT = "/"
"""The unit that is always there and is no record: everything hangs on it."""


def build_source(config: GoogleDirectoryConfig, surroundings: Surroundings) -> GoogleDirectorySource:
    """A source whose tokens may only read."""
    client = GoogleDirectoryClient(config, surroundings=surroundings, may_write=False)
    return GoogleDirectorySource(config, client=client, surroundings=surroundings)


class GoogleDirectorySource:
    """The directory for reading; see `shared.ports.system.Source`."""

    def __init__(
        self, config: GoogleDirectoryConfig, *, client: GoogleDirectoryClient, surroundings: Surroundings
    ) -> None:
        self._config = config
        self._client = client
        self._lister = Lister(client, config=config, surroundings=surroundings)

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return columns_of(entity)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        entity_of(entity)
        reader = _Reader(entity, config=self._config, lister=self._lister)
        return PagedReading(
            entity,
            columns=columns_of(entity),
            key=("target_id",),
            pages=reader.pages,
            total=reader.total,
            pages_max=self._config.pages_max,
        )

    async def check(self) -> Sequence[Finding]:
        """Asks each list for one record, once: network, then authentication, then each list's permission and shape."""
        findings: list[Finding] = []
        for entity in ENTITIES:
            try:
                text = await self._tried(entity)
            except AetherError as error:
                findings.append(finding_of(error, entity=entity))
                # A scope or a right that is missing is one list's; the next list would meet any other wall too.
                if subject_of(error) not in ("permission", "shape"):
                    break
            else:
                findings.append(Finding("shape", True, f"entity {entity}: {text}"))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "the interface answers"))
            findings.insert(1, Finding("authentication", True, "the service account gets tokens for reading"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()

    async def _tried(self, entity: str) -> str:
        group: str | None = None
        if entity == MEMBERS:
            groups = (await self._lister.first(GROUPS)).items
            if not groups:
                return "there is no group whose members could be read"
            group = id_at(GROUPS, groups[0])
        page = await self._lister.first(entity, group=group)
        if entity != MEMBERS:
            _rows(entity, page.items)
        return "can be read"


class _Reader:
    """One walk through one entity."""

    def __init__(self, entity: str, *, config: GoogleDirectoryConfig, lister: Lister) -> None:
        self._entity = entity
        self._config = config
        self._lister = lister
        self._expected: ExpectedRows | None = None

    def pages(self) -> AsyncIterator[Fetched]:
        """The pages of the entity."""
        if self._entity == MEMBERS:
            return self._members()
        return self._units() if self._entity == ORG_UNITS else self._both_ways()

    def total(self) -> ExpectedRows | None:
        """After the last page: how many there are, as far as that is proven."""
        return self._expected

    async def _both_ways(self) -> AsyncIterator[Fetched]:
        ids: set[str] = set()
        async for items in self._lister.pages(self._entity):
            ids.update(id_at(self._entity, item) for item in items)
            yield Fetched(_rows(self._entity, items), digest_of(items))
        await self._lister.require_same(self._entity, ids)
        self._expected = ExpectedRows(len(ids), BOTH_WAYS)

    async def _units(self) -> AsyncIterator[Fetched]:
        async for items in self._lister.pages(ORG_UNITS):
            rows = _rows(ORG_UNITS, items)
            paths = rows.columns["org_unit_path"]
            lost = sum(parent != ROOT for parent in set(rows.columns["parent_path"]) - set(paths))
            if lost:
                raise StopRun(
                    "SRC_INCOMPLETE",
                    f"entity {ORG_UNITS}: {lost} units are named as parents and are not among the {rows.length} listed",
                    entity=ORG_UNITS,
                )
            yield Fetched(rows, digest_of(items))
            self._expected = ExpectedRows(rows.length, "one answer holds all, each unit's parent among them")

    async def _members(self) -> AsyncIterator[Fetched]:
        groups = await self._groups()
        limit, rows = min(self._config.page_size, entity_of(MEMBERS).page_max), 0
        waiting: list[Json] = []
        is_first = True
        async with aclosing(self._by_group(groups)) as found:
            async for members in found:
                waiting += members
                # Most groups are small: pages of their own would be as many as groups.
                while len(waiting) >= limit:
                    page, waiting = waiting[:limit], waiting[limit:]
                    rows, is_first = rows + len(page), False
                    yield Fetched(_rows(MEMBERS, page), digest_of(page))
        if waiting or is_first:
            rows += len(waiting)
            yield Fetched(_rows(MEMBERS, waiting), digest_of(waiting))
        if self._config.member_counts == "must_agree":
            self._expected = ExpectedRows(rows, f"sum of what {len(groups)} groups say they have")

    async def _groups(self) -> list[GroupSeen]:
        """All groups, proven to be all."""
        groups: list[GroupSeen] = []
        async for items in self._lister.pages(GROUPS):
            try:
                groups += map(group_in, items)
            except WrongShape as wrong:
                raise wrong_shape(GROUPS, wrong) from None
        await self._lister.require_same(GROUPS, {group.id for group in groups})
        return groups

    async def _by_group(self, groups: Sequence[GroupSeen]) -> AsyncGenerator[list[Json], None]:
        """The members of each group, in the order of the groups; a few groups are asked for ahead."""
        left = iter(groups)
        asked: deque[asyncio.Task[list[Json]]] = deque()
        try:
            while True:
                while len(asked) < self._config.groups_in_flight and (group := next(left, None)) is not None:
                    asked.append(asyncio.create_task(self._lister.members_of(group), name="members of a group"))
                if not asked:
                    return
                yield await asked[0]
                asked.popleft()
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)


def _rows(entity: str, items: Sequence[Json]) -> Rows:
    try:
        return rows_in(entity, items)
    except WrongShape as wrong:
        raise wrong_shape(entity, wrong) from None
