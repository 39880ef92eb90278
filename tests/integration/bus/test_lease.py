"""One holder at a time, and a former holder that wakes up late writes nothing: on the real server."""

import asyncio

import pytest
from nats.js import JetStreamContext

from shared.bus.commit import Committer
from shared.bus.connect import leave
from shared.bus.lease import LeaseHeld, LeaseHold, LeaseLost, acquire, plant_fence, release, renew
from shared.bus.publishing import Conflict, Outgoing, publish_one
from shared.bus.reading import last
from shared.clock import SystemClock
from shared.events.envelope import Undecodable
from shared.ids import RandomIds
from tests.support.bus import BusUnderTest, until

IDS = RandomIds()


def holding(js: JetStreamContext, subject: str, holder: str, ttl_seconds: int = 1) -> LeaseHold:
    return LeaseHold(js, subject=subject, holder=holder, ttl_seconds=ttl_seconds, ids=IDS)


async def test_second_holder_is_refused_by_name_until_release(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    grant = await acquire(js, subject=subject, holder="one", ttl_seconds=30, ids=IDS)
    with pytest.raises(LeaseHeld, match="held by one"):
        await acquire(js, subject=subject, holder="two", ttl_seconds=30, ids=IDS)
    await release(js, grant)
    later = await acquire(js, subject=subject, holder="two", ttl_seconds=30, ids=IDS)
    assert later.token > grant.token
    with pytest.raises(LeaseLost, match="lost by one"):
        await renew(js, grant)


async def test_of_many_only_one_acquires(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    results = await asyncio.gather(
        *(acquire(js, subject=subject, holder=f"h{n}", ttl_seconds=30, ids=IDS) for n in range(10)),
        return_exceptions=True,
    )
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, LeaseHeld) for result in results) == 9


async def test_expired_lease_is_free_and_its_former_holder_is_fenced_off(bus: BusUnderTest) -> None:
    js, target = await bus.js_as("applier"), bus.unique("t")
    subject, committer = f"lease.target.{target}", Committer(js, service="applier", clock=SystemClock())
    old = await acquire(js, subject=subject, holder="old", ttl_seconds=1, ids=IDS)
    old_fence = await plant_fence(js, committer, target=target, token=old.token)
    await publish_one(js, Outgoing(f"led.{target}.a", b"", f"{target}-a", fence=old_fence))

    async def is_gone() -> bool:
        return await last(js, "LEASE", subject) is None

    await until(is_gone)
    new = await acquire(js, subject=subject, holder="new", ttl_seconds=30, ids=IDS)
    assert new.token > old.token
    new_fence = await plant_fence(js, committer, target=target, token=new.token)
    with pytest.raises(Conflict):
        await publish_one(js, Outgoing(f"led.{target}.b", b"", f"{target}-b", fence=old_fence))
    with pytest.raises(LeaseLost, match="comes too late"):
        await plant_fence(js, committer, target=target, token=old.token)
    await publish_one(js, Outgoing(f"led.{target}.c", b"", f"{target}-c", fence=new_fence))
    assert await plant_fence(js, committer, target=target, token=new.token) == new_fence


async def test_fence_that_cannot_be_read_lets_nobody_write(bus: BusUnderTest) -> None:
    js, target = await bus.js_as("applier"), bus.unique("t")
    await publish_one(js, Outgoing(f"led.fence.{target}", b"{}", f"{target}-strange"))
    with pytest.raises(Undecodable):
        await plant_fence(js, Committer(js, service="applier", clock=SystemClock()), target=target, token=99)


async def test_held_lease_outlives_its_time_to_live_and_is_free_at_the_end(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    async with holding(js, subject, "one") as hold:
        token = hold.token
        for _ in range(5):
            await asyncio.sleep(0.3)
            assert hold.is_held()
            hold.require_held()
        with pytest.raises(LeaseHeld):
            await acquire(js, subject=subject, holder="two", ttl_seconds=1, ids=IDS)
        assert hold.token == token
    async with holding(js, subject, "two") as hold:
        assert hold.token > token


async def test_lost_lease_cancels_its_body_and_ends_in_lease_lost(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    reached_end = False
    with pytest.raises(LeaseLost):
        async with holding(js, subject, "one") as hold:
            current = await last(js, "LEASE", subject)
            assert current is not None
            # Somebody with the right to write takes it by force.
            thief = Outgoing(subject, b'{"holder": "thief"}', f"{subject}-thief", expected_last_seq=current.seq)
            await publish_one(js, thief)
            await asyncio.sleep(10)
            reached_end = True
    assert not reached_end
    assert not hold.is_held()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_holder_stops_believing_before_others_may_acquire(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as("applier")
    with pytest.raises(LeaseLost):
        async with holding(js, "lease.target.t1", "one") as hold:
            own_bus.server.kill()
            await until(lambda: not hold.is_held(), 5)
            with pytest.raises(LeaseLost):
                hold.require_held()
            await asyncio.sleep(10)
    own_bus.server.restart()


async def test_cancelling_the_body_from_outside_stays_a_cancellation_and_frees_the_lease(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    entered = asyncio.Event()

    async def body() -> None:
        async with holding(js, subject, "one", ttl_seconds=30):
            entered.set()
            await asyncio.sleep(30)

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await acquire(js, subject=subject, holder="two", ttl_seconds=30, ids=IDS)


async def test_cancellation_from_outside_is_not_taken_for_the_loss_of_the_lease(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    entered = asyncio.Event()

    async def body() -> None:
        async with holding(js, subject, "one", ttl_seconds=30) as hold:
            entered.set()
            try:
                await asyncio.sleep(30)
            finally:
                hold._lose(LeaseLost("in the same moment"))

    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_loss_that_the_body_did_not_live_to_see_is_told_as_a_loss(bus: BusUnderTest) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"
    with pytest.raises(LeaseLost, match="at its last step"):
        async with holding(js, subject, "one", ttl_seconds=30) as hold:
            hold._lose(LeaseLost("at its last step"))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)  # nothing is left that would cancel us now


async def test_loss_while_the_lease_is_given_back_cancels_nobody(
    bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    js, subject = await bus.js_as("applier"), f"lease.target.{bus.unique('t')}"

    async def releasing(*_: object) -> None:
        hold._lose(LeaseLost("after the body's end"))
        await asyncio.sleep(0)

    monkeypatch.setattr("shared.bus.lease.release", releasing)
    async with holding(js, subject, "one", ttl_seconds=2) as hold:
        pass
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_cancelled_body_stays_cancelled_when_its_lease_cannot_be_given_back(bus: BusUnderTest) -> None:
    client = await bus.connect_as("applier")
    js, subject = client.jetstream(), f"lease.target.{bus.unique('t')}"
    entered = asyncio.Event()

    async def body() -> None:
        async with holding(js, subject, "one", ttl_seconds=2):
            entered.set()
            await asyncio.sleep(30)

    task = asyncio.create_task(body())
    await entered.wait()
    await leave(client)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
