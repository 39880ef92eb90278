"""What the auditor recorded is told to people, once, however often the monitor dies: on the real bus and databases."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.monitor.notices.channels import SlackChannel
from services.monitor.notices.delivery import NotDelivered
from services.monitor.notices.reading import Reader
from services.monitor.notices.running import AnyChannel, Notices
from services.monitor.notices.wording import House as HouseTold
from services.monitor.notices.wording import Notice
from shared.audit import tables
from shared.audit.opening import read_only_engine
from shared.bus.commit import Committer
from shared.bus.connect import client_of
from shared.clock import SystemClock, to_text
from shared.events import facts, schedules
from shared.events.documents import FailureNote
from shared.events.operating import NoticeSent
from shared.ids import RandomIds
from shared.run.alarms import alarm_subject
from shared.run.counts import NineCounts
from shared.run.state import RunState
from shared.run.states import RunStatus
from shared.schedule.state import Pause
from shared.telemetry.families import counter
from tests.integration.auditor.house import House, new_run, run_state
from tests.support.bus import until

CHANNEL = SlackChannel.model_validate({"name": "chat", "kind": "slack", "url": "env:NOT_READ_HERE"})
CANARY = "Ana-María Canary <canary.person@example.org>"


@dataclass
class Post:
    """What people were told, whoever told it."""

    got: list[Notice] = field(default_factory=list)
    is_up: bool = True

    async def send(self, notice: Notice, *, now: datetime) -> str:
        if not self.is_up:
            raise NotDelivered("the post is closed")
        self.got.append(notice)
        return "taken"

    def titles(self) -> list[str]:
        return [notice.title.removeprefix("[aether staging] ") for notice in self.got]

    def times(self) -> Counter[str]:
        return Counter(notice.id for notice in self.got)


@dataclass
class Monitors:
    """Monitors of one house that tell on one channel."""

    house: House
    engine: AsyncEngine
    post: Post = field(default_factory=Post)
    running: list[tuple[Notices, asyncio.Task[None]]] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self.total = counter("aether_notices_total", self.registry)

    async def start(self) -> Notices:
        """Another monitor."""
        js, clock = await self.house.bus.js_as("monitor"), SystemClock()
        one = Notices(
            js=js, committer=Committer(js, service="monitor", clock=clock), clock=clock, ids=RandomIds(),
            total=self.total, engine=self.engine, channels=[CHANNEL], house=HouseTold("staging", None),
            lease_seconds=2, standby_seconds=0.05, look_seconds=0.2, pause_seconds=0.05, back_off_seconds=0.05,
            sender=self._sender,
        )  # fmt: skip
        self.running.append((one, asyncio.create_task(one.run())))
        return one

    def _sender(self, channel: AnyChannel) -> Post:
        return self.post

    def counted(self, outcome: str) -> float:
        """Notices with this outcome."""
        labels = {"channel": CHANNEL.name, "outcome": outcome}
        return self.registry.get_sample_value("aether_notices_total", labels) or 0

    async def stop(self, one: Notices, *, is_killed: bool = False) -> None:
        """End one; killed, it gives nothing back and says nothing more."""
        for pair in [pair for pair in self.running if pair[0] is one]:
            self.running.remove(pair)
            if is_killed:
                await client_of(one.js).close()
            pair[1].cancel()
            await asyncio.gather(pair[1], return_exceptions=True)

    async def leave(self) -> None:
        """End all."""
        for one, _ in list(self.running):
            await self.stop(one)


@pytest_asyncio.fixture
async def monitors(house: House, database_url: str) -> AsyncIterator[Monitors]:
    await house.auditor()
    engine = read_only_engine(database_url)
    made = Monitors(house, engine)
    yield made
    await made.leave()
    await engine.dispose()


def failed(run: str, connector: str = "staff") -> RunState:
    return run_state(run, RunStatus.FAILED).model_copy(
        update={"connector": connector, "failure": FailureNote(code="SRC_UNREACHABLE", text=CANARY)}
    )


async def told(monitors: Monitors, *titles: str) -> None:
    """Wait until people were told this and nothing else, in whatever order."""
    try:
        await until(lambda: Counter(monitors.post.titles()) == Counter(titles))
    except AssertionError:
        raise AssertionError(f"told was {monitors.post.titles()}") from None


async def settled(monitors: Monitors, notices: int) -> None:
    """Wait until the log holds so many facts of notices."""

    async def is_so() -> bool:
        async with monitors.engine.connect() as connection:
            query = select(func.count()).where(tables.entry.c.type == NoticeSent.event_type)
            return int((await connection.execute(query)).scalar_one()) == notices

    await until(is_so)


async def test_a_run_that_waits_is_told_when_it_begins_and_when_it_ends(monitors: Monitors) -> None:
    run = new_run()
    await monitors.start()
    await monitors.house.say_state(run_state(run, RunStatus.HELD, changes=143))
    await told(monitors, "staff: the guard holds a run")
    text = monitors.post.got[0].text
    assert "Counts: changes 143, approvals needed 1" in text and run in text
    await monitors.house.say_state(run_state(run, RunStatus.REJECTED, changes=143))
    await told(monitors, "staff: the guard holds a run", "over: staff: the guard holds a run")
    assert "State of that run now: rejected" in monitors.post.got[1].text
    await settled(monitors, 2)


async def test_every_kind_that_the_log_tells_of_is_told_and_no_text_of_a_failure_is(monitors: Monitors) -> None:
    house, runs = monitors.house, [new_run() for _ in range(3)]
    counts = NineCounts(planned=5, applied=3, failed=2)
    await house.say_state(failed(runs[0]))
    await house.say_state(run_state(runs[1], RunStatus.PARTIAL, changes=5, counts=counts))
    await house.say_state(run_state(runs[2], RunStatus.PAUSED, changes=5).model_copy(update={"connector": "students"}))
    quarantined = facts.ConnectionHealth(
        connection="hst", status="quarantined", since=to_text(SystemClock().now()), run=None,
        reason=FailureNote(code="SRC_AUTH", text=CANARY),
    )  # fmt: skip
    healthy = quarantined.model_copy(update={"status": "healthy", "reason": None})
    alarm = facts.AlarmRaised(service="applier", run=None, reason=FailureNote(code="APL_PLAN_ALTERED", text=CANARY))
    place = facts.connection_health_subject("hst")
    await house.say(quarantined, place, "hst", service="applier")
    await house.say(alarm, alarm_subject("applier"), "applier", service="applier")
    paused = schedules.SchedulePaused(connector="hr", pause=Pause(by="otto", at=quarantined.since, reason=CANARY))
    await house.say(paused, "evt.extractor.schedule_paused.hr", "hr")
    await monitors.start()
    begun = [
        "staff: a run failed", "staff: a run ended partial", "students: a run is paused",
        "hst: the connection is in quarantine", "an alarm was raised", "hr: the schedule is paused",
    ]  # fmt: skip
    await told(monitors, *begun)
    assert "SRC_UNREACHABLE" in "".join(notice.text for notice in monitors.post.got)
    assert "Canary" not in repr(monitors.post.got)
    await house.whole_run(new_run())
    await house.say(healthy, place, "hst", service="applier")
    resumed = schedules.ScheduleResumed(connector="hr", by="otto", reason=CANARY)
    await house.say(resumed, "evt.extractor.schedule_resumed.hr", "hr")
    over = [
        "staff: a run failed", "staff: a run ended partial", "hst: the connection is in quarantine",
        "hr: the schedule is paused",
    ]  # fmt: skip
    await told(monitors, *begun, *(f"over: {title}" for title in over))


async def test_a_monitor_that_starts_again_tells_nothing_twice(monitors: Monitors) -> None:
    runs = [new_run() for _ in range(3)]
    first = await monitors.start()
    for run in runs:
        await monitors.house.say_state(run_state(run, RunStatus.AWAITING_APPROVAL, changes=5))
    begun = ["staff: a run waits for approval"] * 3
    await told(monitors, *begun)
    await monitors.stop(first)
    await monitors.house.say_state(run_state(runs[0], RunStatus.EXPIRED, changes=5))
    second = await monitors.start()
    await until(lambda: second.is_telling)
    await told(monitors, *begun, "over: staff: a run waits for approval")
    await settled(monitors, 4)
    assert set(monitors.post.times().values()) == {1}


async def test_of_two_monitors_one_tells_and_the_other_goes_on_when_it_is_killed(monitors: Monitors) -> None:
    first = await monitors.start()
    await until(lambda: first.is_telling)
    second = await monitors.start()
    await monitors.house.say_state(run_state(new_run(), RunStatus.HELD, changes=5))
    await told(monitors, "staff: the guard holds a run")
    await settled(monitors, 1)
    assert not second.is_telling
    await monitors.stop(first, is_killed=True)
    await monitors.house.say_state(run_state(new_run(), RunStatus.HELD, changes=5))
    await until(lambda: second.is_telling)
    await told(monitors, *["staff: the guard holds a run"] * 2)
    assert set(monitors.post.times().values()) == {1}


async def test_a_new_holder_waits_for_what_the_auditor_has_not_recorded_yet(monitors: Monitors) -> None:
    house, first = monitors.house, await monitors.start()
    await until(lambda: first.is_telling)
    monitors.post.is_up = False
    await house.say_state(run_state(new_run(), RunStatus.HELD, changes=5))
    await until(lambda: monitors.counted("failed"))
    ((auditor, _),) = house.auditors
    await house.stop(auditor)  # what is told now is on the bus, and not in the log
    monitors.post.is_up = True
    await told(monitors, "staff: the guard holds a run")
    await monitors.stop(first)
    second = await monitors.start()
    await asyncio.sleep(0.5)  # time enough to tell it once more
    assert not second.is_telling
    await house.auditor()
    await until(lambda: second.is_telling)
    await settled(monitors, 1)
    assert monitors.post.titles() == ["staff: the guard holds a run"]


async def test_a_channel_that_is_down_is_counted_and_told_once_it_is_back(monitors: Monitors) -> None:
    monitors.post.is_up = False
    await monitors.start()
    await monitors.house.say_state(failed(new_run()))
    await until(lambda: monitors.counted("failed") >= 2)
    monitors.post.is_up = True
    await told(monitors, "staff: a run failed")
    assert monitors.counted("sent") == 1


async def test_effects_that_stay_unknown_for_ten_minutes_are_found(monitors: Monitors) -> None:
    house, run, reader = monitors.house, new_run(), Reader(monitors.engine)
    await house.say_state(run_state(run, RunStatus.APPLYING, changes=5))
    await house.conclude(run, 2)
    await house.conclude(run, 3, first=2, is_concluded=False)
    await house.until_recorded()
    now = SystemClock().now()
    assert (await reader.look(now=now)).unresolved == ()
    await house.conclude(run, 1, first=2)  # two are left
    await house.until_recorded()
    (unresolved,) = (await reader.look(now=now + timedelta(minutes=11))).unresolved
    assert (unresolved.run, unresolved.changes) == (run, 2)
    await house.conclude(run, 3, first=2)
    await house.until_recorded()
    assert (await reader.look(now=now + timedelta(minutes=12))).unresolved == ()
