"""A plan approved in part, on the whole house: the rest stays as it was, and the next plan shows it again."""

from __future__ import annotations

from typing import Any

import pytest

from cli.problem import CommandFailed
from shared.events.queries import SubsetQuery
from tests.support.road import Road

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def _contacts(road: Road) -> dict[str, dict[str, Any]]:
    state = await road.vendor("GET", "state")
    return {one["externalId"]: one for one in state["contacts"] if one["externalId"]}


async def test_plan_approved_in_part_leaves_the_rest_untouched_and_the_next_plan_shows_it(road: Road) -> None:
    run, waiting = await road.planned()
    changes = await road.changes(run)
    suspends = [one for one in changes if one.change_class == "suspend"]
    chosen = [*suspends[:4], *(one for one in changes if one.change_class == "create")][:7]
    async with road.stack.client("approver") as person:
        part = await person.subset(SubsetQuery(run=run, left_out=tuple(one.change_id[:16] for one in chosen)))
    assert part.problem is None
    assert set(part.left_out) == {one.change_id for one in chosen}
    left_out, before = {one.key for one in chosen}, await _contacts(road)
    assert (await road.approve(waiting, part=part)).status == "approved"

    done = await road.until_status(run, "partial")
    assert done.run is not None
    assert done.run.counts is not None
    assert (done.run.counts.deferred, done.run.counts.applied) == (7, len(changes) - 7)
    assert done.run.failure is None
    assert [(one.decision, one.left_out, one.subset) for one in done.decisions] == [("approve", 7, part.subset_root)]
    effects, after = await road.effects(), await _contacts(road)
    assert left_out.isdisjoint(effects)
    assert len(effects) == len(changes) - 7
    assert {key: after.get(key) for key in left_out} == {key: before.get(key) for key in left_out}
    await road.until_sealed(run)
    [decided] = [one for one in await road.entries() if one["type"] == "aether.plan.decided.v1" and one["run"] == run]
    assert (decided["summary"]["subset"], decided["summary"]["left_out"]) == (part.subset_root, 7)
    assert (await road.verify()).is_valid

    await road.until_remembered(run)
    again, waiting_again = await road.planned()
    shown = await road.changes(again)
    assert {one.change_id for one in shown} == {one.change_id for one in chosen}
    assert {one.marks for one in shown} == {("deferred",)}
    assert (await road.approve(waiting_again)).status == "approved"
    await road.until_status(again, "succeeded")
    await road.assert_everything_once()


async def test_only_an_approver_may_ask_about_parts_and_is_told_what_stands_in_the_way(road: Road) -> None:
    run, _ = await road.planned()
    async with road.stack.client("operator") as operator:
        with pytest.raises(CommandFailed) as refused:
            await operator.subset(SubsetQuery(run=run))
    assert refused.value.code == "APV_NOT_AUTHORISED"
    async with road.stack.client("approver") as person:
        many = await person.subset(SubsetQuery(run=run, left_out=tuple(f"{number:064x}" for number in range(2000))))
    assert many.problem is not None
    assert "has no change" in many.problem
    assert many.subset_root is None
