"""Batches: cut as they may, the result is that of the whole; refusals and numbers are those of all batches."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.normalise_rules import CONTRACT, PLAIN, RULES, plain_row
from bench.people import batches
from services.extractor import account, distinct
from services.extractor.normalise import (
    Account,
    Blocked,
    Discarded,
    DriftNote,
    Normalised,
    Rules,
    Unmapped,
    merge_accounts,
    normalise_desired,
    normalise_existing,
    refuse_blocked,
    settle_duplicates,
)
from shared.errors import StopRun
from tests.unit.extractor.settling import contract_of, desired, run, table_of

RULES_OF_CODES = Rules(tables={"codes": table_of({"x": "X"})})
CODED = contract_of(
    {"code": {"from": ["row.code"], "map": "codes"}, "name": {"from": ["row.name"], "required": True}},
    scope=[{"column": "row.name", "not_in": ["out"]}],
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["a", "b", "c", "d", None]),
            "code": st.sampled_from(["x", "y", "z", None]),
            "name": st.sampled_from(["Ana", "Leo", "out", " ", None]),
        }
    ),
    max_size=12,
)
COLUMNS = pl.Schema(dict.fromkeys(("id", "code", "name"), pl.String))


def whole(parts: list[Normalised]) -> tuple[pl.DataFrame, pl.DataFrame, Account]:
    records = pl.concat([part.records for part in parts])
    quarantined = pl.concat([part.quarantined for part in parts])
    return *settle_duplicates(records, quarantined, contract=CODED), merge_accounts(part.account for part in parts)


@settings(deadline=None)
@given(ROWS, st.integers(min_value=0, max_value=12))
def test_a_cut_anywhere_changes_nothing(people: list[dict[str, Any]], cut: int) -> None:
    frame = pl.DataFrame(people, schema=COLUMNS)
    pieces = [frame, frame.head(cut), frame.slice(cut)]
    one, *two = [normalise_desired(CODED, RULES_OF_CODES, {"row": piece}) for piece in pieces]
    (records, quarantined, merged), (records_cut, quarantined_cut, merged_cut) = whole([one]), whole(two)
    assert records.equals(records_cut)
    assert quarantined.equals(quarantined_cut)
    assert merged == merged_cut


def test_a_key_claimed_in_two_batches_is_settled_when_they_meet() -> None:
    parts = [
        normalise_desired(CODED, RULES_OF_CODES, {"row": pl.DataFrame([row], schema=COLUMNS)})
        for row in ({"id": "a", "name": "Ana"}, {"id": "a", "name": None}, {"id": "b", "name": "Leo"})
    ]
    records, quarantined, _ = whole(parts)
    assert records["key"].to_list() == ["b"]
    expected = [("a", "MAT_DUPLICATE_KEY"), ("a", "MAT_DUPLICATE_KEY"), ("a", "NRM_MISSING_REQUIRED")]
    assert sorted(quarantined.select("key", "code").rows()) == expected


def test_settling_what_is_settled_changes_nothing() -> None:
    frame = pl.DataFrame({"id": ["a", "a", "b", "c"], "code": ["x"] * 4, "name": ["Ana", None, "Leo", " "]})
    result = normalise_desired(CODED, RULES_OF_CODES, {"row": frame})
    once = settle_duplicates(result.records, result.quarantined, contract=CODED)
    again = settle_duplicates(*once, contract=CODED)
    assert again[0].equals(once[0])
    assert again[1].equals(once[1])
    assert once[1]["code"].null_count() == 0


def test_settling_keeps_further_columns_and_records_without_key() -> None:
    frame = pl.DataFrame({"target_id": ["t1", "t2", "t3"], "id": ["a", None, None], "code": "X", "name": "Ana"})
    result = normalise_existing(CODED, frame)
    records = result.records.with_columns(live=pl.lit("as read"))
    settled, items = settle_duplicates(records, result.quarantined, contract=CODED)
    assert settled.select("key", "target_id", "live").rows() == [
        ("a", "t1", "as read"),
        (None, "t2", "as read"),
        (None, "t3", "as read"),
    ]
    assert items.is_empty()


def test_refusals_are_told_once_with_the_counts_of_all_batches() -> None:
    fields = {
        "code": {"from": ["row.code"], "map": "codes", "unmapped": "block"},
        "state": {"from": ["row.state"], "format": "enum", "values": ["A"]},
    }
    contract = contract_of(fields)
    frame = pl.DataFrame({"id": list("abcd"), "code": ["y", "z", "y", "x"], "state": ["A", "Q", "A", "A"]})
    parts = [normalise_desired(contract, RULES_OF_CODES, {"row": frame.slice(place, 1)}) for place in range(4)]
    blocked = merge_accounts(part.account for part in parts).blocked
    with pytest.raises(StopRun) as caught:
        refuse_blocked(blocked)
    assert caught.value.code == "NRM_SCHEMA_DRIFT"
    assert "field state: 1 records have 1 values that the contract does not list, allowed none: Q" in str(caught.value)
    assert "field code: 3 records have 2 ids that table codes does not hold, allowed none: y, z" in str(caught.value)
    assert pl.concat([part.records for part in parts])["key"].to_list() == ["d"]


def test_nothing_blocked_refuses_nothing() -> None:
    refuse_blocked(())


ACCOUNTS = (
    Account(
        unmapped=(Unmapped("codes", "y", 2),),
        discarded=(Discarded("day", "NRM_BAD_FORMAT", 1),),
        out_of_scope=1,
        rows_read={"row": 5},
        drift=(DriftNote("row", "raw", "value", "evolve", "state", 2),),
    ),
    Account(
        unmapped=(Unmapped("codes", "z", 3), Unmapped("codes", "y", 1)),
        rows_read={"row": 4, "job": 2},
        blocked=(Blocked("code", "NRM_BLOCKED_UNMAPPED", "p", "r", 2, ("a", "b")),),
    ),
    Account(
        out_of_scope=2,
        discarded=(Discarded("day", "NRM_BAD_FORMAT", 4),),
        drift=(DriftNote("row", "raw", "value", "evolve", "state", 1),),
        blocked=(Blocked("code", "NRM_BLOCKED_UNMAPPED", "p", "r", 1, ("b", "c")),),
    ),
)


def test_accounts_add_up_in_any_grouping() -> None:
    merged = merge_accounts(ACCOUNTS)
    assert merged.unmapped == (Unmapped("codes", "y", 3), Unmapped("codes", "z", 3))
    assert merged.discarded == (Discarded("day", "NRM_BAD_FORMAT", 5),)
    assert (merged.out_of_scope, merged.rows_read) == (3, {"row": 9, "job": 2})
    assert [note.rows for note in merged.drift] == [3]
    assert merged.blocked == (Blocked("code", "NRM_BLOCKED_UNMAPPED", "p", "r", 3, ("a", "b", "c")),)
    for first, *rest in permutations(ACCOUNTS):
        assert merge_accounts([first, merge_accounts(rest)]) == merged


def test_what_is_kept_of_ids_is_bounded_and_the_others_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "VALUES_KEPT_MAX", 2)
    found = tuple(Unmapped("codes", raw_id, rows) for raw_id, rows in (("a", 9), ("b", 5), ("c", 2), ("d", 1)))
    merged = merge_accounts([Account(unmapped=found)])
    assert merged.unmapped == (
        Unmapped("codes", "a", 9),
        Unmapped("codes", "b", 5),
        Unmapped("codes", account.OTHERS, 3),
    )
    assert merge_accounts([merged, merged]).unmapped[-1] == Unmapped("codes", account.OTHERS, 6)


def test_keys_out_of_scope_are_told_and_unsound_ones_are_not() -> None:
    scope = [{"column": "row.name", "equals": "in"}]
    frame = pl.DataFrame({"id": ["7", " 8", " ", "x", "7"], "name": ["out", "out", "out", "out", "in"]})
    key = {"from": ["row.id"], "steps": ["trim"], "format": "integer"}
    result = run({"id": key}, frame, scope=scope)
    assert sorted(result.outside_keys) == ["7", "8"]
    assert result.out_of_scope == 4


def test_each_distinct_value_once_gives_what_row_by_row_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    (sample,) = batches(6_000, seed=3)
    by_distinct = desired(CONTRACT, RULES, {"person": sample})
    monkeypatch.setattr(distinct, "SAMPLE_ROWS", 10_000)
    by_row = desired(CONTRACT, RULES, {"person": sample})
    assert by_distinct.records.equals(by_row.records)
    assert by_distinct.quarantined.equals(by_row.quarantined)
    assert by_distinct.account == by_row.account


def test_messy_people_come_out_as_plain_functions_say() -> None:
    (sample,) = batches(3_000, seed=5)
    result = desired(CONTRACT, RULES, {"person": sample})
    made = [plain_row(row) for row in sample.iter_rows(named=True)]
    assert result.records.select(list(PLAIN)).rows() == sorted(record for record, _ in made if record is not None)
    assert sorted(result.quarantined["code"]) == sorted(code for _, codes in made for code in codes)
    assert 0.03 < sum(record is None for record, _ in made) / sample.height < 0.12
