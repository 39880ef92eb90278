"""The auditor as a program: its wiring to the bus."""

from __future__ import annotations

import asyncio

from faststream.nats import NatsMessage
from prometheus_client import CollectorRegistry

from services.auditor.ingest import Auditor, LogKey
from services.auditor.settings import AuditorSettings
from services.auditor.store import Store
from shared.bus.broker import BusBroker, answer
from shared.bus.connect import BusSettings, client_of
from shared.bus.program import run_program
from shared.clock import SystemClock
from shared.hashing.signing import load_private_key
from shared.ids import RandomIds
from shared.secrets import resolve
from shared.telemetry.logs import configure_logs
from shared.telemetry.tracing import tracer_provider

SERVICE = "auditor"
QUESTIONS_AT_ONCE = 8


async def run(settings: AuditorSettings) -> None:
    """Run the service until it is asked to end."""
    configure_logs(SERVICE, settings.log_level)
    registry, clock = CollectorRegistry(), SystemClock()
    broker = BusBroker(
        BusSettings(url=settings.nats_url, user=SERVICE, password=resolve(settings.nats_password)),
        service=SERVICE,
        registry=registry,
        clock=clock,
        tracer_provider=tracer_provider(SERVICE, otlp_endpoint=settings.otlp_endpoint),
    )
    await broker.connect()
    store = Store.open(settings.database_url)
    await store.migrate()
    auditor = Auditor(
        client=client_of(broker.jetstream),
        js=broker.jetstream,
        store=store,
        key=LogKey(private=load_private_key(resolve(settings.signing_key)), origin=settings.log_origin),
        clock=clock,
        ids=RandomIds(),
        registry=registry,
        batch_messages_max=settings.batch_messages_max,
    )

    async def respond(message: NatsMessage) -> bytes:
        return await auditor.answer(message.raw_message.subject, message.raw_message.data)

    answer(broker, "aether.query.>", respond, parallel=QUESTIONS_AT_ONCE)
    try:
        await run_program(broker, settings, registry, is_ready=auditor.is_ready, beside=auditor.run)
    finally:
        await store.close()


def main() -> None:
    """Entry point."""
    asyncio.run(run(AuditorSettings()))


if __name__ == "__main__":
    main()
