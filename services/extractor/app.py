"""The extractor as a program: its wiring to the bus."""

from __future__ import annotations

from services.extractor.handlers import REQUESTS, ROUTES, Context
from services.extractor.settings import ExtractorSettings
from shared.bus.wiring import connected, run_service
from shared.contract.catalog import Connectors
from shared.ports.connections import load_connections
from shared.ports.registry import Registry

SERVICE = "extractor"
SIDES_AT_ONCE = 2
"""Both sides of a run are read side by side."""


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = ExtractorSettings()
    service = await connected(SERVICE, settings)
    systems = Registry(settings.systems)
    context = Context(
        js=service.js,
        committer=service.committer,
        connectors=Connectors(settings.connectors, systems.columns()),
        connections=load_connections(settings.connections),
        registry=systems,
        clock=service.clock,
        ids=service.ids,
    )
    service.take(context=context, routes=ROUTES, requests=REQUESTS, consumers={"extractor": SIDES_AT_ONCE})
    await service.run()


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
