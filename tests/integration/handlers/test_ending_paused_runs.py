"""A paused run that a person ends: its unknown outcomes are looked up first, nothing is written, and it ends once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import services.applier.handlers as applier
from shared.bus.connect import client_of, leave
from shared.bus.delivery import Permanent
from shared.bus.lease import LeaseHold
from shared.bus.publishing import Outgoing, publish_one
from shared.bus.reading import StreamUnavailable, last
from shared.bus.topology import PROVISIONER
from shared.errors import NeedsPerson, TryLater
from shared.events.commands import NameRun
from shared.events.facts import AlarmRaised
from shared.events.stored import Stored
from shared.ports.wire import Record
from shared.run.counts import NineCounts
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import IDS, SmallHouse
from tests.support.bus import until
from tests.unit.applier.fake_target import ANY, Fault

UNREACHABLE = TryLater("APL_UNREACHABLE", "no connection")


async def _counts(house: SmallHouse) -> NineCounts:
    counts = (await house.state()).counts
    assert counts is not None
    return counts


async def _cancelled(house: SmallHouse) -> Stored:
    assert (await house.cancel()).is_accepted
    return await house.command(f"evt.extractor.run_cancelled.{house.run}")


async def _resumed(house: SmallHouse) -> None:
    reply = await (await house.replica("applier")).ask("aether.run.resume", NameRun(run=house.run), who="otto")
    assert reply.status == "applying"
    await house.apply()


async def test_unknown_outcomes_are_looked_up_before_a_paused_run_ends(house: SmallHouse) -> None:
    await house.to_approved()
    lost = Fault(NeedsPerson("APL_CONFIG", "the answer was a login page"), is_done=True)
    house.target.faults[ANY].append(lost)
    await house.apply()
    assert (await _counts(house)).unknown > 0
    sent = list(house.target.sent)
    message = await _cancelled(house)
    assert (await house.state()).status is RunStatus.PAUSED
    await (await house.replica("applier")).deliver(message)
    state, counts = await house.state(), await _counts(house)
    assert state.status is RunStatus.PARTIAL
    assert state.failure is not None
    assert state.failure.code == "SYS_CANCELLED"
    assert house.target.sent == sent
    # The write that took effect and was not answered counts as applied.
    assert counts == NineCounts(planned=6, applied=len(house.effects()), not_attempted=6 - len(house.effects()))


async def test_paused_run_without_effects_ends_cancelled(house: SmallHouse) -> None:
    await house.to_approved()
    house.target.faults[ANY].extend(Fault(NeedsPerson("APL_CONFIG", "expired")) for _ in range(6))
    await house.apply()
    await (await house.replica("applier")).deliver(await _cancelled(house))
    assert (await house.state()).status is RunStatus.CANCELLED
    assert await _counts(house) == NineCounts(planned=6, not_attempted=6)


async def test_paused_run_stays_paused_while_its_target_cannot_be_read(house: SmallHouse) -> None:
    await house.to_paused()
    message, sent = await _cancelled(house), list(house.target.sent)
    unknown = (await _counts(house)).unknown
    house.target.fetch_faults.extend(UNREACHABLE for _ in range(20))
    applier_one = await house.replica("applier")
    await applier_one.deliver(message)
    state = await house.state()
    assert (state.status, state.cancel_requested_by) == (RunStatus.PAUSED, "otto")
    assert (await _counts(house)).unknown == unknown
    again = await house.cancel()
    assert again.refusal is not None
    assert "resume" in again.refusal.text
    # Resumed, it looks again, and ends: what it was asked stays asked.
    house.target.fetch_faults.clear()
    await _resumed(house)
    assert (await house.state()).status is RunStatus.PARTIAL
    assert (await _counts(house)).unknown == 0
    assert house.target.sent == sent


async def test_paused_run_whose_target_cannot_be_opened_stays_paused(house: SmallHouse) -> None:
    await house.to_paused()
    message = await _cancelled(house)
    house.target_cannot_open = NeedsPerson("SYS_SECRET", "the token cannot be read")
    before = await house.state()
    await (await house.replica("applier")).deliver(message)
    assert await house.state() == before


async def test_run_refused_after_its_start_can_be_ended_when_nothing_is_unknown(house: SmallHouse) -> None:
    """The credential is gone for good: the run was counted by its ledger, and needs neither plan nor target to end."""
    await house.to_approved()
    house.target.fetch_faults.append(NeedsPerson("APL_CONFIG", "expired"))  # paused before its first intent
    await house.apply()
    house.target_cannot_open = NeedsPerson("SYS_SECRET", "the token cannot be read")
    await _resumed(house)
    assert (await house.state()).status is RunStatus.PAUSED
    assert await _counts(house) == NineCounts(planned=6, not_attempted=6)
    assert (await house.cancel()).status == "cancelled"


@pytest.mark.parametrize("is_resumed", [False, True])
async def test_run_that_nobody_counted_is_not_ended_over_unknown_outcomes(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch, is_resumed: bool
) -> None:
    """A defect pauses without counting; the counts of an earlier pause would not hold any more."""
    await house.to_approved()
    if is_resumed:
        house.target.fetch_faults.append(NeedsPerson("APL_CONFIG", "expired"))  # paused before its first intent
        await house.apply()
        assert (await _counts(house)).unknown == 0

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    house.target.faults[ANY].append(Fault(NeedsPerson("APL_CONFIG", "expired"), is_done=True))
    with monkeypatch.context() as patched:
        patched.setattr(applier, "counts_of", broken)
        with pytest.raises(Permanent):
            await (_resumed(house) if is_resumed else house.apply())
    assert ((await house.state()).status, (await house.state()).counts) == (RunStatus.PAUSED, None)
    message = await _cancelled(house)
    assert (await house.state()).status is RunStatus.PAUSED
    await (await house.replica("applier")).deliver(message)
    assert (await house.state()).status is RunStatus.PARTIAL
    counts = await _counts(house)
    assert (counts.applied, counts.unknown) == (len(house.effects()), 0)


async def _requested(house: SmallHouse) -> None:
    await house.request()


@pytest.mark.parametrize("arrange", [_requested, SmallHouse.to_drafted, SmallHouse.to_approved])
async def test_run_that_was_cancelled_before_it_began_is_nothing_to_the_applier(
    house: SmallHouse, arrange: Callable[[SmallHouse], Awaitable[None]]
) -> None:
    await arrange(house)
    message = await _cancelled(house)
    assert (await house.state()).status is RunStatus.CANCELLED
    house.target_cannot_open = AssertionError("the target is not to be opened")
    before = await house.picture()
    assert "led.fence.TARGET" not in before.messages
    await (await house.replica("applier")).deliver(message)
    assert await house.picture() == before


async def test_applier_killed_while_it_looks_outcomes_up_leaves_the_rest_to_the_next(house: SmallHouse) -> None:
    await house.to_paused()
    message, sent = await _cancelled(house), list(house.target.sent)
    fetch, looked, never = house.target.fetch, asyncio.Event(), asyncio.Event()

    async def hangs(*args: Any, **kwargs: Any) -> Record | None:
        looked.set()
        await never.wait()
        return await fetch(*args, **kwargs)

    house.target.fetch = hangs  # type: ignore[method-assign]  # no answer ever comes
    replica = await house.replica("applier")
    ending = asyncio.create_task(replica.deliver(message))
    await until(looked.is_set)
    await leave(client_of(replica.js))
    ending.cancel()
    await asyncio.gather(ending, return_exceptions=True)
    assert (await house.state()).status is RunStatus.PAUSED
    house.target.fetch = fetch  # type: ignore[method-assign]  # as it was
    await (await house.replica("applier")).deliver_until_taken(message)
    assert (await house.state()).status is RunStatus.PARTIAL
    assert (await _counts(house)).unknown == 0
    assert house.target.sent == sent


async def test_applier_killed_between_the_last_look_and_the_end_is_followed_by_one_that_ends_the_run(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All six took effect, the last without an answer; the first attempt to end found out and died."""
    await house.to_approved()
    lost = Fault(NeedsPerson("APL_CONFIG", "the answer was a login page"), is_done=True)
    house.target.faults[ANY].extend([*(Fault() for _ in range(5)), lost])
    await house.apply()
    assert await _counts(house) == NineCounts(planned=6, applied=5, unknown=1)
    message = await _cancelled(house)

    async def unavailable(*_: object) -> None:
        raise StreamUnavailable("the bus is gone")

    with monkeypatch.context() as patched:
        patched.setattr(applier, "read_known", unavailable)
        with pytest.raises(TryLater):
            await (await house.replica("applier")).deliver(message)
    assert (await house.state()).status is RunStatus.PAUSED
    await (await house.replica("applier")).deliver_until_taken(message)
    assert (await house.state()).status is RunStatus.PARTIAL
    assert await _counts(house) == NineCounts(planned=6, applied=6)


