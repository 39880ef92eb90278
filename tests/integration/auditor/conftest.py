"""A real bus of each test's own, and the auditor's database on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from services.auditor.store import Store
from tests.integration.auditor.house import House
from tests.support.bus import BusUnderTest, own_bus
from tests.support.postgres import PostgresServer, start_postgres

__all__ = ["own_bus"]


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One server for all tests; each takes a database of its own."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """An empty, migrated store."""
    opened = Store.open(database_url)
    await opened.migrate()
    yield opened
    await opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an empty database."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('record') / 'audit.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database(BusUnderTest.unique("audit").replace("-", "_"))


@pytest_asyncio.fixture
async def house(own_bus: BusUnderTest, store: Store) -> AsyncIterator[House]:
    """The services of a house whose auditor records into the store."""
    made = await House.made(own_bus, store)
    yield made
    await made.leave()
