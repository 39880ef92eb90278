"""The handlers of all three services on a real bus, with a small connector, and a source and target in memory.

Messages are delivered by hand, straight from the stream to a dispatcher, so that a test decides how often, how late
and to whom: what the broker does around that is tested where the broker is.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Self

from nats.js import JetStreamContext

import services.applier.handlers as applier
import services.differ.handlers as differ
import services.extractor.handlers as extractor
from services.differ.ledger import Ledger
from services.differ.memory import Scope, Seed
from services.differ.subsets import Subsets
from shared.bus.commit import Committer
from shared.bus.dispatch import Dispatcher, RequestRoute, Route
from shared.bus.reading import read_all
from shared.bus.topology import people_account
from shared.clock import SystemClock, to_text
from shared.contract.catalog import Connectors
from shared.contract.loading import load_connector
from shared.contract.releases import publish
from shared.errors import NeedsPerson, RecordRefused, TryLater
from shared.events.commands import DecideRun, NameRun, Reply, RequestRun
from shared.events.model import Document
from shared.events.queries import SubsetAnswer, SubsetQuery
from shared.events.stored import Stored
from shared.ids import RandomIds
from shared.plan.document import Plan, PlanPage, header_subject, pages_filter
from shared.plan.subset import left_out_root
from shared.policy.approval import Approval
from shared.ports.connections import Connection, Connections
from shared.ports.registry import Registry
from shared.ports.system import Source, Target
from shared.ports.wire import Wire
from shared.run.state import RunState
from tests.integration.handlers.small_systems import DEFINITION, HouseTarget, LateClock, PeopleSource
from tests.support.bus import BusUnderTest
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.differ.frames import SmallWire
from tests.unit.plan.plan_builder import ENTITY, IDENTITIES, MASTER, record, signed

CLOCK, IDS = SystemClock(), RandomIds()
STREAMS = {"CORE": "auditor", "LEDGER": "auditor", "PLAN": "auditor", "SNAP": "differ"}
"""Streams and a user who may read them."""


class SmallRegistry(Registry):
    """Gives the source and the target of a test, whatever is asked for."""

    def __init__(self, house: SmallHouse) -> None:
        self._house = house

    def open_source(self, connection: Connection) -> Source:
        return self._house.target if connection.system == "small_system" else PeopleSource(self._house.people)

    def open_target(self, connection: Connection) -> Target:
        if self._house.target_cannot_open is not None:
            raise self._house.target_cannot_open
        return self._house.target

    def wire(self, system_name: str) -> Wire:
        return SmallWire()

    def write_companions_of(self, system_name: str, entity: str) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Picture:
    """All that a run has left behind."""

    messages: dict[str, int]
    """Stored messages by subject; random parts of subjects and the run's own names are masked."""
    state: str
    """The run's document."""
    journal: tuple[tuple[str, str, str], ...]
    """Writes at the target that took effect."""
    written: tuple[tuple[Any, ...], ...]
    """The differ's memory of the target."""


Service = str
ROUTES: list[tuple[Service, Route[Any]]] = [
    *(("extractor", route) for route in extractor.ROUTES),
    *(("differ", route) for route in differ.ROUTES),
    *(("applier", route) for route in applier.ROUTES),
]
REQUESTS: list[tuple[Service, RequestRoute[Any]]] = [
    *(("extractor", route) for route in extractor.REQUESTS),
    *(("differ", route) for route in differ.REQUESTS),
    *(("applier", route) for route in applier.REQUESTS),
]


