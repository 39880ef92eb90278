"""The audit log is proven here, from what was fetched and a key that did not come with it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, cast

import pytest

from cli.audit_log import checkpoints_beside, export, verify, verify_files
from cli.client import PersonClient
from cli.problem import CommandFailed
from services.auditor.checkpoint import Checkpoint, sign_checkpoint, verifier_key_of
from services.auditor.entries import AuditEntry
from services.auditor.tree import EMPTY, append, root
from shared.events.queries import CheckpointsAnswer, EntriesAnswer
from shared.hashing.signing import generate

ORIGIN = "test.example/audit"
KEY = generate()
VERIFIER_KEY = verifier_key_of(KEY, origin=ORIGIN)


class _Auditor:
    """A log of some entries, handed out in small pages."""

    def __init__(self, size: int, *, page: int = 3) -> None:
        self.entries_held: list[dict[str, Any]] = []
        self.checkpoints_held: list[str] = []
        self._page = page
        frontier = EMPTY
        for index in range(size):
            entry = _entry(index)
            frontier = append(frontier, [entry.leaf_hash()]).frontier
            self.entries_held.append(entry.model_dump(mode="json"))
            checkpoint = Checkpoint(origin=ORIGIN, size=index + 1, root=root(frontier))
            self.checkpoints_held.append(sign_checkpoint(checkpoint, KEY))

    async def entries(self, *, first: int) -> EntriesAnswer:
        return EntriesAnswer(entries=tuple(self.entries_held[first : first + self._page]), size=len(self.entries_held))

    async def checkpoints(self, *, first: int) -> CheckpointsAnswer:
        return CheckpointsAnswer(
            checkpoints=tuple(self.checkpoints_held[first : first + self._page]),
            total=len(self.checkpoints_held),
            verifier_key=VERIFIER_KEY,
        )


def _entry(index: int) -> AuditEntry:
    return AuditEntry(
        index=index,
        recorded_at="2026-11-22T08:00:00.000Z",
        stream="CORE",
        stream_seq=index + 1,
        subject="evt.test",
        type="aether.test.v1",
        run=None,
        actor=None,
        occurred_at="2026-11-22T08:00:00.000Z",
        payload_sha256=hashlib.sha256(str(index).encode()).hexdigest(),
        summary={"number": index},
    )


def _client(auditor: _Auditor) -> PersonClient:
    return cast(PersonClient, auditor)


async def test_whole_log_is_fetched_page_by_page_and_holds() -> None:
    report, fetched = await verify(_client(_Auditor(10)), VERIFIER_KEY)
    assert report.is_valid
    assert (report.entries, report.checkpoints, fetched.entries) == (10, 10, 10)


async def test_entry_that_the_server_altered_is_found() -> None:
    auditor = _Auditor(10)
    auditor.entries_held[4]["summary"] = {"number": 5}
    report, _ = await verify(_client(auditor), VERIFIER_KEY)
    assert not report.is_valid


async def test_entries_that_the_server_keeps_back_are_found() -> None:
    auditor = _Auditor(10)
    del auditor.entries_held[7:]
    report, _ = await verify(_client(auditor), VERIFIER_KEY)
    assert not report.is_valid


async def test_key_of_the_server_is_not_believed() -> None:
    other = verifier_key_of(generate(), origin=ORIGIN)
    report, fetched = await verify(_client(_Auditor(3)), other)
    assert not report.is_valid
    assert fetched.stated_key == VERIFIER_KEY


async def test_export_is_proven_without_the_server_and_alteration_of_it_is_found(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    await export(_client(_Auditor(5)), out)
    assert verify_files(out, checkpoints_beside(out), VERIFIER_KEY).is_valid
    out.write_bytes(out.read_bytes().replace(b'"number":3', b'"number":4'))
    assert not verify_files(out, checkpoints_beside(out), VERIFIER_KEY).is_valid


async def test_export_never_writes_over_a_file(tmp_path: Path) -> None:
    out = tmp_path / "log.jsonl"
    out.write_text("mine")
    with pytest.raises(CommandFailed, match="exists already"):
        await export(_client(_Auditor(1)), out)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("key", ["", "nonsense", VERIFIER_KEY[:-4]])
async def test_without_a_good_key_nothing_is_claimed(key: str) -> None:
    with pytest.raises(CommandFailed):
        await verify(_client(_Auditor(1)), key)
