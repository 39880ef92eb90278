"""Opens databases so that a whole reading sees one unchanging state and can write nothing.

PostgreSQL: REPEATABLE READ, READ ONLY. SQLite: file opened read-only, one deferred transaction, whose first read fixes
the state. A driver for which this is not known is refused by the settings.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from shared.errors import NeedsPerson
from shared.secrets import Secret
from shared.sql_reading.settings import SqlSettings


def open_engine(settings: SqlSettings, *, password: Secret | None) -> Engine:
    """An engine for reading; connects to nothing yet. Connections are not pooled: one reading, one connection."""
    url = make_url(settings.url)
    if url.get_backend_name() == "sqlite":
        return _sqlite(settings, database=url.database)
    return create_engine(
        url.set(password=password) if password is not None else url,
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        hide_parameters=True,  # a driver's error must not carry values into a log
        connect_args={
            "connect_timeout": settings.connect_timeout_seconds,
            "options": f"-c statement_timeout={settings.statement_timeout_seconds * 1000}",
        },
    )


def begin_snapshot(engine: Engine) -> Connection:
    """A connection inside a read-only transaction that sees one state until it is closed."""
    connection = engine.connect()
    if engine.dialect.name == "postgresql":
        connection = connection.execution_options(postgresql_readonly=True)
    try:
        connection.begin()
    except SQLAlchemyError:
        connection.close()
        raise
    return connection


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
