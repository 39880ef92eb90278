"""One seed, from an empty house to rest: everything that happens in it follows from its number.

`run_seed` is what the command, the tests and longer soaks call; its report says what was violated, and what went wrong
on the way there.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import structlog

from shared.ports.wire import WireWrite
from tests.simulation.auditing import audited, require_audited
from tests.simulation.bus import Bus
from tests.simulation.client import SimClient
from tests.simulation.database import Databases, let_go
from tests.simulation.house import House, HouseClock, present
from tests.simulation.invariants import Watch
from tests.simulation.loop import PROCESS, NothingLeft, Process, Spinning, VirtualLoop
from tests.simulation.nemesis import Nemesis, Weather, weather
from tests.simulation.people import People
from tests.simulation.shape import BEGINNING, District, shape
from tests.simulation.streams import Kept, Stream
from tests.simulation.vendor import Vendor

SEED_SECONDS_MAX: Final = 900.0
"""Virtual time after which a seed that has not come to rest counts as stuck."""
TRACE_LINES: Final = 40


@dataclass(frozen=True)
class SeedReport:
    """What one seed came to."""

    seed: int
    violations: tuple[str, ...]
    trace: tuple[str, ...]
    """The last things that happened; kept only when something was violated."""
    faults: Counter[str]
    """Misfortunes that befell, by kind."""
    runs: Counter[str]
    """Runs by how they ended."""
    changes: Counter[str]
    """Outcomes by result."""
    effects: int
    messages: int
    """Messages stored on the bus."""
    virtual_seconds: float
    fingerprint: str
    """Equal for two executions of one seed: what was stored, in which order, and when."""


@dataclass
class World:
    """Everything of one seed."""

    seed: int
    loop: VirtualLoop
    change: Callable[[Weather], Weather]
    trace: deque[str] = field(default_factory=lambda: deque(maxlen=TRACE_LINES))
    faults: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.weather = self.change(weather(self.rng("weather")))
        self.bus = Bus(self.loop, self.rng("bus"), epoch_us=int(BEGINNING.timestamp() * 1_000_000))
        self.vendor = Vendor(
            self.loop, self.rng("vendor"), self._next_order, refuses_duplicates=self.weather.refuses_duplicates
        )
        district, self.vendor.records = District.made(self.rng("district"))
        self.beginning = {str(one["external_id"]): dict(one) for one in self.vendor.records.values()}
        self.watch = Watch(self.bus, self.vendor)
        self.bus.on_stored, self.vendor.on_sent = self._stored, self._sent
        self.bus.on_fault = self.vendor.on_fault = self.fault
        self.house = House(
            self.loop, self.bus, self.vendor, district, self.rng("house"), has_auditor=self.weather.has_auditor
        )
        self.house.on_end = self.watch.violated
        self.people = People(
            self.bus, self.watch, district, self.rng("people"), self.weather.habits, HouseClock(self.loop)
        )
        self.nemesis = Nemesis(self.house, self.bus, self.vendor, self.weather, self.rng("nemesis"), self.fault)
        self._order = 0
        self.loop.set_exception_handler(self._unhandled)

    def forget(self) -> None:
        """Let go of everything, so that it can be collected."""
        self.loop.set_exception_handler(lambda *_: None)  # what still complains is of the dead
        self.__dict__.clear()

    def rng(self, what: str) -> Random:
        """A source of chance of its own for each part, so that one part's draws do not move another's."""
        return Random(f"{self.seed}-{what}")

    def _next_order(self) -> int:
        self._order += 1
        return self._order

    def fault(self, what: str) -> None:
        """A misfortune befell."""
        self.faults[what] += 1
        self.tell("fault", what)

    def tell(self, who: str, what: str) -> None:
        """Keep a line of what happened."""
        self.trace.append(f"{self.loop.time():9.3f}  {who:14} {what}")

    def hear_log(self, _: Any, __: str, line: Any) -> Any:
        """A line of the house's log, into the trace."""
        event = line.pop("event")
        facts = " ".join(f"{name}={value}" for name, value in line.items() if name != "exc_info")
        self.tell(present(), f"{event} {facts}"[:200])
        raise structlog.DropEvent

    def _stored(self, stream: Stream, one: Kept, sender: SimClient | None) -> None:
        self.tell("" if sender is None else _name_of(sender), f"stored {stream.spec.name} {one.seq} {one.subject}")
        self.watch.stored(stream, one, sender)
        self.nemesis.stored(stream.spec.name, None if sender is None else sender.context.get(PROCESS))

    def _sent(self, change_id: str, write: WireWrite, process: Process) -> None:
        self.tell(process.name, f"sent {write.method} {write.path} for {change_id[:12]}")
        self.watch.sent(change_id, write, process)
        self.nemesis.sent(process)

    def _unhandled(self, _: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        error = about.get("exception")
        self.watch.violated(f"unhandled in {present()}: {about.get('message')} {error!r}")

    # --- the story --------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """From the start to rest."""
        self.house.start_all()
        await asyncio.sleep(0.1)
        self.nemesis.begin()
        for number in range(self.weather.runs):
            for _ in range(self.people.rng.randint(0, 8) if number else 0):
                self.house.district.move_on()
            await self.people.see_through()
        self.nemesis.end()
        await self._come_to_rest()

    async def _come_to_rest(self) -> None:
        await asyncio.sleep(10.0)  # leases run out, connections come back, what was lost is delivered again
        for run in sorted(self.watch.states):
            await self.people.end(run, is_calm=True)
            if not self.watch.states[run].has_ended:
                await self.people.name("cancel", run)
                await self.people.until(run, frozenset())
        if self.weather.has_auditor:
            await audited(self.bus)


def _name_of(sender: SimClient) -> str:
    process = sender.context.get(PROCESS)
    return sender.user if process is None else process.name


def run_seed(
    seed: int,
    *,
    sabotage: Callable[[], AbstractContextManager[None]] = nullcontext,
    change: Callable[[Weather], Weather] = lambda weather: weather,
    lines: int = TRACE_LINES,
) -> SeedReport:
    """Live one seed; with `sabotage`, in a house that is broken on purpose; with `change`, in another weather."""
    start = shape()
    gc.freeze()  # what the program has imported need not be looked through after each seed
    loop = VirtualLoop()
    databases = Databases(start.databases)
    world = World(seed, loop, change, trace=deque(maxlen=lines))
    chance, log_settings = random.getstate(), structlog.get_config()
    random.seed(seed)  # the committer waits a random while after a conflict
    structlog.configure(processors=[world.hear_log])
    gc.disable()
    try:
        with databases.in_place(), sabotage():
            _live(world)
        return _report(world)
    finally:
        structlog.configure(**log_settings)
        random.setstate(chance)
        databases.close()
        loop.close()
        world.forget()
        del world, loop
        let_go()
        gc.enable()


def _live(world: World) -> None:
    loop, watch = world.loop, world.watch
    story = loop.create_task(world.live(), context=loop.world)
    try:
        loop.run_until_complete(asyncio.wait_for(story, SEED_SECONDS_MAX))
        watch.at_rest(world.beginning)
        if world.weather.has_auditor and not watch.violations:
            loop.run_until_complete(require_audited(world.bus, watch))
    except TimeoutError:
        watch.violated(f"no rest after {SEED_SECONDS_MAX:g} s")
    except (NothingLeft, Spinning) as error:
        watch.violated(f"{type(error).__name__}: {error}")
    finally:
        story.cancel()
        world.house.end()


def _report(world: World) -> SeedReport:
    watch = world.watch
    return SeedReport(
        seed=world.seed,
        violations=tuple(watch.violations),
        trace=tuple(world.trace) if watch.violations else (),
        faults=world.faults,
        runs=Counter(str(state.status) for state in watch.states.values()),
        changes=Counter(str(outcome.result) for outcome in watch.all_outcomes),
        effects=len(world.vendor.effects),
        messages=sum(stream.last_seq for stream in world.bus.streams.values()),
        virtual_seconds=round(world.loop.time(), 3),
        fingerprint=world.bus.fingerprint(),
    )
