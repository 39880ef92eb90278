"""One trace for one run, through requests, handlers, threads and task groups: on the real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from shared.bus.broker import BusBroker
from shared.bus.commit import Committer
from shared.bus.dispatch import Actor, Asked, RequestRoute, Route
from shared.bus.publishing import publish_one
from shared.bus.reading import last, read_all
from shared.bus.wiring import Service
from shared.clock import SystemClock, to_text
from shared.errors import NeedsPerson
from shared.events.commands import (
    DiffPartition,
    NameRun,
    ReadSide,
    RequestRun,
    diff_partition_subject,
    read_side_subject,
)
from shared.events.facts import TargetFenced, fence_subject
from shared.events.stored import Stored
from shared.ids import RandomIds
from shared.run.moves import Decision, Message, Move, move_run, state_message
from shared.run.state import PhaseTime, RunState, state_subject
from shared.run.states import RunStatus
from shared.settings import ServiceSettings
from shared.telemetry.carrying import current_traceparent
from shared.telemetry.tracing import tracer_provider
from tests.support.bus import BusUnderTest, until

CLOCK = SystemClock()
RUN = "20261122T083455-4k7zq2"
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Seen:
    """What the handlers found to be the current trace."""

    def __init__(self) -> None:
        self.at: dict[str, str | None] = {}
        self.committer: Committer | None = None


def trace_of(traceparent: str | None) -> str:
    assert traceparent is not None and FORM.fullmatch(traceparent), traceparent
    return traceparent.split("-")[1]


def first_state(run: str) -> RunState:
    now = to_text(CLOCK.now())
    return RunState(
        run=run, connector="staff", connector_version="1", release_digest="sha256:r", mode="apply", requester="otto",
        status=RunStatus.QUEUED, changed_at=now, work=(), partitions=1, target="t",
        history=(PhaseTime(status=RunStatus.QUEUED, at=now),),
    )  # fmt: skip


def diff_command(run: str, partition: int) -> Message:
    return Message(
        diff_partition_subject(run, partition), DiffPartition(run=run, partition=partition), f"{run}.{partition}", run
    )


async def on_request(request: RequestRun, actor: Actor, seen: Seen) -> Asked:
    """As the extractor does: the run's first document and the command to read."""
    run = request.connector
    read = Message(
        read_side_subject(run, "source", "users"),
        ReadSide(run=run, side="source", entity="users"),
        f"{run}.read",
        run,
    )
    subject = state_subject(run)
    return Asked(run, Move((subject,), lambda _: Decision((state_message(first_state(run)), read))))


async def on_cancel(command: NameRun, actor: Actor, seen: Seen) -> Asked:
    if command.reason == "refuse":
        raise NeedsPerson("APV_WRONG_STATE", "refused", run=command.run)

    def decide(state: RunState) -> Decision:
        asked = state.model_copy(update={"cancel_requested_by": actor.name})
        return Decision((state_message(asked), diff_command(command.run, 1)))

    return Asked(command.run, move_run(command.run, decide))


async def on_read(command: ReadSide, seen: Seen) -> Move:
    seen.at["handler"] = current_traceparent()
    seen.at["thread"] = await asyncio.to_thread(current_traceparent)

    async def look() -> None:
        seen.at["task"] = current_traceparent()

    async with asyncio.TaskGroup() as group:
        group.create_task(look())
    return Move((), lambda _: Decision((diff_command(command.run, 0),)))


async def on_diff(command: DiffPartition, seen: Seen) -> None:
    seen.at[f"diff {command.partition}"] = current_traceparent()


class Serving:
    """Two services with a few handlers."""

    def __init__(self, bus: BusUnderTest) -> None:
        self.bus = bus
        self.seen = Seen()
        self.spans = InMemorySpanExporter()

    @asynccontextmanager
    async def service(
        self,
        name: str,
        routes: tuple[Route[Seen], ...],
        requests: tuple[RequestRoute[Seen], ...] = (),
    ) -> AsyncIterator[None]:
        traces = tracer_provider(name)
        traces.add_span_processor(SimpleSpanProcessor(self.spans))
        broker = BusBroker(
            self.bus.settings_for(name),
            service=name,
            registry=CollectorRegistry(),
            clock=CLOCK,
            tracer_provider=traces,
            exits_when_closed=False,
            shutdown_seconds=2,
        )
        await broker.connect()
        committer = Committer(broker.jetstream, service=name, clock=CLOCK, tracer_provider=traces)
        settings = ServiceSettings(nats_url=self.bus.settings_for(name).url, nats_password="env:UNUSED")
        service = Service(name, settings, broker, committer, CollectorRegistry(), CLOCK, RandomIds())
        service.take(context=self.seen, routes=routes, requests=requests, consumers={name: 1})
        await broker.start()
        try:
            yield
        finally:
            await broker.stop()

    async def ask(self, subject: str, body: RequestRun | NameRun, traceparent: str | None = None) -> bytes:
        client = await self.bus.connect_as("otto")
        headers = None if traceparent is None else {"traceparent": traceparent}
        answer = await client.request(subject, body.model_dump_json().encode(), timeout=5, headers=headers)
        assert isinstance(answer.data, bytes)
        return answer.data

    async def stored(self, run: str) -> list[Stored]:
        js = await self.bus.js_as("auditor")
        return [one async for one in read_all(js, "CORE", ">") if one.headers["ce-subject"] == run]

    def span(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans.get_finished_spans() if span.name == name]


