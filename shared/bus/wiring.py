"""Between a broker's messages and a service's dispatcher; the same for every service."""

from __future__ import annotations

from collections.abc import Sequence

from faststream.nats import NatsMessage

from shared.bus.broker import BusBroker, answer, consume
from shared.bus.dispatch import ContextT, Dispatcher, RequestRoute


def wire_consumer(broker: BusBroker, consumer: str, dispatcher: Dispatcher[ContextT], *, parallel: int = 1) -> None:
    """Let the dispatcher take a consumer's messages."""

    async def take(message: NatsMessage) -> None:
        raw = message.raw_message
        await dispatcher.dispatch(subject=raw.subject, headers=raw.headers, data=raw.data)

    consume(broker, consumer, take, parallel=parallel)


def wire_requests(
    broker: BusBroker, requests: Sequence[RequestRoute[ContextT]], dispatcher: Dispatcher[ContextT]
) -> None:
    """Let the dispatcher answer the commands of people."""
    for route in requests:
        wire_request(broker, route.subject, dispatcher)


def wire_request(broker: BusBroker, subject: str, dispatcher: Dispatcher[ContextT]) -> None:
    """Let the dispatcher answer one subject."""

    async def reply(message: NatsMessage) -> bytes:
        raw = message.raw_message
        return await dispatcher.answer(subject=subject, headers=raw.headers, data=raw.data)

    answer(broker, subject, reply, parallel=4)
