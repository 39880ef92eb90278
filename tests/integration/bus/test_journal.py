"""The applier's journal on a real bus: what waits for it is durable, in few batches, and only under the fence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest
from nats.js import JetStreamContext

import services.applier.journal as journal_module
from services.applier.journal import Journal
from shared.bus.commit import Committer
from shared.bus.lease import plant_fence
from shared.bus.publishing import Conflict, Fence, Outgoing, PublishFailed, publish_batch
from shared.clock import SystemClock
from shared.events.facts import OutcomeRecorded, Result
from shared.ids import RandomIds, new_run_id
from tests.support.bus import BusUnderTest


class House:
    """A run of its own, with a fence and a journal."""

    def __init__(self, js: JetStreamContext, run: str, target: str) -> None:
        self.js, self.run, self.target = js, run, target
        self.committer = Committer(js, service="applier", clock=SystemClock())
        self.fence = Fence("", 0)

    async def journal(self, token: int = 1) -> Journal:
        self.fence = await plant_fence(self.js, self.committer, target=self.target, token=token)
        return Journal(self.js, self.committer, run=self.run, token=token, fence=self.fence)

    def outcome(
        self, change_id: str, result: Result = "applied", code: str | None = None, token: int = 1
    ) -> OutcomeRecorded:
        return OutcomeRecorded(run=self.run, change_id=change_id, fencing_token=token, result=result, code=code)


@pytest.fixture
async def house(bus: BusUnderTest) -> House:
    return House(await bus.js_as("applier"), new_run_id(SystemClock().now(), RandomIds()), bus.unique("target"))


async def test_what_was_waited_for_is_what_a_successor_reads(house: House) -> None:
    journal = await house.journal()
    ids = [f"c{number}" for number in range(700)]

    async def one(change_id: str) -> None:
        await journal.intend(change_id, 1)
        await journal.conclude(house.outcome(change_id))

    await asyncio.gather(*(one(change_id) for change_id in ids))
    known = await journal.read()
    assert known.attempts == dict.fromkeys(ids, 1)
    assert known.outcomes == {change_id: house.outcome(change_id) for change_id in ids}
    assert known.unknown == set()


async def test_what_is_handed_in_together_goes_out_together(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    async def counted(js: JetStreamContext, outgoings: Sequence[Outgoing]) -> int:
        sizes.append(len(outgoings))
        return await publish_batch(js, outgoings)

    monkeypatch.setattr(journal_module, "publish_batch", counted)
    journal = await house.journal()
    await asyncio.gather(*(journal.intend(f"c{number}", 1) for number in range(1200)))
    assert sizes == [500, 500, 200]
    await journal.intend("alone", 1)
    assert sizes[3:] == [1]


async def test_journal_of_a_former_holder_stores_nothing_and_takes_nothing_more(house: House) -> None:
    former = await house.journal(1)
    await former.intend("a", 1)
    await house.journal(2)
    waiting = [former.intend("b", 1), former.conclude(house.outcome("a")), former.intend("c", 1)]
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [Conflict] * 3
    with pytest.raises(Conflict):
        await former.conclude(house.outcome("d"))
    await former.close()
    known = await former.read()
    assert (known.attempts, known.outcomes) == ({"a": 1}, {})


async def test_entry_of_a_cancelled_task_is_durable_once_the_journal_is_closed(house: House) -> None:
    journal = await house.journal()
    handing_in = [asyncio.create_task(journal.conclude(house.outcome(f"c{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    for task in handing_in:
        task.cancel()
    await asyncio.gather(*handing_in, return_exceptions=True)
    await journal.close()
    assert len((await journal.read()).outcomes) == 20


async def test_intent_that_could_not_be_stored_is_told_and_ends_the_journal(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(js: JetStreamContext, outgoings: Sequence[Outgoing]) -> int:
        raise PublishFailed("no certain answer")

    journal = await house.journal()
    monkeypatch.setattr(journal_module, "publish_batch", fails)
    with pytest.raises(PublishFailed):
        await journal.intend("a", 1)
    monkeypatch.undo()
    with pytest.raises(PublishFailed):
        await journal.intend("b", 1)
    await journal.close()
    assert (await journal.read()).attempts == {}


async def test_journal_that_is_ended_tells_whoever_waits(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(js: JetStreamContext, outgoings: Sequence[Outgoing]) -> int:
        await asyncio.sleep(60)
        return 0

    monkeypatch.setattr(journal_module, "publish_batch", hangs)
    journal = await house.journal()
    waiting = asyncio.create_task(journal.intend("a", 1))
    await asyncio.sleep(0.05)
    (publishing,) = [task for task in asyncio.all_tasks() if task.get_name() == f"journal {house.run}"]
    publishing.cancel()
    with suppress(asyncio.CancelledError):
        await publishing
    with pytest.raises(PublishFailed):
        await waiting


async def test_what_is_not_shown_replaces_what_was_told_and_a_repetition_adds_nothing(house: House) -> None:
    journal = await house.journal()
    await journal.conclude(house.outcome("a"))
    await journal.conclude(house.outcome("a"))
    await journal.conclude(house.outcome("a", "failed", "VER_NOT_KEPT"))
    assert (await journal.read()).outcomes == {"a": house.outcome("a", "failed", "VER_NOT_KEPT")}


async def test_each_holder_may_conclude_a_change_anew(house: House) -> None:
    await (await house.journal(1)).conclude(house.outcome("a", "not_attempted"))
    later = await house.journal(2)
    await later.conclude(house.outcome("a", token=2))
    assert (await later.read()).outcomes == {"a": house.outcome("a", token=2)}
