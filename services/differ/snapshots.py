"""Reading a snapshot back from the bus, and making sure that it is the one that was sent.

Acts on the SNAP and CORE streams; decides nothing but whether the batches are whole.
"""

from __future__ import annotations

import hashlib

import polars as pl
from nats.js import JetStreamContext

from shared.bus.reading import last, read_all
from shared.errors import StopRun
from shared.events.envelope import decode
from shared.events.facts import SnapshotRead
from shared.records.batches import decode as decode_batches
from shared.records.subjects import batch_subject, snapshot_read_subject


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
    where = f"run {fact.run}: partition {partition} of the {fact.side} of {fact.entity}"
    if manifest is None:
        raise StopRun("DIF_SNAPSHOT_GONE", f"{where} is not in the manifest", run=fact.run)
    subject = batch_subject(run=fact.run, side=fact.side, entity=fact.entity, attempt=fact.attempt, partition=partition)
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
            run=fact.run,
        )
    frame = decode_batches(messages)
    if frame.height != manifest.rows:
        raise StopRun(
            "DIF_SNAPSHOT_GONE", f"{where}: {frame.height} rows, {manifest.rows} in the manifest", run=fact.run
        )
    return frame
