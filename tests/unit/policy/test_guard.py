"""The guard holds what is beyond a limit, lets pass what is at it, and blocks whatever it cannot judge."""

from __future__ import annotations

import pytest

from shared.hashing.canonical import canonical_json
from shared.plan.change import DESTRUCTIVE, ChangeClass
from shared.policy import guard as guard_module
from shared.policy.figures import GuardFigures, SourceFigures, UsualFigures
from shared.policy.guard import Level, guard
from shared.policy.limits import CHANGE_CLASSES, DEFAULT_POLICY, REMOVALS, Limit, policy_with
from tests.unit.plan.plan_builder import figures
from tests.unit.policy.judging import DELETES, HUGE, line_of, verdict_of

# The promise's table, written a second time: class, count, percent, floor.
TABLE: list[tuple[str, int | None, float | None, int]] = [
    ("suspend", 100, 5, 5),
    ("delete", 25, 1, 2),
    ("create", 250, 10, 10),
    ("update", 1000, 25, 25),
    ("rename", 10, 1, 1),
    ("role_change", 20, 2, 3),
    ("privilege_gain", 0, None, 0),
    ("member_remove", 500, 10, 10),
    ("null_out", None, 1, 5),
    # What the promise's table does not name, and the house limits all the same.
    ("reactivate", 250, 10, 10),
    ("member_add", 1000, 25, 25),
]


def source(rows: int | None, last: int | None, *, certified: bool = True) -> tuple[SourceFigures, ...]:
    return (SourceFigures(source="person", rows=rows, rows_accepted_last=last, is_certified=certified),)


@pytest.mark.parametrize(("name", "count", "percent", "floor"), [row for row in TABLE if row[1] is not None])
def test_count_is_the_largest_allowed_value(name: str, count: int, percent: float | None, floor: int) -> None:
    at, beyond = (verdict_of(DELETES, changes={name: n}, live_managed=HUGE) for n in (count, count + 1))
    assert (at.level, line_of(at, name).level) == (Level.PASS, Level.PASS)
    assert beyond.level is Level.HOLD
    line = line_of(beyond, name)
    assert (line.number, line.limit_count, line.limit_percent, line.denominator) == (count + 1, count, percent, HUGE)
    assert line.code == "GRD_LIMIT"
    assert f"{count + 1:,} of {HUGE:,} contacts" in line.text


@pytest.mark.parametrize(("name", "count", "percent", "floor"), [row for row in TABLE if row[2] is not None])
def test_share_is_the_largest_allowed_value(name: str, count: int, percent: float, floor: int) -> None:
    number = floor + 1
    exactly = int(number * 100 / percent)
    assert number * 100 == percent * exactly
    assert verdict_of(DELETES, changes={name: number}, live_managed=exactly).level is Level.PASS
    assert verdict_of(DELETES, changes={name: number}, live_managed=exactly - 1).level is Level.HOLD


@pytest.mark.parametrize(("name", "count", "percent", "floor"), [row for row in TABLE if row[2] is not None])
def test_share_is_not_looked_at_up_to_the_floor(name: str, count: int, percent: float, floor: int) -> None:
    assert verdict_of(DELETES, changes={name: floor}, live_managed=floor).level is Level.PASS
    assert verdict_of(DELETES, changes={name: floor + 1}, live_managed=floor + 1).level is Level.HOLD


def test_delete_is_off_until_a_connector_sets_its_limit() -> None:
    verdict = verdict_of(changes={"delete": 1}, live_managed=HUGE)
    assert verdict.level is Level.HOLD
    line = line_of(verdict, "delete")
    assert (line.number, line.limit_count, line.limit_percent) == (1, 0, None)
    assert "allowed none" in line.text
    assert verdict_of(DELETES, changes={"delete": 1}, live_managed=HUGE).level is Level.PASS


@pytest.mark.parametrize(
    "changes",
    [
        {"update": 500, "rename": 8, "role_change": 15, "null_out": 5, "reactivate": 200},
        {"update": 728},
    ],
)
def test_records_touched_are_limited_whatever_the_classes_of_their_changes(changes: dict[str, int]) -> None:
    touched = sum(changes.values())
    assert touched == 728
    exactly = touched * 4  # 25 %
    assert line_of(verdict_of(changes=changes, live_managed=exactly), "touched").level is Level.PASS
    beyond = line_of(verdict_of(changes=changes, live_managed=exactly - 1), "touched")
    assert (beyond.level, beyond.number, beyond.code) == (Level.HOLD, touched, "GRD_LIMIT")


