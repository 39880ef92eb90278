"""SQLite without threads and files, for the differ's memory and the auditor's record.

The services' own tables and statements run, only the driver is another: what the library would do in a thread is done
at once, so that a transaction takes no virtual time and is never seen half done; a process dies before or after it.
All connections to one path share one database in memory, begun as a copy of a prepared one.
"""

from __future__ import annotations

import gc
import logging
import sqlite3
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiosqlite


class Databases:
    """The databases of one seed, by path."""

    def __init__(self, prepared: dict[str, bytes] | None = None) -> None:
        self._prepared = prepared or {}
        self._open: dict[str, sqlite3.Connection] = {}
        self.owner: dict[str, InlineConnection] = {}
        """Who has a transaction open, by path; nobody, whenever a task is suspended."""
        self.is_closed = False

    def open(self, path: str) -> sqlite3.Connection:
        """The database at a path."""
        if path not in self._open:
            made = sqlite3.connect(":memory:", check_same_thread=False, isolation_level="DEFERRED")
            if path in self._prepared:
                made.deserialize(self._prepared[path])
            self._open[path] = made
        return self._open[path]

    def images(self) -> dict[str, bytes]:
        """Every database as bytes, for others to begin with."""
        return {path: one.serialize() for path, one in self._open.items()}

    def close(self) -> None:
        """Let go of everything."""
        self.is_closed = True
        for one in self._open.values():
            one.close()

    def connect(self, path: str, **_: Any) -> InlineConnection:
        """What `aiosqlite.connect` is to the library above."""
        return InlineConnection(self, path)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let every new connection of this process come from here."""
        original = aiosqlite.connect
        aiosqlite.connect = self.connect  # type: ignore[assignment]  # stands in its place
        try:
            yield
        finally:
            aiosqlite.connect = original


def let_go() -> None:
    """Collect what a seed has left behind; connections of processes that died were never given back."""
    pools = logging.getLogger("sqlalchemy.pool")
    before = pools.level
    pools.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            gc.collect()
    finally:
        pools.setLevel(before)


class InlineConnection:
    """One connection, as SQLAlchemy's adapter for aiosqlite uses it."""

    def __init__(self, databases: Databases, path: str) -> None:
        self._databases = databases
        self._path = path
        self._connection = databases.open(path)
        self._thread = SimpleNamespace(daemon=True)
        self.isolation_level = ""

    def __await__(self) -> Generator[None, None, InlineConnection]:
        yield from ()
        return self

    def cursor(self) -> InlineCursor:
        """A cursor; refused while another connection has a transaction open, as the file's lock would."""
        if self._databases.owner.get(self._path, self) is not self:
            raise sqlite3.OperationalError("database is locked: a transaction was left open over a pause")
        return InlineCursor(self, self._connection.cursor())

    def note(self) -> None:
        """Remember whether a transaction is open."""
        if self._databases.is_closed:
            return
        if self._connection.in_transaction:
            self._databases.owner[self._path] = self
        elif self._databases.owner.get(self._path) is self:
            del self._databases.owner[self._path]

    async def commit(self) -> None:
        """End the transaction."""
        if not self._databases.is_closed and self._databases.owner.get(self._path) is self:
            self._connection.commit()
        self.note()

    async def rollback(self) -> None:
        """Undo the transaction."""
        if not self._databases.is_closed and self._databases.owner.get(self._path) is self:
            self._connection.rollback()
        self.note()

    async def close(self) -> None:
        """The database stays for the others."""
        await self.rollback()

    async def create_function(self, name: str, arguments: int, function: Any, **more: Any) -> None:
        """Functions that SQLAlchemy adds to a database."""
        self._connection.create_function(name, arguments, function, **more)

    def stop(self) -> None:
        """As `close`, for a connection that is given up."""
        if not self._databases.is_closed and self._databases.owner.get(self._path) is self:
            self._connection.rollback()
        self.note()


class InlineCursor:
    """One cursor whose awaitables are done when they are made."""

    def __init__(self, connection: InlineConnection, cursor: sqlite3.Cursor) -> None:
        self._connection = connection
        self._cursor = cursor

    async def __aenter__(self) -> InlineCursor:
        return self

    @property
    def description(self) -> Any:
        """As the driver's own."""
        return self._cursor.description

    @property
    def rowcount(self) -> int:
        """As the driver's own."""
        return self._cursor.rowcount

    @property
    def lastrowid(self) -> int | None:
        """As the driver's own."""
        return self._cursor.lastrowid

    @property
    def arraysize(self) -> int:
        """As the driver's own."""
        return self._cursor.arraysize

    async def execute(self, statement: str, parameters: Sequence[Any] = ()) -> InlineCursor:
        """One statement; settings of files mean nothing here."""
        if not statement.startswith(("PRAGMA journal_mode", "PRAGMA synchronous", "PRAGMA busy_timeout")):
            self._cursor.execute(statement, parameters)
            self._connection.note()
        return self

    async def executemany(self, statement: str, parameters: Sequence[Sequence[Any]]) -> InlineCursor:
        """One statement with many rows."""
        self._cursor.executemany(statement, parameters)
        self._connection.note()
        return self

    async def fetchall(self) -> list[Any]:
        """All rows."""
        return self._cursor.fetchall()

    async def close(self) -> None:
        """Let go of it."""
        self._cursor.close()
