"""Three servers, and one of them killed, frozen or parted from the others while the applier is at work.

What is promised: whatever the bus acknowledged is on a majority and stays; what only a minority heard is not
acknowledged; an applier whose lease may have gone to another writes nothing more at the target. What is not: that the
work goes on without a pause (an election takes some seconds, and in these nobody writes), nor that a read shows what
was written a moment ago: any of the three may answer it, so each step here waits until they are alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from shared.bus.lease import LeaseHeld, acquire
from shared.bus.provision import differences
from shared.bus.publishing import Outgoing, PublishFailed, publish_one
from shared.bus.reading import StreamUnavailable, last, read_all
from shared.bus.topology import PROVISIONER
from shared.run.states import RunStatus
from tests.faults.slow_house import APPLY_SECONDS_MAX, Promises, SlowHouse, slow_house
from tests.integration.handlers.small_house import IDS
from tests.support.bus import until
from tests.support.cluster import NODES, REPLICAS, ClusterUnderTest, cluster

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEASE_SECONDS = 12
"""As a district has it: longer than an election."""
SHORT_LEASE_SECONDS = 6
"""For tests that wait until a lease has run out."""
FROZEN_SECONDS = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def three(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ClusterUnderTest]:
    """A cluster for all tests of this file; each leaves it whole."""
    async with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def house(three: ClusterUnderTest, tmp_path: Path) -> AsyncIterator[SlowHouse]:
    """A house with an approved plan on a whole cluster."""
    made = await slow_house(three, tmp_path / "house")
    made.lease_seconds = LEASE_SECONDS
    made.settled = partial(three.until_alike, "CORE", "LEDGER", "PLAN", "SNAP")
    await made.approved()
    yield made
    three.only = None
    three.heal()
    await made.close()
    await three.until_whole()
    await three.until_alike("CORE", "LEDGER")


async def test_every_stream_and_consumer_is_held_by_all_three(three: ClusterUnderTest) -> None:
    js = await three.js_as(PROVISIONER)
    assert await differences(js, REPLICAS) == []
    for stream in ("CORE", "LEDGER", "PLAN", "LEASE"):
        info = await js.stream_info(stream)
        assert info.cluster is not None and len(info.cluster.replicas or ()) == REPLICAS - 1
        assert {info.cluster.leader, *(peer.name for peer in info.cluster.replicas or ())} == set(NODES)


@pytest.mark.parametrize("stream", ["LEDGER", pytest.param("CORE", marks=pytest.mark.whole)])
async def test_leader_killed_while_applying(three: ClusterUnderTest, house: SlowHouse, stream: str) -> None:
    promises = Promises()
    async with house.applying(promises, after_writes=60) as applying:
        leader = await three.until_led(stream)
        three.nodes[leader].kill()
        await three.until_led(stream, not_by=leader)
        await applying
    # Down to two servers all is done; the third, back, must come to have all that it missed.
    await three.nodes[leader].restart_async()
    await house.assert_each_once(promises)
    three.only = leader
    own = await three.js_as("auditor")
    ledger = {one.message_id async for one in read_all(own, "LEDGER", f"led.{house.run}.>")}
    assert {one for one in promises.acknowledged if one.startswith(f"{house.run}.")} <= ledger


@pytest.mark.whole
async def test_leader_frozen_while_applying(three: ClusterUnderTest, house: SlowHouse) -> None:
    """Its connections stay open: to its clients it does not look dead, only silent, and it thaws believing it leads."""
    promises = Promises()
    async with house.applying(promises, after_writes=60) as applying:
        leader = await three.until_led("LEDGER")
        three.freeze(leader)
        try:
            await asyncio.sleep(FROZEN_SECONDS)
        finally:
            three.thaw(leader)
        await applying
    await house.assert_each_once(promises)


async def test_applier_at_the_parted_leader_stops_and_another_goes_on(
    three: ClusterUnderTest, house: SlowHouse
) -> None:
    """The old leader hears its client and believes to lead; no majority hears it, so nothing that it takes counts."""
    leader = await three.until_led("LEDGER")
    other = next(name for name in NODES if name != leader)
    promises = Promises()
    house.lease_seconds = SHORT_LEASE_SECONDS
    three.only = leader
    async with house.applying(promises, after_writes=40) as parted:
        three.part(leader)
        sent_when_parted = len(house.target.sent)
        three.only = other
        successor = await house.replica("applier")
        promises.hear(successor)
        house.readers = {stream: await three.js_as("auditor") for stream in house.readers}
        await three.until_led("LEDGER", not_by=leader, asked=other)
        await three.until_led("LEASE", asked=other)
        await three.until_led("CORE", asked=other)
        # At the target the parted one writes on as far as intents are durable and its lease lasts; then it is free.
        await successor.deliver_until_taken(await house.command(f"cmd.apply.{house.run}"), APPLY_SECONDS_MAX)
        assert (await house.state()).status is RunStatus.SUCCEEDED
        sent = list(house.target.sent)
        assert len(sent) > sent_when_parted, "the successor had nothing left to do"
        three.heal()
        await parted  # the command is delivered to it again, and there is nothing left to do
        assert house.target.sent == sent, "the parted applier wrote after its successor had ended"
    await house.assert_each_once(promises)


async def test_nothing_is_acknowledged_by_a_minority(three: ClusterUnderTest, house: SlowHouse) -> None:
    leader = await three.until_led("LEDGER")
    other = next(name for name in NODES if name != leader)
    three.only = leader
    parted = await three.js_as("applier")
    three.only = other
    whole = await three.js_as("applier")
    subject = f"led.{house.run}.{'a' * 64}"
    three.part(leader)
    lost = asyncio.create_task(publish_one(parted, Outgoing(subject, b"{}", f"{house.run}-minority"), 1.0))
    with pytest.raises(PublishFailed, match="no certain answer"):
        await lost
    await three.until_led("LEDGER", not_by=leader, asked=other)
    kept = await publish_one(whole, Outgoing(subject, b"{}", f"{house.run}-majority"))
    three.heal()
    await three.until_alike("LEDGER")
    for js in (parted, whole):
        found = await last(js, "LEDGER", subject)
        assert found is not None
        assert (found.message_id, found.seq) == (f"{house.run}-majority", kept.seq)


async def test_lease_of_the_parted_is_free_for_another_after_its_time_and_not_before(
    three: ClusterUnderTest, house: SlowHouse
) -> None:
    leader = await three.until_led("LEASE")
    other = next(name for name in NODES if name != leader)
    three.only = leader
    parted = await three.js_as("applier")
    three.only = other
    whole = await three.js_as("applier")
    subject = f"lease.target.{three.unique('parted')}"
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    grant = await acquire(parted, subject=subject, holder="parted", ttl_seconds=SHORT_LEASE_SECONDS, ids=IDS)
    three.part(leader)
    await three.until_led("LEASE", not_by=leader, asked=other)

    async def is_taken() -> bool:
        try:
            taken = await acquire(whole, subject=subject, holder="whole", ttl_seconds=SHORT_LEASE_SECONDS, ids=IDS)
        except (LeaseHeld, StreamUnavailable):  # the latter while a leader that can answer is elected
            return False
        assert taken.token > grant.token
        return True

    await until(is_taken, 3 * SHORT_LEASE_SECONDS)
    # The holder counts from before it asked, the server from after: the lease was not given away too early.
    assert loop.time() - asked_at >= SHORT_LEASE_SECONDS
    three.heal()


async def test_no_majority_no_write(three: ClusterUnderTest, house: SlowHouse) -> None:
    """One server of three: the applier writes nothing any more, and goes on when a second is back."""
    promises = Promises()
    house.lease_seconds = 2
    async with house.applying(promises, after_writes=40) as applying:
        for name in NODES[1:]:
            three.nodes[name].kill()
        await asyncio.sleep(house.lease_seconds)  # what it still holds in hand
        sent = len(house.target.sent)
        await asyncio.sleep(1)
        assert len(house.target.sent) == sent
        assert not applying.done()
        await asyncio.gather(*(three.nodes[name].restart_async() for name in NODES[1:]))
        await applying
    await house.assert_each_once(promises)
