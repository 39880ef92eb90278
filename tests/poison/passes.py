"""One pass over each class of poisoned input, with what it needs around it: folder, bus, server, services."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from random import Random
from typing import Final

import structlog

from shared.bus.embedded import EmbeddedServer
from tests.integration.handlers.small_house import SmallHouse
from tests.poison.definitions import Definitions
from tests.poison.events import Events
from tests.poison.tally import Tally
from tests.poison.vendor import OneAnswer, Vendor
from tests.support.bus import PEOPLE, BusUnderTest

COMMANDS_SHARE: Final = 0.2
"""Of the poisoned messages, those that are commands of people."""


def silence() -> None:
    """Leave out what services log about each refusal; ten thousand of them tell nobody anything."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


async def poison_definitions(count: int, seed: int, folder: Path) -> Tally:
    """That many poisoned definitions, in files of that folder."""
    tally = Tally(seed)
    definitions = Definitions(folder, tally, Random(seed))
    for _ in range(count):
        definitions.one()
    return tally


async def poison_vendor(count: int, seed: int, folder: Path) -> Tally:
    """That many poisoned answers of a vendor."""
    tally = Tally(seed)
    async with OneAnswer() as server:
        vendor = Vendor(server, tally, Random(seed))
        for _ in range(count):
            await vendor.one()
        await vendor.close()
    return tally


async def poison_events(count: int, seed: int, folder: Path) -> Tally:
    """That many poisoned events and commands, on a bus whose store is in that folder."""
    tally = Tally(seed)
    (folder / "connectors").mkdir()
    async with EmbeddedServer(folder / "bus", PEOPLE) as server:
        bus = BusUnderTest(server)
        await bus.provision()
        house = await SmallHouse.made(bus, folder / "connectors")
        rng = Random(seed)
        events = await Events.made(house, tally, rng)
        for _ in range(count):
            await (events.one_command() if rng.random() < COMMANDS_SHARE else events.one_event())
        await house.close()
        await bus.leave()
    return tally


PASSES: Final[Mapping[str, Callable[[int, int, Path], Coroutine[None, None, Tally]]]] = {
    "events": poison_events,
    "definitions": poison_definitions,
    "vendor": poison_vendor,
}
"""By the class of input."""
SHARES: Final[Mapping[str, float]] = {"events": 0.4, "definitions": 0.3, "vendor": 0.3}
"""Which part of a number of inputs each class has."""
