"""The whole house for a test: real programs, a real bus, a sample district, a simulated vendor over HTTP.

`District` is made once and copied, for it takes longer to make than a run takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client

from cli.embedded_setup import PEOPLE, PersonSpec
from cli.problem import CommandFailed
from cli.stack import Stack
from shared.asking.deciding import signed_decision
from shared.audit.verify import VerificationReport, verify_log
from shared.bus.connect import BusSettings, connect, leave
from shared.bus.reading import last
from shared.bus.topology import inbox_prefix
from shared.events.commands import DecideRun, NameRun, Reply, RequestRun
from shared.events.envelope import decode
from shared.events.queries import (
    CHANGES_MAX,
    ENTRIES_MAX,
    ChangeView,
    PlanQuery,
    RunAnswer,
    RunsQuery,
    SubsetAnswer,
)
from shared.hashing.canonical import canonical_json
from shared.ids import RandomIds
from shared.plan.document import Plan, header_subject
from shared.policy.approval import ALL, SignedApproval
from shared.policy.figures import EntityFigures
from shared.run.states import RunStatus, is_terminal
from shared.secrets import resolve
from simulators.district.__main__ import make
from tests.support.canaries import plant
from tests.support.without_tls import TRUSTS_NOBODY

CONNECTOR = "titanhst-staff"
BOTH = PersonSpec("both", "both", ("operator", "approver"))
"""A person who may request and approve: what separation of duties is tried with."""
WAIT_SECONDS_MAX = 90.0


@dataclass(frozen=True)
class District:
    """A made district: its folder and its truth."""

    folder: Path

    @property
    def truth(self) -> dict[str, Any]:
        """What a run must find, by the generator's own reckoning."""
        found: dict[str, Any] = json.loads((self.folder / "truth.json").read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="session")
def district(tmp_path_factory: pytest.TempPathFactory) -> District:
    """The sample district of the demonstration."""
    folder = tmp_path_factory.mktemp("district")
    make(out=folder, seed=7, staff=2400)
    plant(folder)
    return District(folder)


