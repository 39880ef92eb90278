"""The whole house with a misbehaving network between it and its bus, its vendor and its databases.

Services reach NATS, the vendor's HTTP interface and PostgreSQL (the differ's ledger, the auditor's log) only through
proxies; people and the test go straight. A round is one run of fifty changes under weather drawn from a seed, from the
request to the sealed audit log, and afterwards the question whether anything was lost or done twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from cli.embedded_setup import write_demo_connections
from cli.problem import CommandFailed
from cli.stack import Stack
from shared.events.commands import NameRun
from shared.events.queries import RunAnswer, RunsQuery
from shared.run.states import RunStatus, is_terminal
from simulators.district.__main__ import make
from simulators.district.vendor import ChangeCounts
from tests.faults.proxy import Proxy, Weather, free_port
from tests.support.postgres import PostgresServer, start_postgres
from tests.support.road import District, Road

STAFF: Final = 1_100
CHANGES: Final = 50
REQUESTS_MAX: Final = 5
"""A run whose reading fails ends without a plan; whoever wants the change asks again."""
RESUMES_MAX: Final = 8
ROUND_SECONDS_MAX: Final = 120.0
PHASE_SEEDS: Final = 1_000_000
"""The second portion of weather comes from this seed higher."""
PARTS: Final = ("bus", "vendor", "database")

# Two portions a round, one from the request to the plan and one from the approval on. A connection that is lost with a
# question under way costs its asker five to ten seconds, so that more of them would only make the round longer.
WEATHER: Final[Mapping[str, Weather]] = {
    # A service has few connections to the bus and keeps them: most of them must end badly.
    "bus": Weather(
        {"reset": 0.5, "half_open": 0.15, "drop": 0.15, "slow_close": 0.1},
        slow_share=0.3,
        after_bytes_max=200_000,
        lasts_seconds=1.0,
        faults_max=4,
    ),
    "vendor": Weather(
        {"reset": 0.3, "half_open": 0.15, "drop": 0.1, "slow_close": 0.1, "refuse": 0.1},
        slow_share=0.2,
        after_bytes_max=15_000,
        lasts_seconds=0.5,
        faults_max=5,
    ),
    "database": Weather(
        {"reset": 0.3, "half_open": 0.1, "drop": 0.1, "refuse": 0.2},
        slow_share=0.2,
        latency_seconds_max=0.01,
        after_bytes_max=30_000,
        lasts_seconds=1.0,
        faults_max=3,
    ),
}


_ALL_RUNS = RunsQuery()


def _is_decidable_or_over(answer: RunAnswer) -> bool:
    return answer.run is not None and (
        answer.run.status in ("awaiting_approval", "held") or is_terminal(RunStatus(answer.run.status))
    )


def _is_over_or_paused(answer: RunAnswer) -> bool:
    return answer.run is not None and (answer.run.status == "paused" or is_terminal(RunStatus(answer.run.status)))


@dataclass(frozen=True)
class RoundReport:
    """What one round saw."""

    seed: int
    faults: dict[str, int]
    """Faults that really happened, by part and kind (`bus.reset`)."""
    runs: int
    changes: int
    """Changes that took effect."""
    violations: tuple[str, ...]
    """What must hold and did not."""
    told: tuple[str, ...] = field(default=())
    """How the round went, for a person who looks for the reason of a violation."""


class StackBehindProxies(Stack):
    """A demonstration stack that knows its vendor by the proxy's address."""

    vendor_proxy: Proxy
    ledger_url: str

    async def _start_systems(self) -> None:
        await super()._start_systems()
        self.vendor_proxy.upstream_port = int(self.vendor_url.rsplit(":", 1)[1])
        write_demo_connections(self.layout, vendor_url=f"http://127.0.0.1:{self.vendor_proxy.port}")

    async def _give_past(self) -> None:
        await super()._give_past()
        environment = {"AETHER_DATABASE_URL": self.ledger_url}
        await self._run_once("services.differ.seeding", str(self.layout.past), environment=environment)


