"""Sources for interrupted readings: people in memory page by page, and any other whose reader hangs when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from shared.hashing.canonical import sha256_hex
from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.system import Column, ExpectedRows, Finding, Page, Reading, Resumable, Source


@dataclass
class Mortal:
    """A source whose reader hangs behind so many pages of a reading, until it is killed."""

    source: Resumable
    pages: int
    is_reached: asyncio.Event = field(default_factory=asyncio.Event)

    def columns(self, entity: str) -> Sequence[Column]:
        return self.source.columns(entity)

    def read(self, entity: str) -> Reading:
        return _MortalReading(self, self.source.read(entity))

    def resume(self, entity: str, *, after: str) -> Reading:
        return _MortalReading(self, self.source.resume(entity, after=after))

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        await self.source.close()


@dataclass
class _MortalReading:
    mortal: Mortal
    reading: Reading

    async def __aiter__(self) -> AsyncIterator[Page]:
        seen = 0
        async for page in self.reading:
            await self._live(seen)
            seen += 1
            yield page
        await self._live(seen)

    async def _live(self, seen: int) -> None:
        if seen >= self.mortal.pages:
            self.mortal.is_reached.set()
            await asyncio.Event().wait()

    @property
    def expected(self) -> ExpectedRows | None:
        return self.reading.expected


@dataclass
class Shelf:
    """People in memory, page by page; its readings can be taken up, unless it is told otherwise."""

    rows: list[dict[str, str | None]]
    asked: list[int] = field(default_factory=list)
    """Numbers of the pages that were asked for."""
    point: str | None = "p"

    def columns(self, entity: str) -> Sequence[Column]:
        return [Column(name, "text") for name in ("id", "first", "email", "role", "unused")]

    def read(self, entity: str) -> Reading:
        return _ShelfReading(self)

    def resume(self, entity: str, *, after: str) -> Reading:
        return _ShelfReading(self, behind=int(after.removeprefix("p")))

    async def check(self) -> Sequence[Finding]:
        return []

    async def close(self) -> None:
        return


@dataclass
class _ShelfReading:
    shelf: Shelf
    behind: int = 0

    async def __aiter__(self) -> AsyncIterator[Page]:
        schema = {column.name: pl.String for column in self.shelf.columns("people")}
        for number in range(self.behind + 1, -(-len(self.shelf.rows) // 2) + 1):
            self.shelf.asked.append(number)
            rows = self.shelf.rows[number * 2 - 2 : number * 2]
            frame = pl.DataFrame([{**row, "unused": "x"} for row in rows], schema=schema)
            yield Page(
                number,
                frame,
                str(number * 2 - 1),
                str(number * 2),
                sha256_hex(frame.write_csv().encode()),
                None if self.shelf.point is None else f"{self.shelf.point}{number}",
            )

    @property
    def expected(self) -> ExpectedRows:
        return ExpectedRows(len(self.shelf.rows), "count")


class OneSource(Registry):
    """Gives one source, whatever is asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def open_source(self, connection: Connection) -> Source:
        return self._source