async def test_paused_run_is_not_ended_without_the_lease(house: SmallHouse) -> None:
    await house.to_paused()
    message = await _cancelled(house)
    other = await house.replica("applier")
    hold = LeaseHold(
        other.js,
        subject=f"lease.target.{house.target_name}",
        holder="another run",
        ttl_seconds=house.lease_seconds,
        ids=IDS,
        monotonic=other.context.clock.monotonic_seconds,
    )
    async with hold:
        with pytest.raises(TryLater) as busy:
            await (await house.replica("applier")).deliver(message)
        assert busy.value.code == "APL_TARGET_BUSY"
    await (await house.replica("applier")).deliver_until_taken(message)
    assert (await house.state()).status is RunStatus.PARTIAL


async def test_run_that_pauses_in_the_moment_it_is_cancelled_is_ended(house: SmallHouse) -> None:
    """The applier at work met an expired credential before it saw that a person had asked."""
    await house.to_approved()
    awake = asyncio.Event()
    house.target.faults[ANY].extend(
        Fault(NeedsPerson("APL_CONFIG", "expired"), is_done=True, hangs_until=awake) for _ in range(6)
    )
    applying = asyncio.create_task(house.apply())
    await until(lambda: len(house.target.sent) >= 4)
    message = await _cancelled(house)
    with pytest.raises(TryLater):
        await (await house.replica("applier")).deliver(message)  # the target is being written to
    awake.set()
    await applying
    await (await house.replica("applier")).deliver_until_taken(message)
    state = await house.state()
    assert state.status is RunStatus.PARTIAL
    counts = await _counts(house)
    assert (counts.applied, counts.unknown) == (len(house.effects()), 0)


