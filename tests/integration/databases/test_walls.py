"""Each wall between the roles of the house's databases, rung on a real PostgreSQL: who gets in, what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import errors, sql

from deploy.postgres.databases import make
from deploy.postgres.migrate import MIGRATIONS, migrate
from deploy.postgres.roles import CONSOLE_READER, DATABASES, MONITOR_READER, Database, all_roles, database_of
from services.auditor.store import Store
from shared.audit import tables
from tests.support.postgres import PostgresServer, start_postgres

AUDITOR = database_of("auditor")
READERS = (CONSOLE_READER, MONITOR_READER)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server with everybody's databases and roles, at their newest version."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as running:
        passwords = {role: f"password-of-{role}" for role in all_roles()}
        make(conninfo(running, "postgres", "postgres"), passwords)
        for database in DATABASES:
            asyncio.run(migrate(database.service, url(running, database.owner, database)))
        yield running


def conninfo(server: PostgresServer, user: str, database: str) -> str:
    return f"postgresql://{user}@127.0.0.1:{server.port}/{database}"


def url(server: PostgresServer, user: str, database: Database) -> str:
    return f"postgresql+psycopg://{user}@127.0.0.1:{server.port}/{database.name}"


def entering(server: PostgresServer, user: str, database: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(conninfo(server, user, database), autocommit=True)


def tables_of(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
    return [str(name) for (name,) in rows]


@pytest.mark.parametrize("database", ["postgres", "template1", *(one.name for one in DATABASES)])
@pytest.mark.parametrize("role", all_roles())
def test_a_role_reaches_the_databases_of_its_row_and_no_other(server: PostgresServer, role: str, database: str) -> None:
    allowed = {one.name for one in DATABASES if role in one.roles}
    if database in allowed:
        with entering(server, role, database) as connection:
            assert connection.execute("SELECT current_user").fetchone() == (role,)
    else:
        with pytest.raises(psycopg.OperationalError, match=r"permission denied for database|does not have CONNECT"):
            entering(server, role, database)


@pytest.mark.parametrize("database", DATABASES, ids=lambda one: one.service)
def test_a_service_makes_changes_and_drops_no_table(server: PostgresServer, database: Database) -> None:
    with entering(server, database.role, database.name) as connection:
        first = tables_of(connection)[0]
        for act in ("CREATE TABLE mine (a int)", "CREATE SCHEMA mine", "CREATE TEMPORARY TABLE mine (a int)"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(act)
        for act in ("DROP TABLE {}", "ALTER TABLE {} ADD COLUMN mine int", "TRUNCATE {}"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL(act).format(sql.Identifier(first)))
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(database.owner)))


@pytest.mark.parametrize("database", DATABASES, ids=lambda one: one.service)
async def test_a_service_starts_on_tables_that_its_owner_made(server: PostgresServer, database: Database) -> None:
    await MIGRATIONS[database.service](url(server, database.role, database), None)


@pytest.mark.parametrize("table", AUDITOR.append_only)
def test_the_record_is_added_to_and_never_changed(server: PostgresServer, table: str) -> None:
    with entering(server, AUDITOR.role, AUDITOR.name) as connection:
        column = next(iter(tables.metadata.tables[table].columns)).name
        for act in ("UPDATE {table} SET {column} = {column}", "DELETE FROM {table}"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL(act).format(table=sql.Identifier(table), column=sql.Identifier(column)))
        connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))


async def test_the_auditor_works_under_its_own_role(server: PostgresServer) -> None:
    store = Store.open(url(server, AUDITOR.role, AUDITOR))
    try:
        await store.migrate()
        standing = await store.take_over(7)
        await store.add_checkpoint(size=standing.frontier.size + 1, text="shown", token=7)
        await store.count_rows([tables.run])
    finally:
        await store.close()


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_sees_the_record_and_writes_nothing(server: PostgresServer, reader: str) -> None:
    with entering(server, reader, AUDITOR.name) as connection:
        found = tables_of(connection)
        assert set(AUDITOR.append_only) < set(found)
        for table in found:
            name = sql.Identifier(table)
            connection.execute(sql.SQL("SELECT count(*) FROM {}").format(name))
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute("DELETE FROM run")
        connection.execute("SET default_transaction_read_only = off")  # a setting is a habit; the privilege is the wall
        for table in found:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))


def test_made_again_a_widened_role_is_narrow_and_a_password_is_new(server: PostgresServer) -> None:
    with psycopg.connect(conninfo(server, "postgres", "postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(AUDITOR.role)))
        before = _verifier(connection)
        make(conninfo(server, "postgres", "postgres"), {role: f"another-{role}" for role in all_roles()})
        assert _verifier(connection) != before
        assert _verifier(connection).startswith("SCRAM-SHA-256$")
        found = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname LIKE 'aether%' AND"
            " (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)"
        ).fetchall()
    assert found == []


def _verifier(connection: psycopg.Connection[tuple[object, ...]]) -> str:
    row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (AUDITOR.role,)).fetchone()
    assert row is not None
    return str(row[0])


def test_a_role_without_a_password_is_not_made(server: PostgresServer) -> None:
    with pytest.raises(KeyError, match="aether_differ_owner"):
        make(conninfo(server, "postgres", "postgres"), {})
