"""How spans leave the process: narrowed to what is known to hold no value of a person, counted when they cannot.

Whatever made a span, a library or ours, only the attributes of `spans.ALLOWED` go out, of exceptions only the type, of
a status no text. A collector that is down, slow or refuses costs a line in the log now and then, and no run waits for
it: spans are handed over in a queue with a bound, and sent by a thread of their own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import requests
import structlog
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, Status
from opentelemetry.util.types import Attributes, AttributeValue

from shared.telemetry.spans import ALLOWED, ERROR_TYPE, EVENTS

QUEUE_SPANS_MAX: Final = 8_192
"""Spans that wait to be sent; with so many the oldest are lost."""
BATCH_SPANS_MAX: Final = 512
DELAY_SECONDS: Final = 2.0
EXPORT_SECONDS_MAX: Final = 10.0
"""How long one batch is tried, repetitions included."""
TOLD_EVERY_SECONDS: Final = 60.0
"""While the collector does not take spans, one line in this time."""
TEXT_CHARS_MAX: Final = 200

log = structlog.get_logger(__name__)

# What the exporter says of a failure quotes addresses and answers, and comes with every batch: we count instead.
logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)


def collector_processor(
    service: str, *, endpoint: str, headers: Mapping[str, str] | None = None, delay_seconds: float = DELAY_SECONDS
) -> BatchSpanProcessor:
    """Sends spans to a collector (OTLP over HTTP) from a thread of its own."""
    session = requests.Session()
    # A redirect would carry the collector's credential to somebody else; a proxy is what the environment says.
    session.max_redirects = 0
    exporter = OTLPSpanExporter(
        endpoint=endpoint,
        headers=dict(headers or {}),
        timeout=EXPORT_SECONDS_MAX,
        compression=Compression.Gzip,
        session=session,
    )
    return BatchSpanProcessor(
        NarrowedExporter(exporter, service=service),
        max_queue_size=QUEUE_SPANS_MAX,
        max_export_batch_size=BATCH_SPANS_MAX,
        schedule_delay_millis=delay_seconds * 1000,
    )


class NarrowedExporter(SpanExporter):
    """Sends what `narrowed` leaves of spans, and counts those that could not be sent."""

    def __init__(
        self, inner: SpanExporter, *, service: str, monotonic_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._inner = inner
        self._service = service
        self._now = monotonic_seconds
        self._told_at: float | None = None
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch; a failure is counted and never raised."""
        result = self._inner.export([narrowed(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            self.lost += len(spans)
            if self._told_at is None or self._now() - self._told_at >= TOLD_EVERY_SECONDS:
                self._told_at = self._now()
                log.warning("traces_not_exported", service=self._service, count=self.lost)
        return result

    def shutdown(self) -> None:
        """Give the connection back."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is kept back here."""
        return self._inner.force_flush(timeout_millis)


def narrowed(span: ReadableSpan) -> ReadableSpan:
    """The span with only what may leave the house."""
    return ReadableSpan(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_allowed(span.attributes),
        events=[_narrowed_event(event) for event in span.events if event.name in EVENTS],
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _narrowed_event(event: Event) -> Event:
    found = event.attributes or {}
    kind = found.get("exception.type")
    told = {**found, ERROR_TYPE: kind} if isinstance(kind, str) else found
    return Event(event.name, attributes=_allowed(told), timestamp=event.timestamp)


def _allowed(attributes: Attributes) -> dict[str, AttributeValue]:
    return {
        key: value[:TEXT_CHARS_MAX] if isinstance(value, str) else value
        for key, value in (attributes or {}).items()
        if key in ALLOWED
    }
