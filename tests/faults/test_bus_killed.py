"""The only server of the bus killed in the middle of an apply and started again: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.faults.slow_house import CHANGES, Promises, slow_house
from tests.support.bus import BusUnderTest

DOWN_SECONDS_MAX = 1.5


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.whole) for seed in (2, 3, 4))])
async def test_bus_killed_and_restarted_while_applying(own_bus: BusUnderTest, tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    house = await slow_house(own_bus, tmp_path / "house")
    await house.approved()
    promises = Promises()
    async with house.applying(promises, after_writes=rng.randint(1, CHANGES * 3 // 4)) as applying:
        own_bus.server.kill()
        await asyncio.sleep(rng.uniform(0, DOWN_SECONDS_MAX))
        await own_bus.server.restart_async()
        await applying
    await house.assert_each_once(promises)
    await house.close()
