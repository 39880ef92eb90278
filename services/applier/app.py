"""The applier as a program: its wiring to the bus."""

from __future__ import annotations

import asyncio
import os
import socket
from random import SystemRandom

from services.applier.connection_health import Pace, Probing
from services.applier.context import TURN_SHARE_OF_LEASE
from services.applier.handlers import REQUESTS, ROUTES, Context
from services.applier.settings import ApplierSettings
from shared.bus.budget import Pacers
from shared.bus.wiring import connected, run_service
from shared.policy.identities import load_identities
from shared.ports.connections import load_connections
from shared.ports.registry import Registry
from shared.telemetry.requests import RequestMetrics

SERVICE = "applier"
TARGETS_AT_ONCE = 4
"""Different targets that one process applies to side by side."""


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = ApplierSettings()
    service = await connected(SERVICE, settings)
    leaving = asyncio.Event()
    wait = settings.lease_seconds * TURN_SHARE_OF_LEASE
    metrics = RequestMetrics(service.metrics)
    pacers = Pacers(service.js, clock=service.clock, ids=service.ids, wait_seconds_max=wait, on_wait=metrics.waited)
    context = Context(
        js=service.js,
        committer=service.committer,
        connections=load_connections(settings.connections),
        registry=Registry(
            settings.systems,
            vendors_folder=settings.vendors_folder,
            environment=settings.environment,
            pacers=pacers,
            meters=lambda one: metrics.of(one.name),
        ),
        identities=load_identities(settings.identities),
        clock=service.clock,
        ids=service.ids,
        rng=SystemRandom(),
        holder=f"{socket.gethostname()}.{os.getpid()}",
        lease_seconds=settings.lease_seconds,
        writes_in_flight=settings.writes_in_flight,
        is_leaving=leaving.is_set,
    )
    consumers = {"applier": TARGETS_AT_ONCE, "applier_cancels": 1}
    service.take(context=context, routes=ROUTES, requests=REQUESTS, consumers=consumers)
    pace = Pace(seconds=settings.probe_seconds, seconds_max=settings.probe_seconds_max)

    async def beside() -> None:
        try:
            await Probing(context, pace=pace).run()
        finally:
            # Ended first when the program is asked to end: what is being applied stops at its next change.
            leaving.set()

    await service.run(beside=beside)


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
