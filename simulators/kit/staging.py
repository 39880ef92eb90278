"""Putting a simulated vendor on stage: gateway, journal, faults, switches, stopwatch and control plane around it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.routing import Mount

from simulators.kit.control import Control
from simulators.kit.faults import FaultMenu
from simulators.kit.gateway import Gateway, TokenBucket, Vendor
from simulators.kit.journal import ENTRIES_MAX, Journal
from simulators.kit.stopwatch import Stopwatch
from simulators.kit.switches import Switchboard


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every simulator can be told, whatever it simulates."""

    journal_file: Path | None = None
    journal_entries_max: int = ENTRIES_MAX
    rate_per_second: float | None = None
    """Requests per second at the gateway, answered with the vendor's `refusal(429, …)`; no limit when None."""
    burst: int = 1
    clock: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic


class StagedVendor(Vendor, Protocol):
    """A vendor whose whole state can be seen and replaced."""

    def read_state(self) -> dict[str, Any]:
        """Describe the whole state, as a seed."""
        ...

    def write_state(self, document: Any) -> None:
        """Replace the whole state; `ValueError` says what is wrong with the document, and nothing has changed then."""
        ...

    def close(self) -> None:
        """Let go of files."""
        ...


def staged(name: str, vendor: StagedVendor, stage: Stage, *, switchboard: Switchboard[Any] | None = None) -> Starlette:
    """Build the application of one vendor; serve it with `simulators.kit.serve`, which can cut connections."""
    bucket = None
    if stage.rate_per_second is not None:
        bucket = TokenBucket(per_second=stage.rate_per_second, burst=stage.burst, monotonic=stage.monotonic)
    faults = FaultMenu()
    journal = Journal(clock=stage.clock, file=stage.journal_file, entries_max=stage.journal_entries_max)
    stopwatch = Stopwatch(monotonic=stage.monotonic)
    gateway = Gateway(vendor=vendor, faults=faults, journal=journal, bucket=bucket, stopwatch=stopwatch)
    control = Control(
        name=name,
        faults=faults,
        journal=journal,
        stopwatch=stopwatch,
        read_state=vendor.read_state,
        write_state=vendor.write_state,
        switchboard=switchboard,
    )

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        journal.close()
        vendor.close()

    return Starlette(routes=[*control.routes(), Mount("/", app=gateway)], lifespan=lifespan)
