"""Gives the roles of a database what they may do with its tables, as the database's owner.

Run after every migration, because new tables are nobody's but the owner's. What is not given here is taken away. It
touches no row.
"""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from deploy.postgres.roles import Database

VERSION_TABLE = "alembic_version"
"""Which version the tables have: for the service to look at."""
MAINTAIN_SINCE = 17
"""PostgreSQL before that lets only the owner count rows (ANALYZE); the service does without."""


def privileges_on(table: str, database: Database) -> str:
    """What the service's own role may do with a table."""
    if table == VERSION_TABLE:
        return "SELECT"
    if table in database.append_only:
        return "SELECT, INSERT"
    return "SELECT, INSERT, UPDATE, DELETE"


def grant(connection: Connection, database: Database) -> tuple[str, ...]:
    """Grant on every table and sequence, within the caller's transaction; returns the tables."""
    quote = connection.dialect.identifier_preparer.quote
    everybody = ", ".join(quote(role) for role in database.roles[1:])
    tables = tuple(sorted(inspect(connection).get_table_names()))
    missing = set(database.append_only).difference(tables)
    if missing:
        raise ValueError(f"{database.name}: no table {', '.join(sorted(missing))}; correct deploy/postgres/roles.py")
    version = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
    for table in tables:
        name = quote(table)
        connection.execute(text(f"REVOKE ALL ON {name} FROM PUBLIC, {everybody}"))
        connection.execute(text(f"GRANT {privileges_on(table, database)} ON {name} TO {quote(database.role)}"))
        if version >= MAINTAIN_SINCE:
            connection.execute(text(f"GRANT MAINTAIN ON {name} TO {quote(database.role)}"))
        for reader in database.readers:
            connection.execute(text(f"GRANT SELECT ON {name} TO {quote(reader)}"))
    for sequence in inspect(connection).get_sequence_names():
        connection.execute(text(f"GRANT USAGE ON SEQUENCE {quote(sequence)} TO {quote(database.role)}"))
    return tables
