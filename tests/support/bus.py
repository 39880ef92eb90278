"""A real bus for tests: the embedded server, provisioned, and connections as any of its users.

Import the fixtures in a conftest and name them in its `__all__`: `from tests.support.bus import bus, bus_server`.
One server serves a whole session: tests keep apart by unique run ids (`bus.unique("run")`) or take `own_bus`, a
server of their own, when they kill it, purge it or look at whole streams.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.bus.connect import BusSettings, connect, leave
from shared.bus.embedded import EmbeddedPerson, EmbeddedServer
from shared.bus.provision import provision
from shared.bus.topology import CONSUMERS, PROVISIONER, ConsumerSpec

CONNECT_SECONDS_MAX: Final = 10.0
WAIT_SECONDS_MAX: Final = 20.0

PEOPLE: Final[tuple[EmbeddedPerson, ...]] = (
    EmbeddedPerson("vera", frozenset({"viewer"})),
    EmbeddedPerson("otto", frozenset({"operator"})),
    EmbeddedPerson("anna", frozenset({"approver"})),
    EmbeddedPerson("abel", frozenset({"approver"})),
    EmbeddedPerson("stella", frozenset({"steward"})),
    EmbeddedPerson("udo", frozenset({"auditor"})),
    EmbeddedPerson("adam", frozenset({"admin"})),
    EmbeddedPerson("nobody", frozenset()),
)

_NUMBERS = count(1)


class BusUnderTest:
    """A running, provisioned bus and the connections a test made to it."""

    def __init__(self, server: EmbeddedServer) -> None:
        self.server = server
        self._clients: list[Client] = []

    def settings_for(self, user: str) -> BusSettings:
        """How a program would be told to connect as this user."""
        return BusSettings(self.server.url, user, self.server.password_of(user))

    async def connect_as(self, user: str) -> Client:
        """A connection as this user, closed when the test ends."""
        client = await connect(self.settings_for(user), wait_seconds=CONNECT_SECONDS_MAX)
        self._clients.append(client)
        return client

    async def js_as(self, user: str) -> JetStreamContext:
        """A JetStream context as this user."""
        return (await self.connect_as(user)).jetstream()

    async def provision(self, consumers: Sequence[ConsumerSpec] = CONSUMERS) -> None:
        """Bring streams and consumers to the table, or to a table with other consumers."""
        await provision(await self.js_as(PROVISIONER), consumers=consumers)

    @staticmethod
    def unique(kind: str) -> str:
        """A name no other test of this session uses."""
        return f"{kind}-{next(_NUMBERS)}"

    async def leave(self) -> None:
        """Close every connection made."""
        for client in self._clients:
            await leave(client)
        self._clients.clear()


async def until(condition: object, seconds: float = WAIT_SECONDS_MAX) -> None:
    """Wait until a callable (plain or asynchronous) returns something true; AssertionError after `seconds`."""
    assert callable(condition)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.01)
    raise AssertionError(f"{condition!r} did not come true in {seconds} s")


def _provisioned(server: EmbeddedServer) -> BusUnderTest:
    async def prepare() -> BusUnderTest:
        under_test = BusUnderTest(server)
        await under_test.provision()
        await under_test.leave()
        return under_test

    return asyncio.run(prepare())


@pytest.fixture(scope="session")
def bus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """One provisioned server for the whole session."""
    with EmbeddedServer(tmp_path_factory.mktemp("bus"), PEOPLE) as server:
        _provisioned(server)
        yield server


@pytest_asyncio.fixture
async def bus(bus_server: EmbeddedServer) -> AsyncIterator[BusUnderTest]:
    """The session's server with connections of this test's own."""
    under_test = BusUnderTest(bus_server)
    yield under_test
    await under_test.leave()


@pytest_asyncio.fixture
async def own_bus(tmp_path: Path) -> AsyncIterator[BusUnderTest]:
    """A provisioned server of this test's own."""
    async with EmbeddedServer(tmp_path / "bus", PEOPLE) as server:
        under_test = BusUnderTest(server)
        await under_test.provision()
        yield under_test
        await under_test.leave()
