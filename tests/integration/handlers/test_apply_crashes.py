"""An applier that dies or sleeps at the worst moment: each change takes effect exactly once, and nobody writes late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from nats.js import JetStreamContext

import services.applier.handlers as applier
from services.applier.journal import Journal
from shared.bus.connect import client_of, leave
from shared.bus.delivery import Permanent
from shared.bus.lease import acquire, plant_fence
from shared.bus.publishing import Conflict, Outgoing, publish_one
from shared.bus.reading import last
from shared.errors import NeedsPerson, TryLater
from shared.events.commands import NameRun
from shared.events.facts import OutcomeRecorded
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import IDS, Replica, SmallHouse
from tests.support.bus import until
from tests.unit.applier.fake_target import ANY, Fault


async def _kill(replica: Replica, applying: asyncio.Task[None]) -> None:
    """End an applier as a crash would: from now on nothing of it reaches the bus, not even the end of its lease."""
    await leave(client_of(replica.js))
    applying.cancel()
    for task in asyncio.all_tasks():
        if task.get_name().startswith("journal "):
            task.cancel()  # it would go on trying to reach the bus for as long as a live program should
    with suppress(asyncio.CancelledError, Exception):
        await applying


@asynccontextmanager
async def _hanging(house: SmallHouse, fault: Fault, writes: int) -> AsyncIterator[tuple[Replica, asyncio.Task[None]]]:
    """An applier whose write number `writes` does not come back."""
    house.target.faults[ANY].extend([*(Fault() for _ in range(writes - 1)), fault])
    replica = await house.replica("applier")
    command = await house.command(f"cmd.apply.{house.run}")
    applying = asyncio.create_task(replica.deliver(command))
    await until(lambda: len(house.target.sent) >= writes)
    try:
        yield replica, applying
    finally:
        applying.cancel()
        await asyncio.gather(applying, return_exceptions=True)


def _exactly_once(house: SmallHouse) -> None:
    assert len(house.effects()) == 6
    assert set(house.effects().values()) == {1}


@pytest.mark.parametrize("is_done", [True, False], ids=["after the write", "before the write"])
@pytest.mark.parametrize("writes", [1, 4, 6])
async def test_killed_between_intent_and_outcome_each_change_is_done_once(
    house: SmallHouse, writes: int, is_done: bool
) -> None:
    """`writes` reaches into the first wave, its end, and the canary of the destructive wave."""
    await house.to_approved()
    fault = Fault(error=None if is_done else TryLater("APL_UNREACHABLE", "never sent"), hangs_until=asyncio.Event())
    async with _hanging(house, fault, writes) as (replica, applying):
        await _kill(replica, applying)
    successor = await house.replica("applier")
    with pytest.raises(TryLater, match="held by") as busy:
        await successor.deliver(await house.command(f"cmd.apply.{house.run}"))
    assert busy.value.code == "APL_TARGET_BUSY"  # the lease of the dead one runs out first
    await successor.deliver_until_taken(await house.command(f"cmd.apply.{house.run}"))
    state = await house.state()
    assert state.status is RunStatus.SUCCEEDED
    assert state.counts is not None
    assert (state.counts.planned, state.counts.applied) == (6, 6)
    _exactly_once(house)
    told = await house.picture()
    await successor.deliver(await house.command(f"cmd.apply.{house.run}"))
    assert await house.picture() == told


async def test_applier_that_sleeps_through_its_lease_writes_nothing_when_it_wakes(house: SmallHouse) -> None:
    await house.to_approved()
    awake = asyncio.Event()
    async with _hanging(house, Fault(hangs_until=awake), 1) as (_, sleeping):
        # Its heartbeat stops; everything else of it lives on.
        (renewing,) = [
            task for task in asyncio.all_tasks() if task.get_name() == f"renew lease.target.{house.target_name}"
        ]
        renewing.cancel()
        await house.apply()
        assert (await house.state()).status is RunStatus.SUCCEEDED
        told, sent = await house.picture(), list(house.target.sent)
        awake.set()
        with pytest.raises(TryLater) as late:
            await sleeping
        assert late.value.code == "APL_LEASE_LOST"
    assert house.target.sent == sent
    assert await house.picture() == told
    _exactly_once(house)


async def test_late_outcome_of_a_former_holder_is_refused_by_the_fence(house: SmallHouse) -> None:
    await house.to_approved()
    former = await house.replica("applier")
    subject = f"lease.target.{house.target_name}"
    grant = await acquire(former.js, subject=subject, holder="former", ttl_seconds=1, ids=IDS)
    fence = await plant_fence(former.js, former.context.committer, target=house.target_name, token=grant.token)
    journal = Journal(former.js, former.context.committer, run=house.run, token=grant.token, fence=fence)
    await house.apply()
    told = await house.picture()
    change_id = next(iter(house.effects()))
    with pytest.raises(Conflict):
        await journal.conclude(
            OutcomeRecorded(run=house.run, change_id=change_id, fencing_token=grant.token, result="failed")
        )
    another = Journal(former.js, former.context.committer, run=house.run, token=grant.token, fence=fence)
    with pytest.raises(Conflict):
        await another.intend("0" * 64, 1)
    assert await house.picture() == told


async def test_two_appliers_at_once_write_each_change_once(house: SmallHouse) -> None:
    await house.to_approved()
    command = await house.command(f"cmd.apply.{house.run}")
    replicas = [await house.replica("applier") for _ in range(3)]
    await asyncio.gather(*(replica.deliver_until_taken(command) for replica in replicas))
    assert (await house.state()).status is RunStatus.SUCCEEDED
    _exactly_once(house)


async def test_two_connectors_on_one_target_write_one_after_the_other(house: SmallHouse, tmp_path: Path) -> None:
    """The second waits for the lease; what it planned is stale by then, for the target has moved."""
    (tmp_path / "second").mkdir()
    second = await SmallHouse.made(house.bus, tmp_path / "second")
    try:
        second.share_target_of(house)
        await second.to_approved()
        await house.to_approved()
        awake = asyncio.Event()
        async with _hanging(house, Fault(hangs_until=awake), 1) as (_, applying):
            with pytest.raises(TryLater) as busy:
                await (await second.replica("applier")).deliver(await second.command(f"cmd.apply.{second.run}"))
            assert busy.value.code == "APL_TARGET_BUSY"
            assert (await second.state()).status is RunStatus.APPROVED
            awake.set()
            await applying
        assert (await house.state()).status is RunStatus.SUCCEEDED
        await second.apply()
        assert (await second.state()).status is RunStatus.STALE
        _exactly_once(house)
    finally:
        await second.close()


async def test_run_cancelled_in_the_moment_of_its_start_writes_nothing(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.to_approved()
    plant: Callable[..., object] = plant_fence

    async def cancelled_first(js: JetStreamContext, *args: object, **kwargs: object) -> object:
        assert (await house.cancel()).status == "cancelled"
        return await plant(js, *args, **kwargs)  # type: ignore[misc]  # passed on as it came

    monkeypatch.setattr(applier, "plant_fence", cancelled_first)
    await house.apply()
    assert (await house.state()).status is RunStatus.CANCELLED
    assert house.target.sent == []


async def test_cancel_asked_while_no_applier_was_at_work_holds_before_the_first_change(house: SmallHouse) -> None:
    await house.to_approved()
    async with _hanging(house, Fault(hangs_until=asyncio.Event()), 1) as (replica, applying):
        await _kill(replica, applying)
    sent = len(house.target.sent)
    assert (await house.cancel()).is_accepted
    await house.apply()
    assert len(house.target.sent) == sent
    state = await house.state()
    assert state.status is RunStatus.PARTIAL
    assert state.counts is not None
    assert (state.counts.applied, state.counts.unknown) == (len(house.effects()), 0)


async def test_credential_missing_after_a_crash_pauses_and_does_not_end_the_run(house: SmallHouse) -> None:
    """A run may not end while the outcome of a change is unknown, and a credential can be mended."""
    await house.to_approved()
    async with _hanging(house, Fault(hangs_until=asyncio.Event()), 2) as (replica, applying):
        await _kill(replica, applying)
    house.target_cannot_open = NeedsPerson("SYS_SECRET", "the token cannot be read")
    await house.apply()
    state = await house.state()
    assert state.status is RunStatus.PAUSED
    assert state.failure is not None
    assert state.failure.code == "SYS_SECRET"
    assert state.counts is not None
    assert state.counts.unknown > 0
    house.target_cannot_open = None
    reply = await (await house.replica("applier")).ask("aether.run.resume", NameRun(run=house.run), who="otto")
    assert reply.status == "applying"
    await house.apply()
    assert (await house.state()).status is RunStatus.SUCCEEDED
    _exactly_once(house)


async def test_defect_while_applying_pauses_and_does_not_end_the_run(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.to_approved()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(applier, "counts_of", broken)
        with pytest.raises(Permanent):
            await house.apply()
    state = await house.state()
    assert state.status is RunStatus.PAUSED
    assert state.failure is not None
    assert state.failure.code == "SYS_HANDLER_FAILED"


async def test_altered_page_is_refused_before_the_first_write(house: SmallHouse) -> None:
    await house.to_approved()
    subject = next(name for name in (await house.picture()).messages if name.startswith("plan.RUN.page."))
    differ = await house.replica("differ")
    subject = subject.replace("RUN", house.run)
    stored = await last(differ.js, "PLAN", subject)
    assert stored is not None
    headers = {name: value for name, value in stored.headers.items() if not name.startswith("Nats-")}
    forged = stored.data.replace(b"Changed", b"Forged!").replace(b"Name", b"Fake")
    await publish_one(differ.js, Outgoing(subject, forged, f"forged-{house.run}", headers))
    await house.apply()
    state = await house.state()
    assert (state.status, house.target.sent) == (RunStatus.FAILED, [])
    assert state.failure is not None
    assert state.failure.code == "APL_PLAN_ALTERED"
    assert state.counts is not None
    assert state.counts.not_attempted == state.counts.planned == 6
