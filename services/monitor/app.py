"""The monitor as a program: its wiring to the bus, to the auditor's database and to the bus servers' own figures."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx
from nats.aio.msg import Msg

from services.monitor.bus_figures import ANSWER_SECONDS_MAX, BusFigures
from services.monitor.certificates import Certificates
from services.monitor.collecting import register
from services.monitor.notices.running import run as notices_run
from services.monitor.recorded import Recorded
from services.monitor.rows import Rows
from services.monitor.settings import MonitorSettings
from shared.audit.opening import read_only_engine
from shared.bus.connect import client_of
from shared.bus.topology import AUDIT_NOTE
from shared.bus.wiring import connected, run_service

SERVICE: Final = "monitor"


async def run() -> None:
    """Run the service until it is asked to end."""
    settings = MonitorSettings()
    service = await connected(SERVICE, settings)
    engine = read_only_engine(settings.audit_database_url, password=settings.audit_database_password)
    recorded = Recorded(Rows(engine), service.clock)
    certificates = Certificates(settings.certificate_files())

    async def hear(_: Msg) -> None:
        recorded.hear()  # what it says is looked up, not believed

    # No proxy of the environment: these servers stand in the house.
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, follow_redirects=False, trust_env=False) as client:
        bus = BusFigures(settings.servers(), client)
        register(service.metrics, recorded, bus, certificates)

        async def work() -> None:
            await client_of(service.js).subscribe(AUDIT_NOTE, cb=hear)
            async with asyncio.TaskGroup() as parts:
                parts.create_task(recorded.run(), name="record")
                parts.create_task(bus.run(), name="bus figures")
                parts.create_task(certificates.run(), name="certificates")
                parts.create_task(notices_run(service=service, engine=engine, settings=settings), name="notices")

        try:
            await service.run(is_ready=lambda: recorded.is_current, beside=work)
        finally:
            await engine.dispose()


def main() -> None:
    """Entry point."""
    run_service(SERVICE, run)


if __name__ == "__main__":
    main()
