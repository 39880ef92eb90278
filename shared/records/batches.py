"""Records as messages: cuts a snapshot's data frame into Arrow IPC streams for the bus and puts it together again.

A snapshot is a data frame with the columns `key` (text; null on the target side for a record that is nobody's),
`target_id` (text; target side only), the contract's fields in contract order, as text or boolean, and the hashes of
`shared.records.hashes`. Nothing is decided here about the records; a missing message is for the certificate to find, a
damaged one is found here. Messages are compressed with zstd: 35 MB of staff records take 0.10 s and become 8 MB, lz4
takes 0.09 s for 17 MB, and every byte is sent and stored.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import xxhash

from shared.errors import RecordRefused, StopRun
from shared.records.hashes import KEY_HASH

MESSAGE_BYTES_MAX = 900_000
"""Below the bus's bound of one million bytes a message, headers included."""
PARTITIONS_MAX = 64
_COMPRESSED_GUESS = 4
"""How many times smaller the first message is expected to be than its rows in memory; the others follow the first."""


@dataclass(frozen=True)
class Encoded:
    """One message."""

    rows: int
    message: bytes


def partition_of_keys(keys: pl.Series, partitions: int) -> pl.Series:
    """The partition of each key: xxh3_64 of its UTF-8 bytes, modulo the number of partitions.

    The same for ever and everywhere: partitions of one run are written and read by different programs. A null key has
    no partition (null), because a record that is nobody's may match a record of any partition.
    """
    if not 1 <= partitions <= PARTITIONS_MAX:
        raise ValueError(f"{partitions} partitions, allowed 1 to {PARTITIONS_MAX}")
    return pl.Series(
        "partition",
        [None if key is None else xxhash.xxh3_64_intdigest(key.encode()) % partitions for key in keys],
        dtype=pl.UInt32,
    )


def ordered(frame: pl.DataFrame) -> pl.DataFrame:
    """The one order of a snapshot: by key hash, and rows that it leaves equal by key and target id, nulls last.

    A frame without hashes is ordered by all its columns from left to right.
    """
    if KEY_HASH not in frame.columns:
        return frame.sort(frame.columns, nulls_last=True)
    hashes = frame.get_column(KEY_HASH)
    if hashes.n_unique() == frame.height:
        return frame.sort(KEY_HASH, nulls_last=True)
    ties = [name for name in ("key", "target_id") if name in frame.columns]
    return frame.sort(KEY_HASH, *ties, nulls_last=True)


def encode(frame: pl.DataFrame, max_bytes: int = MESSAGE_BYTES_MAX) -> list[bytes]:
    """Arrow IPC streams, zstd, each at most `max_bytes`, holding the rows in the one order of a snapshot.

    A frame without rows becomes one message, so that it stays different from nothing. `RecordRefused` for a single
    row above the bound.
    """
    return [batch.message for batch in encoded(ordered(frame), max_bytes)]


def encoded(
    frame: pl.DataFrame, max_bytes: int = MESSAGE_BYTES_MAX, *, row_bytes: float | None = None
) -> Iterator[Encoded]:
    """The messages of `encode` one by one, of rows that stand in their order already.

    `row_bytes` is what a row of this kind took in an earlier message; without it the first message is guessed at.
    """
    frame = frame.rechunk()
    row_bytes = row_bytes or max(frame.estimated_size() / max(frame.height, 1) / _COMPRESSED_GUESS, 1.0)
    start = 0
    while True:
        # A tenth below the bound: rows differ in length, and a piece that fits is not cut again.
        rows = max(1, int(max_bytes * 0.9 / row_bytes))
        piece = frame.slice(start, rows)
        sizes = 0
        for batch in _cut(piece, max_bytes):
            sizes += len(batch.message)
            yield batch
        start += rows
        if start >= frame.height:
            return
        row_bytes = max(sizes / piece.height, 1.0)


def decode(messages: Sequence[bytes]) -> pl.DataFrame:
    """The frame that `encode` was given, in the one order of a snapshot.

    `StopRun` when there is no message at all, or one cannot be read or has other columns than the first: lost batches
    must never look like an empty snapshot.
    """
    if not messages:
        raise StopRun("DIF_SNAPSHOT_GONE", "there is no batch of the snapshot, not even an empty one; run again")
    frames = [_read(message, number) for number, message in enumerate(messages, start=1)]
    for number, frame in enumerate(frames, start=1):
        if frame.schema != frames[0].schema:
            raise StopRun(
                "DIF_SNAPSHOT_GONE",
                f"batch {number} of {len(frames)} has other columns than the first; run again",
                batch=number,
            )
    whole = pl.concat(frames, rechunk=True)
    # Messages in the order in which they were sent are in order; looking is far cheaper than sorting.
    if KEY_HASH in whole.columns and whole.get_column(KEY_HASH).is_sorted(nulls_last=True):
        return whole
    return ordered(whole)


def _cut(frame: pl.DataFrame, max_bytes: int) -> list[Encoded]:
    message = _write(frame)
    if len(message) <= max_bytes:
        return [Encoded(frame.height, message)]
    if frame.height == 1:
        raise _too_large(frame, len(message), max_bytes)
    # A tenth more parts than the sizes ask for, as above.
    parts = min(frame.height, max(2, len(message) * 11 // (max_bytes * 10) + 1))
    rows = -(-frame.height // parts)
    return [part for piece in frame.iter_slices(rows) for part in _cut(piece, max_bytes)]


def _write(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # The oldest layout holds plain offsets and bytes: a slice carries only its own text, and any Arrow reader takes it.
    frame.write_ipc_stream(buffer, compression="zstd", compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def _read(message: bytes, number: int) -> pl.DataFrame:
    try:
        return pl.read_ipc_stream(io.BytesIO(message))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise StopRun(
            "DIF_SNAPSHOT_GONE", f"batch {number} of the snapshot cannot be read; run again", batch=number
        ) from error


def _too_large(frame: pl.DataFrame, size: int, max_bytes: int) -> RecordRefused:
    key = frame.get_column("key")[0] if "key" in frame.columns else None
    digest = "none" if key is None else hashlib.sha256(str(key).encode()).hexdigest()[:16]
    return RecordRefused(
        "NRM_BAD_FORMAT",
        f"one record takes {size} bytes as a message, allowed {max_bytes}; shorten its fields in the system of record "
        f"(SHA-256 of its key begins {digest})",
        key_digest=digest,
        bytes=size,
        bytes_max=max_bytes,
    )
