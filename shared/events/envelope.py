"""The wrapping of an event on the bus: CloudEvents 1.0 in NATS binary mode, a trace context, a message id.

The body is the event's JSON and nothing else; everything about it stands in headers. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from pydantic import ValidationError

from shared.clock import to_text
from shared.errors import StopRun
from shared.events.model import Event
from shared.ids import is_run_id

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
MESSAGE_ID = "Nats-Msg-Id"
TRACE_PARENT = "traceparent"
NAME_SHOWN_MAX = 60
"""Characters of a name that a refusal repeats; a stranger's can be as long as the message."""

EventT = TypeVar("EventT", bound=Event)


class Undecodable(StopRun):
    """A message that is not what its headers or its subject say."""


def headers_of(
    event: Event, *, message_id: str, source: str, subject: str, time: datetime, traceparent: str | None = None
) -> dict[str, str]:
    """The headers of one event.

    `source` is the program (`/services/differ`), `subject` the run or other thing it is about. The CloudEvents id is
    the message id: a message stored once has one id, however often it was sent.
    """
    return headers_of_type(
        event.event_type,
        content_type=CONTENT_TYPE,
        message_id=message_id,
        source=source,
        subject=subject,
        time=time,
        traceparent=traceparent,
    )


def headers_of_type(
    event_type: str,
    *,
    content_type: str,
    message_id: str,
    source: str,
    subject: str,
    time: datetime,
    traceparent: str | None = None,
) -> dict[str, str]:
    """The headers of a message whose body is no event of ours, such as a batch of records."""
    headers = {
        "ce-specversion": SPEC_VERSION,
        "ce-id": message_id,
        "ce-type": event_type,
        "ce-source": source,
        "ce-subject": subject,
        "ce-time": to_text(time),
        "Content-Type": content_type,
        MESSAGE_ID: message_id,
    }
    if traceparent is not None:
        headers[TRACE_PARENT] = traceparent
    return headers


def body_of(event: Event) -> bytes:
    """The body of one event: its JSON."""
    return event.model_dump_json().encode()


def decode(expected: type[EventT], *, data: bytes, headers: Mapping[str, str] | None, subject: str) -> EventT:
    """The event in a message; `Undecodable` with what was wrong (never with a value of the body)."""
    found = (headers or {}).get("ce-type")
    if found != expected.event_type:
        raise Undecodable(
            "SYS_UNDECODABLE",
            f"message on {subject}: header ce-type is {found!r}, expected {expected.event_type!r}",
            subject=subject,
        )
    try:
        event = expected.model_validate_json(data)
    except ValidationError as error:
        raise Undecodable("SYS_UNDECODABLE", f"message on {subject}: {what_is_wrong(error)}", subject=subject) from None
    if (fault := _run_fault(event, subject)) is not None:
        raise Undecodable("SYS_UNDECODABLE", f"message on {subject}: run: {fault}", subject=subject)
    return event


def _run_fault(event: Event, subject: str) -> str | None:
    """What is wrong with the run that an event names; None when nothing is, or it need not name one.

    Subjects are made of the run's id: with a dot or a star in it they would mean other messages, and one that is too
    long ends the connection of whoever uses it.
    """
    field = type(event).model_fields.get("run")
    if field is None or field.annotation is not str:
        return None
    run: str = getattr(event, "run")  # noqa: B009 -- not every event has the field
    if not is_run_id(run):
        return "is no run id"
    if any(is_run_id(token) and token != run for token in subject.split(".")):
        return "is not the run that the subject names"
    return None


def what_is_wrong(error: ValidationError) -> str:
    """The faults of a body in one line: places and reasons, never the values."""
    faults = [
        f"{'.'.join(str(part)[:NAME_SHOWN_MAX] for part in fault['loc']) or 'body'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)[:5]
    ]
    more = error.error_count() - len(faults)
    return "; ".join(faults) + (f"; and {more} more" if more > 0 else "")