class HouseBehindProxies:
    """A running house, its proxies, and rounds in it."""

    def __init__(self, road: Road, proxies: Mapping[str, Proxy]) -> None:
        self.road = road
        self.proxies = proxies
        self._rounds = 0

    def arm(self, seed: int, parts: tuple[str, ...] = PARTS) -> None:
        """Let the weather come up; what is connected is cut, so that it meets it."""
        for part in parts:
            proxy = self.proxies[part]
            proxy.reseed(seed)
            proxy.weather = WEATHER[part]
            proxy.cut()

    def calm(self) -> None:
        """Let the weather end for all that connects from now on."""
        for proxy in self.proxies.values():
            proxy.weather = None

    async def round(self, seed: int, parts: tuple[str, ...] = PARTS) -> RoundReport:
        """One run of fifty changes in bad weather; never raises for what the house does wrong."""
        told: list[str] = []
        violations: list[str] = []
        applied = runs = 0
        before = self._counted()
        if self._rounds:
            self._edit_people(seed)
        self._rounds += 1
        effects_before = await self.road.effects()
        try:
            async with asyncio.timeout(ROUND_SECONDS_MAX):
                self.arm(seed, parts)
                answer, runs = await self._planned(told)
                await self._approve(answer)
                self.arm(seed + PHASE_SEEDS, parts)
                ended = await self._ended(answer, told)
                self.calm()
                applied = await self._checked(ended, effects_before, violations)
        except TimeoutError:
            violations.append(f"not at its end after {ROUND_SECONDS_MAX:g} s")
        except AssertionError as failed:
            violations.append(str(failed).splitlines()[0])
        finally:
            self.calm()
        faults = self._counted() - before
        for kind in list(faults):
            if kind.endswith(".connections"):
                del faults[kind]
        return RoundReport(seed, dict(faults), runs, applied, tuple(violations), tuple(told))

    # --- the road ---------------------------------------------------------------------------------------------------

    async def _planned(self, told: list[str]) -> tuple[RunAnswer, int]:
        for number in range(1, REQUESTS_MAX + 1):
            run = await self._requested()
            answer = await self.road.until(run, _is_decidable_or_over, "planned")
            assert answer.run is not None
            if answer.run.status in ("awaiting_approval", "held"):
                return answer, number
            told.append(f"{run} {answer.run.status}: {answer.run.failure}")
            await self.road.until_sealed(run)
        raise AssertionError(f"no plan in {REQUESTS_MAX} runs: {told}")

    async def _requested(self) -> str:
        while True:  # bounded by the round
            # A request that nobody answered, and one refused because an earlier one went through: both asked again.
            with contextlib.suppress(CommandFailed):
                async with self.road.stack.client("viewer") as viewer:
                    known = await viewer.runs(_ALL_RUNS)
                for view in known.runs:
                    if not is_terminal(RunStatus(view.status)):
                        return view.run
                return await self.road.request("apply")
            await asyncio.sleep(0.2)

    async def _approve(self, answer: RunAnswer) -> None:
        assert answer.run is not None
        is_override = answer.run.status == "held"
        for person in ("approver", "approver2"):
            while True:  # bounded by the round
                with contextlib.suppress(CommandFailed):
                    reply = await self.road.approve(answer, approver=person, is_override=is_override)
                    if reply.status == "approved":
                        return
                    if reply.is_accepted or (reply.refusal is not None and reply.refusal.code != "AUD_UNAVAILABLE"):
                        break
                await asyncio.sleep(0.2)
            now = await self.road.until(answer.run.run, lambda _: True, "known")
            if now.run is not None and now.run.status not in ("awaiting_approval", "held"):
                return

    async def _ended(self, answer: RunAnswer, told: list[str]) -> RunAnswer:
        assert answer.run is not None
        run = answer.run.run
        for _ in range(RESUMES_MAX):
            ended = await self.road.until(run, _is_over_or_paused, "at its end")
            assert ended.run is not None
            if ended.run.status != "paused":
                return ended
            told.append(f"{run} paused: {ended.run.failure}")
            with contextlib.suppress(CommandFailed):
                async with self.road.stack.client("operator") as operator:
                    await operator.resume(NameRun(run=run, reason="the network is back"))
            await self.road.until(run, lambda now: now.run is not None and now.run.status != "paused", "resumed")
        raise AssertionError(f"paused again and again: {told}")

    async def _checked(self, ended: RunAnswer, effects_before: Mapping[str, list[str]], violations: list[str]) -> int:
        """The changes that took effect; what is wrong is added to the violations."""
        assert ended.run is not None
        run, counts = ended.run.run, ended.run.counts
        if ended.run.status != "succeeded" or counts is None:
            violations.append(f"{run} ended {ended.run.status}: {ended.run.failure}")
        effects = await self.road.effects()
        own = {key: texts[len(effects_before.get(key, [])) :] for key, texts in effects.items()}
        twice = {key: texts for key, texts in own.items() if len(texts) > 1}
        if twice:
            violations.append(f"{run}: done more than once: {twice}")
        done = sum(bool(texts) for texts in own.values())
        if counts is not None and counts.applied + counts.noop_already != counts.planned:
            violations.append(f"{run}: {counts}")
        if counts is not None and done != counts.applied:
            violations.append(f"{run}: {counts.applied} counted as applied, {done} took effect")
        if counts is not None and counts.planned != CHANGES:
            violations.append(f"{run}: {counts.planned} changes planned, {CHANGES} were made")
        await self.road.until_sealed(run)
        report = await self.road.verify()
        if not report.is_valid:
            violations.append(f"{run}: the audit log does not verify: {report.first_failure}")
        return done

    # --- what happens outside -----------------------------------------------------------------------------------------

    def _edit_people(self, seed: int) -> None:
        """Fifty people have a new number: what the next run is to carry over."""
        rng = Random(seed)
        with contextlib.closing(sqlite3.connect(self.road.stack.layout.district / "hr.db")) as database:
            # Only people of whom there is one row, in scope and with a valid number: one edit, one change.
            rows = database.execute(
                "SELECT person_id FROM hr_person WHERE trim(status_code) = 'A' AND mobile IS NOT NULL AND trim(upper("
                "employee_id)) IN (SELECT trim(upper(employee_id)) FROM hr_person GROUP BY 1 HAVING count(*) = 1)"
            ).fetchall()
            settled = self._mirrored()
            chosen = rng.sample([row for (row,) in rows if row in settled], CHANGES)
            for number, person in enumerate(chosen):
                mobile = f"+1310555{(seed * 97 + number) % 100:02d}{number:02d}"
                database.execute("UPDATE hr_person SET mobile = ? WHERE person_id = ?", (mobile, person))
            database.commit()

    def _mirrored(self) -> set[int]:
        """People who have a contact at the vendor that is in use."""
        truth = self.road.district.truth
        unusual = {key for keys in truth["changes"].values() for key in keys} | set(truth["quarantined"])
        with contextlib.closing(sqlite3.connect(self.road.stack.layout.district / "hr.db")) as database:
            known = database.execute("SELECT person_id, trim(upper(employee_id)) FROM hr_person").fetchall()
        contacts = json.loads((self.road.stack.layout.district / "titanhst.json").read_bytes())["contacts"]
        in_use = {one["externalId"] for one in contacts if one["externalId"] and one.get("mobilePhone")}
        return {person for person, key in known if key in in_use and key not in unusual}

    def _counted(self) -> Counter[str]:
        return Counter(
            {
                f"{part}.{kind}": number
                for part, proxy in self.proxies.items()
                for kind, number in proxy.counters.items()
            }
        )


