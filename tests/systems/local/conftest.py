"""The databases that the tests of the local tables run on: SQLite, and one PostgreSQL for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer, start_postgres
from tests.systems.local.databases import NAMES, Database, made


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'local.db'}"
    else:
        running: PostgresServer = request.getfixturevalue("server")
        url = running.create_database(f"local_{next(NAMES)}")
    return made(url)


@pytest.fixture
def postgres(server: PostgresServer) -> Database:
    return made(server.create_database(f"local_{next(NAMES)}"))
