"""A snapshot's frames as messages on the bus: which partition each record goes to, and the manifest of what was sent.

`cut` is pure; `publish` sends. Batches of one attempt are told apart from leftovers of a killed reader by the attempt
in their subject; only the attempt that the run's document names counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from nats.js import JetStreamContext

from shared.bus.publishing import Outgoing, publish_one
from shared.events.documents import PartitionManifest
from shared.events.envelope import headers_of_type
from shared.records.batches import encode, partition_of_keys
from shared.records.subjects import BATCH_CONTENT_TYPE, BATCH_TYPE, QUARANTINE, UNKEYED, batch_subject
from shared.telemetry.tracing import current_traceparent

IN_FLIGHT = 8
"""Messages of at most 900 KB that wait for their acknowledgement at once."""


@dataclass(frozen=True)
class Part:
    """The messages of one partition."""

    partition: str
    rows: int
    messages: tuple[bytes, ...]

    @property
    def manifest(self) -> PartitionManifest:
        """What the partition must be when it is read."""
        chain = hashlib.sha256()
        for message in self.messages:
            chain.update(hashlib.sha256(message).digest())
        return PartitionManifest(
            partition=self.partition, messages=len(self.messages), rows=self.rows, sha256=chain.hexdigest()
        )


def cut(records: pl.DataFrame, quarantined: pl.DataFrame, *, partitions: int) -> list[Part]:
    """Every partition (also empty ones), the records without our key, and the quarantine."""
    numbered = records.with_columns(partition_of_keys(records.get_column("key"), partitions).alias("partition "))
    parts = []
    for number in range(partitions):
        frame = numbered.filter(pl.col("partition ") == number).drop("partition ")
        parts.append(Part(partition=str(number), rows=frame.height, messages=tuple(encode(frame))))
    unkeyed = numbered.filter(pl.col("partition ").is_null()).drop("partition ")
    parts.append(Part(partition=UNKEYED, rows=unkeyed.height, messages=tuple(encode(unkeyed))))
    parts.append(Part(partition=QUARANTINE, rows=quarantined.height, messages=tuple(encode(quarantined))))
    return parts


async def publish(
    js: JetStreamContext, parts: list[Part], *, run: str, side: str, entity: str, attempt: str, at: datetime
) -> tuple[PartitionManifest, ...]:
    """Send every message and wait until all are stored; the manifests in partition order.

    `at` is when the snapshot was cut; its messages bear that time.
    """
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def send(part: Part, number: int, message: bytes) -> None:
        subject = batch_subject(run=run, side=side, entity=entity, attempt=attempt, partition=part.partition)
        message_id = f"{run}.{side}.{entity}.{attempt}.{part.partition}.{number}"
        headers = headers_of_type(
            BATCH_TYPE,
            content_type=BATCH_CONTENT_TYPE,
            message_id=message_id,
            source="/services/extractor",
            subject=run,
            time=at,
            traceparent=current_traceparent(),
        )
        async with gate:
            await publish_one(js, Outgoing(subject=subject, body=message, headers=headers, message_id=message_id))

    # In order within a partition: the reader checks the digests in stream order.
    async def send_part(part: Part) -> None:
        for number, message in enumerate(part.messages, start=1):
            await send(part, number, message)

    async with asyncio.TaskGroup() as group:
        for part in parts:
            group.create_task(send_part(part))
    return tuple(part.manifest for part in parts)
