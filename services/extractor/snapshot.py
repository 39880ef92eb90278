"""A snapshot's messages onto the bus, as they are made, with the manifest of what was sent; and back from there.

Acts on the SNAP stream; decides nothing. Batches of one attempt are told apart from leftovers of a killed reader by the
attempt in their subject; only the attempt that the run's document names counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

import polars as pl
from nats.js import JetStreamContext

from services.extractor.pipeline import Batch
from shared.bus.publishing import Outgoing, publish_one
from shared.bus.reading import read_all
from shared.errors import AetherError, StopRun
from shared.events.documents import PartitionManifest
from shared.events.envelope import headers_of_type
from shared.events.facts import SnapshotRead
from shared.records.batches import decode
from shared.records.subjects import BATCH_CONTENT_TYPE, BATCH_TYPE, batch_subject
from shared.telemetry.tracing import current_traceparent

IN_FLIGHT = 8
"""Messages of at most 900 KB that wait for their acknowledgement at once."""


@dataclass(frozen=True)
class Place:
    """Where the snapshot of one side lies."""

    run: str
    side: str
    entity: str
    attempt: str

    @classmethod
    def of(cls, fact: SnapshotRead) -> Self:
        """Where the snapshot lies that the fact tells of."""
        return cls(run=fact.run, side=fact.side, entity=fact.entity, attempt=fact.attempt)


@dataclass
class _Sent:
    """What was made of one partition so far."""

    messages: int = 0
    rows: int = 0
    chain: hashlib._Hash = field(default_factory=hashlib.sha256)
    last: asyncio.Task[None] | None = None


async def publish(
    js: JetStreamContext, batches: Iterator[Batch], *, place: Place, at: datetime, ttl_seconds: int | None = None
) -> tuple[PartitionManifest, ...]:
    """Send every message while the next is made, and wait until all are stored; the manifests in the order of making.

    `at` is when the snapshot was cut; its messages bear that time, and are gone after `ttl_seconds` where that is less
    than the stream keeps them. An error of the house while the next one is made
    passes through, once what was sent before is stored.
    """
    gate = asyncio.Semaphore(IN_FLIGHT)
    sent: dict[str, _Sent] = {}

    async def send(batch: Batch, number: int, before: asyncio.Task[None] | None) -> None:
        try:
            # In order within a partition: the reader checks the digests in stream order.
            if before is not None:
                await before
            await publish_one(js, _outgoing(batch, number, place=place, at=at, ttl_seconds=ttl_seconds))
        finally:
            gate.release()

    failure: AetherError | None = None
    async with asyncio.TaskGroup() as group:
        while True:
            try:
                batch = await asyncio.to_thread(next, batches, None)
            except AetherError as error:
                failure = error
                break
            if batch is None:
                break
            one = sent.setdefault(batch.partition, _Sent())
            one.messages += 1
            one.rows += batch.rows
            one.chain.update(hashlib.sha256(batch.message).digest())
            await gate.acquire()
            one.last = group.create_task(send(batch, one.messages, one.last))
    if failure is not None:
        raise failure
    return tuple(
        PartitionManifest(partition=partition, messages=one.messages, rows=one.rows, sha256=one.chain.hexdigest())
        for partition, one in sent.items()
    )


async def frames_of(js: JetStreamContext, place: Place, manifest: PartitionManifest) -> AsyncIterator[pl.DataFrame]:
    """The frames of one partition, message by message; `StopRun` at the end unless they are those of the manifest."""
    chain, found, rows = hashlib.sha256(), 0, 0
    async for stored in read_all(js, "SNAP", _subject(place, manifest.partition)):
        chain.update(hashlib.sha256(stored.data).digest())
        found += 1
        if found > manifest.messages:
            break
        frame = decode([stored.data])
        rows += frame.height
        yield frame
    if (found, rows, chain.hexdigest()) != (manifest.messages, manifest.rows, manifest.sha256):
        raise StopRun(
            "DIF_SNAPSHOT_GONE",
            f"run {place.run}: partition {manifest.partition} of the {place.side} of {place.entity} has {found} "
            f"messages, {manifest.messages} in the manifest, or other content; they are kept for some days only",
            run=place.run,
        )


def _subject(place: Place, partition: str) -> str:
    return batch_subject(
        run=place.run, side=place.side, entity=place.entity, attempt=place.attempt, partition=partition
    )


def _outgoing(batch: Batch, number: int, *, place: Place, at: datetime, ttl_seconds: int | None) -> Outgoing:
    run, side, entity, attempt = place.run, place.side, place.entity, place.attempt
    message_id = f"{run}.{side}.{entity}.{attempt}.{batch.partition}.{number}"
    headers = headers_of_type(
        BATCH_TYPE,
        content_type=BATCH_CONTENT_TYPE,
        message_id=message_id,
        source="/services/extractor",
        subject=run,
        time=at,
        traceparent=current_traceparent(),
    )
    return Outgoing(
        subject=_subject(place, batch.partition),
        body=batch.message,
        headers=headers,
        message_id=message_id,
        ttl_seconds=ttl_seconds,
    )
