"""A password of the bus that is changed on both sides costs a reconnection and no restart."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from shared.bus.connect import BusSettings, connect, leave
from shared.errors import NeedsPerson
from shared.secrets import resolve
from tests.support.bus import BusUnderTest, until

NEW = "a-changed-password-of-the-differ"


@pytest.fixture
async def entered(own_bus: BusUnderTest, tmp_path: Path) -> AsyncIterator[tuple[Client, Path]]:
    """A connection as a program has it, and the file of its password."""
    secret = tmp_path / "password"
    secret.write_text(own_bus.server.password_of("differ"))
    settings = BusSettings(own_bus.server.url, "differ", lambda: resolve(f"file:{secret}"))
    client = await connect(settings, wait_seconds=10)
    yield client, secret
    await leave(client)


def change_on_the_server(bus: BusUnderTest) -> None:
    """What an operator does: another password in the configuration, and the server told to read it."""
    config = Path(bus.server.secrets_dir).parent / "nats-server.conf"
    text = config.read_text()
    old = bus.server.password_of("differ")
    assert text.count(old) == 1
    config.write_text(text.replace(old, NEW))
    assert bus.server.pid is not None
    os.kill(bus.server.pid, signal.SIGHUP)


async def test_a_changed_password_is_used_at_the_next_reconnection(
    own_bus: BusUnderTest, entered: tuple[Client, Path]
) -> None:
    client, secret = entered
    secret.write_text(NEW)
    change_on_the_server(own_bus)
    await until(lambda: client.stats["reconnects"] == 1 and client.is_connected)
    await client.flush()


async def test_a_server_that_is_changed_first_is_tried_until_the_secret_is_there_too(
    own_bus: BusUnderTest, entered: tuple[Client, Path]
) -> None:
    client, secret = entered
    change_on_the_server(own_bus)
    await until(lambda: not client.is_connected)
    await until(lambda: "Violation" in str(client.last_error) or "violation" in str(client.last_error))
    assert not client.is_closed
    secret.unlink()  # for a moment there is none: the last one is tried
    secret.write_text(NEW)
    await until(lambda: client.is_connected)
    await client.flush()


async def test_a_secret_that_cannot_be_read_stops_the_start(own_bus: BusUnderTest, tmp_path: Path) -> None:
    settings = BusSettings(own_bus.server.url, "differ", lambda: resolve(f"file:{tmp_path}/none"))
    with pytest.raises(NeedsPerson):
        await connect(settings, wait_seconds=5)
