"""Steps, transforms, conditions and formats, through whole records."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from services.extractor.normalise import Discarded, Rules
from tests.unit.extractor.settling import rows, run


def values(field: dict[str, Any], column: list[Any], rules: Rules | None = None, **more: Any) -> list[Any]:
    return run({"value": field}, rows(raw=column), rules=rules, **more).records["value"].to_list()


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("MARIA DE LA CRUZ", "Maria de la Cruz"),
        ("de la cruz", "De la Cruz"),
        ("de la Cruz", "de la Cruz"),
        ("ana MARIA", "ana MARIA"),
        ("hoang le", "Hoang Le"),
        ("O'BIRCH", "O'Birch"),
        ("o\u2019birch", "O\u2019Birch"),
        ("D'ALDER-MCCEDAR", "D'Alder-McCedar"),
        ("SA'AD", "Sa'ad"),
        ("LEO ALDER III", "Leo Alder III"),
        ("iii", "Iii"),
        ("JEAN-LUC VAN DEN BERG", "Jean-Luc van den Berg"),
        ("ANA  MARÍA", "Ana  María"),
        ("straße", "Straße"),
        ("7", "7"),
    ],
)
def test_a_name_in_one_case_gets_its_capitals_and_any_other_stays(raw: str, name: str) -> None:
    assert values({"from": ["row.raw"], "steps": ["proper_name"]}, [raw]) == [name]


def test_character_references_are_read_once() -> None:
    column = ["Alder &amp; Cedar", "&eacute;lan", "&amp;lt;", "O&#39;Birch", "plain", None]
    expected = ["Alder & Cedar", "élan", "&lt;", "O'Birch", "plain", None]
    assert values({"from": ["row.raw"], "steps": ["unescape_html"]}, column) == expected


def test_a_transform_is_asked_once_for_each_distinct_value() -> None:
    asked: list[str] = []

    def note(text: str) -> str | None:
        asked.append(text)
        return None if text == "none" else text[::-1]

    rules = Rules(transforms={"note": note})
    fields = {
        "value": {"from": ["row.raw"], "steps": ["trim", {"python": "note"}, "upper"]},
        "again": {"from": ["row.raw"], "steps": ["trim", {"python": "note"}]},
    }
    result = run(fields, rows(raw=["ab", " ab", "none", None, "ab"]), rules=rules)
    assert result.records["value"].to_list() == ["BA", "BA", None, None, "BA"]
    assert sorted(asked) == ["ab", "none"]


@pytest.mark.parametrize("error", [ValueError("ana@x.example"), KeyError("x"), ZeroDivisionError()])
def test_a_transform_that_fails_quarantines_the_record_and_tells_no_value(error: Exception) -> None:
    def refuse(text: str) -> str:
        if text == "bad":
            raise error
        return text

    rules = Rules(transforms={"refuse": refuse})
    field = {"from": ["row.raw"], "steps": [{"python": "refuse"}]}
    result = run({"value": field}, rows(raw=["good", "bad"]), rules=rules)
    assert result.records["value"].to_list() == ["good"]
    assert result.quarantined.to_dicts() == [
        {"key": "2", "source": "row", "field": "value", "code": "NRM_TRANSFORM", "value_class": "text(3)"}
        | {"rule": "python"}
    ]
    left = run({"value": field | {"on_invalid": "discard_value"}}, rows(raw=["good", "bad"]), rules=rules)
    assert left.records.select("value", "left alone").rows() == [("good", None), (None, "value")]
    assert left.discarded == (Discarded("value", "NRM_TRANSFORM", 1),)


def test_a_transform_that_gives_no_text_has_failed() -> None:
    rules = Rules(transforms={"count": len})  # type: ignore[dict-item]  # wrong on purpose
    result = run({"value": {"from": ["row.raw"], "steps": [{"python": "count"}]}}, rows(raw=["abc"]), rules=rules)
    assert result.quarantined["code"].to_list() == ["NRM_TRANSFORM"]


@pytest.mark.parametrize(
    "clauses",
    [
        {"scope": [{"column": "row.raw", "steps": [{"python": "refuse"}], "in": ["x"]}]},
        {"from": {"source": "row", "where": [{"column": "raw", "steps": [{"python": "refuse"}], "in": ["x"]}]}},
    ],
)
def test_where_a_transform_leaves_open_who_counts_the_record_is_unknown_and_not_absent(clauses: dict[str, Any]) -> None:
    def refuse(text: str) -> str:
        if text == "bad":
            raise ValueError
        return text

    result = run({}, rows(raw=["x", "bad", "out"]), rules=Rules(transforms={"refuse": refuse}), **clauses)
    assert result.records["key"].to_list() == ["1"]
    assert result.quarantined.select("key", "code").rows() == [("2", "NRM_TRANSFORM")]


def test_a_row_whose_pick_fails_may_be_anybody() -> None:
    def refuse(text: str) -> str:
        raise ValueError(text)

    by = {"column": "id", "steps": [{"python": "refuse"}]}
    clauses: dict[str, Any] = {"from": {"source": "row", "pick": {"by": by, "order": [{"column": "id"}]}}}
    result = run({}, rows(raw=["x"]), rules=Rules(transforms={"refuse": refuse}), **clauses)
    assert result.quarantined.select("key", "code", "value_class").rows() == [(None, "NRM_TRANSFORM", "text(1)")]


@pytest.mark.parametrize(
    ("test", "kept"),
    [
        ({"starts_with": ["a", "B"]}, ["1", "3"]),
        ({"starts_with": ["a"], "steps": ["lower"]}, ["1", "2"]),
        ({"matches": "[a-z]+"}, ["1"]),
        ({"matches": "a|A.*"}, ["2"]),
        ({"in_table": "codes"}, ["3"]),
        ({"in_table": "codes", "steps": ["lower"]}, ["2", "3"]),
    ],
)
def test_conditions_on_beginnings_patterns_and_tables(test: dict[str, Any], kept: list[str]) -> None:
    frame = rows(raw=["ab", "Ab1", "Bc", " ", None])
    result = run({}, frame, {"Bc": "X", "aB1": "Y"}, scope=[{"column": "row.raw"} | test])
    assert result.records["key"].to_list() == kept
    assert sorted(result.outside_keys) == sorted({"1", "2", "3", "4", "5"} - set(kept))


@pytest.mark.parametrize(
    ("form", "raw", "value"),
    [
        ("integer", "007", "7"),
        ("integer", "-0", "0"),
        ("integer", "-012", "-12"),
        ("integer", "+7", None),
        ("integer", "٣", None),
        ("grade", " Pre-K", "PK"),
        ("grade", "-1", "TK"),
        ("grade", "kn", "KG"),
        ("grade", "7th", "07"),
        ("grade", "Grade 12", "12"),
        ("grade", "UE", "UG"),
        ("grade", "13", None),
        ("grade", "1th", None),
    ],
)
def test_a_value_takes_the_one_spelling_of_its_form_or_is_discarded(form: str, raw: str, value: str | None) -> None:
    field = {"from": ["row.raw"], "format": form, "on_invalid": "discard_value"}
    result = run({"value": field}, rows(raw=[raw]))
    assert result.records.select("value", "left alone").rows() == [(value, None if value else "value")]


@pytest.mark.parametrize(
    ("formats", "raw", "value"),
    [
        (["%m/%d/%Y", "%Y-%m-%d"], "8/1/2026", "2026-08-01"),
        (["%m/%d/%Y", "%Y-%m-%d"], "2026-08-01", "2026-08-01"),
        (["%m/%d/%Y", "%d/%m/%Y"], "02/03/2026", "2026-02-03"),
        (["%m/%d/%Y", "%d/%m/%Y"], "13/02/2026", "2026-02-13"),
        (["%Y-%m-%d"], "2026-08-01T07:13:43.5-08:00", "2026-08-01"),
        (["%Y-%m-%d"], "2026-08-01T25:00", None),
        (["%Y-%m-%d"], "26-08-01", None),
        (["%Y-%m-%d"], "+2026-08-01", None),
        (["%Y-%m-%d"], "0000-08-01", None),
        (["%m/%d/%y"], "08/01/70", "1970-08-01"),
        (["%m/%d/%y"], "08/01/69", "2069-08-01"),
        (["%b %d, %Y"], "feb 3, 2026", "2026-02-03"),
        (["%B %d, %Y"], "Feb 3, 2026", None),
        (["%Y %j"], "2024 366", "2024-12-31"),
        (["%m/%d/%Y"], "2026-08-01T07:13", None),
    ],
)
def test_dates_are_read_as_the_contract_says_and_no_other_way(formats: list[str], raw: str, value: str | None) -> None:
    field = {"from": ["row.raw"], "format": "date", "date_formats": formats, "on_invalid": "discard_value"}
    if formats == ["%Y-%m-%d"]:
        del field["date_formats"]
    assert values(field, [raw]) == [value]


def test_whole_numbers_that_came_as_floating_point_are_whole() -> None:
    frame = pl.DataFrame({"id": ["1"], "raw": [7.0]})
    assert run({"value": {"from": ["row.raw"]}}, frame).records["value"].to_list() == ["7"]
