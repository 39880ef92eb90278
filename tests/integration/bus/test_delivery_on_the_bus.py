"""What becomes of messages whose handlers fail, take long or die: through FastStream on the real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import nats.errors
import pydantic
import pytest
from faststream import Context
from faststream.nats.annotations import NatsMessage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from shared.bus.broker import BusBroker, NotProvisioned, answer, consume
from shared.bus.connect import leave
from shared.bus.delivery import BackOff, Permanent
from shared.bus.publishing import Outgoing, publish_one
from shared.bus.reading import read_all
from shared.bus.topology import CONSUMERS, PROVISIONER
from shared.clock import SystemClock
from shared.errors import TryLater
from shared.events.dead_letters import HEADER_PREFIX
from shared.events.stored import Stored
from tests.support.bus import BusUnderTest, until

Handler = Callable[..., Awaitable[Any]]

QUICK = BackOff(pauses_seconds=(0.05, 0.1), deliveries_max=3)
IMPATIENT = tuple(replace(row, ack_wait_seconds=1) for row in CONSUMERS)


class Body(pydantic.BaseModel):
    count: int


class Serving:
    """A service on the bus with one handler, and what it measured."""

    def __init__(self, broker: BusBroker, registry: CollectorRegistry, spans: InMemorySpanExporter) -> None:
        self.broker = broker
        self.registry = registry
        self.spans = spans

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def serving(
    bus: BusUnderTest,
    handler: Handler,
    *,
    service: str = "differ",
    consumer: str = "differ",
    parallel: int = 1,
    back_off: BackOff = QUICK,
) -> AsyncIterator[Serving]:
    registry, spans, traces = CollectorRegistry(), InMemorySpanExporter(), TracerProvider()
    traces.add_span_processor(SimpleSpanProcessor(spans))
    broker = BusBroker(
        bus.settings_for(service),
        service=service,
        registry=registry,
        clock=SystemClock(),
        tracer_provider=traces,
        exits_when_closed=False,
        shutdown_seconds=2,
        consumers=IMPATIENT,
        back_off=back_off,
    )
    consume(broker, consumer, handler, parallel=parallel)
    await broker.start()
    try:
        yield Serving(broker, registry, spans)
    finally:
        await broker.stop()


@pytest.fixture
async def patient_bus(own_bus: BusUnderTest) -> BusUnderTest:
    """A bus whose consumers wait one second for an acknowledgement."""
    await own_bus.provision(IMPATIENT)
    return own_bus


async def send(bus: BusUnderTest, name: str, body: bytes = b'{"count": 1}', **headers: str) -> Outgoing:
    extractor = await bus.connect_as("extractor")
    outgoing = Outgoing(f"cmd.diff.{name}", body, f"id-{name}", {"content-type": "application/json", **headers})
    await publish_one(extractor.jetstream(), outgoing)
    return outgoing


async def dead_letters(bus: BusUnderTest) -> list[Stored]:
    return [stored async for stored in read_all(await bus.js_as("auditor"), "DLQ", "dlq.>")]


async def is_empty(bus: BusUnderTest, consumer: str = "differ") -> bool:
    """Nothing is left to deliver or to acknowledge."""
    info = await (await bus.js_as(PROVISIONER)).consumer_info("CORE", consumer)
    return (info.num_pending, info.num_ack_pending) == (0, 0)


def on(letter: Stored, name: str) -> str:
    return letter.headers[f"{HEADER_PREFIX}{name}"]


async def test_handled_message_is_acknowledged_and_measured_by_shape(patient_bus: BusUnderTest) -> None:
    seen: list[int] = []

    async def handler(body: Body) -> None:
        seen.append(body.count)

    async with serving(patient_bus, handler) as service:
        await send(patient_bus, "r1.0")
        await until(lambda: is_empty(patient_bus))
        assert seen == [1]
        assert service.count("aether_bus_verdicts_total", consumer="differ", verdict="ack") == 1
        assert service.count("aether_bus_wait_seconds_count", consumer="differ") == 1
        labels = {"app_name": "differ", "broker": "nats", "handler": "cmd.diff"}
        assert service.count("faststream_received_messages_total", **labels) == 1
        assert {span.name for span in service.spans.get_finished_spans()} == {"process cmd.diff"}


async def test_message_that_is_no_json_becomes_a_dead_letter_at_once(patient_bus: BusUnderTest) -> None:
    async def handler(body: Body) -> None:
        raise AssertionError(f"must not be called with {body}")

    async with serving(patient_bus, handler) as service:
        sent = await send(patient_bus, "r1.0", b"{not json")
        await until(lambda: is_empty(patient_bus))
        [letter] = await dead_letters(patient_bus)
        assert letter.subject == "dlq.differ.CORE"
        assert letter.data == b"{not json"
        assert letter.message_id == "dlq-differ-CORE-1"
        assert (on(letter, "Code"), on(letter, "Subject")) == ("SYS_UNDECODABLE", sent.subject)
        assert (on(letter, "Seq"), on(letter, "Deliveries")) == ("1", "1")
        assert service.count("aether_bus_dead_letters_total", consumer="differ", code="SYS_UNDECODABLE") == 1


async def test_message_of_another_shape_becomes_a_dead_letter_without_its_values(patient_bus: BusUnderTest) -> None:
    async def handler(body: Body) -> None:
        raise AssertionError(f"must not be called with {body}")

    async with serving(patient_bus, handler):
        await send(patient_bus, "r1.0", b'{"count": "Synthetic Person"}')
        await until(lambda: is_empty(patient_bus))
    [letter] = await dead_letters(patient_bus)
    assert on(letter, "Code") == "SYS_UNDECODABLE"
    assert not any("Synthetic" in value for value in letter.headers.values())


async def test_permanently_failing_message_becomes_a_dead_letter_and_the_next_is_handled(
    patient_bus: BusUnderTest,
) -> None:
    handled: list[str] = []

    async def handler(body: Body, message: NatsMessage) -> None:
        handled.append(message.raw_message.subject)
        if message.raw_message.subject.endswith("bad"):
            raise Permanent("no such partition")

    async with serving(patient_bus, handler):
        await send(patient_bus, "r1.bad")
        await send(patient_bus, "r1.good")
        await until(lambda: is_empty(patient_bus))
    assert handled == ["cmd.diff.r1.bad", "cmd.diff.r1.good"]
    [letter] = await dead_letters(patient_bus)
    assert "no such partition" in on(letter, "Reason")


async def test_failing_message_is_retried_after_pauses_and_then_laid_among_the_dead(patient_bus: BusUnderTest) -> None:
    times: list[float] = []

    async def handler(body: Body) -> None:
        times.append(asyncio.get_running_loop().time())
        raise KeyError("Synthetic Person")

    async with serving(patient_bus, handler) as service:
        await send(patient_bus, "r1.0")
        await until(lambda: is_empty(patient_bus))
        assert service.count("aether_bus_verdicts_total", consumer="differ", verdict="retry") == 2
        # How long it waits to be tried again is no wait for its first delivery.
        assert service.count("aether_bus_wait_seconds_count", consumer="differ") == 1
    assert len(times) == QUICK.deliveries_max
    assert times[1] - times[0] >= 0.05
    assert times[2] - times[1] >= 0.1
    [letter] = await dead_letters(patient_bus)
    assert on(letter, "Deliveries") == "3"
    assert on(letter, "Reason").startswith(
        "failed in 3 of 3 deliveries, lastly: KeyError at test_delivery_on_the_bus.py"
    )
    assert "Synthetic" not in on(letter, "Reason")


async def test_handler_that_asks_for_time_gets_it_and_does_not_fail(patient_bus: BusUnderTest) -> None:
    attempts = 0

    async def handler(body: Body) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 5:
            raise TryLater("SRC_UNREACHABLE", "the system asks to wait", retry_after_seconds=0.02)

    async with serving(patient_bus, handler):
        await send(patient_bus, "r1.0")
        await until(lambda: is_empty(patient_bus))
    assert attempts == 6
    assert await dead_letters(patient_bus) == []


async def test_handler_longer_than_the_acknowledgement_time_gets_its_message_once(patient_bus: BusUnderTest) -> None:
    deliveries = 0

    async def handler(body: Body) -> None:
        nonlocal deliveries
        deliveries += 1
        await asyncio.sleep(2.5)

    async with serving(patient_bus, handler, parallel=2):
        await send(patient_bus, "r1.0")
        await until(lambda: is_empty(patient_bus))
    assert deliveries == 1


async def test_messages_in_parallel_pulls_wait_for_none_but_themselves(patient_bus: BusUnderTest) -> None:
    running, most = 0, 0

    async def handler(body: Body) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.1)
        running -= 1

    async with serving(patient_bus, handler, parallel=4):
        for number in range(12):
            await send(patient_bus, f"r1.{number}")
        await until(lambda: is_empty(patient_bus))
    assert 2 <= most <= 4


async def test_dead_letter_that_cannot_be_stored_keeps_its_message(
    patient_bus: BusUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.broker.PAUSE_AFTER_LOST_DEAD_LETTER_SECONDS", 0.05)
    refuse = True

    async def sometimes(*args: Any) -> object:
        if refuse:
            raise nats.errors.TimeoutError
        return await publish_one(*args)

    monkeypatch.setattr("shared.bus.broker.publish_one", sometimes)
    attempts = 0

    async def handler(body: Body) -> None:
        nonlocal attempts, refuse
        attempts += 1
        refuse = attempts < 3
        raise Permanent("never")

    async with serving(patient_bus, handler):
        await send(patient_bus, "r1.0")
        await until(lambda: is_empty(patient_bus))
    assert attempts == 3
    assert len(await dead_letters(patient_bus)) == 1


async def test_dead_letter_that_cannot_be_handled_makes_no_other(own_bus: BusUnderTest) -> None:
    await own_bus.provision(IMPATIENT)
    differ = await own_bus.js_as("differ")

    async def handler(body: bytes) -> None:
        raise Permanent("unreadable")

    async with serving(own_bus, handler, service="auditor", consumer="auditor_dlq") as service:
        await publish_one(differ, Outgoing("dlq.differ.CORE", b"x", "a"))
        await until(lambda: service.count("aether_bus_verdicts_total", consumer="auditor_dlq", verdict="dead_letter"))
    assert len(await dead_letters(own_bus)) == 1


async def test_message_published_around_our_publishing_is_not_handled(patient_bus: BusUnderTest) -> None:
    """Such as an answer of the server that another service had turned onto our subject."""
    extractor = await patient_bus.connect_as("extractor")

    async def handler(body: Body) -> None:
        raise AssertionError("must not be called")

    async with serving(patient_bus, handler):
        await extractor.jetstream().publish("cmd.diff.r1.0", b'{"count": 1}')
        await until(lambda: is_empty(patient_bus))
    [letter] = await dead_letters(patient_bus)
    assert "not to be believed" in on(letter, "Reason")


async def test_stopping_service_hands_its_message_on(patient_bus: BusUnderTest) -> None:
    started = asyncio.Event()
    handled: list[str] = []

    async def endless(body: Body) -> None:
        started.set()
        await asyncio.sleep(60)

    async def prompt(body: Body) -> None:
        handled.append("by the next")

    async with serving(patient_bus, endless):
        await send(patient_bus, "r1.0")
        await started.wait()
    async with serving(patient_bus, prompt):
        await until(lambda: is_empty(patient_bus))
    assert handled == ["by the next"]


async def test_services_resume_after_the_server_was_killed(patient_bus: BusUnderTest) -> None:
    handled: list[str] = []

    async def handler(body: Body, message: NatsMessage) -> None:
        handled.append(message.raw_message.subject)

    async with serving(patient_bus, handler) as service:
        for number in range(3):
            await send(patient_bus, f"r1.{number}")
        await until(lambda: len(set(handled)) == 3)
        patient_bus.server.kill()
        await patient_bus.server.restart_async()
        for number in range(3, 6):
            await send(patient_bus, f"r1.{number}")
        await until(lambda: len(set(handled)) == 6)
        await until(lambda: is_empty(patient_bus))
        # An acknowledgement may die with the server; a message never does.
        assert set(handled) == {f"cmd.diff.r1.{number}" for number in range(6)}
        assert service.broker.refusals.total == 0


async def test_request_is_answered_through_the_broker(bus: BusUnderTest) -> None:
    async def handler(headers: Annotated[dict[str, str], Context("message.headers")]) -> str:
        return headers["Nats-Request-Info"]

    broker = BusBroker(
        bus.settings_for("extractor"),
        service="extractor",
        registry=CollectorRegistry(),
        clock=SystemClock(),
        exits_when_closed=False,
    )
    answer(broker, "aether.run.request", handler)
    await broker.start()
    otto = await bus.connect_as("otto")
    try:
        reply = await otto.request("aether.run.request", b"{}", timeout=5)
        assert b'"user":"otto"' in reply.data
    finally:
        await broker.stop()
        await leave(otto)


async def test_start_names_the_consumer_that_is_not_provisioned(own_bus: BusUnderTest) -> None:
    await (await own_bus.js_as(PROVISIONER)).delete_consumer("CORE", "differ")

    async def handler(body: bytes) -> None:
        raise AssertionError("must not be called")

    with pytest.raises(NotProvisioned, match="consumer differ of stream CORE"):
        async with serving(own_bus, handler):
            raise AssertionError("must not start")


def test_consumers_and_requests_of_others_are_refused() -> None:
    from shared.bus.connect import BusSettings

    broker = BusBroker(
        BusSettings("nats://127.0.0.1:1", "differ", "x"),
        service="differ",
        registry=CollectorRegistry(),
        clock=SystemClock(),
    )

    async def handler(body: bytes) -> None:
        raise AssertionError("must not be called")

    with pytest.raises(ValueError, match="belongs to applier, not to differ"):
        consume(broker, "applier", handler)
    with pytest.raises(ValueError, match="does not answer"):
        answer(broker, "aether.run.request", handler)
    with pytest.raises(ValueError, match="from 1 to 64"):
        consume(broker, "differ", handler, parallel=65)


async def test_a_tick_that_the_server_made_is_heard_and_is_no_dead_letter(patient_bus: BusUnderTest) -> None:
    heard: list[str] = []

    async def hear(message: NatsMessage) -> None:
        heard.append(message.raw_message.subject)

    async with serving(patient_bus, hear, service="extractor", consumer="extractor_ticks"):
        js = await patient_bus.js_as("extractor")
        headers = {"Nats-Schedule": "@at 2026-01-01T00:00:00Z", "Nats-Schedule-Target": "tick.tiny"}
        await js.publish("sched.jitter.tiny", b"", stream="SCHED", headers=headers, timeout=5)
        await until(lambda: heard == ["tick.tiny"])
    assert await dead_letters(patient_bus) == []
