"""Clauses of the contract language that the staff connector does not use, and the refusals."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import Unmapped
from shared.errors import StopRun
from tests.unit.extractor.settling import rows, run


def test_rows_with_one_key_are_all_quarantined() -> None:
    result = run({}, pl.DataFrame({"id": ["a", "b", "a"]}))
    assert result.records["key"].to_list() == ["b"]
    assert result.quarantined.select("key", "code").rows() == [("a", "MAT_DUPLICATE_KEY")] * 2


def test_a_sound_row_is_not_preferred_to_a_faulty_one_with_its_key() -> None:
    frame = pl.DataFrame({"id": ["a", "a"], "name": ["Ana", None]})
    result = run({"name": {"from": ["row.name"], "required": True}}, frame)
    assert result.records.is_empty()
    assert sorted(result.quarantined["code"]) == ["MAT_DUPLICATE_KEY", "MAT_DUPLICATE_KEY", "NRM_MISSING_REQUIRED"]


def test_without_pick_a_row_without_key_is_quarantined() -> None:
    result = run({}, pl.DataFrame({"id": ["a", " ", None]}))
    assert result.records["key"].to_list() == ["a"]
    assert result.quarantined["code"].to_list() == ["NRM_MISSING_KEY"] * 2
    assert result.quarantined_without_key == 2


def test_a_blocking_table_stops_the_run_and_lists_the_ids() -> None:
    field = {"from": ["row.code"], "map": "codes", "unmapped": "block"}
    assert run({"code": field}, rows(code=["x", None]), {"x": "X"}).records["code"].to_list() == ["X", None]
    with pytest.raises(
        StopRun, match="3 records have 2 ids that table codes does not hold, allowed none: y, z;"
    ) as caught:
        run({"code": field}, rows(code=["x", "y", "z", "y"]), {"x": "X"})
    assert caught.value.code == "NRM_BLOCKED_UNMAPPED"


def test_a_default_is_taken_and_its_ids_are_still_counted() -> None:
    field = {"from": ["row.code"], "map": "codes", "unmapped": {"default": "OTHER"}}
    result = run({"code": field}, rows(code=["x", "y", None]), {"x": "X"})
    assert result.records["code"].to_list() == ["X", "OTHER", None]
    assert result.unmapped == (Unmapped("codes", "y", 1),)


def test_the_ids_of_a_table_take_the_same_steps_as_those_of_the_source() -> None:
    field = {"from": ["row.code"], "map": "codes", "steps": ["trim", "upper"]}
    assert run({"code": field}, rows(code=[" ab"]), {"aB": "X"}).records["code"].to_list() == ["X"]


def test_an_empty_table_maps_nothing() -> None:
    field = {"from": ["row.code"], "map": "codes"}
    assert run({"code": field}, rows(code=["x", None])).unmapped == (Unmapped("codes", "x", 1),)


def test_missing_columns_are_all_named_with_their_source() -> None:
    with pytest.raises(StopRun, match="row: name, mail;") as caught:
        run({"name": {"from": ["row.name", "row.mail"]}}, rows(other=["x"]))
    assert caught.value.code == "NRM_SCHEMA_DRIFT"


def test_a_column_that_nobody_uses_may_come_and_go() -> None:
    assert run({}, rows(new=["x"])).records.height == 1


def test_numbers_and_truth_values_become_text() -> None:
    fields = {name: {"from": [f"row.{name}"]} for name in ("number", "truth")}
    (record,) = run(fields, rows(number=[7], truth=[True])).records.to_dicts()
    assert (record["number"], record["truth"]) == ("7", "true")


def test_a_column_of_nulls_is_a_column_without_values() -> None:
    assert run({"name": {"from": ["row.name"]}}, rows(name=[None])).records["name"].to_list() == [None]


def test_boolean_and_date_forms() -> None:
    fields = {
        "flag": {"from": ["row.flag"], "format": "boolean"},
        "day": {"from": ["row.day"], "format": "date", "on_invalid": "discard_value"},
    }
    frame = rows(flag=["Yes", "0", " t ", None], day=["2026-02-28", "2026-02-29", "28.2.2026", None])
    result = run(fields, frame)
    assert result.records["flag"].to_list() == [True, False, True, None]
    assert result.records["day"].to_list() == ["2026-02-28", None, None, None]
    assert [(item.field, item.rows) for item in result.discarded] == [("day", 2)]
    assert run(fields, rows(flag=["maybe"], day=[None])).quarantined["rule"].to_list() == ["format: boolean"]


def test_a_discarded_value_of_a_required_field_is_missing() -> None:
    field = {"from": ["row.day"], "format": "date", "on_invalid": "discard_value", "required": True}
    result = run({"day": field}, rows(day=["soon"]))
    assert result.quarantined.select("code", "value_class").rows() == [("NRM_MISSING_REQUIRED", "text(4)")]


@pytest.mark.parametrize(
    ("test", "kept"),
    [
        ({"in": ["a", "b"]}, ["1"]),
        ({"not_in": ["a", "b"]}, ["2", "3", "4"]),
        ({"equals": "A", "steps": ["trim", "upper"]}, ["1", "2"]),
        ({"is_blank": True}, ["3", "4"]),
        ({"is_not_blank": True}, ["1", "2"]),
    ],
)
def test_conditions(test: dict[str, Any], kept: list[str]) -> None:
    result = run({}, rows(state=["a", " A", " ", None]), scope=[{"column": "row.state"} | test])
    assert result.records["key"].to_list() == kept
    assert result.out_of_scope == 4 - len(kept)


def test_conditions_compare_numbers_and_truth_values_as_text() -> None:
    frame = rows(number=[1, 2], flag=[True, False])
    assert run({}, frame, scope=[{"column": "row.number", "in": [2, 3]}]).records["key"].to_list() == ["2"]
    assert run({}, frame, scope=[{"column": "row.flag", "equals": True}]).records["key"].to_list() == ["1"]


def test_the_order_of_rows_changes_nothing() -> None:
    pick = {"by": {"column": "id"}, "order": [{"column": "rank"}]}
    frame = pl.DataFrame({"id": ["a", "a", "b"], "rank": [1, 1, 1], "name": ["y", "x", "z"]})
    clauses: dict[str, Any] = {"from": {"source": "row", "pick": pick}}
    fields = {"name": {"from": ["row.name"]}}
    assert run(fields, frame, **clauses).records.equals(run(fields, frame.reverse(), **clauses).records)
