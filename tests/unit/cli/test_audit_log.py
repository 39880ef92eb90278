"""The audit log is proven here, from what was fetched and a key that did not come with it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from cli import audit_log
from cli.audit_log import checkpoints_beside, export, verify, verify_files
from cli.main import exit_code
from cli.problem import CommandFailed
from shared.asking.client import PersonClient
from shared.audit.checkpoint import Checkpoint, sign_checkpoint, verifier_key_of
from shared.audit.entries import AuditEntry
from shared.audit.tree import EMPTY, append, root
from shared.events.queries import CheckpointsAnswer, EntriesAnswer
from shared.hashing.signing import generate

ORIGIN = "test.example/audit"
KEY = generate()
VERIFIER_KEY = verifier_key_of(KEY, origin=ORIGIN)


class _Clock:
    """Each look takes a quarter of a second."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC)

    def monotonic_seconds(self) -> float:
        self.seconds += 0.25
        return self.seconds


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "SIGNING_POLL_SECONDS", 0)


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


async def test_newest_entries_that_wait_for_their_checkpoint_are_waited_for() -> None:
    auditor = _Auditor(10)
    late = auditor.checkpoints_held[7:]
    del auditor.checkpoints_held[7:]

    class _Signing(_Clock):
        def monotonic_seconds(self) -> float:
            if self.seconds > 1 and not auditor.checkpoints_held[7:]:
                auditor.checkpoints_held += late
            return super().monotonic_seconds()

    report, _ = await verify(_client(auditor), VERIFIER_KEY, clock=_Signing())
    assert report.is_proven


async def test_log_that_grows_while_it_is_read_is_proven_up_to_its_last_checkpoint() -> None:
    auditor = _Auditor(10)
    grown = auditor.entries_held[6:]
    del auditor.entries_held[6:]  # the checkpoints for all ten come with the first question

    class _Growing(_Clock):
        def monotonic_seconds(self) -> float:
            if not auditor.entries_held[6:]:
                auditor.entries_held += grown
            return super().monotonic_seconds()

    report, fetched = await verify(_client(auditor), VERIFIER_KEY, clock=_Growing())
    assert (report.is_proven, fetched.entries) == (True, 10)


async def test_entries_under_no_signature_end_in_not_proven_after_a_bounded_wait() -> None:
    auditor = _Auditor(10)
    del auditor.checkpoints_held[7:]
    clock = _Clock()
    report, fetched = await verify(_client(auditor), VERIFIER_KEY, clock=clock)
    assert clock.seconds < 10
    assert (report.is_valid, report.is_proven, report.entries_proven, fetched.entries) == (True, False, 7, 10)


async def test_altered_tail_of_an_export_is_not_called_a_log_that_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "log.jsonl"
    await export(_client(_Auditor(9)), out)
    notes = checkpoints_beside(out)
    notes.write_text("".join(f"{line}\n" for line in notes.read_text().splitlines()[:6]))
    out.write_bytes(out.read_bytes().replace(b'"number":8', b'"number":9'))
    # No data folder, no profile, no server: the key alone is enough.
    arguments = ["audit", "verify", "--file", str(out), "--verifier-key", VERIFIER_KEY, "--data", str(tmp_path / "no")]
    assert exit_code(arguments) == 1
    shown = capsys.readouterr().out
    assert "NOT PROVEN: entries 6 to 8 are under no signature" in shown
    assert "The log holds" not in shown
    assert "up to entry 5, of 2026-11-22T08:00:00.000Z" in shown
    assert exit_code([*arguments, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], document["is_proven"], document["last_proven"]["size"]) == (1, False, 6)


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
