"""Reads stored messages: the last of a subject, or a stretch of a stream in order.

No consumer is created and nothing is acknowledged, so reading leaves no trace and needs no cleaning up. It decides
nothing. On a cluster a single message is asked of the stream's leader, for whoever reads an old document and finds
nothing to do lets its command go; a stretch comes from any replica, and is read until what the leader has is there.
A writer that must be right says so by an expected sequence all the same: a leader may have been deposed.
"""

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext

from shared.bus.client import heeding
from shared.bus.connect import client_of, raise_if_refused
from shared.events.stored import Stored

READ_TIMEOUT_SECONDS: Final = 5.0
READ_PATIENCE_SECONDS: Final = 25.0
"""Without any good answer, while a server restarts or a leader is elected, before reading fails. A time and not a
number of attempts: a server without a leader says so at once, and would use up attempts before an election is over."""
READ_RETRY_SECONDS: Final = 0.5
BATCH_MESSAGES: Final = 512
BATCH_BYTES: Final = 8 * 2**20

log = structlog.get_logger(__name__)

_STATUS: Final = "Status"
_SEQUENCE: Final = "Nats-Sequence"
_NONE_FOUND: Final = 10037
"""The server's own number for "no message found"; its 404 also stands for a stream that does not exist."""
_SERVER_HEADERS: Final = frozenset(
    {"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending", "Nats-Last-Sequence"}
)
"""What the server adds when it answers a direct get; it is not part of the stored message."""


class NotGenuine(Exception):
    """A stored message that did not come through publishing.py under its writer's own permissions."""


class StreamUnavailable(Exception):
    """A stream did not answer although the reader may read it: down, electing, or not provisioned."""


def foreign_marks(headers: Mapping[str, str], stream: str) -> str | None:
    """Say why a message cannot have been published to this stream by its writer, or None when it can.

    The server checks the subject of an act and not the subject for its answer. So a writer could ask for a message
    of its own (direct get) to be answered onto a subject that it may not write, and a stream would store that.
    Two marks that publishing.py sets spoil it: the expected stream keeps the copy out of every other stream, the
    message id out of the same one. A copy also bears what the server adds to answers.
    """
    if headers.get("Nats-Expected-Stream") != stream or not headers.get("Nats-Msg-Id"):
        return "it names neither its stream nor an id, so it was not published by our own publishing"
    if added := sorted(_SERVER_HEADERS.intersection(headers)):
        return f"it bears {', '.join(added)}: an answer of the server that was turned onto this subject"
    return None


async def last(js: JetStreamContext, stream: str, subject: str) -> Stored | None:
    """Return the newest message of one subject, or None when the stream holds none; NotGenuine for a smuggled one."""
    return _genuine(await _get(js, stream, {"last_by_subj": subject}), stream)


async def at(js: JetStreamContext, stream: str, seq: int) -> Stored | None:
    """Return the message at one sequence, or None when it is gone or not written yet; NotGenuine as above."""
    return _genuine(await _get(js, stream, {"seq": seq}), stream)


async def read_all(
    js: JetStreamContext, stream: str, filter_subject: str, start_seq: int = 1, last_seq: int | None = None
) -> AsyncGenerator[Stored, None]:
    """Yield the messages of a subject pattern in stream order, from start_seq to last_seq or to the end found.

    Memory is bounded by one batch. A lost connection is waited for and reading goes on behind the last message
    yielded, so that nothing comes twice. Smuggled messages are left out and shouted about.

    Batches may come from any replica, and a replica may lag behind: the leader says how far there is something to read,
    and an end before that is not believed.
    """
    newest = await _get(js, stream, {"last_by_subj": filter_subject})
    if newest is None:
        return
    certain_seq = newest.seq if last_seq is None else min(newest.seq, last_seq)
    client = client_of(js)
    # One inbox for the whole reading; its last token numbers the batch, so that late answers are told apart.
    inbox = client.new_inbox()
    subscription = await client.subscribe(f"{inbox}.*", pending_msgs_limit=-1, pending_bytes_limit=-1)
    next_seq, batch = max(start_seq, 1), 0
    now = asyncio.get_running_loop().time
    heard_at = now()
    try:
        while last_seq is None or next_seq <= last_seq:
            batch += 1
            reply = f"{inbox}.{batch}"
            request = {
                "seq": next_seq,
                "next_by_subj": filter_subject,
                "batch": BATCH_MESSAGES,
                "max_bytes": BATCH_BYTES,
            }
            subject = f"$JS.API.DIRECT.GET.{stream}"
            await client.publish(subject, json.dumps(request).encode(), reply=reply)
            try:
                async for stored in _batch(subscription, reply, stream):
                    heard_at = now()
                    if last_seq is not None and stored.seq > last_seq:
                        return
                    next_seq = stored.seq + 1
                    if (why := foreign_marks(stored.headers, stream)) is not None:
                        log.critical("bus_message_not_genuine", subject=stored.subject, seq=stored.seq, why=why)
                        continue
                    yield stored
            except (_EndOfStream, nats.errors.TimeoutError, StreamUnavailable) as error:
                if isinstance(error, _EndOfStream) and next_seq > certain_seq:
                    return
                raise_if_refused(client, subject)
                if now() - heard_at >= READ_PATIENCE_SECONDS:
                    raise StreamUnavailable(
                        f"stream {stream}: no answer for {filter_subject!r} from sequence {next_seq} "
                        f"in {READ_PATIENCE_SECONDS:.0f} s; look at the server's health"
                    ) from error
                await asyncio.sleep(READ_RETRY_SECONDS)
    finally:
        await _leave(client, subscription)


