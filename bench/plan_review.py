"""What it costs to show the plan review of a large plan: whole pages and API answers, as the console makes them.

`python -m bench.plan_review [--changes 50000] [--rounds 40] [--postgres]` fills an auditor's database as
`bench.console_plan` does and asks the console in this process, without sockets. Prints the median and the 95th of 100
in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sqlalchemy import insert

from bench.console_plan import GOAL_MS, RUN, SITES, fill
from services.auditor.store import Store
from shared.audit import tables
from shared.run.state import PlanSummary, RunState
from shared.run.states import RunStatus
from tests.console.harness import console_under_test
from tests.support.postgres import start_postgres

MOMENT: Final = "2026-11-22T07:55:00.000Z"
CLASSES: Final = {"update": 35_000, "create": 10_000, "suspend": 2_500, "role_change": 2_500}


def waiting_run(changes: int) -> RunState:
    """The run whose plan waits for a decision."""
    plan = PlanSummary(
        plan_digest=f"sha256:{'1' * 64}", content_digest=f"sha256:{'2' * 64}", verdict_digest=f"sha256:{'3' * 64}",
        verdict_level="PASS", changes=changes, changes_by_class=CLASSES, approvals_needed=1, created_at=MOMENT,
        expires_at="2099-01-01T00:00:00.000Z",
    )  # fmt: skip
    return RunState(
        run=RUN, connector="staff", connector_version="1.0.0", release_digest=f"sha256:{'4' * 64}", mode="apply",
        requester="otto", status=RunStatus.AWAITING_APPROVAL, changed_at=MOMENT, work=(), partitions=1,
        target="titanhst", plan=plan,
    )  # fmt: skip


async def measure(folder: Path, url: str, *, changes: int, rounds: int, seed: int) -> dict[str, list[float]]:
    """Milliseconds of each request, by what was asked; the record is that at `url`, which is empty still."""
    (folder / "identities.json").write_text(json.dumps({"people": {"anna": {"roles": ["approver"]}}}))
    store = Store.open(url)
    await store.migrate()
    await store.take_over(1)
    await fill(store, changes, seed)
    state = waiting_run(changes)
    row = {
        "run": RUN, "seq": 1, "connector": state.connector, "status": state.status.value, "requested_at": MOMENT,
        "changed_at": MOMENT, "state": state.model_dump_json(), "requester": state.requester, "mode": state.mode,
        "plan_digest": f"sha256:{'1' * 64}",
    }  # fmt: skip
    known = {column.name for column in tables.run.columns}
    async with store.engine.begin() as connection:
        await connection.execute(insert(tables.run), {name: value for name, value in row.items() if name in known})
    await store.close()
    rng, page = random.Random(seed), f"/runs/{RUN}/plan"
    asked: dict[str, Callable[[], str]] = {
        "page: the first": lambda: page,
        "page: any": lambda: f"{page}?offset={rng.randrange(changes)}",
        "page: any of a class": lambda: f"{page}?change_class=update&offset={rng.randrange(changes // 4)}",
        "page: a cohort": lambda: f"{page}?cohort=site%3DSITE-{rng.randrange(SITES):03d}",
        "page: search for a key": lambda: f"{page}?text={100_000 + rng.randrange(changes)}",
        "page: class and search": lambda: f"{page}?change_class=create&text=site-{rng.randrange(SITES):03d}",
        "page: identical changes": lambda: f"{page}?by=alike",
        "page: by cohort": lambda: f"{page}?by=cohort",
        "api: any page of changes": lambda: f"/api/v1{page}/changes?offset={rng.randrange(changes)}",
        "api: groups by class": lambda: f"/api/v1{page}/groups?by=class",
    }
    console = console_under_test(folder, audit_database_url=url)
    found: dict[str, list[float]] = {}
    async with console.as_person("anna", "approver", stepped_up=True) as browser:
        for name, path in asked.items():
            found[name] = []
            for _ in range(rounds):
                began = time.perf_counter()
                answer = await browser.get(path())
                found[name].append((time.perf_counter() - began) * 1000)
                assert answer.status_code == 200, answer.text[:500]
    await console.console.records.close()
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL as well")
    options = parser.parse_args()
    asked = {"changes": options.changes, "rounds": options.rounds, "seed": options.seed}
    with tempfile.TemporaryDirectory(prefix="aether-review-") as name:
        folder = Path(name)
        _print("SQLite", asyncio.run(measure(folder, f"sqlite+aiosqlite:///{folder / 'auditor.db'}", **asked)))
        if options.postgres:
            with start_postgres(folder) as server:
                _print("PostgreSQL", asyncio.run(measure(folder, server.create_database("audit"), **asked)))
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _print(database: str, found: dict[str, list[float]]) -> None:
    print(f"{database + ', milliseconds':<30}{'p50':>10}{'p95':>10}{'first':>10}")
    for name, values in found.items():
        high = sorted(values)[max(0, round(len(values) * 0.95) - 1)]
        over = "  over the goal" if high > GOAL_MS else ""
        print(f"{name:<30}{statistics.median(values):10.1f}{high:10.1f}{values[0]:10.1f}{over}")


if __name__ == "__main__":
    main()
