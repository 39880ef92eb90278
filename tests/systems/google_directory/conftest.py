"""A simulated Google account whose clock stands still unless somebody waits, and our system connected to it.

After each test nothing that the vendor's documents forbid may have been asked: by the simulator's own rules, and by the
discovery document, against which every request is held.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import pytest

from shared.ports.pacing import Allowance, Use
from shared.ports.surroundings import Surroundings
from shared.ports.system import Receipt
from shared.ports.wire import ChangeVerb, Record, Value
from shared.secrets import Secret
from systems.google_directory.config import GoogleDirectoryConfig
from systems.google_directory.source import GoogleDirectorySource, build_source
from systems.google_directory.target import GoogleDirectoryTarget, build_target
from systems.google_directory.wire import build_wire
from tests.simulators.google_discovery import check_request
from tests.simulators.running_google_directory import ADMIN, Google, ManualClock, running_google, service_key


@dataclass
class FixedClock:
    """The simulator's clock as ours."""

    clock: ManualClock

    def now(self) -> datetime:
        return self.clock.now

    def monotonic_seconds(self) -> float:
        return self.clock.monotonic_seconds


@dataclass
class Slowed:
    """A pacer that lets everybody go and notes who was told to slow down."""

    asked: list[float | None] = field(default_factory=list)

    async def turn(self, use: Use) -> None:
        """Go."""

    async def slow_down(self, seconds: float | None) -> None:
        self.asked.append(seconds)

    async def heard(self, allowance: Allowance) -> None:
        """Nothing to keep."""


class House:
    """Our side of one account."""

    def __init__(self, google: Google) -> None:
        self.google = google
        self.slept: list[float] = []
        self.pacer = Slowed()
        self.wire = build_wire()
        self._opened: list[GoogleDirectorySource | GoogleDirectoryTarget] = []

    def surroundings(self, key: dict[str, str] | None = None) -> Surroundings:
        """Whose waits pass on the simulator's clock, and whose secret is this key file."""

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.google.clock.pass_seconds(seconds)
            await asyncio.sleep(0)

        text = json.dumps(service_key()[0] if key is None else key)
        return Surroundings(
            clock=FixedClock(self.google.clock),
            rng=Random(7),
            sleep=sleep,
            resolve=lambda reference: Secret(text),
            pacer=self.pacer,
        )

    def config(self, **settings: Any) -> GoogleDirectoryConfig:
        plain = {
            "base_url": self.google.url,
            "token_uri": f"{self.google.url}/token",
            "service_account": "env:KEY",
            "subject": ADMIN,
            "timeout_seconds": 5,
        }
        return GoogleDirectoryConfig.model_validate({**plain, **settings})

    def source(self, key: dict[str, str] | None = None, **settings: Any) -> GoogleDirectorySource:
        source = build_source(self.config(**settings), self.surroundings(key))
        self._opened.append(source)
        return source

    def target(self, **settings: Any) -> GoogleDirectoryTarget:
        target = build_target(self.config(**settings), self.surroundings())
        self._opened.append(target)
        return target

    async def send(
        self, target: GoogleDirectoryTarget, entity: str, verb: ChangeVerb, target_id: str | None, values: Record
    ) -> Receipt:
        write = self.wire.write_for(entity, verb=verb, target_id=target_id, values=values)
        return await target.write(write, idempotency_key="k")

    async def close(self) -> None:
        for each in self._opened:
            await each.close()


def rows_of(pages: list[Any]) -> list[dict[str, Value]]:
    return [row for page in pages for row in page.rows.iter_rows(named=True)]


async def read(source: GoogleDirectorySource, entity: str) -> list[dict[str, Value]]:
    return rows_of([page async for page in source.read(entity)])


@pytest.fixture(scope="session")
def served() -> Iterator[Google]:
    with running_google() as google:
        yield google


@pytest.fixture
def google(served: Google) -> Iterator[Google]:
    """As seeded; afterwards every request must have been one that the documents allow."""
    google = served.begin()
    google.switch(keep_requests=True)
    yield google
    state = google.state()
    assert state["violations"] == []
    for request in state["requests"]:
        assert check_request(request["method"], request["path"], request["query"], request["body"]) == []
    google.check()


@pytest.fixture
def house(google: Google) -> House:
    """Our side; whoever opens something with it closes it at the end of the test."""
    return House(google)
