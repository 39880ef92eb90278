"""Verifies an exported audit log against its signed checkpoints, offline and from first principles.

It recomputes every leaf and every signed root, trusting nothing but the verifier key. Broken input is a finding of
the report, never an exception; it reads no store, no clock and no network. The console, the CLI and a judge with a
copy of the log run the same function.

Checkpoints need no consistency proofs here: roots recomputed from one sequence of entries are prefixes of each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.audit.checkpoint import (
    Checkpoint,
    CheckpointError,
    CheckpointForged,
    parse_and_verify_checkpoint,
    parse_verifier_key,
)
from shared.audit.entries import RUN_SEALED, AuditEntry, sum_fault
from shared.audit.tree import EMPTY, append, root
from shared.hashing.merkle import leaf_hash

AuditLine = AuditEntry | str | bytes
"""An entry, or one line of an export: its canonical JSON, with or without the newline."""

FAILURES_MAX = 100
"""More are counted, not listed: the first ones tell the story."""

BATCH_LEAVES_MAX = 4096
LINE_BYTES_MAX = 1_048_576


class FailureKind(StrEnum):
    """In which way a log can fail to prove itself."""

    ENTRY_MALFORMED = "entry_malformed"
    INDEX_BROKEN = "index_broken"
    """An entry is removed, repeated or out of order."""
    ENTRIES_MISSING = "entries_missing"
    """A checkpoint was signed for more entries than there are."""
    ROOT_MISMATCH = "root_mismatch"
    """An entry that a checkpoint covers was altered, or the log was forked."""
    CHECKPOINT_MISSING = "checkpoint_missing"
    CHECKPOINT_MALFORMED = "checkpoint_malformed"
    CHECKPOINT_FORGED = "checkpoint_forged"
    CHECKPOINT_ROLLED_BACK = "checkpoint_rolled_back"
    SPLIT_VIEW = "split_view"
    """Two roots were signed for one size: two readers were shown two logs."""
    COUNTS_DO_NOT_ADD_UP = "counts_do_not_add_up"


class LogFailure(BaseModel):
    """One reason why the log does not hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FailureKind
    index: int | None
    """The first entry it may concern, from 0; None when it concerns no place."""
    checkpoint: int | None
    """The place of the checkpoint in the given sequence, from 0; None when it is about an entry."""
    reason: str


class ProvenPoint(BaseModel):
    """How far the log is proven: what to compare with a checkpoint that was kept apart from it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: int
    """The last entry that a good checkpoint covers, from 0."""
    recorded_at: str
    """When that entry was appended."""
    size: int
    root: str
    """The signed root in hexadecimal digits."""


class VerificationReport(BaseModel):
    """What was verified, and everything that failed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_valid: bool
    """No failure at all. Entries behind the last checkpoint are no failure, and not proven either."""
    is_proven: bool
    """No failure, and every entry is under a signature: nothing less may be called a log that holds."""
    entries: int
    entries_proven: int
    """How many entries from the start a good checkpoint covers; what is behind could be altered unseen."""
    last_proven: ProvenPoint | None
    """None when no entry is proven."""
    checkpoints: int
    runs_sealed: int
    root: str | None
    """The root over all entries in hexadecimal digits; None when no tree can be built from them."""
    first_failure: LogFailure | None
    """By place in the log, not by the order of checks."""
    failures: tuple[LogFailure, ...]
    failures_total: int
    """All that were found; `failures` lists at most `FAILURES_MAX`."""


def verify_log(entries: Iterable[AuditLine], checkpoints: Sequence[str], verifier_key: str) -> VerificationReport:
    """Verify a whole log: leaves, indexes, roots, signatures, the order of checkpoints and the sums of sealed runs.

    Entries are read once and in bounded memory. Raises `CheckpointError` only for a verifier key that is none.
    """
    parse_verifier_key(verifier_key)
    check = _Check()
    check.read_checkpoints(checkpoints, verifier_key)
    for line in entries:
        check.read_entry(line)
    return check.report(len(checkpoints))


