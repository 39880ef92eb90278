"""The bus's own alarm clocks: what they ring, when they think the next time is, and that one taken away rings no more.

The judge of our times is the server: it reads the same expressions with a parser of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError
from prometheus_client import CollectorRegistry

from services.extractor.scheduling import TICK_SECONDS, cron_subject
from shared.bus.broker import BusBroker
from shared.bus.commit import Committer
from shared.bus.wiring import Service
from shared.clock import SystemClock
from shared.ids import RandomIds
from shared.schedule.times import times_after
from shared.settings import ServiceSettings
from tests.support.bus import BusUnderTest, until

EVERY_SECOND = "* * * * * *"
LEAD = timedelta(seconds=3)
"""From the publication of an alarm clock to its first bell."""


async def put(js: JetStreamContext, subject: str, headers: dict[str, str]) -> None:
    await js.publish(subject, b"", stream="SCHED", headers=headers, timeout=5)


async def rung(bus: BusUnderTest, subject: str) -> int:
    """How many ticks lie under the subject."""
    js = await bus.js_as("provisioner")
    info: StreamInfo = await js.stream_info("SCHED", subjects_filter=subject)
    return (info.state.subjects or {}).get(subject, 0)


async def bell(bus: BusUnderTest, subject: str) -> dict[str, str] | None:
    """The headers of the last tick under the subject; the server made it, so it bears none of our own marks."""
    try:
        message = await (await bus.js_as("provisioner")).get_last_msg("SCHED", subject)
    except NotFoundError:
        return None
    return dict(message.headers or {})


@asynccontextmanager
async def replica(bus: BusUnderTest, heard: list[str]) -> AsyncIterator[CollectorRegistry]:
    """An extractor that hears bells as the program does."""
    registry = CollectorRegistry()
    broker = BusBroker(
        bus.settings_for("extractor"),
        service="extractor",
        registry=registry,
        clock=SystemClock(),
        exits_when_closed=False,
        shutdown_seconds=2,
    )
    await broker.connect()
    committer = Committer(broker.jetstream, service="extractor", clock=SystemClock())
    settings = ServiceSettings.model_construct()
    service = Service("extractor", settings, broker, committer, registry, SystemClock(), RandomIds())

    async def on_tick(subject: str) -> None:
        heard.append(subject)

    service.take_ticks("extractor_ticks", on_tick)
    await broker.start()
    try:
        yield registry
    finally:
        await broker.stop()


async def test_a_bell_of_the_server_is_heard_by_one_replica_and_is_no_dead_letter(own_bus: BusUnderTest) -> None:
    heard: list[str] = []
    async with AsyncExitStack() as open_ones:
        metrics = [await open_ones.enter_async_context(replica(own_bus, heard)) for _ in range(3)]
        js = await own_bus.js_as("extractor")
        at = datetime.now(UTC) + timedelta(seconds=1)
        for name in ("one", "two"):
            when = {"Nats-Schedule": f"@at {at:%Y-%m-%dT%H:%M:%SZ}", "Nats-Schedule-TTL": f"{TICK_SECONDS}s"}
            await put(js, f"sched.jitter.{name}", {**when, "Nats-Schedule-Target": f"tick.{name}"})
        await until(lambda: len(heard) == 2)
        labels = {"consumer": "extractor_ticks", "verdict": "ack"}
        await until(lambda: sum(one.get_sample_value("aether_bus_verdicts_total", labels) or 0 for one in metrics) == 2)
    assert sorted(heard) == ["tick.one", "tick.two"]
    letters = await (await own_bus.js_as("provisioner")).stream_info("DLQ")
    assert letters.state.messages == 0


async def test_an_alarm_clock_that_was_taken_away_rings_no_more(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as("extractor")
    for name in ("gone", "kept"):
        await put(js, cron_subject(name), {"Nats-Schedule": EVERY_SECOND, "Nats-Schedule-Target": f"tick.{name}"})
    async with asyncio.timeout(15):
        while min([await rung(own_bus, f"tick.{name}") for name in ("gone", "kept")]) == 0:
            await asyncio.sleep(0.1)
    await put(js, cron_subject("gone"), {"Nats-Rollup": "sub"})
    before, kept = await rung(own_bus, "tick.gone"), await rung(own_bus, "tick.kept")
    async with asyncio.timeout(15):
        while await rung(own_bus, "tick.kept") < kept + 3:
            await asyncio.sleep(0.1)
    assert await rung(own_bus, "tick.gone") <= before + 1, "one may have been under way"
    await own_bus.server.restart_async()
    kept = await rung(own_bus, "tick.kept")
    async with asyncio.timeout(15):
        while await rung(own_bus, "tick.kept") < kept + 2:
            await asyncio.sleep(0.1)
    assert await rung(own_bus, "tick.gone") <= before + 1, "and not after a restart"


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "Europe/Berlin", "UTC"])
async def test_the_server_and_we_mean_the_same_by_an_expression(own_bus: BusUnderTest, zone: str) -> None:
    """Each alarm clock rings within this minute, and its bell says when the server will ring next."""
    js = await own_bus.js_as("extractor")
    begins = (datetime.now(UTC) + LEAD).replace(microsecond=0)
    local = begins.astimezone(ZoneInfo(zone))
    if zone != "UTC" and local.hour in (1, 2, 3):
        pytest.skip(f"it is {local:%H:%M} in {zone}: near a change of clocks the server has ideas of its own")
    minute, hour, weekday = local.minute, local.hour, f"{local:%a}".upper()
    expressions = [
        f"{minute} {hour} * * *",
        f"{minute} {hour},{(hour + 5) % 24} * * *",
        f"{minute} * * * {weekday}",
        f"{minute} {hour} * * {'MON-FRI' if local.weekday() < 5 else 'SAT,SUN'}",
        f"{minute} {hour} {local.day} * *",
        f"{minute} {hour} {local.day} {local.month} *",
        f"{minute},{(minute + 20) % 60} * * * *",
    ]
    for number, cron in enumerate(expressions):
        headers = {
            "Nats-Schedule": f"{local.second} {cron}",
            "Nats-Schedule-Time-Zone": zone,
            "Nats-Schedule-TTL": f"{TICK_SECONDS}s",
            "Nats-Schedule-Target": f"tick.judge-{number}",
        }
        await put(js, cron_subject(f"judge-{number}"), headers)
    for number, cron in enumerate(expressions):
        async with asyncio.timeout(15):
            while (tick := await bell(own_bus, f"tick.judge-{number}")) is None:
                await asyncio.sleep(0.2)
        ours = next(times_after(cron, zone, begins)) + timedelta(seconds=local.second)
        assert datetime.fromisoformat(tick["Nats-Schedule-Next"]) == ours, f"{cron} in {zone}"
        assert tick["Nats-TTL"] == f"{TICK_SECONDS}s", "a tick that nobody takes goes by itself"
        assert tick["Nats-Scheduler"] == cron_subject(f"judge-{number}")
