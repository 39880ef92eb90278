"""A real bus for the session, and a small house on it for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.integration.handlers.small_house import SmallHouse
from tests.support.bus import BusUnderTest, bus, bus_server

__all__ = ["bus", "bus_server"]


@pytest_asyncio.fixture
async def house(bus: BusUnderTest, tmp_path: Path) -> AsyncIterator[SmallHouse]:
    """A connector, a source and a target of this test's own."""
    made = await SmallHouse.made(bus, tmp_path)
    yield made
    await made.close()
