"""The auditor's database: what one batch adds to the log and to the projections, in one transaction.

A batch is in the database whole or not at all, together with how far each stream was read; so a message that comes
twice is recorded once, whatever crashed when. Every writing transaction first shows its lease's fencing token: a
writer that was replaced and wakes up late writes nothing. It decides nothing about content; reading for people is
`lookups`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

import structlog
from sqlalchemy import Connection, Insert, Table, bindparam, event, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry

from services.auditor.migrations import migrate
from services.auditor.recording import Projected
from shared.audit import tables
from shared.audit.entries import AuditEntry
from shared.audit.stored_tree import RecordAltered, StreamProgress, stored_node
from shared.audit.tree import CompletedNode, Frontier
from shared.database import async_engine

T = TypeVar("T")

POOL_CONNECTIONS = 5
SQLITE_BUSY_MS = 10_000

log = structlog.get_logger(__name__)


class WriterFenced(Exception):
    """Another auditor with a later lease has written; this one must not."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the log stands when a writer takes over."""

    frontier: Frontier
    progress: Mapping[str, StreamProgress]
    checkpoint_size: int
    """Entries that the last checkpoint covers; 0 when there is none."""
    checkpoint_text: str | None


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One entry with its leaf."""

    entry: AuditEntry
    body: bytes
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction adds."""

    entries: Sequence[NewEntry]
    nodes: Sequence[CompletedNode]
    progress: Mapping[str, StreamProgress]
    projected: Projected = field(default_factory=Projected)


class Store:
    """The database of one auditor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self._turn = asyncio.Lock()  # SQLite lets those wait that come while another writes, and not in order

    @classmethod
    def open(cls, database_url: str, *, password: str | None = None) -> Self:
        """The store at an address, with the reference of its password; nothing is connected yet."""
        engine = async_engine(database_url, password=password, pool_size=POOL_CONNECTIONS, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return cls(engine)

    async def migrate(self) -> None:
        """Bring the tables to the newest version."""
        async with self.engine.begin() as connection:
            await connection.run_sync(migrate)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def take_over(self, token: int) -> Standing:
        """Shut out every writer with an older lease, and return where the log stands."""
        return await _whole(self._take_over(token))

    async def append(self, batch: Batch, token: int) -> None:
        """Add a batch; `WriterFenced` when the lease is no longer the latest."""
        await _whole(self._append(batch, token))

    async def add_checkpoint(self, *, size: int, text: str, token: int) -> None:
        """Keep a signed checkpoint; one size has one."""
        await _whole(self._add_checkpoint(size, text, token))

    async def write(self, token: int, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Do something else in one short transaction; `WriterFenced` when the lease is no longer the latest."""
        return await _whole(self._write(work, token))

    async def count_rows(self, changed: Sequence[Table]) -> None:
        """Tell PostgreSQL what these tables hold now, or it plans questions for what they held before many came."""
        if self.engine.dialect.name != "postgresql":
            return
        async with self.engine.begin() as connection:
            for table in changed:
                await connection.exec_driver_sql(f"ANALYZE {table.name}")

    @asynccontextmanager
    async def _transaction(self, token: int) -> AsyncIterator[AsyncConnection]:
        """A writing transaction under the lease; those of one program take turns in the order in which they come."""
        async with self._turn, self.engine.begin() as connection:
            await _show_token(connection, token)
            yield connection

    async def _write(self, work: Callable[[AsyncConnection], Awaitable[T]], token: int) -> T:
        async with self._transaction(token) as connection:
            return await work(connection)

    async def _take_over(self, token: int) -> Standing:
        async with self._transaction(token) as connection:
            return await connection.run_sync(_standing)

    async def _append(self, batch: Batch, token: int) -> None:
        async with self._transaction(token) as connection:
            if batch.entries:
                await connection.execute(insert(tables.entry), [_entry_row(one) for one in batch.entries])
            if batch.nodes:
                await connection.execute(insert(tables.tree_node), [node._asdict() for node in batch.nodes])
            await self._put(connection, tables.progress, [
                {"stream": stream, "last_seq": reached.last_seq, "last_time_us": reached.last_time_us}
                for stream, reached in batch.progress.items()
            ])  # fmt: skip
            await self._project(connection, batch.projected)

    async def _add_checkpoint(self, size: int, text: str, token: int) -> None:
        async with self._transaction(token) as connection:
            await connection.execute(insert(tables.checkpoint), {"size": size, "text": text})

    async def _project(self, connection: AsyncConnection, projected: Projected) -> None:
        # A run keeps the moment it was first seen with; everything else follows the newest document.
        await self._put(connection, tables.run, list(projected.runs.values()), keep=frozenset({"requested_at"}))
        await self._put(connection, tables.change_outcome, list(projected.outcomes.values()))
        await self._put(connection, tables.dead_letter, projected.dead_letters)
        if projected.run_events:
            await connection.execute(insert(tables.run_event), projected.run_events)
        if projected.sealed:
            statement = update(tables.run).where(tables.run.c.run == bindparam("sealed_run"))
            await connection.execute(statement, list(projected.sealed.values()))

    async def _put(
        self,
        connection: AsyncConnection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        keep: frozenset[str] = frozenset(),
    ) -> None:
        """Insert rows, or overwrite those with the same primary key."""
        if rows:
            await connection.execute(_upsert(self.engine.dialect.name, table, rows[0].keys() - keep), list(rows))


