"""The applier as a program: its wiring to the bus."""

from __future__ import annotations

import asyncio
import os
import socket
from random import SystemRandom

from prometheus_client import CollectorRegistry

from services.applier.handlers import REQUESTS, ROUTES, Context
from services.applier.settings import ApplierSettings
from shared.bus.broker import BusBroker
from shared.bus.commit import Committer
from shared.bus.connect import BusSettings
from shared.bus.dispatch import Dispatcher
from shared.bus.program import run_program
from shared.bus.wiring import wire_consumer, wire_requests
from shared.clock import SystemClock
from shared.ids import RandomIds
from shared.policy.identities import load_identities
from shared.ports.connections import load_connections
from shared.ports.registry import Registry
from shared.secrets import resolve
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import tracer_provider

SERVICE = "applier"
TARGETS_AT_ONCE = 4
"""Different targets that one process applies to side by side."""


async def run(settings: ApplierSettings) -> None:
    """Run the service until it is asked to end."""
    configure_logs(SERVICE, settings.log_level)
    registry, clock, ids = CollectorRegistry(), SystemClock(), RandomIds()
    traces = tracer_provider(SERVICE, otlp_endpoint=settings.otlp_endpoint)
    broker = BusBroker(
        BusSettings(url=settings.nats_url, user=SERVICE, password=resolve(settings.nats_password)),
        service=SERVICE,
        registry=registry,
        clock=clock,
        tracer_provider=traces,
    )
    await broker.connect()
    committer = Committer(broker.jetstream, service=SERVICE, clock=clock, tracer_provider=traces)
    dispatcher = Dispatcher(
        service=SERVICE,
        routes=ROUTES,
        requests=REQUESTS,
        context=Context(
            js=broker.jetstream,
            committer=committer,
            connections=load_connections(settings.connections),
            registry=Registry(settings.systems),
            identities=load_identities(settings.identities),
            clock=clock,
            ids=ids,
            rng=SystemRandom(),
            holder=f"{socket.gethostname()}.{os.getpid()}",
            lease_seconds=settings.lease_seconds,
            writes_in_flight=settings.writes_in_flight,
        ),
        committer=committer,
        clock=clock,
        ids=ids,
    )
    wire_consumer(broker, "applier", dispatcher, parallel=TARGETS_AT_ONCE)
    wire_consumer(broker, "applier_cancels", dispatcher)
    wire_requests(broker, REQUESTS, dispatcher)
    await run_program(broker, settings, registry)


def main() -> None:
    """Entry point."""
    asyncio.run(run(ApplierSettings()))


if __name__ == "__main__":
    main()
