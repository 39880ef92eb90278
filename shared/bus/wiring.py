"""Wiring a service to the bus; the same for every service.

`Service` is the broker, the committer and what else each program has; `take` lets a dispatcher have the messages of
its consumers and the commands of people. It decides nothing.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from faststream.nats import NatsMessage
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from shared.bus.broker import BusBroker, answer, consume
from shared.bus.commit import Committer
from shared.bus.connect import BusMisaddressed, BusSettings, BusUnreachable, NotAdmitted, client_of
from shared.bus.dispatch import ContextT, Dispatcher, RequestRoute, Route
from shared.bus.environment import require_environment
from shared.bus.program import run_program
from shared.clock import Clock, SystemClock
from shared.errors import AetherError, NeedsPerson
from shared.ids import Ids, RandomIds
from shared.secrets import resolve
from shared.settings import ServiceSettings
from shared.telemetry.families import counter
from shared.telemetry.handlers import HandlerMetrics
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import otlp_headers_in, tracer_provider

COMMANDS_AT_ONCE = 4
"""Commands of people that one process answers side by side."""
EXIT_SETTINGS = 78
"""As sysexits.h has it: something in the configuration is wrong; a restart does not mend it."""


@dataclass(frozen=True)
class Service:
    """A service on the bus."""

    name: str
    settings: ServiceSettings
    broker: BusBroker
    committer: Committer
    metrics: CollectorRegistry
    clock: Clock
    ids: Ids

    @property
    def js(self) -> JetStreamContext:
        """JetStream on the service's own connection."""
        return self.broker.jetstream

    @cached_property
    def handled(self) -> HandlerMetrics:
        """How long handlers take, of this program."""
        return HandlerMetrics(self.metrics)

    def take(
        self,
        *,
        context: ContextT,
        routes: tuple[Route[ContextT], ...],
        requests: tuple[RequestRoute[ContextT], ...],
        consumers: Mapping[str, int],
    ) -> None:
        """Let the handlers have their messages; `consumers` says how many of each are taken side by side."""
        dispatcher = Dispatcher(
            service=self.name,
            routes=routes,
            requests=requests,
            context=context,
            committer=self.committer,
            clock=self.clock,
            ids=self.ids,
            handled=self.handled,
        )
        for consumer, parallel in consumers.items():
            self._take_consumer(consumer, dispatcher, parallel)
        for request in requests:
            self._take_request(request.subject, dispatcher)

    def _take_consumer(self, consumer: str, dispatcher: Dispatcher[ContextT], parallel: int) -> None:
        async def take(message: NatsMessage) -> None:
            raw = message.raw_message
            await dispatcher.dispatch(subject=raw.subject, headers=raw.headers, data=raw.data)

        consume(self.broker, consumer, take, parallel=parallel)

    def take_ticks(self, consumer: str, on_tick: Callable[[str], Awaitable[None]]) -> None:
        """Let a function hear the bells of a consumer: it is given the subject, for a tick says nothing else."""

        async def take(message: NatsMessage) -> None:
            await on_tick(message.raw_message.subject)

        consume(self.broker, consumer, take)

    def _take_request(self, subject: str, dispatcher: Dispatcher[ContextT]) -> None:
        async def reply(message: NatsMessage) -> bytes:
            raw = message.raw_message
            return await dispatcher.answer(subject=subject, headers=raw.headers, data=raw.data)

        answer(self.broker, subject, reply, parallel=COMMANDS_AT_ONCE)

    def take_questions(self, subject: str, respond: Callable[[str, bytes], Awaitable[bytes]], *, parallel: int) -> None:
        """Let a function answer a subject pattern that is no command."""
        self.broker.expect_questions(subject)

        async def reply(message: NatsMessage) -> bytes:
            return await respond(message.raw_message.subject, message.raw_message.data)

        answer(self.broker, subject, reply, parallel=parallel)

    def take_named_questions(
        self,
        subject: str,
        respond: Callable[[Mapping[str, str] | None, bytes], Awaitable[bytes]],
        *,
        parallel: int,
    ) -> None:
        """Let a function answer a subject that is no command and asks to know who asks: it is given the headers."""

        async def reply(message: NatsMessage) -> bytes:
            return await respond(message.raw_message.headers, message.raw_message.data)

        answer(self.broker, subject, reply, parallel=parallel)

    async def run(
        self,
        *,
        is_ready: Callable[[], bool] = lambda: True,
        beside: Callable[[], Awaitable[None]] | None = None,
        tells: Mapping[str, str] | None = None,
    ) -> None:
        """Work until asked to end; see `run_program`."""
        await run_program(self.broker, self.settings, self.metrics, is_ready=is_ready, beside=beside, tells=tells)


async def connected(name: str, settings: ServiceSettings) -> Service:
    """The service, on the bus and taking nothing yet."""
    configure_logs(name, settings.log_level)
    metrics, clock = CollectorRegistry(), SystemClock()
    traces = tracer_provider(
        name,
        otlp_endpoint=settings.otlp_endpoint,
        otlp_headers=collector_headers(settings.otlp_headers),
        ratio=settings.trace_ratio,
        environment=settings.environment,
    )
    broker = BusBroker(
        BusSettings(
            url=settings.nats_url,
            user=name,
            password=lambda: resolve(settings.nats_password),
            authorities=settings.nats_ca,
        ),
        service=name,
        registry=metrics,
        clock=clock,
        tracer_provider=traces,
    )
    await broker.connect()
    await require_environment(client_of(broker.jetstream), settings.environment)
    alarms = counter("aether_alarms_total", metrics)
    committer = Committer(
        broker.jetstream,
        service=name,
        clock=clock,
        tracer_provider=traces,
        on_alarm=lambda code: alarms.labels(code).inc(),
    )
    return Service(name, settings, broker, committer, metrics, clock, RandomIds())


def collector_headers(reference: str | None) -> dict[str, str]:
    """The headers that the collector wants, from the secret that the reference names; `NeedsPerson` for no pairs."""
    if reference is None:
        return {}
    try:
        return otlp_headers_in(resolve(reference))
    except ValueError as error:
        raise NeedsPerson("SYS_SECRET", f"AETHER_OTLP_HEADERS ({reference}): {error}") from None


def run_service(name: str, run: Callable[[], Awaitable[None]]) -> None:
    """The entry point of a service: what a person must mend is told in a sentence, and not as a traceback."""

    async def running() -> None:
        await run()

    try:
        asyncio.run(running())
    except ValidationError as error:
        faults = "; ".join(
            f"AETHER_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        )
        sys.stderr.write(f"{name} cannot start: {faults}\n")
        sys.exit(EXIT_SETTINGS)
    except AetherError as error:
        sys.stderr.write(f"{name} cannot start or go on: {error.code}: {error.message}\n{error.failure.action}\n")
        sys.exit(EXIT_SETTINGS)
    except BusMisaddressed as error:
        sys.stderr.write(f"{name} cannot enter the bus: AETHER_NATS_URL, AETHER_NATS_CA: {error}\n")
        sys.exit(EXIT_SETTINGS)
    except (BusUnreachable, NotAdmitted) as error:
        sys.stderr.write(f"{name} cannot enter the bus: {error}\n")
        sys.exit(1)
