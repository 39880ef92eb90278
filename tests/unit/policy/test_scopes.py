"""A lost school in a large district, a slow loss night by night, and a run that is large in the sum are all seen."""

from __future__ import annotations

from typing import Any

import pytest

from shared.policy.figures import EntityFigures, GuardFigures, Window
from shared.policy.guard import Level, Verdict, guard
from shared.policy.limits import DEFAULT_POLICY, Limit, policy_with
from shared.policy.verdict import LINES_SHOWN_MAX
from tests.unit.plan.plan_builder import figures
from tests.unit.policy.judging import HUGE, cohort, district, group, line_of, verdict_of, window


def guarded(*entities: EntityFigures) -> Verdict:
    return guard(GuardFigures(entities=entities), DEFAULT_POLICY)


# --- cohorts --------------------------------------------------------------------------------------------------------


def test_a_school_of_sixty_lost_in_a_district_of_twenty_thousand_is_held_and_named() -> None:
    lost = cohort("location=TL-010, role=TEACHER", 60, {"suspend": 60})
    assert guarded(district(changes={"suspend": 60})).level is Level.PASS
    verdict = guarded(district(changes={"suspend": 60}, cohorts=(lost,)))
    assert verdict.level is Level.HOLD
    (line,) = verdict.worst_lines
    assert (line.check, line.measured, line.number, line.denominator) == ("suspend", lost.cohort, 60, 60)
    assert line.code == "GRD_LIMIT"
    assert line.text == (
        "suspend: 60 of 60 contacts, cohort location=TL-010, role=TEACHER (100.0 %), allowed 100 or 5 %, and 5 always"
    )


@pytest.mark.parametrize(("live", "level"), [(19, Level.PASS), (20, Level.HOLD)])
def test_cohorts_are_measured_from_twenty_records_on(live: int, level: Level) -> None:
    verdict = guarded(district(changes={"suspend": 19}, cohorts=(cohort("a", live, {"suspend": 19}),)))
    assert verdict.level is level
    measured = 1 if live >= 20 else 0
    assert f"{measured} cohorts measured, {1 - measured} with fewer than 20 records not" in (
        line_of(verdict, "cohorts").text
    )


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"suspend": 5}, Level.PASS),  # at the floor
        ({"suspend": 6}, Level.HOLD),
        ({"create": 10}, Level.PASS),
        ({"create": 11}, Level.HOLD),
        ({"role_change": 4}, Level.HOLD),
        ({"update": 13, "rename": 1, "role_change": 3, "reactivate": 8}, Level.PASS),  # 25 touched, at the floor
        ({"update": 14, "rename": 1, "role_change": 3, "reactivate": 8}, Level.HOLD),
    ],
)
def test_cohort_has_the_limits_of_a_run_over_its_own_records(changes: dict[str, int], level: Level) -> None:
    whole = cohort("location=TL-010", 60, changes)
    assert guarded(district(changes=changes, cohorts=(whole,))).level is level


def test_changes_spread_over_many_cohorts_pass() -> None:
    spread = tuple(cohort(f"location={n:03}", 200, {"suspend": 1}) for n in range(100))
    verdict = guarded(district(changes={"suspend": 100}, cohorts=spread))
    assert verdict.level is Level.PASS
    assert [line.check for line in verdict.lines if "cohort" in line.text] == ["cohorts"]  # one line for all of them


def test_cohort_that_is_made_in_the_first_run_passes() -> None:
    made = cohort("location=TL-010", 60, {"create": 60, "update": 60})
    numbers: dict[str, Any] = {"changes": {"create": 60, "update": 60}, "cohorts": (made,)}
    assert guarded(district(**numbers, is_onboarding=True)).level is Level.PASS
    assert guarded(district(**numbers)).level is Level.HOLD


def test_number_of_lines_is_bounded_and_what_is_not_listed_still_holds() -> None:
    lost = tuple(cohort(f"location={n:03}", 40, {"rename": 2}) for n in range(LINES_SHOWN_MAX + 25))
    changes = {"rename": 2 * len(lost)}
    verdict = guard(
        GuardFigures(entities=(district(changes=changes, cohorts=lost),)),
        policy_with({"rename": Limit(percent=1, floor=1)}),
    )
    held = [line for line in verdict.lines if line.check == "rename" and line.measured is not None]
    assert len(held) == LINES_SHOWN_MAX
    summary = line_of(verdict, "cohorts")
    assert (summary.level, summary.number, summary.code) == (Level.HOLD, len(lost), "GRD_LIMIT")
    assert "75 cohorts measured" in summary.text
    assert "75 beyond their limits, 25 of them not listed" in summary.text


