"""Fetches the audit log page by page and verifies it here, on this machine.

The log is spooled to a file, so that memory does not grow with it. The key that decides comes from the profile, never
from the server that is being checked.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cli.client import PersonClient
from cli.problem import CommandFailed
from services.auditor.verify import VerificationReport, verify_log
from shared.hashing.canonical import CanonicalJsonError, canonical_json

CHECKPOINTS_MAX = 1_000_000
LINES_BYTES_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the server handed over besides the entries."""

    entries: int
    checkpoints: tuple[str, ...]
    stated_key: str
    """The verifier key as the server states it; compared, never trusted."""


async def fetch(client: PersonClient, into: IO[bytes]) -> Fetched:
    """Write all entries, one canonical line each, and return the rest.

    Checkpoints come first: the log only grows, so the entries fetched after them cover them all.
    """
    checkpoints: list[str] = []
    stated_key = ""
    while len(checkpoints) < CHECKPOINTS_MAX:
        answer = await client.checkpoints(first=len(checkpoints))
        checkpoints += answer.checkpoints
        stated_key = answer.verifier_key
        if not answer.checkpoints or len(checkpoints) >= answer.total:
            break
    entries, size = 0, 1
    while entries < size:  # bounded by the size that the first answer states
        page = await client.entries(first=entries)
        if entries == 0:
            size = page.size
        if not page.entries:
            break
        for entry in page.entries:
            into.write(_line(entry) + b"\n")
        entries += len(page.entries)
    return Fetched(entries=entries, checkpoints=tuple(checkpoints), stated_key=stated_key)


async def verify(client: PersonClient, verifier_key: str) -> tuple[VerificationReport, Fetched]:
    """Fetch the whole log and verify it under this key."""
    with tempfile.TemporaryFile() as spool:
        fetched = await fetch(client, spool)
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
