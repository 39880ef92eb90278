"""Databases into files and back, while they are written; PostgreSQL is a real one."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pyrage
import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import make_url

from deploy.backup.databases import Database, programs_for, require_empty, restore_database, save_database
from deploy.backup.files import identity_of, recipients_of
from deploy.backup.problem import BackupFailed
from services.auditor.store import Store
from shared.audit import tables
from tests.support.bus import BusUnderTest
from tests.support.postgres import PostgresServer

PASSWORD = r"a:colon\and 'quotes"


def new_database(postgres: PostgresServer) -> str:
    return postgres.create_database(BusUnderTest.unique("backup").replace("-", "_"))


def plain(url: str) -> psycopg.Connection:
    """A connection without SQLAlchemy."""
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string())


async def auditors(url: str) -> None:
    """The auditor's tables with one entry."""
    store = Store.open(url)
    await store.migrate()
    async with store.engine.begin() as connection:
        await connection.execute(
            insert(tables.entry).values(
                entry_index=0, leaf_hash=b"\x00\xff" * 16, body="{}", type="t", stream="CORE", stream_seq=1
            )
        )
    await store.close()


async def test_the_auditors_postgresql_comes_back_with_what_guards_it(postgres: PostgresServer, tmp_path: Path) -> None:
    was, is_now = new_database(postgres), new_database(postgres)
    await auditors(was)
    secret = pyrage.x25519.Identity.generate()
    source = Database.at("auditor", was)
    facts = save_database(source, tmp_path, recipients_of([str(secret.to_public())]), None)
    assert facts.content.path == "databases/auditor.pgdump.age"
    with pytest.raises(BackupFailed, match=r"holds \d+ tables and sequences already"):
        require_empty(source)
    restore_database(Database.at("auditor", is_now), facts, tmp_path, identity_of(str(secret)), None)
    store = Store.open(is_now)
    await store.migrate()  # it knows its version
    async with store.engine.connect() as connection:
        row = (await connection.execute(select(tables.entry.c.leaf_hash, tables.entry.c.stream_seq))).one()
        assert tuple(row) == (b"\x00\xff" * 16, 1)
    await store.close()
    with plain(is_now) as connected, pytest.raises(psycopg.Error, match="entry"):
        connected.execute("DELETE FROM entry")


async def test_a_dump_that_was_cut_short_changes_nothing(postgres: PostgresServer, tmp_path: Path) -> None:
    was, is_now = new_database(postgres), Database.at("auditor", new_database(postgres))
    await auditors(was)
    facts = save_database(Database.at("auditor", was), tmp_path, [], None)
    path = tmp_path / facts.content.path
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BackupFailed, match="pg_restore ended with"):
        restore_database(is_now, facts, tmp_path, None, None)
    require_empty(is_now)


def test_the_password_is_on_no_command_line_and_in_no_environment(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(new_database(postgres)).set(username="backup_reader")
    with plain(postgres.url_for("postgres")) as one:
        one.execute("CREATE ROLE backup_reader SUPERUSER LOGIN")
    started: list[tuple[list[str], dict[str, str], str]] = []
    original = subprocess.Popen

    def watched(command: list[str], **options: Any) -> Any:
        if "env" not in options:
            return original(command, **options)  # asked for its version
        passwords = Path(options["env"]["PGPASSFILE"])
        assert passwords.stat().st_mode & 0o777 == 0o600
        started.append((command, options["env"], passwords.read_text()))
        return original(command, **options)

    monkeypatch.setattr(subprocess, "Popen", watched)
    database = Database("console", url, PASSWORD)
    facts = save_database(database, tmp_path, [], None)
    restore_database(database, facts, tmp_path, None, None)
    assert [Path(command[0]).name for command, _, _ in started] == ["pg_dump", "pg_restore"]
    for command, environment, passwords in started:
        told = " ".join(command) + " ".join(environment.values())
        assert "quotes" not in told
        assert "backup_reader" not in told
        assert passwords == "*:*:*:*:a\\:colon\\\\and 'quotes\n"
        assert not Path(environment["PGPASSFILE"]).exists()
    assert "quotes" not in repr(database) + database.shown


def test_sqlite_is_taken_whole_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as writing:
        writing.execute("PRAGMA journal_mode=WAL")
        writing.execute("CREATE TABLE one (number INTEGER)")
        writing.execute("INSERT INTO one VALUES (1)")
        writing.commit()
        writing.execute("INSERT INTO one VALUES (2)")  # not committed
        facts = save_database(Database.at("differ", f"sqlite+aiosqlite:///{path}"), tmp_path, [], None)
        writing.commit()
    there = Database.at("differ", f"sqlite+aiosqlite:///{tmp_path / 'there' / 'b.db'}")
    restore_database(there, facts, tmp_path, None, None)
    with closing(sqlite3.connect(there.path)) as reading:
        assert reading.execute("SELECT number FROM one").fetchall() == [(1,)]
    assert there.path.stat().st_mode & 0o777 == 0o600
    assert not list(tmp_path.glob(".sqlite-*"))


def test_what_cannot_be_taken_is_said(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("this is no database, and never was one")
    with pytest.raises(BackupFailed, match="file is not a database"):
        save_database(Database.at("differ", f"sqlite:///{tmp_path / 'no.db'}"), tmp_path, [], None)
    with pytest.raises(BackupFailed, match="there is no file"):
        save_database(Database.at("differ", f"sqlite:///{tmp_path / 'none.db'}"), tmp_path, [], None)
    with pytest.raises(BackupFailed, match="names no file"):
        Database.at("differ", "sqlite+aiosqlite://")
    with pytest.raises(BackupFailed, match=r"database auditor: postgresql.*127\.0\.0\.1"):
        save_database(Database.at("auditor", "postgresql+psycopg://me:secret@127.0.0.1:1/x"), tmp_path, [], None)


def test_programs_older_than_the_server_are_refused(tmp_path: Path) -> None:
    assert programs_for(1).major >= 1
    with pytest.raises(BackupFailed, match="PostgreSQL 99 or newer are needed"):
        programs_for(99)
    with pytest.raises(BackupFailed, match="found: none"):
        programs_for(15, tmp_path)
