"""One plan applied to the simulated vendor over HTTP: with a rate shared through the bus, and without any limit.

`python -m bench.apply [--changes 400] [--free-changes 3000] [--rate 50] [--burst 3] [--json FILE]` starts the bus and
the vendor as programs of their own and runs the applier's own work in this process, as one or two replicas' worth of
it: every change is looked at, intended, written and concluded, intents and outcomes durable. With the rate, each
request takes 80 ms at the vendor and one in fifty is answered 500; two plans share one connection, each with a bus
connection and a pacer of its own. Judged by the vendor's stopwatch and its journal. `--burst` is what the vendor lets
pass at once: a bucket of exactly one would refuse whatever comes a millisecond early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import httpx
from nats.js import JetStreamContext

from bench.plan import plan_header
from services.applier.apply import Applying, Surroundings
from services.applier.journal import Journal
from services.applier.outcomes import counts_of, read_known
from shared.bus.budget import Pacers
from shared.bus.commit import Committer
from shared.bus.connect import BusSettings, connect, leave
from shared.bus.embedded import EmbeddedServer
from shared.bus.lease import plant_fence
from shared.bus.provision import provision
from shared.bus.topology import PROVISIONER
from shared.clock import SystemClock
from shared.hashing.commitment import subject_key
from shared.ids import RandomIds, new_run_id
from shared.plan.change import Cause, Change, ChangeClass, FieldChange, Write, change_id_of, state_commitment
from shared.plan.document import EntityPlan, in_order
from shared.ports.connections import Connection
from shared.ports.registry import Registry, installed_systems_folder
from shared.ports.surroundings import Surroundings as SystemSurroundings
from shared.ports.system import Target
from shared.secrets import Secret

MASTER = bytes(range(32))
TARGET, ENTITY = "alerts", "contacts"
COMPARED = ("external_id", "first_name", "last_name", "email", "mobile", "role", "location", "active")
TOKENS = {"env:READ": "read-token-of-the-measurement", "env:WRITE": "write-token-of-the-measurement"}
LATENCY_SECONDS, ERROR_SHARE = 0.08, 0.02
START_SECONDS_MAX = 30.0
CLOCK, IDS = SystemClock(), RandomIds()


@dataclass
class Measured:
    """What one measurement saw."""

    name: str
    changes: int
    plans: int
    in_flight: int
    seconds: float
    changes_per_second: float
    cpu_ms_per_change: float
    """Processor time of the applier's process; it tells more where other work shares the machine."""
    requests: int
    requests_per_second: float
    rate: float | None
    share_used: float | None
    """Of the requests that the rate allowed between the first and the last one."""
    share_while_begun: float | None
    """The same until the last change was begun: behind that, what waits after an error has the rate for itself."""
    busiest_second: int
    too_many_requests: int
    errors: int
    """Answers of 5xx."""
    applied: int
    written_twice: int
    """Records that the vendor changed more than once."""


@dataclass(frozen=True)
class Vendor:
    """The simulated vendor, a program of its own."""

    url: str

    async def control(self, method: str, path: str, **options: Any) -> Any:
        """Ask its control plane."""
        async with httpx.AsyncClient(base_url=f"{self.url}/_sim", trust_env=False, timeout=60.0) as client:
            answer = await client.request(method, path, **options)
            answer.raise_for_status()
            return answer.json() if answer.content else None


