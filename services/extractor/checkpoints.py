"""What a reading leaves of itself on the bus in case that its process dies, and how the next one takes it up.

Acts on the SNAP stream. Every so many rows or seconds the rows read since the last time, cut to the columns that the
contract uses, and the receipts of their pages are stored under an attempt of their own; then a small document is, which
names all such chunks of the reading and the system's own resume point. The last document of a reading is the whole
truth about it: two readers that overlap write chunks apart, and each document names only what its writer knows to be
whole.

Nothing here decides whether the system stood still in between: that is for its source, which looks at the last page
again. What is kept here is personal data as read; it is gone from the bus after `KEPT_SECONDS`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import structlog
from nats.js import JetStreamContext
from pydantic import ValidationError

from services.extractor.extract import Sink, TakenUp, stacked
from services.extractor.pipeline import Batch, messages
from services.extractor.snapshot import Place, frames_of, publish
from services.extractor.spill import BATCH_ROWS, cut
from shared.bus.publishing import Outgoing, PublishFailed, PublishRefused, publish_one
from shared.bus.reading import StreamUnavailable, last
from shared.clock import Clock, from_text, to_text
from shared.errors import AetherError
from shared.events.documents import PartitionManifest
from shared.events.envelope import CONTENT_TYPE, headers_of_type
from shared.events.model import Document
from shared.ids import Ids
from shared.ports.connections import Connection
from shared.ports.system import RESUME_POINT_CHARACTERS_MAX, Page, Resumable
from shared.records.certificate import PageReceipt
from shared.records.subjects import CHECKPOINT_TYPE, checkpoint_subject

log = structlog.get_logger(__name__)

CHECKPOINT_SECONDS = 10.0
"""A reading that is over sooner, and smaller than a batch, leaves nothing."""
CHECKPOINT_AGE_SECONDS_MAX = 900.0
"""A reading that began longer ago is not taken up: a certificate must not stretch over hours."""
KEPT_SECONDS = 1_200
"""Chunks and documents are gone then; longer than any of them can be of use."""
CHUNKS_MAX = 1_000
"""Of one reading; its document, which names them, stays below 400 KB."""

_RECEIPT = {
    "number": pl.Int64,
    "rows": pl.Int64,
    "first_cursor": pl.String,
    "last_cursor": pl.String,
    "sha256": pl.String,
}


@dataclass(frozen=True)
class CheckpointRule:
    """How often a reading is made durable, and how long it may be taken up."""

    seconds: float = CHECKPOINT_SECONDS
    """0: after every page."""
    rows: int = BATCH_ROWS
    """What stands in memory until then."""
    age_seconds_max: float = CHECKPOINT_AGE_SECONDS_MAX


class Chunk(Document):
    """Rows and receipts that were stored together."""

    attempt: str
    """The token under which they lie, used for nothing else."""
    pages: PartitionManifest
    receipts: PartitionManifest


class Checkpoint(Document):
    """A reading as far as it is durable."""

    identity: str
    """Digest of what was read, from where, and of what had been applied to the target by then."""
    started_at: str
    """When the first page was asked for."""
    resumed: int
    """How often the reading has been taken up so far."""
    resume_point: str
    """Of the last page in the chunks."""
    shape: str
    """Columns and types as they came: an Arrow IPC stream without rows, base64."""
    chunks: tuple[Chunk, ...]
    """Empty: the reading was thrown away, and there is nothing to take up."""


@dataclass(frozen=True)
class Checkpoints:
    """Where and when the readings of one side are made durable."""

    js: JetStreamContext
    run: str
    side: str
    entity: str
    target_serial: int
    """Sequence of the last apply that had begun on the target: rows read before another one are of no use."""
    clock: Clock
    ids: Ids
    rule: CheckpointRule = CheckpointRule()

    def of(self, reading: str, *, connection: Connection, entity: str, columns: Sequence[str]) -> ReadingCheckpoints:
        """Those of one reading; `reading` is its name within the side."""
        what = [connection.model_dump(mode="json"), entity, list(columns), self.target_serial]
        identity = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()
        return ReadingCheckpoints(self, reading, identity=identity, columns=columns)

    def place(self, attempt: str) -> Place:
        """Where the chunks of that attempt lie."""
        return Place(run=self.run, side=self.side, entity=self.entity, attempt=attempt)


class ReadingCheckpoints:
    """The checkpoints of one reading: `take_up` or `begin`, then `keep` page after page; a `Keeper`."""

    def __init__(self, side: Checkpoints, reading: str, *, identity: str, columns: Sequence[str]) -> None:
        self._side = side
        self._reading = reading
        self._identity = identity
        self._columns = columns
        self._subject = checkpoint_subject(run=side.run, side=side.side, entity=side.entity, reading=reading)
        self._start(side.clock.now(), resumed=0, chunks=(), shape=None)

    def _start(
        self, started_at: datetime, *, resumed: int, chunks: tuple[Chunk, ...], shape: pl.DataFrame | None
    ) -> None:
        self._started_at, self._resumed, self._chunks, self._shape = started_at, resumed, chunks, shape
        self._is_open = True
        self._last_at = self._side.clock.monotonic_seconds()
        self._clear()

    def _clear(self) -> None:
        self._pages: list[pl.DataFrame] = []
        self._receipts: list[PageReceipt] = []
        self._rows = 0

    # --- taking up --------------------------------------------------------------------------------------------------

    async def take_up(self, source: Resumable, sink: Sink) -> TakenUp | None:
        """Hand the sink the rows of an earlier process, and say where to go on.

        None when there is nothing to go on with; what the sink has got until then must be thrown away.
        """
        found = await self._found()
        if found is None:
            return None
        receipts: list[PageReceipt] = []
        try:
            for chunk in found.chunks:
                place = self._side.place(chunk.attempt)
                async for frame in frames_of(self._side.js, place, chunk.pages):
                    await asyncio.to_thread(sink, frame)
                async for frame in frames_of(self._side.js, place, chunk.receipts):
                    receipts += [PageReceipt.model_validate(row) for row in frame.iter_rows(named=True)]
            shape = pl.read_ipc_stream(io.BytesIO(base64.b64decode(found.shape)))
        except AetherError as gone:
            self._leave(gone.message)
            return None
        except (ValueError, pl.exceptions.PolarsError) as unreadable:
            self._leave(type(unreadable).__name__)
            return None
        self._start(from_text(found.started_at), resumed=found.resumed + 1, chunks=found.chunks, shape=shape)
        log.info("reading_taken_up", **self._named, pages=len(receipts), rows=sum(one.rows for one in receipts))
        return TakenUp(
            source=source,
            after=found.resume_point,
            receipts=receipts,
            shape=shape,
            started_at=self._started_at,
            resumed=self._resumed,
        )

    async def _found(self) -> Checkpoint | None:
        stored = await last(self._side.js, "SNAP", self._subject)
        if stored is None:
            return None
        try:
            found = Checkpoint.model_validate_json(stored.data)
        except ValidationError:
            self._leave("written by another version of this program")
            return None
        if not found.chunks:
            return None
        if found.identity != self._identity:
            self._leave("its settings are others now, or something was applied to the target since")
            return None
        age_seconds = (self._side.clock.now() - from_text(found.started_at)).total_seconds()
        if not 0 <= age_seconds <= self._side.rule.age_seconds_max:
            self._leave(f"begun {age_seconds:.0f} s ago, allowed {self._side.rule.age_seconds_max:.0f} s")
            return None
        return found

    def _leave(self, why: str) -> None:
        log.info("reading_not_taken_up", **self._named, why=why)

    # --- keeping ----------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A reading from the first page starts now."""
        self._start(self._side.clock.now(), resumed=0, chunks=(), shape=None)

    async def keep(self, page: Page, receipt: PageReceipt) -> None:
        """Take a page, and store what has come together once it is time; the reading waits for that."""
        if not self._is_open:
            return
        if page.resume_point is None or not self._is_worth_it(page.resume_point):
            self._is_open = False
            self._clear()
            return
        self._pages.append(cut(page.rows, self._columns))
        self._receipts.append(receipt)
        self._rows += page.rows.height
        if self._shape is None or self._shape.schema != page.rows.schema:
            shapes = [page.rows.clear()] if self._shape is None else [self._shape, page.rows.clear()]
            self._shape = stacked(shapes)
        rule, now = self._side.rule, self._side.clock.monotonic_seconds()
        if self._rows >= rule.rows or now - self._last_at >= rule.seconds:
            await self._save(page.resume_point, self._shape)
            self._last_at = self._side.clock.monotonic_seconds()

    async def forget(self) -> None:
        """Have nothing of this reading taken up: the records moved while it was made."""
        if self._chunks:
            self._chunks = ()
            try:
                await self._stored(self._document("", pl.DataFrame()))
            except (PublishFailed, PublishRefused) as error:
                # It would be examined by its source before any of it is used.
                log.warning("reading_not_forgotten", **self._named, why=str(error))

    def _is_worth_it(self, resume_point: str) -> bool:
        age_seconds = (self._side.clock.now() - self._started_at).total_seconds()
        return (
            len(resume_point) <= RESUME_POINT_CHARACTERS_MAX
            and len(self._chunks) < CHUNKS_MAX
            and age_seconds <= self._side.rule.age_seconds_max
        )

    async def _save(self, resume_point: str, shape: pl.DataFrame) -> None:
        attempt = self._side.ids.token(8)
        try:
            pages, receipts = await publish(
                self._side.js,
                _batches(self._reading, self._pages, self._receipts),
                place=self._side.place(attempt),
                at=self._side.clock.now(),
                ttl_seconds=KEPT_SECONDS,
            )
            self._chunks = (*self._chunks, Chunk(attempt=attempt, pages=pages, receipts=receipts))
            await self._stored(self._document(resume_point, shape))
        except* (AetherError, PublishFailed, PublishRefused, StreamUnavailable) as group:
            # The reading itself is sound; it only cannot be taken up beyond what is kept already.
            self._is_open = False
            log.warning("reading_not_kept", **self._named, why=str(group.exceptions[0]))
        self._clear()

    def _document(self, resume_point: str, shape: pl.DataFrame) -> Checkpoint:
        buffer = io.BytesIO()
        shape.write_ipc_stream(buffer)
        return Checkpoint(
            identity=self._identity,
            started_at=to_text(self._started_at),
            resumed=self._resumed,
            resume_point=resume_point,
            shape=base64.b64encode(buffer.getbuffer()).decode(),
            chunks=self._chunks,
        )

    async def _stored(self, document: Checkpoint) -> None:
        message_id = f"{self._subject}.{self._side.ids.token(8)}"
        headers = headers_of_type(
            CHECKPOINT_TYPE,
            content_type=CONTENT_TYPE,
            message_id=message_id,
            source="/services/extractor",
            subject=self._side.run,
            time=self._side.clock.now(),
        )
        await publish_one(
            self._side.js,
            Outgoing(
                subject=self._subject,
                body=document.model_dump_json().encode(),
                headers=headers,
                message_id=message_id,
                ttl_seconds=KEPT_SECONDS,
            ),
        )

    @property
    def _named(self) -> dict[str, str]:
        side = self._side
        return {"run": side.run, "side": side.side, "entity": side.entity, "reading": self._reading}


def _batches(reading: str, pages: list[pl.DataFrame], receipts: Sequence[PageReceipt]) -> Iterator[Batch]:
    """The messages of one chunk; made as they are sent, away from the event loop."""
    yield from messages(f"pages-{reading}", [stacked(pages)])
    rows = [receipt.model_dump() for receipt in receipts]
    yield from messages(f"receipts-{reading}", [pl.DataFrame(rows, schema=_RECEIPT)])
