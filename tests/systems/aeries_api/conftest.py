"""A simulated Aeries with a small district, and our system opened on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import pytest_asyncio

from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source, Target
from shared.secrets import Secret
from tests.simulators.running_aeries_api import CERTIFICATE, READER, REGISTRAR, RunningAeries, running_aeries
from tests.support.systems import installed_systems

KEEPS_BIRTHDATES = "Birthdates0Birthdates0Birthdates"
"""A certificate of an Aeries of its own: everything but the birthdates of students."""
SECRETS = {"env:BIRTHDATES": KEEPS_BIRTHDATES, "env:ALL": CERTIFICATE, "env:READER": READER, "env:REGISTRAR": REGISTRAR}


@dataclass
class ManualClock:
    """A clock of which tests move the hands."""

    seconds: float = 1_000.0

    def now(self) -> Any:
        raise AssertionError("nothing here asks for the date")

    def monotonic_seconds(self) -> float:
        return self.seconds


@dataclass
class Opener:
    """Opens our system on a simulator."""

    aeries: RunningAeries
    clock: ManualClock = field(default_factory=ManualClock)
    opened: dict[str, Any] = field(default_factory=dict)
    """By everything they were opened with: reading the trust store takes longer than most tests."""

    def source(self, certificate: str = "env:ALL", *, directory: str = "aeries", **settings: Any) -> Source:
        name = f"source {certificate} {directory} {settings}"
        if name not in self.opened:
            self.opened[name] = self.registry().open_source(self._connection(certificate, directory, settings))
        return cast(Source, self.opened[name])

    def target(self, certificate: str = "env:ALL", **settings: Any) -> Target:
        name = f"target {certificate} {settings}"
        if name not in self.opened:
            self.opened[name] = self.registry().open_target(self._connection(certificate, "aeries", settings))
        return cast(Target, self.opened[name])

    def registry(self) -> Registry:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(0)

        surroundings = Surroundings(clock=self.clock, sleep=sleep, resolve=lambda reference: Secret(SECRETS[reference]))
        return installed_systems(surroundings=surroundings)

    def _connection(self, certificate: str, directory: str, settings: dict[str, Any]) -> Connection:
        plain = {
            "base_url": f"{self.aeries.url}/{directory}".rstrip("/"),
            "certificate": certificate,
            "database_year": 2026,
            "page_records": 4,
            "timeout_seconds": 5,
        }
        return Connection(name="aeries", system="aeries_api", environment="staging", settings={**plain, **settings})


@pytest.fixture(scope="module")
def running() -> Iterator[RunningAeries]:
    """One simulator for all tests of a file."""
    with running_aeries() as aeries:
        yield aeries


@pytest.fixture
def aeries(running: RunningAeries) -> Iterator[RunningAeries]:
    """The simulator with the small district; whatever a test asked of it, its documents allowed."""
    running.start_anew()
    yield running
    assert running.violations() == []


@pytest_asyncio.fixture
async def opener(aeries: RunningAeries) -> AsyncIterator[Opener]:
    """Opens sources and targets, and closes them."""
    opener = Opener(aeries)
    yield opener
    for each in opener.opened.values():
        await each.close()


async def rows_of(source: Source, entity: str) -> list[dict[str, Any]]:
    """Every row of one reading that says it is whole."""
    reading = source.read(entity)
    rows = [row async for page in reading for row in page.rows.iter_rows(named=True)]
    assert reading.expected is not None
    assert reading.expected.rows == len(rows)
    return rows


def asked(aeries: RunningAeries, method: str = "GET") -> list[dict[str, Any]]:
    """The requests since the district was put in, the first one first."""
    entries: list[dict[str, Any]] = aeries.control.get("/journal", params={"after_seq": aeries.first_seq}).json()[
        "entries"
    ]
    return [entry for entry in entries if entry["method"] == method]