class Road:
    """A running house and what a test does with it."""

    def __init__(self, stack: Stack, district: District) -> None:
        self.stack = stack
        self.district = district
        self._journal_from = 0

    @property
    def hr_url(self) -> str:
        """The HR database of this house."""
        return f"sqlite:///{self.stack.layout.district / 'hr.db'}"

    @property
    def ledger(self) -> Path:
        """The differ's database: what the house remembers from run to run."""
        return self.stack.layout.database("differ")

    # --- runs -------------------------------------------------------------------------------------------------------

    async def request(self, mode: str, *, profile: str = "operator") -> str:
        """Ask for a run; its id."""
        async with self.stack.client(profile) as person:
            reply = await person.request_run(RequestRun.model_validate({"connector": CONNECTOR, "mode": mode}))
        assert reply.is_accepted and reply.run is not None, reply
        return reply.run

    async def until(self, run: str, is_there: Callable[[RunAnswer], bool], what: str) -> RunAnswer:
        """The run once it is as wanted; fails with where it stands."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        answer: RunAnswer | None = None
        while time.monotonic() < deadline:
            # The bus or the auditor may be the one that was killed: a new connection, and another question.
            with contextlib.suppress(CommandFailed):
                async with self.stack.client("viewer") as viewer:
                    while time.monotonic() < deadline:
                        answer = await viewer.run(run)
                        if answer.run is not None and is_there(answer):
                            return answer
                        await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
        pytest.fail(f"run {run} is not {what} after {WAIT_SECONDS_MAX:g} s: {answer and answer.run}")

    async def until_status(self, run: str, *wanted: str) -> RunAnswer:
        """The run once it has one of these states; fails at once when it rests in another."""

        def is_there(answer: RunAnswer) -> bool:
            assert answer.run is not None
            # The record lags a little behind a command, so a run that waits for a person may have been decided.
            status = RunStatus(answer.run.status)
            if (is_terminal(status) or status is RunStatus.PAUSED) and status not in wanted:
                pytest.fail(f"run {run} is {answer.run.status} ({answer.run.failure}), wanted {wanted}")
            return answer.run.status in wanted

        return await self.until(run, is_there, " or ".join(wanted))

    async def until_sealed(self, run: str) -> RunAnswer:
        """The run once the auditor has sealed it."""
        return await self.until(run, lambda answer: answer.run is not None and answer.run.is_sealed, "sealed")

    def signed(
        self, answer: RunAnswer, approver: str, *, is_override: bool = False, part: SubsetAnswer | None = None
    ) -> SignedApproval:
        """An approval of the run's plan, or a part of it, in that person's name."""
        view = answer.run
        assert view is not None and view.plan is not None
        return signed_decision(
            view.plan,
            run=view.run,
            decision="approve",
            approver=approver,
            reason="a test",
            is_override=is_override,
            key_text=self.stack.layout.approval_key(approver).read_text(encoding="utf-8"),
            now=datetime.now(UTC),
            ids=RandomIds(),
            subset=ALL if part is None or part.subset_root is None else part.subset_root,
            left_out=() if part is None else part.left_out,
        )

    async def approve(
        self,
        answer: RunAnswer,
        *,
        approver: str = "approver",
        is_override: bool = False,
        part: SubsetAnswer | None = None,
    ) -> Reply:
        """Approve a plan, or a part of it, as another person."""
        signed = self.signed(answer, approver, is_override=is_override, part=part)
        async with self.stack.client(approver) as person:
            return await person.approve(DecideRun(signed=signed, deferred=() if part is None else part.left_out))

    async def changes(self, run: str) -> tuple[ChangeView, ...]:
        """Every change of a run's plan, as the auditor shows it."""
        found: list[ChangeView] = []
        async with self.stack.client("viewer") as viewer:
            while True:  # bounded by the total that each answer states
                answer = await viewer.plan(PlanQuery(run=run, offset=len(found), limit=CHANGES_MAX))
                found += answer.changes
                if not answer.changes or len(found) >= answer.total:
                    return tuple(found)

    async def planned(self) -> tuple[str, RunAnswer]:
        """An apply run that awaits its approval."""
        run = await self.request("apply")
        return run, await self.until_status(run, "awaiting_approval")

    async def figures(self, run: str) -> EntityFigures:
        """What the guard looked at, as the plan of the run states it."""
        async with self.bus_as("differ") as js:
            stored = await last(js, "PLAN", header_subject(run))
        assert stored is not None, f"run {run} has no plan"
        plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
        [figures] = plan.header.figures.entities
        return figures

    async def until_remembered(self, run: str) -> None:
        """Wait until the differ has taken what the run applied into its ledger; it does so after the run has ended."""
        query = "SELECT count(*) FROM run_statistics WHERE run = ? AND applied_at IS NOT NULL"
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                with contextlib.closing(sqlite3.connect(self.ledger)) as database:
                    if database.execute(query, (run,)).fetchone() == (1,):
                        return
                await asyncio.sleep(0.1)

    async def until_ready(self, service: str) -> None:
        """Wait until a service says that it takes work, as an orchestrator would ask it."""
        async with asyncio.timeout(WAIT_SECONDS_MAX), httpx.AsyncClient(verify=TRUSTS_NOBODY) as client:
            while True:
                # While it is being brought back it has no address, or nobody listens there.
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.stack.admin_url(service)}/readyz")).is_success:
                        return
                await asyncio.sleep(0.1)

    # --- the vendor -------------------------------------------------------------------------------------------------

    async def vendor(self, method: str, path: str, body: object = None) -> Any:
        """One call of the vendor's control plane."""
        async with httpx.AsyncClient(base_url=self.stack.vendor_url, timeout=30, verify=TRUSTS_NOBODY) as client:
            response = await client.request(method, f"/_sim/{path}", json=body)
            response.raise_for_status()
            return response.json() if response.content else None

    async def effects(self) -> dict[str, list[str]]:
        """What happened to each contact since the last reset, by external id."""
        found: dict[str, list[str]] = (await self.vendor("GET", f"effects?after_seq={self._journal_from}"))["effects"]
        return found

    @property
    def _first_day(self) -> Path:
        return self.stack.layout.data / "differ.first-day.db"

    def keep_first_day(self) -> None:
        """Keep what the house remembers now, before any run, so that `reset` can come back to it."""
        _copy_database(self.ledger, self._first_day)

    async def reset(self) -> None:
        """Vendor, sources and memory as on the first day, no fault armed, no run under way: for the next test."""
        for service in ("extractor", "differ", "applier", "auditor"):
            await self.until_ready(service)
        async with self.stack.client("operator") as operator:
            for view in (await operator.runs(RunsQuery())).runs:
                if not is_terminal(RunStatus(view.status)):
                    await operator.cancel(NameRun(run=view.run, reason="the next test begins"))
        _copy_database(self._first_day, self.ledger)
        for name in ("hr.db", "aeries.db"):
            shutil.copyfile(self.district.folder / name, self.stack.layout.district / name)
        await self.vendor("DELETE", "faults")
        seed = json.loads((self.district.folder / "titanhst.json").read_text(encoding="utf-8"))
        await self.vendor("PUT", "state", seed)
        self._journal_from = (await self.vendor("GET", "effects"))["last_seq"]

    async def until_effects(self, number: int) -> None:
        """Wait until so many contacts were touched."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while len(await self.effects()) < number:
                await asyncio.sleep(0.05)

    async def assert_everything_once(self) -> None:
        """Every change of the truth took effect exactly once, and nothing else did."""
        effects = await self.effects()
        wanted = {key for keys in self.district.truth["changes"].values() for key in keys}
        assert {key: texts for key, texts in effects.items() if len(texts) != 1} == {}
        assert set(effects) == wanted
        state = await self.vendor("GET", "state")
        contacts = {one["externalId"]: one for one in state["contacts"] if one["externalId"]}
        wire = {
            "external_id": "externalId", "first_name": "firstName", "last_name": "lastName", "mobile": "mobilePhone",
            "location": "locationCode",
        }  # fmt: skip
        for key, fields in self.district.truth["fields"].items():
            for name, (_, after) in fields.items():
                assert contacts[key][wire.get(name, name)] == after, (key, name)

    # --- the bus and the record -------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def bus_as(self, service: str) -> AsyncIterator[nats.js.JetStreamContext]:
        """The bus with a service's own rights: what a captured service could do."""
        password = (self.stack.layout.bus / "secrets" / service).read_text(encoding="utf-8")
        client = await connect(BusSettings(url=self.stack.bus_url, user=service, password=password))
        try:
            yield client.jetstream()
        finally:
            await leave(client)

    @contextlib.asynccontextmanager
    async def plain_client(self, profile: str) -> AsyncIterator[Client]:
        """A NATS client that knows nothing of us, with a person's user and password."""
        document = json.loads((self.stack.layout.data / "profiles" / f"{profile}.json").read_text(encoding="utf-8"))
        client = await nats.connect(
            document["nats_url"],
            user=document["user"],
            password=resolve(document["password"]),
            inbox_prefix=inbox_prefix(document["user"]).encode(),
            # What is asked while the bus is away fails, instead of being asked when nobody waits for it any more.
            pending_size=0,
        )
        try:
            yield client
        finally:
            await client.close()

    async def entries(self) -> list[dict[str, Any]]:
        """The whole audit log."""
        found: list[dict[str, Any]] = []
        async with self.stack.client("auditor") as auditor:
            while True:
                answer = await auditor.entries(first=len(found), limit=ENTRIES_MAX)
                found += answer.entries
                if not answer.entries:
                    return found

    async def verify(self) -> VerificationReport:
        """Verify the log as an outsider would; an auditor that asks for patience is asked again."""
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while True:
            try:
                return await self._verified()
            except CommandFailed as refused:
                if refused.code != "AUD_UNAVAILABLE" or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def _verified(self) -> VerificationReport:
        document = json.loads((self.stack.layout.data / "profiles" / "auditor.json").read_text(encoding="utf-8"))
        checkpoints: list[str] = []
        async with self.stack.client("auditor") as auditor:
            while True:
                answer = await auditor.checkpoints(first=len(checkpoints))
                checkpoints += answer.checkpoints
                if not answer.checkpoints:
                    break
        entries = await self.entries()
        return verify_log((canonical_json(one) for one in entries), checkpoints, document["verifier_key"])


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database; also into one that a service has open, which then sees the copy."""
    with (
        contextlib.closing(sqlite3.connect(source)) as original,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        original.backup(copy)


@contextlib.asynccontextmanager
async def house(district: District, folder: Path, **options: Any) -> AsyncIterator[Road]:
    """A house over a copy of the district: mirrored for weeks, or, with `has_past=False`, never looked at before."""
    stack = Stack(folder, is_demo=True, people=(*PEOPLE, BOTH), **options)
    shutil.copytree(district.folder, stack.layout.district, dirs_exist_ok=True)
    async with stack:
        road = Road(stack, district)
        road.keep_first_day()
        yield road
