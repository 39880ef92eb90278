"""The differ's memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from services.differ.ledger import Ledger, Written
from tests.support.postgres import PostgresServer, start_postgres


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path / 'differ.db'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database(f"differ_{abs(hash(request.node.name))}")
    found = Ledger(url)
    await found.prepare()
    await found.prepare()  # a second replica finds the tables there
    yield found
    await found.close()


def _written(key: str, **commitments: str) -> Written:
    return Written(entity="contacts", key=key, target_id=f"c-{key}", commitments=commitments)


async def test_what_was_written_is_found_by_key_and_later_fields_are_added(ledger: Ledger) -> None:
    await ledger.remember_written("titanhst", [_written("E1", email="a", role="b"), _written("E2")], run="r1")
    await ledger.remember_written("titanhst", [_written("E1", email="c")], run="r2")
    many = [f"K{number}" for number in range(1200)]
    found = await ledger.written_last("titanhst", "contacts", [*many, "E1", "E2"])
    assert found == {"E1": {"email": "c", "role": "b"}, "E2": {}}
    assert await ledger.written_last("another", "contacts", ["E1"]) == {}


async def test_an_older_run_told_late_overwrites_nothing(ledger: Ledger) -> None:
    await ledger.remember_written("titanhst", [_written("E1", email="new")], run="r2")
    await ledger.remember_written("titanhst", [_written("E1", email="old")], run="r1")
    assert await ledger.written_last("titanhst", "contacts", ["E1"]) == {"E1": {"email": "new"}}
    await ledger.remember_rows("staff", {("contacts", "person"): 20}, run="r2")
    await ledger.remember_rows("staff", {("contacts", "person"): 10}, run="r1")
    assert await ledger.rows_accepted("staff") == {("contacts", "person"): 20}
    await ledger.remember_rows("staff", {("contacts", "person"): 30}, run="r3")
    assert await ledger.rows_accepted("staff") == {("contacts", "person"): 30}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_replicas_that_start_together_all_find_their_tables(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "sqlite":
        urls = [f"sqlite+aiosqlite:///{tmp_path / f'{number}.db'}" for number in range(20)]
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        urls = [server.create_database(f"together_{number}") for number in range(5)]
    for url in urls:
        replicas = [Ledger(url) for _ in range(4)]
        await asyncio.gather(*(replica.prepare() for replica in replicas))
        await replicas[0].remember_rows("staff", {("contacts", "person"): 20}, run="r1")
        assert await replicas[3].rows_accepted("staff") == {("contacts", "person"): 20}
        for replica in replicas:
            await replica.close()
