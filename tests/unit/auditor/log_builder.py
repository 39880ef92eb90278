"""A small synthetic audit log with its key, leaves and checkpoints, for the tests beside this file."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from shared.audit.checkpoint import Checkpoint, sign_checkpoint, verifier_key_of
from shared.audit.entries import OUTCOME_COUNTS, RUN_SEALED, AuditEntry
from shared.hashing.canonical import sha256_hex
from shared.hashing.merkle import root_of
from shared.hashing.signing import load_private_key

ORIGIN = "audit.example.org/log"
PRIVATE = load_private_key(base64.b64encode(bytes(range(32))).decode())
OTHER_PRIVATE = load_private_key(base64.b64encode(bytes(range(1, 33))).decode())
VERIFIER_KEY = verifier_key_of(PRIVATE, origin=ORIGIN)

SummaryValue = str | int | bool | None
SUMMARY: dict[str, SummaryValue] = {"code": "APL_WRITTEN", "tries": 1, "is_dry_run": False, "note": None}


def entry_at(index: int, *, type: str = "aether.change.applied.v1", **summary: SummaryValue) -> AuditEntry:
    return AuditEntry(
        index=index,
        recorded_at="2026-01-31T08:00:00.000Z",
        stream="CORE",
        stream_seq=index + 100,
        subject=f"aether.run.r1.{index}",
        type=type,
        run="20260131T080000-4k7zq2",
        actor="operator-2",
        occurred_at="2026-01-31T07:59:59.500Z",
        payload_sha256=sha256_hex(b"payload %d" % index),
        summary=summary or dict(SUMMARY),
    )


def sealed_at(index: int, *, planned: int, **counts: int) -> AuditEntry:
    return entry_at(index, type=RUN_SEALED, planned=planned, **{name: counts.get(name, 0) for name in OUTCOME_COUNTS})


def note_of(size: int, root: bytes) -> str:
    return sign_checkpoint(Checkpoint(ORIGIN, size, root), PRIVATE)


@dataclass
class Log:
    """A log of entries with an honest checkpoint at each size asked for."""

    entries: list[AuditEntry] = field(default_factory=lambda: [entry_at(index) for index in range(12)])

    @property
    def leaves(self) -> list[bytes]:
        return [entry.leaf_hash() for entry in self.entries]

    @property
    def lines(self) -> list[bytes]:
        return [entry.leaf_bytes() for entry in self.entries]

    def note(self, size: int) -> str:
        return note_of(size, root_of(self.leaves[:size]))

    def node(self, *, level: int, position: int) -> bytes:
        """The stored nodes of the log, computed afresh."""
        return root_of(self.leaves[position << level : (position + 1) << level])
