"""The source's shape has changed: what is blocked, what goes on, and that nothing of it is silent."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import Discarded, DriftNote, Normalised, Rules, normalise_desired
from shared.errors import StopRun
from tests.unit.extractor.settling import contract_of, rows, run

DECLARED = Rules(declared={"row": {"id": "text", "raw": "text", "count": "integer", "day": "date"}})


def enum(policy: str, column: list[str | None], **more: Any) -> Normalised:
    field = {"from": ["row.raw"], "format": "enum", "values": ["A", "B"], "drift": policy} | more
    return run({"value": field}, rows(raw=column))


def test_an_unknown_value_blocks_the_run_and_names_field_count_and_values() -> None:
    column: list[str | None] = ["A", None] + [f"Q{number % 30:02}" for number in range(60)]
    with pytest.raises(StopRun) as caught:
        enum("freeze", column)
    assert caught.value.code == "NRM_SCHEMA_DRIFT"
    assert "field value: 60 records have 30 values that the contract does not list" in caught.value.message
    assert "Q18, Q19 …" in caught.value.message
    assert "Q20" not in caught.value.message


def test_an_unknown_value_can_be_taken_as_it_comes_and_is_noted() -> None:
    result = enum("evolve", ["A", "Q", "Q", None])
    assert result.records["value"].to_list() == ["A", "Q", "Q", None]
    assert result.drift == (DriftNote("row", "raw", "value", "evolve", "value", 2),)
    assert result.warnings == (
        "row.raw holds values that the contract does not list; field value: the value is taken as it comes (2 records)",
    )


def test_an_unknown_value_can_leave_the_field_alone() -> None:
    result = enum("discard_value", ["A", "Q", None])
    assert result.records.select("value", "left alone").rows() == [("A", None), (None, "value"), (None, None)]
    assert result.discarded == (Discarded("value", "NRM_UNKNOWN_VALUE", 1),)
    assert [note.policy for note in result.drift] == ["discard_value"]


def test_an_unknown_value_can_quarantine_its_record() -> None:
    result = enum("discard_row", ["A", "Q"])
    assert result.records["key"].to_list() == ["1"]
    assert result.quarantined.select("key", "code", "rule").rows() == [("2", "NRM_UNKNOWN_VALUE", "values")]


def test_an_unknown_value_of_a_required_field_is_missing_when_it_is_discarded() -> None:
    result = enum("discard_value", ["Q"], required=True)
    assert result.quarantined["code"].to_list() == ["NRM_MISSING_REQUIRED"]


FIELD: dict[str, Any] = {"from": ["row.raw", "row.other"]}


def test_a_column_that_is_gone_blocks_under_freeze() -> None:
    with pytest.raises(StopRun, match="row: other") as caught:
        run({"value": FIELD}, rows(raw=["x"]))
    assert caught.value.code == "NRM_SCHEMA_DRIFT"


def test_a_column_that_is_gone_can_be_taken_for_one_without_values() -> None:
    result = run({"value": FIELD | {"drift": "evolve"}}, rows(raw=["x", None]))
    assert result.records.select("value", "left alone").rows() == [("x", None), (None, None)]
    assert result.drift == (DriftNote("row", "other", "missing", "evolve", "value", 2),)


def test_a_column_that_is_gone_can_leave_the_field_alone() -> None:
    result = run({"value": FIELD | {"drift": "discard_value"}}, rows(raw=["x"]))
    assert result.records.select("value", "left alone").rows() == [(None, "value")]
    assert result.discarded == (Discarded("value", "NRM_SCHEMA_DRIFT", 1),)


def test_a_column_that_is_gone_can_quarantine_every_record() -> None:
    result = run({"value": FIELD | {"drift": "discard_row"}}, rows(raw=["x", "y"]))
    assert result.records.is_empty()
    expected = [("1", "NRM_SCHEMA_DRIFT", "drift: discard_row"), ("2", "NRM_SCHEMA_DRIFT", "drift: discard_row")]
    assert result.quarantined.select("key", "code", "rule").rows() == expected


@pytest.mark.parametrize("policy", ["evolve", "discard_value", "discard_row"])
def test_a_required_fields_column_that_is_gone_blocks_whatever_the_policy(policy: str) -> None:
    with pytest.raises(StopRun, match="row: other"):
        run({"value": FIELD | {"drift": policy, "required": True}}, rows(raw=["x"]))


@pytest.mark.parametrize(
    "clauses",
    [
        {"scope": [{"column": "row.gone", "is_blank": True}]},
        {"from": {"source": "row", "where": [{"column": "gone", "is_blank": True}]}},
        {"from": {"source": "row", "pick": {"by": {"column": "id"}, "order": [{"column": "gone"}]}}},
    ],
)
def test_a_column_that_decides_who_counts_blocks_when_it_is_gone(clauses: dict[str, Any]) -> None:
    with pytest.raises(StopRun, match="row: gone"):
        run({}, rows(raw=["x"]), **clauses)


@pytest.mark.parametrize(
    ("policy", "records", "codes"),
    [
        ("evolve", [("7", None)], []),
        ("discard_value", [(None, "value")], []),
        ("discard_row", [], ["NRM_TYPE_CHANGED"]),
    ],
)
def test_another_type_follows_the_policy(policy: str, records: list[Any], codes: list[str]) -> None:
    result = run({"value": {"from": ["row.raw"], "drift": policy}}, rows(raw=[7]), rules=DECLARED)
    assert result.records.select("value", "left alone").rows() == records
    assert result.quarantined["code"].to_list() == codes
    (note,) = result.drift
    assert (note.what, note.rows, note.detail) == ("type", 1, "declared text, came as Int64")


def test_another_type_blocks_under_freeze() -> None:
    with pytest.raises(StopRun, match=r"have another type: row: raw \(declared text, came as Int64\)"):
        run({"value": {"from": ["row.raw"]}}, rows(raw=[7]), rules=DECLARED)


@pytest.mark.parametrize(
    ("column", "values", "is_drift"),
    [
        ("count", [1], False),
        ("count", ["1"], True),
        ("count", [1.5], True),
        ("raw", [None], False),
        ("day", ["2026-08-01"], False),
        ("day", [20260801], True),
        ("unheard_of", [1], False),
    ],
)
def test_a_type_is_judged_by_the_kind_that_was_declared(column: str, values: list[Any], is_drift: bool) -> None:
    field = {"from": [f"row.{column}"], "drift": "evolve"}
    notes = run({"value": field}, rows(**{column: values}), rules=DECLARED).drift
    assert [note.what for note in notes if note.what != "new"] == (["type"] if is_drift else [])


def test_a_new_column_is_told_and_ignored() -> None:
    result = run({}, rows(raw=["x"], extra=["y"]), rules=DECLARED)
    assert result.drift == (DriftNote("row", "extra", "new", "ignore"),)
    assert result.warnings == ("row.extra is new; it is ignored",)


def test_the_shape_as_read_counts_where_the_batch_holds_used_columns_only() -> None:
    frame = rows(raw=["x"])
    shapes = {"row": pl.Schema({"id": pl.String, "raw": pl.String, "extra": pl.Int64})}
    rules = Rules(declared=DECLARED.declared, shapes=shapes)
    result = normalise_desired(contract_of({"value": {"from": ["row.raw"]}}), rules, {"row": frame})
    assert [note.column for note in result.drift] == ["extra"]
