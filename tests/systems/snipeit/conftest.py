"""A simulated Snipe-IT for each test, and a system opened on it; afterwards its documents must not have been broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio

from shared.ports.connections import Connection
from shared.ports.registry import Registry
from shared.ports.system import Source, Target
from shared.ports.wire import ChangeVerb, Record, Value
from simulators.snipeit.access import Rights
from tests.conformance.bench import Observed
from tests.simulators.running_snipeit import SECRETS, Snipe, running_snipeit
from tests.support.systems import installed_systems

SECONDS_BETWEEN = 1e7
"""More than any test lets pass."""


@dataclass
class Opened:
    """The system on one simulator, with the tokens of everybody."""

    snipe: Snipe
    registry: Registry
    observed: Observed
    waits: list[float]
    """Every wait that was asked for; the simulator's clock went on by as much."""
    opened: list[Source]

    def source(self, rights: Rights = Rights.READ, **settings: Any) -> Source:
        source = self.registry.open_source(self._connection(rights, settings))
        self.opened.append(source)
        return source

    def target(self, rights: Rights = Rights.SUPERUSER, **settings: Any) -> Target:
        target = self.registry.open_target(self._connection(rights, settings))
        self.opened.append(target)
        return target

    async def rows(self, entity: str, source: Source | None = None, **settings: Any) -> list[dict[str, Any]]:
        source = source or self.source(**settings)
        return [row async for page in source.read(entity) for row in page.rows.iter_rows(named=True)]

    async def write(
        self, target: Target, entity: str, verb: ChangeVerb, target_id: str | None = None, **values: Value
    ) -> Record | None:
        """Write, and look at what was written."""
        write = self.registry.wire("snipeit").write_for(entity, verb=verb, target_id=target_id, values=values)
        receipt = await target.write(write, idempotency_key="any")
        return await target.fetch(entity, target_id=receipt.target_id, key=None)

    def _connection(self, rights: Rights, settings: dict[str, Any]) -> Connection:
        token = f"env:{rights.name}"
        whole = {"base_url": self.snipe.url, "token": token, "page_limit": 10, "timeout_seconds": 5} | settings
        return Connection(name="assets", system="snipeit", environment="staging", settings=whole)


@pytest.fixture(scope="session")
def served() -> Iterator[Snipe]:
    with running_snipeit() as snipe:
        yield snipe


@pytest.fixture
def snipe(served: Snipe) -> Iterator[Snipe]:
    """Three users, three assets (one archived) and what they refer to; afterwards, no rule may have been broken."""
    now = served.clock.monotonic_seconds + SECONDS_BETWEEN
    served.begin_anew()
    served.clock.monotonic_seconds = now  # no minute of the test before goes on
    yield served
    assert served.violations() == []


@pytest_asyncio.fixture
async def system(snipe: Snipe) -> AsyncIterator[Opened]:
    observed, waits = Observed(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        snipe.clock.monotonic_seconds += seconds

    secrets = {f"env:{rights.name}": secret for rights, secret in SECRETS.items()} | {"env:OTHER": "of-nobody"}
    surroundings = replace(observed.surroundings(secrets), sleep=sleep)
    system = Opened(snipe, installed_systems(surroundings=surroundings), observed, waits, [])
    yield system
    for each in system.opened:
        await each.close()
