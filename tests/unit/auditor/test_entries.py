"""Audit entries: the released leaf bytes, what is refused, and the sums of sealed runs."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from shared.audit.entries import OUTCOME_COUNTS, AuditEntry, sum_fault
from tests.unit.auditor.log_builder import entry_at, sealed_at

# Written once by the first release; a change here would break every proof ever handed out.
GOLDEN_LEAF = (
    b'{"actor":"operator-2","index":0,"occurred_at":"2026-01-31T07:59:59.500Z",'
    b'"payload_sha256":"a3e1f1a3","recorded_at":"2026-01-31T08:00:00.000Z","run":null,'
    b'"stream":"CORE","stream_seq":100,"subject":"aether.run.r1.0",'
    b'"summary":{"code":"APL_WRITTEN","is_dry_run":false,"note":null,"tries":1},"type":"aether.change.applied.v1"}'
).replace(b"a3e1f1a3", b"a3e1f1a3" * 8)
GOLDEN_LEAF_HASH = "8f046345af89bdfc3204007ac4a3387b359f8b678131f3d597ff03712ada86e8"


def document(**changes: object) -> dict[str, Any]:
    return entry_at(0).model_dump() | changes


def test_the_released_leaf_reads_and_hashes_for_ever() -> None:
    entry = AuditEntry.model_validate_json(GOLDEN_LEAF)
    assert entry.leaf_bytes() == GOLDEN_LEAF
    assert entry.leaf_hash().hex() == GOLDEN_LEAF_HASH


@pytest.mark.parametrize(
    "changes",
    [
        {"index": -1},
        {"index": 2**53},
        {"index": "0"},
        {"recorded_at": "2026-01-31T08:00:00+00:00"},
        {"recorded_at": "2026-02-31T08:00:00Z"},
        {"occurred_at": "2026-01-31 08:00:00Z"},
        {"stream": ""},
        {"payload_sha256": "A" * 64},
        {"payload_sha256": "sha256:" + "a" * 64},
        {"summary": {"share": 0.5}},
        {"summary": {"list": [1]}},
        {"summary": {"n": 2**53}},
        {"summary": {"text": "x" * 1025}},
        {"summary": {f"k{number}": 1 for number in range(257)}},
        {"more": 1},
    ],
)
def test_what_is_no_audit_entry_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AuditEntry.model_validate(document(**changes))


def test_values_of_the_summary_keep_their_types() -> None:
    summary = {"a": 1, "b": True, "c": "1", "d": None}
    kept = AuditEntry.model_validate(document(summary=summary)).summary
    assert [type(value) for value in kept.values()] == [int, bool, str, type(None)]


def test_the_nine_counts_that_add_up_pass() -> None:
    every = {name: place for place, name in enumerate(OUTCOME_COUNTS)}
    assert len(OUTCOME_COUNTS) == 9
    assert sum_fault(sealed_at(0, planned=sum(range(9)), **every)) == ""
    assert sum_fault(sealed_at(0, planned=0)) == ""


@pytest.mark.parametrize("name", OUTCOME_COUNTS)
def test_each_of_the_nine_counts_is_part_of_the_sum(name: str) -> None:
    assert sum_fault(sealed_at(0, planned=3, **{name: 3})) == ""
    fault = sum_fault(sealed_at(0, planned=5, **{name: 3}))
    assert f"planned 5, but {name} 3 = 3; 2 unaccounted for" in fault


@pytest.mark.parametrize("value", [None, "3", True, -1])
def test_a_count_that_is_no_count_is_a_fault(value: str | int | bool | None) -> None:
    sealed = sealed_at(0, planned=0)
    broken = sealed.model_copy(update={"summary": sealed.summary | {"failed": value}})
    assert "count 'failed' is" in sum_fault(broken)
    without = {name: count for name, count in sealed.summary.items() if name != "failed"}
    assert "'failed' is missing" in sum_fault(sealed.model_copy(update={"summary": without}))


def test_other_entries_have_no_counts_to_be_wrong() -> None:
    assert sum_fault(entry_at(0, planned=5)) == ""
