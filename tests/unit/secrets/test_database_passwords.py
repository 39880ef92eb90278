"""A database's password is read anew for each connection, and stands in no address and no error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from services.auditor.store import Store
from services.console.accounts.store import AccountStore
from services.differ.ledger import Ledger
from shared.audit.opening import read_only_engine
from shared.database import async_engine
from shared.errors import NeedsPerson
from tests.support.postgres import PostgresServer, start_postgres

USER = "aether_reader"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL that asks this user for a password; it trusts everybody else."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        with admin(server) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN SUPERUSER")
            (found,) = connection.execute("SHOW hba_file").fetchall()
            rules = Path(found[0])
            rules.write_text(f"host all {USER} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
            connection.execute("SELECT pg_reload_conf()")
        yield server


@contextlib.contextmanager
def admin(server: PostgresServer) -> Iterator[psycopg.Connection[Any]]:
    url = server.url_for("postgres").replace("postgresql+psycopg://", "postgresql://")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def change_password(server: PostgresServer, secret: Path, password: str) -> None:
    """On both sides; connections that are open end, as they do when a person insists."""
    with admin(server) as connection:
        connection.execute(f"ALTER ROLE {USER} PASSWORD '{password}'")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (USER,))
    secret.write_text(password)


def url_of(server: PostgresServer, database: str = "postgres") -> str:
    return f"postgresql+psycopg://{USER}@127.0.0.1:{server.port}/{database}"


async def test_a_changed_password_is_used_by_the_next_connection(postgres: PostgresServer, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    change_password(postgres, secret, "pw-one-71c2")
    engine = async_engine(url_of(postgres), password=f"file:{secret}", pool_pre_ping=True)
    try:
        for password in ("pw-one-71c2", "pw-two-0d4e"):
            change_password(postgres, secret, password)
            async with engine.connect() as connection:
                assert (await connection.execute(text("SELECT current_user"))).scalar_one() == USER
        secret.write_text("pw-bad-93aa")
        await engine.dispose()
        with pytest.raises(OperationalError) as refused:
            async with engine.connect():
                pass
        assert "pw-bad-93aa" not in str(refused.value)
        secret.unlink()
        with pytest.raises(NeedsPerson, match="No such file"):
            async with engine.connect():
                pass
        assert "pw-" not in f"{engine!r} {engine.url!r}"
    finally:
        await engine.dispose()


async def test_every_program_opens_its_database_so(postgres: PostgresServer, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    change_password(postgres, secret, "pw-all-5510")
    reference = f"file:{secret}"
    for name in ("differ", "auditor", "console"):
        postgres.create_database(f"pw_{name}")
    ledger = Ledger(url_of(postgres, "pw_differ"), password=reference)
    await ledger.prepare()
    await ledger.close()
    for store in (
        Store.open(url_of(postgres, "pw_auditor"), password=reference),
        AccountStore.open(url_of(postgres, "pw_console"), password=reference),
    ):
        await store.migrate()
        await store.close()
    reader = read_only_engine(url_of(postgres, "pw_auditor"), password=reference)
    async with reader.connect() as connection:
        assert (await connection.execute(text("SHOW default_transaction_read_only"))).scalar_one() == "on"
    await reader.dispose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+psycopg://u:in-the-address@h/d", "holds a password"),
        ("postgresql+psycopg://h/d", "names no user"),
        ("sqlite+aiosqlite:////tmp/x.db", "names no user"),
        ("what:in-the-address", "cannot be read"),
    ],
)
def test_an_address_that_has_no_use_for_the_reference_is_refused(url: str, said: str) -> None:
    with pytest.raises(NeedsPerson, match=said) as caught:
        async_engine(url, password="env:A_PASSWORD")
    assert "in-the-address" not in caught.value.message
