"""A run that a person asks to pause: it stops at its next change with nothing unknown, and goes on where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.applier.watching import WATCH_SECONDS
from shared.events.commands import NameRun, Reply
from shared.events.facts import PauseRequested
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import SmallHouse
from tests.support.bus import until
from tests.unit.applier.fake_target import ANY, Fault


async def _pause(house: SmallHouse) -> Reply:
    body = NameRun(run=house.run, reason="the office is open")
    return await (await house.replica("applier")).ask("aether.run.pause", body, who="otto")


async def _resumed(house: SmallHouse) -> None:
    reply = await (await house.replica("applier")).ask("aether.run.resume", NameRun(run=house.run), who="otto")
    assert reply.status == "applying"
    await house.apply()


@asynccontextmanager
async def _at_work(house: SmallHouse, writes: int = 1) -> AsyncIterator[asyncio.Event]:
    """An applier whose write number `writes`, and those sent beside it, come back when the event is set."""
    awake = asyncio.Event()
    house.target.faults[ANY].extend([*(Fault() for _ in range(writes - 1)), *(Fault(hangs_until=awake),) * 4])
    applying = asyncio.create_task(house.apply())
    await until(lambda: len(house.target.sent) >= writes)
    try:
        yield awake
        await applying
    finally:
        applying.cancel()
        await asyncio.gather(applying, return_exceptions=True)


async def test_run_at_work_pauses_at_its_next_change_and_goes_on_where_it_stopped(house: SmallHouse) -> None:
    await house.to_approved()
    async with _at_work(house) as awake:
        assert (await _pause(house)).status == "applying"
        assert (await house.state()).pause_requested_by == "otto"
        await asyncio.sleep(WATCH_SECONDS * 3)
        sent = len(house.target.sent)
        awake.set()
    state = await house.state()
    assert (state.status, state.pause_requested_by, len(house.target.sent)) == (RunStatus.PAUSED, None, sent)
    assert state.failure is not None
    assert state.failure.code == "SYS_PAUSED"
    assert state.counts is not None
    assert (state.counts.unknown, state.counts.applied) == (0, sent)  # what was under way is concluded
    assert sent < 6
    told = PauseRequested.model_validate_json((await house.command(f"evt.applier.pause_requested.{house.run}")).data)
    assert (told.actor, told.reason) == ("otto", "the office is open")
    await _resumed(house)
    assert (await house.state()).status is RunStatus.SUCCEEDED
    assert set(house.effects().values()) == {1}


async def test_pause_asked_while_no_applier_is_at_work_holds_before_the_first_change(house: SmallHouse) -> None:
    await house.to_resumed()
    sent = list(house.target.sent)
    assert (await _pause(house)).is_accepted
    await house.apply()
    state = await house.state()
    assert (state.status, state.pause_requested_by) == (RunStatus.PAUSED, None)
    assert state.failure is not None
    assert state.failure.code == "SYS_PAUSED"
    assert house.target.sent == sent


async def test_cancel_beats_pause(house: SmallHouse) -> None:
    await house.to_approved()
    async with _at_work(house) as awake:
        assert (await _pause(house)).is_accepted
        assert (await house.cancel()).is_accepted
        await asyncio.sleep(WATCH_SECONDS * 3)
        awake.set()
    await house.deliver_all("applier", f"evt.extractor.run_cancelled.{house.run}")
    state = await house.state()
    assert (state.status, state.pause_requested_by) == (RunStatus.PARTIAL, None)
    assert state.failure is not None
    assert state.failure.code == "SYS_CANCELLED"


async def test_pause_of_a_run_that_is_to_end_is_refused(house: SmallHouse) -> None:
    await house.to_resumed()
    assert (await house.cancel()).status == "applying"
    reply = await _pause(house)
    assert reply.refusal is not None
    assert reply.refusal.code == "APV_WRONG_STATE"
    assert "ends at its next change already" in reply.refusal.text


async def test_pause_that_comes_after_the_last_change_lets_the_run_end(house: SmallHouse) -> None:
    await house.to_approved()
    async with _at_work(house, writes=6) as awake:
        assert (await _pause(house)).is_accepted
        await asyncio.sleep(WATCH_SECONDS * 3)
        awake.set()
    state = await house.state()
    assert (state.status, state.pause_requested_by) == (RunStatus.SUCCEEDED, None)
