"""Every program killed in the middle of a run: the run ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.road import District, Road, house

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLOW_LIST = {"kind": "slow", "method": "GET", "path_pattern": "/contacts$", "times": 1, "after": 2, "seconds": 2}
SLOW_WRITES = {"kind": "slow", "method": "PATCH", "times": 60, "seconds": 0.15}


async def _finish(road: Road, run: str) -> None:
    done = await road.until_status(run, "succeeded")
    assert done.run is not None and done.run.counts is not None
    assert done.run.counts.applied + done.run.counts.noop_already == sum(road.district.truth["counts"].values())
    await road.assert_everything_once()
    await road.until_sealed(run)
    report = await road.verify()
    assert report.is_valid, report.first_failure


async def test_extractor_killed_while_reading(road: Road) -> None:
    await road.vendor("POST", "faults", SLOW_LIST)
    run = await road.request("apply")
    await road.until_status(run, "extracting", "normalising")
    road.stack.kill("extractor")
    waiting = await road.until_status(run, "awaiting_approval")
    assert waiting.run is not None and waiting.run.plan is not None
    assert waiting.run.plan.changes_by_class == road.district.truth["counts"]
    await road.approve(waiting)
    await _finish(road, run)


async def test_differ_killed_while_comparing(road: Road) -> None:
    run = await road.request("apply")
    await road.until(run, lambda a: a.run is not None and a.run.status not in {"queued", "extracting"}, "read")
    road.stack.kill("differ")
    waiting = await road.until_status(run, "awaiting_approval")
    assert waiting.run is not None and waiting.run.plan is not None
    assert waiting.run.plan.changes_by_class == road.district.truth["counts"]
    await road.stack.wait_ready("differ")
    await road.approve(waiting)
    await _finish(road, run)


@pytest.mark.parametrize("part", ["applier", "auditor", "bus", "differ", "extractor"])
async def test_part_killed_while_applying(road: Road, part: str) -> None:
    run, waiting = await road.planned()
    await road.vendor("POST", "faults", SLOW_WRITES)
    await road.approve(waiting)
    await road.until(run, lambda a: a.run is not None and a.run.status == "applying", "applying")
    await road.until_effects(20)
    road.stack.kill(part)
    assert len(await road.effects()) < sum(road.district.truth["counts"].values()), "it was killed too late"
    await _finish(road, run)


async def test_every_program_killed_one_after_the_other_in_one_run(district: District, tmp_path: Path) -> None:
    async with house(district, tmp_path / "house", extractors=2, differs=2) as road:
        await road.vendor("POST", "faults", SLOW_LIST)
        run = await road.request("apply")
        await road.until_status(run, "extracting", "normalising")
        road.stack.kill("extractor-1")
        road.stack.kill("differ-1")
        waiting = await road.until_status(run, "awaiting_approval")
        road.stack.kill("auditor")
        await road.stack.wait_ready("auditor")
        await road.vendor("POST", "faults", SLOW_WRITES)
        await road.approve(waiting)
        await road.until_effects(10)
        road.stack.kill("applier")
        await road.stack.wait_ready("applier")
        await _finish(road, run)
