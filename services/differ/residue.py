"""The residue of a partition: what found no partner of its key, and its counts, put on the bus and read back.

Partitions cannot see each other's records, and whoever changed its key lies in another; so what is left of each is
settled together. Acts on the SNAP stream; decides nothing. Batches of one attempt are told apart from leftovers of a
killed differ by the attempt in their subject; only the attempt that the fact of the partition names counts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from nats.js import JetStreamContext

from services.differ.snapshots import frame_at
from services.differ.tally import Tally, frame_of, tally_from
from shared.bus.publishing import Outgoing, publish_one
from shared.errors import StopRun
from shared.events.documents import PartitionManifest
from shared.events.envelope import headers_of_type
from shared.events.facts import PartitionDiffed
from shared.records.batches import encode
from shared.records.subjects import BATCH_CONTENT_TYPE, BATCH_TYPE, batch_subject
from shared.telemetry.tracing import current_traceparent

SIDE = "residue"
"""Stands in the subject where other batches have their side."""
_UNMATCHED, _ABSENT, _TALLY = "unmatched", "absent", "tally"


@dataclass(frozen=True)
class Residue:
    """What is left of one partition, or of all."""

    unmatched: pl.DataFrame
    """Desired records without a target record of their key."""
    absent: pl.DataFrame
    """Target records whose key is not desired."""
    tally: Tally


async def publish_residue(
    js: JetStreamContext, residue: Residue, *, run: str, entity: str, attempt: str, partition: int, at: datetime
) -> tuple[PartitionManifest, ...]:
    """Send every batch and wait until all are stored; the manifests of what was sent. `at` is when it was compared."""
    frames = {_UNMATCHED: residue.unmatched, _ABSENT: residue.absent, _TALLY: frame_of(residue.tally)}

    async def send(name: str, frame: pl.DataFrame) -> PartitionManifest:
        part = f"{partition}-{name}"
        messages = await asyncio.to_thread(encode, frame)
        chain = hashlib.sha256()
        for number, message in enumerate(messages, start=1):
            chain.update(hashlib.sha256(message).digest())
            subject = batch_subject(run=run, side=SIDE, entity=entity, attempt=attempt, partition=part)
            message_id = f"{run}.{SIDE}.{entity}.{attempt}.{part}.{number}"
            headers = headers_of_type(
                BATCH_TYPE,
                content_type=BATCH_CONTENT_TYPE,
                message_id=message_id,
                source="/services/differ",
                subject=run,
                time=at,
                traceparent=current_traceparent(),
            )
            # One after the other: the reader checks the digests in stream order.
            await publish_one(js, Outgoing(subject=subject, body=message, headers=headers, message_id=message_id))
        return PartitionManifest(partition=part, messages=len(messages), rows=frame.height, sha256=chain.hexdigest())

    return tuple(await asyncio.gather(*(send(name, frame) for name, frame in frames.items())))


async def read_residue(js: JetStreamContext, facts: Sequence[PartitionDiffed]) -> Residue:
    """The residue of these partitions of one entity, put together; `StopRun` when a batch is missing or altered."""
    names = (_UNMATCHED, _ABSENT, _TALLY)
    frames: dict[str, list[pl.DataFrame]] = {name: [] for name in names}
    for fact in sorted(facts, key=lambda fact: fact.partition):
        told = {one.partition.rpartition("-")[2]: one for one in fact.residue}
        if fact.attempt is None or set(told) != set(frames):
            raise StopRun(
                "DIF_SNAPSHOT_GONE",
                f"run {fact.run}: partition {fact.partition} of {fact.entity} names no residue; run again",
                run=fact.run,
            )
        read = await asyncio.gather(
            *(
                frame_at(js, told[name], run=fact.run, side=SIDE, entity=fact.entity, attempt=fact.attempt)
                for name in names
            )
        )
        for name, frame in zip(names, read, strict=True):
            frames[name].append(frame)
    return Residue(
        unmatched=pl.concat(frames[_UNMATCHED]), absent=pl.concat(frames[_ABSENT]), tally=tally_from(frames[_TALLY])
    )
