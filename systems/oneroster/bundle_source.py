"""Reads a roster from a bundle of CSV files; the same columns as from a service.

How many records are due is told for a zip, which proves that a file is whole. A folder proves nothing: it may be one
that is still being written.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Generator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import orjson

from shared.errors import AetherError, StopRun
from shared.http.reading import Fetched, PagedReading, finding_of
from shared.http.shape import WrongShape
from shared.ports.surroundings import Surroundings
from shared.ports.system import Column, ExpectedRows, Finding, Reading
from systems.oneroster.bundle import Bundle
from systems.oneroster.fields import COLLECTIONS, ROLES, collection_of, columns_of
from systems.oneroster.records import role_pairs, rows_of_csv

PAGE_LINES: Final = 2_000
PAGES_MAX: Final = 1_000_000
WHOLE_FILE: Final = "lines of the file, of which the zip knows length and checksum"


class BundleSource:
    """A bundle for reading; see `shared.ports.system.Source`."""

    def __init__(self, path: Path, surroundings: Surroundings, *, file_bytes_max: int) -> None:
        self._bundle = Bundle(path, file_bytes_max=file_bytes_max)
        self._surroundings = surroundings

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity."""
        return columns_of(entity)

    def read(self, entity: str) -> Reading:
        """A new reading; nothing is opened before it is iterated."""
        walk = _Walk(entity, self._bundle, self._surroundings)
        return PagedReading(
            entity,
            columns=columns_of(entity),
            key=["sourced_id"],
            pages=walk.pages,
            total=walk.expected,
            pages_max=PAGES_MAX,
        )

    async def check(self) -> Sequence[Finding]:
        """Whether the bundle is there, is of a known version and holds every file whole."""
        try:
            manifest = await asyncio.to_thread(self._bundle.manifest)
        except AetherError as error:
            return [finding_of(error)]
        findings = [Finding("shape", True, f"the bundle is of version {manifest['oneroster.version']}")]
        for entity, collection in COLLECTIONS.items():
            try:
                self._bundle.require_whole(collection.path, manifest)
                await asyncio.to_thread(next, self._bundle.lines(collection.path), None)
            except AetherError as error:
                findings.append(finding_of(error, entity=entity))
            else:
                findings.append(Finding("shape", True, f"entity {entity}: can be read"))
        return findings

    async def close(self) -> None:
        """Nothing is kept open."""


class _Walk:
    """One reading of one file."""

    def __init__(self, entity: str, bundle: Bundle, surroundings: Surroundings) -> None:
        self._entity = entity
        self._bundle = bundle
        self._surroundings = surroundings
        self._rows = 0

    def expected(self) -> ExpectedRows | None:
        """How many records the file holds, where it is surely whole."""
        return ExpectedRows(self._rows, WHOLE_FILE) if self._bundle.proves_its_length else None

    async def pages(self) -> AsyncIterator[Fetched]:
        """The lines, some thousands at a time."""
        await self._surroundings.pacer.turn("SRC")
        clock = self._surroundings.clock
        began, outcome = clock.monotonic_seconds(), "refused"
        collection = collection_of(self._entity)
        lines = self._bundle.lines(collection.path)
        try:
            manifest = await asyncio.to_thread(self._bundle.manifest)
            self._bundle.require_whole(collection.path, manifest)
            roles: dict[str, list[str]] = {}
            if any(field.name == ROLES for field in collection.fields) and manifest["oneroster.version"] != "1.1":
                self._bundle.require_whole("roles", manifest)
                roles = await asyncio.to_thread(lambda: role_pairs(list(self._bundle.lines("roles"))))
            is_first = True
            while some := await asyncio.to_thread(_some, lines):
                try:
                    rows = rows_of_csv(some, collection, roles)
                except WrongShape as wrong:
                    raise StopRun(
                        "SRC_WRONG_SHAPE",
                        f"bundle: {collection.path}.csv: {wrong}; export it anew",
                        pointer=wrong.pointer,
                    ) from None
                self._rows += rows.length
                is_first = False
                yield Fetched(rows, hashlib.sha256(orjson.dumps(some)).hexdigest())
            if is_first:
                yield Fetched(rows_of_csv([], collection, roles), hashlib.sha256(b"").hexdigest())
            outcome = "done"
        finally:
            lines.close()
            self._surroundings.meter.saw(use="SRC", outcome=outcome, seconds=clock.monotonic_seconds() - began)


def _some(lines: Generator[dict[str, str], None, None]) -> list[dict[str, str]]:
    return list(islice(lines, PAGE_LINES))
