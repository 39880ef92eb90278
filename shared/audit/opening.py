"""Opens the auditor's database for reading only, from a program that is not the auditor.

The database itself refuses to be written over such a connection; the role of a PostgreSQL address may be allowed to
read and nothing else. It makes no table: a database that the auditor has not made yet cannot be opened.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

from shared.database import async_engine, checked

POOL_CONNECTIONS: Final = 5
"""Connections of one reading program that stay open."""
OVERFLOW_CONNECTIONS: Final = 5
"""Further ones while many people ask at once."""
POOL_WAIT_SECONDS: Final = 10
"""How long a question waits for a connection before it fails."""
SQLITE_BUSY_MS: Final = 5_000
STATEMENT_MS_MAX: Final = 15_000
"""A question that PostgreSQL has not answered by then is given up, so that no reader keeps old rows alive for long."""


def read_only_engine(url: str, *, password: str | None = None) -> AsyncEngine:
    """The auditor's database at its own address (`sqlite+aiosqlite:///…` or `postgresql+psycopg://…`), for reading.

    `password` is the reference of the password, which is read for each connection.
    """
    address = checked(url, password=password)
    options: dict[str, Any] = {
        "poolclass": AsyncAdaptedQueuePool,
        "pool_size": POOL_CONNECTIONS,
        "max_overflow": OVERFLOW_CONNECTIONS,
        "pool_timeout": POOL_WAIT_SECONDS,
        "pool_pre_ping": True,
    }
    if address.get_backend_name() == "sqlite":
        if not address.database or address.database == ":memory:":
            raise ValueError("a database in memory cannot be opened a second time; give the address of its file")
        address = address.set(database=f"file:{quote(address.database)}", query={"mode": "ro", "uri": "true"})
        engine = async_engine(address, **options)
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        return engine
    settings = f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_MS_MAX}"
    return async_engine(address, password=password, connect_args={"options": settings}, **options)


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for setting in ("query_only=ON", f"busy_timeout={SQLITE_BUSY_MS}"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
