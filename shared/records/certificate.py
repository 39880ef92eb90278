"""The certificate of a snapshot: what was read, and why it is known to be all of it.

`certify` judges the account of a finished reading. It reads nothing and knows no system; the extractor hands it what
the pages were and what the other side said the total is. Whatever is not proven complete gets no certificate, and
without one no removal is ever planned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.clock import to_text
from shared.failures import failure_of
from shared.ports.system import ExpectedRows

Side = Literal["source", "target"]
EMPTY_CHAIN_SHA256 = hashlib.sha256(b"aether page chain 1").hexdigest()
"""The chain before the first page."""


class PageReceipt(BaseModel):
    """What is remembered of one page once its rows are stored."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    number: Annotated[int, Field(ge=1)]
    """1 for the first page of a reading."""
    rows: Annotated[int, Field(ge=0)]
    """Rows on the page, before any contract."""
    first_cursor: str
    """Position of the first row; empty for an empty page."""
    last_cursor: str
    """Position of the last row; empty for an empty page."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest of what was received."""


class Certificate(BaseModel):
    """Proof that a read was complete."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    side: Side
    """Which side of the comparison was read."""
    connection: str
    """Name of the connection that was read."""
    system: str
    """Name of its system."""
    entity: str
    """The system's entity."""
    scope: str
    """What part of the entity was asked for; `all` when it was not narrowed."""
    rows: Annotated[int, Field(ge=0)]
    """Rows read, before any contract."""
    expected_rows: Annotated[int, Field(ge=0)]
    """Rows that the other side said there are; equal to `rows`."""
    expected_origin: str
    """Where that number came from."""
    pages: Annotated[int, Field(ge=0)]
    """Pages read."""
    page_chain_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Digest over the digests of the pages in their order."""
    first_cursor: str
    """Position of the very first row; empty when there is none."""
    last_cursor: str
    """Position of the very last row; empty when there is none."""
    errors: Literal[0]
    """Errors left unanswered; a reading with any has no certificate."""
    started_at: str
    """RFC 3339, UTC."""
    ended_at: str
    """RFC 3339, UTC."""
    resumed: Annotated[int, Field(ge=0)] = 0
    """How often the reading was taken up by another process behind the last page that was kept; 0: read in one go."""


@dataclass(frozen=True)
class Incomplete:
    """Why a reading has no certificate."""

    code: str
    """Of the catalogue of failures."""
    text: str
    """For the operator: what is missing, in numbers."""

    def __post_init__(self) -> None:
        failure_of(self.code)


def chained(chain_sha256: str, page_sha256: str) -> str:
    """The chain one page further: SHA-256 of the bytes of both digests."""
    return hashlib.sha256(bytes.fromhex(chain_sha256) + bytes.fromhex(page_sha256)).hexdigest()


def chain_of(pages: Sequence[PageReceipt]) -> str:
    """The chain over all pages in their order."""
    chain = EMPTY_CHAIN_SHA256
    for page in pages:
        chain = chained(chain, page.sha256)
    return chain


def certify(
    *,
    side: Side,
    connection: str,
    system: str,
    entity: str,
    scope: str = "all",
    pages: Sequence[PageReceipt],
    expected: ExpectedRows | None,
    errors: int,
    started_at: datetime,
    ended_at: datetime,
    resumed: int = 0,
) -> Certificate | Incomplete:
    """A certificate when the account proves that everything was read, otherwise the first thing that it lacks.

    `started_at` is when the first page was asked for, by whichever process.

    Facts of the account that cannot be true, such as an end before the start, are a defect of ours: `ValueError`.
    """
    if ended_at < started_at:
        raise ValueError(f"the reading of {connection}/{entity} ended at {ended_at} before it started at {started_at}")
    rows = sum(page.rows for page in pages)
    lack = _lack(pages, rows=rows, expected=expected, errors=errors)
    if lack is not None:
        return Incomplete("SRC_INCOMPLETE", f"{connection}/{entity}: {lack}")
    if expected is None:
        raise ValueError("a reading without an expected number of rows reached its certificate")
    full = [page for page in pages if page.rows > 0]
    return Certificate(
        side=side,
        connection=connection,
        system=system,
        entity=entity,
        scope=scope,
        rows=rows,
        expected_rows=expected.rows,
        expected_origin=expected.origin,
        pages=len(pages),
        page_chain_sha256=chain_of(pages),
        first_cursor=full[0].first_cursor if full else "",
        last_cursor=full[-1].last_cursor if full else "",
        errors=0,
        started_at=to_text(started_at),
        ended_at=to_text(ended_at),
        resumed=resumed,
    )


def _lack(pages: Sequence[PageReceipt], *, rows: int, expected: ExpectedRows | None, errors: int) -> str | None:
    if errors:
        return f"{errors} errors while reading, allowed none"
    for position, page in enumerate(pages, start=1):
        if page.number != position:
            return f"page {position} is missing; page {page.number} stands in its place"
    seen: dict[str, int] = {}
    for page in pages:
        if page.rows and page.sha256 in seen:
            return f"page {page.number} repeats page {seen[page.sha256]}"
        seen[page.sha256] = page.number
    if expected is None:
        return f"{rows} rows read, but the other side does not say how many there are"
    if rows != expected.rows:
        word = "short of" if rows < expected.rows else "more than"
        return f"{rows} rows read, {abs(rows - expected.rows)} {word} the {expected.rows} expected ({expected.origin})"
    return None
