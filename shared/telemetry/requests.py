"""Requests to outside systems as Prometheus metrics and as spans: how many, how they ended, how long, by connection.

Names of connections stand in the district's own document and are few; they are no personal data. A span is made when
the request has ended, with its real beginning, below the phase at work; no system is told of our traces.
"""

from __future__ import annotations

import time
from typing import Protocol

from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AttributeValue
from prometheus_client import CollectorRegistry, Counter, Histogram

from shared.telemetry import spans
from shared.telemetry.carrying import sampled_trace_id
from shared.telemetry.families import counter, histogram
from shared.telemetry.sampling import RequestBudget

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)


BAD_REQUEST = 400
NANOSECONDS = 1_000_000_000


class Request(Protocol):
    """What may be told of one request; see `shared.ports.metering.Request`."""

    @property
    def operation(self) -> str:
        """The method of HTTP, or the kind of statement."""

    @property
    def host(self) -> str | None:
        """Who is asked."""

    @property
    def port(self) -> int | None:
        """On which port."""

    @property
    def database(self) -> str | None:
        """Which kind of database; None for HTTP."""

    @property
    def status(self) -> int | None:
        """Of the answer of HTTP."""

    @property
    def resend(self) -> int:
        """The how-manieth repetition this is."""

    @property
    def error(self) -> str | None:
        """The class of what went wrong."""


class RequestMetrics:
    """The meters of one program; each is a `shared.ports.metering.Meter`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = counter("aether_system_requests_total", registry)
        self._seconds = histogram("aether_system_request_seconds", registry, buckets=SECONDS)
        self._waits = histogram("aether_rate_limit_wait_seconds", registry, buckets=SECONDS)
        self._budget = RequestBudget(time.monotonic)

    def waited(self, connection: str, seconds: float) -> None:
        """A request over the connection waited so long for its turn within the rate."""
        self._waits.labels(connection).observe(seconds)

    def of(self, connection: str) -> ConnectionMeter:
        """The meter of one connection."""
        return ConnectionMeter(self._requests, self._seconds, self._budget, connection)


class ConnectionMeter:
    """Counts the requests of one connection."""

    def __init__(self, requests: Counter, seconds: Histogram, budget: RequestBudget, connection: str) -> None:
        self._requests = requests
        self._seconds = seconds
        self._budget = budget
        self._connection = connection

    def saw(self, *, use: str, outcome: str, seconds: float, request: Request | None = None) -> None:
        """A request has ended."""
        self._requests.labels(self._connection, use, outcome).inc()
        trace_id = sampled_trace_id()
        exemplar = None if trace_id is None else {"trace_id": trace_id}
        self._seconds.labels(self._connection, use).observe(seconds, exemplar=exemplar)
        if request is not None and trace_id is not None:
            self._tell(request, use=use, seconds=seconds)

    def _tell(self, request: Request, *, use: str, seconds: float) -> None:
        tracer = spans.present_tracer()
        if tracer is None:
            return
        not_shown = self._budget.take(trace.get_current_span().get_span_context().trace_id)
        if not_shown is None:
            return
        attributes = request_attributes(request) | {spans.CONNECTION: self._connection, spans.USE: use}
        if not_shown:
            attributes[spans.REQUESTS_NOT_SHOWN] = not_shown
        ended = time.time_ns()
        span = tracer.start_span(
            request.operation,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=ended - max(int(seconds * NANOSECONDS), 0),
        )
        if (error := error_of(request)) is not None:
            spans.fail(span, error)
        span.end(ended)


def request_attributes(request: Request) -> dict[str, AttributeValue]:
    """A request by the conventions for HTTP clients, or for clients of databases."""
    found: dict[str, AttributeValue | None] = {
        spans.SERVER_ADDRESS: request.host,
        spans.SERVER_PORT: request.port,
        spans.DATABASE_SYSTEM: request.database,
        spans.HTTP_STATUS: request.status,
        spans.HTTP_RESENDS: (request.resend + spans.present_resends()) or None,
        spans.HTTP_METHOD if request.database is None else spans.DATABASE_OPERATION: request.operation,
    }
    return {key: value for key, value in found.items() if value is not None}


def error_of(request: Request) -> str | None:
    """What the conventions call the error of a request: the status of a refusal, or the class of what went wrong."""
    if request.status is not None and request.status >= BAD_REQUEST:
        return str(request.status)
    return request.error
