"""Brings the messages of one stream: by its durable consumer as they come, by direct get where some are missing.

The consumer hands out each message until it is acknowledged, and after a crash not in order; what is missing in front
is read by sequence. It keeps what has arrived in the stream's lane and decides nothing about it. Acknowledgements are
sent when the caller says that a sequence is in the database, never before.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from services.auditor.merging import Arrived, Lane, microseconds
from shared.bus.reading import StreamUnavailable, read_all
from shared.clock import from_text

PULL_MESSAGES: Final = 1000
"""Messages asked for at once; the consumer's own bound (5,000 unacknowledged) is the bound of the lane."""
PULL_SECONDS: Final = 5
"""How long the server keeps a request open; also how soon pulling goes on after a lost connection."""
FILL_MESSAGES_MAX: Final = 2000
LACKING_SECONDS: Final = 0.2
"""How long a stored message may be on its way by the consumer before it is read by sequence."""
INFO_SECONDS_MAX: Final = 5.0

_ACK_PREFIX: Final = "$JS.ACK."
_ACK_TOKENS: Final = 9
"""`$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`; the second form has the
domain and the account hash behind `ACK`, and one more token at the end."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Where a stream stood when the server looked."""

    first_seq: int
    last_seq: int
    has_holes: bool
    at_us: int
    """The server's clock: microseconds since 1970."""


class StreamPull:
    """The reading end of one stream."""

    def __init__(self, js: JetStreamContext, client: Client, *, stream: str, consumer: str, bell: asyncio.Event):
        self.stream = stream
        self.lane = Lane(stream)
        self._js = js
        self._client = client
        self._consumer = consumer
        self._bell = bell
        self._unacknowledged: dict[int, Msg] = {}
        self._credit = 0
        self._wants_more = asyncio.Event()
        self._fills = True
        self._lacks_since: float | None = None

    async def run(self) -> None:
        """Pull until cancelled."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, cb=self._on_message)
        request = json.dumps({"batch": PULL_MESSAGES, "expires": PULL_SECONDS * 1_000_000_000}).encode()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self._consumer}"
        try:
            while True:
                self._wants_more.clear()
                if self._credit <= PULL_MESSAGES // 2:
                    self._credit += PULL_MESSAGES
                    await self._client.publish(subject, request, reply=inbox)
                try:
                    async with asyncio.timeout(PULL_SECONDS + 1):
                        await self._wants_more.wait()
                except TimeoutError:
                    self._credit = 0  # the server forgot the request: restarted, or the connection was lost
        finally:
            if not self._client.is_closed:
                await subscription.unsubscribe()

    async def end(self) -> StreamEnd:
        """Ask the server where the stream stands."""
        try:
            answer = await self._client.request(f"$JS.API.STREAM.INFO.{self.stream}", b"", timeout=INFO_SECONDS_MAX)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError) as error:
            raise StreamUnavailable(f"stream {self.stream}: no information in {INFO_SECONDS_MAX} s") from error
        content = json.loads(answer.data)
        if "error" in content:
            raise StreamUnavailable(f"stream {self.stream}: {content['error'].get('description')}")
        state = content["state"]
        return StreamEnd(
            first_seq=int(state["first_seq"]),
            last_seq=int(state["last_seq"]),
            has_holes=int(state.get("num_deleted", 0)) > 0,
            at_us=microseconds(_server_time(content["ts"])),
        )

    async def fill_if_lacking(self, end: StreamEnd, *, now_seconds: float) -> None:
        """Read by sequence what the consumer does not bring: at the start, over a gap, or after `LACKING_SECONDS`."""
        if self.lane.has_head or self.lane.next_seq > end.last_seq:
            self._lacks_since = None
            self._fills = False
            return
        if self._lacks_since is None:
            self._lacks_since = now_seconds
        if self._fills or self.lane.waiting or now_seconds - self._lacks_since >= LACKING_SECONDS:
            self._fills = True  # the next stretch too: an acknowledged past does not come by the consumer
            await self._fill(end)

    async def _fill(self, end: StreamEnd) -> None:
        """Read what the lane lacks in front, at most `FILL_MESSAGES_MAX` messages."""
        start = self.lane.next_seq
        behind = min((seq for seq in self.lane.waiting if seq > start), default=end.last_seq + 1)
        last = min(behind - 1, start + FILL_MESSAGES_MAX - 1)
        if start > last:
            return
        expected = start
        async for stored in read_all(self._js, self.stream, ">", start_seq=start, last_seq=last):
            if stored.seq != expected and not end.has_holes:
                break  # a replica that lags: ask again
            if stored.seq != expected and expected == self.lane.next_seq:
                log.error("audit_messages_gone", stream=self.stream, first=expected, last=stored.seq - 1)
                self.lane.skip_to(stored.seq)
            self.lane.offer(
                Arrived(
                    stream=self.stream,
                    seq=stored.seq,
                    subject=stored.subject,
                    headers=stored.headers,
                    data=stored.data,
                    time_us=microseconds(stored.time),
                )
            )
            expected = stored.seq + 1

    async def acknowledge(self) -> None:
        """Acknowledge everything that the lane has released; call it once that is in the database."""
        for seq in [seq for seq in self._unacknowledged if seq < self.lane.next_seq]:
            await self._unacknowledged.pop(seq).ack()

    async def _on_message(self, message: Msg) -> None:
        if not message.reply.startswith(_ACK_PREFIX):
            # A status: the request ended. What other requests still owe is asked for again; a surplus does no harm.
            self._credit = 0
            self._wants_more.set()
            return
        seq, time_us = _place(message.reply)
        self._credit -= 1
        if self._credit <= PULL_MESSAGES // 2:
            self._wants_more.set()
        arrived = Arrived(
            stream=self.stream,
            seq=seq,
            subject=message.subject,
            headers=dict(message.headers or {}),
            data=message.data,
            time_us=time_us,
        )
        self._unacknowledged[seq] = message
        self.lane.offer(arrived)
        self._bell.set()


def _place(reply: str) -> tuple[int, int]:
    """Stream sequence and time (microseconds) in an acknowledgement subject of either form."""
    tokens = reply.split(".")
    first = 2 if len(tokens) == _ACK_TOKENS else 4
    return int(tokens[first + 3]), int(tokens[first + 5]) // 1000


def _server_time(text: str) -> datetime:
    """The server's time with nanoseconds; Python keeps microseconds."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return from_text(f"{whole}.{fraction[:6].ljust(6, '0')}Z")
