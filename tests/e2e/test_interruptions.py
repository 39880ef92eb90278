"""What stops an apply half-way, and how it goes on: a credential, a person, a vendor that lies, records that moved."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.events.commands import NameRun
from tests.support.road import Road

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_refused_credential_pauses_the_run_and_resume_finishes_it(road: Road) -> None:
    run, waiting = await road.planned()
    # Long enough that reading the credential anew, which is done once, does not help.
    await road.vendor("POST", "faults", {"kind": "unauthorized", "method": "PATCH", "times": 1000, "after": 20})
    await road.approve(waiting)
    paused = await road.until_status(run, "paused")
    assert paused.run is not None and paused.run.failure is not None
    assert paused.run.failure.code == "APL_AUTH"
    assert 0 < len(await road.effects()) < sum(road.district.truth["counts"].values())
    await road.vendor("DELETE", "faults")
    async with road.stack.client("operator") as operator:
        (sick,) = (await operator.health()).quarantined
        assert (sick.run, sick.reason) == (run, paused.run.failure)
        reply = await operator.resume(NameRun(run=run, reason="credential renewed"))
    assert reply.is_accepted
    done = await road.until(run, lambda one: one.run is not None and one.run.status == "succeeded", "succeeded")
    assert done.run is not None and done.run.counts is not None and done.run.counts.is_clean
    await road.assert_everything_once()
    await road.until_sealed(run)
    assert (await road.verify()).is_valid


async def test_run_that_a_person_pauses_goes_on_where_it_stopped(road: Road) -> None:
    run, waiting = await road.planned()
    await road.vendor("POST", "faults", {"kind": "slow", "method": "PATCH", "times": 60, "seconds": 0.3})
    await road.approve(waiting)
    await road.until_effects(12)
    async with road.stack.client("operator") as operator:
        assert (await operator.pause(NameRun(run=run, reason="office hours"))).is_accepted
        paused = await road.until_status(run, "paused")
        assert paused.run is not None and paused.run.failure is not None and paused.run.counts is not None
        assert paused.run.failure.code == "SYS_PAUSED"
        # Every write that went out is concluded; one that was about to go may have left its intent.
        effects = await road.effects()
        assert paused.run.counts.applied == len(effects) < paused.run.counts.planned
        assert (await operator.resume(NameRun(run=run, reason="evening"))).is_accepted
    await road.until(run, lambda one: one.run is not None and one.run.status == "succeeded", "succeeded")
    await road.assert_everything_once()


async def test_records_that_failed_are_tried_again_as_a_run_of_their_own(road: Road) -> None:
    run, waiting = await road.planned()
    seed = json.loads((road.district.folder / "titanhst.json").read_text(encoding="utf-8"))
    ids = {contact["externalId"]: contact["id"] for contact in seed["contacts"]}
    failing = [ids[key] for key in road.district.truth["changes"]["update"][:3]]
    # Each of them fails as often as it is tried, while all around it goes well.
    await road.vendor(
        "POST",
        "faults",
        [{"kind": "server_error", "method": "PATCH", "path_pattern": f"/{one}$", "times": 1000} for one in failing],
    )
    await road.approve(waiting)
    ended = await road.until_status(run, "partial")
    assert ended.run is not None and ended.run.counts is not None
    assert (ended.run.counts.failed, ended.run.counts.unknown) == (3, 0)
    await road.vendor("DELETE", "faults")
    async with road.stack.client("operator") as operator:
        reply = await operator.retry(NameRun(run=run, reason="the vendor mended its form"))
        assert reply.run is not None
    done = await road.until_status(reply.run, "succeeded")
    assert done.run is not None and done.run.counts is not None
    assert (done.run.retry_of, done.run.counts.planned, done.run.counts.applied) == (run, 3, 3)
    await road.assert_everything_once()
    await road.until_sealed(reply.run)
    assert (await road.verify()).is_valid


async def test_cancel_takes_effect_at_the_next_change_and_ends_partial(road: Road) -> None:
    run, waiting = await road.planned()
    await road.vendor("POST", "faults", {"kind": "slow", "method": "PATCH", "times": 200, "seconds": 0.3})
    await road.approve(waiting)
    await road.until_effects(12)
    async with road.stack.client("operator") as operator:
        reply = await operator.cancel(NameRun(run=run, reason="wrong night"))
    assert reply.is_accepted
    ended = await road.until_status(run, "partial")
    counts = ended.run.counts if ended.run is not None else None
    assert counts is not None
    assert counts.applied == len(await road.effects())
    assert counts.applied + counts.not_attempted == counts.planned and counts.not_attempted > 0
    effects = await road.effects()
    await asyncio.sleep(1)
    assert await road.effects() == effects, "something was written after the run had ended"


async def test_vendor_that_accepts_and_does_not_keep_is_found_by_the_canary(road: Road) -> None:
    run, waiting = await road.planned()
    # The suspensions are the last wave: every other PATCH is let through.
    before = sum(number for name, number in road.district.truth["counts"].items() if name not in {"create", "suspend"})
    await road.vendor("POST", "faults", {"kind": "lying_success", "method": "PATCH", "times": 60, "after": before})
    await road.approve(waiting)
    paused = await road.until_status(run, "paused")
    assert paused.run is not None and paused.run.failure is not None
    assert paused.run.failure.code == "VER_NOT_KEPT"
    suspended = {key for key in road.district.truth["changes"]["suspend"] if key in await road.effects()}
    assert suspended == set()
    state: dict[str, Any] = await road.vendor("GET", "journal?after_seq=0")
    lied = [one for one in state["entries"] if one["fault"] == "lying_success"]
    assert len(lied) == 5, "only the canary may have been sent"


async def test_records_that_moved_since_the_plan_are_left_alone(road: Road) -> None:
    run, waiting = await road.planned()
    moved = road.district.truth["changes"]["update"][:3]
    token = road.stack.layout.write_token.read_text(encoding="utf-8").strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=f"{road.stack.vendor_url}/api/v1", headers=headers) as client:
        for key in moved:
            contact = (await client.get(f"/contacts/external/{key}")).raise_for_status().json()
            await client.patch(f"/contacts/{contact['id']}", json={"lastName": "Changed Meanwhile"})
    await road.approve(waiting)
    ended = await road.until_status(run, "partial")
    counts = ended.run.counts if ended.run is not None else None
    assert counts is not None
    assert counts.stale_skipped == len(moved)
    assert counts.applied == counts.planned - len(moved)
    effects = await road.effects()
    assert all(len(effects[key]) == 1 for key in moved), "a moved record was written over"


async def test_plan_is_stale_once_another_was_applied_to_the_target(road: Road) -> None:
    dry = await road.request("dry-run")
    await road.until_status(dry, "planned")
    first, waiting = await road.planned()
    await road.approve(waiting)
    await road.until_status(first, "succeeded")
    await road.until_sealed(first)
    again = await road.request("apply")
    await road.until_status(again, "no_changes")


# --- tokens that are changed on both sides ---------------------------------------------------------------------------


def change(secret: Path, text: str) -> None:
    """As whoever puts secrets there does it: whole, in one moment. The simulated vendor takes it from the same file."""
    beside = secret.with_suffix(".new")
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(secret)


async def test_a_write_token_that_is_changed_during_the_apply_is_taken_without_a_pause(road: Road) -> None:
    run, waiting = await road.planned()
    began = await _now(road)
    await road.vendor("POST", "faults", {"kind": "slow", "method": "PATCH", "times": 300, "seconds": 0.1})
    await road.approve(waiting)
    for number, token in enumerate(("changed-once-4f1b", "changed-twice-77ac"), start=1):
        await road.until_effects(10 * number)
        change(road.stack.layout.write_token, token)
    await road.vendor("DELETE", "faults")
    ended = await road.until_status(run, "succeeded")
    assert ended.run is not None and ended.run.counts is not None
    assert ended.run.counts.applied == ended.run.counts.planned
    assert await _refused(road, since=began) > 0, "no request met the changed token"
    await road.assert_everything_once()
    async with road.stack.client("operator") as operator:
        assert (await operator.health()).quarantined == ()


async def test_a_read_token_that_is_changed_during_the_reading_is_taken(road: Road) -> None:
    began = await _now(road)
    await road.vendor("POST", "faults", {"kind": "slow", "method": "GET", "times": 30, "seconds": 0.2})
    run = await road.request("dry-run")
    async with asyncio.timeout(30):
        while not (await road.vendor("GET", f"journal?after_seq={began}"))["entries"]:
            await asyncio.sleep(0.02)
    change(road.stack.layout.read_token, "changed-while-read-90d3")
    await road.vendor("DELETE", "faults")
    await road.until_status(run, "planned")
    assert await _refused(road, since=began) > 0, "no request met the changed token"


async def _refused(road: Road, *, since: int) -> int:
    journal = await road.vendor("GET", f"journal?after_seq={since}")
    return sum(entry["status"] == 401 for entry in journal["entries"])


async def _now(road: Road) -> int:
    last: int = (await road.vendor("GET", "effects"))["last_seq"]
    return last
