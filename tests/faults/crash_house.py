"""A house whose programs die where they are told to, and what must hold of a run afterwards.

One house serves many crash points: vendor, sources and memory are put back between them, the bus and the audit log
grow. A run is driven by what the bus itself says of it, so that no program that may be dead is needed for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.asking.deciding import signed_decision
from shared.audit.verify import verify_log
from shared.bus.provision import provision
from shared.bus.reading import last, read_all
from shared.bus.topology import PROVISIONER, inbox_prefix
from shared.clock import from_text
from shared.events.commands import DecideRun, NameRun, Reply, RequestRun
from shared.events.envelope import decode
from shared.events.facts import IntentRecorded, OutcomeRecorded, RunSealed, outcomes_filter
from shared.events.queries import ENTRIES_MAX
from shared.events.stored import Stored
from shared.hashing.canonical import canonical_json
from shared.ids import RandomIds
from shared.plan.document import PlanPage, pages_filter
from shared.run.active import ConnectorActive, active_subject
from shared.run.state import RunState, state_subject
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus
from simulators.district.__main__ import make
from simulators.district.vendor import ChangeCounts
from tests.faults.crash_points import Deaths
from tests.faults.doomed import LEASE_SECONDS, arm, hasted_consumers
from tests.support.road import CONNECTOR, District, Road, house

STAFF: Final = 1_100
CHANGES: Final = ChangeCounts(create=14, update=20, rename=2, role_change=3, suspend=8, reactivate=3)
"""Fifty changes of every class that the connector knows."""
PATIENCE_SECONDS: Final = 90.0
"""How long a run may take that was broken off once or twice; the shortened waits add up to a few seconds."""
ASK_SECONDS: Final = 1.0
"""How long a person waits for an answer before looking whether it happened all the same."""
POLL_SECONDS: Final = 0.03
LATE_SECONDS: Final = 2.0
SLOW_WRITES: Final = {"kind": "slow", "method": "PATCH", "times": 60, "seconds": 0.15}
SETTINGS: Final = {
    "applier": {"AETHER_LEASE_SECONDS": str(LEASE_SECONDS)},
    # Small, so that even a reading of a second leaves something to be taken up; 0 would mean never.
    "extractor": {"AETHER_CHECKPOINT_SECONDS": "0.01"},
}
SERVICES: Final = ("extractor", "differ", "applier", "auditor")


class Violated(AssertionError):
    """What must hold after every crash does not hold."""


class _Superseded(Exception):
    """The run has made way for another one."""


@dataclass(frozen=True)
class Trial:
    """One run with what broke it."""

    run: str
    changes: int
    missed: tuple[str, ...]
    """Points at which nobody died, because their place was not come by (often enough)."""
    seconds: float


def small_district(folder: Path) -> District:
    """A district in which one run finds fifty changes."""
    make(out=folder, seed=7, staff=STAFF, counts=CHANGES)
    return District(folder)


def doomed_programs(folder: Path, **sabotages: str) -> dict[str, Sequence[str]]:
    """What the stack starts in place of the services; `sabotages` names a defect by service."""
    return {
        service: (
            "tests.faults.doomed",
            service,
            "--folder",
            str(folder),
            *(("--sabotage", sabotages[service]) if service in sabotages else ()),
        )
        for service in SERVICES
    }


@contextlib.asynccontextmanager
async def crash_house(
    district: District, folder: Path, *, appliers: int = 1, **sabotages: str
) -> AsyncIterator[CrashHouse]:
    """A running house of doomed programs; `sabotages` names a defect by service."""
    armed = folder / "armed"
    armed.mkdir(parents=True)
    programs = doomed_programs(armed, **sabotages)
    async with house(district, folder / "house", appliers=appliers, programs=programs, settings=SETTINGS) as road:
        await shorten_waits(road)
        async with (
            road.bus_as("auditor") as js,
            road.plain_client("operator") as operator,
            road.plain_client("approver") as approver,
        ):
            yield CrashHouse(road, armed, js=js, operator=operator, approver=approver)


async def shorten_waits(road: Road) -> None:
    """Let the server hand on a dead program's messages as soon as the doomed programs' heartbeats allow."""
    password = (road.stack.layout.bus / "secrets" / PROVISIONER).read_text(encoding="utf-8")
    connection = await nats.connect(
        road.stack.bus_url, user=PROVISIONER, password=password, inbox_prefix=inbox_prefix(PROVISIONER).encode()
    )
    try:
        await provision(connection.jetstream(), consumers=hasted_consumers())
    finally:
        await connection.close()


class CrashHouse:
    """What a test does with a house of doomed programs."""

    def __init__(self, road: Road, armed: Path, *, js: JetStreamContext, operator: Client, approver: Client) -> None:
        self.road = road
        self.js = js
        self._armed = armed
        self._operator = operator
        self._approver = approver
        self._entries: list[dict[str, Any]] = []
        self._checkpoints: list[str] = []
        self._journal_from = 0
        self.patience_seconds = PATIENCE_SECONDS

    # --- break ------------------------------------------------------------------------------------------------------

    async def exercise(
        self, *deaths: Deaths, nth: int | None = None, beside: Callable[[], Awaitable[None]] | None = None
    ) -> Trial:
        """One run that is broken at these points, at most once for each program; `Violated` says what does not hold.

        `nth` counts instead of the own number of each program's first point; `beside` is done while the run is on.
        """
        began = time.monotonic()
        await self.reset()
        firsts = [each[0] for each in deaths]
        if any(first.is_slow for first in firsts):
            await self.road.vendor("POST", "faults", SLOW_WRITES)
        for each in deaths:
            self.arm(each, nth=nth)
        for first in firsts:
            if first.at_start:
                await self.crash(first.service)
        aside = None if beside is None else asyncio.ensure_future(beside())
        try:
            run = await self.carried_out()
        finally:
            if aside is not None:
                await aside
        await self.until_fired()
        missed = self.missed()
        self.disarm()
        changes = await self.check(run)
        return Trial(run, changes, missed, time.monotonic() - began)

    def arm(self, deaths: Deaths, *, nth: int | None = None, stops: bool = False) -> None:
        """Arm points of one service, the second for after the first; there it dies or, with `stops`, stands still."""
        numbers = [point.nth for point in deaths]
        if nth is not None:
            numbers[0] = nth
        token = RandomIds().token(8)  # a file that says the same again must be counted anew
        documents = [
            {"point": one.name, "nth": n, "token": token, "stops": stops}
            for one, n in zip(deaths, numbers, strict=True)
        ]
        (self._armed / f"{deaths[0].service}.fired").unlink(missing_ok=True)
        arm(self._armed / f"{deaths[0].service}.armed", documents)

    def missed(self) -> tuple[str, ...]:
        """The points that are still armed."""
        return tuple(
            document["point"] for path in self._armed.glob("*.armed") for document in json.loads(path.read_bytes())
        )

    def disarm(self) -> None:
        """Let every program live."""
        for path in self._armed.glob("*.armed"):
            path.unlink(missing_ok=True)

    async def crash(self, service: str) -> None:
        """Kill the service's own process, which its keeper then replaces."""
        await self.road.until_ready(service)
        os.kill(self.service_pid(service), signal.SIGKILL)

    def service_pid(self, service: str) -> int:
        """Process id of the service itself, not of its keeper."""
        document = json.loads((self.road.stack.layout.ready / f"{service}.json").read_bytes())
        return int(document.get("service_pid", document["pid"]))

    async def until_fired(self) -> None:
        """Give a point that lies behind the end of the run (an acknowledgement, a seal) its moment."""
        deadline = time.monotonic() + LATE_SECONDS
        while any(self._armed.glob("*.armed")) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)

    # --- drive ------------------------------------------------------------------------------------------------------

    async def reset(self) -> None:
        """Everything as on the first day, every program alive."""
        self.disarm()
        await self.road.reset()
        self._journal_from = int((await self.road.vendor("GET", "effects"))["last_seq"])

    async def carried_out(self) -> str:
        """Ask for a run, approve its plan and wait for its end and for what follows it.

        Who asks again because no answer came may find both runs admitted: the later supersedes the earlier.
        """
        async with asyncio.timeout(3 * self.patience_seconds):
            while True:
                run = await self.request()
                try:
                    await self.until(
                        run, lambda state: state.status is RunStatus.AWAITING_APPROVAL, "awaiting approval"
                    )
                    await self.approve(run)
                    await self.until(run, lambda state: state.has_ended, "at its end")
                except _Superseded:
                    continue
                await self.until_sealed(run)
                return run

    async def request(self) -> str:
        """Ask for an apply run until one is admitted; its id."""
        before = await self._active()
        body = RequestRun.model_validate({"connector": CONNECTOR, "mode": "apply"}).model_dump_json().encode()
        async with asyncio.timeout(self.patience_seconds):
            while True:
                reply = await self._asked(self._operator, "aether.run.request", body)
                if reply is not None and reply.is_accepted and reply.run is not None:
                    return reply.run
                # No answer, or an overlap: it may have been admitted and the answer been lost.
                active = await self._active()
                if active is not None and active != before:
                    return active

    async def approve(self, run: str) -> None:
        """Approve the run's plan, until it is approved."""
        async with asyncio.timeout(self.patience_seconds):
            while (state := await self.state(run)).status in WAITING_FOR_A_PERSON:
                if state.plan is None:
                    raise Violated(f"run {run} waits for an approval and shows no plan")
                signed = signed_decision(
                    state.plan,
                    run=run,
                    decision="approve",
                    approver="approver",
                    reason="a test",
                    is_override=False,
                    key_text=self.road.stack.layout.approval_key("approver").read_text(encoding="utf-8"),
                    now=datetime.now(UTC),
                    ids=RandomIds(),
                )
                await self._asked(
                    self._approver, "aether.run.approve", DecideRun(signed=signed).model_dump_json().encode()
                )

    async def cancel(self, run: str) -> None:
        """Ask once that a run end; whether it does is for the caller to see."""
        body = NameRun(run=run, reason="the next trial begins").model_dump_json().encode()
        await self._asked(self._operator, "aether.run.cancel", body)

    async def until(self, run: str, is_there: Callable[[RunState], bool], what: str) -> RunState:
        """The run's document once it is as wanted; `Violated` when it rests elsewhere, or never comes there."""
        deadline = time.monotonic() + self.patience_seconds
        state: RunState | None = None
        while time.monotonic() < deadline:
            state = await self.state(run)
            if state.status is RunStatus.SUPERSEDED:
                raise _Superseded
            if is_there(state):
                return state
            if state.has_ended or state.status is RunStatus.PAUSED:
                raise Violated(f"run {run} is {state.status}, wanted {what}: {state.failure}")
            await asyncio.sleep(POLL_SECONDS)
        raise Violated(f"run {run} is not {what} after {self.patience_seconds:g} s: {state and state.status}")

    async def state(self, run: str) -> RunState:
        """The run's document."""
        stored = await last(self.js, "CORE", state_subject(run))
        if stored is None:
            raise Violated(f"run {run} was admitted and has no document")
        return decode(RunState, data=stored.data, headers=stored.headers, subject=stored.subject)

    async def until_sealed(self, run: str) -> None:
        """Wait until the auditor has sealed the run and the differ has remembered it."""
        deadline = time.monotonic() + self.patience_seconds
        while await last(self.js, "CORE", f"evt.auditor.run_sealed.{run}") is None or self._remembered(run) is None:
            if time.monotonic() > deadline:
                raise Violated(f"run {run} is not sealed, or not remembered, after {self.patience_seconds:g} s")
            await asyncio.sleep(POLL_SECONDS)

    async def _active(self) -> str | None:
        stored = await last(self.js, "CORE", active_subject(CONNECTOR))
        if stored is None:
            return None
        return decode(ConnectorActive, data=stored.data, headers=stored.headers, subject=stored.subject).run

    async def _asked(self, person: Client, subject: str, body: bytes) -> Reply | None:
        try:
            answer = await person.request(subject, body, timeout=ASK_SECONDS)
        except nats.errors.Error:  # nobody there, no answer, or no bus
            await asyncio.sleep(POLL_SECONDS)
            return None
        return Reply.model_validate_json(answer.data)

    def _remembered(self, run: str) -> int | None:
        """How many changes of the run the differ's ledger holds as applied; None while it does not know the end."""
        query = "SELECT applied FROM run_statistics WHERE run = ? AND applied_at IS NOT NULL"
        with contextlib.closing(sqlite3.connect(self.road.ledger)) as database:
            rows = database.execute(query, (run,)).fetchall()
        return sum(sum(json.loads(by_class).values()) for (by_class,) in rows) if rows else None

    # --- check ------------------------------------------------------------------------------------------------------

    async def check(self, run: str) -> int:
        """Everything that must hold of a finished run; how many changes it had."""
        wanted: int = sum(self.road.district.truth["counts"].values())
        state = await self.state(run)
        faults: list[str] = []
        if state.status is not RunStatus.SUCCEEDED:
            faults.append(f"the run is {state.status}: {state.failure}")
        # Nobody else writes to this vendor: what is found done was done by this run and must say so.
        if state.counts is None or (state.counts.planned, state.counts.applied) != (wanted, wanted):
            faults.append(f"{wanted} changes were to be applied, the run counts {state.counts}")
        try:
            await self.road.assert_everything_once()
        except AssertionError as error:
            faults.append(f"not exactly once by the vendor's own journal: {error}")
        faults += await self._faults_of_ledger(run, wanted)
        if (remembered := self._remembered(run)) != wanted:
            faults.append(f"the differ remembers {remembered} applied changes, wanted {wanted}")
        faults += await self._faults_of_record(run)
        dead: int = (await self.js.stream_info("DLQ")).state.messages
        if dead:
            faults.append(f"{dead} dead letters")
        if faults:
            raise Violated(f"run {run}: " + "; ".join(faults))
        return wanted

    async def _faults_of_ledger(self, run: str, wanted: int) -> list[str]:
        """Each change has one outcome, its intent lies before its effect, and no token comes after a later one."""
        keys = await self._keys(run)
        intended: dict[str, datetime] = {}
        outcomes: dict[str, list[str]] = defaultdict(list)
        tokens: dict[str, int] = {}
        faults: list[str] = []
        async for stored in read_all(self.js, "LEDGER", outcomes_filter(run)):
            event = _ledger_event(stored)
            if event.fencing_token < tokens.get("all", 0):
                faults.append(f"{stored.subject} was written under token {event.fencing_token} after a later one")
            tokens["all"] = max(event.fencing_token, tokens.get("all", 0))
            if isinstance(event, IntentRecorded):
                intended.setdefault(keys[event.change_id], stored.time)
            else:
                outcomes[event.change_id].append(event.result)
        if len(outcomes) != wanted:
            faults.append(f"{len(outcomes)} changes have an outcome, wanted {wanted}")
        twice = {change: results for change, results in outcomes.items() if len(results) != 1}
        if twice:
            faults.append(f"more than one outcome: {twice}")
        journal = await self.road.vendor("GET", f"journal?effects_only=true&after_seq={self._journal_from}")
        for entry in journal["entries"]:
            intent = intended.get(entry["external_id"])
            if intent is None or intent > from_text(entry["time"]):
                faults.append(f"{entry['effect']} at {entry['time']}: its intent lay on the bus at {intent}")
        return faults

    async def _keys(self, run: str) -> dict[str, str]:
        """Our key of the record, by change id."""
        found: dict[str, str] = {}
        async for stored in read_all(self.js, "PLAN", pages_filter(run)):
            page = decode(PlanPage, data=stored.data, headers=stored.headers, subject=stored.subject)
            found |= {change.change_id: change.key for change in page.changes}
        return found

    async def _faults_of_record(self, run: str) -> list[str]:
        """The log verifies as an outsider would verify it, it was sealed once, and nothing in it contradicts."""
        faults: list[str] = []
        await self._read_record()
        key = json.loads((self.road.stack.layout.data / "profiles" / "auditor.json").read_bytes())["verifier_key"]
        report = verify_log((canonical_json(one) for one in self._entries), self._checkpoints, key)
        if not report.is_valid:
            faults.append(f"the audit log does not verify: {report.first_failure}")
        kinds = Counter(one["type"] for one in self._entries if one.get("run") == run)
        if kinds[RunSealed.event_type] != 1:
            faults.append(f"the log holds {kinds[RunSealed.event_type]} seals of the run, wanted 1")
        places = Counter((one["stream"], one["stream_seq"]) for one in self._entries)
        if repeated := [place for place, number in places.items() if number > 1]:
            faults.append(f"messages that stand in the log twice: {repeated[:5]}")
        contradictions = [one for one in self._entries if one["type"].startswith("aether.audit.")]
        if contradictions:
            faults.append(f"the auditor reports {contradictions[:2]}")
        return faults

    async def _read_record(self) -> None:
        """What the log has gained; waits until it holds the seal that was waited for."""
        await self.road.until_ready("auditor")
        deadline = time.monotonic() + self.patience_seconds
        async with self.road.stack.client("auditor") as auditor:
            while True:
                answer = await auditor.entries(first=len(self._entries), limit=ENTRIES_MAX)
                self._entries += answer.entries
                if answer.entries:
                    continue
                ends = [(await self.js.stream_info(name)).state.last_seq for name in ("CORE", "LEDGER")]
                if sum(ends) <= len(self._entries) or time.monotonic() > deadline:
                    break
                await asyncio.sleep(POLL_SECONDS)
            while checkpoints := (await auditor.checkpoints(first=len(self._checkpoints))).checkpoints:
                self._checkpoints += checkpoints


def _ledger_event(stored: Stored) -> IntentRecorded | OutcomeRecorded:
    if stored.headers.get("ce-type") == IntentRecorded.event_type:
        return decode(IntentRecorded, data=stored.data, headers=stored.headers, subject=stored.subject)
    return decode(OutcomeRecorded, data=stored.data, headers=stored.headers, subject=stored.subject)
