"""What earlier runs tell the guard."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest

from services.differ.history import PastApply, numbers_of, usual_of, windows_of
from shared.policy.figures import DeclaredFigures, EntityFigures, SourceFigures
from tests.unit.plan.plan_builder import NOW, figures

HOUR = timedelta(hours=1)


def past(hours: float, by_class: Mapping[str, int], of: EntityFigures | None = None) -> PastApply:
    return PastApply(at=NOW - hours * HOUR, by_class=by_class, figures=of or figures())


@pytest.mark.parametrize(
    ("hours", "day", "week"), [(0, 1, 1), (24, 1, 1), (24.001, 0, 1), (7 * 24, 0, 1), (7 * 24.001, 0, 0), (-1, 0, 0)]
)
def test_window_reaches_back_to_its_edge_and_not_into_the_future(hours: float, day: int, week: int) -> None:
    told = {one.window: one.applied.get("suspend", 0) for one in windows_of([past(hours, {"suspend": 1})], now=NOW)}
    assert told == {"24h": day, "7d": week}


def test_windows_sum_over_runs_and_are_told_also_when_empty() -> None:
    day, week = windows_of([past(1, {"suspend": 2, "create": 1}), past(2, {"suspend": 3})], now=NOW)
    assert day.applied == week.applied == {"create": 1, "suspend": 5}
    assert [(one.window, one.applied, one.declared) for one in windows_of([], now=NOW)] == [
        ("24h", {}, {}),
        ("7d", {}, {}),
    ]


def test_what_a_declaration_covered_is_told_and_never_more_than_was_applied() -> None:
    declared = DeclaredFigures(
        declaration="d1", text="leavers", change_class="suspend", expected=100, tolerance_percent=5, matched=80
    )
    plan = figures(changes={"suspend": 90}, declared=(declared,))
    whole, _ = windows_of([past(1, {"suspend": 90}, plan)], now=NOW)
    assert (whole.applied, whole.declared) == ({"suspend": 90}, {"suspend": 80})
    part, _ = windows_of([past(1, {"suspend": 30}, plan)], now=NOW)
    assert (part.applied, part.declared) == ({"suspend": 30}, {"suspend": 30})


def test_usual_range_spans_the_runs_and_leaves_out_what_never_came() -> None:
    runs = [figures(changes={"update": 3}), figures(changes={"update": 8, "rename": 1}), figures(null_outs=2)]
    assert {one.check: (one.low, one.high, one.runs) for one in usual_of(runs)} == {
        "update": (0, 8, 3),
        "rename": (0, 1, 3),
        "touched": (0, 9, 3),
        "value_emptied": (0, 2, 3),
    }
    assert usual_of([]) == ()


def test_sources_fall_and_grow_against_the_last_accepted_run() -> None:
    def source(rows: int | None, last: int | None) -> SourceFigures:
        return SourceFigures(source="person", rows=rows, rows_accepted_last=last, is_certified=True)

    read = figures(sources=(source(90, 100), source(120, 100), source(None, 100), source(5, None)))
    found = numbers_of(read)
    assert (found["source_fell"], found["source_grew"]) == (10, 20)
