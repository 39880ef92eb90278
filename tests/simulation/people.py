"""The people of the simulation: who ask for runs, approve, pause, resume, cancel and retry, and one who forges.

They see what a console would show, and act through the bus as themselves; an answer that does not come is asked for
again. What they may not do they try too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any

import nats.errors

from shared.bus.publishing import Outgoing
from shared.clock import to_text
from shared.events.commands import ApplyPlan, DecideRun, NameRun, Reply, RequestRun, apply_plan_subject
from shared.events.envelope import body_of, headers_of
from shared.events.model import Document
from shared.plan.document import pages_filter
from shared.plan.subset import closure, left_out_root, subset_index, subset_root
from shared.policy.approval import ALL, Approval, SignedApproval
from shared.run.moves import Message
from shared.run.state import RunState
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus
from tests.simulation.bus import Bus, person
from tests.simulation.client import SimClient
from tests.simulation.house import HouseClock, SeededIds
from tests.simulation.invariants import Watch
from tests.simulation.shape import CONNECTOR, District
from tests.simulation.streams import EXPECTED_STREAM, MESSAGE_ID
from tests.unit.plan.plan_builder import signed

ASK_SECONDS = 4.0
ASKS_MAX = 6
LOOK_SECONDS = 0.25
PATIENCE_SECONDS = 40.0
"""How long a person looks on before resuming, asking again or giving up."""


@dataclass
class Habits:
    """What these people tend to do, each as a chance."""

    forges: float = 0.0
    pauses: float = 0.0
    cancels: float = 0.0
    rejects: float = 0.0
    leaves_out: float = 0.3
    retries: float = 0.8


@dataclass
class People:
    """All of them."""

    bus: Bus
    watch: Watch
    district: District
    rng: Random
    habits: Habits
    clock: HouseClock
    accepted: list[str] = field(default_factory=list)
    """What was accepted that never may be."""

    def __post_init__(self) -> None:
        self._lines = {name: person(self.bus, name) for name in ("olga", "otto", "anna", "abel")}
        self._ids = SeededIds(self.rng)

    # --- one thing asked --------------------------------------------------------------------------------------------

    async def ask(self, who: str, subject: str, body: Document) -> Reply | None:
        """Ask, again when nobody answers; None when nobody did."""
        for _ in range(ASKS_MAX):
            try:
                message = await self._lines[who].request(subject, body.model_dump_json().encode(), timeout=ASK_SECONDS)
            except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
                await asyncio.sleep(0.5)
                continue
            return Reply.model_validate_json(message.data)
        return None

    async def name(self, verb: str, run: str) -> Reply | None:
        """Ask something of a run."""
        return await self.ask("otto", f"aether.run.{verb}", NameRun(run=run, reason="as it seems right"))

    def approval(self, state: RunState, who: str, **more: Any) -> SignedApproval:
        """An approval of the run's plan."""
        assert state.plan is not None
        now = self.clock.now()
        plain = Approval(
            run=state.run,
            plan_digest=state.plan.plan_digest,
            verdict_digest=state.plan.verdict_digest,
            decision="approve",
            approver=who,
            reason="reviewed",
            nonce=self._ids.token(8),
            signed_at=to_text(now),
            expires_at=to_text(now + timedelta(hours=4)),
            is_override=state.status is RunStatus.HELD,
        )
        return signed(plain.model_copy(update=more))

    async def until(self, run: str, statuses: frozenset[RunStatus], seconds: float = PATIENCE_SECONDS) -> RunState:
        """Look on until the run has one of these states or has ended; or patience does."""
        ends_at = self.bus.loop.time() + seconds
        while True:
            state = self.watch.states[run]
            if state.has_ended or state.status in statuses or self.bus.loop.time() >= ends_at:
                return state
            await asyncio.sleep(LOOK_SECONDS)

    # --- a run ------------------------------------------------------------------------------------------------------

    async def see_through(self) -> None:
        """Ask for a run and see it through to its end, with everything that people do meanwhile."""
        before = set(self.watch.states)
        await self.ask("olga", "aether.run.request", RequestRun(connector=CONNECTOR, mode="apply"))
        fresh = sorted(set(self.watch.states) - before)
        if not fresh:
            return
        await self.end(fresh[-1], is_calm=False)
        last = fresh[-1]
        for _ in range(2):
            ended = self.watch.states[last]
            if ended.status not in {RunStatus.PARTIAL, RunStatus.FAILED} or self.rng.random() > self.habits.retries:
                return
            reply = await self.name("retry", last)
            if reply is None or not reply.is_accepted or reply.run is None:
                return
            last = reply.run
            await self.end(last, is_calm=False)

    async def end(self, run: str, *, is_calm: bool) -> None:
        """Do what leads a run to its end."""
        for _ in range(12):
            state = await self.until(run, WAITING_FOR_A_PERSON | {RunStatus.PAUSED, RunStatus.APPLYING})
            if state.has_ended:
                return
            if state.status in WAITING_FOR_A_PERSON:
                await self._decide(state, is_calm=is_calm)
            elif state.status is RunStatus.PAUSED:
                await asyncio.sleep(self.rng.uniform(0.2, 3.0))
                await self.name("cancel" if self._likes(self.habits.cancels, is_calm=is_calm) else "resume", run)
                await asyncio.sleep(LOOK_SECONDS)
            elif state.status is RunStatus.APPLYING:
                await self._meddle(run, is_calm=is_calm)
                await self.until(run, frozenset({RunStatus.PAUSED}))

    def _likes(self, chance: float, *, is_calm: bool) -> bool:
        return not is_calm and self.rng.random() < chance

    async def _meddle(self, run: str, *, is_calm: bool) -> None:
        await asyncio.sleep(self.rng.uniform(0, 0.6))
        if self._likes(self.habits.pauses, is_calm=is_calm):
            await self.name("pause", run)
        if self._likes(self.habits.cancels, is_calm=is_calm):
            await self.name("cancel", run)

    async def _decide(self, state: RunState, *, is_calm: bool) -> None:
        if self._likes(self.habits.forges, is_calm=is_calm):
            await self._forge(state)
        if self._likes(self.habits.cancels / 2, is_calm=is_calm):
            await self.name("cancel", state.run)
            return
        if self._likes(self.habits.rejects, is_calm=is_calm):
            rejection = self.approval(state, "anna", decision="reject")
            await self.ask("anna", "aether.run.reject", DecideRun(signed=rejection))
            return
        reply = None
        subset, deferred = self._part(state) if self._likes(self.habits.leaves_out, is_calm=is_calm) else (ALL, ())
        for who in ("anna", "abel"):
            signed_part = self.approval(state, who, subset=subset, left_out_root=left_out_root(deferred))
            reply = await self.ask(who, "aether.run.approve", DecideRun(signed=signed_part, deferred=deferred))
            if reply is None or reply.status == "approved":
                break
        if self.watch.states[state.run].status in WAITING_FOR_A_PERSON:
            await asyncio.sleep(2.0)
        elif self._likes(self.habits.forges, is_calm=is_calm):
            await self._forge_page(state)

    def _part(self, state: RunState) -> tuple[str, tuple[str, ...]]:
        """What to sign for a part of the run's plan, and what it leaves out; the whole where it has one change."""
        plan, changes = self.watch.plan_of(state.run)
        index = subset_index(plan.header, list(changes.values()))
        numbers = len(index.leaves) - len(index.set_aside) - 1
        if numbers < 1:
            return ALL, ()
        chosen = self.rng.sample(sorted(set(index.leaves) - index.set_aside), self.rng.randint(1, numbers))
        left_out = closure(chosen, index).left_out
        return subset_root(left_out, index), left_out

    # --- what nobody may --------------------------------------------------------------------------------------------

    async def _forge(self, state: RunState) -> None:
        """Approvals that must not count, and a command to apply what nobody approved."""
        good = self.approval(state, "anna")
        bad_signature = good.model_copy(update={"signature": self.approval(state, "abel").signature})
        attempts = {
            "wrong digest": ("anna", self.approval(state, "anna", plan_digest="sha256:" + "0" * 64)),
            "bad signature": ("anna", bad_signature),
            "no approver": ("olga", self.approval(state, "olga")),
            "in another's name": ("abel", good),
            "lapsed": ("anna", self.approval(state, "anna", expires_at=to_text(self.clock.now() - timedelta(hours=9)))),
        }
        what = self.rng.choice([*attempts, "a command", "other changes left out than were signed"])
        if what == "other changes left out than were signed":
            await self._forge_part(state)
            return
        if what == "a command":
            event = ApplyPlan(run=state.run, ordinal=99)
            self._publish_as(
                "differ",
                Message(apply_plan_subject(state.run), event, message_id=f"{state.run}.forged", about=state.run),
            )
            await asyncio.sleep(1.0)
            return
        who, approval = attempts[what]
        reply = await self.ask(who, "aether.run.approve", DecideRun(signed=approval))
        if reply is not None and reply.is_accepted:
            self.watch.violated(f"run {state.run}: an approval with {what} was accepted")

    async def _forge_part(self, state: RunState) -> None:
        """A genuine approval of a part, handed in with another list of what it leaves out."""
        subset, deferred = self._part(state)
        if subset == ALL:
            return
        _, changes = self.watch.plan_of(state.run)
        others = sorted(set(changes) - {*deferred})
        other = (*deferred[1:], self.rng.choice(others))
        signed_part = self.approval(state, "anna", subset=subset, left_out_root=left_out_root(deferred))
        reply = await self.ask("anna", "aether.run.approve", DecideRun(signed=signed_part, deferred=other))
        if reply is not None and reply.is_accepted:
            self.watch.violated(
                f"run {state.run}: an approval with other changes left out than were signed was accepted"
            )

    async def _forge_page(self, state: RunState) -> None:
        """Another page of changes in the plan's place, by somebody who has the differ's password."""
        pages = list(self.bus.streams["PLAN"].of(pages_filter(state.run)))
        if not pages:
            return
        page = self.rng.choice(pages)
        data = page.data.replace(b"Renamed", b"Forged0").replace(b"TEACHER", b"ADMINS0")
        headers = {name: value for name, value in page.headers.items() if not name.startswith("Nats-")}
        self._send_as("differ", Outgoing(page.subject, data, f"forged-{page.seq}", headers), "PLAN")
        await asyncio.sleep(0)

    def _publish_as(self, service: str, message: Message) -> None:
        headers = headers_of(
            message.event, message_id=message.message_id, source="/forged", subject=message.about, time=self.clock.now()
        )
        self._send_as(service, Outgoing(message.subject, body_of(message.event), message.message_id, headers), "CORE")

    def _send_as(self, service: str, outgoing: Outgoing, stream: str) -> None:
        forger: SimClient = self.bus.connect(service, context=self.bus.loop.world)
        self.watch.forgers.add(forger.name)
        headers = {**outgoing.headers, MESSAGE_ID: outgoing.message_id, EXPECTED_STREAM: stream}
        self.bus.on_fault("forged message")
        self.bus.carry(forger, outgoing.subject, outgoing.body, "", headers)
