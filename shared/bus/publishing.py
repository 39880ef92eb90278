"""Publishes one message, or many of one stream as all or nothing, and says exactly what came of it.

A message id makes a repetition harmless, an expected sequence makes a lost race visible, a fence makes a writer
harmless whose lease went to another. A time-out is ambiguous and is repeated under the same ids; what then looks
like a conflict is looked up before it is believed, because the server compares sequences before it knows ids again.
It decides nothing about content and never reads bodies.
"""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared.bus.connect import PermissionRefused, client_of, raise_if_refused
from shared.bus.reading import StreamUnavailable, last, read_all
from shared.bus.topology import MESSAGE_BYTES_MAX, StreamSpec, stream_of
from shared.events.stored import Stored

__all__ = [
    "BATCH_BYTES_MAX",
    "BATCH_MESSAGES_MAX",
    "Conflict",
    "Fence",
    "Outgoing",
    "PermissionRefused",
    "PublishFailed",
    "PublishRefused",
    "Published",
    "publish_batch",
    "publish_one",
]

BATCH_MESSAGES_MAX: Final = 1000
"""The server's limit for an atomic batch."""
BATCH_BYTES_MAX: Final = 32 * 2**20
"""Ours: a batch is held in the server's memory until it is committed."""
HEADER_BYTES_MAX: Final = 16_384
PUBLISH_TIMEOUT_SECONDS: Final = 10.0
ATTEMPTS_MIN: Final = 3
"""So many time-outs in a row, or as long as one time-out of quick refusals: then publishing fails."""
RETRY_SECONDS: Final = 0.5
RETRY_SECONDS_MAX: Final = 1.0
HISTORY_MESSAGES_MAX: Final = 10_000
"""How far back a subject is searched for a message id after an answer was lost."""

_CONFLICT_CODES: Final = frozenset({10071, 10164})
"""Wrong last sequence, with and without the number in its text."""
_DUPLICATE_IN_BATCH: Final = 10201
_UNAVAILABLE: Final = 503
_PASSING_CODES: Final = frozenset({10023, 10028, 10047, 10077, 10158, 10176})
"""What says nothing about the message: no resources, no storage, a full stream or disk (which also breaks a batch
apart, 10176), and on a cluster an earlier attempt with this id that is not agreed on yet (10158)."""

_MESSAGE_ID: Final = "Nats-Msg-Id"
_EXPECTED_STREAM: Final = "Nats-Expected-Stream"
_EXPECTED_SEQ: Final = "Nats-Expected-Last-Subject-Sequence"
_EXPECTED_SEQ_SUBJECT: Final = "Nats-Expected-Last-Subject-Sequence-Subject"
_TTL: Final = "Nats-TTL"
_BATCH_ID: Final = "Nats-Batch-Id"
_BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
_BATCH_COMMIT: Final = "Nats-Batch-Commit"


@dataclass(frozen=True, slots=True)
class Fence:
    """The message that must still be the last of its subject for a write to be stored (same stream)."""

    subject: str
    seq: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish; it carries an expected sequence of its own subject or a fence, never both."""

    subject: str
    body: bytes = field(repr=False)
    message_id: str
    """Equal ids mean equal messages, for ever: derived from the content's identity, not from the attempt."""
    headers: Mapping[str, str] = field(default_factory=dict)
    expected_last_seq: int | None = None
    """0 means that the subject must be empty."""
    fence: Fence | None = None
    ttl_seconds: int | None = None
    """The server deletes the message after this time; only where the stream allows it."""

    def __post_init__(self) -> None:
        if self.expected_last_seq is not None and self.fence is not None:
            raise ValueError(
                f"{self.subject}: a message states an expected sequence or a fence, not both; "
                "in a batch put the fence on another message"
            )
        # An envelope may write the message id itself; every other word of the server's has a field here.
        reserved = [
            name
            for name, value in self.headers.items()
            if (name.lower().startswith("nats-") or name.lower() == "status")
            and (name, value) != (_MESSAGE_ID, self.message_id)
        ]
        if reserved:
            raise ValueError(
                f"{self.subject}: the headers {', '.join(reserved)} mean something to the server; "
                "use the fields of the message, or another name"
            )
        if not self.message_id:
            raise ValueError(f"{self.subject}: a message needs an id, or a repetition would be stored twice")


@dataclass(frozen=True, slots=True)
class Published:
    """Where a message came to lie."""

    seq: int
    is_duplicate: bool
    """It was there already: an earlier attempt, ours or of a process before us, had stored it."""


class Conflict(Exception):
    """Another writer was first: the expected sequence, or the fence, no longer holds."""

    def __init__(self, subject: str, expected: str, said: str) -> None:
        self.subject = subject
        self.said = said
        super().__init__(
            f"{subject}: expected {expected}, but the server said: {said}; read the subject and decide anew"
        )


class PublishRefused(Exception):
    """The server understood a message and will not store it; repeating it would not help."""

    def __init__(self, subject: str, code: int, said: str) -> None:
        self.subject = subject
        self.code = code
        super().__init__(f"{subject}: refused with error {code}: {said}")


