"""The guard holds what is beyond a limit, lets pass what is at it, and blocks whatever it cannot judge."""

from __future__ import annotations

from typing import Any

import pytest

from shared.hashing.canonical import canonical_json
from shared.plan.change import ChangeClass
from shared.policy import guard as guard_module
from shared.policy.guard import GuardFigures, Level, SourceFigures, Verdict, VerdictLine, guard
from shared.policy.limits import DEFAULT_POLICY, Limit, limit_named, policy_with
from tests.unit.plan.plan_builder import figures

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
]


def verdict_of(**changed: Any) -> Verdict:
    return guard(GuardFigures(entities=(figures(**changed),)), DEFAULT_POLICY)


def line_of(verdict: Verdict, check: str) -> VerdictLine:
    (line,) = [line for line in verdict.lines if line.check == check]
    return line


def source(rows: int | None, last: int | None, *, certified: bool = True) -> tuple[SourceFigures, ...]:
    return (SourceFigures(source="person", rows=rows, rows_accepted_last=last, is_certified=certified),)


@pytest.mark.parametrize(("name", "count", "percent", "floor"), TABLE)
def test_count_is_the_largest_allowed_value(name: str, count: int, percent: float | None, floor: int) -> None:
    huge = 10_000_000  # so many records that no share is reached
    at, beyond = (verdict_of(changes={name: n}, live_managed=huge) for n in (count, count + 1))
    assert (at.level, line_of(at, name).level) == (Level.PASS, Level.PASS)
    assert beyond.level is Level.HOLD
    line = line_of(beyond, name)
    assert (line.number, line.limit_count, line.limit_percent, line.denominator) == (count + 1, count, percent, huge)
    assert line.code == "GRD_LIMIT"
    assert f"{count + 1:,}" in line.text


@pytest.mark.parametrize(("name", "count", "percent", "floor"), [row for row in TABLE if row[2] is not None])
def test_share_is_the_largest_allowed_value(name: str, count: int, percent: float, floor: int) -> None:
    number = floor + 1
    exactly = int(number * 100 / percent)
    assert number * 100 == percent * exactly
    assert verdict_of(changes={name: number}, live_managed=exactly).level is Level.PASS
    assert verdict_of(changes={name: number}, live_managed=exactly - 1).level is Level.HOLD


@pytest.mark.parametrize(("name", "count", "percent", "floor"), [row for row in TABLE if row[2] is not None])
def test_share_is_not_looked_at_up_to_the_floor(name: str, count: int, percent: float, floor: int) -> None:
    assert verdict_of(changes={name: floor}, live_managed=floor).level is Level.PASS
    assert verdict_of(changes={name: floor + 1}, live_managed=floor + 1).level is Level.HOLD


def test_of_nothing_any_number_above_the_floor_is_too_many() -> None:
    assert verdict_of(changes={"create": 10}, live_managed=0).level is Level.PASS
    assert verdict_of(changes={"create": 11}, live_managed=0).level is Level.HOLD


def test_every_class_of_change_has_an_active_limit() -> None:
    assert set(DEFAULT_POLICY.classes) == {one.value for one in ChangeClass}
    for limit in DEFAULT_POLICY.classes.values():
        assert limit.count is not None or limit.percent is not None


def test_class_without_limit_blocks() -> None:
    policy = DEFAULT_POLICY.model_copy(update={"classes": {"create": Limit(count=5)}})
    verdict = guard(GuardFigures(entities=(figures(changes={"update": 1}),)), policy)
    assert verdict.level is Level.BLOCK
    assert verdict.lines[0].code == "GRD_FAILED"


def test_failure_inside_the_guard_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(guard_module, "_target_line", fails)
    verdict = verdict_of()
    assert verdict.level is Level.BLOCK
    assert [line.code for line in verdict.lines] == ["GRD_FAILED"]
    assert "ZeroDivisionError" in verdict.lines[0].text


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


@pytest.mark.parametrize("last", [1, 1000, None])
def test_source_without_rows_blocks(last: int | None) -> None:
    verdict = verdict_of(sources=source(0, last))
    assert verdict.level is Level.BLOCK
    assert line_of(verdict, "source_zero").code == "GRD_SOURCE_ZERO"


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


def test_worst_level_of_all_entities_counts() -> None:
    both = GuardFigures(entities=(figures(), figures(entity="members", changes={"privilege_gain": 1})))
    verdict = guard(both, DEFAULT_POLICY)
    assert verdict.level is Level.HOLD
    assert [line.scope for line in verdict.worst_lines] == ["members"]
    assert guard(GuardFigures(entities=(figures(),)), DEFAULT_POLICY).worst_lines == ()


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


def test_limit_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no limit is named 'creates'; the names are"):
        policy_with({"creates": Limit(count=1)})
    assert limit_named("value_emptied") == DEFAULT_POLICY.null_out
