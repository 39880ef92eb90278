"""A declared delta lets pass what was declared, exactly as much of it, and hides nothing beside it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.policy.declared import (
    Declaration,
    covered_by_class,
    declaration_of,
    figures_of_declaration,
    in_force,
    matches,
    words_of,
)
from shared.policy.figures import DeclaredFigures, EntityFigures, GuardFigures
from shared.policy.guard import Level, Verdict, guard
from shared.policy.limits import DEFAULT_POLICY, Limit, policy_with
from tests.unit.plan.plan_builder import figures
from tests.unit.policy.judging import HUGE, cohort, declared, district, group, line_of, verdict_of, window


def declaration(**overrides: Any) -> Declaration:
    plain: dict[str, Any] = {
        "id": "leavers",
        "connector": "students",
        "entity": "contacts",
        "change_class": "suspend",
        "where": {"grade": ("12",)},
        "expected": 1400,
        "tolerance_percent": 5,
        "valid_from": "2026-06-12T00:00:00Z",
        "valid_until": "2026-07-01T00:00:00Z",
        "reason": "the end of the school year",
        "declared_by": "otto",
        "at": "2026-05-20T08:00:00Z",
    }
    return Declaration.model_validate({**plain, **overrides})


def guarded(entity: EntityFigures) -> Verdict:
    return guard(GuardFigures(entities=(entity,)), DEFAULT_POLICY)


# --- which changes match --------------------------------------------------------------------------------------------


def does_match(one: Declaration, before: dict[str, Any] | None, after: dict[str, Any], **other: str) -> bool:
    of = {"entity": "contacts", "change_class": "suspend", **other}
    return matches(one, entity=of["entity"], change_class=of["change_class"], before=before, after=after)


def test_record_counts_as_it_is_before_the_change_and_a_new_one_as_it_will_be() -> None:
    one = declaration(change_class="role_change")
    other = {"change_class": "role_change"}
    assert does_match(one, {"grade": "12"}, {"grade": "13"}, **other)
    assert not does_match(one, {"grade": "11"}, {"grade": "12"}, **other)
    assert does_match(declaration(change_class="create"), None, {"grade": "12"}, change_class="create")
    assert not does_match(declaration(change_class="create"), None, {"grade": "11"}, change_class="create")


def test_only_the_declared_class_of_the_declared_entity_matches() -> None:
    before = {"grade": "12"}
    assert does_match(declaration(), before, before)
    assert not does_match(declaration(), before, before, change_class="delete")
    assert not does_match(declaration(), before, before, entity="members")


def test_every_condition_must_hold_and_one_value_of_each_is_enough() -> None:
    one = declaration(where={"grade": ("12", "13"), "location": ("TL-010",)})
    assert does_match(one, {"grade": "13", "location": "TL-010"}, {})
    assert not does_match(one, {"grade": "13", "location": "TL-011"}, {})
    assert not does_match(one, {"grade": "13"}, {})


@pytest.mark.parametrize(
    ("value", "text", "does"),
    [(12, "12", True), (True, "true", True), (False, "false", True), (True, "True", False), (True, "1", False),
     (1.5, "1.5", True), ("012", "12", False), (None, "None", False)],
)  # fmt: skip
def test_values_are_compared_as_text_and_a_blank_one_matches_nothing(value: Any, text: str, does: bool) -> None:
    assert does_match(declaration(where={"grade": (text,)}), {"grade": value}, {}) is does


def test_change_counts_for_the_first_declaration_by_id() -> None:
    both = [declaration(id="b"), declaration(id="a"), declaration(id="0", where={"grade": ("11",)})]
    record = {"grade": "12"}
    found = declaration_of(both, entity="contacts", change_class="suspend", before=record, after=record)
    assert found is both[1]
    assert declaration_of(both, entity="contacts", change_class="delete", before=record, after=record) is None


def test_declaration_is_in_force_from_its_first_moment_to_before_its_last() -> None:
    first, last = datetime(2026, 6, 12, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    both = [declaration(id="b"), declaration(id="a"), declaration(id="c", connector="staff")]

    def ids(now: datetime) -> list[str]:
        return [one.id for one in in_force(both, connector="students", now=now)]

    assert ids(first) == ["a", "b"]
    assert ids(first.replace(day=11)) == []
    assert ids(last) == []
    assert ids(datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC)) == ["a", "b"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"change_class": "leave"}, "is no class of change"),
        ({"valid_until": "2026-06-12T00:00:00Z"}, "is not after valid_from"),
        ({"valid_until": "2026-06-11T00:00:00Z"}, "is not after valid_from"),
        ({"valid_from": "2026-06-12T00:00:00"}, "has no zone"),
        ({"at": "2026-06-12T00:00:00"}, "has no zone"),
        ({"where": {}}, "at least 1 item"),
        ({"where": {"grade": ()}}, "at least 1 item"),
        ({"where": {"grade": tuple(str(n) for n in range(201))}}, "at most 200 items"),
        ({"where": {f"f{n}": ("1",) for n in range(6)}}, "at most 5 items"),
        ({"expected": 0}, "greater than or equal to 1"),
        ({"tolerance_percent": 101}, "less than or equal to 100"),
        ({"reason": ""}, "at least 1 character"),
    ],
)
def test_declaration_that_says_nothing_definite_is_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        declaration(**wrong)


def test_declaration_in_words() -> None:
    one = declaration(where={"location": ("TL-010",), "grade": tuple(str(n) for n in range(1, 8))})
    words = words_of(one)
    assert words == (
        "grade=1|2|3|4|5|…, location=TL-010: suspend 1,400 ± 5 %, 2026-06-12T00:00:00Z to 2026-07-01T00:00:00Z"
    )
    assert words_of(declaration()).startswith("grade=12: ")
    assert figures_of_declaration(one, matched=3, applied_before=4) == DeclaredFigures(
        declaration="leavers",
        text=words,
        change_class="suspend",
        expected=1400,
        tolerance_percent=5,
        matched=3,
        applied_before=4,
    )


# --- what the guard makes of them -----------------------------------------------------------------------------------


def test_declared_leavers_pass_while_thirty_staff_in_the_same_run_trip() -> None:
    leavers = declared(1400)
    of_staff = cohort("role=STAFF", 300, {"suspend": 30})
    of_students = cohort("role=STUDENT", 19_700, {"suspend": 1400}, {"suspend": 1400})
    alone = district(changes={"suspend": 1400}, declared=(leavers,), cohorts=(of_students,))
    assert guarded(alone).level is Level.PASS
    both = guarded(district(changes={"suspend": 1430}, declared=(leavers,), cohorts=(of_staff, of_students)))
    (line,) = both.worst_lines
    assert (both.level, line.check, line.measured) == (Level.HOLD, "suspend", "role=STAFF")
    assert line_of(both, "suspend").number == 30
    assert guarded(alone.model_copy(update={"declared": ()})).level is Level.HOLD


def test_declared_leavers_pass_in_a_run_of_two_entities_too() -> None:
    students = figures(live_managed=20_000, changes={"suspend": 1400}, declared=(declared(1400),))
    staff = figures(entity="staff", changes={"suspend": 30})
    verdict = guard(GuardFigures(entities=(students, staff)), DEFAULT_POLICY)
    assert verdict.level is Level.PASS
    held = guard(GuardFigures(entities=(students, figures(entity="staff", changes={"suspend": 51}))), DEFAULT_POLICY)
    assert [(line.scope, line.number) for line in held.worst_lines] == [("staff", 51)]


def test_covered_changes_are_out_of_the_denominator_as_well() -> None:
    """30 of 2,000 are 1.5 %; but 1,400 of the 2,000 leave, and of the 600 that stay 31 are more than 5 %."""
    leavers = declared(1400)
    at, beyond = (verdict_of(changes={"suspend": 1400 + n}, live_managed=2000, declared=(leavers,)) for n in (30, 31))
    assert at.level is Level.PASS
    assert beyond.level is Level.HOLD
    assert (line_of(beyond, "suspend").number, line_of(beyond, "suspend").denominator) == (31, 600)
    assert line_of(beyond, "rename").denominator == 600


@pytest.mark.parametrize("name", ["create", "member_add"])
def test_new_records_were_in_no_denominator(name: str) -> None:
    arrivals = declared(1400, name)
    verdict = verdict_of(changes={name: 1400}, declared=(arrivals,))
    assert verdict.level is Level.PASS
    assert (line_of(verdict, name).number, line_of(verdict, name).denominator) == (0, 1000)


def test_covered_changes_may_be_more_than_the_live_records() -> None:
    verdict = verdict_of(changes={"suspend": 1400}, live_managed=1000, declared=(declared(1400),))
    assert line_of(verdict, "suspend").denominator == 0


@pytest.mark.parametrize(
    ("matched", "before", "level", "number", "words"),
    [
        (1400, 0, Level.PASS, 0, "as declared"),
        (1470, 0, Level.PASS, 0, "as declared"),  # 5 % more exactly
        (1471, 0, Level.HOLD, 1, "over by 1, which count like any other change"),
        (1330, 0, Level.PASS, 0, "as declared"),  # 5 % less exactly
        (1329, 0, Level.WARN, 0, "under by 1"),
        (0, 0, Level.WARN, 0, "under by 1,330"),
        (70, 1400, Level.PASS, 0, "as declared"),
        (71, 1400, Level.HOLD, 1, "over by 1, which count like any other change"),
        (100, 1200, Level.WARN, 0, "under by 30"),
        (90, 1500, Level.HOLD, 90, "over by 120, which count like any other change"),
        (0, 1500, Level.WARN, 0, "over by 30, which count like any other change"),
    ],
)
def test_declared_delta_reports_under_and_over(
    matched: int, before: int, level: Level, number: int, words: str
) -> None:
    leavers = declared(matched, before=before)
    verdict = verdict_of(changes={"suspend": matched}, live_managed=HUGE, declared=(leavers,))
    line = line_of(verdict, "declared", "leavers")
    assert (verdict.level, line.level) == (level, level)
    assert line_of(verdict, "suspend").number == number
    assert (line.number, line.denominator) == (matched, 1400)
    assert line.code == (None if level is Level.PASS else "GRD_DECLARED")
    assert line.text.endswith(words)
    assert f"{matched:,} suspend of contacts match, {before:,} were applied before" in line.text
    assert covered_by_class(figures(declared=(leavers,))) == (
        {} if matched == number else {"suspend": matched - number}
    )


@pytest.mark.parametrize(("expected", "tolerance", "most", "least"), [(10, 5, 10, 10), (30, 5, 31, 29), (7, 0, 7, 7)])
def test_tolerance_is_in_whole_records_inside_the_share(expected: int, tolerance: float, most: int, least: int) -> None:
    def level(matched: int) -> Level:
        one = declared(matched, expected=expected, tolerance=tolerance)
        return line_of(verdict_of(changes={"suspend": matched}, declared=(one,)), "declared", "leavers").level

    assert (level(most), level(most + 1)) == (Level.PASS, Level.HOLD)
    assert (level(least), level(least - 1)) == (Level.PASS, Level.WARN)


def test_what_is_over_counts_in_the_limits_like_any_other_change() -> None:
    leavers = declared(1600)  # 130 over
    verdict = verdict_of(changes={"suspend": 1600}, live_managed=HUGE, declared=(leavers,))
    assert [(line.check, line.number) for line in verdict.worst_lines] == [("declared", 1600), ("suspend", 130)]


def test_two_declarations_of_a_class_are_covered_each_by_itself() -> None:
    """One that is under does not make room for the other that is over."""
    both = (declared(10, expected=100, tolerance=0, name="a"), declared(190, expected=100, tolerance=0, name="b"))
    verdict = verdict_of(changes={"suspend": 205}, live_managed=HUGE, declared=both)
    assert line_of(verdict, "suspend").number == 95
    assert line_of(verdict, "declared", "a").level is Level.WARN
    assert line_of(verdict, "declared", "b").level is Level.HOLD


def test_more_matches_than_changes_block() -> None:
    both = (declared(3, name="a"), declared(3, name="b"))
    assert verdict_of(changes={"suspend": 6}, declared=both).level is not Level.BLOCK
    verdict = verdict_of(changes={"suspend": 5}, declared=both)
    assert "6 suspend match declarations, 5 are planned" in line_of(verdict, "figures").text


def test_declaring_changes_does_not_turn_on_a_class_that_is_off() -> None:
    verdict = verdict_of(changes={"delete": 5}, live_managed=HUGE, declared=(declared(5, "delete", expected=5),))
    assert (verdict.level, line_of(verdict, "delete").number) == (Level.HOLD, 5)
    on = policy_with({"delete": Limit(count=0)})
    assert verdict_of(on, changes={"delete": 5}, declared=(declared(5, "delete", expected=5),)).level is Level.PASS
    part = cohort("a", 60, {"delete": 5}, {"delete": 5})
    numbers: dict[str, Any] = {
        "changes": {"delete": 5},
        "declared": (declared(5, "delete", expected=5),),
        "cohorts": (part,),
    }
    assert line_of(verdict_of(**numbers), "delete", "a").number == 5


def test_declared_changes_of_a_cohort_leave_it_and_its_denominator() -> None:
    part = cohort("grade=12", 200, {"suspend": 105}, {"suspend": 100})
    numbers: dict[str, Any] = {"live_managed": HUGE, "declared": (declared(100, expected=100),)}
    at = verdict_of(changes={"suspend": 105}, cohorts=(part,), **numbers)
    assert at.level is Level.PASS
    beyond = verdict_of(
        changes={"suspend": 106}, cohorts=(cohort("grade=12", 200, {"suspend": 106}, {"suspend": 100}),), **numbers
    )
    line = line_of(beyond, "suspend", "grade=12")
    assert (line.level, line.number, line.denominator) == (Level.HOLD, 6, 100)


def test_what_is_over_counts_in_every_cohort_it_may_belong_to() -> None:
    leavers = declared(112, expected=100, tolerance=0)  # 12 over, of which school nobody knows
    parts = tuple(cohort(name, 100, {"suspend": 56}, {"suspend": 56}) for name in "ab")
    verdict = verdict_of(changes={"suspend": 112}, live_managed=HUGE, declared=(leavers,), cohorts=parts)
    for name in "ab":
        assert (line_of(verdict, "suspend", name).number, line_of(verdict, "suspend", name).denominator) == (12, 56)


def test_covered_changes_are_out_of_the_windows_now_and_later() -> None:
    leavers = declared(1000)
    tonight = verdict_of(
        changes={"suspend": 1099}, live_managed=HUGE, declared=(declared(1000, before=400),), windows=(window("24h"),)
    )
    assert tonight.level is Level.PASS
    # Two days later the declaration is no longer in force; what it covered still is.
    held = window("7d", {"suspend": 1190}, {"suspend": 1000})
    assert verdict_of(changes={"suspend": 10}, live_managed=HUGE, windows=(held,)).level is Level.PASS
    (line,) = verdict_of(changes={"suspend": 11}, live_managed=HUGE, windows=(held,)).worst_lines
    assert (line.check, line.measured, line.number) == ("suspend", "7d", 201)
    assert covered_by_class(figures(declared=(leavers,))) == {"suspend": 1000}


def test_covered_changes_are_out_of_the_groups_they_leave() -> None:
    ended = declared(40, "member_remove", expected=40)
    lost = group("English 3", 40, 40, declared=40)
    numbers: dict[str, Any] = {"changes": {"member_remove": 40}, "live_managed": HUGE}
    assert verdict_of(**numbers, declared=(ended,), groups=(lost,)).level is Level.PASS
    assert verdict_of(**numbers, groups=(group("English 3", 40, 40),)).level is Level.HOLD
    rest = group("English 3", 40, 40, declared=30)
    (line,) = verdict_of(**numbers, declared=(ended,), groups=(rest,)).worst_lines
    assert (line.number, line.denominator) == (10, 10)


def test_covered_changes_are_out_of_the_fields_they_change() -> None:
    rollover = declared(800, "update", expected=800)
    numbers: dict[str, Any] = {"changes": {"update": 800, "suspend": 3}, "field_changes": {"grade": 800, "phone": 241}}
    passes = verdict_of(**numbers, declared=(rollover,), declared_fields={"grade": 800, "phone": 201})
    assert passes.level is Level.PASS
    (line,) = verdict_of(**numbers, declared=(rollover,), declared_fields={"grade": 800, "phone": 200}).worst_lines
    assert (line.measured, line.number, line.denominator) == ("phone", 41, 200)  # a fifth of those not declared


def test_fields_of_what_is_over_or_not_covered_count() -> None:
    over = declared(900, "update", expected=800, tolerance=0)
    numbers: dict[str, Any] = {"changes": {"update": 900}, "field_changes": {"grade": 900}}
    verdict = verdict_of(**numbers, declared=(over,), declared_fields={"grade": 900})
    assert line_of(verdict, "field_changed", "grade").number == 100
    few = verdict_of(**numbers, declared=(over,), declared_fields={"grade": 500})
    assert line_of(few, "field_changed", "grade").number == 500  # 100 of the 500 may be those that are over
    # A field that no declared change touches counts in full, also beside one that is covered.
    of_both = {**numbers, "field_changes": {"grade": 900, "phone": 300}}
    assert (
        line_of(
            verdict_of(**of_both, declared=(over,), declared_fields={"grade": 900}), "field_changed", "phone"
        ).number
        == 300
    )
    # A removal that is declared changes no field: it covers none.
    removed = declared(800, "suspend", expected=800)
    numbers = {"changes": {"suspend": 800, "update": 830}, "field_changes": {"grade": 830}, "declared": (removed,)}
    assert line_of(verdict_of(**numbers, declared_fields={"grade": 830}), "field_changed", "grade").number == 830


def test_values_that_are_declared_to_become_empty_pass_and_others_do_not() -> None:
    emptied = declared(300, "null_out", expected=300)
    numbers: dict[str, Any] = {"changes": {"null_out": 300}, "live_managed": 1000, "declared": (emptied,)}
    passes = verdict_of(**numbers, null_outs=307)
    assert passes.level is Level.PASS
    assert line_of(passes, "value_emptied").number == 7
    assert line_of(verdict_of(**numbers, null_outs=308), "value_emptied").level is Level.HOLD
    assert line_of(verdict_of(**numbers), "value_emptied").number == 0
