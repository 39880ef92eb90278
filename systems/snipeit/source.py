"""Reads Snipe-IT's lists whole, or says that it could not.

Lists are cut by offset and sorted by id, for no other order is unique (vendor's source code 8.1.4, read 2026-11-22).
Each page is tested against all before it; a list that changes while it is read ends the reading (SRC_UNSTABLE). Assets
whose status is archived stand in a list of their own: both are read, and at the end the total of the first is asked for
again, so that an asset that moved from one to the other in between is not taken for one that is gone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from shared.errors import AetherError, NeedsPerson, StopRun
from shared.http.paging import Ahead, Watch
from shared.http.patience import patiently
from shared.http.reading import Fetched, PagedReading, finding_of
from shared.http.rows import Rows
from shared.http.shape import Json, WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding
from systems.snipeit.client import SnipeitClient
from systems.snipeit.config import SnipeitConfig
from systems.snipeit.entities import CHECKOUTS, ENTITIES, HARDWARE, TARGET_ID, columns_of, entity_of
from systems.snipeit.records import is_archived, page_of
from systems.snipeit.wire import list_path

IN_ORDER: Final[Mapping[str, str | int]] = {"sort": "id", "order": "asc"}
_ARCHIVED: Final[Mapping[str, str | int]] = {"status": "Archived"}


def build_source(config: SnipeitConfig, surroundings: Surroundings) -> SnipeitSource:
    """A source with the token that may only read."""
    client = SnipeitClient(config, surroundings, may_write=False)
    return SnipeitSource(config, client=client, surroundings=surroundings)


@dataclass(frozen=True)
class _ListPage:
    rows: Rows
    ids: Sequence[str]
    total: int
    sha256: str
    has_archived: bool


class SnipeitSource:
    """Snipe-IT for reading; see `shared.ports.system.Source`."""

    def __init__(self, config: SnipeitConfig, *, client: SnipeitClient, surroundings: Surroundings) -> None:
        self._config = config
        self._client = client
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return columns_of(entity)

    def read(self, entity: str) -> PagedReading:
        """A new reading; nothing is sent before it is iterated."""
        entity_of(entity)
        walk = _Walk(entity, self._config, client=self._client, surroundings=self._surroundings)
        return PagedReading(
            entity,
            columns=columns_of(entity),
            key=(TARGET_ID,),
            pages=walk.pages,
            total=walk.expected,
            pages_max=self._config.pages_max,
        )

    async def check(self) -> Sequence[Finding]:
        """Asks each list for one page, once: network, authentication, permission, shape, and how long pages may be."""
        findings: list[Finding] = []
        for entity in ENTITIES:
            if entity == CHECKOUTS:
                continue  # the same list as hardware
            walk = _Walk(entity, self._config, client=self._client, surroundings=self._surroundings)
            limit = self._config.page_limit if entity == "users" else 1
            try:
                page = await walk.asked(0, limit=limit, narrowed={})
            except AetherError as error:
                finding = finding_of(error, entity=entity)
                findings.append(finding)
                if not isinstance(error, StopRun) and finding.subject != "permission":
                    break  # the next list would meet the same wall
                continue
            findings.append(_finding_about(entity, page, limit=limit))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "the interface answers"))
            findings.insert(1, Finding("authentication", True, "the token is accepted for reading"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()


class _Walk:
    """One way through the list, or the two lists, of an entity."""

    def __init__(
        self, entity: str, config: SnipeitConfig, *, client: SnipeitClient, surroundings: Surroundings
    ) -> None:
        self._entity = entity
        self._config = config
        self._client = client
        self._surroundings = surroundings
        self._dialect = config.dialect
        self._rows = 0
        """That were delivered."""
        self._seen = 0
        """That the lists held; more than `_rows` for checkouts."""
        self._has_archived = False

    async def pages(self) -> AsyncIterator[Fetched]:
        """The pages, in the order of ids; those of archived assets come last."""
        async for fetched in self._list({}):
            yield fetched
        if entity_of(self._entity).path != ENTITIES[HARDWARE].path:
            return
        seen = self._seen
        if not self._has_archived:  # some servers are set to show archived assets in the list of all
            async for fetched in self._list(_ARCHIVED):
                yield fetched
        await self._require_total(seen)

    def expected(self) -> ExpectedRows:
        """How many rows there are; to be asked after the last page."""
        origin = "total of the last page"
        if self._entity == CHECKOUTS:
            origin = f"those lent to a person among {self._seen} assets, which is the total of the last page"
        return ExpectedRows(rows=self._rows, origin=origin)

    async def asked(self, offset: int, *, limit: int, narrowed: Mapping[str, str | int]) -> _ListPage:
        """One page, asked for once."""
        answer = await self._client.get(
            list_path(self._entity),
            entity=self._entity,
            use="SRC",
            query={"limit": limit, "offset": offset, **IN_ORDER, **narrowed},
        )
        if answer is None:
            raise StopRun("SRC_WRONG_SHAPE", f"entity {self._entity}: there is no such list; check base_url")
        try:
            rows, ids, total = page_of(self._entity, answer.body, dialect=self._dialect)
        except WrongShape as wrong:
            raise StopRun(
                "SRC_WRONG_SHAPE",
                f"entity {self._entity}: {wrong}; compare the release of Snipe-IT with the README of this system",
                entity=self._entity,
                pointer=wrong.pointer,
            ) from None
        items: Json = answer.body.get("rows")
        has_archived = isinstance(items, list) and any(map(is_archived, items))
        return _ListPage(rows, ids, total, answer.sha256, has_archived)

    async def _list(self, narrowed: Mapping[str, str | int]) -> AsyncIterator[Fetched]:
        limit = self._config.page_limit
        watch = Watch(self._entity, limit=limit)

        async def ask(offset: int) -> _ListPage:
            return await patiently(
                lambda: self.asked(offset, limit=limit, narrowed=narrowed), surroundings=self._surroundings
            )

        ahead = Ahead(ask, limit=limit, in_flight=self._config.pages_in_flight)
        try:
            while not watch.is_at_end:  # bounded by pages_max, which the reading watches
                page = await ahead.page_at(watch.offset)
                if watch.offset == 0 and len(page.ids) < min(limit, page.total):
                    raise self._short(len(page.ids), page.total)
                watch.see(page.ids, total=page.total)
                ahead.look_ahead(watch.offset, total=page.total)
                self._has_archived |= page.has_archived
                self._rows += page.rows.length
                self._seen += len(page.ids)
                yield Fetched(page.rows, page.sha256)
        finally:
            await ahead.leave()

    async def _require_total(self, seen: int) -> None:
        page = await patiently(
            lambda: self.asked(0, limit=1, narrowed={}),
            surroundings=self._surroundings,
        )
        if page.total != seen:
            raise StopRun(
                "SRC_UNSTABLE",
                f"entity {self._entity}: the total moved from {seen} to {page.total} while archived assets were read; "
                "read it anew",
                entity=self._entity,
            )

    def _short(self, length: int, total: int) -> StopRun:
        limit = self._config.page_limit
        return StopRun(
            "SRC_UNSTABLE",
            f"entity {self._entity}: the first page holds {length} of {total} records where {limit} were asked for; "
            f"read it anew, and if that stays so, set page_limit to {max(length, 1)}, the server's MAX_RESULTS",
            entity=self._entity,
        )


def _finding_about(entity: str, page: _ListPage, *, limit: int) -> Finding:
    if len(page.ids) < min(limit, page.total):
        error = NeedsPerson(
            "SRC_CONFIG",
            f"{len(page.ids)} records come where {limit} were asked for; set page_limit to the server's MAX_RESULTS",
        )
        return finding_of(error, entity=entity)
    return Finding("shape", True, f"entity {entity}: can be read, {page.total} records")
