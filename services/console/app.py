"""The console as a program: its pages on one port, its admin port like any other service."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import uvicorn
from nats.aio.msg import Msg
from pydantic import ValidationError

from services.console.accounts.opening import open_accounts
from services.console.acting import Acting
from services.console.definitions import VENDORS_VARIABLE, Definitions
from services.console.facts import SERVICE, storing_over
from services.console.live import LiveHub
from services.console.records import Records
from services.console.rendering import Templates
from services.console.settings import ConsoleSettings
from services.console.site import Console, site
from services.console.telling import Telling
from shared.bus.connect import client_of
from shared.bus.topology import AUDIT_NOTE
from shared.bus.wiring import Service, connected, run_service
from shared.events.queries import AuditNote

CONNECTIONS_MAX: Final = 2_000
KEEP_ALIVE_SECONDS: Final = 30
START_SECONDS_MAX: Final = 20.0
DRAIN_SECONDS: Final = 5
"""How long answers under way may take when the program ends; live pages are ended at once."""


class _PageServer(uvicorn.Server):
    """A server that leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = ConsoleSettings()
    service = await connected(SERVICE, settings)
    server = _PageServer(
        uvicorn.Config(
            _not_ready,
            host=settings.console_host,
            port=settings.console_port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            limit_concurrency=CONNECTIONS_MAX,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
    )
    serving = asyncio.create_task(server.serve(), name="pages")
    async with asyncio.timeout(START_SECONDS_MAX):
        while not server.started:
            if serving.done():
                await serving
                raise RuntimeError(f"the port {settings.console_host}:{settings.console_port} could not be opened")
            await asyncio.sleep(0.01)
    url = settings.public_url or f"http://{settings.console_host}:{server.port}"
    records = Records.open(settings.audit_database_url, password=settings.audit_database_password)
    console = await _console(service, settings, records, url)
    server.config.loaded_app = site(console)

    async def hear(note: Msg) -> None:
        try:
            told = AuditNote.model_validate_json(note.data)
        except ValidationError:
            return  # the hub looks by itself; a note is only a hint
        console.live.hear(told.runs, is_all=told.is_many)

    async def work() -> None:
        await client_of(service.js).subscribe(AUDIT_NOTE, cb=hear)
        looking = asyncio.create_task(console.live.run(), name="live")
        try:
            await asyncio.wait({serving, looking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            looking.cancel()
            console.live.end()
            server.should_exit = True
            await asyncio.wait({serving}, timeout=DRAIN_SECONDS)

    try:
        await service.run(beside=work, tells={"url": url})
    finally:
        await console.accounts.close()
        await console.local.close()
        await records.close()


async def _not_ready(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
    """What is served in the moment between opening the port and being there."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 503, "headers": [(b"retry-after", b"1")]})
        await send({"type": "http.response.body", "body": b"the console is starting\n"})


async def _console(service: Service, settings: ConsoleSettings, records: Records, url: str) -> Console:
    telling = Telling(storing_over(service))
    named = os.environ.get(VENDORS_VARIABLE)
    definitions = Definitions(
        connectors=settings.connectors,
        systems=settings.systems,
        connections=settings.connections,
        vendors=Path(named) if named else None,
    )
    return Console(
        settings=settings,
        accounts=await open_accounts(settings, telling=telling, clock=service.clock, ids=service.ids),
        acting=Acting(settings.profiles, traces=service.broker.traces),
        records=records,
        definitions=definitions,
        telling=telling,
        live=LiveHub(records.lookups.size),
        templates=Templates(time_zone=settings.time_zone, clock=service.clock, trace_url=settings.trace_url),
        clock=service.clock,
        ids=service.ids,
        origin=url,
        registry=service.metrics,
        environment=settings.environment,
    )


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
