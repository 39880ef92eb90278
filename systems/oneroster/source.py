"""Reads a roster whole, or says that it could not: from a service, or from a bundle.

A service's lists are cut by offset and tell their total, which has to stand still while they are read; every page but
the last has to be full, and a full last page is followed by one more question. A service that tells no total proves
nothing: its lists are read up to an empty page, and how many records are due stays open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Final

from shared.errors import AetherError, StopRun
from shared.http.paging import Ahead
from shared.http.patience import patiently
from shared.http.reading import Fetched, PagedReading, finding_of
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Reading, Source
from systems.oneroster.bundle_source import BundleSource
from systems.oneroster.client import OneRosterClient, RosterPage
from systems.oneroster.config import OneRosterConfig
from systems.oneroster.fields import COLLECTIONS, collection_of, columns_of

TOTAL_ORIGIN: Final = "X-Total-Count, the same on every page"


def build_source(config: OneRosterConfig, surroundings: Surroundings) -> Source:
    """A source for what the settings name."""
    if config.bundle is not None:
        return BundleSource(config.bundle, surroundings, file_bytes_max=config.file_bytes_max)
    return RosterSource(config, OneRosterClient(config, surroundings), surroundings)


class RosterSource:
    """A roster service for reading; see `shared.ports.system.Source`."""

    def __init__(self, config: OneRosterConfig, client: OneRosterClient, surroundings: Surroundings) -> None:
        self._config = config
        self._client = client
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return columns_of(entity)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is sent before it is iterated."""
        walk = _Walk(entity, self._config, self._client, self._surroundings)
        return PagedReading(
            entity,
            columns=columns_of(entity),
            key=["sourced_id"],
            pages=walk.pages,
            total=walk.expected,
            pages_max=self._config.pages_max,
        )

    async def check(self) -> Sequence[Finding]:
        """Asks each list for one record: network, then authentication, permission, paths and shape."""
        findings: list[Finding] = []
        for entity, collection in COLLECTIONS.items():
            try:
                page = await self._client.page(collection, offset=0, limit=1)
            except AetherError as error:
                findings.append(finding_of(error, entity=entity))
                if not isinstance(error, StopRun):
                    break  # the next list would meet the same wall
            else:
                total = "no total is told, so that nothing will ever be removed" if page.total is None else page.total
                findings.append(Finding("shape", True, f"entity {entity}: can be read; records: {total}"))
        if any(finding.is_good for finding in findings):
            findings.insert(0, Finding("network", True, "the service answers"))
            findings.insert(1, Finding("authentication", True, "the client is accepted"))
        return findings

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._client.close()


class _Walk:
    """One reading of one entity."""

    def __init__(
        self, entity: str, config: OneRosterConfig, client: OneRosterClient, surroundings: Surroundings
    ) -> None:
        self._entity = entity
        self._config = config
        self._client = client
        self._surroundings = surroundings
        self._total: int | None = None

    def expected(self) -> ExpectedRows | None:
        """What the service says the total is."""
        return None if self._total is None else ExpectedRows(self._total, TOTAL_ORIGIN)

    async def pages(self) -> AsyncIterator[Fetched]:
        """The pages, in the order of the list; `StopRun` at the first sign that they are not whole."""
        collection, limit = collection_of(self._entity), self._config.page_limit

        async def ask(offset: int) -> RosterPage:
            return await patiently(
                lambda: self._client.page(collection, offset=offset, limit=limit), surroundings=self._surroundings
            )

        ahead = Ahead(ask, limit=limit, in_flight=self._config.pages_in_flight)
        offset, is_at_end, is_first = 0, False, True
        try:
            while not is_at_end:
                page = await ahead.page_at(offset)
                if is_first:
                    self._total, is_first = page.total, False
                is_at_end = self._is_last(page, offset=offset, limit=limit)
                offset += page.rows.length
                ahead.look_ahead(offset, total=self._total or 0)
                yield Fetched(page.rows, page.sha256)
        finally:
            await ahead.leave()

    def _is_last(self, page: RosterPage, *, offset: int, limit: int) -> bool:
        length, reached = page.rows.length, offset + page.rows.length
        if page.total != self._total:
            raise self._unsteady(f"the total moved from {self._total} to {page.total} while it was read")
        if length > limit:
            raise self._unsteady(f"a page of {length} records where {limit} were asked for", "SRC_WRONG_SHAPE")
        if self._total is None:
            return length == 0
        if reached > self._total:
            raise self._unsteady(f"{reached} records came where the total is {self._total}")
        if length < limit and reached < self._total:
            raise self._unsteady(
                f"the page at {offset} is cut short: {length} of {limit} (is page_limit over what the service gives?)"
            )
        # A full last page is followed by one more question: a total that is too low would hide the rest.
        return reached == self._total and length < limit

    def _unsteady(self, text: str, code: str = "SRC_UNSTABLE") -> StopRun:
        return StopRun(code, f"entity {self._entity}: {text}; read it anew", entity=self._entity)
