"""`python -m tests.faults.doomed SERVICE --folder FOLDER`: a service of the house that dies where it is told to.

It is the service itself, with the crash points of `crash_points` around its functions. While `FOLDER/SERVICE.armed`
names a point, the program kills itself there with SIGKILL, once: the file is renamed to `SERVICE.fired` before, and a
file that names further points arms the next one. It may be told to stop instead (SIGSTOP), until somebody lets it go
on. Without the file it runs unharmed.

The process that was started only keeps: it imports what is slow to import, forks the service, and forks another as
soon as one was killed. So a crash costs a test the house's own waiting and not the loading of libraries. The waits that
a crash leads to are shorter than the house's (`hasten`); what happens in them is the same.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NoReturn

from shared.bus import topology
from shared.bus.topology import matches
from shared.children import die_with_parent
from tests.faults.crash_points import POINTS, CrashPoint

ACK_WAIT_SECONDS: Final = 1
"""The house waits eight seconds before it hands a message of a dead program to another."""
BUSY_SECONDS: Final = 0.3
LEASE_SECONDS: Final = 2
FORKS_MAX: Final = 1_000
LOADED_BEFORE: Final = (
    "aiosqlite",
    "cryptography.hazmat.primitives.asymmetric.ed25519",
    "faststream.nats.opentelemetry.provider",
    "faststream.nats.prometheus.provider",
    "faststream.opentelemetry.middleware",
    "faststream.prometheus.middleware",
    "httpx",
    "shared.bus.wiring",
    "shared.events.registry",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "sqlalchemy.ext.asyncio",
    "sqlmodel",
    "uvicorn",
)
"""Slow to import, and free of threads: what begins threads when it is imported does not survive a fork."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Keep a doomed service running until asked to end."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.doomed", description=__doc__)
    parser.add_argument("service", choices=topology.SERVICE_NAMES)
    parser.add_argument("--folder", type=Path, required=True, help="where SERVICE.armed is looked for")
    parser.add_argument("--sabotage", help="a defect of tests.faults.sabotage to build in")
    parser.add_argument("--plain", action="store_true", help="be the service, without a process that keeps it")
    options = parser.parse_args(arguments)

    def run() -> None:
        begin(options.service, options.folder, sabotage=options.sabotage)

    if options.plain:
        run()
    else:
        keep(run)


# --- keep -----------------------------------------------------------------------------------------------------------


def keep(run: Callable[[], None]) -> NoReturn:
    """Fork `run`, and again whenever it was killed; ends as it ends when it ended by itself."""
    hasten_bus()
    for module in LOADED_BEFORE:
        importlib.import_module(module)
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        raise RuntimeError(f"{threads} threads before the fork, allowed 1: something in LOADED_BEFORE begins threads")
    child = 0
    ending = False

    def hand_on(number: int, _: object) -> None:
        nonlocal ending
        ending = True
        if child:
            os.kill(child, number)

    signal.signal(signal.SIGTERM, hand_on)
    signal.signal(signal.SIGINT, hand_on)
    keeper = os.getpid()
    ready_file = Path(os.environ["AETHER_READY_FILE"])
    dying = die_with_parent(signal.SIGKILL)
    for _ in range(FORKS_MAX):
        if ending:
            break
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if dying is not None:
                dying()
            _say_ready_as(keeper)
            _leave_by(run)
        _, status = os.waitpid(child, 0)
        child = 0
        ready_file.unlink(missing_ok=True)
        if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
            sys.exit(os.waitstatus_to_exitcode(status) % 256)
    sys.exit(0 if ending else 1)


def _leave_by(run: Callable[[], None]) -> NoReturn:
    """Run in the forked process and end it without what the keeper wants done at its own end."""
    code = 1
    try:
        run()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:  # noqa: BLE001 - told below; the keeper must not go on as a copy of itself
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _say_ready_as(keeper: int) -> None:
    """The stack knows the keeper's process id, so the ready file must name it; the service's own stands beside it."""
    program = importlib.import_module("shared.bus.program")
    write = program._replace

    def named(path: Path, text: str) -> None:
        document = json.loads(text)
        write(path, json.dumps(document | {"pid": keeper, "service_pid": document["pid"]}))

    program._replace = named  # type: ignore[attr-defined]  # a module, and this is where it is looked up


# --- be the service -------------------------------------------------------------------------------------------------


def begin(service: str, folder: Path, *, sabotage: str | None = None) -> None:
    """Be the service, with the crash points of it built in."""
    hasten_bus()
    app = importlib.import_module(f"services.{service}.app")
    hasten(service)
    if sabotage is not None:
        importlib.import_module("tests.faults.sabotage").SABOTAGES[sabotage].build_in()
    doom([point for point in POINTS if point.service == service], Trap(folder, service))
    app.main()


def hasted_consumers() -> tuple[topology.ConsumerSpec, ...]:
    """The consumers of the table with a short wait, except the auditor's, which does not live by redelivery."""
    return tuple(
        row if row.service == "auditor" else replace(row, ack_wait_seconds=ACK_WAIT_SECONDS)
        for row in topology.CONSUMERS
    )


