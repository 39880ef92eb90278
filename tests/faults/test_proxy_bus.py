"""An applier whose connection to the bus is broken in every way while it works does each change once all the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.bus.connect import BusSettings
from shared.bus.embedded import EmbeddedServer
from shared.bus.publishing import PUBLISH_TIMEOUT_SECONDS, Outgoing, publish_one
from tests.faults.proxy import CALM, Ending, Fate, Proxy, Weather
from tests.faults.slow_house import Promises, slow_house
from tests.support.bus import PEOPLE, BusUnderTest

CHANGES = 50
AWAY_SECONDS = 3.0
"""Longer than the lease of the small house."""


class BusBehindProxy(BusUnderTest):
    """A bus that one service reaches through a proxy, and everybody else straight."""

    def __init__(self, server: EmbeddedServer, proxy: Proxy, service: str) -> None:
        super().__init__(server)
        self.proxy = proxy
        self.service = service

    def settings_for(self, user: str) -> BusSettings:
        """The proxy's address for that service."""
        straight = super().settings_for(user)
        if user != self.service:
            return straight
        return BusSettings(f"nats://127.0.0.1:{self.proxy.port}", straight.user, straight.password)


async def test_question_on_a_lost_connection_is_asked_again_at_once(own_bus: BusUnderTest) -> None:
    """The answer to the first cannot come any more, so nobody waits for it; and it was stored, so not a second time."""
    async with Proxy(_port_of(own_bus.server)) as proxy:
        bus = BusBehindProxy(own_bus.server, proxy, "applier")
        proxy.fate = Fate(ending="half_open", after_bytes=5_000)
        js, run = await bus.js_as("applier"), own_bus.unique("run")
        for number in range(1000):
            asking = asyncio.create_task(
                publish_one(js, Outgoing(f"led.{run}.{number}", b"x" * 100, f"{run}-{number}"))
            )
            done, _ = await asyncio.wait([asking], timeout=0.5)
            if not done:
                break
        assert proxy.counters["half_open"] == 1
        proxy.fate = CALM
        began = asyncio.get_running_loop().time()
        proxy.cut()
        stored = await asking
        assert asyncio.get_running_loop().time() - began < PUBLISH_TIMEOUT_SECONDS / 2
        assert stored.is_duplicate, "it was stored by the first question, whose answer was lost"
        await bus.leave()


@pytest.mark.parametrize(
    ("ending", "seed"),
    [
        ("reset", 1),
        ("half_open", 2),
        pytest.param("drop", 3, marks=pytest.mark.whole),
        pytest.param("refuse", 4, marks=pytest.mark.whole),
    ],
    ids=lambda value: str(value),
)
async def test_applier_in_bad_weather_does_each_change_once(tmp_path: Path, ending: Ending, seed: int) -> None:
    """Every connection of the applier ends so, until four have."""
    async with EmbeddedServer(tmp_path / "bus", PEOPLE) as server, Proxy(_port_of(server), seed=seed) as proxy:
        bus = BusBehindProxy(server, proxy, "applier")
        await bus.provision()
        house = await slow_house(bus, tmp_path / "house")
        await house.approved(CHANGES)
        promises = Promises()
        async with house.applying(promises, after_writes=5) as applying:
            proxy.weather = Weather(
                {ending: 1.0}, slow_share=0.3, after_bytes_max=20_000, lasts_seconds=0.5, faults_max=4
            )
            proxy.cut()
            await applying
        assert proxy.counters[ending] > 0, proxy.counters
        await house.assert_each_once(promises, CHANGES)
        await house.close()
        await bus.leave()


@pytest.mark.parametrize("way", ["stalled", "refused"])
async def test_applier_cut_off_for_longer_than_its_lease_writes_nothing_meanwhile_and_goes_on(
    tmp_path: Path, way: str
) -> None:
    async with EmbeddedServer(tmp_path / "bus", PEOPLE) as server, Proxy(_port_of(server)) as proxy:
        bus = BusBehindProxy(server, proxy, "applier")
        await bus.provision()
        house = await slow_house(bus, tmp_path / "house")
        await house.approved(CHANGES)
        promises = Promises()
        async with house.applying(promises, after_writes=5) as applying:
            if way == "stalled":
                proxy.stall()
            else:
                await proxy.refuse()
                proxy.cut()
            await asyncio.sleep(house.lease_seconds)
            sent = len(house.target.sent)
            await asyncio.sleep(AWAY_SECONDS - house.lease_seconds)
            assert len(house.target.sent) == sent, "it wrote when its lease had run out"
            proxy.flow()
            await proxy.accept()
            await applying
        await house.assert_each_once(promises, CHANGES)
        await house.close()
        await bus.leave()


def _port_of(server: EmbeddedServer) -> int:
    return int(server.url.rsplit(":", 1)[1])