async def test_run_whose_plan_is_gone_stays_paused_and_says_why(house: SmallHouse) -> None:
    """Nobody can look its unknown outcomes up, and it may not end over them: a person must be told."""
    await house.to_paused()
    counts, sent = await _counts(house), list(house.target.sent)
    provisioner = await house.bus.js_as(PROVISIONER)
    await provisioner.purge_stream("PLAN", subject=(await house.plan()).pages[0].subject)
    message = await _cancelled(house)
    replica = await house.replica("applier")
    await replica.deliver(message)
    state = await house.state()
    assert (state.status, state.counts, house.target.sent) == (RunStatus.PAUSED, counts, sent)
    assert state.failure is not None
    assert state.failure.code == "APL_PLAN_ALTERED"
    await replica.deliver(message)
    assert await house.state() == state
    assert (await house.picture()).messages["evt.applier.apply_refused.RUN"] == 1


async def test_forged_page_beside_the_plan_does_not_keep_a_run_from_ending(house: SmallHouse) -> None:
    """The plan's own pages still lie there; the forged one is left out, and told."""
    await house.to_paused()
    await _forge_a_page(house)
    message = await _cancelled(house)
    await (await house.replica("applier")).deliver(message)
    assert (await house.state()).status is RunStatus.PARTIAL
    counts = await _counts(house)
    assert (counts.applied, counts.unknown) == (len(house.effects()), 0)
    alarms = [AlarmRaised.model_validate_json(one.data) async for one in house.stored("CORE", "audit.applier.alarm")]
    (alarm,) = [one for one in alarms if one.run == house.run]
    assert alarm.reason.code == "APL_PLAN_ALTERED"


async def _forge_a_page(house: SmallHouse) -> None:
    differ, page = await house.replica("differ"), (await house.plan()).pages[0]
    stored = await last(differ.js, "PLAN", page.subject)
    assert stored is not None
    headers = {name: value for name, value in stored.headers.items() if not name.startswith("Nats-")}
    await publish_one(differ.js, Outgoing(page.subject, stored.data + b" ", f"forged-{house.run}", headers))
