"""The columns and the rows agree: `services.extractor.normalise` against an evaluator that was written without it.

The sharp cases are written out by hand and hold for both; what is drawn is asked of both and compared, record for
record and item for item. The words for one value have their cases in `test_words_row_by_row`.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contracts.contract_strategies import COLUMNS, LOOKED_UP, Case, cases
from tests.contracts.row_by_row import Row
from tests.contracts.two_answers import (
    BOTH,
    Answer,
    by_columns,
    by_rows,
    case_of,
    compared,
    job,
    joined_case,
    person,
    value,
)
from tests.contracts.value_by_value import Raw

SETTINGS = settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    # Contracts are large; what takes time is drawing them, and the number of examples bounds it.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@BOTH
def test_of_numbers_and_truths_the_text_counts(answer: Answer) -> None:
    people = [person(num=12, flag=False), person(id="K2", num=-5), person(id="K3")]
    field = {"from": ["person.num", "person.flag"]}
    assert [record["alpha"] for record in answer(case_of(field, *people)).records] == ["12", "-5", None]
    scope = [{"column": "person.num", "starts_with": ["1", "-"]}, {"column": "person.flag", "not_in": [False]}]
    assert [record["key"] for record in answer(case_of(field, *people, scope=scope)).records] == ["K2"]
    jobs = [job(person="12", title="joined")]
    found = answer(joined_case([{"column": "seq"}], "person.num", people, jobs))
    assert [record["alpha"] for record in found.records] == ["joined", None, None]


CONCATENATED: list[tuple[list[dict[str, Any]], str, tuple[Raw, Raw], str | None]] = [
    ([{"column": "person.name"}, {"column": "person.nick"}], ", ", ("Ana", "Leo"), "Ana, Leo"),
    ([{"column": "person.name"}, {"column": "person.nick"}], ", ", (None, "Leo"), "Leo"),
    ([{"column": "person.name"}, {"column": "person.nick"}], ", ", ("Ana", "\u3000"), "Ana"),
    ([{"column": "person.name"}, {"column": "person.nick"}], ", ", (" ", None), None),
    ([{"column": "person.name", "steps": ["digits"]}, {"column": "person.nick"}], "-", ("Ana", "Leo"), "Leo"),
    ([{"column": "person.name", "steps": ["upper"]}, {"column": "person.nick"}], "-", ("Ana", "Leo"), "ANA-Leo"),
    ([{"column": "person.name"}, {"text": "@x.example"}], "", ("Ana", None), "Ana@x.example"),
    ([{"column": "person.name"}, {"text": "@x.example"}], "", (None, "Leo"), None),
    ([{"column": "person.name"}, {"column": "person.name"}], "", (" A", None), " A A"),
]


@BOTH
@pytest.mark.parametrize(("parts", "separator", "raws", "expected"), CONCATENATED)
def test_columns_are_put_together(
    answer: Answer, parts: list[dict[str, Any]], separator: str, raws: tuple[Raw, Raw], expected: str | None
) -> None:
    field = {"concat": {"parts": parts, "separator": separator}}
    (record,) = answer(case_of(field, person(name=raws[0], nick=raws[1]))).records
    assert record["alpha"] == expected


@BOTH
def test_the_first_column_with_a_raw_value_wins_even_when_steps_empty_it(answer: Answer) -> None:
    field = {"from": ["person.name", "person.nick"], "steps": ["digits"]}
    found = answer(case_of(field, person(name="\u00a0", nick="12"), person(id="K2", name="n/a", nick="12")))
    assert [record["alpha"] for record in found.records] == ["12", None]


@BOTH
def test_a_column_that_a_transform_takes_away_leaves_the_others_in_a_concatenation(answer: Answer) -> None:
    parts = [{"column": "person.name"}, {"column": "person.name", "steps": [{"python": "none_of_it"}]}]
    (record,) = answer(case_of({"concat": {"parts": parts}}, person(name="Cx"))).records
    assert record["alpha"] == "Cx"


EMPTIED: list[tuple[dict[str, Any], Any]] = [
    ({}, None),
    ({"required": True}, ["NRM_MISSING_REQUIRED"]),
    ({"format": "e164"}, ["NRM_BAD_FORMAT"]),
    ({"format": "e164", "on_invalid": "discard_value"}, None),
    ({"map": "roles"}, ["NRM_UNMAPPED"]),
    ({"format": "enum", "values": ["A"], "drift": "discard_row"}, ["NRM_UNKNOWN_VALUE"]),
]


@BOTH
@pytest.mark.parametrize(("field", "expected"), EMPTIED)
def test_a_value_that_the_steps_empty_was_there(answer: Answer, field: dict[str, Any], expected: Any) -> None:
    assert value(answer, {"steps": ["digits"]} | field, "n/a") == expected


@BOTH
@pytest.mark.parametrize(
    "field", [{"format": "e164"}, {"map": "roles"}, {"lookup": {"entity": LOOKED_UP, "by": "name"}}]
)
def test_a_transform_can_say_that_there_is_no_value(answer: Answer, field: dict[str, Any]) -> None:
    assert value(answer, {"steps": [{"python": "none_of_it"}, "trim"]} | field, "Cx") is None


@BOTH
def test_the_first_case_that_holds_counts_and_its_steps_are_the_fields(answer: Answer) -> None:
    field = {
        "cases": [
            {"when": [{"column": "person.nick", "equals": "x"}], "constant": "first"},
            {"when": [{"column": "person.nick", "in": ["x", "y"]}], "from": ["person.name"]},
            {"when": [{"column": "person.nick", "equals": "z"}]},
            {"when": [], "constant": "last"},
        ],
        "steps": ["upper"],
    }
    people = [person(id=f"K{nick}", name="Ana", nick=nick) for nick in ("x", "y", "z", None)]
    records = answer(case_of(field, *people)).records
    assert {str(record["key"]): record["alpha"] for record in records} == {
        "Kx": "FIRST",
        "Ky": "ANA",
        "Kz": None,
        "KNone": "LAST",
    }


ORDERS: list[tuple[list[dict[str, Any]], list[Row]]] = [
    ([{"column": "num"}], [person(num=10), person(num=9, name="first")]),
    ([{"column": "num", "direction": "desc"}], [person(num=9), person(num=10, name="first")]),
    ([{"column": "num"}], [person(), person(num=10**12, name="first")]),
    ([{"column": "num", "direction": "desc"}], [person(), person(num=-5, name="first")]),
    ([{"column": "flag"}], [person(flag=True), person(flag=False, name="first"), person()]),
    ([{"column": "flag", "direction": "desc"}], [person(), person(flag=False), person(flag=True, name="first")]),
    ([{"column": "nick"}], [person(nick="a"), person(nick="Z", name="first")]),
    ([{"column": "nick"}], [person(nick="9"), person(nick="10", name="first")]),
    ([{"column": "nick"}], [person(nick="\U0001f600"), person(nick="\uffee", name="first"), person(nick="\u3000")]),
    ([{"column": "nick", "direction": "desc"}], [person(nick="\uffee"), person(nick="\U0001f600", name="first")]),
    ([{"column": "nick", "direction": "desc"}], [person(nick="\u3000"), person(), person(nick="a", name="first")]),
    ([{"column": "nick", "steps": ["digits"]}], [person(nick="2a"), person(nick="z1", name="first")]),
    ([{"column": "nick", "steps": ["digits"]}], [person(nick="x"), person(nick="z9", name="first")]),
    ([{"column": "nick"}, {"column": "num"}], [person(num=2), person(nick="\u00a0", num=1, name="first")]),
]


@BOTH
@pytest.mark.parametrize(("order", "people"), ORDERS)
def test_the_first_row_of_an_order_stands_for_the_thing(
    answer: Answer, order: list[dict[str, Any]], people: list[Row]
) -> None:
    pick = {"by": {"column": "id"}, "order": order}
    (record,) = answer(case_of({"from": ["person.name"]}, *people, origin={"pick": pick})).records
    assert record["alpha"] == "first"


@BOTH
@pytest.mark.parametrize(("order", "people"), ORDERS)
def test_the_first_row_of_an_order_is_the_one_joined(
    answer: Answer, order: list[dict[str, Any]], people: list[Row]
) -> None:
    names = {"num": "seq", "flag": "open", "nick": "code"}
    order = [term | {"column": names[term["column"]]} for term in order]
    jobs = [job(person="K1", seq=p["num"], open=p["flag"], code=p["nick"], title=p["name"]) for p in people]
    (record,) = answer(joined_case(order, "person.id", [person()], jobs)).records
    assert record["alpha"] == "first"


@BOTH
def test_a_row_without_a_thing_is_quarantined_before_the_scope_and_after_where(answer: Answer) -> None:
    pick = {"by": {"column": "id", "steps": ["digits"]}, "order": [{"column": "num"}]}
    people = [person(id="x", name="in"), person(id=None, name="in"), person(id="\u3000", name="out"), person(id="7")]
    case = case_of(
        {"constant": "B"},
        *people,
        origin={"pick": pick, "where": [{"column": "name", "not_in": ["out"]}]},
        scope=[{"column": "person.id", "equals": "nobody"}],
    )
    found = answer(case)
    assert [(item.key, item.code, item.rule) for item in found.quarantined] == [
        ("", "NRM_MISSING_KEY", "pick by id"),
        ("", "NRM_MISSING_KEY", "pick by id"),
    ]
    assert (found.records, found.out_of_scope) == ([], 1)


@BOTH
def test_a_blank_joins_nothing_and_a_record_without_a_match_stays(answer: Answer) -> None:
    people = [person(nick=None), person(id="K2", nick=" "), person(id="K3", nick="n/a"), person(id="K4", nick="7")]
    jobs = [job(person=None, title="null"), job(person=" ", title="blank"), job(person="x", title="emptied")]
    found = answer(joined_case([{"column": "seq"}], "person.nick", people, jobs, steps=["digits"]))
    assert [(record["key"], record["alpha"]) for record in found.records] == [
        ("K1", None),
        ("K2", None),
        ("K3", None),
        ("K4", None),
    ]


@BOTH
def test_a_join_looks_only_at_rows_that_take_part_and_equals_after_the_steps(answer: Answer) -> None:
    people = [person(nick=" c1"), person(id="K2", nick="A\u0308")]
    jobs = [
        job(person="C1", seq=1, open=True, title="closed"),
        job(person="c1\u00a0", seq=2, title="second"),
        job(person="\u00e4", seq=3, title="composed"),
    ]
    where = [{"column": "open", "is_blank": True}]
    steps = ["trim", "lower", "nfc"]
    found = answer(joined_case([{"column": "seq"}], "person.nick", people, jobs, steps=steps, where=where))
    assert [record["alpha"] for record in found.records] == ["second", "composed"]


@BOTH
def test_a_later_join_starts_from_the_row_that_the_earlier_one_kept(answer: Answer) -> None:
    case = joined_case(
        [{"column": "seq"}],
        "person.id",
        [person(), person(id="K2")],
        [job(person="K1", seq=2, site="C1"), job(person="K1", seq=1, site="C2")],
    )
    sites: list[Row] = [dict.fromkeys(COLUMNS["site"]) | {"code": code, "town": code.lower()} for code in ("C1", "C2")]
    case.document["joins"].append(
        {
            "source": "site",
            "on": {"left": {"column": "job.site"}, "right": {"column": "code"}},
            "order": [{"column": "rank"}],
        }
    )
    case.document["fields"]["alpha"] = {"from": ["site.town", "person.id"]}
    found = answer(Case(case.document, {**case.sources, "site": sites}, case.lookups))
    assert [record["alpha"] for record in found.records] == ["c2", "K2"]


@BOTH
def test_every_reason_of_a_record_is_told_and_none_of_a_record_out_of_scope(answer: Answer) -> None:
    people = [
        person(name="x", mail="ana"),
        person(id="K2", name="out", mail="ana"),
        person(id=" ", name="x", mail="a@x.example"),
    ]
    case = case_of(
        {"from": ["person.mail"], "format": "email"},
        *people,
        scope=[{"column": "person.name", "not_in": ["out"]}],
    )
    case.document["fields"] |= {
        "beta": {"from": ["person.nick"], "required": True},
        "gamma": {"from": ["person.name"], "map": "roles"},
    }
    found = answer(case)
    assert (found.records, found.out_of_scope) == ([], 1)
    assert sorted((item.key, item.field, item.code, item.value_class) for item in found.quarantined) == [
        ("", "beta", "NRM_MISSING_REQUIRED", "blank"),
        ("", "gamma", "NRM_UNMAPPED", "text(1)"),
        ("", "key_field", "NRM_MISSING_KEY", "blank"),
        ("K1", "alpha", "NRM_BAD_FORMAT", "text(3)"),
        ("K1", "beta", "NRM_MISSING_REQUIRED", "blank"),
        ("K1", "gamma", "NRM_UNMAPPED", "text(1)"),
    ]
    assert found.unmapped == {("roles", "x"): 2}


@BOTH
def test_no_record_of_a_key_claimed_twice_is_desired(answer: Answer) -> None:
    people = [person(name="a"), person(id=" K1", name="b"), person(id="K2", name="c"), person(id="k1", name="d")]
    found = answer(case_of({"from": ["person.name"]}, *people))
    assert [(record["key"], record["alpha"]) for record in found.records] == [("K2", "c"), ("k1", "d")]
    assert {(item.key, item.field, item.code) for item in found.quarantined} == {
        ("K1", "key_field", "MAT_DUPLICATE_KEY")
    }


@BOTH
def test_what_is_discarded_is_left_alone_and_what_is_not_there_is_not(answer: Answer) -> None:
    people = [person(mail="ana"), person(id="K2", mail=None), person(id="K3", mail="ana@x.example")]
    field = {"from": ["person.mail"], "format": "email", "on_invalid": "discard_value", "clear": True}
    found = answer(case_of(field, *people))
    assert [(record["alpha"], record["left alone"]) for record in found.records] == [
        (None, ["alpha"]),
        (None, []),
        ("ana@x.example", []),
    ]


@BOTH
def test_an_unknown_value_that_is_discarded_is_left_alone_too(answer: Answer) -> None:
    field = {"from": ["person.name"], "format": "enum", "values": ["A"], "drift": "discard_value", "clear": True}
    found = answer(case_of(field, person(name="Z"), person(id="K2", name="A"), person(id="K3")))
    assert [(record["alpha"], record["left alone"]) for record in found.records] == [
        (None, ["alpha"]),
        ("A", []),
        (None, []),
    ]


@BOTH
def test_a_value_is_looked_up_in_the_target_after_the_steps_of_both(answer: Answer) -> None:
    groups: list[Row] = [
        {"target_id": "g1", "name": " Staff ", "mail": "a@x.example"},
        {"target_id": "g2", "name": "Twice", "mail": "b@x.example"},
        {"target_id": "g3", "name": "twice", "mail": "b@x.example"},
        {"target_id": "g4", "name": " ", "mail": None},
    ]
    people = [person(name="STAFF"), person(id="K2", name="TWICE"), person(id="K3", name="none"), person(id="K4")]
    field = {"from": ["person.name"], "steps": ["trim", "lower"], "lookup": {"entity": LOOKED_UP, "by": "name"}}
    found = answer(case_of(field, *people, lookups=groups))
    assert [(record["key"], record["alpha"]) for record in found.records] == [("K1", "g1"), ("K4", None)]
    assert sorted((item.key, item.code) for item in found.quarantined) == [("K2", "NRM_LOOKUP"), ("K3", "NRM_LOOKUP")]


@BOTH
def test_an_id_that_several_records_of_the_target_have_gets_no_default(answer: Answer) -> None:
    groups: list[Row] = [{"target_id": f"g{number}", "name": "Twice", "mail": None} for number in (1, 2)]
    field = {
        "from": ["person.name"],
        "lookup": {"entity": LOOKED_UP, "by": "name"},
        "unmapped": {"default": "g9"},
    }
    found = answer(case_of(field, person(name="Twice"), person(id="K2", name="none"), lookups=groups))
    assert [(record["key"], record["alpha"]) for record in found.records] == [("K2", "g9")]
    assert [(item.key, item.code) for item in found.quarantined] == [("K1", "NRM_LOOKUP")]


@BOTH
def test_a_key_that_a_faulty_record_claims_as_well_is_nobodys(answer: Answer) -> None:
    field = {"from": ["person.mail"], "format": "email"}
    found = answer(case_of(field, person(mail="ana"), person(mail="ana@x.example"), person(id="K2")))
    assert [record["key"] for record in found.records] == ["K2"]
    assert sorted((item.key, item.code) for item in found.quarantined) == [
        ("K1", "MAT_DUPLICATE_KEY"),
        ("K1", "MAT_DUPLICATE_KEY"),
        ("K1", "NRM_BAD_FORMAT"),
    ]


@BOTH
def test_a_transform_that_refuses_a_value_quarantines_its_record_only(answer: Answer) -> None:
    people = [person(name="a@b"), person(id="K2", name="abc"), person(id="K3"), person(id="K4", name="\u3000")]
    found = answer(case_of({"from": ["person.name"], "steps": [{"python": "refuses_mail"}]}, *people))
    assert [(record["key"], record["alpha"]) for record in found.records] == [("K2", "cba"), ("K3", None), ("K4", None)]
    assert [(item.key, item.code, item.value_class) for item in found.quarantined] == [
        ("K1", "NRM_TRANSFORM", "text(3)")
    ]


STOPS: list[tuple[dict[str, Any], str]] = [
    ({"map": "roles", "unmapped": "block"}, "NRM_BLOCKED_UNMAPPED"),
    ({"lookup": {"entity": LOOKED_UP, "by": "name"}, "unmapped": "block"}, "NRM_BLOCKED_UNMAPPED"),
    ({"format": "enum", "values": ["A"]}, "NRM_SCHEMA_DRIFT"),
]


@BOTH
@pytest.mark.parametrize(("field", "code"), STOPS)
def test_what_must_not_go_on_stops_the_run(answer: Answer, field: dict[str, Any], code: str) -> None:
    scope = [{"column": "person.id", "not_in": ["out"]}]
    case = case_of({"from": ["person.name"]} | field, person(name="Z"), scope=scope)
    assert answer(case).blocked == {("alpha", code)}
    assert answer(case_of(case.document["fields"]["alpha"], person(id="out", name="Z"), scope=scope)).blocked == set()
    assert answer(case_of(case.document["fields"]["alpha"], person(name=" "), scope=scope)).blocked == set()


@SETTINGS
@given(cases())
def test_columns_and_rows_make_the_same_records_and_items(case: Case) -> None:
    assert compared(by_columns(case)) == compared(by_rows(case))


@settings(SETTINGS, max_examples=60)
@given(cases(stops=True))
def test_columns_and_rows_stop_for_the_same_fields(case: Case) -> None:
    expected, found = by_rows(case), by_columns(case)
    assert found.blocked == expected.blocked
    if not expected.blocked:
        assert compared(found) == compared(expected)


@settings(SETTINGS, max_examples=60)
@given(cases(is_total=False), st.randoms(use_true_random=False))
def test_the_order_in_which_rows_were_read_decides_nothing_even_where_they_tie(case: Case, rng: Random) -> None:
    shuffled = {alias: rng.sample(rows, len(rows)) for alias, rows in case.sources.items()}
    assert compared(by_columns(replace(case, sources=shuffled))) == compared(by_columns(case))
