"""Where the batches of a snapshot lie on the bus. Pure."""

from __future__ import annotations

UNKEYED = "unkeyed"
"""The partition of target records without our key: any desired record may match them."""
QUARANTINE = "quarantine"
"""The partition of quarantine items."""
OUTSIDE = "outside"
"""The partition of keys that the contract's scope leaves out; source side only."""

BATCH_TYPE = "aether.snapshot.batch.v1"
"""CloudEvents type of a batch; its body is an Arrow IPC stream and has no model."""
BATCH_CONTENT_TYPE = "application/vnd.apache.arrow.stream"

CHECKPOINT_TYPE = "aether.snapshot.checkpoint.v1"
"""CloudEvents type of what a reading left of itself in case that its process dies; the extractor's own, for itself."""


def batch_subject(*, run: str, side: str, entity: str, attempt: str, partition: str) -> str:
    """The subject of the batches of one partition of one attempt."""
    return f"snap.{run}.{side}.{entity}.{attempt}.{partition}"


def checkpoint_subject(*, run: str, side: str, entity: str, reading: str) -> str:
    """The subject of the checkpoints of one reading, whichever attempt makes them; the last one counts."""
    return f"snap.{run}.{side}.{entity}.checkpoint.{reading}"


def snapshot_read_subject(*, run: str, side: str, entity: str) -> str:
    """The subject of the fact that a side was read."""
    return f"evt.extractor.snapshot_read.{run}.{side}.{entity}"
