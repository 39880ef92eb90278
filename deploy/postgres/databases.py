"""Makes roles and databases, as the administrator: `python -m deploy.postgres.databases`.

Done again it changes nothing but passwords, which become what the files say: that is how they are renewed. Passwords
reach the server as SCRAM verifiers, so that none can stand in its log. It drops nothing and makes no table.

The environment names the server (`AETHER_DATABASE_URL`, a libpq address without a password), the file of the
administrator's password (`AETHER_DATABASE_PASSWORD_FILE`) and a folder with one file a role
(`AETHER_ROLE_PASSWORDS`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from deploy.postgres.roles import DATABASES, Database, all_roles

CONNECT_SECONDS_MAX = 10
STATEMENT_MILLISECONDS_READER = 30_000
"""A page or a figure that takes longer is a mistake, and must not hold the auditor up."""
SHARED_DATABASES = ("postgres", "template1")


def make(conninfo: str, passwords: Mapping[str, str], *, administrator_password: str | None = None) -> None:
    """Make every role and database of the table; KeyError names a role without a password."""
    known = {role: passwords[role] for role in all_roles()}
    with _connected(conninfo, administrator_password) as connection:
        for role, password in known.items():
            _make_role(connection, role, password)
        for name in SHARED_DATABASES:
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        for database in DATABASES:
            _make_database(connection, database)
    for database in DATABASES:
        with _connected(conninfo, administrator_password, database=database.name) as connection:
            _close_schema(connection, database)


def _connected(
    conninfo: str, password: str | None, *, database: str | None = None
) -> psycopg.Connection[tuple[object, ...]]:
    given = {"password": password, "dbname": database}
    known = make_conninfo(conninfo, **{name: text for name, text in given.items() if text is not None})
    return psycopg.connect(known, autocommit=True, connect_timeout=CONNECT_SECONDS_MAX)


def _make_role(connection: psycopg.Connection[tuple[object, ...]], role: str, password: str) -> None:
    name = sql.Identifier(role)
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
    if found is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    # Said anew each time, so that a role that somebody widened is narrow again.
    connection.execute(
        sql.SQL(
            "ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT PASSWORD {}"
        ).format(name, sql.Literal(verifier))
    )
    if role in {reader for database in DATABASES for reader in database.readers}:
        connection.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(name))
        connection.execute(
            sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(name, sql.Literal(STATEMENT_MILLISECONDS_READER))
        )


def _make_database(connection: psycopg.Connection[tuple[object, ...]], database: Database) -> None:
    name, owner = sql.Identifier(database.name), sql.Identifier(database.owner)
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database.name,)).fetchone() is None:
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'").format(name, owner)
        )
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    roles = sql.SQL(", ").join(sql.Identifier(role) for role in database.roles)
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, roles))


def _close_schema(connection: psycopg.Connection[tuple[object, ...]], database: Database) -> None:
    connection.execute(sql.SQL("ALTER SCHEMA public OWNER TO {}").format(sql.Identifier(database.owner)))
    connection.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    others = sql.SQL(", ").join(sql.Identifier(role) for role in database.roles[1:])
    connection.execute(sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(others))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(others))


def main() -> int:
    """Entry point."""
    folder = Path(os.environ["AETHER_ROLE_PASSWORDS"])
    passwords = {path.name: path.read_text(encoding="utf-8").strip() for path in folder.iterdir() if path.is_file()}
    password = Path(os.environ["AETHER_DATABASE_PASSWORD_FILE"]).read_text(encoding="utf-8").strip()
    make(os.environ["AETHER_DATABASE_URL"], passwords, administrator_password=password)
    sys.stdout.write(f"{len(DATABASES)} databases and {len(all_roles())} roles are as the table says\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
