"""A wall clock that jumps by an hour or by more than a day, forwards and back, at the worst moments.

Promised, whatever the clock does: each change once; the lease goes by a clock that cannot jump; what a clock ahead
calls too old is not begun, and neither is what a clock behind calls dated in the future, so that no plan lives longer
for it; a run that has ended does not come to life when the clock goes back.

What cannot be promised: a clock that goes back by less than the five minutes which clocks may differ, or that stands
still, cannot show that time has passed. A plan then lives longer by that much. What holds then are the preconditions of
each change, which ask the target and no clock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from shared.events.envelope import decode
from shared.events.facts import IntentRecorded
from shared.run.states import RunStatus
from tests.faults.slow_house import Promises, SlowHouse, slow_house
from tests.integration.handlers import small_house
from tests.integration.handlers.small_systems import LateClock
from tests.support.bus import BusUnderTest
from tests.unit.plan.plan_builder import record

HOURS = (1, -1, 30, -30)
MINUTES_UNSEEN = 4
"""A clock may be behind by so much without anybody minding."""
CHANGES = 60


class JumpingClock(LateClock):
    """The clock of the house, of which the wall's part can be set; the monotonic one cannot."""

    def jump(self, hours: float) -> None:
        self.ahead += timedelta(hours=hours)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> JumpingClock:
    """The clock of every service of the house, and of the people who sign."""
    made = JumpingClock()
    monkeypatch.setattr(small_house, "CLOCK", made)
    return made


@pytest_asyncio.fixture
async def house(bus: BusUnderTest, clock: JumpingClock, tmp_path: Path) -> AsyncIterator[SlowHouse]:
    """A house whose services all go by that clock."""
    made = await slow_house(bus, tmp_path / "house")
    made.clock = clock
    yield made
    await made.close()


@pytest.mark.parametrize("hours", HOURS)
async def test_jump_while_applying_changes_nothing(house: SlowHouse, clock: JumpingClock, hours: int) -> None:
    await house.approved(CHANGES)
    promises = Promises()
    async with house.applying(promises, after_writes=10) as applying:
        clock.jump(hours)
        await applying
    await house.assert_each_once(promises, CHANGES)
    tokens = {
        decode(IntentRecorded, data=one.data, headers=one.headers, subject=one.subject).fencing_token
        async for one in house.stored("LEDGER", f"led.{house.run}.>")
        if one.headers.get("ce-type") == IntentRecorded.event_type
    }
    assert len(tokens) == 1, "the lease was lost over a clock that it must not look at"


async def test_plan_is_too_old_for_its_approval_after_a_jump_ahead(house: SlowHouse, clock: JumpingClock) -> None:
    await house.to_drafted()
    clock.jump(30)
    reply = await house.decide("anna")
    assert reply.status != "approved"
    state = await house.state()
    assert state.status is RunStatus.EXPIRED
    assert state.failure is not None
    assert state.failure.code == "APV_EXPIRED"
    assert house.target.sent == []


async def test_approved_plan_is_stale_after_a_jump_ahead_and_stays_so_when_the_clock_comes_back(
    house: SlowHouse, clock: JumpingClock
) -> None:
    await house.to_approved()
    clock.jump(30)
    await house.apply()
    assert (await house.state()).status is RunStatus.STALE
    clock.jump(-30)
    told = await house.picture()
    await house.apply()
    assert await house.picture() == told
    assert house.target.sent == []


async def test_approval_too_old_for_another_plan_stays_useless_when_the_clock_goes_back(
    house: SlowHouse, clock: JumpingClock
) -> None:
    """A run that has ended under an approval is over: neither the same command nor the same approval begins it anew."""
    await house.to_finished()
    assert (await house.state()).status is RunStatus.SUCCEEDED
    told, effects = await house.picture(), house.effects()
    for hours in (30, -60):
        clock.jump(hours)
        # The target is set back to what it was before: everything would have to be done again.
        house.target.records["t-1"] = record(1)
        await house.apply()
        reply = await house.decide("abel")
        assert not reply.is_accepted
        assert house.effects() == effects
    assert (await house.picture()).state == told.state


@pytest.mark.parametrize("hours", [-1, -30])
async def test_clock_that_goes_back_before_the_start_makes_the_plan_stale(
    house: SlowHouse, clock: JumpingClock, hours: int
) -> None:
    """Its age cannot be told any more: then it is not young, it is nothing to go by."""
    await house.to_approved()
    clock.jump(hours)
    await house.apply()
    state = await house.state()
    assert state.status is RunStatus.STALE
    assert state.counts is not None
    assert state.counts.not_attempted == state.counts.planned
    assert house.target.sent == []


async def test_record_that_moved_is_left_alone_although_the_clock_says_no_time_has_passed(
    house: SlowHouse, clock: JumpingClock
) -> None:
    """What holds where no clock can help: the precondition of each change asks the target."""
    await house.to_approved()
    house.target.records["t-1"]["first_name"] = "Edited by hand"
    clock.jump(-MINUTES_UNSEEN / 60)
    await house.apply()
    state = await house.state()
    assert state.counts is not None
    assert (state.status, state.counts.stale_skipped) == (RunStatus.PARTIAL, 1)
    assert house.target.records["t-1"]["first_name"] == "Edited by hand"
