"""A ledger on SQLite and on PostgreSQL."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.differ.ledger import Ledger
from tests.support.postgres import PostgresServer, start_postgres


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'differ.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database(f"differ_{zlib.crc32(request.node.nodeid.encode())}")
    found = Ledger(url)
    await found.prepare()
    await found.prepare()  # a second replica finds the tables there
    yield found
    await found.close()