def test_worst_lines_are_listed_first() -> None:
    """Of more cohorts than are listed, no held one is left out for one that only warns."""
    policy = policy_with({"update": Limit(count=25, warn_percent=1), "touched": Limit(count=1000)})
    warned = tuple(cohort(f"a{n:03}", 100, {"update": 2}) for n in range(LINES_SHOWN_MAX))
    held = cohort("z", 100, {"update": 26})
    changes = {"update": 26 + 2 * len(warned)}
    verdict = guard(GuardFigures(entities=(district(changes=changes, cohorts=(*warned, held)),)), policy)
    assert line_of(verdict, "update", "z").level is Level.HOLD
    summary = line_of(verdict, "cohorts")
    assert (summary.level, summary.code) == (Level.WARN, "GRD_LIMIT")


# --- groups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "removals", "level"),
    [
        (9, 9, Level.PASS),  # too small to be measured
        (10, 5, Level.PASS),  # at the floor, and at 50 %
        (10, 6, Level.HOLD),
        (12, 6, Level.PASS),  # at 50 %
        (11, 6, Level.HOLD),
        (400, 200, Level.PASS),
        (400, 201, Level.HOLD),
    ],
)
def test_one_group_may_lose_half_of_its_members(members: int, removals: int, level: Level) -> None:
    lost = group("Drama Club", members, removals)
    verdict = verdict_of(changes={"member_remove": removals}, live_managed=HUGE, groups=(lost,))
    assert verdict.level is level
    if level is Level.HOLD:
        (line,) = verdict.worst_lines
        assert (line.check, line.measured, line.denominator) == ("member_remove_group", "Drama Club", members)
    measured = int(members >= 10)
    assert f"{measured} groups measured, {1 - measured} with fewer than 10 members not" in (
        line_of(verdict, "groups").text
    )


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "live", "level"),
    [
        (25, 25, Level.PASS),  # at the floor
        (26, 129, Level.HOLD),
        (26, 130, Level.PASS),  # 20 % exactly
        (200, 1000, Level.PASS),
        (201, 1000, Level.HOLD),
    ],
)
def test_one_field_may_change_on_a_fifth_of_the_records(number: int, live: int, level: Level) -> None:
    verdict = verdict_of(live_managed=live, field_changes={"first_name": 1, "phone": number})
    assert verdict.level is level
    if level is Level.HOLD:
        (line,) = verdict.worst_lines
        assert (line.check, line.measured, line.number, line.denominator) == ("field_changed", "phone", number, live)
        assert f"field_changed: {number} of {live:,} contacts, field phone" in line.text
    assert "2 changed fields measured" in line_of(verdict, "fields").text


# --- sliding windows ------------------------------------------------------------------------------------------------


def test_four_percent_a_night_under_a_limit_of_five_is_held_by_the_sum_of_the_week() -> None:
    live, lost, levels = 10_000, 0, []
    policy = policy_with({"suspend": Limit(percent=5, floor=5)})
    for _ in range(4):
        tonight = live * 4 // 100
        windows = (window("24h"), window("7d", {"suspend": lost}))
        verdict = verdict_of(policy, changes={"suspend": tonight}, live_managed=live, windows=windows)
        levels.append(verdict.level)
        if verdict.level is Level.HOLD:
            (line,) = verdict.worst_lines
            assert (line.check, line.measured, line.number) == ("suspend", "7d", lost + tonight)
            assert line.limit_percent == 10
            assert f"{lost:,} of them were applied before this plan" in line.text
        live, lost = live - tonight, lost + tonight
    assert levels == [Level.PASS, Level.PASS, Level.HOLD, Level.HOLD]


@pytest.mark.parametrize(("name", "limit"), [("24h", 100), ("7d", 200)])
def test_window_allows_the_limit_of_a_run_in_a_day_and_twice_that_in_a_week(name: Window, limit: int) -> None:
    def of(before: int) -> Verdict:
        return verdict_of(changes={"suspend": 1}, live_managed=HUGE, windows=(window(name, {"suspend": before}),))

    assert of(limit - 1).level is Level.PASS
    beyond = of(limit)
    assert beyond.level is Level.HOLD
    (line,) = beyond.worst_lines
    assert (line.measured, line.number, line.limit_count) == (name, limit + 1, limit)


