"""What a fault is: what is broken, which alerts must come of it, and how it is mended.

Each is a context: broken on entering, mended on leaving. What takes long to show (a run that nobody decides upon, one
that does not get on) is left as it is while the others are tried.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import nats
from nats.js import JetStreamContext

from cli.problem import CommandFailed
from cli.stack import BUS
from shared.bus.topology import PROVISIONER, inbox_prefix
from tests.operating.fire.house import FAILING, SERVICES, House

Broken = Callable[[House], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break a house."""

    what: str
    alerts: tuple[str, ...]
    """What must fire: a name, and values of labels that must stand in it (`DiskLow critical spill`); of a name that is
    there in two severities, the severity is the first of them."""
    broken: Broken
    seconds_max: float = 90.0
    is_left: bool = False
    """Mended only after all others, because it takes long to show."""
    later: tuple[str, ...] = ()
    """What must fire of it too, and is looked for at the end: its windows are long."""


def is_killed(name: str) -> Broken:
    """A part is killed and stays away."""

    @asynccontextmanager
    async def broken(house: House) -> AsyncIterator[None]:
        house.road.stack.kill(name, stays_down=True)
        try:
            yield
        finally:
            await house.road.stack.restart(name)
            for service in SERVICES:  # what comes next is asked of them
                await house.road.until_ready(service)

    return broken


@asynccontextmanager
async def stuttering(pid: int, *, stopped_seconds: float, running_seconds: float) -> AsyncIterator[None]:
    """A program that gets the processor only now and then."""

    async def stutter() -> None:
        while True:  # until cancelled
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(stopped_seconds)
            os.kill(pid, signal.SIGCONT)
            await asyncio.sleep(running_seconds)

    task = asyncio.create_task(stutter())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        os.kill(pid, signal.SIGCONT)


def pid_of(house: House, name: str) -> int:
    """The process of a part; RuntimeError while it does not run."""
    pid = house.road.stack.pid(name)
    if pid is None:
        raise RuntimeError(f"{name} does not run")
    return pid


@asynccontextmanager
async def asking(house: House, *, people: int = 1, pause_seconds: float = 2.0) -> AsyncIterator[None]:
    """People who ask for runs again and again, whatever comes of it."""

    async def ask() -> None:
        while True:  # until cancelled
            with contextlib.suppress(CommandFailed, RuntimeError, TimeoutError):
                await house.request(FAILING, "dry-run")
            await asyncio.sleep(pause_seconds)

    tasks = [asyncio.create_task(ask()) for _ in range(people)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def as_provisioner(house: House) -> AsyncIterator[JetStreamContext]:
    """The bus with the rights of whoever makes its streams."""
    stack = house.road.stack
    password = (stack.layout.bus / "secrets" / PROVISIONER).read_text(encoding="utf-8")
    client = await nats.connect(
        stack.bus_url,
        user=PROVISIONER,
        password=password,
        inbox_prefix=inbox_prefix(PROVISIONER),
    )
    try:
        yield client.jetstream()
    finally:
        await client.close()


def reloaded(house: House) -> None:
    """Let the bus read its configuration anew."""
    os.kill(pid_of(house, BUS), signal.SIGHUP)