class PublishFailed(Exception):
    """No answer in all attempts: the message may or may not be stored; the same id may be published again."""


async def publish_one(
    js: JetStreamContext, outgoing: Outgoing, timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS
) -> Published:
    """Store one message; a repetition of a stored one succeeds, a lost race raises Conflict."""
    stream = stream_of(outgoing.subject)
    _check_sizes([outgoing], stream)

    async def attempt() -> Published:
        answer = await client_of(js).request(
            outgoing.subject, outgoing.body, timeout=timeout_seconds, headers=_headers(outgoing, stream)
        )
        stored = _answer(answer, outgoing)
        return Published(int(stored["seq"]), bool(stored.get("duplicate", False)))

    return await _until_known(js, [outgoing], attempt, timeout_seconds)


async def publish_batch(
    js: JetStreamContext, outgoings: Sequence[Outgoing], timeout_seconds: float = PUBLISH_TIMEOUT_SECONDS
) -> int:
    """Store all messages or none, and return the sequence of the last; a lost race raises Conflict.

    All subjects lie in one stream, because atomicity ends there. A batch that was stored before succeeds again.
    """
    if not outgoings:
        raise ValueError("an empty batch has nothing to publish")
    if len(outgoings) == 1:
        return (await publish_one(js, outgoings[0], timeout_seconds)).seq
    stream = stream_of(outgoings[0].subject)
    _check_batch(outgoings, stream)

    async def attempt() -> Published:
        client = client_of(js)
        # A fresh id an attempt: the rest of a lost attempt must not mix with this one.
        batch_id = uuid.uuid4().hex
        final = len(outgoings)
        for position, outgoing in enumerate(outgoings, start=1):
            headers = _headers(outgoing, stream)
            headers[_BATCH_ID] = batch_id
            headers[_BATCH_SEQUENCE] = str(position)
            if position == final:
                headers[_BATCH_COMMIT] = "1"
            if position in (1, final):
                # The first answer tells that the stream takes part, before megabytes are sent in vain.
                answer = await client.request(outgoing.subject, outgoing.body, timeout=timeout_seconds, headers=headers)
                if position == final:
                    return Published(int(_answer(answer, outgoing)["seq"]), is_duplicate=False)
                if answer.data:
                    _answer(answer, outgoing)
            else:
                await client.publish(outgoing.subject, outgoing.body, headers=headers)
        raise AssertionError("the last message of a batch returns its answer")

    return (await _until_known(js, outgoings, attempt, timeout_seconds)).seq


async def _until_known(
    js: JetStreamContext,
    outgoings: Sequence[Outgoing],
    attempt: Callable[[], Awaitable[Published]],
    timeout_seconds: float,
) -> Published:
    """Repeat an attempt until its outcome is known; the ids make a repetition harmless."""
    client = client_of(js)
    failure: Exception | None = None
    loop = asyncio.get_running_loop()
    # Refusals come at once while a cluster elects a leader, and there are elections of some seconds.
    deadline, number = loop.time() + timeout_seconds, 0
    while number < ATTEMPTS_MIN or loop.time() < deadline:
        if number:
            await asyncio.sleep(min(RETRY_SECONDS * number, RETRY_SECONDS_MAX))
        number += 1
        try:
            return await attempt()
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError, nats.errors.OutboundBufferLimitError) as error:
            _raise_if_any_refused(client, outgoings)
            failure = error
        except _Unavailable as error:
            _raise_if_any_refused(client, outgoings)  # a refused member leaves its batch incomplete
            failure = error
        except (Conflict, _DuplicateInBatch) as error:
            # The server compares sequences before it recognises ids: our own earlier success looks like this too.
            stored = await _find_own(js, outgoings)
            if stored is not None:
                return Published(stored.seq, is_duplicate=True)
            if isinstance(error, Conflict):
                raise _named(error, outgoings) from None
            raise PublishRefused(outgoings[-1].subject, _DUPLICATE_IN_BATCH, str(error)) from error
    raise PublishFailed(
        f"{outgoings[-1].subject}: no certain answer in {number} attempts of up to {timeout_seconds} s "
        f"for {len(outgoings)} message(s), last id {outgoings[-1].message_id!r}; "
        "publish the same again when the bus is healthy"
    ) from failure


def _raise_if_any_refused(client: Client, outgoings: Sequence[Outgoing]) -> None:
    for subject in dict.fromkeys(outgoing.subject for outgoing in outgoings):
        raise_if_refused(client, subject)


async def _find_own(js: JetStreamContext, outgoings: Sequence[Outgoing]) -> Stored | None:
    """Return the last message as stored when it is our own earlier success that stands in the way.

    Of a batch, the first message, the first with a condition and the last must all be there under their ids: a
    batch is stored whole or not at all, so these stand for the rest.
    """
    conditioned = [outgoing for outgoing in outgoings if outgoing.expected_last_seq is not None]
    try:
        for witness in (outgoings[0], *conditioned[:1]):
            if witness is not outgoings[-1] and await _find_stored(js, witness) is None:
                return None
        return await _find_stored(js, outgoings[-1])
    except (PermissionRefused, StreamUnavailable):
        # Without the right to look, the server's word stands.
        return None