def test_window_sums_the_records_touched_over_all_classes() -> None:
    before = window("24h", {"update": 600, "reactivate": 200, "rename": 9})
    at = verdict_of(changes={"update": 191}, live_managed=HUGE, windows=(before,))
    beyond = verdict_of(changes={"update": 192}, live_managed=HUGE, windows=(before,))
    assert at.level is Level.PASS
    assert [(line.check, line.measured, line.number) for line in beyond.worst_lines] == [("touched", "24h", 1001)]


def test_what_was_applied_before_holds_no_plan_that_adds_nothing_to_it() -> None:
    windows = (window("24h", {"suspend": 900}), window("7d", {"suspend": 900, "delete": 1}))
    verdict = verdict_of(changes={"update": 3}, windows=windows)
    assert verdict.level is Level.PASS
    assert "24h, 7d with this plan measured" in line_of(verdict, "windows").text


# --- run ------------------------------------------------------------------------------------------------------------


def test_run_sums_its_entities() -> None:
    """Each of the three is within its limit; together they take away more than a run may."""
    parts = [district(entity=name, changes={"suspend": 40}) for name in ("staff", "students", "parents")]
    assert guarded(*parts[:2]).level is Level.PASS
    verdict = guarded(*parts)
    (line,) = verdict.worst_lines
    assert (line.check, line.scope, line.number, line.denominator) == ("suspend", "all records of the run", 120, 60_000)
    assert "3 entities measured together" in line_of(verdict, "run").text


def test_run_of_one_entity_is_judged_once() -> None:
    assert [line for line in guarded(figures()).lines if "run" in (line.check, line.scope)] == []


def test_entity_with_an_unknown_denominator_blocks_the_run() -> None:
    unknown = figures(entity="members", live_managed=None, is_target_certified=False)
    verdict = guarded(figures(changes={"suspend": 1}), unknown)
    assert {line.level for line in verdict.lines if line.scope == "all records of the run"} == {Level.BLOCK}


def test_entity_in_its_first_run_is_left_out_of_the_sums_it_has_no_limit_in() -> None:
    first = figures(entity="members", changes={"create": 900, "suspend": 3}, live_managed=50_000, is_onboarding=True)
    both = [first, figures(changes={"create": 90, "suspend": 48}, live_managed=1000)]
    assert guarded(*both).level is Level.PASS
    held = guarded(first, figures(changes={"create": 101}, live_managed=1000))
    assert [(line.number, line.denominator) for line in held.worst_lines] == [(101, 1000), (101, 1000)]


# --- contradictions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"changes": {"suspend": 2}, "cohorts": (cohort("a", 60, {"suspend": 1}),)},
        {"changes": {"suspend": 1}, "cohorts": (cohort("a", 60, {"suspend": 1}), cohort("b", 60, {"suspend": 1}))},
        {"changes": {}, "cohorts": (cohort("a", 60, {"update": 1}),)},
        {"changes": {"suspend": 1, "update": 1}, "cohorts": (cohort("a", 60, {"suspend": 1}),)},
        {"changes": {"suspend": 1}, "cohorts": (cohort("a", 60, {"suspend": 1}, {"suspend": 2}),)},
        {"changes": {"member_remove": 2}, "groups": (group("g", 60, 1),)},
        {"changes": {"member_remove": 1}, "groups": (group("g", 60, 1), group("h", 60, 1))},
        {"changes": {"member_remove": 1}, "groups": (group("g", 60, 1, declared=2),)},
        {"windows": (window("7d", {}, {"suspend": 1}),)},
        {"field_changes": {"a": 1}, "declared_fields": {"a": 2}},
        {"declared_fields": {"a": 1}},
    ],
)
def test_figures_that_contradict_themselves_block(wrong: dict[str, Any]) -> None:
    verdict = verdict_of(**wrong)
    assert verdict.level is Level.BLOCK
    assert line_of(verdict, "figures").code == "GRD_FAILED"


def test_contradiction_says_which_figures_and_how_many_more() -> None:
    parts = (cohort("a", 60, {"suspend": 1, "update": 3}),)
    text = line_of(verdict_of(changes={"suspend": 2}, cohorts=parts), "figures").text
    assert "the cohorts hold 1 suspend, 2 are planned; and 1 more" in text
    assert not [line for line in verdict_of(changes={"suspend": 2}).lines if line.check == "figures"]
    text = line_of(verdict_of(declared_fields={"phone": 1}), "figures").text
    assert text.endswith("fields: 1 of 0 phone are declared")
