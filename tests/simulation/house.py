"""The services as processes over the simulated bus: the same handlers, wired as their programs wire them.

A replica is one process: it connects, takes the messages of its consumers one at a time under the house's own delivery
rule, answers people, and does what runs beside the handlers. It can die at any step and be started again as another
process that remembers nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any, Final

import nats.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry

import services.applier.handlers as applier
import services.differ.handlers as differ
import services.extractor.handlers as extractor
from services.applier.connection_health import Pace, Probing
from services.auditor.ingest import Auditor
from services.auditor.store import Store
from services.differ.ledger import Ledger
from shared.bus.broker import DeliveryMetrics, DeliveryRule
from shared.bus.commit import Committer
from shared.bus.delivery import STANDARD_BACK_OFF
from shared.bus.dispatch import Dispatcher
from shared.bus.topology import CONSUMERS, ConsumerSpec
from shared.ports.connections import Connection, Connections
from shared.ports.registry import Registry
from shared.ports.system import Source, Target
from shared.ports.wire import Wire
from tests.simulation.bus import Bus
from tests.simulation.client import SimClient
from tests.simulation.loop import PROCESS, Process, VirtualLoop
from tests.simulation.shape import AUDITOR_URL, BEGINNING, DIFFER_URL, LOG_KEY, TARGET, District, shape
from tests.simulation.vendor import PeopleSource, Vendor, VendorLine
from tests.unit.differ.frames import SmallWire
from tests.unit.plan.plan_builder import IDENTITIES, MASTER

REPLICAS: Final = (("extractor", 2), ("differ", 2), ("applier", 2), ("auditor", 2))
SIDE_BY_SIDE: Final = {"differ": 2, "applier": 2}
"""Messages of a consumer that one process takes at once; of the others one."""
PULL_SECONDS: Final = 5.0
LEASE_SECONDS: Final = 4
MODULES: Final[dict[str, Any]] = {"extractor": extractor, "differ": differ, "applier": applier}


@dataclass
class HouseClock:
    """The clock of one machine: it may be set wrong, and its stopwatch never is."""

    loop: VirtualLoop
    wrong_by_seconds: float = 0.0

    def now(self) -> datetime:
        """What the machine believes the time is."""
        return BEGINNING + timedelta(seconds=self.loop.time() + self.wrong_by_seconds)

    def monotonic_seconds(self) -> float:
        """Seconds that only grow."""
        return self.loop.time()


class SeededIds:
    """Ids from the seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def token(self, length: int) -> str:
        """A text that is safe in a subject."""
        return "".join(self._rng.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(length))


class OneSystem(Registry):
    """The vendor and the district, whatever is asked for."""

    def __init__(self, vendor: Vendor, district: District, process: Process) -> None:
        self._vendor = vendor
        self._district = district
        self._process = process

    def open_source(self, connection: Connection) -> Source:
        """The people, or the target as something to be read."""
        line = VendorLine(self._vendor, self._process)
        if connection.system == "small_system":
            return line
        return PeopleSource(self._district.rows(), line.may_fail_to_read)

    def open_target(self, connection: Connection) -> Target:
        """The vendor."""
        return VendorLine(self._vendor, self._process)

    def wire(self, system_name: str) -> Wire:
        """Writes whose bodies are the values."""
        return SmallWire()

    def write_companions_of(self, system_name: str, entity: str) -> tuple[str, ...]:
        """The vendor leaves alone what a change leaves out."""
        return ()


@dataclass(eq=False)
class Replica:
    """One process of one service."""

    service: str
    process: Process
    client: SimClient
    clock: HouseClock
    main: asyncio.Task[None] | None = None