@contextlib.asynccontextmanager
async def house_behind_proxies(folder: Path, postgres: PostgresServer) -> AsyncIterator[HouseBehindProxies]:
    """A running house, in calm weather."""
    district = District(folder / "sample")
    make(
        out=district.folder,
        seed=7,
        staff=STAFF,
        counts=ChangeCounts(create=14, update=20, rename=2, role_change=3, suspend=8, reactivate=3),
    )
    async with contextlib.AsyncExitStack() as held:
        bus_port = free_port()
        proxies = {
            "bus": await held.enter_async_context(Proxy(bus_port)),
            "vendor": await held.enter_async_context(Proxy(0)),
            "database": await held.enter_async_context(Proxy(postgres.port)),
        }
        name = f"house_{bus_port}"
        urls = {service: postgres.create_database(f"{name}_{service}") for service in ("differ", "auditor")}
        through = {
            service: url.replace(f":{postgres.port}/", f":{proxies['database'].port}/") for service, url in urls.items()
        }
        stack = StackBehindProxies(
            folder / "house",
            is_demo=True,
            port=bus_port,
            settings={
                service: {
                    "AETHER_NATS_URL": f"nats://127.0.0.1:{proxies['bus'].port}",
                    **({"AETHER_DATABASE_URL": through[service]} if service in through else {}),
                }
                for service in ("extractor", "differ", "applier", "auditor")
            },
        )
        stack.vendor_proxy, stack.ledger_url = proxies["vendor"], urls["differ"]
        shutil.copytree(district.folder, stack.layout.district, dirs_exist_ok=True)
        await held.enter_async_context(stack)
        yield HouseBehindProxies(Road(stack, district), proxies)


async def proxy_round(seed: int) -> RoundReport:
    """A round in a house of its own: for whoever runs many seeds. Call it from the main thread."""
    with tempfile.TemporaryDirectory(prefix="aether-proxies-") as name:
        folder = Path(name)
        with start_postgres(folder) as postgres:
            async with house_behind_proxies(folder, postgres) as house:
                return await house.round(seed)
