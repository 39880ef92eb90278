"""Opens the database with the right to write: few connections, bounded waits."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from shared.errors import NeedsPerson
from shared.secrets import Secret
from systems.local.config import LocalConfig

LOCK_WAIT_SECONDS = 30
"""How long a write waits for somebody else's lock on its row or, in SQLite, its file."""
CONNECTIONS_MAX = 4


def open_for_writing(config: LocalConfig, *, url: str, password: Secret | None) -> Engine:
    """An engine that can write; connects to nothing yet."""
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        if not address.database or address.database == ":memory:":
            raise NeedsPerson("APL_CONFIG", "url: names no SQLite file; write sqlite:////absolute/path.db")
        # Without a pool: a connection of SQLite may not change threads. `mode=rw` makes no file where there is none.
        mode = "rwc" if config.create_tables else "rw"
        file = f"file:{quote(str(Path(address.database).absolute()))}?mode={mode}"

        def connect() -> sqlite3.Connection:
            wait = min(LOCK_WAIT_SECONDS, config.statement_timeout_seconds)
            # The driver's own transaction handling knows no savepoints, so it is switched off and BEGIN is sent below.
            return sqlite3.connect(file, uri=True, timeout=wait, isolation_level=None)

        engine = create_engine("sqlite://", creator=connect, poolclass=NullPool, hide_parameters=True)

        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN DEFERRED")

        event.listen(engine, "begin", begin)
        return engine
    return create_engine(
        address.set(password=password) if password is not None else address,
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "connect_timeout": config.connect_timeout_seconds,
            "options": (
                f"-c statement_timeout={config.statement_timeout_seconds * 1000}"
                f" -c lock_timeout={LOCK_WAIT_SECONDS * 1000}"
            ),
        },
    )
