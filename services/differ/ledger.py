"""The differ's memory across runs, over one database: what we wrote, what reads missed, and what plans brought.

It holds no personal value: fields stand in it as commitments. It can be rebuilt from the LEDGER and PLAN streams while
these last; losing it loses causes, comparisons and misses. Removals then begin anew with their first miss, so losing
it is never unsafe. What a run leaves behind is written in one transaction, whole or not at all, and once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry
from sqlmodel import SQLModel

from services.differ.comparing import Memory
from services.differ.memory import Applied, Drafted, EntityHistory, Scope, Seed
from services.differ.memory_misses import miss_records, write_seen
from services.differ.memory_records import hold_records, link_records, linked_keys, recall_records, write_applied
from services.differ.memory_runs import (
    close_run,
    count_run,
    history_of,
    is_counted,
    plans_of,
    rows_of,
    seed_entity,
    write_rows,
)
from services.differ.memory_tables import TABLES
from shared.database import async_engine
from shared.errors import TryLater
from shared.policy.backtest import StoredRun

PREPARE_ATTEMPTS_MAX = 5
PREPARE_PAUSE_SECONDS = 0.1
AWAY_SECONDS = 2.0
"""When to ask a database again that did not answer."""
SQLITE_BUSY_MS = 10_000
"""How long a replica waits for another that writes the same file."""
SEEDED_RUN = "00000000T000000-000000"
"""Stands where a past that was not lived through needs a run; it is older than every run."""


class Ledger:
    """The memory over one database."""

    def __init__(self, database_url: str, *, password: str | None = None) -> None:
        """Connects to nothing yet; `password` is the reference of the database's password."""
        self._engine: AsyncEngine = async_engine(database_url, password=password)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine.sync_engine, "connect", _wait_for_others)

    async def prepare(self) -> None:
        """Create the tables that are not there yet; replicas that start together may all try."""
        for attempt in range(1, PREPARE_ATTEMPTS_MAX + 1):
            try:
                async with self._engine.begin() as connection:
                    await connection.run_sync(SQLModel.metadata.create_all, tables=TABLES)
            except DBAPIError:
                # Between our look and our act another replica made the table: look again.
                if attempt == PREPARE_ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(PREPARE_PAUSE_SECONDS * attempt)
            else:
                return

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _open(self, *, is_writing: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection, or a transaction; `TryLater` while the database is away: a plan waits for its memory."""
        try:
            async with self._engine.begin() if is_writing else self._engine.connect() as connection:
                yield connection
        except OSError as error:
            raise _away(error) from error
        except SQLAlchemyError as error:
            if not _is_away(error):
                raise
            raise _away(error) from error

    # --- what a comparison reads ------------------------------------------------------------------------------------

    async def recall(self, scope: Scope, keys: Iterable[str]) -> dict[str, Memory]:
        """What is known of the records of these keys; a key of which nothing is known is left out."""
        async with self._open() as connection:
            return await recall_records(connection, scope, keys)

    async def linked(self, scope: Scope, target_ids: Iterable[str]) -> dict[str, str]:
        """Our key by target id, for those of these records that we know."""
        async with self._open() as connection:
            return await linked_keys(connection, scope, target_ids)

    async def history(self, scope: Scope, *, run: str, now: datetime) -> EntityHistory:
        """What came before this run."""
        async with self._open() as connection:
            return await history_of(connection, scope, run=run, now=now)

    async def rows_accepted(self, connector: str) -> dict[tuple[str, str], int]:
        """Rows of the last accepted run, by entity and source."""
        async with self._open() as connection:
            return await rows_of(connection, connector)

    async def plans(self, connector: str, *, since: datetime) -> list[StoredRun]:
        """The figures of the connector's plans since then, the newest first, to be judged by another policy."""
        async with self._open() as connection:
            return await plans_of(connection, connector, since=since)

    # --- what a run leaves behind -----------------------------------------------------------------------------------

    async def knows_draft(self, run: str) -> bool:
        """Whether the drafting of this run's plan was remembered."""
        async with self._open() as connection:
            return await is_counted(connection, run)

    async def remember_draft(self, drafted: Drafted) -> None:
        """Keep what drafting a plan learned; told again it changes nothing."""
        async with self._open(is_writing=True) as connection:
            for seen in drafted.entities:
                scope = Scope(connector=drafted.connector, target=drafted.target, entity=seen.figures.entity)
                if await count_run(connection, scope, drafted, seen):
                    await write_seen(connection, scope, seen, run=drafted.run)

    async def remember_applied(self, applied: Applied) -> None:
        """Keep what an apply wrote; told again it changes nothing, and an older run never overwrites a newer one."""
        async with self._open(is_writing=True) as connection:
            await write_applied(connection, applied)
            await close_run(connection, applied)

    async def remember_rows(self, connector: str, rows: Mapping[tuple[str, str], int], *, run: str) -> None:
        """Keep the rows of an accepted run; an older run never overwrites a newer one."""
        async with self._open(is_writing=True) as connection:
            await write_rows(connection, connector, rows, run=run)

    async def hold(self, scope: Scope, holds: Mapping[str, Mapping[str, str]], *, run: str) -> None:
        """Hold records from changes while what is desired of them has these commitments, by key and field.

        An empty mapping holds a record against its being missing.
        """
        async with self._open(is_writing=True) as connection:
            await hold_records(connection, scope, holds, run=run)

    async def remember_history(self, seed: Seed) -> None:
        """Begin with a past that was not lived through; what is known already of a record's writes stays."""
        async with self._open(is_writing=True) as connection:
            await seed_entity(
                connection,
                seed.scope,
                certified_runs=seed.certified_runs,
                applied_run=SEEDED_RUN if seed.has_applied else None,
            )
            await link_records(connection, seed.scope, seed.links)
            await miss_records(connection, seed.scope, seed.missed, run=SEEDED_RUN)
            rows = {(seed.scope.entity, source): count for source, count in seed.rows_accepted.items()}
            await write_rows(connection, seed.scope.connector, rows, run=SEEDED_RUN)


def _away(error: Exception) -> TryLater:
    # The text of such an error may quote a statement with its values.
    return TryLater(
        "DIF_MEMORY_AWAY",
        f"the differ's database does not answer ({type(error).__name__}); check it, the run goes on by itself",
        retry_after_seconds=AWAY_SECONDS,
    )


def _is_away(error: SQLAlchemyError) -> bool:
    """Whether the database did not answer, rather than refuse what it was asked."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _wait_for_others(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_MS}")
    cursor.close()
