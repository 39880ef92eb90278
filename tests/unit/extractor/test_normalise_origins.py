"""Where values come from: the origin's condition, columns put together, cases, lookups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import Normalised, Rules, Unmapped
from shared.errors import StopRun
from tests.unit.extractor.settling import rows, run

GROUPS = pl.DataFrame(
    {
        "target_id": ["g1", "g2", "g3", "g4", None],
        "name": [" Staff", "Aides", "aides", None, "Nurses"],
    }
)


def test_rows_that_the_origin_leaves_out_are_no_records_at_all() -> None:
    origin: Any = {"source": "row", "where": [{"column": "state", "not_in": ["gone"]}]}
    result = run({}, rows(state=["gone", "here", None]), **{"from": origin})
    assert result.records["key"].to_list() == ["2", "3"]
    assert (result.out_of_scope, result.outside_keys.len(), result.rows_read) == (0, 0, {"row": 3})


def test_the_origins_condition_is_asked_before_the_pick() -> None:
    pick = {"by": {"column": "id"}, "order": [{"column": "rank"}]}
    origin: Any = {"source": "row", "where": [{"column": "state", "equals": "here"}], "pick": pick}
    frame = pl.DataFrame({"id": ["a", "a"], "rank": [1, 2], "state": ["gone", "here"], "name": ["first", "second"]})
    assert run({"name": {"from": ["row.name"]}}, frame, **{"from": origin}).records["name"].to_list() == ["second"]


def test_parts_are_put_together_and_a_blank_one_takes_its_separator_along() -> None:
    parts = [{"column": "row.last", "steps": ["trim", "upper"]}, {"text": "·"}, {"column": "row.first"}]
    field = {"concat": {"parts": parts, "separator": " "}, "steps": ["nfc"]}
    frame = rows(last=[" Alder ", None, "Birch", " ", "-"], first=["Ana", "Leo", " ", None, "e\u0301"])
    result = run({"name": field}, frame)
    assert result.records["name"].to_list() == ["ALDER · Ana", "· Leo", "BIRCH ·", None, "- · é"]


def test_what_is_put_together_without_a_part_that_failed_is_no_value() -> None:
    def refuse(text: str) -> str:
        raise ValueError(text)

    parts = [{"column": "row.last", "steps": [{"python": "refuse"}]}, {"column": "row.first"}]
    result = run(
        {"name": {"concat": {"parts": parts}}},
        rows(last=["Alder", None], first=["Ana", "Leo"]),
        rules=Rules(transforms={"refuse": refuse}),
    )
    assert result.records.select("key", "name").rows() == [("2", "Leo")]
    assert result.quarantined.select("key", "code", "rule").rows() == [("1", "NRM_TRANSFORM", "python")]


CASES: dict[str, Any] = {
    "cases": [
        {"when": [{"column": "row.kind", "equals": "fixed"}], "constant": "Fixed"},
        {"when": [{"column": "row.kind", "equals": "none"}]},
        {
            "when": [
                {"column": "row.kind", "steps": ["lower"], "starts_with": ["m"]},
                {"column": "row.a", "equals": 1},
            ],
            "concat": {"parts": [{"column": "row.a"}, {"column": "row.b"}], "separator": "/"},
        },
        {"when": [], "from": ["row.b"]},
    ],
    "steps": ["upper"],
}


def test_the_first_case_whose_conditions_all_hold_gives_the_value() -> None:
    frame = rows(
        kind=["fixed", "none", "Many", "many", "x", None], a=[1, 1, 1, 2, 1, 1], b=["p", "q", "r", "s", "t", " "]
    )
    result = run({"value": CASES}, frame)
    assert result.records["value"].to_list() == ["FIXED", None, "1/R", "S", "T", None]


def test_without_a_case_that_holds_there_is_no_value() -> None:
    field = {"cases": CASES["cases"][:1], "required": True}
    result = run({"value": field}, rows(kind=["fixed", "x"]))
    assert result.records["value"].to_list() == ["Fixed"]
    assert result.quarantined.select("key", "source", "code").rows() == [("2", "row", "NRM_MISSING_REQUIRED")]


def test_a_case_that_a_failed_transform_leaves_open_quarantines_unless_an_earlier_one_holds() -> None:
    def refuse(text: str) -> str:
        if text == "bad":
            raise ValueError
        return text

    cases = [
        {"when": [{"column": "row.sure", "equals": "yes"}], "constant": "A"},
        {"when": [{"column": "row.kind", "steps": [{"python": "refuse"}], "equals": "b"}], "constant": "B"},
    ]
    frame = rows(sure=["yes", "no", "no"], kind=["bad", "bad", "b"])
    result = run({"value": {"cases": cases}}, frame, rules=Rules(transforms={"refuse": refuse}))
    assert result.records.select("key", "value").rows() == [("1", "A"), ("3", "B")]
    assert result.quarantined.select("key", "code").rows() == [("2", "NRM_TRANSFORM")]


def looked_up(column: list[str | None], **clauses: Any) -> Normalised:
    field = {"from": ["row.group"], "steps": ["trim", "lower"], "lookup": {"entity": "groups", "by": "name"}} | clauses
    return run({"group": field}, rows(group=column), rules=Rules(lookups={"groups": GROUPS}))


def test_a_value_is_found_in_the_target_after_the_same_steps() -> None:
    result = looked_up(["STAFF ", None])
    assert result.records["group"].to_list() == ["g1", None]


@pytest.mark.parametrize("raw", ["unheard-of", "aides", "Nurses"])
def test_an_absent_ambiguous_or_idless_record_of_the_target_is_no_answer(raw: str) -> None:
    result = looked_up([raw])
    assert result.quarantined.select("code", "rule").rows() == [("NRM_LOOKUP", "lookup: groups.name")]
    assert result.unmapped == (Unmapped("groups", raw.lower(), 1),)


def test_a_default_stands_in_for_what_is_absent_and_never_for_what_is_ambiguous() -> None:
    result = looked_up(["unheard-of", "aides"], unmapped={"default": "g0"})
    assert result.records.select("key", "group").rows() == [("1", "g0")]
    assert result.quarantined.select("key", "code").rows() == [("2", "NRM_LOOKUP")]


def test_a_lookup_that_must_succeed_stops_the_run() -> None:
    with pytest.raises(StopRun, match="2 records have 2 ids that entity groups of the target") as caught:
        looked_up(["unheard-of", "aides", "staff"], unmapped="block")
    assert caught.value.code == "NRM_BLOCKED_UNMAPPED"


def test_a_lookup_in_a_column_that_is_gone_stops_the_run() -> None:
    rules = Rules(lookups={"groups": GROUPS.drop("name")})
    field = {"from": ["row.group"], "lookup": {"entity": "groups", "by": "name"}}
    with pytest.raises(StopRun, match="groups of the target: name") as caught:
        run({"group": field}, rows(group=["x"]), rules=replace(rules))
    assert caught.value.code == "NRM_SCHEMA_DRIFT"
