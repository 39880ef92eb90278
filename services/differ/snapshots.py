"""Reading a snapshot back from the bus, and making sure that it is the one that was sent.

Acts on the SNAP and CORE streams; decides nothing but whether the batches are whole.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass

import polars as pl
from nats.js import JetStreamContext

from shared.bus.reading import last, read_all
from shared.errors import StopRun
from shared.events.documents import PartitionManifest
from shared.events.envelope import decode
from shared.events.facts import SnapshotRead
from shared.records.batches import decode as decode_batches
from shared.records.hashes import HASH_VERSION
from shared.records.subjects import OUTSIDE, QUARANTINE, batch_subject, snapshot_read_subject


@dataclass(frozen=True)
class Sides:
    """What was read of one entity."""

    source: SnapshotRead
    target: SnapshotRead

    @property
    def may_remove(self) -> bool:
        """Whether every source that feeds the entity is certified."""
        return self.source.incomplete is None and all(one.is_certified for one in self.source.sources)

    @property
    def is_certified(self) -> bool:
        """Whether both sides were read whole."""
        return self.may_remove and self.target.incomplete is None

    @property
    def hashes_agree(self) -> bool:
        """Whether the hashes of both sides were made by the algorithm of this program."""
        return self.source.hash_version == self.target.hash_version == HASH_VERSION


async def sides_of(js: JetStreamContext, *, run: str, entity: str) -> Sides:
    """The facts that both sides of an entity were read; `StopRun` when one is missing."""
    source, target = await asyncio.gather(
        snapshot_read(js, run=run, side="source", entity=entity),
        snapshot_read(js, run=run, side="target", entity=entity),
    )
    return Sides(source=source, target=target)


async def snapshot_read(js: JetStreamContext, *, run: str, side: str, entity: str) -> SnapshotRead:
    """The fact that a side was read, with the manifest of its batches; `StopRun` when it is missing."""
    subject = snapshot_read_subject(run=run, side=side, entity=entity)
    stored = await last(js, "CORE", subject)
    if stored is None:
        raise StopRun("DIF_SNAPSHOT_GONE", f"run {run}: nothing tells that the {side} of {entity} was read", run=run)
    return decode(SnapshotRead, data=stored.data, headers=stored.headers, subject=subject)


async def partition_of(js: JetStreamContext, fact: SnapshotRead, partition: str) -> pl.DataFrame:
    """One partition of a snapshot; `StopRun` unless messages, rows and digests are those of the manifest."""
    manifest = next((one for one in fact.partitions if one.partition == partition), None)
    if manifest is None:
        raise StopRun(
            "DIF_SNAPSHOT_GONE",
            f"run {fact.run}: partition {partition} of the {fact.side} of {fact.entity} is not in the manifest",
            run=fact.run,
        )
    return await frame_at(js, manifest, run=fact.run, side=fact.side, entity=fact.entity, attempt=fact.attempt)


async def frame_at(
    js: JetStreamContext, manifest: PartitionManifest, *, run: str, side: str, entity: str, attempt: str
) -> pl.DataFrame:
    """The frame that a manifest speaks of; `StopRun` unless messages, rows and digests are those that it names."""
    where = f"run {run}: partition {manifest.partition} of the {side} of {entity}"
    subject = batch_subject(run=run, side=side, entity=entity, attempt=attempt, partition=manifest.partition)
    messages: list[bytes] = []
    chain = hashlib.sha256()
    async for stored in read_all(js, "SNAP", subject):
        messages.append(stored.data)
        chain.update(hashlib.sha256(stored.data).digest())
        if len(messages) > manifest.messages:
            break
    if len(messages) != manifest.messages or chain.hexdigest() != manifest.sha256:
        raise StopRun(
            "DIF_SNAPSHOT_GONE",
            f"{where}: {len(messages)} messages, {manifest.messages} in the manifest, or other content; run again",
            run=run,
        )
    frame = decode_batches(messages)
    if frame.height != manifest.rows:
        raise StopRun("DIF_SNAPSHOT_GONE", f"{where}: {frame.height} rows, {manifest.rows} in the manifest", run=run)
    return frame


async def quarantined_keys(js: JetStreamContext, sides: Sides) -> frozenset[str]:
    """Keys in quarantine on either side: rows that cannot be read, and keys that several target records claim."""
    frames = await asyncio.gather(*(partition_of(js, side, QUARANTINE) for side in (sides.source, sides.target)))
    return frozenset(key for frame in frames for key in frame.get_column("key").drop_nulls())


async def outside_keys(js: JetStreamContext, source: SnapshotRead) -> frozenset[str]:
    """Keys of source records that the contract's scope leaves out."""
    if all(one.partition != OUTSIDE for one in source.partitions):
        return frozenset()
    return frozenset((await partition_of(js, source, OUTSIDE)).get_column("key").drop_nulls())
