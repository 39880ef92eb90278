"""What leaves the process as a trace: names and attributes by the conventions, sampling, and collectors that fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import db_attributes, http_attributes, messaging_attributes
from opentelemetry.semconv._incubating.attributes.messaging_attributes import MessagingOperationTypeValues
from opentelemetry.semconv.attributes import error_attributes, server_attributes
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from shared.bus.wiring import collector_headers
from shared.errors import NeedsPerson, StopRun, TryLater
from shared.ports.metering import Request
from shared.telemetry import exporting, spans
from shared.telemetry.carrying import context_in, document_context, span_in, traceparent_of
from shared.telemetry.exporting import TEXT_CHARS_MAX, TOLD_EVERY_SECONDS, NarrowedExporter, narrowed
from shared.telemetry.handlers import HandlerMetrics
from shared.telemetry.requests import RequestMetrics
from shared.telemetry.sampling import REQUESTS_A_MINUTE, TRACES_REMEMBERED_MAX, RequestBudget
from shared.telemetry.tracing import HEADER_PAIRS_MAX, flush, otlp_headers_in, tracer_provider
from tests.support.traces import Collector, collecting, wait_for

PERSON = "Mary Synthetic-Person"
GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
DROPPED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"


@pytest.fixture
def made() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    provider, kept = tracer_provider("differ"), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(NarrowedExporter(kept, service="differ")))
    yield provider, kept
    provider.shutdown()


# --- the conventions ------------------------------------------------------------------------------------------------


def test_attributes_bear_the_names_of_the_conventions() -> None:
    assert {
        spans.MESSAGING_SYSTEM: messaging_attributes.MESSAGING_SYSTEM,
        spans.DESTINATION: messaging_attributes.MESSAGING_DESTINATION_NAME,
        spans.OPERATION_NAME: messaging_attributes.MESSAGING_OPERATION_NAME,
        spans.OPERATION_TYPE: messaging_attributes.MESSAGING_OPERATION_TYPE,
        spans.CONSUMER_GROUP: messaging_attributes.MESSAGING_CONSUMER_GROUP_NAME,
        spans.BATCH_COUNT: messaging_attributes.MESSAGING_BATCH_MESSAGE_COUNT,
        spans.BODY_SIZE: messaging_attributes.MESSAGING_MESSAGE_BODY_SIZE,
        spans.HTTP_METHOD: http_attributes.HTTP_REQUEST_METHOD,
        spans.HTTP_STATUS: http_attributes.HTTP_RESPONSE_STATUS_CODE,
        spans.HTTP_RESENDS: http_attributes.HTTP_REQUEST_RESEND_COUNT,
        spans.DATABASE_SYSTEM: db_attributes.DB_SYSTEM_NAME,
        spans.DATABASE_OPERATION: db_attributes.DB_OPERATION_NAME,
        spans.SERVER_ADDRESS: server_attributes.SERVER_ADDRESS,
        spans.SERVER_PORT: server_attributes.SERVER_PORT,
        spans.ERROR_TYPE: error_attributes.ERROR_TYPE,
    }.items() <= {(key, key) for key in spans.ALLOWED}
    # All others are ours, and say so.
    conventional = ("messaging.", "http.", "db.", "server.", "error.")
    assert all(key.startswith((*conventional, "aether.")) for key in spans.ALLOWED)


def test_a_publication_is_a_producer_and_a_handling_a_consumer(
    made: tuple[TracerProvider, InMemorySpanExporter],
) -> None:
    provider, kept = made
    tracer = provider.get_tracer("test")
    sent = spans.begin_publishing(tracer, shapes=["cmd.diff", "cmd.diff"])
    sent.end()
    spans.begin_publishing(tracer, shapes=["run.state", "cmd.diff"]).end()
    parent = context_in({"traceparent": traceparent_of(sent) or ""})
    with spans.handling(tracer, shape="cmd.diff", parent=parent, attributes={spans.CONSUMER_GROUP: "differ"}):
        pass
    one, mixed, handled = kept.get_finished_spans()
    types = {MessagingOperationTypeValues.SEND.value, MessagingOperationTypeValues.PROCESS.value}
    assert {(one.attributes or {})[spans.OPERATION_TYPE], (handled.attributes or {})[spans.OPERATION_TYPE]} == types
    assert (one.name, one.kind, one.attributes) == (
        "publish cmd.diff",
        SpanKind.PRODUCER,
        {
            "messaging.system": "nats",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": "cmd.diff",
            "messaging.batch.message_count": 2,
        },
    )
    # Where there are several destinations none can be the one of the conventions.
    assert mixed.name == "publish" and "messaging.destination.name" not in (mixed.attributes or {})
    assert (mixed.attributes or {})["aether.destinations"] == ("cmd.diff", "run.state")
    assert (handled.name, handled.kind) == ("process cmd.diff", SpanKind.CONSUMER)
    assert handled.parent is not None and handled.parent.span_id == sent.get_span_context().span_id


def test_phases_stand_below_the_handling_and_nowhere_without_one(
    made: tuple[TracerProvider, InMemorySpanExporter],
) -> None:
    provider, kept = made
    with spans.phase("read", side="source", entity="staff"):
        pass
    assert kept.get_finished_spans() == () and spans.present_tracer() is None
    with (
        spans.handling(provider.get_tracer("test"), shape="cmd.read", parent=Context(), attributes={}) as handler,
        spans.phase("read", side="source", entity="staff"),
    ):
        pass
    read, _ = kept.get_finished_spans()
    assert read.parent is not None and read.parent.span_id == handler.get_span_context().span_id
    assert read.attributes == {"aether.side": "source", "aether.entity": "staff"}
    assert spans.present_tracer() is None


def test_failed_work_says_its_kind_and_never_its_text(made: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    provider, kept = made
    tracer = provider.get_tracer("test")
    for error in (StopRun("SRC_INCOMPLETE", PERSON), ValueError(PERSON)):
        with (
            pytest.raises(type(error)),
            spans.handling(tracer, shape="cmd.read", parent=Context(), attributes={}),
            spans.phase("read"),
        ):
            raise error
    # A library's span, too, which keeps what an exception said.
    with pytest.raises(ValueError, match=PERSON), tracer.start_as_current_span("theirs", attributes={"user": PERSON}):
        raise ValueError(PERSON)
    found = kept.get_finished_spans()
    told = [(span.attributes or {}).get("error.type") for span in found]
    assert told == ["SRC_INCOMPLETE", "SRC_INCOMPLETE", "ValueError", "ValueError", None]
    assert {span.status.status_code for span in found} == {StatusCode.ERROR}
    assert [dict(event.attributes or {}) for span in found for event in span.events] == [{"error.type": "ValueError"}]
    assert PERSON not in "".join(span.to_json() for span in found)


def test_nothing_leaves_but_what_is_allowed(made: tuple[TracerProvider, InMemorySpanExporter]) -> None:
    provider, kept = made
    other = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    with provider.get_tracer("test").start_as_current_span(
        "x",
        links=[Link(other, {"user": PERSON})],
        attributes={"url.full": f"https://v/?q={PERSON}", spans.RUN: "r" * 999},
    ) as span:
        span.add_event("said", {"text": PERSON})
        span.add_event(spans.STATUS_EVENT, {"text": PERSON, spans.STATUS: "queued"})
    [found] = kept.get_finished_spans()
    assert found.attributes == {spans.RUN: "r" * TEXT_CHARS_MAX}
    assert [(one.name, dict(one.attributes or {})) for one in found.events] == [("status", {"aether.status": "queued"})]
    assert [(link.context.trace_id, dict(link.attributes or {})) for link in found.links] == [(1, {})]
    before = span
    assert isinstance(before, ReadableSpan)
    again = narrowed(before)
    assert (again.start_time, again.end_time, again.kind) == (before.start_time, before.end_time, before.kind)


@pytest.mark.parametrize(
    ("request_", "name", "attributes", "error"),
    [
        (Request("GET", host="v.example", port=443, status=200), "GET", {"http.response.status_code": 200}, None),
        (Request("PUT", status=404, resend=1), "PUT", {"http.request.resend_count": 1, "error.type": "404"}, "404"),
        (
            Request("POST", error="ReadTimeout"),
            "POST",
            {"http.request.method": "POST", "error.type": "ReadTimeout"},
            "x",
        ),
        (
            Request("SELECT", database="sqlite"),
            "SELECT",
            {"db.system.name": "sqlite", "db.operation.name": "SELECT"},
            None,
        ),
    ],
)
def test_a_request_is_a_client_span_by_the_conventions(
    made: tuple[TracerProvider, InMemorySpanExporter],
    request_: Request,
    name: str,
    attributes: dict[str, object],
    error: str | None,
) -> None:
    provider, kept = made
    registry = CollectorRegistry()
    meter = RequestMetrics(registry).of("vendor")
    meter.saw(use="APL", outcome="2xx", seconds=0.5, request=request_)  # outside every handler: counted, and no span
    with spans.handling(provider.get_tracer("test"), shape="cmd.apply", parent=Context(), attributes={}) as handler:
        meter.saw(use="APL", outcome="2xx", seconds=0.5, request=request_)
    span = kept.get_finished_spans()[0]
    assert len(kept.get_finished_spans()) == 2
    assert (span.name, span.kind, span.status.status_code is StatusCode.ERROR) == (
        name,
        SpanKind.CLIENT,
        error is not None,
    )
    assert attributes.items() <= dict(span.attributes or {}).items()
    assert span.end_time is not None and span.start_time is not None and span.end_time - span.start_time == 500_000_000
    assert not {"url.full", "url.path", "url.query", "db.query.text"} & set(span.attributes or {})
    told = generate_latest(registry).decode()  # type: ignore[no-untyped-call]  # the library has no types there
    assert told.count(f'# {{trace_id="{trace.format_trace_id(handler.get_span_context().trace_id)}"}} 0.5') == 1


# --- sampling -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ratio", "header", "is_kept"), [(0.0, None, False), (1.0, None, True),
                                                           (0.0, GIVEN, True), (1.0, DROPPED, False)])  # fmt: skip
def test_a_trace_is_kept_as_it_began(ratio: float, header: str | None, is_kept: bool) -> None:
    tracer = tracer_provider("differ", ratio=ratio).get_tracer("test")
    parent = context_in({} if header is None else {"traceparent": header})
    with spans.handling(tracer, shape="cmd.read", parent=parent, attributes={}) as span, spans.phase("read") as below:
        assert span.is_recording() == below.is_recording() == is_kept
        # It travels in any case, so that everybody after it knows.
        flags = int((traceparent_of(below) or "").rpartition("-")[2], 16)
        assert bool(flags & TraceFlags.SAMPLED) == is_kept


def test_a_share_of_the_traces_is_kept() -> None:
    tracer = tracer_provider("differ", ratio=0.25).get_tracer("test")
    kept = sum(tracer.start_span("x", context=Context()).is_recording() for _ in range(4_000))
    assert 800 < kept < 1_200


def test_requests_are_told_whole_then_so_many_a_minute_and_none_is_forgotten() -> None:
    now = 0.0
    budget = RequestBudget(lambda: now, whole=10, a_minute=3)
    first = [budget.take(7) for _ in range(10)]
    assert first == [0] * 10
    assert [budget.take(7) for _ in range(6)] == [0, 0, 0, None, None, None]
    now = 59.9
    assert budget.take(7) is None
    now = 60.0
    assert [budget.take(7) for _ in range(4)] == [4, 0, 0, None]
    # Another run has a budget of its own.
    assert budget.take(8) == 0


def test_a_hundred_thousand_changes_make_few_spans_and_little_memory() -> None:
    now = 0.0
    budget = RequestBudget(lambda: now)
    told = 0
    for number in range(200_000):
        now = number / 100  # a hundred requests a second, for half an hour
        told += budget.take(1) is not None
    assert told <= 5_000 + REQUESTS_A_MINUTE * 35
    for number in range(10 * TRACES_REMEMBERED_MAX):
        budget.take(number)
    assert len(budget._traces) == TRACES_REMEMBERED_MAX


# --- the trace of a document ----------------------------------------------------------------------------------------


def test_what_concerns_a_document_goes_on_in_its_trace_with_a_link() -> None:
    here = NonRecordingSpan(SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(1)))
    with trace.use_span(here):
        context, links = document_context({"traceparent": GIVEN})
        assert context is not None and format(span_in(context).trace_id, "032x") == GIVEN.split("-")[1]
        assert [link.context.trace_id for link in links] == [5]
        assert document_context({}) == document_context({"traceparent": "00-nothing"}) == (None, [])
    same = NonRecordingSpan(span_in(context_in({"traceparent": GIVEN})))
    with trace.use_span(same):
        assert document_context({"traceparent": GIVEN}) == (None, [])


# --- figures --------------------------------------------------------------------------------------------------------


def test_handlers_are_measured_by_outcome_and_lead_to_the_trace(
    made: tuple[TracerProvider, InMemorySpanExporter],
) -> None:
    provider, _ = made
    registry = CollectorRegistry()
    metrics = HandlerMetrics(registry)
    with (
        spans.handling(provider.get_tracer("test"), shape="cmd.read", parent=Context(), attributes={}) as span,
        metrics.handling("aether.diff.partition.v1") as one,
    ):
        one.outcome = "done"
    with pytest.raises(TryLater), metrics.handling("other") as two:
        two.outcome = "later"
        raise TryLater("AUD_UNAVAILABLE", "x")
    with pytest.raises(KeyError), metrics.handling("other"):
        raise KeyError
    told = generate_latest(registry).decode()  # type: ignore[no-untyped-call]  # the library has no types there
    for event, outcome in (("aether.diff.partition.v1", "done"), ("other", "later"), ("other", "failed")):
        assert f'aether_handler_seconds_count{{event="{event}",outcome="{outcome}"}} 1.0' in told
    assert told.count("trace_id=") == 1
    assert trace.format_trace_id(span.get_span_context().trace_id) in told


# --- the collector --------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_sender_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A sender that still tries draws chance for its pauses, and a property test that runs then calls that its own."""
    monkeypatch.setattr(exporting, "EXPORT_SECONDS_MAX", 2.0)
    yield
    for thread in threading.enumerate():
        if thread.name == "traces-flush":
            thread.join(20)
            assert not thread.is_alive()