class _EndOfStream(Exception):
    """Nothing is left behind the sequence asked for."""


async def _batch(subscription: Subscription, reply: str, stream: str) -> AsyncIterator[Stored]:
    """Yield one batch; _EndOfStream when it was the last, StreamUnavailable when nobody answers or one is missing."""
    before = 0
    while True:
        message = await heeding(subscription.next_msg(timeout=READ_TIMEOUT_SECONDS))
        if message.subject != reply:
            continue
        headers = message.headers or {}
        if _SEQUENCE in headers:
            _require_behind(before, headers, stream)
            before = int(headers[_SEQUENCE])
            yield _stored(message)
            continue
        match headers.get(_STATUS):
            case "204":  # end of the batch
                _require_behind(before, headers, stream)
                if int(headers.get("Nats-Num-Pending", "0")) == 0:
                    raise _EndOfStream
                return
            case "404":  # nothing at or behind the sequence
                raise _EndOfStream
            case status:
                raise StreamUnavailable(f"stream {stream}: status {status} {headers.get('Description', '')}")


def _require_behind(seq: int, headers: Mapping[str, str], stream: str) -> None:
    """Each answer of a batch names the one before it, and the end the last: one that was lost on the way shows."""
    if int(headers.get("Nats-Last-Sequence", seq)) != seq:
        raise StreamUnavailable(f"stream {stream}: answers of a batch behind sequence {seq} were lost")


async def _get(js: JetStreamContext, stream: str, wanted: Mapping[str, str | int]) -> Stored | None:
    """One message as the stream's leader has it: a replica could answer with what was the newest a moment ago."""
    client = client_of(js)
    subject, body = f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps(wanted).encode()
    now = asyncio.get_running_loop().time
    give_up_at = now() + READ_PATIENCE_SECONDS
    while True:
        try:
            answer = json.loads((await client.request(subject, body, timeout=READ_TIMEOUT_SECONDS)).data)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError) as error:
            raise_if_refused(client, subject)
            failure: Exception = error
        else:
            problem = answer.get("error")
            if problem is None:
                return _kept(answer["message"])
            if problem.get("err_code") == _NONE_FOUND:
                return None
            failure = StreamUnavailable(f"stream {stream}: {problem.get('description', '')}")
        if now() >= give_up_at:
            raise StreamUnavailable(
                f"stream {stream}: no answer on {subject} in {READ_PATIENCE_SECONDS:.0f} s; look at the server's health"
            ) from failure
        await asyncio.sleep(READ_RETRY_SECONDS)


def _genuine(stored: Stored | None, stream: str) -> Stored | None:
    if stored is not None and (why := foreign_marks(stored.headers, stream)) is not None:
        raise NotGenuine(f"{stored.subject} at sequence {stored.seq} of {stream} is not to be believed: {why}")
    return stored


def _kept(message: Mapping[str, Any]) -> Stored:
    """A message as the leader shows it."""
    lines = b64decode(message.get("hdrs", "")).decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if line)
    return Stored(
        subject=message["subject"],
        seq=message["seq"],
        time=_time(message["time"]),
        headers={name: value.strip() for name, _, value in pairs},
        data=b64decode(message.get("data", "")),
    )


def _stored(message: Msg) -> Stored:
    headers = message.headers or {}
    return Stored(
        subject=headers["Nats-Subject"],
        seq=int(headers["Nats-Sequence"]),
        time=_time(headers["Nats-Time-Stamp"]),
        headers={name: value for name, value in headers.items() if name not in _SERVER_HEADERS},
        data=message.data,
    )


def _time(text: str) -> datetime:
    """Read the server's nanosecond time; Python keeps microseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    moment = datetime.fromisoformat(whole).replace(tzinfo=UTC)
    return moment.replace(microsecond=int(fraction[:6].ljust(6, "0"))) if fraction else moment


async def _leave(client: Client, subscription: Subscription) -> None:
    if not client.is_closed:
        await subscription.unsubscribe()