def test_a_thousand_touched_records_are_the_largest_allowed_number() -> None:
    sums = ({"update": 900, "reactivate": 100}, {"update": 900, "reactivate": 101})
    at, beyond = (verdict_of(changes=changes, live_managed=HUGE) for changes in sums)
    assert at.level is Level.PASS
    assert [line.check for line in beyond.worst_lines] == ["touched"]


def test_removals_and_new_records_touch_nothing_that_stays() -> None:
    changes = {"suspend": 100, "delete": 25, "member_remove": 500, "create": 250, "member_add": 1000}
    verdict = verdict_of(DELETES, changes=changes, live_managed=HUGE)
    assert (verdict.level, line_of(verdict, "touched").number) == (Level.PASS, 0)


def test_of_nothing_any_number_above_the_floor_is_too_many() -> None:
    assert verdict_of(changes={"create": 10}, live_managed=0).level is Level.PASS
    assert verdict_of(changes={"create": 11}, live_managed=0).level is Level.HOLD


def test_every_class_of_change_has_an_active_limit() -> None:
    assert set(CHANGE_CLASSES) == set(DEFAULT_POLICY.classes) == {one.value for one in ChangeClass}
    assert set(REMOVALS) == {one.value for one in DESTRUCTIVE}
    assert all(limit.is_active for limit in DEFAULT_POLICY.classes.values())


@pytest.mark.parametrize("classes", [{"create": Limit(count=5)}, {"update": Limit(floor=5)}])
def test_class_without_active_limit_blocks(classes: dict[str, Limit]) -> None:
    policy = DEFAULT_POLICY.model_copy(update={"classes": classes})
    verdict = guard(GuardFigures(entities=(figures(changes={"update": 1}),)), policy)
    assert verdict.level is Level.BLOCK
    assert verdict.lines[0].code == "GRD_FAILED"


def test_class_that_nobody_knows_blocks() -> None:
    assert verdict_of(changes={"promote": 1}).lines[0].code == "GRD_FAILED"