def one_span(provider: TracerProvider) -> None:
    with spans.handling(provider.get_tracer("test"), shape="cmd.read", parent=Context(), attributes={spans.RUN: "r"}):
        pass


def sending_to(collector: Collector) -> TracerProvider:
    return tracer_provider(
        "differ", otlp_endpoint=collector.url, otlp_headers={"x-key": "synthetic"}, environment="staging"
    )


def test_spans_arrive_with_the_headers_of_the_collector_when_the_program_ends() -> None:
    with collecting() as collector:
        provider = sending_to(collector)
        one_span(provider)
        assert flush(provider) and flush(provider)
        [span] = collector.spans()
        assert (span.service, span.name, span.attributes["aether.run"]) == ("differ", "process cmd.read", "r")
        assert collector.headers[0]["x-key"] == "synthetic"


def test_a_collector_that_hangs_keeps_no_program_from_ending() -> None:
    with collecting() as collector:
        collector.mood = "hangs"
        provider = sending_to(collector)
        began = time.monotonic()
        one_span(provider)
        made_in = time.monotonic() - began
        assert not flush(provider, seconds_max=0.3)
        assert made_in < 5 and time.monotonic() - began < 10
        wait_for(lambda: collector.met == 1)


def test_a_collector_that_is_down_or_refuses_costs_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with collecting() as collector:
        collector.mood = "refuses"
        provider = sending_to(collector)
        one_span(provider)
        assert flush(provider)
    down = tracer_provider("differ", otlp_endpoint=collector.url)
    one_span(down)
    flush(down, seconds_max=0.3)
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if line.strip()]
    assert lines and all("traces_not_exported" in line and collector.url not in line for line in lines), lines


