"""The whole house on one machine: bus, services and, for a demonstration, a sample district and a simulated vendor.

`aether up` runs it, and so do tests and the demonstration. It starts in order (systems, bus, services), brings back
what dies, and stops in order, so that each service can hand on what it holds. It gives no commands to the services.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import nats

from cli.definitions import VENDORS_VARIABLE, vendors_folder
from cli.demo_past import TOLD, past_of
from cli.embedded_setup import (
    FOLDER_MODE,
    LOG_ORIGIN,
    PEOPLE,
    Layout,
    PersonSpec,
    prepare,
    reference,
    write_demo_connections,
    write_profiles,
)
from cli.ports import free_port, require_free
from cli.problem import CommandFailed
from cli.processes import LOG_TAIL_CHARACTERS, Child, ChildFailed
from shared.asking.client import PersonClient, connected
from shared.asking.profiles import load_profile, write_private
from shared.bus.embedded import EmbeddedPerson, EmbeddedServer, EmbeddedServerError
from shared.bus.provision import provision
from shared.bus.topology import PROVISIONER, Environment, inbox_prefix
from shared.clock import Clock, SystemClock

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds `services/`, `connectors/` and `systems/`."""
START_SECONDS_MAX = 60.0
"""For one program to become ready, on a slow and busy machine."""
ONCE_SECONDS_MAX = 300.0
"""For a program that makes something and ends: the sample district, its past."""
SUPERVISE_SECONDS = 0.2
BUS = "bus"
BUS_LOG = "nats-server.log"
SIMULATOR = "titanhst"
CONSOLE = "console"
MONITOR = "monitor"
READERS = (CONSOLE, MONITOR)
"""Services that read what the auditor's database is: they start after it, and end before it."""


@dataclass(frozen=True, slots=True)
class Address:
    """One part of the stack and where it is."""

    name: str
    address: str
    log: str