@pytest.fixture
async def serving(own_bus: BusUnderTest) -> AsyncIterator[Serving]:
    made = Serving(own_bus)
    requests = (
        RequestRoute[Seen]("aether.run.request", RequestRun, on_request),
        RequestRoute[Seen]("aether.run.cancel", NameRun, on_cancel),
    )
    async with (
        made.service("extractor", (Route[Seen](ReadSide, on_read),), requests),
        made.service("differ", (Route[Seen](DiffPartition, on_diff),)),
    ):
        yield made


async def requested(serving: Serving, run: str, traceparent: str | None = None) -> str:
    """The trace of a run that was asked for and has reached the differ."""
    await serving.ask("aether.run.request", RequestRun(connector=run, mode="apply"), traceparent)
    await until(lambda: "diff 0" in serving.seen.at)
    traces = {trace_of(one.headers.get("traceparent")) for one in await serving.stored(run)}
    assert len(traces) == 1
    return traces.pop()


async def test_request_without_a_trace_starts_one_that_all_services_share(serving: Serving) -> None:
    trace = await requested(serving, RUN)
    assert {trace_of(found) for found in serving.seen.at.values()} == {trace}
    assert set(serving.seen.at) == {"handler", "thread", "task", "diff 0"}
    # Thread and task work within the handler's own span.
    assert serving.seen.at["thread"] == serving.seen.at["task"] == serving.seen.at["handler"]


async def test_two_requests_start_two_traces(serving: Serving) -> None:
    first = await requested(serving, RUN)
    serving.seen.at.clear()
    assert await requested(serving, "20261122T091500-5m8pqa") != first


async def test_request_with_a_trace_is_continued(serving: Serving) -> None:
    assert await requested(serving, RUN, GIVEN) == trace_of(GIVEN)
    assert {trace_of(found) for found in serving.seen.at.values()} == {trace_of(GIVEN)}


async def test_unreadable_trace_of_a_request_is_replaced_by_a_new_one(serving: Serving) -> None:
    assert await requested(serving, RUN, "00-not-a-trace") != trace_of(GIVEN)


async def test_later_command_of_a_person_stays_in_the_trace_of_the_run(serving: Serving) -> None:
    trace = await requested(serving, RUN, GIVEN)
    await serving.ask("aether.run.cancel", NameRun(run=RUN), OTHER)
    await until(lambda: "diff 1" in serving.seen.at)
    assert trace_of(serving.seen.at["diff 1"]) == trace
    assert {trace_of(one.headers["traceparent"]) for one in await serving.stored(RUN)} == {trace}
    # What the person's own trace is, stands in a link.
    linked = [span for span in serving.spans.get_finished_spans() if span.links]
    assert [(span.name, format(span.context.trace_id, "032x")) for span in linked] == [("publish", trace)]
    assert {link.context.trace_id for span in linked for link in span.links} == {int(trace_of(OTHER), 16)}


async def test_refusal_is_told_in_the_trace_of_who_asked(serving: Serving) -> None:
    await serving.ask("aether.run.cancel", NameRun(run="20261122T092100-9x3wtz", reason="refuse"), OTHER)
    refusals = [
        one for one in await serving.stored("20261122T092100-9x3wtz") if one.subject == "audit.extractor.refused"
    ]
    assert [trace_of(one.headers["traceparent"]) for one in refusals] == [trace_of(OTHER)]


async def test_message_outside_every_trace_bears_none(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as("applier")
    fence = Message(fence_subject("t"), TargetFenced(target="t", fencing_token=1), "f1", "t")
    await publish_one(js, Committer(js, service="applier", clock=CLOCK).outgoing(fence))
    stored = await last(js, "LEDGER", fence_subject("t"))
    assert stored is not None and "traceparent" not in stored.headers
    assert stored.headers["ce-type"] == "aether.target.fenced.v1"


async def test_spans_name_their_service(serving: Serving) -> None:
    await requested(serving, RUN)
    await until(lambda: len(serving.span("process cmd.diff")) == 1)
    services = {span.resource.attributes["service.name"] for span in serving.spans.get_finished_spans()}
    assert services == {"extractor", "differ"}


def test_provider_without_an_endpoint_exports_nothing_and_still_makes_spans() -> None:
    provider = tracer_provider("differ")
    assert isinstance(provider, TracerProvider)
    assert provider._active_span_processor._span_processors == ()
    with provider.get_tracer("test").start_as_current_span("x"):
        trace_of(current_traceparent())
    assert current_traceparent() is None
