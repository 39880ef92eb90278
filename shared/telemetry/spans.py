"""The spans of the house: their names, their attributes, and how handlers, phases and publications begin them.

Names and attributes follow the OpenTelemetry conventions for messaging, HTTP and databases. Both are bounded: a subject
stands in them by its shape and never with an id, a person, a record, a path, a query, a statement or a credential
cannot stand in them at all, because what is not in `ALLOWED` does not leave the process (`shared.telemetry.exporting`).
The phase at work is found through the context, so that what is deep within a handler needs no tracer handed down.
Nothing here decides anything about a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

MESSAGING_SYSTEM: Final = "messaging.system"
DESTINATION: Final = "messaging.destination.name"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
CONSUMER_GROUP: Final = "messaging.consumer.group.name"
BATCH_COUNT: Final = "messaging.batch.message_count"
BODY_SIZE: Final = "messaging.message.body.size"
HTTP_METHOD: Final = "http.request.method"
HTTP_STATUS: Final = "http.response.status_code"
HTTP_RESENDS: Final = "http.request.resend_count"
DATABASE_SYSTEM: Final = "db.system.name"
DATABASE_OPERATION: Final = "db.operation.name"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

RUN: Final = "aether.run"
"""The run's id: time and chance, no person."""
CONNECTION: Final = "aether.connection"
USE: Final = "aether.use"
SIDE: Final = "aether.side"
ENTITY: Final = "aether.entity"
PARTITION: Final = "aether.partition"
WAVE: Final = "aether.wave"
CHANGES: Final = "aether.changes"
RECORDS: Final = "aether.records"
STATUS: Final = "aether.status"
DESTINATIONS: Final = "aether.destinations"
"""The shapes of a batch that went to more than one kind of subject."""
DELIVERIES: Final = "aether.deliveries"
"""Which delivery of the message this is, from 1."""
REQUESTS_NOT_SHOWN: Final = "aether.requests_not_shown"
"""Requests to outside systems since the last one with a span of its own; see `shared.telemetry.sampling`."""

ALLOWED: Final = frozenset(
    {
        MESSAGING_SYSTEM, DESTINATION, OPERATION_NAME, OPERATION_TYPE, CONSUMER_GROUP, BATCH_COUNT, BODY_SIZE,
        HTTP_METHOD, HTTP_STATUS, HTTP_RESENDS, DATABASE_SYSTEM, DATABASE_OPERATION, SERVER_ADDRESS, SERVER_PORT,
        ERROR_TYPE, RUN, CONNECTION, USE, SIDE, ENTITY, PARTITION, WAVE, CHANGES, RECORDS, STATUS, DESTINATIONS,
        DELIVERIES, REQUESTS_NOT_SHOWN,
    }
)  # fmt: skip
"""Keys of attributes. None may ever hold a value of a person's record, an address with a query or a credential."""

STATUS_EVENT: Final = "status"
"""A run came into a state: also that it waits for a person. No span stays open for the days that may take."""
EXCEPTION_EVENT: Final = "exception"
EVENTS: Final = frozenset({STATUS_EVENT, EXCEPTION_EVENT})

PhaseName = Literal[
    "read",
    "normalise",
    "compare",
    "draft",
    "remember",
    "apply wave",
    "apply canary",
    "settle unknown",
    "verify",
    "seal",
]
"""Every phase that has a span of its own, in the order of the road."""

NATS: Final = "nats"

_RESENDS: ContextVar[int] = ContextVar("aether_resends", default=0)
_PHASE_TRACER: ContextVar[Tracer | None] = ContextVar("aether_phase_tracer", default=None)


def present_tracer() -> Tracer | None:
    """The tracer of the handler at work; None outside every handler."""
    return _PHASE_TRACER.get()


@contextmanager
def resending(times: int) -> Iterator[None]:
    """Requests meanwhile are repetitions of one that was sent so many times before."""
    token = _RESENDS.set(times)
    try:
        yield
    finally:
        _RESENDS.reset(token)


def present_resends() -> int:
    """How often the request at hand was sent before, as far as whoever repeats it says so."""
    return _RESENDS.get()


def error_type(error: BaseException) -> str:
    """What an error is called in a span: its code of the catalogue, else its class; never its text."""
    code = getattr(error, "code", None)
    return code if isinstance(code, str) and code.isupper() else type(error).__name__


def fail(span: Span, kind: str) -> None:
    """Mark a span as failed, with the kind of the error and nothing of what it said."""
    span.set_attribute(ERROR_TYPE, kind)
    span.set_status(Status(StatusCode.ERROR))


@contextmanager
def handling(
    tracer: Tracer,
    *,
    shape: str,
    parent: Context,
    attributes: Mapping[str, AttributeValue],
) -> Iterator[Span]:
    """The handling of one message: `process <shape>`, with the phases within it."""
    token = _PHASE_TRACER.set(tracer)
    try:
        with tracer.start_as_current_span(
            f"process {shape}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes={
                MESSAGING_SYSTEM: NATS,
                OPERATION_NAME: "process",
                OPERATION_TYPE: "process",
                DESTINATION: shape,
                **attributes,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                fail(span, error_type(error))
                raise
    finally:
        _PHASE_TRACER.reset(token)


@contextmanager
def phase(
    name: PhaseName,
    *,
    tracer: Tracer | None = None,
    context: Context | None = None,
    links: Sequence[Link] = (),
    **facts: AttributeValue,
) -> Iterator[Span]:
    """One phase of a run, from its real start to its real end; `facts` are `side`, `entity`, `wave`, … of `ALLOWED`.

    Without a `tracer` that of the handler at work is taken; outside of every handler there is no span.
    """
    made_by = tracer or present_tracer()
    if made_by is None:
        yield trace.INVALID_SPAN
        return
    token = _PHASE_TRACER.set(made_by)
    try:
        with made_by.start_as_current_span(
            name,
            context=context,
            attributes={f"aether.{key}": value for key, value in facts.items()},
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                fail(span, error_type(error))
                raise
    finally:
        _PHASE_TRACER.reset(token)


def begin_publishing(
    tracer: Tracer, *, shapes: Sequence[str], context: Context | None = None, links: Sequence[Link] = ()
) -> Span:
    """The span of messages that go out together, one for all: `publish <shape>`, or `publish` for more than one shape.

    What is published bears this span, so that each handling of it stands below. The caller ends it.
    """
    kinds = sorted(set(shapes))
    name = f"publish {kinds[0]}" if len(kinds) == 1 else "publish"
    span = tracer.start_span(name, context=context, kind=SpanKind.PRODUCER, links=links)
    if span.is_recording():
        span.set_attributes({MESSAGING_SYSTEM: NATS, OPERATION_NAME: "publish", OPERATION_TYPE: "send"})
        if len(kinds) == 1:
            span.set_attribute(DESTINATION, kinds[0])
        else:
            span.set_attribute(DESTINATIONS, kinds)
        if len(shapes) > 1:
            span.set_attribute(BATCH_COUNT, len(shapes))
    return span