def test_lost_spans_are_counted_and_told_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    class Refusing(SpanExporter):
        def export(self, spans: object) -> SpanExportResult:
            return SpanExportResult.FAILURE

    now = 0.0
    exporter = NarrowedExporter(Refusing(), service="differ", monotonic_seconds=lambda: now)
    span = tracer_provider("differ").get_tracer("test").start_span("x")
    assert isinstance(span, ReadableSpan)
    for _ in range(5):
        exporter.export([span, span])
    now = TOLD_EVERY_SECONDS
    exporter.export([span])
    said = capsys.readouterr()
    assert exporter.lost == 11
    assert (said.out + said.err).count("traces_not_exported") == 2


def test_headers_of_the_collector_are_read_and_never_repeated() -> None:
    assert otlp_headers_in(" Authorization=Basic abc=, x-scope=one,") == {
        "authorization": "Basic abc=",
        "x-scope": "one",
    }
    assert collector_headers(None) == {}
    for text in ("tajny-synthetic", "=tajny-synthetic", ",".join(f"n{n}=tajny" for n in range(HEADER_PAIRS_MAX + 1))):
        with pytest.raises(ValueError, match="name=value") as refused:
            otlp_headers_in(text)
        assert "tajny" not in str(refused.value)


def test_headers_that_cannot_be_read_stop_the_start_without_telling_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTHETIC_HEADERS", "tajny")
    with pytest.raises(NeedsPerson, match="AETHER_OTLP_HEADERS") as refused:
        collector_headers("env:SYNTHETIC_HEADERS")
    assert refused.value.code == "SYS_SECRET" and "tajny" not in refused.value.message