async def _whole(transaction: Coroutine[Any, Any, T]) -> T:
    """Let a writing transaction end before a cancellation counts; a second cancellation does not wait for it.

    SQLite keeps the lock of one that was broken off for as long as its cursor lives somewhere, and every writer after
    it waits in vain.
    """
    task = asyncio.create_task(transaction)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            # The text of a database error may quote a row.
            log.warning("audit_transaction_failed_while_ending", error=type(error).__name__)
        raise


def _upsert(dialect: str, table: Table, overwritten: set[str]) -> Insert:
    key = [column.name for column in table.primary_key]
    # The two dialects share these words, but no type.
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    changes = {name: statement.excluded[name] for name in sorted(overwritten - set(key))}
    return statement.on_conflict_do_update(index_elements=key, set_=changes)


async def _show_token(connection: AsyncConnection, token: int) -> None:
    """Claim the record for this lease; also the lock under which writing transactions take turns."""
    claimed = await connection.execute(
        update(tables.writer).where(tables.writer.c.id == 1, tables.writer.c.token <= token).values(token=token)
    )
    if claimed.rowcount != 1:
        raise WriterFenced(f"a writer with a later lease than {token} has taken over the audit log")


def _entry_row(one: NewEntry) -> dict[str, Any]:
    return {
        "entry_index": one.entry.index,
        "leaf_hash": one.leaf_hash,
        "body": one.body.decode(),
        "run": one.entry.run,
        "type": one.entry.type,
        "stream": one.entry.stream,
        "stream_seq": one.entry.stream_seq,
        "actor": one.entry.actor,
    }


def _standing(connection: Connection) -> Standing:
    def node(*, level: int, position: int) -> bytes:
        return stored_node(connection, level=level, position=position)

    last_index = connection.execute(select(func.max(tables.entry.c.entry_index))).scalar_one()
    size = 0 if last_index is None else int(last_index) + 1
    # The roots of the complete subtrees, large to small: one for each bit of the size.
    levels = [level for level in reversed(range(size.bit_length())) if size >> level & 1]
    frontier = Frontier(size, tuple(node(level=level, position=(size >> level) - 1) for level in levels))
    progress = {
        stream: StreamProgress(last_seq, last_time_us)
        for stream, last_seq, last_time_us in connection.execute(select(tables.progress))
    }
    latest = connection.execute(select(tables.checkpoint).order_by(tables.checkpoint.c.size.desc()).limit(1)).first()
    signed_size, text = (0, None) if latest is None else (int(latest.size), str(latest.text))
    if signed_size > size:
        raise RecordAltered(
            f"the last checkpoint was signed for {signed_size} entries, the database holds {size}; "
            "restore the database from its backup, or rebuild it from the streams"
        )
    return Standing(frontier, progress, signed_size, text)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    """What the log's durability rests on: a write-ahead log that is flushed at every commit."""
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={SQLITE_BUSY_MS}", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
