"""A house at work under the eyes of a real Prometheus: for the queries of dashboards, and for pictures of their data.

Everything in it is what a district's house does: runs are asked for, rejected, approved and applied over the real
services, one connector runs by its schedule, people look at the console.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cli.stack import ROOT, Stack
from shared.contract.loading import load_connector
from shared.contract.releases import publish
from tests.console.played import CONNECTOR, played_runs
from tests.operating.prometheus import Prometheus, prometheus

SCHEDULED: Final = "titanhst-staff-hourly"
STAFF: Final = 400
RARELY: Final = "0 3 1 1 *"
"""So that the connector has a time to be fresh by, and never runs while it is played."""
LEAD_SECONDS: Final = 20
"""For the house to start before its schedule rings for the first time."""
FIRED_SECONDS_MAX: Final = 110.0
SERVICES: Final = ("extractor", "differ", "applier", "auditor", "console", "monitor")
PAGES: Final = ("/sign-in", "/sign-in", "/no-such-page")


@dataclass(frozen=True)
class Watched:
    """What a test sees of it."""

    stack: Stack
    prometheus: Prometheus
    began: float
    connector: str = CONNECTOR


@asynccontextmanager
async def watched_house(folder: Path, *, staff: int = STAFF) -> AsyncIterator[Watched]:
    """A played house and the Prometheus that watched it from the first run on."""
    connectors = _connectors(folder / "connectors", minute=_next_minute())
    stack = Stack(
        folder / "house",
        is_demo=True,
        staff=staff,
        has_past=False,
        has_console=True,
        has_monitor=True,
        connectors=connectors,
        settings={"monitor": {"AETHER_CERTIFICATES": f"bus={_certificate(folder / 'bus.pem')}"}},
    )
    async with stack:
        targets = {name: urlsplit(stack.admin_url(name)).netloc for name in SERVICES}
        began = time.time()
        async with prometheus(folder / "prometheus", targets) as asked:
            visits = asyncio.create_task(_visit(stack.console_url))
            try:
                await played_runs(stack)
                await _until(lambda: _has_fired(asked), seconds_max=FIRED_SECONDS_MAX, what=f"{SCHEDULED} has not run")
                yield Watched(stack=stack, prometheus=asked, began=began)
            finally:
                visits.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await visits  # one that failed tells why


async def _has_fired(asked: Prometheus) -> bool:
    query = (
        f'sum(aether_schedule_firings_total{{connector="{SCHEDULED}"}}) > 0 and '
        f'sum(aether_runs_ended_total{{connector="{SCHEDULED}"}}) > 0'
    )
    return bool(await asked.instant(query))


async def _until(holds: Callable[[], Awaitable[bool]], *, seconds_max: float, what: str) -> None:
    deadline = time.monotonic() + seconds_max
    while not await holds():
        assert time.monotonic() < deadline, f"{what} after {seconds_max:g} s"
        await asyncio.sleep(0.5)


async def _visit(console: str) -> None:
    """Look at the console again and again, until cancelled; a live page is held open meanwhile."""
    async with httpx.AsyncClient(base_url=console, timeout=10, trust_env=False) as client:
        while True:
            for path in PAGES:
                await client.get(path)
            await asyncio.sleep(0.5)


def _next_minute() -> int:
    """The minute of the hour that comes next and leaves time to start; the same in every zone of whole hours."""
    return ((datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS)).replace(second=0) + timedelta(minutes=1)).minute


def _connectors(folder: Path, *, minute: int) -> Path:
    """All connectors of the project; the one that is played has a schedule, and a second one runs by itself, dry."""
    shutil.copytree(ROOT / "connectors", folder)
    made = folder / SCHEDULED
    shutil.copytree(folder / CONNECTOR, made)
    definition = made / "connector.yaml"
    text = definition.read_text(encoding="utf-8").replace(f"name: {CONNECTOR}\n", f"name: {SCHEDULED}\n", 1)
    definition.write_text(text, encoding="utf-8")
    for name, cron, mode in ((CONNECTOR, RARELY, "apply"), (SCHEDULED, f"{minute} * * * *", "dry-run")):
        _scheduled(folder / name, cron=cron, mode=mode)
    return folder


def _scheduled(connector: Path, *, cron: str, mode: str) -> None:
    """Give a copied connector a schedule, and release it as what it is now."""
    shutil.rmtree(connector / "releases", ignore_errors=True)
    with (connector / "connector.yaml").open("a", encoding="utf-8") as definition:
        definition.write(f'\nschedule: {{cron: "{cron}", time_zone: America/Los_Angeles, mode: {mode}}}\n')
    publish(connector, load_connector(connector), by="stella", at=datetime(2026, 11, 1, 8, tzinfo=UTC))


def _certificate(path: Path) -> Path:
    """A certificate of ninety days, for the figure that says when one ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bus.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path
