"""Reads a system's lists whole, or says that it could not, as the interface document describes them.

How a list is cut decides what can be proven of it: see `steady` and `walks`.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.errors import AetherError, StopRun
from shared.http.reading import PagedReading, finding_of
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, Finding, Reading
from systems.http.client import HttpClient, QueryValues
from systems.http.columns import columns_of
from systems.http.description import HttpInterface
from systems.http.lists import Lister, ListPage
from systems.http.paging import HeaderPaging, NoPaging, NumberPaging, OffsetPaging, Paging
from systems.http.settings import InterfaceSettings
from systems.http.steady import SteadyReading
from systems.http.walks import Walk
from systems.http.wire import entity_of


def source_of(http: HttpInterface, settings: InterfaceSettings, surroundings: Surroundings, *, name: str) -> HttpSource:
    """A source with the credential that may only read."""
    client = HttpClient(http, settings, surroundings, may_write=False)
    is_resumable = any(is_steady(http.paging_of(entity)) for entity in http.entities.values())
    kind = ResumableHttpSource if is_resumable else HttpSource
    return kind(http, settings, client=client, surroundings=surroundings, name=name)


def is_steady(paging: Paging) -> bool:
    """Whether such a list can be watched for standing still, and be taken up where it was left."""
    return isinstance(paging, OffsetPaging | NumberPaging) and paging.tells_total and paging.ordered_by is not None


class HttpSource:
    """A system for reading; see `shared.ports.system.Source`."""

    def __init__(
        self,
        http: HttpInterface,
        settings: InterfaceSettings,
        *,
        client: HttpClient,
        surroundings: Surroundings,
        name: str,
    ) -> None:
        self._http = http
        self._settings = settings
        self._client = client
        self._surroundings = surroundings
        self._name = name

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, from the description."""
        return columns_of(self._http, entity, system=self._name)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        lister = self._lister(entity)
        if is_steady(lister.paging):
            return self._steady(lister, after=None)
        walk = Walk(lister, limit=self._limit(lister.paging))
        return PagedReading(
            entity,
            columns=self.columns(entity),
            key=[lister.described.id or lister.described.key or next(iter(lister.described.fields))],
            pages=walk.pages,
            total=walk.expected,
            pages_max=self._settings.pages_max,
        )

    async def check(self) -> Sequence[Finding]:
        """Asks each list for one record, once: network, then authentication, then permission, then shape."""
        findings: list[Finding] = []
        for entity in self._http.entities:
            try:
                page = await self._first(self._lister(entity))
            except AetherError as error:
                findings.append(finding_of(error, entity=entity))
                if not isinstance(error, StopRun):
                    break  # the next list would meet the same wall
            else:
                told = "" if page.total is None else f", {page.total} records"
                findings.append(Finding("shape", True, f"entity {entity}: can be read{told}"))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "the interface answers"))
            findings.insert(1, Finding("authentication", True, "the credential is accepted for reading"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()

    def _steady(self, lister: Lister, *, after: str | None) -> SteadyReading:
        paging, limit = lister.paging, self._limit(lister.paging)

        async def ask(offset: int) -> ListPage:
            return await lister.page(_query_at(paging, offset, limit))

        return SteadyReading(
            lister.entity,
            self.columns(lister.entity),
            ask,
            limit=limit,
            in_flight=self._settings.pages_in_flight,
            pages_max=self._settings.pages_max,
            after=after,
        )

    async def _first(self, lister: Lister) -> ListPage:
        paging = lister.paging
        if isinstance(paging, NoPaging):
            return await lister.first({})
        if isinstance(paging, OffsetPaging | NumberPaging):
            return await lister.first(_query_at(paging, 0, 1))
        headers = {paging.page_header: "1"} if isinstance(paging, HeaderPaging) else None
        return await lister.first({paging.limit: 1}, headers=headers)

    def _lister(self, entity: str) -> Lister:
        entity_of(self._http, entity, system=self._name)
        return Lister(entity, http=self._http, client=self._client, surroundings=self._surroundings)

    def _limit(self, paging: Paging) -> int:
        return (
            self._settings.page_limit
            if isinstance(paging, NoPaging)
            else min(self._settings.page_limit, paging.limit_max)
        )


class ResumableHttpSource(HttpSource):
    """A source with lists that can be taken up; see `shared.ports.system.Resumable`."""

    def resume(self, entity: str, *, after: str) -> Reading:
        """A reading of what is behind the page that bore the resume point; nothing is sent before it is iterated."""
        lister = self._lister(entity)
        if not is_steady(lister.paging):
            raise lister.broken("this list cannot be taken up where it was left")
        return self._steady(lister, after=after)


def _query_at(paging: Paging, offset: int, limit: int) -> QueryValues:
    match paging:
        case OffsetPaging():
            return {paging.offset: offset, paging.limit: limit}
        case NumberPaging():
            # A steady reading's pages are all full but the last, so every offset it asks for is a whole page's.
            return {paging.page: paging.first + offset // limit, paging.limit: limit}
        case _:
            raise AssertionError("only lists that are cut by numbers are asked by offset")
