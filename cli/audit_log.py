"""Fetches the audit log page by page and verifies it here, on this machine.

The log is spooled to a file, so that memory does not grow with it. The key that decides comes from the profile, never
from the server that is being checked.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.problem import CommandFailed
from shared.asking.client import PersonClient
from shared.audit.verify import VerificationReport, verify_log
from shared.clock import Clock, SystemClock
from shared.hashing.canonical import CanonicalJsonError, canonical_json

CHECKPOINTS_MAX = 1_000_000
SIZE_DIGITS_MAX = 16
LINES_BYTES_MAX = 1_048_576
SIGNING_SECONDS_MAX = 3.0
"""How long the newest entries may wait for their checkpoint; the auditor signs within a second or two."""
SIGNING_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server handed over besides the entries."""

    entries: int
    checkpoints: tuple[str, ...]
    stated_key: str
    """The verifier key as the server states it; compared, never trusted."""


async def fetch(client: PersonClient, into: IO[bytes], *, clock: Clock | None = None) -> Fetched:
    """Write all entries, one canonical line each, and return the rest.

    A log at work grows while it is read, and its newest entries wait a moment for their checkpoint. So entries are
    taken up to a checkpoint: a few more when the last one covers more, and a short wait when it covers fewer.
    """
    clock = clock or SystemClock()
    checkpoints: list[str] = []
    stated_key = await _more_checkpoints(client, checkpoints)
    entries = await _more_entries(client, into, first=0, size=None)
    deadline = clock.monotonic_seconds() + SIGNING_SECONDS_MAX
    while (signed := _signed_size(checkpoints)) != entries and clock.monotonic_seconds() < deadline:
        if signed > entries:
            reached = await _more_entries(client, into, first=entries, size=signed)
            if reached == entries:
                break  # kept back: the verifier will say so
            entries = reached
        else:
            await asyncio.sleep(SIGNING_POLL_SECONDS)
            stated_key = await _more_checkpoints(client, checkpoints)
    return Fetched(entries=entries, checkpoints=tuple(checkpoints), stated_key=stated_key)


async def _more_checkpoints(client: PersonClient, into: list[str]) -> str:
    """Add the checkpoints that are not there yet; returns the key that the server states."""
    stated_key = ""
    while len(into) < CHECKPOINTS_MAX:
        answer = await client.checkpoints(first=len(into))
        into += answer.checkpoints
        stated_key = answer.verifier_key
        if not answer.checkpoints or len(into) >= answer.total:
            break
    return stated_key


async def _more_entries(client: PersonClient, into: IO[bytes], *, first: int, size: int | None) -> int:
    """Write the entries from `first` to before `size` (None: as the first answer states); returns where it ended."""
    entries = first
    while size is None or entries < size:
        page = await client.entries(first=entries)
        size = page.size if size is None else size
        taken = page.entries[: max(size - entries, 0)]
        if not taken:
            break
        for entry in taken:
            into.write(_line(entry) + b"\n")
        entries += len(taken)
    return entries


def _signed_size(checkpoints: list[str]) -> int:
    """The size that the last checkpoint claims; only a hint of how far to read, for the verifier checks it."""
    lines = checkpoints[-1].split("\n", 2) if checkpoints else []
    text = lines[1] if len(lines) > 1 else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= SIZE_DIGITS_MAX else 0


async def verify(
    client: PersonClient, verifier_key: str, *, clock: Clock | None = None
) -> tuple[VerificationReport, Fetched]:
    """Fetch the whole log and verify it under this key."""
    with tempfile.TemporaryFile() as spool:
        fetched = await fetch(client, spool, clock=clock)
        spool.seek(0)
        report = verify_log(iter(spool.readline, b""), fetched.checkpoints, required_key(verifier_key))
    return report, fetched


def verify_files(entries: Path, checkpoints: Path, verifier_key: str) -> VerificationReport:
    """Verify an export, with no server at all."""
    try:
        notes = [str(json.loads(line)) for line in checkpoints.read_text("utf-8").splitlines()]
        with entries.open("rb") as lines:
            return verify_log(iter(lambda: lines.readline(LINES_BYTES_MAX), b""), notes, required_key(verifier_key))
    except OSError as problem:
        raise CommandFailed(f"{problem.filename}: {problem.strerror}", action="Correct the path.") from None
    except ValueError as problem:
        raise CommandFailed(f"{checkpoints}: {problem}", action="Export the log again.") from None


async def export(client: PersonClient, out: Path) -> Fetched:
    """Write the log to `out` and its checkpoints to `out`.checkpoints; files that exist are not touched."""
    notes = checkpoints_beside(out)
    for path in (out, notes):
        if path.exists():
            raise CommandFailed(f"{path} exists already", action="Choose another name, or move the file away.")
    try:
        with out.open("xb") as file:
            fetched = await fetch(client, file)
        notes.write_text("".join(json.dumps(note) + "\n" for note in fetched.checkpoints), encoding="utf-8")
    except OSError as problem:
        raise CommandFailed(f"{out}: {problem.strerror}", action="Choose a place that can be written.") from None
    return fetched


def checkpoints_beside(entries: Path) -> Path:
    """Where an export keeps its checkpoints: one JSON text a line."""
    return entries.with_name(entries.name + ".checkpoints")


def required_key(verifier_key: str | None) -> str:
    """The key; `CommandFailed` without one or for a text that is none."""
    if not verifier_key:
        raise CommandFailed(
            "no verifier key: without one nothing can be proven",
            action="Give --verifier-key, or put verifier_key into the profile; take it from the log's owner.",
        )
    try:
        verify_log((), (), verifier_key)  # reads the key and nothing else
    except ValueError as problem:
        raise CommandFailed(f"the verifier key cannot be read: {problem}", action="Correct the key.") from None
    return verifier_key


def _line(entry: dict[str, object]) -> bytes:
    try:
        return canonical_json(entry)
    except CanonicalJsonError:
        # Not ours to repair: the verifier will name this line.
        return json.dumps(entry).encode()
