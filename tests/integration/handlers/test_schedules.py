"""Runs by schedule on the real bus: one run a time with any number of replicas, and what holds them back."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from nats.js.errors import APIError
from prometheus_client import CollectorRegistry

from services.extractor.schedule_list import scheduled
from services.extractor.scheduling import Scheduling
from shared.bus.connect import BusSettings, connect, leave
from shared.bus.embedded import EmbeddedServer
from shared.bus.provision import provision
from shared.bus.reading import last, read_all
from shared.bus.topology import PROVISIONER
from shared.clock import to_text
from shared.events.model import Event
from shared.events.schedules import NameSchedule, ScheduleFired, SchedulePaused, ScheduleQuery, ScheduleSkipped
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from shared.schedule.state import ScheduleState, schedule_state_in, schedule_subject
from shared.schedule.times import times_after
from tests.integration.handlers.small_house import Replica, SmallHouse
from tests.integration.handlers.small_systems import LateClock
from tests.support.bus import BusUnderTest, own_bus

__all__ = ["own_bus"]

CLAUSE = "\nschedule: {{cron: '{cron}', time_zone: America/Los_Angeles, mode: {mode}{more}}}\n"


class SetClock(LateClock):
    """A clock that stands where it was set."""

    at = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Scheduler:
    """A house with one scheduled connector, and replicas that look at it."""

    def __init__(self, house: SmallHouse, folder: Path) -> None:
        self.house = house
        self.clock = SetClock()
        self.calendar = folder / "calendar.yaml"
        self.calendar.write_text("time_zone: America/Los_Angeles\n", encoding="utf-8")
        house.clock = self.clock
        self.replicas: list[Scheduling] = []
        self.registries: list[CollectorRegistry] = []
        self.first: Replica | None = None

    async def begin(
        self, cron: str = "30 2 * * *", *, mode: str = "dry-run", more: str = "", replicas: int = 1
    ) -> None:
        definition = self.house.folder / self.house.connector / "connector.yaml"
        text = definition.read_text(encoding="utf-8").partition("\nschedule:")[0]
        definition.write_text(text + CLAUSE.format(cron=cron, mode=mode, more=more), encoding="utf-8")
        self.house.publish()
        for _ in range(replicas):
            replica = await self.house.replica("extractor")
            self.first = self.first or replica
            self.registries.append(CollectorRegistry())
            self.replicas.append(Scheduling(replica.context, calendar=self.calendar, registry=self.registries[-1]))
        await self.look()

    async def look(self, *, by: int | None = None) -> None:
        """All replicas look at the same moment."""
        await asyncio.gather(*(each.look(self.house.connector) for each in self.replicas[:by]))

    async def look_at(self, moment: datetime) -> None:
        self.clock.at = moment
        await self.look()

    async def state(self) -> ScheduleState:
        assert self.first is not None
        found = schedule_state_in(await last(self.first.js, "CORE", schedule_subject(self.house.connector)))
        assert found is not None
        return found

    async def runs(self) -> list[str]:
        return [event.run for event in await self.told("fired") if isinstance(event, ScheduleFired)]

    async def codes(self) -> list[str]:
        return [event.reason.code for event in await self.told("skipped") if isinstance(event, ScheduleSkipped)]

    async def told(self, what: str) -> list[Any]:
        kinds: dict[str, type[Event]] = {"fired": ScheduleFired, "skipped": ScheduleSkipped, "paused": SchedulePaused}
        subject = f"evt.extractor.schedule_{what}.{self.house.connector}"
        js = self.house.readers["CORE"]
        return [kinds[what].model_validate_json(one.data) async for one in read_all(js, "CORE", subject)]

    async def end_run_as(self, status: RunStatus) -> None:
        """The last run came to this, without anybody having worked."""
        run = (await self.state()).last_run
        assert run is not None
        assert self.first is not None
        stored = await last(self.first.js, "CORE", state_subject(run))
        assert stored is not None
        ended = RunState.model_validate_json(stored.data).model_copy(update={"status": status})
        await self.first.js.publish(
            state_subject(run),
            ended.model_dump_json().encode(),
            stream="CORE",
            headers={
                **{key: value for key, value in stored.headers.items() if key.startswith(("ce-", "Content-"))},
                "Nats-Msg-Id": f"{run}.{status}",
            },
        )

    async def ask(self, act: str, reason: str = "as told") -> Any:
        assert self.first is not None
        body = NameSchedule(connector=self.house.connector, reason=reason)
        return await self.first.ask(f"aether.schedule.{act}", body, who="otto")

    def nights(self, count: int) -> list[datetime]:
        return list(islice(times_after("30 2 * * *", "America/Los_Angeles", self.clock.at), count))


@pytest.fixture
def scheduler(house: SmallHouse, tmp_path: Path) -> Scheduler:
    return Scheduler(house, tmp_path)


async def test_three_replicas_and_doubled_bells_make_one_run_a_time(scheduler: Scheduler) -> None:
    await scheduler.begin(replicas=3)
    for night in scheduler.nights(3):
        await scheduler.look_at(night)
        await asyncio.gather(scheduler.look(), scheduler.look())
        await scheduler.look_at(night + timedelta(minutes=1))
        await scheduler.end_run_as(RunStatus.PLANNED)
    runs = await scheduler.runs()
    assert len(runs) == len(set(runs)) == 3
    assert await scheduler.codes() == []
    assert runs[0].startswith("20261124T103000-"), "the run bears its time"
    assert scheduler.first is not None
    stored = await last(scheduler.first.js, "CORE", state_subject(runs[0]))
    assert stored is not None
    assert RunState.model_validate_json(stored.data).requester == "schedule"


async def test_a_run_under_way_is_not_overlapped_and_the_time_is_told_as_left_out(scheduler: Scheduler) -> None:
    await scheduler.begin()
    first, second = scheduler.nights(2)
    await scheduler.look_at(first)
    await scheduler.look_at(second)
    assert len(await scheduler.runs()) == 1
    assert await scheduler.codes() == ["SCH_OVERLAP"]
    await scheduler.look_at(second + timedelta(minutes=3))
    assert await scheduler.codes() == ["SCH_OVERLAP"], "a time is settled once"


async def test_a_run_that_is_refused_is_a_time_left_out_with_the_reason(scheduler: Scheduler) -> None:
    scheduler.house.environment = "production"
    await scheduler.begin(mode="apply")
    (night,) = scheduler.nights(1)
    await scheduler.look_at(night)
    (skipped,) = await scheduler.told("skipped")
    assert skipped.reason.code == "SCH_REFUSED"
    assert "was not promoted to production" in skipped.reason.text
    assert await scheduler.runs() == []


async def test_two_held_runs_pause_it_and_a_person_lets_it_go_on(scheduler: Scheduler) -> None:
    await scheduler.begin(mode="apply")
    nights = scheduler.nights(5)
    for night in nights[:2]:
        await scheduler.look_at(night)
        await scheduler.end_run_as(RunStatus.HELD)
        await scheduler.look_at(night + timedelta(minutes=10))
    state = await scheduler.state()
    assert state.paused is not None
    assert (state.bad_in_row, state.paused.by) == (2, "schedule")
    (told,) = await scheduler.told("paused")
    assert told.pause == state.paused
    await scheduler.look_at(nights[2])
    assert await scheduler.codes() == ["SCH_PAUSED"]
    assert (await scheduler.ask("resume")).is_accepted
    await scheduler.look_at(nights[2] + timedelta(hours=1))
    assert len(await scheduler.runs()) == 2, "what passed while it was paused is not made up for"
    await scheduler.look_at(nights[3])
    assert len(await scheduler.runs()) == 3


async def test_pause_and_resume_are_refused_where_they_change_nothing(
    scheduler: Scheduler,
) -> None:
    await scheduler.begin()
    assert (await scheduler.ask("resume")).refusal.code == "APV_MALFORMED"
    assert (await scheduler.ask("pause", "  ")).refusal.code == "APV_MALFORMED"
    assert (await scheduler.ask("pause")).is_accepted
    assert (await scheduler.ask("pause")).refusal.code == "APV_MALFORMED"
    assert scheduler.first is not None
    body = NameSchedule(connector="nobody", reason="x")
    reply = await scheduler.first.ask("aether.schedule.pause", body, who="otto")
    assert reply.refusal is not None
    assert reply.refusal.code == "SCH_UNKNOWN"


async def test_a_window_added_to_the_calendar_counts_without_a_restart(scheduler: Scheduler) -> None:
    await scheduler.begin()
    first, second, third = scheduler.nights(3)
    scheduler.calendar.write_text(
        "time_zone: America/Los_Angeles\nblackouts:\n"
        f"  - {{name: board meeting, from: '{to_text(first - timedelta(hours=1))}', "
        f"until: '{to_text(first + timedelta(hours=1))}'}}\n",
        encoding="utf-8",
    )
    await scheduler.look_at(first)
    assert (await scheduler.codes(), await scheduler.runs()) == (["SCH_BLACKOUT"], [])
    scheduler.calendar.write_text("time_zone: Mars\n", encoding="utf-8")
    await scheduler.look_at(second)
    assert await scheduler.codes() == ["SCH_BLACKOUT"], "a file that is just being written is whole in a moment"
    await scheduler.look_at(second + timedelta(minutes=3))
    await scheduler.look_at(second + timedelta(minutes=4))
    assert await scheduler.codes() == ["SCH_BLACKOUT", "SCH_CONFIG"]
    assert await scheduler.runs() == [], "nothing runs by a calendar that cannot be read"
    assert "Mars" in (await scheduler.told("skipped"))[-1].reason.text
    scheduler.calendar.write_text("time_zone: America/Los_Angeles\n", encoding="utf-8")
    await scheduler.look_at(third)
    (fired,) = await scheduler.told("fired")
    assert (fired.nominal, fired.missed) == (to_text(third), 0)


async def test_a_schedule_that_was_retired_for_a_while_makes_nothing_up(scheduler: Scheduler) -> None:
    await scheduler.begin()
    first, second, third = scheduler.nights(3)
    looks = scheduler.replicas[0]
    await looks.look_at_all()
    await scheduler.look_at(first)
    await scheduler.end_run_as(RunStatus.PLANNED)
    definition = scheduler.house.folder / scheduler.house.connector / "connector.yaml"
    active = definition.read_text(encoding="utf-8")
    definition.write_text(active.replace("lifecycle: active", "lifecycle: retired"), encoding="utf-8")
    labels = {"connector": scheduler.house.connector}
    shown = "aether_schedule_next_timestamp_seconds"
    assert scheduler.registries[0].get_sample_value(shown, labels) == second.timestamp()
    await looks.look_at_all()
    assert scheduler.registries[0].get_sample_value(shown, labels) is None, "nobody is alarmed by its last figures"
    scheduler.clock.at = second + timedelta(hours=4)
    definition.write_text(active, encoding="utf-8")
    await looks.look_at_all()
    assert len(await scheduler.runs()) == 1, "the night when it was retired is nobody's"
    await scheduler.look_at(third)
    assert len(await scheduler.runs()) == 2


async def test_a_bell_for_a_connector_that_is_gone_takes_its_alarm_clock_away(scheduler: Scheduler) -> None:
    await scheduler.begin()
    assert scheduler.first is not None
    name, context = scheduler.house.connector, scheduler.first.context
    await scheduler.replicas[0].look_at_all()
    shutil.rmtree(scheduler.house.folder / name)
    begun_since = Scheduling(context, calendar=None, registry=CollectorRegistry())
    await begun_since.on_tick(f"tick.{name}")
    gone = await last(scheduler.first.js, "SCHED", f"sched.cron.{name}")
    assert gone is not None
    assert "Nats-Schedule" not in gone.headers


async def test_a_bell_for_a_faulty_definition_is_no_dead_letter(scheduler: Scheduler) -> None:
    await scheduler.begin()
    definition = scheduler.house.folder / scheduler.house.connector / "connector.yaml"
    definition.write_text("name: [", encoding="utf-8")
    await scheduler.replicas[0].on_tick(f"tick.{scheduler.house.connector}")
    await scheduler.replicas[0].look_at_all()
    assert await scheduler.runs() == []


async def test_what_passed_while_it_was_paused_and_nobody_looked_is_not_made_up_for(scheduler: Scheduler) -> None:
    await scheduler.begin()
    first, second = scheduler.nights(2)
    assert (await scheduler.ask("pause")).is_accepted
    scheduler.clock.at = first + timedelta(hours=2)
    assert (await scheduler.ask("resume")).is_accepted
    await scheduler.look()
    assert (await scheduler.runs(), await scheduler.codes()) == ([], [])
    await scheduler.look_at(second)
    assert len(await scheduler.runs()) == 1


async def test_what_fell_due_while_the_server_was_dead_is_made_good_once(own_bus: BusUnderTest, tmp_path: Path) -> None:
    """Three nights pass while the server is down, killed with everything unsaid; three replicas come back."""
    (tmp_path / "house").mkdir()
    house = await SmallHouse.made(own_bus, tmp_path / "house")
    scheduler = Scheduler(house, tmp_path)
    await scheduler.begin(replicas=3, more=", jitter_seconds_max: 600")
    third = scheduler.nights(3)[-1]
    own_bus.server.kill()
    scheduler.clock.at = third + timedelta(hours=1)
    await own_bus.server.start_async()
    async with asyncio.timeout(30):
        while (await scheduler.state()).settled is None:
            await asyncio.gather(*(each.look_at_all() for each in scheduler.replicas))
    await asyncio.gather(*(each.look_at_all() for each in scheduler.replicas))
    (fired,) = await scheduler.told("fired")
    assert (fired.nominal, fired.missed) == (to_text(third), 2)
    await house.close()


async def test_the_list_says_what_is_next_and_what_stands_against_it(scheduler: Scheduler) -> None:
    await scheduler.begin()
    assert (await scheduler.ask("pause", "audit week")).is_accepted
    assert scheduler.first is not None
    context = scheduler.first.context
    answer = await scheduled(ScheduleQuery(times=3), scheduler.replicas[0], context)
    (view,) = [one for one in answer.schedules if one.connector == scheduler.house.connector]
    assert [one.at for one in view.next] == [to_text(night) for night in scheduler.nights(3)]
    assert {one.left_out.code for one in view.next if one.left_out is not None} == {"SCH_PAUSED"}
    assert view.paused is not None
    assert view.paused.reason == "audit week"
    assert answer.calendar is not None
    assert answer.calendar.rollover == "1 to 15 July of every year"
    scheduler.calendar.unlink()
    answer = await scheduled(ScheduleQuery(), scheduler.replicas[0], context)
    assert answer.problem is not None
    assert answer.problem.code == "SCH_CONFIG"


async def test_the_bus_holds_the_alarm_clock_and_loses_it_with_the_schedule(scheduler: Scheduler) -> None:
    await scheduler.begin(cron="15 3 * * MON-FRI")
    name = scheduler.house.connector
    assert scheduler.first is not None
    await scheduler.replicas[0].look_at_all()
    kept = await last(scheduler.first.js, "SCHED", f"sched.cron.{name}")
    assert kept is not None
    assert kept.headers["Nats-Schedule"] == "0 15 3 * * MON-FRI"
    await scheduler.replicas[0].look_at_all()
    again = await last(scheduler.first.js, "SCHED", f"sched.cron.{name}")
    assert again is not None
    assert again.seq == kept.seq, "what is right already is left alone"
    definition = scheduler.house.folder / name / "connector.yaml"
    definition.write_text(
        definition.read_text(encoding="utf-8").replace("lifecycle: active", "lifecycle: retired"), encoding="utf-8"
    )
    await scheduler.replicas[0].look_at_all()
    gone = await last(scheduler.first.js, "SCHED", f"sched.cron.{name}")
    assert gone is not None
    assert "Nats-Schedule" not in gone.headers


@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_the_bus_rings_again_after_its_server_was_away(tmp_path: Path, ending: str) -> None:
    """A schedule and a jittered beginning that fall due while the server is down, or after it."""
    server = EmbeddedServer(tmp_path / "bus").start()
    try:
        client = await connect(BusSettings(server.url, PROVISIONER, server.password_of(PROVISIONER)))
        await provision(client.jetstream())
        extractor = await connect(BusSettings(server.url, "extractor", server.password_of("extractor")))
        at = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
        for subject, when in (("sched.cron.tiny", "* * * * * *"), ("sched.jitter.tiny", f"@at {at}")):
            headers = {"Nats-Schedule": when, "Nats-Schedule-Target": f"tick.{subject.split('.')[1]}"}
            await extractor.jetstream().publish(subject, b"", stream="SCHED", headers=headers, timeout=5)
        if ending == "kill":
            server.kill()
        else:
            server.stop()
        await asyncio.sleep(2.5)
        server.start()
        rung: dict[str, int] = {}
        async with asyncio.timeout(20):
            while set(rung) != {"tick.cron", "tick.jitter"}:
                await asyncio.sleep(0.3)
                try:
                    info = await client.jetstream().stream_info("SCHED", subjects_filter="tick.>")
                    rung = info.state.subjects or {}
                except (APIError, OSError, TimeoutError):
                    continue
        assert rung["tick.jitter"] == 1
        await leave(extractor)
        await leave(client)
    finally:
        server.stop()
