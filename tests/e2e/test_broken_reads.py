"""Sources and targets that are not whole: nothing is removed, the reason is told, the exit code is 4."""

from __future__ import annotations

from typing import Any

import pytest

from cli.outcome import exit_code_of_view
from shared.events.queries import RunAnswer
from simulators.district.later import half_of_source_gone, source_empty
from tests.support.road import Road

HELD_OR_BLOCKED = 4
pytestmark = pytest.mark.asyncio(loop_scope="module")

LIST = {"method": "GET", "path_pattern": "/contacts$", "after": 1}


async def _stopped(road: Road, *statuses: str) -> RunAnswer:
    run = await road.request("apply")
    answer = await road.until_status(run, *statuses)
    assert answer.run is not None and answer.run.failure is not None
    assert exit_code_of_view(answer.run) == HELD_OR_BLOCKED
    assert await road.effects() == {}
    return answer


async def test_half_of_the_source_gone_is_held_and_removes_nobody(road: Road) -> None:
    half_of_source_gone(road.hr_url)
    answer = await _stopped(road, "held")
    held = {line.check: line for line in answer.verdict if line.level == "HOLD"}
    assert answer.run is not None and answer.run.plan is not None
    # Who is missing for the first time waits a day; only those are planned whom an earlier read missed already.
    figures = await road.figures(answer.run.run)
    assert answer.run.plan.changes_by_class["suspend"] == road.district.truth["counts"]["suspend"]
    assert figures.aside["DIF_FIRST_MISS"] > road.district.truth["managed_active"] // 3
    assert held["source_fell"].number is not None and held["source_fell"].denominator is not None
    assert held["source_fell"].number * 2 == pytest.approx(held["source_fell"].denominator, abs=2)
    # One approval does not release it, even one that states the override.
    reply = await road.approve(answer, is_override=True)
    assert reply.is_accepted and reply.status == "held"
    assert await road.effects() == {}


async def test_empty_source_is_blocked(road: Road) -> None:
    source_empty(road.hr_url)
    answer = await _stopped(road, "blocked")
    assert answer.run is not None and answer.run.failure is not None
    assert answer.run.failure.code == "GRD_SOURCE_ZERO"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "torn_body"}, "SRC_WRONG_SHAPE"),
        ({"kind": "html_page"}, "SRC_WRONG_SHAPE"),
        # Once would heal: the list is read anew.
        ({"kind": "repeated_page", "times": 1_000}, "SRC_UNSTABLE"),
        ({"kind": "short_page", "items_missing": 7, "times": 1_000}, "SRC_UNSTABLE"),
        ({"kind": "unauthorized"}, "SRC_AUTH"),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_target_that_cannot_be_read_whole_is_blocked(road: Road, fault: dict[str, Any], code: str) -> None:
    await road.vendor("POST", "faults", {**LIST, **fault})
    answer = await _stopped(road, "blocked")
    assert answer.run is not None and answer.run.failure is not None
    assert answer.run.failure.code == code
    assert "target of contacts" in answer.run.failure.text
    await road.vendor("DELETE", "faults")
    # The next night, with the vendor well again, the run is as if nothing had been.
    again = await road.request("dry-run")
    planned = await road.until_status(again, "planned")
    assert planned.run is not None and planned.run.plan is not None
    assert planned.run.plan.changes_by_class == road.district.truth["counts"]


@pytest.mark.parametrize("fault", [{"kind": "repeated_page"}, {"kind": "short_page", "items_missing": 7}], ids=str)
async def test_target_whose_pages_shift_once_is_read_anew_within_the_run(road: Road, fault: dict[str, Any]) -> None:
    await road.vendor("POST", "faults", {**LIST, **fault})
    run = await road.request("dry-run")
    planned = await road.until_status(run, "planned")
    assert planned.run is not None and planned.run.plan is not None
    assert planned.run.plan.changes_by_class == road.district.truth["counts"]


async def test_vendor_that_throttles_and_stumbles_gets_every_change_once(road: Road) -> None:
    run, waiting = await road.planned()
    await road.vendor(
        "POST",
        "faults",
        [
            {"kind": "too_many_requests", "method": "PATCH", "times": 3, "retry_after_seconds": 1},
            {"kind": "timeout_after_effect", "method": "POST", "times": 2, "seconds": 1},
            {"kind": "reset_after_effect", "method": "PATCH", "times": 4, "after": 10},
            {"kind": "reset_before_effect", "method": "POST", "times": 2, "after": 4},
            {"kind": "server_error", "method": "PATCH", "times": 3, "after": 30},
        ],
    )
    await road.approve(waiting)
    done = await road.until_status(run, "succeeded")
    assert done.run is not None and done.run.counts is not None
    assert done.run.counts.planned == done.run.counts.applied
    await road.assert_everything_once()
