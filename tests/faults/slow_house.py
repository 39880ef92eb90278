"""The small house with hundreds of changes, a vendor slow enough to be hit in the middle, and a list of promises.

`Promises` hears every acknowledgement of the ledger that the applier's connection receives: what was acknowledged must
still be stored when the fault is over.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg

from shared.bus.connect import client_of
from shared.events.facts import IntentRecorded
from shared.ports.system import Receipt
from shared.ports.wire import WireWrite
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import Replica, Service, SmallHouse
from tests.integration.handlers.small_systems import HouseTarget
from tests.support.bus import BusUnderTest, until
from tests.unit.plan.plan_builder import record

CHANGES = 200
WRITE_SECONDS = 0.02
APPLY_SECONDS_MAX = 90.0


class SlowTarget(HouseTarget):
    """A vendor that takes its time, half of it before a write takes effect and half after."""

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        await asyncio.sleep(WRITE_SECONDS / 2)
        receipt = await super().write(write, idempotency_key=idempotency_key)
        await asyncio.sleep(WRITE_SECONDS / 2)
        return receipt


@dataclass
class Promises:
    """What the bus has acknowledged of the ledger, and what was only asked."""

    acknowledged: set[str] = field(default_factory=set)
    """Message ids."""
    _batches: dict[str, list[str]] = field(default_factory=dict)

    def hear(self, replica: Replica) -> None:
        """Listen to all that this replica publishes from now on."""
        client: Any = client_of(replica.js)
        request, publish = client.request, client.publish

        def asked(subject: str, headers: dict[str, str] | None) -> list[str]:
            if not subject.startswith("led.") or not headers:
                return []
            members = self._batches.setdefault(headers["Nats-Batch-Id"], []) if "Nats-Batch-Id" in headers else []
            members.append(headers["Nats-Msg-Id"])
            return members

        async def requested(subject: str, payload: bytes = b"", *args: Any, **kwargs: Any) -> Msg:
            members = asked(subject, kwargs.get("headers"))
            answer: Msg = await request(subject, payload, *args, **kwargs)
            # Within a batch only the last answer has a sequence.
            if members and answer.data:
                told = json.loads(answer.data)
                if "seq" in told and "error" not in told:
                    self.acknowledged.update(members)
            return answer

        async def published(subject: str, *args: Any, **kwargs: Any) -> None:
            asked(subject, kwargs.get("headers"))
            await publish(subject, *args, **kwargs)

        client.request, client.publish = requested, published


class SlowHouse(SmallHouse):
    """A small house with many changes."""

    settled: Callable[[], Awaitable[None]] | None = None
    """Awaited before each step of the road to an approval: on a cluster a read may be older than the last write."""

    async def deliver_all(self, service: Service, pattern: str) -> None:
        if self.settled is not None:
            await self.settled()
        await super().deliver_all(service, pattern)

    async def approved(self, changes: int = CHANGES) -> None:
        """A run with so many updates, approved however many people that takes."""
        self.people = [
            {"id": f"E{n}", "first": f"Changed{n}", "email": f"p{n}@example.org", "role": "TEACHER"}
            for n in range(1, changes + 1)
        ]
        self.target = SlowTarget()
        self.target.records = {f"t-{n}": record(n) for n in range(1, changes + 1)}
        await self.to_drafted()
        if self.settled is not None:
            await self.settled()
        held = (await self.state()).status == "held"
        for who in ("anna", "abel"):
            body = await self.decision(who, is_override=held)
            reply = await (await self.replica("differ")).ask("aether.run.approve", body, who=who)
            assert reply.is_accepted, reply
            if self.settled is not None:
                await self.settled()
            if reply.status == "approved":
                return
        raise AssertionError("two people did not suffice")

    @asynccontextmanager
    async def applying(self, promises: Promises, *, after_writes: int = 1) -> AsyncIterator[asyncio.Task[None]]:
        """An applier at work, once so many writes have been done; awaiting the task awaits its end."""
        command = await self.command(f"cmd.apply.{self.run}")
        replica = await self.replica("applier")
        promises.hear(replica)
        task = asyncio.create_task(replica.deliver_until_taken(command, APPLY_SECONDS_MAX))
        try:
            await until(lambda: task.done() or len(self.target.journal) >= after_writes, APPLY_SECONDS_MAX)
            assert not task.done(), f"it ended before the fault: {task.exception() or await self.state()}"
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def assert_each_once(self, promises: Promises, changes: int = CHANGES) -> None:
        """Every change exactly once in effect, all of them accounted for, nothing acknowledged lost."""
        if self.settled is not None:
            await self.settled()
        state = await self.state()
        assert (state.status, state.failure) == (RunStatus.SUCCEEDED, None), state.failure
        assert state.counts is not None
        assert state.counts.planned == changes
        assert state.counts.applied + state.counts.noop_already == changes
        assert Counter(self.effects().values()) == {1: changes}
        assert all(one["first_name"] == f"Changed{one['external_id'][1:]}" for one in self.records())
        await self.assert_nothing_acknowledged_is_lost(promises)

    async def assert_nothing_acknowledged_is_lost(self, promises: Promises) -> None:
        """What the bus said it has, it has; and each write was intended before."""
        stored = [one async for one in self.stored("LEDGER", f"led.{self.run}.>")]
        ids = [one.message_id for one in stored]
        assert len(ids) == len(set(ids)), "a message of the ledger was stored twice"
        ledger_of_run = {one for one in promises.acknowledged if one.startswith(f"{self.run}.")}
        assert ledger_of_run, "nothing was heard: the test listens at the wrong place"
        assert ledger_of_run <= set(ids), f"lost: {sorted(ledger_of_run - set(ids))[:5]}"
        intended = {
            one.subject.rpartition(".")[2] for one in stored if one.headers.get("ce-type") == IntentRecorded.event_type
        }
        assert set(self.target.sent) <= intended, "something was written without an intent"

    def records(self) -> list[dict[str, str]]:
        """What the target has now."""
        return [{name: str(value) for name, value in one.items()} for one in self.target.records.values()]


async def slow_house(bus: BusUnderTest, folder: Path) -> SlowHouse:
    """A slow house on a bus; close it."""
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    return await SlowHouse.made(bus, folder)
