"""Verification of a whole log: an honest one holds, and every way of tampering is found and placed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shared.audit.verify as verify_module
from shared.audit.checkpoint import Checkpoint, CheckpointError, sign_checkpoint
from shared.audit.verify import FAILURES_MAX, AuditLine, FailureKind, VerificationReport, verify_log
from shared.hashing.merkle import EMPTY_ROOT, root_of
from tests.unit.auditor.log_builder import ORIGIN, OTHER_PRIVATE, VERIFIER_KEY, Log, entry_at, note_of, sealed_at


def verified(entries: list[AuditLine], checkpoints: list[str]) -> VerificationReport:
    return verify_log(iter(entries), checkpoints, VERIFIER_KEY)


def first_of(report: VerificationReport) -> tuple[FailureKind, int | None]:
    assert not report.is_valid
    assert report.first_failure is not None
    assert report.first_failure.reason
    return report.first_failure.kind, report.first_failure.index


@pytest.fixture
def log() -> Log:
    return Log()


def test_an_honest_log_holds(log: Log) -> None:
    log.entries.append(sealed_at(12, planned=7, applied=4, deferred=3))
    notes = [log.note(size) for size in (0, 1, 5, 5, 12, 13)]
    for entries in (log.entries, log.lines, [line + b"\n" for line in log.lines], [b.decode() for b in log.lines]):
        report = verified(list(entries), notes)
        assert report.is_valid, report.first_failure
        assert (report.entries, report.entries_proven, report.checkpoints, report.runs_sealed) == (13, 13, 6, 1)
        assert report.root == root_of(log.leaves).hex()
        assert (report.failures, report.failures_total, report.first_failure) == ((), 0, None)


def test_entries_behind_the_last_checkpoint_are_never_called_proven(log: Log) -> None:
    notes = [log.note(5), log.note(9)]
    log.entries[10] = log.entries[10].model_copy(update={"actor": "somebody-else"})  # nothing signed speaks against it
    report = verified(list(log.lines), notes)
    assert report.is_valid
    assert not report.is_proven
    assert (report.entries, report.entries_proven) == (12, 9)


def test_last_proven_entry_is_named_with_its_time_and_signed_root(log: Log) -> None:
    log.entries[8] = log.entries[8].model_copy(update={"recorded_at": "2026-01-31T09:30:00.000Z"})
    report = verified(list(log.lines), [log.note(5), log.note(9)])
    assert report.last_proven is not None
    assert report.last_proven.model_dump() == {
        "index": 8,
        "recorded_at": "2026-01-31T09:30:00.000Z",
        "size": 9,
        "root": root_of(log.leaves[:9]).hex(),
    }
    assert verified(list(log.lines), []).last_proven is None


def test_whole_log_under_a_signature_is_proven(log: Log) -> None:
    assert verified(list(log.lines), [log.note(12)]).is_proven


def test_an_empty_log_with_its_checkpoint_holds() -> None:
    report = verified([], [note_of(0, EMPTY_ROOT)])
    assert report.is_valid
    assert report.root == EMPTY_ROOT.hex()


def test_a_log_without_any_checkpoint_proves_nothing(log: Log) -> None:
    assert first_of(verified(list(log.lines), [])) == (FailureKind.CHECKPOINT_MISSING, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recorded_at", "2026-01-31T08:00:00.001Z"),
        ("stream", "LEDGER"),
        ("stream_seq", 1),
        ("subject", "aether.run.r2.6"),
        ("type", "aether.change.refused.v1"),
        ("run", None),
        ("actor", "operator-3"),
        ("occurred_at", "2026-01-31T07:00:00.000Z"),
        ("payload_sha256", "0" * 64),
        ("summary", {"code": "APL_REFUSED"}),
    ],
)
def test_an_altered_field_is_found_between_its_checkpoints(log: Log, field: str, value: object) -> None:
    notes = [log.note(size) for size in (5, 10, 12)]
    log.entries[6] = log.entries[6].model_copy(update={field: value})
    report = verified(list(log.lines), notes)
    assert first_of(report) == (FailureKind.ROOT_MISMATCH, 5)
    assert report.first_failure is not None
    assert report.first_failure.checkpoint == 1
    assert "from 5 to before 10" in report.first_failure.reason
    assert report.entries_proven == 5
    assert report.failures_total == 2


def test_a_removed_entry_is_found(log: Log) -> None:
    notes = [log.note(5), log.note(12)]
    del log.entries[7]
    assert first_of(verified(list(log.lines), notes)) == (FailureKind.INDEX_BROKEN, 7)


def test_an_entry_removed_with_the_rest_renumbered_is_found(log: Log) -> None:
    notes = [log.note(5), log.note(11)]
    del log.entries[7]
    log.entries = [entry.model_copy(update={"index": place}) for place, entry in enumerate(log.entries)]
    assert first_of(verified(list(log.lines), notes)) == (FailureKind.ROOT_MISMATCH, 5)


def test_entries_removed_from_the_end_are_found(log: Log) -> None:
    notes = [log.note(5), log.note(12)]
    report = verified(list(log.lines[:10]), notes)
    assert first_of(report) == (FailureKind.ENTRIES_MISSING, 10)
    assert report.entries_proven == 5


def test_swapped_entries_are_found(log: Log) -> None:
    notes = [log.note(12)]
    log.entries[3], log.entries[4] = log.entries[4], log.entries[3]
    assert first_of(verified(list(log.lines), notes)) == (FailureKind.INDEX_BROKEN, 3)
    log.entries = [entry.model_copy(update={"index": place}) for place, entry in enumerate(log.entries)]
    assert first_of(verified(list(log.lines), notes)) == (FailureKind.ROOT_MISMATCH, 0)


def test_a_repeated_and_an_inserted_entry_are_found(log: Log) -> None:
    notes = [log.note(12)]
    repeated = [*log.lines[:4], *log.lines[3:]]
    assert first_of(verified(list(repeated), notes)) == (FailureKind.INDEX_BROKEN, 3)
    log.entries.insert(4, entry_at(99))
    log.entries = [entry.model_copy(update={"index": place}) for place, entry in enumerate(log.entries)]
    assert first_of(verified(list(log.lines), notes)) == (FailureKind.ROOT_MISMATCH, 0)


def test_a_rolled_back_checkpoint_is_found(log: Log) -> None:
    report = verified(list(log.lines), [log.note(5), log.note(12), log.note(8)])
    assert first_of(report) == (FailureKind.CHECKPOINT_ROLLED_BACK, 8)
    assert report.first_failure is not None
    assert report.first_failure.checkpoint == 2
    assert "after checkpoint 1 for 12" in report.first_failure.reason


def test_a_forged_signature_is_found(log: Log) -> None:
    forged = sign_checkpoint(Checkpoint(ORIGIN, 12, root_of(log.leaves)), OTHER_PRIVATE)
    report = verified(list(log.lines), [log.note(5), forged])
    assert first_of(report) == (FailureKind.CHECKPOINT_FORGED, None)
    assert report.entries_proven == 5


def test_a_rewritten_log_with_a_forged_checkpoint_is_found(log: Log) -> None:
    honest = log.note(12)
    log.entries[2] = log.entries[2].model_copy(update={"actor": "nobody"})
    resigned = honest.split("\n")
    resigned[2] = log.note(12).split("\n")[2]
    assert first_of(verified(list(log.lines), ["\n".join(resigned)])) == (FailureKind.CHECKPOINT_FORGED, None)


def test_a_split_view_is_found(log: Log) -> None:
    other = Log([*log.entries[:9], *(entry_at(index, code="OTHER") for index in range(9, 12))])
    report = verified(list(log.lines), [log.note(5), log.note(12), other.note(12)])
    kinds = [failure.kind for failure in report.failures]
    assert FailureKind.SPLIT_VIEW in kinds
    split = report.failures[kinds.index(FailureKind.SPLIT_VIEW)]
    assert (split.index, split.checkpoint) == (12, 2)
    assert other.note(12).split("\n")[1] == "12"
    assert report.entries_proven == 12


def test_a_fork_at_a_later_size_is_found(log: Log) -> None:
    other = Log([*log.entries[:3], *(entry_at(index, code="OTHER") for index in range(3, 12))])
    assert first_of(verified(list(log.lines), [log.note(5), other.note(8), log.note(12)])) == (
        FailureKind.ROOT_MISMATCH,
        5,
    )


@pytest.mark.parametrize("text", ["", "\ud800\n", "no checkpoint\n", "a\n1\nAAAA\n\n— a AAAA\n"])
def test_a_malformed_checkpoint_is_a_finding_and_no_exception(log: Log, text: str) -> None:
    report = verified(list(log.lines), [text, log.note(12)])
    assert first_of(report) == (FailureKind.CHECKPOINT_MALFORMED, None)
    assert report.entries_proven == 12


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"{",
        b"\xff",
        "\ud800",
        json.dumps(entry_at(4).model_dump()),
        entry_at(4).leaf_bytes().replace(b'"index":4', b'"index":9,"index":4'),
        entry_at(4).leaf_bytes().replace(b'"run":', b'"more":1,"run":'),
        entry_at(4).leaf_bytes().replace(b'"stream":"CORE",', b""),
        b'"' + b"x" * 1_048_576,
    ],
)
def test_a_malformed_line_is_a_finding_and_no_exception(log: Log, line: AuditLine) -> None:
    lines: list[AuditLine] = [*log.lines[:4], line, *log.lines[5:]]
    report = verified(lines, [log.note(3), log.note(12)])
    assert first_of(report) == (FailureKind.ENTRY_MALFORMED, 4)
    assert report.failures_total == 1
    assert (report.entries_proven, report.root) == (3, None)


def test_findings_never_show_what_a_malformed_line_held(log: Log) -> None:
    line = entry_at(4).leaf_bytes().replace(b'"index":4', b'"index":"pat@example.org"')
    report = verified([*log.lines[:4], line], [log.note(3)])
    assert "pat" not in report.model_dump_json()


def test_counts_that_do_not_add_up_are_found_although_the_log_is_whole(log: Log) -> None:
    log.entries.append(sealed_at(12, planned=8, applied=4, deferred=3))
    report = verified(list(log.lines), [log.note(13)])
    assert first_of(report) == (FailureKind.COUNTS_DO_NOT_ADD_UP, 12)
    assert report.first_failure is not None
    assert "planned 8, but applied 4 + deferred 3 = 7; 1 unaccounted for" in report.first_failure.reason
    assert report.entries_proven == 13


def test_the_first_failure_is_the_first_by_place_in_the_log(log: Log) -> None:
    log.entries[2] = sealed_at(2, planned=1)
    report = verified(list(log.lines[:10]), [log.note(8), log.note(12)])
    assert [failure.index for failure in report.failures] == [2, 10]
    assert first_of(report) == (FailureKind.COUNTS_DO_NOT_ADD_UP, 2)


def test_failures_beyond_the_bound_are_counted() -> None:
    report = verified([b"{}"] * (FAILURES_MAX + 20), [note_of(0, EMPTY_ROOT)])
    assert (len(report.failures), report.failures_total) == (FAILURES_MAX, FAILURES_MAX + 20)


def test_memory_is_bounded_by_the_batch_and_the_result_is_not(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_module, "BATCH_LEAVES_MAX", 3)
    report = verified(list(log.lines), [log.note(2), log.note(7), log.note(12)])
    assert (report.is_valid, report.entries_proven) == (True, 12)


def test_a_key_that_is_none_is_an_exception_and_no_finding(log: Log) -> None:
    with pytest.raises(CheckpointError):
        verify_log(log.lines, [log.note(12)], "no key")


@given(st.data())
def test_no_flipped_bit_of_a_covered_line_passes(data: st.DataObject) -> None:
    log = Log()
    notes = [log.note(12)]
    lines = log.lines
    place = data.draw(st.integers(0, 11))
    bit = data.draw(st.integers(0, len(lines[place]) * 8 - 1))
    changed = bytearray(lines[place])
    changed[bit // 8] ^= 1 << bit % 8
    assert not verified([*lines[:place], bytes(changed), *lines[place + 1 :]], notes).is_valid
