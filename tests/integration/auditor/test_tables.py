"""The migrations make exactly the tables that the code speaks of."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from services.auditor.store import Store
from shared.audit import tables
from shared.audit.stored_tree import RecordAltered


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"version_table": "auditor_version", "compare_type": True})
    return list(compare_metadata(context, tables.metadata))


async def test_the_migrated_database_is_what_the_code_expects(store: Store) -> None:
    async with store.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrating_again_changes_nothing_and_keeps_the_record(store: Store) -> None:
    await store.take_over(5)
    await store.add_checkpoint(size=1, text="kept", token=5)
    await store.migrate()
    async with store.engine.connect() as connection:
        assert [row.text for row in await connection.execute(tables.checkpoint.select())] == ["kept"]


async def test_a_checkpoint_for_more_entries_than_are_stored_stops_the_writer(store: Store) -> None:
    await store.take_over(5)
    await store.add_checkpoint(size=3, text="x", token=5)
    with pytest.raises(RecordAltered, match="signed for 3 entries, the database holds 0"):
        await store.take_over(6)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_flushes_every_commit(store: Store) -> None:
    async with store.engine.connect() as connection:
        journal = (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one()
        synchronous = (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one()
    assert (journal, synchronous) == ("wal", 2)
