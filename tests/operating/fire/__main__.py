"""`python -m tests.operating.fire [WORD ...]`: breaks a real house once for each alert, and looks whether it fires.

House, bus and Prometheus are real and the rules are those of deploy/prometheus, with every time divided by one number
(`rules.FACTOR`, rules over days by one of their own). Printed is for each fault which alerts had to come, after how
many seconds they fired, what else fired, and for how long. Words choose faults by their text. It takes half an hour
and belongs to no suite; the exit code is 1 when an alert did not come.

An alert that is there in two severities must come in both. Of the burn rates, which each have four windows, one of
each severity is enough.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import nats.errors
import pytest
import structlog

from cli.problem import CommandFailed
from cli.processes import ChildFailed
from deploy.prometheus.alerting import GROUPS
from shared.bus.embedded import EmbeddedServerError
from shared.bus.publishing import PublishFailed, PublishRefused
from shared.bus.reading import StreamUnavailable
from tests.operating.fire.fault import Fault
from tests.operating.fire.faults import FAULTS
from tests.operating.fire.house import House, troubled_house
from tests.operating.fire.rules import FACTOR, OWN_FACTORS
from tests.operating.prometheus import Prometheus, why_not

NOT_FIRED: Final[dict[str, str]] = {}
"""Alerts that no fault here fires, and why."""
LATER_SECONDS_MAX: Final = 420.0
ENDS_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 1.0
GAP_SECONDS: Final = 8.0
"""An alert that was not seen firing for so long has ended."""
CANNOT_BE_TRIED: Final = (
    CommandFailed,
    ChildFailed,
    EmbeddedServerError,
    PublishFailed,
    PublishRefused,
    StreamUnavailable,
    nats.errors.Error,
    httpx.HTTPError,
    sqlite3.Error,
    AssertionError,
    RuntimeError,
    OSError,  # TimeoutError too
    pytest.fail.Exception,  # what waits in tests/support/road.py ends with it
)
"""After which the other faults are tried all the same."""


@dataclass(slots=True)
class Seen:
    """When one alert fired."""

    first: float
    latest: float


class Watch:
    """Every alert that fired since the beginning, by its name and labels."""

    def __init__(self, watched: list[Prometheus]) -> None:
        self._watched = watched
        self.seen: dict[tuple[str, ...], list[Seen]] = {}

    async def run(self) -> None:
        """Look each second, until cancelled."""
        while True:
            for asked in list(self._watched):
                try:
                    self._note(await asked.alerts())
                except (httpx.HTTPError, ValueError):
                    continue  # it is asked again in a second
            await asyncio.sleep(POLL_SECONDS)

    def _note(self, alerts: Sequence[dict[str, object]]) -> None:
        now = time.monotonic()
        for alert in alerts:
            labels = alert["labels"]
            if alert["state"] != "firing" or not isinstance(labels, dict):
                continue
            key = (
                str(labels["alertname"]),
                *sorted(str(value) for value in labels.values()),
            )
            times = self.seen.setdefault(key, [])
            if times and now - times[-1].latest < GAP_SECONDS:
                times[-1].latest = now
            else:
                times.append(Seen(now, now))

    def of(self, wanted: str, *, since: float) -> Seen | None:
        """The first firing that began after a moment and fits `NAME [value of a label ...]`."""
        return min((one for one in self._all(wanted) if one.first >= since), key=lambda one: one.first, default=None)

    def is_firing(self, wanted: str) -> bool:
        """Whether something that fits fires now, whatever it comes of."""
        return any(time.monotonic() - one.latest < GAP_SECONDS for one in self._all(wanted))

    def _all(self, wanted: str) -> Iterator[Seen]:
        name, *values = wanted.split()
        for key, times in self.seen.items():
            if key[0] == name and all(value in key[1:] for value in values):
                yield from times

    def begun(self, *, since: float, without: Iterable[str]) -> list[str]:
        """The names of all others that began to fire since."""
        own = {wanted.partition(" ")[0] for wanted in without}
        return sorted(
            {key[0] for key, times in self.seen.items() if key[0] not in own and any(t.first >= since for t in times)}
        )


@dataclass(slots=True)
class Tried:
    """One fault that was tried."""

    fault: Fault
    began: float


async def waited(wanted: Iterable[str], watch: Watch, *, since: float, seconds_max: float) -> list[str]:
    """Wait until these alerts fired; those that did not in time."""
    deadline = time.monotonic() + seconds_max
    missing = list(wanted)
    while True:
        for one in list(missing):
            if (seen := watch.of(one, since=since)) is not None:
                missing.remove(one)
                say(f"  {one} fires after {max(seen.first - since, 0):.0f} s")
        if not missing or time.monotonic() > deadline:
            break
        await asyncio.sleep(POLL_SECONDS)
    for one in missing:
        say(f"  {one} DID NOT FIRE within {time.monotonic() - since:.0f} s")
    return missing


class Trial:
    """All faults, one after the other."""

    def __init__(self, house: House, watch: Watch) -> None:
        self._house = house
        self._watch = watch
        self._tried: list[Tried] = []
        self.missing: list[str] = []

    async def run(self, faults: Sequence[Fault]) -> None:
        """Try them, wait for what was left, mend it, and see what ends."""
        async with AsyncExitStack() as left:
            for fault in faults:
                await self._try(fault, left)
            for one in self._tried:
                if one.fault.is_left:
                    say(f"\nmeanwhile: {one.fault.what}")
                    await self._wait(one, one.fault.alerts, seconds_max=one.fault.seconds_max)
            for one in self._tried:
                if one.fault.later:
                    say(f"\nlater: {one.fault.what}")
                    await self._wait(one, one.fault.later, seconds_max=LATER_SECONDS_MAX)
        await self._see_ends()

    async def _try(self, fault: Fault, left: AsyncExitStack) -> None:
        """Wait until nothing wanted fires of something else; break, wait until everything fired, mend."""
        deadline = time.monotonic() + ENDS_SECONDS_MAX
        while time.monotonic() < deadline and any(self._watch.is_firing(alert) for alert in fault.alerts):
            await asyncio.sleep(POLL_SECONDS)
        one = Tried(fault, time.monotonic())
        say(f"\n{fault.what}")
        try:
            if fault.is_left:
                await left.enter_async_context(fault.broken(self._house))
                self._tried.append(one)
                return
            async with fault.broken(self._house):
                self._tried.append(one)
                await self._wait(one, fault.alerts, seconds_max=fault.seconds_max)
                others = self._watch.begun(since=one.began, without=fault.alerts)
        except CANNOT_BE_TRIED as error:
            say(f"  COULD NOT BE TRIED, OR NOT BE MENDED: {type(error).__name__}: {error}")
            if one not in self._tried:
                self.missing += [*fault.alerts, *fault.later]
            return
        if others:
            say(f"  meanwhile began: {', '.join(others)}")
        say(f"  ({time.monotonic() - one.began:.0f} s)")

    async def _wait(self, one: Tried, wanted: Sequence[str], *, seconds_max: float) -> None:
        self.missing += await waited(wanted, self._watch, since=one.began, seconds_max=seconds_max)

    async def _see_ends(self) -> None:
        """Wait for the ends, and tell how long each fired."""
        wanted = [
            (alert, one.began)
            for one in self._tried
            for alert in (*one.fault.alerts, *one.fault.later)
            if alert != "Heartbeat"
        ]
        deadline = time.monotonic() + ENDS_SECONDS_MAX
        while time.monotonic() < deadline and any(self._fires(one, since) for one, since in wanted):
            await asyncio.sleep(POLL_SECONDS)
        say("\nhow long each fired (windows that look back, and what is not mended, end later):")
        for alert, since in wanted:
            seen = self._watch.of(alert, since=since)
            if seen is not None:
                end = "fires still" if self._fires(alert, since) else f"over after {seen.latest - seen.first:.0f} s"
                say(f"  {alert}: {end}")

    def _fires(self, alert: str, since: float) -> bool:
        seen = self._watch.of(alert, since=since)
        return seen is not None and time.monotonic() - seen.latest < GAP_SECONDS


async def fire(folder: Path, faults: Sequence[Fault]) -> list[str]:
    """Try them all; the alerts that did not come."""
    async with troubled_house(folder) as house:
        watch = Watch(house.watched)
        watching = asyncio.create_task(watch.run())
        trial = Trial(house, watch)
        try:
            await trial.run(faults)
        finally:
            watching.cancel()
    return trial.missing


def unfired() -> set[str]:
    """Alerts, with their severity, that neither a fault nor a reason names."""
    wanted = {" ".join(one.split()[:2]) for fault in FAULTS for one in (*fault.alerts, *fault.later)}
    severities: dict[str, set[str]] = {}
    for group in GROUPS:
        for alert in group.alerts:
            severities.setdefault(alert.name, set()).add(alert.severity)
    found: set[str] = set()
    for name, each in severities.items():
        if len(each) > 1:
            found |= {f"{name} {severity}" for severity in each} - wanted
        elif name not in {one.partition(" ")[0] for one in wanted}:
            found.add(name)
    return found - set(NOT_FIRED)


def say(line: str) -> None:
    """Tell how it goes on."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(words: Sequence[str]) -> int:
    """Fire them; 1 when one did not come, 2 when nothing could be tried."""
    if (reason := why_not("prometheus")) is not None:
        say(reason)
        return 2
    if gone := unfired():
        say(f"neither a fault nor a reason names: {', '.join(sorted(gone))}")
        return 2
    chosen = [fault for fault in FAULTS if not words or any(word in fault.what for word in words)]
    if not chosen:
        say(f"no fault has any of {', '.join(words)} in its text; there are:")
        say("\n".join(f"  {fault.what}" for fault in FAULTS))
        return 2
    own = ", ".join(f"of {name} by {factor}" for name, factor in OWN_FACTORS.items())
    say(f"{len(chosen)} faults; every time of the rules is divided by {FACTOR}, {own}")
    # What is said here is for people; the programs' own logs lie with the house.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="aether-fire-") as folder:
        missing = asyncio.run(fire(Path(folder), chosen))
    for name, reason in NOT_FIRED.items():
        say(f"not tried: {name}: {reason}")
    came = {one for fault in chosen for one in (*fault.alerts, *fault.later)} - set(missing)
    say(f"\n{len(came)} alerts came in {(time.monotonic() - began) / 60:.0f} minutes")
    say(f"{len(missing)} did not: {', '.join(missing)}" if missing else "every one that was wanted")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
