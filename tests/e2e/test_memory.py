"""What the house remembers from run to run decides what it plans: removals that wait, limits that wait, and causes."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from cli.rendering import run_lines
from shared.clock import SystemClock, to_text
from shared.events.queries import PlanQuery
from simulators.district.__main__ import make
from simulators.district.later import touch_people
from simulators.district.vendor import ChangeCounts
from tests.support.road import District, Road, house

CREATES = 300
"""More than a run may create without an override, once it is not the first."""


@pytest.fixture(scope="module")
def many_new(tmp_path_factory: pytest.TempPathFactory) -> District:
    """A district whose vendor lacks so many people that only a first run may create them all."""
    folder = tmp_path_factory.mktemp("many-new")
    make(out=folder, counts=ChangeCounts(create=CREATES))
    return District(folder)


async def _planned(road: Road) -> tuple[dict[str, int], dict[str, int]]:
    """A dry run's changes by class, and what it left out by code."""
    run = await road.request("dry-run")
    answer = await road.until_status(run, "planned")
    assert answer.run is not None and answer.run.plan is not None
    return answer.run.plan.changes_by_class, (await road.figures(run)).aside


def _missed_days_ago(road: Road, days: int) -> None:
    """Turn the ledger's clock: as if the misses that it holds had been found that long ago."""
    at = to_text(SystemClock().now() - timedelta(days=days))
    with contextlib.closing(sqlite3.connect(road.ledger)) as database, database:
        assert database.execute("UPDATE missed_record SET last_strike_at = ?", (at,)).rowcount > 0


async def test_first_runs_remove_nobody_and_create_without_limit(many_new: District, tmp_path: Path) -> None:
    counts = many_new.truth["counts"]
    kept = {name: number for name, number in counts.items() if name != "suspend"}
    async with house(many_new, tmp_path / "house", has_past=False) as road:
        run = await road.request("apply")
        waiting = await road.until_status(run, "awaiting_approval")
        assert waiting.run is not None and waiting.run.plan is not None
        assert waiting.run.plan.changes_by_class == kept
        unlimited = {line.check for line in waiting.verdict if line.number and "no limit" in line.text}
        assert {"create", "update"} <= unlimited
        left_out = (await road.figures(run)).aside
        assert left_out["DIF_ONBOARDING"] == counts["suspend"]
        assert waiting.left_out == left_out
        assert f"{counts['suspend']} onboarding" in "\n".join(str(line) for line in run_lines(waiting))

        assert await _planned(road) == (kept, left_out), "the second certified run removes nobody either"
        changes, left_out = await _planned(road)
        assert changes == kept
        assert "DIF_ONBOARDING" not in left_out
        assert left_out["DIF_FIRST_MISS"] == counts["suspend"], "missed three times, but within a day"
        _missed_days_ago(road, 2)
        changes, left_out = await _planned(road)
        assert changes == counts
        assert "DIF_FIRST_MISS" not in left_out


async def test_as_many_creates_are_held_once_something_was_applied(many_new: District, tmp_path: Path) -> None:
    async with house(many_new, tmp_path / "house") as road:
        run = await road.request("apply")
        held = await road.until_status(run, "held")
        assert {line.check for line in held.verdict if line.level == "HOLD"} == {"create"}


async def test_next_run_tells_an_edit_at_the_vendor_from_one_in_the_source(district: District, tmp_path: Path) -> None:
    created = district.truth["changes"]["create"]
    async with house(district, tmp_path / "house") as road:
        run, waiting = await road.planned()
        await road.approve(waiting)
        await road.until_status(run, "succeeded")
        await road.until_remembered(run)
        [touched] = touch_people(road.hr_url, 1, among=created)
        edited = next(key for key in created if key != touched)
        token = road.stack.layout.write_token.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=f"{road.stack.vendor_url}/api/v1", headers=headers) as vendor:
            contact = (await vendor.get(f"/contacts/external/{edited}")).raise_for_status().json()
            (await vendor.patch(f"/contacts/{contact['id']}", json={"firstName": "Edited"})).raise_for_status()
        again = await road.request("dry-run")
        await road.until_status(again, "planned")
        async with road.stack.client("viewer") as viewer:
            changes = (await viewer.plan(PlanQuery(run=again))).changes
        found = {change.key: [(field.name, field.cause) for field in change.fields] for change in changes}
        assert found == {touched: [("first_name", "source_change")], edited: [("first_name", "drift")]}
