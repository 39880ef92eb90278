"""A client of the simulated bus: what the library's client is to the house.

It sends and hears over a connection that the bus may break, and keeps nothing but what waits to be sent or answered.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared.bus.topology import inbox_prefix
from tests.simulation.loop import ProcessIsDead
from tests.simulation.streams import Headers, matches

if TYPE_CHECKING:  # the bus makes the clients
    from tests.simulation.bus import Bus

UNSENT_MESSAGES_MAX: Final = 5000
"""What a client keeps to send while its connection is broken."""


@dataclass(eq=False)
class SimClient:
    """One connection, as the house's code sees the library's client."""

    bus: Bus
    user: str
    number: int
    context: Context
    account: str | None
    """That of people for a person; None for a service."""
    is_connected: bool = True
    is_closed: bool = False
    epoch: int = 0
    sent_until: float = 0.0
    heard_until: float = 0.0

    def __post_init__(self) -> None:
        self.name = f"c{self.number}"
        self.unsent: deque[tuple[str, bytes, str, Headers | None]] = deque()
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._subscriptions: dict[str, SimSubscription] = {}
        self._inboxes = 0

    def jetstream(self) -> JetStreamContext:
        """The library's own context over this client."""
        return JetStreamContext(self)  # type: ignore[arg-type]  # it is to the house what the library's is

    def new_inbox(self) -> str:
        """A subject that nobody else has."""
        self._inboxes += 1
        return f"{inbox_prefix(self.user)}.{self.name}.{self._inboxes}"

    def answers(self, subject: str) -> bool:
        """Whether this connection takes requests on the subject."""
        return any(matches(pattern, subject) for pattern in self._subscriptions if not pattern.startswith("_INBOX_"))

    async def publish(
        self, subject: str, payload: bytes = b"", reply: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """Send without waiting for an answer."""
        if self.is_closed:
            raise ProcessIsDead
        if self.is_connected:
            self.bus.carry(self, subject, payload, reply, headers)
        elif len(self.unsent) < UNSENT_MESSAGES_MAX:
            self.unsent.append((subject, payload, reply, headers))
        else:
            raise nats.errors.OutboundBufferLimitError

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,  # noqa: ASYNC109 - the library's signature
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """Send and wait for the answer."""
        inbox = self.new_inbox()
        future: asyncio.Future[Msg] = self.bus.loop.create_future()
        self._waiting[inbox] = future
        await self.publish(subject, payload, inbox, headers)
        timer = self.bus.loop.call_later(timeout, _give_up, future)
        try:
            message = await future
        finally:
            timer.cancel()
            self._waiting.pop(inbox, None)
        if (message.headers or {}).get("Status") == "503":
            raise nats.errors.NoRespondersError
        return message

    async def subscribe(
        self,
        subject: str,
        queue: str = "",
        cb: Callable[[Msg], Awaitable[None]] | None = None,
        pending_msgs_limit: int = 0,
        pending_bytes_limit: int = 0,
    ) -> SimSubscription:
        """Hear what is sent to a subject."""
        self._subscriptions[subject] = SimSubscription(self, subject, cb)
        return self._subscriptions[subject]

    def hear(self, epoch: int, to: str, message: Msg) -> None:
        """A message has arrived; it is lost when the connection broke meanwhile."""
        if self.is_closed or epoch != self.epoch:
            return
        future = self._waiting.get(to)
        if future is not None:
            if not future.done():
                future.set_result(message)
            return
        found = self._subscriptions.get(to)
        if found is None:
            found = next((one for pattern, one in self._subscriptions.items() if matches(pattern, to)), None)
        if found is not None:
            found.hear(message)

    def forget(self, subject: str) -> None:
        """End a subscription."""
        self._subscriptions.pop(subject, None)

    async def flush(self, timeout: int = 10) -> None:  # noqa: ASYNC109 - the library's signature
        """Nothing is kept back here."""

    async def drain(self) -> None:
        """Leave the bus."""
        await self.close()

    async def close(self) -> None:
        """Leave the bus."""
        self.shut()

    def shut(self) -> None:
        """Leave it at once: nothing is sent or heard any more; what is under way to the server still arrives."""
        if not self.is_closed:
            self.is_closed, self.is_connected = True, False
            for consumer in self.bus.consumers.values():
                consumer.pulls = deque(pull for pull in consumer.pulls if pull.client is not self)


class SimSubscription:
    """A subscription of a simulated client."""

    def __init__(self, client: SimClient, subject: str, cb: Callable[[Msg], Awaitable[None]] | None) -> None:
        self._client = client
        self._subject = subject
        self._cb = cb
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()

    def hear(self, message: Msg) -> None:
        """Keep a message, or hand it to the callback in a task of its own."""
        if self._cb is None:
            self._arrived.put_nowait(message)
        else:
            self._client.bus.loop.create_task(_called(self._cb, message), context=self._client.context)

    async def next_msg(self, timeout: float | None = 1.0) -> Msg:  # noqa: ASYNC109 - the library's signature
        """The next message; the library's time-out when none comes."""
        try:
            async with asyncio.timeout(timeout):
                return await self._arrived.get()
        except TimeoutError:
            raise nats.errors.TimeoutError from None

    async def unsubscribe(self) -> None:
        """Hear no more."""
        self._client.forget(self._subject)


async def _called(callback: Callable[[Msg], Awaitable[None]], message: Msg) -> None:
    await callback(message)


def _give_up(future: asyncio.Future[Msg]) -> None:
    if not future.done():
        future.set_exception(nats.errors.TimeoutError())
