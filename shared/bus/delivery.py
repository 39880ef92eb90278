"""What becomes of a message after its handler: acknowledge, try again later, or lay it among the dead letters.

A pure rule and its table of pauses; who applies it is the broker. A message is never lost: a dead letter is stored
before its original is let go. Reasons are written without values of records, because an exception's text may quote
what it was given.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

import pydantic

from shared.bus.publishing import Conflict, Outgoing
from shared.clock import to_text
from shared.errors import AetherError, NeedsPerson, RecordRefused, StopRun, TryLater
from shared.events.dead_letters import HEADER_PREFIX, REASON_CHARACTERS_MAX

WAIT_SECONDS_MAX: Final = 900.0
DECODE_ERRORS_LISTED_MAX: Final = 5
DEAD_LETTER_BODY_BYTES_MAX: Final = 900_000
"""Leaves room for the dead letter's own headers; the whole original stays in its stream."""

UNDECODABLE: Final = "SYS_UNDECODABLE"
HANDLER_FAILED: Final = "SYS_HANDLER_FAILED"


@dataclass(frozen=True, slots=True)
class BackOff:
    """How often a failing message is tried, and with what pauses."""

    pauses_seconds: tuple[float, ...] = (1, 2, 5, 10, 30, 60, 120)
    """How long to wait after the first, second, … failed delivery; the last one repeats."""
    deliveries_max: int = 8
    """A message that failed this often is laid among the dead letters."""
    waiting_deliveries_max: int = 1000
    """The same for a message whose handler asked for time (`TryLater` with a pause): waiting is not failing."""


STANDARD_BACK_OFF: Final = BackOff()


class Undecodable(Exception):
    """A message whose body or headers cannot be read as what its subject promises."""


class Permanent(Exception):
    """A message that will fail the same way at every delivery."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Done."""


@dataclass(frozen=True, slots=True)
class RetryIn:
    """Deliver it again after a pause."""

    seconds: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Lay it among the dead letters and let it go."""

    reason: str
    code: str


Verdict = Ack | RetryIn | DeadLetter


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of one stored message."""

    stream: str
    consumer: str
    subject: str
    seq: int
    deliveries: int
    """How often it was delivered, this time included."""


def decide(exception: BaseException | None, deliveries: int, back_off: BackOff = STANDARD_BACK_OFF) -> Verdict:
    """Return what becomes of a message from how its handler ended and how often it was delivered."""
    if exception is None:
        return Ack()
    if isinstance(exception, (Undecodable, pydantic.ValidationError, json.JSONDecodeError, UnicodeDecodeError)):
        return DeadLetter(reason_of(exception), UNDECODABLE)
    if isinstance(exception, (StopRun, RecordRefused, NeedsPerson)):
        return DeadLetter(reason_of(exception), exception.code)
    if isinstance(exception, Permanent):
        return DeadLetter(reason_of(exception), HANDLER_FAILED)
    pauses = back_off.pauses_seconds
    pause, limit = pauses[min(max(deliveries, 1), len(pauses)) - 1], back_off.deliveries_max
    if isinstance(exception, TryLater) and exception.retry_after_seconds is not None:
        pause, limit = min(exception.retry_after_seconds, WAIT_SECONDS_MAX), back_off.waiting_deliveries_max
    if deliveries < limit:
        return RetryIn(pause)
    code = exception.code if isinstance(exception, AetherError) else HANDLER_FAILED
    return DeadLetter(f"failed in {deliveries} of {limit} deliveries, lastly: {reason_of(exception)}", code)


def reason_of(exception: BaseException) -> str:
    """Describe an exception in one line of plain characters, without values that it was given."""
    name = type(exception).__name__
    match exception:
        case pydantic.ValidationError():
            errors = exception.errors(include_url=False, include_context=False, include_input=False)
            places = [f"{'.'.join(str(part) for part in error['loc'])}: {error['type']}" for error in errors]
            listed = "; ".join(islice(places, DECODE_ERRORS_LISTED_MAX))
            text = f"{name} of {exception.title}: {exception.error_count()} error(s): {listed}"
        case json.JSONDecodeError():
            text = f"{name}: {exception.msg} at character {exception.pos}"
        case AetherError() | Permanent() | Undecodable() | Conflict():
            # Ours: their sentences never hold a personal value.
            text = f"{name}: {exception}"
        case _:
            text = f"{name}{_place(exception)}"
    return _plain(text)[:REASON_CHARACTERS_MAX]


def dead_letter_message(
    *,
    service: str,
    delivery: Delivery,
    letter: DeadLetter,
    body: bytes,
    headers: Mapping[str, str],
    now: datetime,
) -> Outgoing:
    """Build the dead letter of a message: its body as it came (cut when too long) and why it lies there.

    The id holds the service, since two services may each give up on the same message.
    """
    own = {
        "Service": service,
        "Consumer": delivery.consumer,
        "Reason": letter.reason,
        "Code": letter.code,
        "Subject": delivery.subject,
        "Stream": delivery.stream,
        "Seq": str(delivery.seq),
        "Deliveries": str(delivery.deliveries),
        "Time": to_text(now),
        "Body-Bytes": str(len(body)),
        "Body-Is-Cut": str(len(body) > DEAD_LETTER_BODY_BYTES_MAX).lower(),
        # What the sender named it, so that a person can find its brothers.
        "Message-Id": _plain(headers.get("Nats-Msg-Id", ""))[:REASON_CHARACTERS_MAX],
        "Trace-Parent": _plain(headers.get("traceparent", ""))[:REASON_CHARACTERS_MAX],
    }
    return Outgoing(
        subject=f"dlq.{service}.{delivery.stream}",
        body=body[:DEAD_LETTER_BODY_BYTES_MAX],
        message_id=f"dlq-{service}-{delivery.stream}-{delivery.seq}",
        headers={f"{HEADER_PREFIX}{name}": _plain(value) for name, value in own.items()},
    )


def _place(exception: BaseException) -> str:
    """Say where an unexpected exception was raised: file and line, since its text may quote a record."""
    trace = exception.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    file = trace.tb_frame.f_code.co_filename.rsplit("/", 1)[-1]
    return f" at {file}:{trace.tb_lineno}"


def _plain(text: str) -> str:
    """Keep a header one line of printable ASCII."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)