def hasten_bus() -> None:
    """Let the heartbeats follow the short waits; before anything imports the table."""
    if "shared.bus.broker" in sys.modules:
        return
    rows = hasted_consumers()
    topology.CONSUMERS = rows  # type: ignore[misc]  # final for the house; this is not the house
    topology._CONSUMERS_BY_NAME = {row.name: row for row in rows}  # type: ignore[misc]  # as above


def hasten(service: str) -> None:
    """Shorten the waits that no setting shortens."""
    if service == "applier":
        importlib.import_module("services.applier.handlers").BUSY_SECONDS = BUSY_SECONDS  # type: ignore[attr-defined]  # a module
    if service == "auditor":
        auditor = importlib.import_module("services.auditor.ingest").Auditor
        auditor.__init__.__kwdefaults__["lease_seconds"] = LEASE_SECONDS


# --- die ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A message that a call is about, as far as it shows."""

    subject: str
    kind: str | None = None
    body: bytes = b""

    def is_of(self, point: CrashPoint) -> bool:
        """Whether it is the message that the point waits for."""
        if point.subject is not None and not matches(point.subject, self.subject):
            return False
        if point.kind is not None and self.kind != point.kind:
            return False
        return point.status is None or self._status() == point.status

    def _status(self) -> str | None:
        try:
            document = json.loads(self.body)
        except ValueError:
            return None
        return document.get("status") if isinstance(document, dict) else None


class Trap:
    """What is armed for a service, read anew at every call: tests arm a program that has long been running."""

    def __init__(self, folder: Path, service: str) -> None:
        self._armed = folder / f"{service}.armed"
        self._fired = folder / f"{service}.fired"
        self._text = b""
        self._left = 0

    def come_by(self, point: CrashPoint, seen: Callable[[], Iterable[Seen]]) -> None:
        """Die when the point is the one that is armed, the call is about its message, and it is the one to count."""
        try:
            text = self._armed.read_bytes()
        except OSError:
            return
        first, *following = json.loads(text)
        if first["point"] != point.name:
            return
        if (point.subject or point.kind or point.status) and not any(one.is_of(point) for one in seen()):
            return
        if text != self._text:
            self._text, self._left = text, int(first["nth"])
        self._left -= 1
        if self._left > 0:
            return
        try:
            self._armed.rename(self._fired)
        except OSError:
            return  # another replica of the service was quicker and has died of it
        if following:
            arm(self._armed, following)
        os.kill(os.getpid(), signal.SIGSTOP if first.get("stops") else signal.SIGKILL)


def arm(path: Path, points: Sequence[Mapping[str, Any]]) -> None:
    """Write what is armed so that a reader sees all of it or nothing."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(points), encoding="utf-8")
    part.replace(path)


def doom(points: Sequence[CrashPoint], trap: Trap) -> None:
    """Put the points around the functions that they name."""
    places = dict.fromkeys(point.place for point in points)
    for place in places:
        holder, name = resolve(place)
        here = [point for point in points if point.place == place]
        setattr(holder, name, _with_points(getattr(holder, name), here, trap))


def resolve(place: str) -> tuple[Any, str]:
    """What holds the function of a place, and the function's name there; `AttributeError` when it is not there."""
    module, _, path = place.partition(":")
    holder: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        holder = getattr(holder, each)
    if not callable(getattr(holder, name)):
        raise AttributeError(f"{place} is no function")
    return holder, name


def _with_points(original: Callable[..., Any], points: Sequence[CrashPoint], trap: Trap) -> Callable[..., Any]:
    before = [point for point in points if point.when == "before"]
    after = [point for point in points if point.when == "after"]

    def come_by(those: Sequence[CrashPoint], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        for point in those:
            trap.come_by(point, lambda: seen_in(args, kwargs))

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def doomed_coroutine(*args: Any, **kwargs: Any) -> Any:
            come_by(before, args, kwargs)
            result = await original(*args, **kwargs)
            come_by(after, args, kwargs)
            return result

        return doomed_coroutine

    @functools.wraps(original)
    def doomed_function(*args: Any, **kwargs: Any) -> Any:
        come_by(before, args, kwargs)
        result = original(*args, **kwargs)
        come_by(after, args, kwargs)
        return result

    return doomed_function


def seen_in(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[Seen]:
    """The messages among the arguments of a call: messages to publish, delivered ones, or a subject with its rest."""
    for value in (*args, *kwargs.values()):
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(getattr(one, "subject", None), str) and hasattr(one, "headers"):
                body: bytes = getattr(one, "body", b"") or getattr(one, "data", b"")
                yield Seen(one.subject, (one.headers or {}).get("ce-type"), body)
    texts = [value for value in (kwargs.get("subject"), *args[:2]) if isinstance(value, str)]
    for subject in texts[:1]:
        headers = kwargs.get("headers") or {}
        bodies = [value for value in (kwargs.get("data"), *args[2:]) if isinstance(value, bytes)]
        yield Seen(subject, headers.get("ce-type"), bodies[0] if bodies else b"")


if __name__ == "__main__":
    main()
