"""What goes wrong in a seed, and when: how rough it is, and the blows that fall on the house's processes.

Each seed draws some kinds of misfortune and how often they come, so that some seeds are calm but for one thing and
others are rough all over. At the end everything is mended, or nothing could ever come to rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

from tests.simulation.bus import Bus, BusChances
from tests.simulation.house import House
from tests.simulation.loop import Process
from tests.simulation.people import Habits
from tests.simulation.vendor import Vendor, VendorChances

BLOWS: Final = ("kill", "kill at a step", "freeze", "cut", "restart of the bus", "clock", "credential refused")
FROZEN_SECONDS_MAX: Final = 20.0
TAKEN_OVER_SECONDS: Final = 9.0
"""After so long its lease has run out, its message was delivered to another, and that one is at work."""
STEPS_TO_DEATH_MAX: Final = 400


@dataclass(frozen=True)
class Weather:
    """What a seed has in store."""

    bus: BusChances
    vendor: VendorChances
    habits: Habits
    refuses_duplicates: bool
    blows: tuple[str, ...]
    pause_seconds: float
    """Mean time between two blows."""
    worst_moment: float
    """How likely an applier is hit just when an intent or outcome of it is stored, or a write of it is under way."""
    runs: int
    has_auditor: bool


def weather(rng: Random) -> Weather:
    """Draw what a seed has in store."""

    def some(likely: float, most: float) -> float:
        return rng.uniform(0, most) if rng.random() < likely else 0.0

    refuses = rng.random() < 0.7
    vendor = VendorChances(
        not_sent=some(0.3, 0.2),
        lost_before=some(0.4, 0.2),
        lost_after=some(0.4, 0.2),
        late=some(0.2, 0.1) if refuses else 0.0,
        error_before=some(0.3, 0.2),
        error_after=some(0.3, 0.2),
        rate_limited=some(0.3, 0.15),
        refused=some(0.2, 0.2),
        no_room=some(0.1, 0.3),
        lies=some(0.1, 0.1),
        fetch_fails=some(0.3, 0.1),
        stale_seconds=rng.choice((0.2, 0.6)) if refuses and rng.random() < 0.15 else 0.0,
        token_expires=some(0.1, 0.05),
        moved=some(0.15, 0.1),
    )
    bus = BusChances(
        request_lost=some(0.3, 0.02), answer_lost=some(0.4, 0.03), ack_lost=some(0.4, 0.1), slow=some(0.2, 0.004)
    )
    habits = Habits(forges=some(0.3, 0.8), pauses=some(0.4, 0.6), cancels=some(0.25, 0.4), rejects=some(0.1, 0.3))
    blows = tuple(sorted(rng.sample(BLOWS, rng.randint(0, 4))))
    return Weather(
        bus=bus,
        vendor=vendor,
        habits=habits,
        refuses_duplicates=refuses,
        blows=blows,
        pause_seconds=rng.choice((0.5, 1.5, 5.0)),
        worst_moment=some(0.4, 0.08),
        runs=rng.choice((1, 1, 2, 2, 3)),
        has_auditor=rng.random() < 0.5,
    )


@dataclass
class Nemesis:
    """Lets the blows fall."""

    house: House
    bus: Bus
    vendor: Vendor
    weather: Weather
    rng: Random
    on_fault: Callable[[str], None]
    _task: asyncio.Task[None] | None = field(default=None)
    _worst_moment: float = 0.0

    def begin(self) -> None:
        """From now on."""
        self._worst_moment = self.weather.worst_moment
        self.bus.chances, self.vendor.chances = self.weather.bus, self.weather.vendor
        if self.weather.blows:
            self._task = self.house.loop.create_task(self._strike(), context=self.house.loop.world)

    def end(self) -> None:
        """No more misfortune; what is broken is mended."""
        self._worst_moment = 0.0
        if self._task is not None:
            self._task.cancel()
        self.bus.chances, self.vendor.chances = BusChances(), VendorChances()
        self.vendor.credential_is_refused = False
        for replica in self.house.replicas.values():
            replica.process.dies_at_step = None
            replica.clock.wrong_by_seconds = 0.0
            if replica.process.is_frozen:
                self.house.loop.thaw(replica.process)

    def stored(self, stream: str, process: Process | None) -> None:
        """Something was stored: the worst moment for the process that wrote it, if that is an applier at work."""
        if stream == "LEDGER" and process is not None:
            self._hit(process, "when its record was stored")

    def sent(self, process: Process) -> None:
        """A write has left this process."""
        self._hit(process, "when its write was under way")

    def _hit(self, process: Process, when: str) -> None:
        if self.rng.random() >= self._worst_moment or process.is_frozen:
            return
        blow = self.rng.choice(("kill", "freeze", "freeze"))
        self.on_fault(f"{blow} {when}")
        if blow == "kill":
            # Not here, in the middle of its step: before its next one.
            process.dies_at_step = process.steps + 1
        else:
            self._freeze(process, at_least=TAKEN_OVER_SECONDS)

    def _freeze(self, process: Process, *, at_least: float) -> None:
        process.is_frozen = True
        self.house.loop.later(self.rng.uniform(at_least, FROZEN_SECONDS_MAX), self.house.loop.thaw, process)

    async def _strike(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / self.weather.pause_seconds))
            blow = self.rng.choice(self.weather.blows)
            if not self.house.replicas:
                continue
            self.on_fault(blow)
            self._fall(blow)

    def _fall(self, blow: str) -> None:
        rng, loop = self.rng, self.house.loop
        # The applier is hit more often than the others: it is the one that writes.
        places = sorted(self.house.replicas)
        appliers = [place for place in places if place.startswith("applier")]
        replica = self.house.replicas[rng.choice(appliers if appliers and rng.random() < 0.5 else places)]
        process = replica.process
        match blow:
            case "kill":
                process.die()
            case "kill at a step":
                process.dies_at_step = process.steps + rng.randint(1, STEPS_TO_DEATH_MAX)
            case "freeze" if not process.is_frozen:
                self._freeze(process, at_least=0.3)
            case "cut":
                self.bus.cut(replica.client, rng.uniform(0.1, 6.0))
            case "restart of the bus":
                self.bus.restart(rng.uniform(0.2, 2.0))
            case "clock":
                clock = replica.clock
                clock.wrong_by_seconds = rng.uniform(-5, 5) * 3600
                loop.later(rng.uniform(2.0, 15.0), setattr, clock, "wrong_by_seconds", 0.0)
            case "credential refused":
                self.vendor.credential_is_refused = True
                loop.later(rng.uniform(0.5, 6.0), setattr, self.vendor, "credential_is_refused", False)
            case _:
                pass