class Stack:
    """One embedded stack on one data folder."""

    def __init__(
        self,
        data: Path,
        *,
        is_demo: bool = False,
        extractors: int = 1,
        differs: int = 1,
        appliers: int = 1,
        environment: Environment = "staging",
        port: int = -1,
        people: Sequence[PersonSpec] = PEOPLE,
        staff: int | None = None,
        has_past: bool = True,
        has_console: bool = False,
        console_port: int = 0,
        has_monitor: bool = False,
        clock: Clock | None = None,
        connectors: Path = ROOT / "connectors",
        programs: Mapping[str, Sequence[str]] | None = None,
        settings: Mapping[str, Mapping[str, str]] | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepare to run; nothing is touched before `start`.

        `staff` is the size of a sample district that has yet to be made. With `has_past` it begins as one that has
        been mirrored for weeks, without as one that nobody ever looked at. `has_console` starts the pages as well, on
        `console_port` (0: a free one), `has_monitor` the figures over all. `programs` says, by service, what is run in
        place of `services.SERVICE` (a module and its arguments), `settings` what its environment holds besides.
        `on_notice` hears what happens meanwhile.
        """
        self.layout = Layout(data.resolve(), is_demo)
        self.is_demo = is_demo
        self._people = tuple(people)
        self._staff = staff
        self._has_past = has_past
        self._clock = clock or SystemClock()
        self._environment = environment
        self._port = port
        self._console_port = console_port
        self._connectors = connectors
        self._programs = dict(programs or {})
        self._settings = dict(settings or {})
        self._notice = on_notice
        self._server = EmbeddedServer(
            self.layout.bus,
            [EmbeddedPerson(each.user, frozenset(each.roles)) for each in people],
            environment=environment,
            port=port,
        )
        numbers = {"extractor": extractors, "differ": differs, "applier": appliers, "auditor": 1}
        if has_console:
            numbers[CONSOLE] = 1
        if has_monitor:
            numbers[MONITOR] = 1
        self._services = {
            name: service
            for service, number in numbers.items()
            for name in ([service] if number == 1 else [f"{service}-{each}" for each in range(1, number + 1)])
        }
        self._children: dict[str, Child] = {}
        self._bus_stays_down = False
        self._supervisor: asyncio.Task[None] | None = None
        self._held = ExitStack()

    # -- life --------------------------------------------------------------------------------------------------------

    async def start(self) -> Self:
        """Start everything and return once every program takes work; `CommandFailed` when one does not."""
        try:
            self.layout.data.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            self._held.enter_context(folder_held(self.layout.data))
            require_free(self._port)
            if CONSOLE in self._services.values():
                # Chosen once: brought back, it must be where the browsers look for it.
                self._console_port = self._console_port or free_port()
                require_free(self._console_port, of="the console", option="--console-port")
            prepare(self.layout, self._people)
            if self.is_demo:
                await self._start_systems()
                await self._give_past()
            await self._start_bus()
            await self._start_services()
        except (ChildFailed, EmbeddedServerError) as failed:
            await self.stop()
            logs = self.layout.bus / BUS_LOG if isinstance(failed, EmbeddedServerError) else self.layout.logs
            raise CommandFailed(str(failed), action=f"Look at {logs}; then start again.") from None
        except OSError as problem:
            await self.stop()
            raise CommandFailed(
                f"{problem.filename or self.layout.data}: {problem.strerror or problem}",
                action="Name a data folder that can be written, with --data, on a disk that has room.",
            ) from None
        except BaseException:
            await self.stop()
            raise
        self._supervisor = asyncio.create_task(self._supervise(), name="stack-supervisor")
        return self

    async def stop(self) -> None:
        """Stop in order: who takes work in, who works it off, who records it, the vendor, the bus."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor
            self._supervisor = None
        for service in (*READERS, "extractor", "differ", "applier", "auditor"):
            children = [child for name, child in self._children.items() if self._services.get(name) == service]
            await asyncio.gather(*(child.stop() for child in children))
        if SIMULATOR in self._children:
            await self._children[SIMULATOR].stop()
        self._server.stop()
        self._children.clear()
        self._held.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    # -- for tests and demonstrations --------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The parts that can be killed and restarted."""
        return [BUS, *self._children]

    def kill(self, name: str, *, stays_down: bool = False) -> None:
        """End a part as a crash would (SIGKILL); it is brought back by itself unless it is to stay down."""
        if name == BUS:
            self._bus_stays_down = stays_down
            self._server.kill()
        else:
            self._child(name).kill(stays_down=stays_down)

    async def restart(self, name: str) -> None:
        """Start a part again, stopping it first if it runs; returns once it takes work."""
        if name == BUS:
            await self._server.restart_async()
            self._bus_stays_down = False
            return
        child = self._child(name)
        await child.stop()
        child.start()
        await child.wait_ready(seconds_max=START_SECONDS_MAX)

    async def wait_ready(self, name: str) -> None:
        """Wait until a part that was killed is back and takes work; `ChildFailed` when it is not in time."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._takes_work(name):
            if time.monotonic() > deadline:
                raise ChildFailed(f"{name} is not back after {START_SECONDS_MAX:g} s; look at {self.layout.logs}")
            await asyncio.sleep(SUPERVISE_SECONDS)

    @asynccontextmanager
    async def client(self, profile: str) -> AsyncIterator[PersonClient]:
        """A connection as the person of that profile."""
        async with connected(load_profile(self.layout.data, profile)) as client:
            yield client

    def pid(self, name: str) -> int | None:
        """The process id of a part while it runs."""
        return self._server.pid if name == BUS else self._child(name).pid

    @property
    def bus_url(self) -> str:
        """The address of the bus."""
        return self._server.url

    @property
    def vendor_url(self) -> str:
        """The simulated vendor's address; only in a demonstration."""
        return str((self._child(SIMULATOR).ready() or {}).get("url", ""))

    @property
    def console_url(self) -> str:
        """The address of the console's pages; empty while it is down or not part of the stack."""
        child = self._children.get(CONSOLE)
        return "" if child is None else str((child.ready() or {}).get("url", ""))

    def admin_url(self, name: str) -> str:
        """The address of a service's /livez, /readyz and /metrics."""
        return str((self._child(name).ready() or {}).get("admin_url", ""))

    def addresses(self) -> list[Address]:
        """Every part and where it is."""
        found = [
            Address("bus", self._server.url, str(self.layout.bus / BUS_LOG)),
            Address("bus figures", self._server.monitoring_url, ""),
        ]
        for name, child in self._children.items():
            ready = child.ready() or {}
            where = ready.get("url") if name == CONSOLE else ready.get("admin_url") or ready.get("url")
            found.append(Address(name, str(where or "down"), str(child.log)))
        return found

    def profiles(self) -> tuple[str, ...]:
        """The people who may give commands."""
        return tuple(person.profile for person in self._people)

    # -- how ---------------------------------------------------------------------------------------------------------

    def _takes_work(self, name: str) -> bool:
        return self._server.pid is not None if name == BUS else self._child(name).ready() is not None

    def _child(self, name: str) -> Child:
        try:
            return self._children[name]
        except KeyError:
            raise KeyError(f"the stack has no part {name}; there are: {', '.join(self.names())}") from None

    async def _start_systems(self) -> None:
        layout = self.layout
        seed = layout.district / "titanhst.json"
        if not (layout.district / "truth.json").exists():
            self._notice("making the sample district …")
            size = [] if self._staff is None else ["--staff", str(self._staff)]
            await self._run_once("simulators.district", "--out", str(layout.district), *size)
        child = self._spawn(
            SIMULATOR,
            "simulators.titanhst",
            *("--state", str(seed), "--keep-file", str(layout.simulator / "state.jsonl")),
            *("--journal-file", str(layout.simulator / "journal.jsonl")),
            *("--read-token-file", str(layout.read_token), "--write-token-file", str(layout.write_token)),
            *("--ready-file", str(layout.ready / f"{SIMULATOR}.json")),
        )
        ready = await child.wait_ready(seconds_max=START_SECONDS_MAX)
        # Brought back, it must listen where the services expect it.
        child.arguments = [*child.arguments, "--port", str(ready["port"])]
        write_demo_connections(layout, vendor_url=str(ready["url"]))

    async def _give_past(self) -> None:
        """Begin the differ's ledger with a past, once: whoever starts again on the folder has a past of their own."""
        layout, database = self.layout, self.layout.database("differ")
        if not self._has_past or database.exists():
            return
        if not layout.past.exists():
            truth = json.loads((layout.district / "truth.json").read_bytes())
            contacts = json.loads((layout.district / "titanhst.json").read_bytes())["contacts"]
            write_private(layout.past, json.dumps(past_of(truth, contacts, now=self._clock.now()), indent=1) + "\n")
        # Made beside and then renamed: a start that is interrupted here leaves no ledger with half a past.
        begun = database.with_suffix(".begun")
        begun.unlink(missing_ok=True)
        environment = {"AETHER_DATABASE_URL": _sqlite_url(begun)}
        await self._run_once("services.differ.seeding", str(layout.past), environment=environment)
        begun.rename(database)
        self._notice(TOLD)

    async def _start_bus(self) -> None:
        await self._server.start_async()
        connection = await nats.connect(
            self._server.url,
            user=PROVISIONER,
            password=self._server.password_of(PROVISIONER),
            inbox_prefix=inbox_prefix(PROVISIONER),
            allow_reconnect=False,
        )
        try:
            await provision(connection.jetstream())
        finally:
            await connection.close()
        write_profiles(
            self.layout, self._people, nats_url=self._server.url, passwords=self._server.secrets_dir.resolve()
        )

    async def _start_services(self) -> None:
        for group in (
            [name for name, service in self._services.items() if service not in READERS],
            [name for name, service in self._services.items() if service in READERS],
        ):
            for name in group:
                service = self._services[name]
                program = self._programs.get(service, (f"services.{service}",))
                self._spawn(name, *program, environment=self._service_environment(name, service))
            for name in group:
                await self._children[name].wait_ready(seconds_max=START_SECONDS_MAX)

    def _service_environment(self, name: str, service: str) -> dict[str, str]:
        layout = self.layout
        environment = {
            "AETHER_ENVIRONMENT": self._environment,
            "AETHER_NATS_URL": self._server.url,
            "AETHER_NATS_PASSWORD": reference(self._server.secrets_dir / service),
            "AETHER_ADMIN_PORT": "0",
            "AETHER_READY_FILE": str(layout.ready / f"{name}.json"),
        }
        if service not in ("auditor", MONITOR):  # what was recorded is all they need
            environment |= {
                "AETHER_CONNECTORS": str(self._connectors),
                "AETHER_SYSTEMS": str(ROOT / "systems"),
                "AETHER_CONNECTIONS": str(layout.connections),
                "AETHER_IDENTITIES": str(layout.identities),
            }
            if service != CONSOLE:  # it shows what is masked already, and commits to nothing
                environment["AETHER_COMMITMENT_KEY"] = reference(layout.commitment_key)
            if (vendors := vendors_folder()) is not None:
                environment[VENDORS_VARIABLE] = str(vendors.resolve())
        if service == "extractor":
            environment["AETHER_CALENDAR"] = str(layout.calendar)
        if service == "extractor" and sum(one == service for one in self._services.values()) > 1:
            environment["AETHER_SIDES_AT_ONCE"] = "1"
        if service == CONSOLE:
            environment |= self._console_environment()
        if service == MONITOR:
            environment |= {
                "AETHER_AUDIT_DATABASE_URL": _sqlite_url(layout.database("auditor")),
                "AETHER_BUS_MONITORING_URLS": f"aether={self._server.monitoring_url}",
            }
        if service in ("differ", "auditor", CONSOLE):
            environment["AETHER_DATABASE_URL"] = _sqlite_url(layout.database(service))
        if service == "auditor":
            environment |= {"AETHER_SIGNING_KEY": reference(layout.signing_key), "AETHER_LOG_ORIGIN": LOG_ORIGIN}
        return environment | dict(self._settings.get(service, {}))

    def _console_environment(self) -> dict[str, str]:
        layout = self.layout
        return {
            "AETHER_AUDIT_DATABASE_URL": _sqlite_url(layout.database("auditor")),
            "AETHER_PROFILES": str(layout.data / "profiles"),
            "AETHER_CONSOLE_PORT": str(self._console_port),
            "AETHER_SESSION_KEY": reference(layout.session_key),
            "AETHER_FIRST_ACCOUNTS": str(layout.first_accounts),
            "AETHER_REQUIRE_SECOND_FACTOR": "false",
            "AETHER_CHANGE_FIRST_PASSWORDS": "false",
        }

    def _spawn(self, name: str, module: str, *arguments: str, environment: dict[str, str] | None = None) -> Child:
        child = Child(
            name=name,
            arguments=[sys.executable, "-m", module, *arguments],
            environment={**_clean_environment(), **(environment or {})},
            log=self.layout.logs / f"{name}.log",
            ready_file=self.layout.ready / f"{name}.json",
        )
        self._children[name] = child
        child.start()
        return child

    async def _run_once(self, module: str, *arguments: str, environment: dict[str, str] | None = None) -> None:
        log = self.layout.logs / f"{module}.log"
        command = [sys.executable, "-m", module, *arguments]
        with log.open("ab") as output:
            try:
                done = await asyncio.to_thread(
                    subprocess.run,
                    command,
                    env={**_clean_environment(), **(environment or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=ONCE_SECONDS_MAX,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ChildFailed(f"{module} took longer than {ONCE_SECONDS_MAX:g} s; see {log}") from None
        if done.returncode != 0:
            tail = log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]
            raise ChildFailed(f"{module} ended with {done.returncode}; its log ends: {tail}")

    async def _supervise(self) -> None:
        """Bring back what died, with growing pauses; each part waits for itself only."""
        given_up: set[str] = set()
        waiting: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        while True:  # until the stack stops
            await asyncio.sleep(SUPERVISE_SECONDS)
            if self._server.pid is None and not self._bus_stays_down:
                self._notice("the bus died; it is started again")
                try:
                    await self._server.start_async()
                except EmbeddedServerError as failed:
                    self._notice(str(failed))
            for name, child in self._children.items():
                if child.pid is not None or child.stays_down or name in given_up:
                    continue
                if name not in waiting:
                    pause = child.pause_before_restart()
                    if pause is None:
                        given_up.add(name)
                        self._notice(f"{name} died too often and stays down; its log: {child.log}")
                        continue
                    self._notice(f"{name} died; it is started again in {pause:g} s")
                    waiting[name] = loop.time() + pause
                if loop.time() >= waiting[name]:
                    del waiting[name]
                    child.start()


def _sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@contextmanager
def folder_held(data: Path) -> Iterator[None]:
    """Hold a data folder for this process; `CommandFailed` names who holds it already."""
    descriptor = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
            raise CommandFailed(
                f"the data folder {data} is held by process {holder}, another `aether up`",
                action="Use that one, stop it, or choose another folder with --data.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _clean_environment() -> dict[str, str]:
    """Our environment without settings meant for other programs of the house, and with the house on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
    path = kept.get("PYTHONPATH")
    return {**kept, "PYTHONPATH": str(ROOT) if not path else f"{ROOT}{os.pathsep}{path}", "PYTHONUNBUFFERED": "1"}
