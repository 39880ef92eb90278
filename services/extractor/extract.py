"""Reading: every page of an entity, the account of it, and the certificate or the reason why there is none.

Acts on systems through the port only. A reading that raises has delivered nothing: its rows are thrown away, because
half a source is worse than none. It never retries a whole reading; that is the client's page by page, and the next
run's as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from shared.clock import Clock
from shared.errors import AetherError
from shared.events.documents import FailureNote
from shared.ports.connections import Connection
from shared.ports.system import Page, Source
from shared.records.certificate import Certificate, Incomplete, PageReceipt, Side, certify

PAGES_MAX = 100_000
"""More pages than this is a loop."""
ROWS_MAX = 20_000_000


@dataclass(frozen=True)
class Extract:
    """What one reading brought."""

    frame: pl.DataFrame | None
    """All rows; None when the reading broke off."""
    rows: int | None
    certificate: Certificate | None
    incomplete: FailureNote | None
    """Why there is no certificate."""


async def extract(
    source: Source, *, connection: Connection, name: str, entity: str, side: Side, clock: Clock
) -> Extract:
    """Read one entity of one system whole. Never raises for what the system does; a defect of ours passes through."""
    started_at = clock.now()
    receipts: list[PageReceipt] = []
    frames: list[pl.DataFrame] = []
    reading = source.read(entity)
    rows = 0
    try:
        async for page in reading:
            receipts.append(_receipt(page))
            rows += page.rows.height
            if page.rows.height:
                frames.append(page.rows)
            if len(receipts) > PAGES_MAX or rows > ROWS_MAX:
                return _broken(
                    FailureNote(
                        code="SRC_INCOMPLETE",
                        text=f"{name}/{entity}: {len(receipts)} pages with {rows} rows, allowed {PAGES_MAX} pages and "
                        f"{ROWS_MAX} rows; the system seems to page in a circle",
                    )
                )
        expected = reading.expected
    except AetherError as error:
        text = error.message if name in error.message else f"{name}/{entity}: {error.message}"
        return _broken(FailureNote(code=error.code, text=text))
    judged = certify(
        side=side,
        connection=name,
        system=connection.system,
        entity=entity,
        pages=receipts,
        expected=expected,
        errors=0,
        started_at=started_at,
        ended_at=clock.now(),
    )
    frame = pl.concat(frames, rechunk=True) if frames else _empty(source, entity)
    if isinstance(judged, Incomplete):
        return Extract(
            frame=frame, rows=rows, certificate=None, incomplete=FailureNote(code=judged.code, text=judged.text)
        )
    return Extract(frame=frame, rows=rows, certificate=judged, incomplete=None)


def _receipt(page: Page) -> PageReceipt:
    return PageReceipt(
        number=page.number,
        rows=page.rows.height,
        first_cursor=page.first_cursor,
        last_cursor=page.last_cursor,
        sha256=page.sha256,
    )


def _broken(note: FailureNote) -> Extract:
    return Extract(frame=None, rows=None, certificate=None, incomplete=note)


_KINDS: dict[str, type[pl.DataType]] = {"integer": pl.Int64, "boolean": pl.Boolean}


def _empty(source: Source, entity: str) -> pl.DataFrame:
    return pl.DataFrame(schema={column.name: _KINDS.get(column.kind, pl.String) for column in source.columns(entity)})
