"""The applier as a program: its wiring to the bus."""

from __future__ import annotations

import os
import socket
from random import SystemRandom

from services.applier.handlers import REQUESTS, ROUTES, Context
from services.applier.settings import ApplierSettings
from shared.bus.wiring import connected, run_service
from shared.policy.identities import load_identities
from shared.ports.connections import load_connections
from shared.ports.registry import Registry

SERVICE = "applier"
TARGETS_AT_ONCE = 4
"""Different targets that one process applies to side by side."""


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = ApplierSettings()
    service = await connected(SERVICE, settings)
    context = Context(
        js=service.js,
        committer=service.committer,
        connections=load_connections(settings.connections),
        registry=Registry(settings.systems),
        identities=load_identities(settings.identities),
        clock=service.clock,
        ids=service.ids,
        rng=SystemRandom(),
        holder=f"{socket.gethostname()}.{os.getpid()}",
        lease_seconds=settings.lease_seconds,
        writes_in_flight=settings.writes_in_flight,
    )
    consumers = {"applier": TARGETS_AT_ONCE, "applier_cancels": 1}
    service.take(context=context, routes=ROUTES, requests=REQUESTS, consumers=consumers)
    await service.run()


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