@dataclass
class Replica:
    """One process of a service: its own connection, context and dispatcher."""

    service: Service
    js: JetStreamContext
    context: Any
    dispatcher: Dispatcher[Any]

    async def deliver(self, stored: Stored) -> None:
        """As the broker does; what is raised is for the delivery rule."""
        await self.dispatcher.dispatch(subject=stored.subject, headers=stored.headers, data=stored.data)

    async def deliver_until_taken(self, stored: Stored, seconds: float = 15.0) -> None:
        """As the broker does, again whenever the handler asks for time."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await self.deliver(stored)
                except TryLater:
                    await asyncio.sleep(0.1)

    async def ask(self, subject: str, body: Document, *, who: str) -> Reply:
        """As a person does through the bus."""
        headers = {"Nats-Request-Info": json.dumps({"acc": people_account("staging"), "user": who})}
        data = body.model_dump_json().encode()
        return Reply.model_validate_json(await self.dispatcher.answer(subject=subject, headers=headers, data=data))


@dataclass
class SmallHouse:
    """One connector with its systems, and replicas of the services."""

    bus: BusUnderTest
    folder: Path
    connector: str
    target_name: str
    ledger_url: str
    people: list[dict[str, str | None]] = field(default_factory=list)
    target: HouseTarget = field(default_factory=HouseTarget)
    target_cannot_open: Exception | None = None
    clock: LateClock = field(default_factory=LateClock)
    lease_seconds: int = 2
    ledgers: list[Ledger] = field(default_factory=list)
    readers: dict[str, JetStreamContext] = field(default_factory=dict)
    run: str = ""
    environment: str = "staging"
    declaration: str = ""

    @classmethod
    async def made(cls, bus: BusUnderTest, folder: Path) -> Self:
        """Ten people, of whom three are new, two changed, and one contact who is gone."""
        connector, target = bus.unique("tiny"), bus.unique("small")
        (folder / connector).mkdir()
        text = DEFINITION.format(name=connector, target=target)
        (folder / connector / "connector.yaml").write_text(text, encoding="utf-8")
        made = cls(bus, folder, connector, target, f"sqlite+aiosqlite:///{folder / 'differ.db'}")
        made.people = [
            {"id": f"E{n}", "first": f"Name{n}", "email": f"p{n}@example.org", "role": "TEACHER"} for n in range(1, 11)
        ]
        made.people[0]["first"] = "Changed"
        made.people[1]["first"] = "Changed"
        made.target.records = {f"t-{n}": record(n) for n in (*range(1, 8), 20)}
        await made.remember_past(missed={"E20": timedelta(days=3)})  # the contact who is gone
        made.publish()
        made.readers = {stream: await bus.js_as(user) for stream, user in STREAMS.items()}
        return made

    def share_target_of(self, other: SmallHouse) -> None:
        """Have this connector write to the target of another one."""
        definition = self.folder / self.connector / "connector.yaml"
        text = definition.read_text(encoding="utf-8").replace(self.target_name, other.target_name)
        definition.write_text(text, encoding="utf-8")
        self.target, self.target_name = other.target, other.target_name
        self.publish()

    @property
    def scope(self) -> Scope:
        """Whose memory the ledger keeps."""
        return Scope(connector=self.connector, target=self.target_name, entity=ENTITY)

    async def remember_past(
        self,
        *,
        certified_runs: int = 2,
        missed: Mapping[str, timedelta] | None = None,
        links: Mapping[str, str] | None = None,
    ) -> None:
        """As if the connector had run for weeks: not onboarded any more, and records missed so long ago."""
        ledger = Ledger(self.ledger_url)
        await ledger.prepare()
        await ledger.remember_history(
            Seed(
                scope=self.scope,
                certified_runs=certified_runs,
                has_applied=certified_runs > 0,
                links=links or {},
                missed={key: CLOCK.now() - ago for key, ago in (missed or {}).items()},
                rows_accepted={},
            )
        )
        await ledger.close()

    async def plan(self) -> Plan:
        """The plan of the present run."""
        async for stored in self.stored("PLAN", header_subject(self.run)):
            return Plan.model_validate_json(stored.data)
        raise AssertionError("the run has no plan")

    async def pages(self) -> list[PlanPage]:
        """All pages of the present run."""
        found = [one async for one in self.stored("PLAN", pages_filter(self.run))]
        return [PlanPage.model_validate_json(one.data) for one in found]

    async def close(self) -> None:
        for ledger in self.ledgers:
            await ledger.close()

    # --- replicas ---------------------------------------------------------------------------------------------------

    async def replica(self, service: Service) -> Replica:
        """A fresh process of a service: it remembers nothing of any other."""
        js = await self.bus.js_as(service)
        committer = Committer(js, service=service, clock=self.clock)
        plain: dict[str, Any] = {"js": js, "committer": committer, "registry": SmallRegistry(self), "clock": self.clock}
        connections = Connections(
            connections={
                name: Connection(name=name, system=system, environment="staging")
                for name, system in (("people", "people_system"), (self.target_name, "small_system"))
            }
        )
        plain["connections"] = connections
        context: Any
        match service:
            case "extractor":
                module: Any = extractor
                context = extractor.Context(
                    **plain, connectors=Connectors(self.folder), ids=IDS, environment=self.environment
                )
            case "differ":
                module = differ
                ledger = Ledger(self.ledger_url)
                await ledger.prepare()
                self.ledgers.append(ledger)
                context = differ.Context(
                    **plain,
                    connectors=Connectors(self.folder),
                    identities=IDENTITIES,
                    ledger=ledger,
                    commitment_master=MASTER,
                    ids=IDS,
                )
            case _:
                module = applier
                context = applier.Context(
                    **plain,
                    identities=IDENTITIES,
                    ids=IDS,
                    rng=Random(1),
                    holder=f"replica-{IDS.token(4)}",
                    lease_seconds=self.lease_seconds,
                    writes_in_flight=4,
                )
        dispatcher: Dispatcher[Any] = Dispatcher(
            service=service,
            routes=module.ROUTES,
            requests=module.REQUESTS,
            context=context,
            committer=committer,
            clock=self.clock,
            ids=IDS,
        )
        return Replica(service, js, context, dispatcher)

    # --- the road ---------------------------------------------------------------------------------------------------

    def publish(self) -> None:
        """Have the definition as it is now as the only release."""
        folder = self.folder / self.connector
        shutil.rmtree(folder / "releases", ignore_errors=True)
        publish(folder, load_connector(folder), at=SystemClock().now(), by="olga")

    async def request(self, mode: str = "apply", *, who: str = "olga", **more: str) -> Reply:
        """Ask for a run; its id is kept when it is admitted."""
        self.publish()
        body = RequestRun.model_validate({"connector": self.connector, "mode": mode, **more})
        reply = await (await self.replica("extractor")).ask("aether.run.request", body, who=who)
        if reply.is_accepted and reply.run is not None:
            self.run = reply.run
        return reply

    async def read_sides(self) -> None:
        await self.deliver_all("extractor", f"cmd.extract.{self.run}.>")

    async def diff(self) -> None:
        await self.deliver_all("differ", f"cmd.diff.{self.run}.*")

    async def draft(self) -> None:
        await self.deliver_all("differ", f"cmd.plan.{self.run}")

    async def apply(self) -> None:
        await (await self.replica("applier")).deliver_until_taken(await self.command(f"cmd.apply.{self.run}"))

    async def to_drafted(self, mode: str = "apply", **more: str) -> None:
        reply = await self.request(mode, **more)
        assert reply.is_accepted, reply
        await self.read_sides()
        await self.diff()
        await self.draft()

    async def to_approved(self) -> None:
        await self.to_drafted()
        reply = await self.decide("anna")
        assert reply.status == "approved", reply

    async def to_finished(self) -> None:
        await self.to_approved()
        await self.apply()

    async def to_finished_over_limits(self) -> None:
        """As above, with a plan that the guard may have held."""
        await self.to_drafted()
        held = (await self.state()).status == "held"
        body = await self.decision("anna", is_override=held)
        reply = await (await self.replica("differ")).ask("aether.run.approve", body, who="anna")
        if reply.status != "approved":
            body = await self.decision("abel", is_override=held)
            reply = await (await self.replica("differ")).ask("aether.run.approve", body, who="abel")
        assert reply.status == "approved", reply
        await self.apply()

    async def to_paused(self) -> None:
        """A run whose first write met a wrong setting; it and those not sent yet have no outcome."""
        await self.to_approved()
        self.target.faults[ANY].append(Fault(NeedsPerson("APL_CONFIG", "the address is wrong")))
        await self.apply()
        state = await self.state()
        assert state.status == "paused"
        assert state.counts is not None
        assert min(state.counts.applied, state.counts.unknown) > 0

    async def to_resumed(self) -> None:
        """A run that was paused, goes on, and that no applier has taken up yet."""
        await self.to_paused()
        reply = await (await self.replica("applier")).ask("aether.run.resume", NameRun(run=self.run), who="otto")
        assert reply.status == "applying", reply

    async def to_partial(self, refused: int = 1) -> None:
        """A run that has ended with records which the target refused."""
        await self.to_approved()
        no = RecordRefused("APL_REFUSED_RECORD", "the target wants another value")
        self.target.faults[ANY].extend(Fault(no) for _ in range(refused))
        await self.apply()
        state = await self.state()
        assert state.status == "partial"
        assert state.counts is not None
        assert state.counts.quarantined == refused

    async def retry(self, *, who: str = "otto") -> Reply:
        """Ask that what failed be tried again; the new run is the present one when it is admitted."""
        body = NameRun(run=self.run, reason="mended")
        reply = await (await self.replica("applier")).ask("aether.run.retry", body, who=who)
        if reply.is_accepted and reply.run is not None:
            self.run = reply.run
        return reply

    async def to_ended_by_cancel(self) -> None:
        """A person ends the run, and the applier does its part."""
        await self.cancel()
        await self.deliver_all("applier", f"evt.extractor.run_cancelled.{self.run}")
        assert (await self.state()).has_ended

    async def decision(
        self, who: str, decision: str = "approve", *, deferred: Sequence[str] = (), **overrides: Any
    ) -> DecideRun:
        plan = (await self.state()).plan
        assert plan is not None
        now = CLOCK.now()
        plain = Approval(
            run=self.run,
            plan_digest=plan.plan_digest,
            verdict_digest=plan.verdict_digest,
            decision="approve" if decision == "approve" else "reject",
            approver=who,
            reason="reviewed",
            nonce=IDS.token(8),
            signed_at=to_text(now),
            expires_at=to_text(now + timedelta(hours=4)),
        )
        return DecideRun(signed=signed(plain.model_copy(update=overrides)), deferred=tuple(deferred))

    async def decide(self, who: str, decision: str = "approve") -> Reply:
        body = await self.decision(who, decision)
        return await (await self.replica("differ")).ask(f"aether.run.{decision}", body, who=who)

    async def approve_part(self, who: str, part: SubsetAnswer, **overrides: Any) -> Reply:
        """Approve what the differ says can be approved."""
        body = await self.decision(
            who,
            deferred=part.left_out,
            subset=part.subset_root,
            left_out_root=left_out_root(part.left_out),
            **overrides,
        )
        return await (await self.replica("differ")).ask("aether.run.approve", body, who=who)

    async def subset(self, **question: Any) -> SubsetAnswer:
        """Ask a fresh differ what approving a part of the plan would mean."""
        return await Subsets((await self.replica("differ")).context).answer(SubsetQuery(run=self.run, **question))

    async def cancel(self) -> Reply:
        body = NameRun(run=self.run, reason="not today")
        return await (await self.replica("extractor")).ask("aether.run.cancel", body, who="otto")

    async def deliver_all(self, service: Service, pattern: str) -> None:
        replica = await self.replica(service)
        async for stored in self.stored("CORE", pattern):
            await replica.deliver_until_taken(stored)

    # --- what lies on the bus ---------------------------------------------------------------------------------------

    async def stored(self, stream: str, pattern: str) -> AsyncIterator[Stored]:
        async for one in read_all(self.readers[stream], stream, pattern):
            yield one

    async def command(self, pattern: str) -> Stored:
        """The newest message of that subject."""
        found = [one async for one in self.stored("CORE", pattern)]
        assert found, f"nothing lies under {pattern}"
        return found[-1]

    async def state(self) -> RunState:
        return RunState.model_validate_json((await self.command(f"run.{self.run}.state")).data)

    async def picture(self, *, with_snapshots: bool = True) -> Picture:
        """What the present run has left behind."""
        counted: Counter[str] = Counter()
        for stream in STREAMS:
            if stream == "SNAP" and not with_snapshots:
                continue
            async for one in self.stored(stream, ">"):
                if self.run in one.subject.split(".") or self.target_name in one.subject.split("."):
                    counted[one.subject.replace(self.run, "RUN").replace(self.target_name, "TARGET")] += 1
                elif self.connector in one.subject.split("."):
                    counted[one.subject.replace(self.connector, "CONNECTOR")] += 1
        ledger = Ledger(self.ledger_url)
        await ledger.prepare()
        keys = sorted({str(person["id"]) for person in self.people} | {"E20"})
        recalled = await ledger.recall(self.scope, keys)
        written = {key: {"target_id": one.target_id, **one.written} for key, one in recalled.items() if one.written}
        misses = {key: (one.strikes, str(one.last_strike_at)) for key, one in recalled.items() if one.strikes}
        rows = await ledger.rows_accepted(self.connector)
        await ledger.close()
        return Picture(
            messages=dict(sorted(counted.items())),
            state=(await self.state()).model_dump_json(),
            journal=tuple(sorted(self.target.journal)),
            written=(
                *((key, *sorted(one.items())) for key, one in sorted(written.items())),
                *sorted(misses.items()),
                *sorted(rows.items()),
            ),
        )

    def effects(self) -> Counter[str]:
        """How often each change took effect at the target."""
        return Counter(change_id for change_id, _, _ in self.target.journal)
