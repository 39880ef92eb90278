"""Asked to end, every service ends by itself in its time, without a traceback: also when the bus is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import pytest

from tests.support.road import Road

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("extractor", "differ", "applier", "auditor")
END_SECONDS_MAX = 20.0
"""After this long the stack kills a service."""


async def ended(road: Road, name: str) -> int | None:
    """Ask a service to end as an operating system does; its exit code, or None when it does not end in time."""
    child = road.stack._child(name)
    process = child._process
    assert process is not None
    child.stays_down = True
    started = time.monotonic()
    os.kill(process.pid, signal.SIGTERM)
    while process.poll() is None and time.monotonic() < started + END_SECONDS_MAX:
        await asyncio.sleep(0.02)
    return process.poll()


async def restart(road: Road) -> None:
    if road.stack.pid("bus") is None:
        await road.stack.restart("bus")
    await asyncio.gather(*(road.stack.restart(name) for name in SERVICES))


async def assert_all_end(road: Road) -> None:
    logs = {name: road.stack.layout.logs / f"{name}.log" for name in SERVICES}
    sizes = {name: log.stat().st_size for name, log in logs.items()}
    codes = dict(zip(SERVICES, await asyncio.gather(*(ended(road, name) for name in SERVICES)), strict=True))
    said = {name: log.read_bytes()[sizes[name] :].decode() for name, log in logs.items()}
    assert codes == dict.fromkeys(SERVICES, 0), said
    assert {name: text for name, text in said.items() if "Traceback" in text or "never retrieved" in text} == {}


async def test_services_end_while_the_bus_is_down(road: Road) -> None:
    road.stack.kill("bus", stays_down=True)
    await asyncio.sleep(1.5)  # the clients notice and begin to reconnect
    await assert_all_end(road)
    await restart(road)


async def slow_apply(road: Road) -> str:
    """A run in the midst of its apply, with some of its changes made."""
    run, waiting = await road.planned()
    await road.vendor("POST", "faults", {"kind": "slow", "method": "PATCH", "times": 20, "seconds": 0.5})
    await road.approve(waiting)
    await road.until_effects(6)
    return run


async def assert_finished_once(road: Road, run: str) -> None:
    await road.until_status(run, "succeeded")
    await road.assert_everything_once()
    await road.until_sealed(run)


async def test_services_end_when_the_bus_dies_amid_a_run_which_goes_on_after_their_return(road: Road) -> None:
    run = await slow_apply(road)
    road.stack.kill("bus", stays_down=True)
    await assert_all_end(road)
    await restart(road)
    await assert_finished_once(road, run)


async def test_services_end_amid_a_run_which_goes_on_after_their_return(road: Road) -> None:
    run = await slow_apply(road)
    await assert_all_end(road)
    await restart(road)
    await assert_finished_once(road, run)
