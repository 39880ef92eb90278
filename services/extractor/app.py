"""The extractor as a program: its wiring to the bus."""

from __future__ import annotations

import asyncio

from services.extractor.credential_ages import tell_credentials
from services.extractor.handlers import REQUESTS, ROUTES, Context
from services.extractor.questions import connection_checked, quarantine_items
from services.extractor.schedule_list import scheduled
from services.extractor.scheduling import Scheduling
from services.extractor.settings import ExtractorSettings
from shared.bus.budget import Pacers
from shared.bus.questions import QUESTIONS_AT_ONCE, answering
from shared.bus.wiring import connected, run_service
from shared.contract.catalog import Connectors
from shared.events.operating import CredentialList, CredentialQuery
from shared.events.queries import ConnectionQuery, QuarantineQuery
from shared.events.schedules import ScheduleQuery
from shared.ports.connections import load_connections
from shared.ports.registry import Registry
from shared.telemetry.requests import RequestMetrics

SERVICE = "extractor"
TURN_SECONDS_MAX = 60.0
"""How long one request waits for its turn within the connection's rate before it is asked anew."""


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = ExtractorSettings()
    service = await connected(SERVICE, settings)
    metrics = RequestMetrics(service.metrics)
    pacers = Pacers(
        service.js, clock=service.clock, ids=service.ids, wait_seconds_max=TURN_SECONDS_MAX, on_wait=metrics.waited
    )
    systems = Registry(
        settings.systems,
        vendors_folder=settings.vendors_folder,
        environment=settings.environment,
        pacers=pacers,
        meters=lambda one: metrics.of(one.name),
    )
    connections = load_connections(settings.connections)
    credentials = tell_credentials(service.metrics, connections)
    context = Context(
        js=service.js,
        committer=service.committer,
        connectors=Connectors(settings.connectors, systems.columns(), systems.write_companions()),
        connections=connections,
        registry=systems,
        clock=service.clock,
        ids=service.ids,
        spill_folder=settings.spill_folder,
        replay_rows_max=settings.replay_rows_max,
        checkpoints=settings.checkpoint_rule(),
        environment=settings.environment,
    )
    service.take_questions(
        "aether.quarantine.items",
        answering(QuarantineQuery, lambda question: quarantine_items(question, context)),
        parallel=QUESTIONS_AT_ONCE,
    )
    service.take_questions(
        "aether.connection.check",
        answering(ConnectionQuery, lambda question: connection_checked(question, context)),
        parallel=QUESTIONS_AT_ONCE,
    )

    async def listed(_: CredentialQuery) -> CredentialList:
        return await asyncio.to_thread(credentials.listed)

    service.take_questions(
        "aether.connection.credentials", answering(CredentialQuery, listed), parallel=QUESTIONS_AT_ONCE
    )
    scheduling = Scheduling(context, calendar=settings.calendar, registry=service.metrics)
    service.take_questions(
        "aether.schedule.list",
        answering(ScheduleQuery, lambda question: scheduled(question, scheduling, context)),
        parallel=QUESTIONS_AT_ONCE,
    )
    service.take_ticks("extractor_ticks", scheduling.on_tick)
    service.take(context=context, routes=ROUTES, requests=REQUESTS, consumers={"extractor": settings.sides_at_once})
    await service.run(beside=scheduling.run)


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
