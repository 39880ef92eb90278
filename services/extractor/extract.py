"""Reading: every page of an entity, the account of it, and the certificate or the reason why there is none.

Acts on systems through the port only, and hands the rows on as they come, a few pages at a time, so that a large
source never stands in memory. A reading that raises has delivered nothing: what was handed on must be thrown away,
because half a source is worse than none. One that an earlier process left can be gone on with from where its pages are
durable; what is certified then is the whole of it. It never begins a reading anew: whether that is worth it is for
`services.extractor.rereading` to say.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import polars as pl

from shared.clock import Clock
from shared.errors import AetherError
from shared.events.documents import FailureNote
from shared.ports.connections import Connection
from shared.ports.system import Page, Resumable, Source
from shared.records.certificate import Certificate, Incomplete, PageReceipt, Side, certify

PAGES_MAX = 100_000
"""More pages than this is a loop."""
ROWS_MAX = 20_000_000
HANDED_ROWS = 8_192
"""Pages are put together until they hold so many rows; one by one they cost more than their rows."""

Sink = Callable[[pl.DataFrame], None]
"""Takes rows in their order, one frame after the other, in a thread of its own."""


@dataclass(frozen=True)
class TakenUp:
    """A reading of an earlier process as far as it is durable; the sink has its rows already."""

    source: Resumable
    after: str
    """The resume point of its last durable page."""
    receipts: Sequence[PageReceipt]
    shape: pl.DataFrame
    """No rows, but every column so far, as it came."""
    started_at: datetime
    """When its first page was asked for."""
    resumed: int
    """How often it was taken up, this time included."""


class Keeper(Protocol):
    """Makes pages durable while a reading goes on."""

    async def keep(self, page: Page, receipt: PageReceipt) -> None:
        """Take a page that was handed on; raises nothing that has to do with keeping it."""
        ...


@dataclass(frozen=True)
class Extract:
    """What one reading brought, besides the rows."""

    rows: int | None
    """Rows read; None when the reading broke off."""
    schema: pl.Schema | None
    """Columns and types as they came, what fits all pages; None when the reading broke off."""
    certificate: Certificate | None
    incomplete: FailureNote | None
    """Why there is no certificate."""
    started_at: datetime | None = None
    """When the first page was asked for; None when the reading broke off."""


async def extract(
    source: Source,
    *,
    connection: Connection,
    name: str,
    entity: str,
    side: Side,
    clock: Clock,
    sink: Sink,
    keeper: Keeper | None = None,
    taken_up: TakenUp | None = None,
) -> Extract:
    """Read one entity of one system whole. Never raises for what the system does; a defect of ours passes through.

    `sink` gets at least one frame, an empty one for an entity without rows, unless the reading breaks off. With
    `taken_up` only what is behind its pages is asked for, and all of it is certified.
    """
    started_at = clock.now() if taken_up is None else taken_up.started_at
    receipts: list[PageReceipt] = [] if taken_up is None else list(taken_up.receipts)
    handing = _Handing(sink, seen=None if taken_up is None else taken_up.shape)
    rows = sum(receipt.rows for receipt in receipts)
    try:
        reading = source.read(entity) if taken_up is None else taken_up.source.resume(entity, after=taken_up.after)
        async for page in reading:
            receipts.append(_receipt(page))
            rows += page.rows.height
            if len(receipts) > PAGES_MAX or rows > ROWS_MAX:
                return _broken(
                    FailureNote(
                        code="SRC_INCOMPLETE",
                        text=f"{name}/{entity}: {len(receipts)} pages with {rows} rows, allowed {PAGES_MAX} pages and "
                        f"{ROWS_MAX} rows; the system seems to page in a circle",
                    )
                )
            await handing.take(page.rows)
            if keeper is not None:
                await keeper.keep(page, receipts[-1])
        expected = reading.expected
        schema = await handing.end(_empty(source, entity))
    except AetherError as error:
        text = error.message if name in error.message else f"{name}/{entity}: {error.message}"
        return _broken(FailureNote(code=error.code, text=text))
    finally:
        await handing.abandon()
    judged = certify(
        side=side,
        connection=name,
        system=connection.system,
        entity=entity,
        pages=receipts,
        expected=expected,
        errors=0,
        started_at=started_at,
        # A clock that was set back while we read does not make a good reading bad.
        ended_at=max(started_at, clock.now()),
        resumed=0 if taken_up is None else taken_up.resumed,
    )
    if isinstance(judged, Incomplete):
        note = FailureNote(code=judged.code, text=judged.text)
        return Extract(rows=rows, schema=schema, certificate=None, incomplete=note, started_at=started_at)
    return Extract(rows=rows, schema=schema, certificate=judged, incomplete=None, started_at=started_at)


def stacked(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """The frames as one. Where their columns or types differ, the result has what fits all of them."""
    if all(frame.schema == frames[0].schema for frame in frames):
        return pl.concat(frames, rechunk=True)
    return pl.concat(frames, how="diagonal_relaxed", rechunk=True)


@dataclass
class _Handing:
    """Hands pages on while the next ones are read; at most one frame is under way."""

    sink: Sink
    pages: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    seen: pl.DataFrame | None = None
    """No rows, but every column so far in the type that fits."""
    under_way: asyncio.Task[None] | None = None

    async def take(self, page: pl.DataFrame) -> None:
        if not page.height:
            return
        self.pages.append(page)
        self.rows += page.height
        if self.rows >= HANDED_ROWS:
            await self._hand_on()

    async def end(self, nothing: pl.DataFrame) -> pl.Schema:
        """Hand on what is left, or `nothing` when there was no row; the schema of all that came."""
        if self.seen is None and not self.pages:
            self.pages.append(nothing)
        if self.pages:
            await self._hand_on()
        await self.rest()
        return pl.Schema() if self.seen is None else self.seen.schema

    async def rest(self) -> None:
        """Wait until the sink is done, and raise what it raised."""
        if self.under_way is not None:
            task, self.under_way = self.under_way, None
            await task

    async def abandon(self) -> None:
        """Wait until the sink is done, whatever it raises: the reading has failed for another reason, or is over."""
        if self.under_way is not None:
            await asyncio.gather(self.under_way, return_exceptions=True)

    async def _hand_on(self) -> None:
        frame = stacked(self.pages)
        self.pages, self.rows = [], 0
        self.seen = frame.clear() if self.seen is None else stacked([self.seen, frame.clear()])
        await self.rest()
        self.under_way = asyncio.create_task(asyncio.to_thread(self.sink, frame))


def _receipt(page: Page) -> PageReceipt:
    return PageReceipt(
        number=page.number,
        rows=page.rows.height,
        first_cursor=page.first_cursor,
        last_cursor=page.last_cursor,
        sha256=page.sha256,
    )


def _broken(note: FailureNote) -> Extract:
    return Extract(rows=None, schema=None, certificate=None, incomplete=note)


_KINDS: dict[str, type[pl.DataType]] = {"integer": pl.Int64, "boolean": pl.Boolean}


def _empty(source: Source, entity: str) -> pl.DataFrame:
    return pl.DataFrame(schema={column.name: _KINDS.get(column.kind, pl.String) for column in source.columns(entity)})
