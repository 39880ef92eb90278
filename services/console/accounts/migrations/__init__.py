"""The versions of the console's tables, brought up by `migrate` when the program starts; SQLite and PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

_LOCK = 7_236_002
"""Number of the PostgreSQL advisory lock under which two consoles that start together take turns."""


def migrate(connection: Connection) -> None:
    """Bring the database to the newest version, within the caller's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    config = Config()
    # No ini file, and so no path of any machine; a per cent sign in a path must be doubled for the ini syntax.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