async def _find_stored(js: JetStreamContext, outgoing: Outgoing) -> Stored | None:
    stream = stream_of(outgoing.subject).name
    newest = await last(js, stream, outgoing.subject)
    if newest is None or newest.message_id == outgoing.message_id:
        return newest
    looked_at = 0
    async with aclosing(read_all(js, stream, outgoing.subject, last_seq=newest.seq)) as history:
        async for stored in history:
            looked_at += 1
            if stored.message_id == outgoing.message_id:
                return stored
            if looked_at >= HISTORY_MESSAGES_MAX:
                break
    return None


class _Unavailable(Exception):
    """The stream said that it cannot answer now."""


class _DuplicateInBatch(Exception):
    """A message of the batch is stored already."""


def _answer(answer: Msg, outgoing: Outgoing) -> dict[str, Any]:
    """Return the server's acknowledgement, or raise what its error means."""
    content: dict[str, Any] = json.loads(answer.data)
    error = content.get("error")
    if error is None:
        return content
    code, said = int(error.get("err_code", 0)), str(error.get("description", ""))
    if code in _CONFLICT_CODES:
        raise Conflict(outgoing.subject, _expectation(outgoing), said)
    if code == _DUPLICATE_IN_BATCH:
        raise _DuplicateInBatch(said)
    if code in _PASSING_CODES or int(error.get("code", 0)) == _UNAVAILABLE:
        raise _Unavailable(said)
    raise PublishRefused(outgoing.subject, code, said)


def _named(conflict: Conflict, outgoings: Sequence[Outgoing]) -> Conflict:
    """Name the message whose condition failed where only one has a condition: a batch's answer does not tell."""
    conditioned = [one for one in outgoings if one.expected_last_seq is not None or one.fence is not None]
    if len(conditioned) != 1:
        return conflict
    return Conflict(conditioned[0].subject, _expectation(conditioned[0]), conflict.said)


def _expectation(outgoing: Outgoing) -> str:
    if outgoing.fence is not None:
        return f"{outgoing.fence.subject} to stand at {outgoing.fence.seq}"
    if outgoing.expected_last_seq is not None:
        return f"the subject to stand at {outgoing.expected_last_seq}"
    return "every message of the batch to meet its own condition"


def _headers(outgoing: Outgoing, stream: StreamSpec) -> dict[str, str]:
    headers = dict(outgoing.headers)
    headers[_MESSAGE_ID] = outgoing.message_id
    headers[_EXPECTED_STREAM] = stream.name
    if outgoing.expected_last_seq is not None:
        headers[_EXPECTED_SEQ] = str(outgoing.expected_last_seq)
    if outgoing.fence is not None:
        headers[_EXPECTED_SEQ] = str(outgoing.fence.seq)
        headers[_EXPECTED_SEQ_SUBJECT] = outgoing.fence.subject
    if outgoing.ttl_seconds is not None:
        headers[_TTL] = str(outgoing.ttl_seconds)
    return headers


def _check_batch(outgoings: Sequence[Outgoing], stream: StreamSpec) -> None:
    if not stream.allow_atomic:
        raise ValueError(f"stream {stream.name} takes no atomic batches; publish one by one")
    if len(outgoings) > BATCH_MESSAGES_MAX:
        raise ValueError(
            f"a batch of {len(outgoings)} messages to {stream.name}: at most {BATCH_MESSAGES_MAX} are allowed; "
            "put more into each message, or split where a half may stand alone"
        )
    for outgoing in outgoings:
        other = stream_of(outgoing.subject)
        if other.name != stream.name:
            raise ValueError(
                f"a batch lies in one stream: {outgoings[0].subject} is of {stream.name}, "
                f"{outgoing.subject} of {other.name}"
            )
    ids = {outgoing.message_id for outgoing in outgoings}
    if len(ids) != len(outgoings):
        raise ValueError(f"a batch of {len(outgoings)} messages has only {len(ids)} different message ids")
    _check_sizes(outgoings, stream)


def _check_sizes(outgoings: Sequence[Outgoing], stream: StreamSpec) -> None:
    total = 0
    for outgoing in outgoings:
        headers = sum(len(name) + len(value) + 4 for name, value in outgoing.headers.items())
        size = len(outgoing.body) + headers
        total += size
        limit = min(stream.max_msg_bytes, MESSAGE_BYTES_MAX) - _room_for_own_headers(stream)
        if headers > HEADER_BYTES_MAX or size > limit:
            raise ValueError(
                f"{outgoing.subject}: {size} bytes ({headers} of them headers); at most {limit} "
                f"({HEADER_BYTES_MAX} headers) are allowed: split the content into pages"
            )
    if total > BATCH_BYTES_MAX:
        raise ValueError(f"a batch of {total} bytes to {stream.name}: at most {BATCH_BYTES_MAX} are allowed; split it")


def _room_for_own_headers(stream: StreamSpec) -> int:
    return min(2048, stream.max_msg_bytes // 4)
