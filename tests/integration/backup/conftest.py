"""A real bus of each test's own, an empty one beside it, and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.bus.embedded import EmbeddedServer
from tests.support.bus import PEOPLE, BusUnderTest, own_bus
from tests.support.postgres import PostgresServer, start_postgres

__all__ = ["own_bus"]


@pytest_asyncio.fixture
async def empty_bus(tmp_path: Path) -> AsyncIterator[BusUnderTest]:
    """A server with no stream, where a house is restored to."""
    async with EmbeddedServer(tmp_path / "empty", PEOPLE) as server:
        under_test = BusUnderTest(server)
        yield under_test
        await under_test.leave()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for all tests; each takes databases of its own."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server