@pytest.mark.parametrize(
    "part",
    ["judged", "declared_lines", "cohort_lines", "group_lines", "field_lines", "window_lines", "run_lines",
     "contradictions", "limit_line", "_target_line", "_source_lines"],
)  # fmt: skip
def test_failure_inside_the_guard_blocks(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(guard_module, part, fails)
    verdict = verdict_of()
    assert verdict.level is Level.BLOCK
    assert [(line.check, line.scope, line.code) for line in verdict.lines] == [("guard", "run", "GRD_FAILED")]
    assert "ZeroDivisionError" in verdict.lines[0].text
    assert verdict.policy_digest == DEFAULT_POLICY.digest


@pytest.mark.parametrize(
    ("rows", "last", "level"),
    [
        (97_000, 100_000, Level.PASS),  # 3 % exactly
        (96_999, 100_000, Level.WARN),
        (90_000, 100_000, Level.WARN),  # 10 % exactly
        (89_999, 100_000, Level.HOLD),
        (20, 40, Level.PASS),  # at the floor of 20
        (19, 40, Level.HOLD),
        (125_000, 100_000, Level.PASS),  # 25 % more exactly
        (125_001, 100_000, Level.HOLD),
        (70, 20, Level.PASS),  # at the floor of 50
        (71, 20, Level.HOLD),
        (500, None, Level.PASS),  # nothing to compare with
        (500, 0, Level.PASS),
        (0, 0, Level.PASS),
    ],
)
def test_source_is_measured_against_the_last_accepted_extract(rows: int, last: int | None, level: Level) -> None:
    assert verdict_of(sources=source(rows, last)).level is level


@pytest.mark.parametrize(("rows", "fell", "grew"), [(1000, 0, 0), (980, 20, 0), (1040, 0, 40)])
def test_source_falls_or_grows_and_never_both(rows: int, fell: int, grew: int) -> None:
    verdict = verdict_of(sources=source(rows, 1000))
    assert (line_of(verdict, "source_fell").number, line_of(verdict, "source_grew").number) == (fell, grew)
    assert line_of(verdict, "source_fell").denominator == line_of(verdict, "source_grew").denominator == 1000


def test_source_that_grew_beyond_its_limit_is_held_with_its_own_code() -> None:
    at, beyond = (line_of(verdict_of(sources=source(rows, 1000)), "source_grew") for rows in (1250, 1251))
    assert (at.level, at.code) == (Level.PASS, None)
    assert (beyond.level, beyond.code, beyond.number, beyond.denominator) == (Level.HOLD, "GRD_SOURCE_GREW", 251, 1000)


@pytest.mark.parametrize("last", [1, 1000, None])
def test_source_without_rows_blocks(last: int | None) -> None:
    verdict = verdict_of(sources=source(0, last))
    assert verdict.level is Level.BLOCK
    line = line_of(verdict, "source_zero")
    assert (line.code, line.number, line.denominator) == ("GRD_SOURCE_ZERO", 0, last)
    assert line.text.endswith("no run was accepted before" if last is None else f"accepted run read {last:,}")


def test_missing_certificate_warns_and_says_that_removals_are_left_out() -> None:
    verdict = verdict_of(sources=source(1000, 1000, certified=False))
    assert verdict.level is Level.WARN
    assert "removals are left out" in line_of(verdict, "certificate").text


def test_unknown_target_blocks() -> None:
    verdict = verdict_of(is_target_certified=False, live_managed=None)
    assert verdict.level is Level.BLOCK
    assert line_of(verdict, "target").code == "GRD_TARGET_UNKNOWN"
    assert verdict_of(live_managed=None, changes={"update": 1}).level is Level.BLOCK


@pytest.mark.parametrize(
    ("quarantined", "desired", "level"),
    [(5, 5, Level.PASS), (6, 1194, Level.PASS), (6, 1193, Level.WARN), (20, 980, Level.WARN), (21, 979, Level.HOLD)],
)
def test_quarantine_warns_at_half_a_percent_and_holds_at_two(quarantined: int, desired: int, level: Level) -> None:
    assert verdict_of(quarantined=quarantined, desired=desired).level is level


@pytest.mark.parametrize(("ambiguous", "level"), [(10, Level.PASS), (11, Level.HOLD)])
def test_ambiguous_matches_hold_above_one_percent(ambiguous: int, level: Level) -> None:
    assert verdict_of(ambiguous=ambiguous, desired=1000).level is level
    assert verdict_of(ambiguous=1, desired=99).level is Level.HOLD  # there is no floor


@pytest.mark.parametrize(("emptied", "level"), [(10, Level.PASS), (11, Level.HOLD)])
def test_values_becoming_empty_hold_above_one_percent_whatever_their_class(emptied: int, level: Level) -> None:
    verdict = verdict_of(changes={"role_change": 15}, null_outs=emptied)
    assert line_of(verdict, "value_emptied").level is level
    assert verdict_of(null_outs=5, live_managed=5).level is Level.PASS  # at the floor


@pytest.mark.parametrize(("unmapped", "level"), [(5, Level.PASS), (6, Level.WARN), (20, Level.WARN), (21, Level.HOLD)])
def test_unmapped_ids_are_measured_like_quarantine(unmapped: int, level: Level) -> None:
    verdict = verdict_of(unmapped=unmapped, desired=1000, quarantined=5)
    assert (verdict.level, line_of(verdict, "unmapped").level) == (level, level)
    assert line_of(verdict, "unmapped").code == (None if level is Level.PASS else "GRD_QUARANTINE")


def test_quarantine_does_not_make_ambiguous_matches_look_fewer() -> None:
    """Both leave the plan; more of one must not pay for the other."""
    assert verdict_of(ambiguous=1, desired=99).level is Level.HOLD
    assert verdict_of(ambiguous=1, desired=99, quarantined=5).level is Level.HOLD


def test_source_without_a_number_is_left_to_its_certificate() -> None:
    verdict = verdict_of(sources=source(None, 1000, certified=False))
    assert [line.check for line in verdict.lines if line.scope == "contacts from person"] == ["certificate"]
    assert verdict.level is Level.WARN


def test_worst_level_of_all_entities_counts() -> None:
    both = GuardFigures(entities=(figures(), figures(entity="members", changes={"privilege_gain": 1})))
    verdict = guard(both, DEFAULT_POLICY)
    assert verdict.level is Level.HOLD
    assert [line.scope for line in verdict.worst_lines] == ["members", "all records of the run"]
    assert guard(GuardFigures(entities=(figures(),)), DEFAULT_POLICY).worst_lines == ()


# --- the first runs -------------------------------------------------------------------------------------------------


def test_first_run_may_create_and_update_everything_and_says_so() -> None:
    changes = {"create": 5000, "update": 5000}
    verdict = verdict_of(changes=changes, is_onboarding=True)
    assert verdict.level is Level.PASS
    for check, number in {"create": 5000, "update": 5000, "touched": 5000}.items():
        line = line_of(verdict, check)
        assert (line.number, line.limit_count, line.limit_percent) == (number, None, None)
        assert "no limit" in line.text
        assert "onboarding" in line.text
    assert verdict_of(changes=changes).level is Level.HOLD


@pytest.mark.parametrize("name", ["rename", "role_change", "privilege_gain", "null_out", "suspend", "member_remove"])
def test_first_run_is_limited_in_everything_else(name: str) -> None:
    assert verdict_of(changes={name: 600}, is_onboarding=True).level is Level.HOLD


@pytest.mark.parametrize("name", ["suspend", "delete", "member_remove"])
@pytest.mark.parametrize(
    ("runs", "level"), [(0, Level.BLOCK), (1, Level.BLOCK), (2, Level.PASS), (30, Level.PASS), (None, Level.PASS)]
)
def test_nothing_is_removed_in_the_first_two_certified_runs(name: str, runs: int | None, level: Level) -> None:
    verdict = verdict_of(DELETES, changes={name: 1}, certified_runs=runs)
    line = line_of(verdict, "removals")
    assert (verdict.level, line.level, line.number) == (level, level, 1)
    assert line.code == (None if level is Level.PASS else "GRD_ONBOARDING")
    assert verdict_of(certified_runs=runs).level is Level.PASS


@pytest.mark.parametrize("name", ["suspend", "delete", "member_remove"])
def test_removals_from_a_read_without_certificate_block(name: str) -> None:
    verdict = verdict_of(DELETES, changes={name: 1}, sources=source(1000, 1000, certified=False))
    assert (verdict.level, line_of(verdict, "removals").code) == (Level.BLOCK, "GRD_NO_CERTIFICATE")


def test_removals_left_out_are_told() -> None:
    assert "7 left out" in line_of(verdict_of(removals_suppressed=7), "removals").text


# --- what a line says -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("runs", "words"), [(20, "usual 0\u201312 in 20 runs"), (1, "usual 0\u201312 in 1 run")])
def test_line_shows_the_usual_range(runs: int, words: str) -> None:
    usual = UsualFigures(check="suspend", low=0, high=12, runs=runs)
    verdict = verdict_of(changes={"suspend": 3}, usual=(usual,))
    assert line_of(verdict, "suspend").text.endswith(words)
    assert line_of(verdict, "suspend").usual == usual
    assert "usual" not in line_of(verdict, "create").text


def test_usual_range_of_a_source_is_shown_with_its_source() -> None:
    usual = UsualFigures(check="source_fell", low=0, high=40, runs=20)
    verdict = verdict_of(sources=source(1000, 1100), usual=(usual,))
    line = line_of(verdict, "source_fell")
    assert line.text == "source_fell: 100 of 1,100 contacts from person (9.1 %), allowed 10 %, and 20 always; " + (
        "warns above 3 %; usual 0\u201340 in 20 runs"
    )


def test_line_says_number_limit_denominator_and_name() -> None:
    assert line_of(verdict_of(changes={"suspend": 143}, live_managed=2100), "suspend").text == (
        "suspend: 143 of 2,100 contacts (6.8 %), allowed 100 or 5 %, and 5 always"
    )


def test_verdict_bytes_are_equal_whenever_the_figures_are() -> None:
    made = [
        verdict_of(changes=dict(order), quarantined=7, sources=source(1000, 1010))
        for order in ([("create", 3), ("suspend", 300)], [("suspend", 300), ("create", 3)])
    ]
    first, second = (canonical_json(one.model_dump(mode="json")) for one in made)
    assert first == second
    assert made[0].digest == made[1].digest
    assert verdict_of(changes={"create": 4, "suspend": 300}, quarantined=7).digest != made[0].digest


def test_policy_is_part_of_the_verdict() -> None:
    plain = GuardFigures(entities=(figures(),))
    stricter = policy_with({"create": Limit(count=1)})
    assert guard(plain, stricter).digest != guard(plain, DEFAULT_POLICY).digest
    assert stricter.classes["update"] == DEFAULT_POLICY.classes["update"]


def test_verdict_is_the_same_after_the_figures_and_policy_went_over_the_bus() -> None:
    """Sorted keys, as a canonical writer leaves them, give the bytes that the differ came to."""
    one = GuardFigures(entities=(figures(changes={"suspend": 3, "create": 1}, field_changes={"role": 1, "email": 2}),))
    read = GuardFigures.model_validate_json(canonical_json(one.model_dump(mode="json")))
    policy = type(DEFAULT_POLICY).model_validate_json(canonical_json(DEFAULT_POLICY.model_dump(mode="json")))
    assert list(policy.classes) != list(DEFAULT_POLICY.classes)
    assert guard(read, policy) == guard(one, DEFAULT_POLICY)
    assert guard(read, policy).digest == guard(one, DEFAULT_POLICY).digest


def test_nothing_in_the_figures_tells_a_dry_run_from_an_apply() -> None:
    """What the guard cannot see, it cannot judge differently."""
    described = str(GuardFigures.model_json_schema()["$defs"].keys()) + "".join(
        name for one in GuardFigures.model_json_schema()["$defs"].values() for name in one.get("properties", {})
    )
    assert "live_managed" in described
    assert "mode" not in described
    assert "dry" not in described