def main() -> None:
    """Measure and print."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="aether-apply-") as folder:
        measured = _all(options, Path(folder))
    for one in measured:
        print(f"\n{one.name}: {one.changes} changes in {one.plans} plans, {one.in_flight} at once each")
        print(
            f"  {one.seconds:.2f} s, {one.changes_per_second:,.0f} changes/s, "
            f"{one.requests_per_second:,.1f} requests/s; {one.cpu_ms_per_change:.2f} ms of processor a change"
        )
        if one.share_used is not None:
            print(
                f"  {one.share_used:.1%} of {one.rate:g}/s used ({one.share_while_begun:.1%} until the last change was "
                f"begun), busiest second {one.busiest_second}"
            )
        print(
            f"  {one.requests} requests, {one.too_many_requests} of them 429, {one.errors} of them 5xx; "
            f"{one.applied} applied, {one.written_twice} written twice"
        )
    print(f"\nload of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=2) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=400, help="under the rate")
    parser.add_argument("--free-changes", type=int, default=3_000, help="without a rate; 0 leaves that out")
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--burst", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--free-in-flight", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _all(options: argparse.Namespace, folder: Path) -> list[Measured]:
    measured = [
        under_rate(
            folder / "paced",
            changes=options.changes,
            rate=options.rate,
            burst=options.burst,
            plans=plans,
            in_flight=options.in_flight,
        )
        for plans in (1, 2)
    ]
    if options.free_changes:
        measured += [
            without_limit(folder / "free", changes=options.free_changes, in_flight=in_flight)
            for in_flight in options.free_in_flight
        ]
    return measured


def under_rate(folder: Path, *, changes: int, rate: float, burst: int, plans: int, in_flight: int) -> Measured:
    """Plans that share one rate, at a vendor that is slow and sometimes breaks."""
    faults: list[dict[str, Any]] = [
        {"kind": "server_error", "status": 500, "probability": ERROR_SHARE, "seed": 7, "times": 1_000_000},
        {"kind": "slow", "seconds": LATENCY_SECONDS, "times": 1_000_000},
    ]
    name = f"rate {rate:g}/s, burst {burst}"
    with _vendor(folder, contacts=changes, rate=rate, burst=burst) as vendor, _bus(folder) as server:
        work = _measured(
            name, vendor, server, faults=faults, changes=changes, rate=rate, plans=plans, in_flight=in_flight
        )
        return asyncio.run(work)


def without_limit(folder: Path, *, changes: int, in_flight: int) -> Measured:
    """One plan as fast as it goes, at a vendor that answers at once."""
    with _vendor(folder, contacts=changes, rate=None, burst=1) as vendor, _bus(folder) as server:
        work = _measured(
            "no limit", vendor, server, faults=[], changes=changes, rate=None, plans=1, in_flight=in_flight
        )
        return asyncio.run(work)


async def _measured(
    name: str,
    vendor: Vendor,
    server: EmbeddedServer,
    *,
    faults: Sequence[dict[str, Any]],
    changes: int,
    rate: float | None,
    plans: int,
    in_flight: int,
) -> Measured:
    await _provisioned(server)
    if faults:
        await vendor.control("POST", "/faults", json=list(faults))
    parts = [
        in_order(_change(number) for number in range(1, changes + 1) if number % plans == part) for part in range(plans)
    ]
    clients = [
        await connect(BusSettings(server.url, "applier", server.password_of("applier")), wait_seconds=10.0)
        for _ in parts
    ]
    began, cpu = time.monotonic(), time.process_time()
    try:
        applied = await asyncio.gather(
            *(
                _apply(part, vendor, client.jetstream(), rate=rate, in_flight=in_flight)
                for part, client in zip(parts, clients, strict=True)
            )
        )
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    finally:
        for client in clients:
            await leave(client)
    seen = await vendor.control("GET", "/stopwatch")
    effects = (await vendor.control("GET", "/effects"))["effects"]
    spent, requests = seen["seconds"], seen["requests"]
    begun, begun_seconds = await _while_begun(vendor)
    return Measured(
        name=name,
        changes=changes,
        plans=plans,
        in_flight=in_flight,
        seconds=seconds,
        changes_per_second=changes / seconds,
        cpu_ms_per_change=cpu / changes * 1000,
        requests=requests,
        requests_per_second=(requests - 1) / spent,
        rate=rate,
        share_used=(requests - 1) / (spent * rate) if rate is not None else None,
        share_while_begun=(begun - 1) / (begun_seconds * rate) if rate is not None else None,
        busiest_second=seen["busiest_second"],
        too_many_requests=seen["too_many_requests"],
        errors=sum(count for status, count in seen["statuses"].items() if status.startswith("5")),
        applied=sum(applied),
        written_twice=sum(len(done) > 1 for done in effects.values()),
    )


async def _while_begun(vendor: Vendor) -> tuple[int, float]:
    """Requests until the last record was asked for the first time, and the seconds of it, by the vendor's journal."""
    entries = (await vendor.control("GET", "/journal"))["entries"]
    moments = [datetime.fromisoformat(entry["time"]).timestamp() for entry in entries]
    first_of: dict[str, float] = {}
    for entry, moment in zip(entries, moments, strict=True):
        first_of.setdefault(entry["path"], moment)
    last_begun = max(first_of.values())
    return sum(moment <= last_begun for moment in moments), last_begun - moments[0]


async def _apply(
    changes: Sequence[Change], vendor: Vendor, js: JetStreamContext, *, rate: float | None, in_flight: int
) -> int:
    """The applier's own work on one plan, with a journal on the bus; how many changes were applied."""
    run = new_run_id(CLOCK.now(), IDS)
    committer = Committer(js, service="applier", clock=CLOCK)
    # Each replica of a measurement has a fence of its own: what is measured is the rate they share, not the lease.
    fence = await plant_fence(js, committer, target=run.lower(), token=1)
    journal = Journal(js, committer, run=run, token=1, fence=fence)
    target = _target(vendor, js, rate=rate)

    async def reopened() -> Target:
        return target

    async def throttled(seconds: float, why: object) -> None:
        """The run's state is not measured."""

    header = plan_header(changes, target=TARGET, run=run).model_copy(
        update={"entities": (EntityPlan(entity=ENTITY, compared_fields=COMPARED, personal_fields=()),)}
    )
    applying = Applying(
        target=target,
        header=header,
        journal=journal,
        known=await journal.read(),
        around=Surroundings(
            require_held=lambda: None,
            is_cancelled=lambda: False,
            is_pause_asked=lambda: False,
            throttled=throttled,
            reopened=reopened,
            sleep=asyncio.sleep,
            monotonic_seconds=time.monotonic,
            rng=Random(3),
            in_flight=in_flight,
        ),
    )
    try:
        stop = await applying.run(changes)
    finally:
        await journal.close()
        await target.close()
    if stop is not None:
        raise SystemExit(f"the run stopped: {stop.note.code}: {stop.note.text}")
    return counts_of([one.change_id for one in changes], await read_known(js, run)).applied