@dataclass
class House:
    """All replicas, by their place."""

    loop: VirtualLoop
    bus: Bus
    vendor: Vendor
    district: District
    rng: Random
    has_auditor: bool = True
    replicas: dict[str, Replica] = field(default_factory=dict)
    dead: list[Process] = field(default_factory=list)
    revives: bool = True
    """Whether a process that died is started again after a while."""
    on_end: Callable[[str], None] = lambda _: None
    """Told of a part of a living process that has ended by itself: half a service is worse than none."""
    _started: int = 0

    def start_all(self) -> None:
        """Start one process for every place."""
        for service, number in REPLICAS:
            for place in range(number if service != "auditor" or self.has_auditor else 0):
                self.start(f"{service}-{place}")

    def start(self, place: str) -> None:
        """Start a process at a place, unless one is there."""
        if place in self.replicas:
            return
        self._started += 1
        service = place.partition("-")[0]
        process = Process(f"{place}.{self._started}", self.loop.world.copy())
        client = self.bus.connect(service, context=process.context)
        process.on_death = lambda: self._died(place)
        replica = Replica(service, process, client, HouseClock(self.loop))
        self.replicas[place] = replica
        serve = self._audit(replica) if service == "auditor" else self._serve(replica)
        replica.main = self.loop.start(process, serve, name=process.name)

    def _died(self, place: str) -> None:
        replica = self.replicas.pop(place)
        replica.client.shut()
        self.dead.append(replica.process)
        if self.revives:
            self.loop.later(self.rng.uniform(0.1, 3.0), self.start, place)

    def end(self) -> None:
        """The seed is over: nobody does anything any more."""
        self.revives = False
        for replica in list(self.replicas.values()):
            replica.process.die()
        self.loop.bury(self.dead)

    # --- the programs -----------------------------------------------------------------------------------------------

    def _context(self, replica: Replica, js: JetStreamContext, committer: Committer, ids: SeededIds) -> Any:
        plain: dict[str, Any] = {
            "js": js,
            "committer": committer,
            "registry": OneSystem(self.vendor, self.district, replica.process),
            "connections": _connections(),
            "clock": replica.clock,
            "ids": ids,
        }
        match replica.service:
            case "extractor":
                return extractor.Context(**plain, connectors=shape().connectors, rng=Random(self.rng.random()))
            case "differ":
                return differ.Context(
                    **plain,
                    connectors=shape().connectors,
                    identities=IDENTITIES,
                    ledger=Ledger(DIFFER_URL),
                    commitment_master=MASTER,
                )
            case _:
                return applier.Context(
                    **plain,
                    identities=IDENTITIES,
                    rng=Random(self.rng.random()),
                    holder=replica.process.name,
                    lease_seconds=LEASE_SECONDS,
                    writes_in_flight=4,
                )

    async def _serve(self, replica: Replica) -> None:
        service, module = replica.service, MODULES[replica.service]
        js, ids = replica.client.jetstream(), SeededIds(Random(self.rng.random()))
        committer = Committer(js, service=service, clock=replica.clock)
        context = self._context(replica, js, committer, ids)
        dispatcher: Dispatcher[Any] = Dispatcher(
            service=service,
            routes=module.ROUTES,
            requests=module.REQUESTS,
            context=context,
            committer=committer,
            clock=replica.clock,
            ids=ids,
        )
        rule = DeliveryRule(
            service=service,
            jetstream=lambda: js,
            clock=replica.clock,
            metrics=DeliveryMetrics(CollectorRegistry()),
            consumers=CONSUMERS,
            back_off=STANDARD_BACK_OFF,
        )
        for request in module.REQUESTS:
            await replica.client.subscribe(request.subject, queue=service, cb=_answering(dispatcher, request.subject))
        beside = [Probing(context, pace=Pace(seconds=8.0, seconds_max=30.0)).run()] if service == "applier" else []
        pulls = [
            _pull(replica.client, spec, rule, dispatcher)
            for spec in CONSUMERS
            if spec.service == service
            for _ in range(SIDE_BY_SIDE.get(spec.name, 1))
        ]
        await asyncio.gather(*(self._for_good(replica.process, part) for part in (*pulls, *beside)))

    async def _for_good(self, process: Process, part: Coroutine[Any, Any, None]) -> None:
        try:
            await part
        finally:
            if process.is_alive:
                self.on_end(f"{process.name}: {part} has ended by itself")

    async def _audit(self, replica: Replica) -> None:
        client = replica.client
        auditor = Auditor(
            client=client,  # type: ignore[arg-type]  # it is to the house what the library's is
            js=client.jetstream(),
            store=Store.open(AUDITOR_URL),
            key=LOG_KEY,
            clock=replica.clock,
            ids=SeededIds(Random(self.rng.random())),
            registry=CollectorRegistry(),
            lease_seconds=LEASE_SECONDS,
        )
        await self._for_good(replica.process, auditor.run())


def _connections() -> Connections:
    return Connections(
        connections={
            name: Connection(name=name, system=system, environment="staging")
            for name, system in (("people", "people_system"), (TARGET, "small_system"))
        }
    )


async def _pull(client: SimClient, spec: ConsumerSpec, rule: DeliveryRule, dispatcher: Dispatcher[Any]) -> None:
    """Take a consumer's messages one at a time, as the broker does."""
    subject = f"$JS.API.CONSUMER.MSG.NEXT.{spec.stream}.{spec.name}"
    request = json.dumps({"batch": 1, "expires": int(PULL_SECONDS * 1e9)}).encode()
    while True:
        inbox = client.new_inbox()
        subscription = await client.subscribe(inbox)
        try:
            await client.publish(subject, request, reply=inbox)
            message = await subscription.next_msg(timeout=PULL_SECONDS + 0.5)
        except (nats.errors.TimeoutError, nats.errors.OutboundBufferLimitError):
            continue
        finally:
            await subscription.unsubscribe()
        if message.reply:
            await _deliver(message, rule, dispatcher)


async def _deliver(message: Msg, rule: DeliveryRule, dispatcher: Dispatcher[Any]) -> None:
    """One delivery under the delivery rule, with its heartbeat, as the broker has it."""

    async def handle(_: Any) -> None:
        await dispatcher.dispatch(subject=message.subject, headers=message.headers, data=message.data)

    ruled = rule(message, context=None)
    await ruled.on_receive()
    nothing: Any = None
    try:
        await ruled.consume_scope(handle, nothing)
    except BaseException as error:
        if not await ruled.__aexit__(type(error), error, error.__traceback__):
            raise
    else:
        await ruled.__aexit__(None, None, None)


def _answering(dispatcher: Dispatcher[Any], subject: str) -> Callable[[Msg], Any]:
    async def answer(message: Msg) -> None:
        data = await dispatcher.answer(subject=subject, headers=message.headers, data=message.data)
        message.headers = None
        await message.respond(data)

    return answer


def present() -> str:
    """Name of the process at work; `world` for what belongs to none."""
    process = PROCESS.get()
    return "world" if process is None else process.name
