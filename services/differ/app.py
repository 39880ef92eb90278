"""The differ as a program: its wiring to the bus."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry

from services.differ.handlers import REQUESTS, ROUTES, Context
from services.differ.ledger import Ledger
from services.differ.settings import DifferSettings
from shared.bus.broker import BusBroker
from shared.bus.commit import Committer
from shared.bus.connect import BusSettings
from shared.bus.dispatch import Dispatcher
from shared.bus.program import run_program
from shared.bus.wiring import wire_consumer, wire_requests
from shared.clock import SystemClock
from shared.contract.catalog import Connectors
from shared.ids import RandomIds
from shared.policy.identities import load_identities
from shared.ports.connections import load_connections
from shared.ports.registry import Registry
from shared.secrets import resolve
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import tracer_provider

SERVICE = "differ"
PARTITIONS_AT_ONCE = 2
"""Partitions compared side by side in one process; more replicas take more."""


async def run(settings: DifferSettings) -> None:
    """Run the service until it is asked to end."""
    configure_logs(SERVICE, settings.log_level)
    registry, clock, ids = CollectorRegistry(), SystemClock(), RandomIds()
    traces = tracer_provider(SERVICE, otlp_endpoint=settings.otlp_endpoint)
    ledger = Ledger(settings.database_url)
    await ledger.prepare()
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
            connectors=Connectors(settings.connectors),
            connections=load_connections(settings.connections),
            registry=Registry(settings.systems),
            identities=load_identities(settings.identities),
            ledger=ledger,
            commitment_master=resolve(settings.commitment_key).encode(),
            clock=clock,
        ),
        committer=committer,
        clock=clock,
        ids=ids,
    )
    wire_consumer(broker, "differ", dispatcher, parallel=PARTITIONS_AT_ONCE)
    wire_consumer(broker, "differ_outcomes", dispatcher)
    wire_requests(broker, REQUESTS, dispatcher)
    try:
        await run_program(broker, settings, registry)
    finally:
        await ledger.close()


def main() -> None:
    """Entry point."""
    asyncio.run(run(DifferSettings()))


if __name__ == "__main__":
    main()