def _target(vendor: Vendor, js: JetStreamContext, *, rate: float | None) -> Target:
    registry = Registry(
        installed_systems_folder(),
        surroundings=SystemSurroundings(resolve=lambda reference: Secret(TOKENS[reference])),
        pacers=Pacers(js, clock=CLOCK, ids=IDS, wait_seconds_max=1.5),
    )
    return registry.open_target(
        Connection(
            name=TARGET,
            system="titanhst",
            environment="staging",
            rate_per_second=rate,
            settings={"base_url": vendor.url, "token": "env:READ", "write_token": "env:WRITE"},
        )
    )


def _change(number: int) -> Change:
    """An update of one seeded contact."""
    key, target_id = f"E{number}", f"c-{number:06d}"
    key_bytes = subject_key(MASTER, f"{TARGET}/{ENTITY}/{key}")
    live = {
        "external_id": key,
        "first_name": f"First{number}",
        "last_name": f"Last{number}",
        "email": f"person{number}@district.example",
        "mobile": None,
        "role": "TEACHER",
        "location": "TL-010",
        "active": True,
    }
    after = {"first_name": f"New{number}"}
    return Change(
        change_id=change_id_of(
            target=TARGET,
            entity=ENTITY,
            key=key,
            change_class=ChangeClass.UPDATE,
            after_commitment=state_commitment(key_bytes, after),
        ),
        target=TARGET,
        entity=ENTITY,
        key=key,
        target_id=target_id,
        change_class=ChangeClass.UPDATE,
        verb="update",
        fields=(
            FieldChange(
                name="first_name", before=live["first_name"], after=after["first_name"], cause=Cause.SOURCE_CHANGE
            ),
        ),
        precondition=state_commitment(key_bytes, live),
        write=Write(method="PATCH", path=f"/api/v1/contacts/{target_id}", body={"firstName": after["first_name"]}),
        commitment_key=key_bytes.hex(),
        wave=1,
    )


@contextmanager
def _bus(folder: Path) -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="bus-", dir=folder) as store, EmbeddedServer(Path(store)) as server:
        yield server


async def _provisioned(server: EmbeddedServer) -> None:
    client = await connect(BusSettings(server.url, PROVISIONER, server.password_of(PROVISIONER)), wait_seconds=10.0)
    await provision(client.jetstream())
    await leave(client)


@contextmanager
def _vendor(folder: Path, *, contacts: int, rate: float | None, burst: int) -> Iterator[Vendor]:
    folder.mkdir(parents=True, exist_ok=True)
    seed = {
        "locations": [{"code": "TL-010", "name": "North"}],
        "contacts": [
            {
                "id": f"c-{number:06d}",
                "externalId": f"E{number}",
                "firstName": f"First{number}",
                "lastName": f"Last{number}",
                "email": f"person{number}@district.example",
                "role": "TEACHER",
                "locationCode": "TL-010",
            }
            for number in range(1, contacts + 1)
        ],
    }
    with tempfile.TemporaryDirectory(prefix="vendor-", dir=folder) as place:
        files = {name: Path(place) / name for name in ("seed", "read", "write", "ready")}
        files["seed"].write_text(json.dumps(seed), encoding="utf-8")
        files["read"].write_text(TOKENS["env:READ"], encoding="utf-8")
        files["write"].write_text(TOKENS["env:WRITE"], encoding="utf-8")
        command = [sys.executable, "-m", "simulators.titanhst", "--state", str(files["seed"])]
        command += ["--read-token-file", str(files["read"]), "--write-token-file", str(files["write"])]
        command += ["--ready-file", str(files["ready"]), "--burst", str(burst)]
        command += ["--rate-per-second", str(rate)] if rate is not None else []
        process = subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1])
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not files["ready"].exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the simulated vendor did not start within {START_SECONDS_MAX:g} s")
                time.sleep(0.02)
            yield Vendor(json.loads(files["ready"].read_bytes())["url"])
        finally:
            process.terminate()
            process.wait(START_SECONDS_MAX)


if __name__ == "__main__":
    main()