class _Check:
    """The state of one verification."""

    def __init__(self) -> None:
        self.failures: list[LogFailure] = []
        self.failures_total = 0
        self.signed: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
        """By size: place and root of the checkpoints with a good signature."""
        self.frontier = EMPTY
        self.leaves: list[bytes] = []
        self.read = 0
        self.next_index = 0
        self.is_broken = False
        self.proven = 0
        self.last_proven: ProvenPoint | None = None
        self.newest: AuditEntry | None = None
        self.runs_sealed = 0

    def fail(self, kind: FailureKind, reason: str, *, index: int | None, checkpoint: int | None = None) -> None:
        self.failures_total += 1
        if len(self.failures) < FAILURES_MAX:
            self.failures.append(LogFailure(kind=kind, index=index, checkpoint=checkpoint, reason=reason))

    def read_checkpoints(self, texts: Sequence[str], verifier_key: str) -> None:
        if not texts:
            self.fail(
                FailureKind.CHECKPOINT_MISSING,
                "no checkpoint given: nothing signed says what the log holds",
                index=None,
            )
        last: tuple[int, int] | None = None
        for place, text in enumerate(texts):
            try:
                checkpoint = parse_and_verify_checkpoint(text, verifier_key)
            except CheckpointError as error:
                is_forged = isinstance(error, CheckpointForged)
                kind = FailureKind.CHECKPOINT_FORGED if is_forged else FailureKind.CHECKPOINT_MALFORMED
                self.fail(kind, f"checkpoint {place}: {error}", index=None, checkpoint=place)
                continue
            self._check_order(place, checkpoint, last)
            self.signed[checkpoint.size].append((place, checkpoint.root))
            if last is None or checkpoint.size >= last[1]:
                last = (place, checkpoint.size)
        self._check_roots()

    def _check_order(self, place: int, checkpoint: Checkpoint, last: tuple[int, int] | None) -> None:
        size = checkpoint.size
        for other, other_root in self.signed.get(size, [])[:1]:
            if other_root != checkpoint.root:
                reason = (
                    f"checkpoints {other} and {place} are both signed for size {size}, with roots {other_root.hex()} "
                    f"and {checkpoint.root.hex()}: two logs were shown"
                )
                self.fail(FailureKind.SPLIT_VIEW, reason, index=size, checkpoint=place)
        if last is not None and size < last[1]:
            reason = (
                f"checkpoint {place} is for size {size}, after checkpoint {last[0]} for {last[1]}: a log only grows"
            )
            self.fail(FailureKind.CHECKPOINT_ROLLED_BACK, reason, index=size, checkpoint=place)

    def read_entry(self, line: AuditLine) -> None:
        """Take one entry; after the first break its place in the tree is unknown, and only the rest is checked."""
        place = self.read
        self.read += 1
        parsed = self._parsed(line, place)
        if parsed is None:
            self.is_broken = True
            self.next_index += 1
            return
        entry, leaf = parsed
        if entry.index != self.next_index:
            what = "entries are missing" if entry.index > self.next_index else "it is repeated or out of order"
            reason = f"line {place} has index {entry.index}, expected {self.next_index}: {what}"
            self.fail(FailureKind.INDEX_BROKEN, reason, index=min(entry.index, self.next_index))
            self.is_broken = True
        self.next_index = entry.index + 1
        if entry.type == RUN_SEALED:
            self.runs_sealed += 1
            if fault := sum_fault(entry):
                self.fail(FailureKind.COUNTS_DO_NOT_ADD_UP, fault, index=entry.index)
        if not self.is_broken:
            self.leaves.append(leaf_hash(leaf))
            self.newest = entry
            if self.read in self.signed or len(self.leaves) >= BATCH_LEAVES_MAX:
                self._grow()
                self._check_roots()

    def _parsed(self, line: AuditLine, place: int) -> tuple[AuditEntry, bytes] | None:
        """The entry of a line and its leaf bytes; None, with a finding, when it is no entry."""
        if isinstance(line, AuditEntry):
            return line, line.leaf_bytes()
        data = (line.encode(errors="replace") if isinstance(line, str) else line).removesuffix(b"\n")
        if len(data) > LINE_BYTES_MAX:
            problem = f"{len(data)} bytes, at most {LINE_BYTES_MAX}"
        else:
            try:
                entry = AuditEntry.model_validate_json(data)
            except ValidationError as error:
                first = error.errors(include_input=False, include_url=False)[0]
                problem = f"{'.'.join(map(str, first['loc'])) or 'not JSON'}: {first['msg']}"
            else:
                # A second spelling of the same entry could hide a repeated key from one of two readers.
                if entry.leaf_bytes() == data:
                    return entry, data
                problem = "not in canonical JSON (RFC 8785); export the log again"
        self.fail(FailureKind.ENTRY_MALFORMED, f"line {place}: {problem}", index=self.next_index)
        return None

    def _grow(self) -> None:
        self.frontier = append(self.frontier, self.leaves).frontier
        self.leaves.clear()

    def _check_roots(self) -> None:
        size, proven_before = self.frontier.size, self.proven
        for place, signed_root in self.signed.get(size, []):
            found = root(self.frontier)
            if found == signed_root:
                self.proven = max(self.proven, size)
                if self.newest is not None:  # the entry before `size`: the frontier never runs ahead of it
                    self.last_proven = ProvenPoint(
                        index=size - 1, recorded_at=self.newest.recorded_at, size=size, root=found.hex()
                    )
                continue
            reason = (
                f"checkpoint {place} signs root {signed_root.hex()} for size {size}, the entries have {found.hex()}: "
                f"an entry from {proven_before} to before {size} was altered, or the log was forked"
            )
            self.fail(FailureKind.ROOT_MISMATCH, reason, index=proven_before, checkpoint=place)

    def report(self, checkpoints: int) -> VerificationReport:
        if not self.is_broken:
            self._grow()
            for size in sorted(self.signed):
                if size > self.read:
                    place = self.signed[size][0][0]
                    reason = f"checkpoint {place} is signed for {size} entries, the log has {self.read}"
                    self.fail(FailureKind.ENTRIES_MISSING, reason, index=self.read, checkpoint=place)
        ordered = sorted(self.failures, key=lambda failure: -1 if failure.index is None else failure.index)
        return VerificationReport(
            is_valid=self.failures_total == 0,
            is_proven=self.failures_total == 0 and self.proven == self.read,
            entries=self.read,
            entries_proven=self.proven,
            last_proven=self.last_proven,
            checkpoints=checkpoints,
            runs_sealed=self.runs_sealed,
            root=None if self.is_broken else root(self.frontier).hex(),
            first_failure=ordered[0] if ordered else None,
            failures=tuple(ordered),
            failures_total=self.failures_total,
        )
