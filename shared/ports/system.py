"""The port: what a system offers the house, and the only thing the house knows about it.

A system reads whole entities page by page (`Source`), and, when it is a target, shows one record and carries out one
finished write (`Target`). What a write looks like on the wire is decided by `shared.ports.wire`, which is pure, so
that the differ can put the exact write into the plan and the applier can send it unchanged. The port never decides what
changes; it never sees a contract, a plan, the bus or a table.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from shared.ports.wire import Record, WireWrite

if TYPE_CHECKING:  # the command line must not pay for the columnar engine
    import polars as pl


RESUME_POINT_CHARACTERS_MAX = 4_096


@dataclass(frozen=True)
class ExpectedRows:
    """How many rows the other side says there are, and how we know."""

    rows: int
    origin: str
    """Where the number came from, e.g. `select count(*) in the same transaction`, `total of the last page`."""


@dataclass(frozen=True)
class Page:
    """One page as read, before any contract: text stripped of the transport's padding, names as the system has them."""

    number: int
    """1 for the first page of a reading."""
    rows: pl.DataFrame
    """Columns as `Source.columns(entity)` declares them, whatever the page held; values of that type or null."""
    first_cursor: str
    last_cursor: str
    """Position of the first and last row in the reading's order; empty text for an empty page."""
    sha256: str
    """Hex digest over what was received (bytes of the body, or of the rows in canonical form)."""
    resume_point: str | None = None
    """What `Resumable.resume` needs to go on behind this page, in the system's own words, without personal values and
    at most `RESUME_POINT_CHARACTERS_MAX` long. None: a reading cannot be taken up here, as inside a database's
    transaction, which ends with its reader: going on in another one would mix two snapshots."""


class Reading(Protocol):
    """One complete read of one entity: iterate the pages, then ask `expected`.

    Iteration raises (an `AetherError`) at the first sign that the read is not whole: a page cut short, a page that
    repeats, a body of another shape, a redirect, a credential that expired half-way. Signs that the records moved while
    they were paged through have the code SRC_UNSTABLE: another reading may find them standing still. A reading that
    ends without raising has delivered every page the other side offered; whether that is everything is for `expected`
    to say.
    """

    def __aiter__(self) -> AsyncIterator[Page]:
        """The pages, in order."""
        ...

    @property
    def expected(self) -> ExpectedRows | None:
        """After the last page: what the other side says the total is. None when it cannot tell."""
        ...


@dataclass(frozen=True)
class Finding:
    """One line of `check`: what was tried and what came of it."""

    subject: str
    """What was tried: network, authentication, permission, shape, year …"""
    is_good: bool
    text: str
    """For the operator: what was seen and what to do."""


@dataclass(frozen=True)
class Column:
    """One column of an entity as a system delivers it."""

    name: str
    kind: Literal["text", "integer", "decimal", "boolean", "date", "datetime"]
    """Dates and times are delivered as ISO 8601 text; kind says what the text means."""
    is_required: bool = True
    """Whether its absence from the system means that the entity cannot be read at all."""


@runtime_checkable
class Source(Protocol):
    """A system that can be read."""

    def columns(self, entity: str) -> Sequence[Column]:
        """The columns of an entity, known without asking the system. `StopRun` for an unknown entity."""
        ...

    def read(self, entity: str) -> Reading:
        """A new complete reading of one entity. Nothing is sent before the iteration starts."""
        ...

    async def check(self) -> Sequence[Finding]:
        """Tell network from authentication from permission from shape; harmless; never raises for what it finds."""
        ...

    async def close(self) -> None:
        """Give connections back; may be called twice."""
        ...


@runtime_checkable
class Resumable(Source, Protocol):
    """A system whose readings can be taken up by another process where an earlier one was left."""

    def resume(self, entity: str, *, after: str) -> Reading:
        """A reading of the pages behind the one that bore the resume point `after`; their numbers go on from there.

        Before its first page it asks for the page that bore the point once more. When that is not what it was, or the
        total has moved, it raises `StopRun` with SRC_UNSTABLE, as it does for a point that it cannot read: what was
        read before is of no use then.
        """
        ...


@dataclass(frozen=True)
class Receipt:
    """What the target said to a write that it accepted."""

    target_id: str | None
    """The target's own id of the record, when it told."""
    status: int
    """The HTTP status, or 0 for systems without one."""


@runtime_checkable
class Target(Source, Protocol):
    """A system that can also be written. Its columns include `target_id` (text)."""

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        """One live record with the entity's columns as names, by the target's id or, when that is None, by our key.

        None when the target says that there is no such record.
        """
        ...

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        """Send one write once; no retry inside.

        Raises `TryLater` (surely not done), `OutcomeUnknown` (sent, no answer), `RecordRefused`, `TargetMoved`,
        `NeedsPerson` or `StopRun`; translating the other side's words into these is the client's work.
        """
        ...
