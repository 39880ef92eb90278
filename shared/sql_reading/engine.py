"""Opens databases for reading, as far apart from those who write meanwhile as each database allows.

PostgreSQL: REPEATABLE READ, READ ONLY. SQLite: file opened read-only, one deferred transaction, whose first read fixes
the state. SQL Server: SNAPSHOT, or what the settings say instead (`SqlSettings.isolation`); it has no transactions that
cannot write, so there only SELECT is ever sent, and the login should have no more rights than that.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, Dialect, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared.errors import NeedsPerson
from shared.secrets import Secret
from shared.sql_reading.settings import SqlSettings

LOCK_WAIT_SECONDS = 30
"""How long a statement of SQL Server waits for somebody else's lock; by itself it would wait for ever."""
APPLICATION_NAME = "aether-integrator"
"""What the database's administrator sees in the list of connections."""
_ISOLATION_LEVELS = {
    "snapshot": "SNAPSHOT",
    "read_committed": "READ COMMITTED",
    "read_uncommitted": "READ UNCOMMITTED",
}


def open_engine(settings: SqlSettings, *, password: Secret | None) -> Engine:
    """An engine for reading; connects to nothing yet. Connections are not pooled: one reading, one connection."""
    url = make_url(settings.url)
    if url.get_backend_name() == "sqlite":
        return _sqlite(settings, database=url.database)
    if password is not None:
        url = url.set(password=password)
    if settings.is_sql_server:
        return _sql_server(settings, url)
    return create_engine(
        url,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        hide_parameters=True,  # a driver's error must not carry values into a log
        connect_args={
            "connect_timeout": settings.connect_timeout_seconds,
            "options": f"-c statement_timeout={settings.statement_timeout_seconds * 1000}",
        },
    )


def begin_snapshot(engine: Engine) -> Connection:
    """A connection inside a transaction for reading that lasts until it is closed."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        connection = connection.execution_options(postgresql_readonly=True)
    try:
        connection.begin()
    except SQLAlchemyError:
        connection.close()
        raise
    return connection


def _sql_server(settings: SqlSettings, url: URL) -> Engine:
    engine = create_engine(
        url,
        poolclass=NullPool,
        isolation_level=_ISOLATION_LEVELS[settings.isolation or "snapshot"],
        hide_parameters=True,
        connect_args={
            "login_timeout": settings.connect_timeout_seconds,
            "timeout": settings.statement_timeout_seconds,
            "appname": APPLICATION_NAME,
            "encryption": settings.encryption or "require",
        },
    )

    def give_way(dbapi_connection: Any, _record: object) -> None:
        cursor = dbapi_connection.cursor()
        cursor.execute(f"SET LOCK_TIMEOUT {LOCK_WAIT_SECONDS * 1000}")
        cursor.execute("SET DEADLOCK_PRIORITY LOW")  # of two that block each other, not the school's own program
        cursor.close()

    event.listen(engine, "connect", give_way)
    event.listen(engine, "do_connect", _connected_to_sql_server)
    return engine


def _connected_to_sql_server(
    dialect: Dialect, _record: object, arguments: tuple[Any, ...], options: dict[str, Any]
) -> DBAPIConnection:
    try:
        return dialect.connect(*arguments, **options)
    except Exception as problem:
        # The first refusal that a program meets hides its cause: of the server's two messages, `cannot open database`
        # and `login failed`, the driver keeps the graver one, and only once. Asked again, it tells them apart.
        if "login failed" not in str(problem).lower():
            raise
    return dialect.connect(*arguments, **options)


def _sqlite(settings: SqlSettings, *, database: str | None) -> Engine:
    if not database or database == ":memory:":
        raise NeedsPerson("SRC_CONFIG", "url: names no SQLite file; write sqlite:////absolute/path.db")
    address = f"file:{quote(str(Path(database).absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        # The driver's own transaction handling begins none for a SELECT, so it is switched off and BEGIN is sent below.
        return sqlite3.connect(
            address,
            uri=True,
            timeout=settings.connect_timeout_seconds,
            isolation_level=None,
            check_same_thread=True,
        )

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN DEFERRED")

    def read_only(dbapi_connection: Any, _record: object) -> None:
        dbapi_connection.execute("PRAGMA query_only = ON")

    event.listen(engine, "connect", read_only)
    event.listen(engine, "begin", begin)
    return engine
