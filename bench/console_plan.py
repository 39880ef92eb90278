"""What it costs to page through a large plan, to filter, group and search it, in the auditor's database.

`python -m bench.console_plan [--changes 50000] [--rounds 40] [--postgres] [--json FILE]` makes the rows of a plan as
the auditor does, writes them through its own store, and asks what a console asks, over a reading connection: each
question on a fresh connection (cold: nothing but the files' pages in the machine's memory) and on one that stays open
(warm). Prints the median and the 95th of 100 in milliseconds. No bus takes part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import insert

from services.auditor.plan_rows import PlanMaking
from services.auditor.store import Store
from shared.audit import tables
from shared.audit.lookups import Lookups
from shared.audit.opening import read_only_engine
from shared.audit.plan_lookups import PlanFilter, PlanLookups
from shared.audit.stored import PlanReview
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Cause, Change, ChangeClass, FieldChange, Write
from shared.plan.document import PAGE_CHANGES_MAX, EntityPlan, Plan, PlanHeader, PlanPage
from shared.plan.pages import body_of_page
from shared.policy.figures import CohortFigures, EntityFigures, GuardFigures
from shared.policy.guard import guard
from shared.policy.limits import DEFAULT_POLICY
from tests.support.postgres import start_postgres

RUN: Final = "20261122T075500-000001"
SITES: Final = 80
NAMES: Final = ("Sample", "Example", "Muster", "Placeholder", "Specimen")
GOAL_MS: Final = 100.0
CLASSES: Final = (*(ChangeClass.UPDATE,) * 14, *(ChangeClass.CREATE,) * 4, ChangeClass.SUSPEND, ChangeClass.ROLE_CHANGE)

Question = Callable[[PlanLookups], Awaitable[object]]


def change(number: int, rng: random.Random) -> Change:
    """One synthetic change: a few fields of an existing record, or a whole new one."""
    kind = rng.choice(CLASSES)
    site, other = f"SITE-{rng.randrange(SITES):03d}", f"SITE-{rng.randrange(SITES):03d}"
    fields = [
        FieldChange(name="site", before=None if kind is ChangeClass.CREATE else site, after=other, cause=Cause.DRIFT),
        FieldChange(name="last_name", before="Old", after=rng.choice(NAMES), cause=Cause.SOURCE_CHANGE),
    ]
    if kind is ChangeClass.CREATE:
        fields += [
            FieldChange(name=f"field_{place}", before=None, after=rng.randrange(10_000), cause=Cause.SOURCE_CHANGE)
            for place in range(10)
        ]
    return Change(
        change_id=sha256_hex(f"change {number}".encode()), target="titanhst", entity="staff", key=str(100_000 + number),
        target_id=str(number), change_class=kind, verb="update", fields=tuple(fields), precondition=None,
        write=Write(method="PUT", path="/staff", body=None), wave=1,
        commitment_key=sha256_hex(f"key {number}".encode()),
        cohort=f"site={other if kind is ChangeClass.CREATE else site}",
    )  # fmt: skip


def pages(changes: int, seed: int) -> Iterator[PlanPage]:
    """The pages of the plan; the same for the same seed."""
    rng = random.Random(seed)
    for number, first in enumerate(range(0, changes, PAGE_CHANGES_MAX), start=1):
        some = tuple(change(place, rng) for place in range(first, min(first + PAGE_CHANGES_MAX, changes)))
        yield PlanPage(run=RUN, partition=0, number=number, changes=some)


def plan(changes: int) -> Plan:
    """The header, with the guard's cohorts by site."""
    cohorts = tuple(
        CohortFigures(cohort=f"site=SITE-{number:03d}", live_managed=50, changes={}) for number in range(SITES)
    )
    moment = "2026-11-22T08:00:00.000Z"
    figures = GuardFigures(
        entities=(
            EntityFigures(
                entity="staff", sources=(), is_target_certified=True, live_managed=4000, desired=4000, changes={}
            ),
        )
    )
    verdict = guard(figures, DEFAULT_POLICY)
    figures = GuardFigures(entities=(figures.entities[0].model_copy(update={"cohorts": cohorts}),))
    header = PlanHeader(
        run=RUN, requester="otto", connector="staff", connector_version="1", release_digest="sha256:r",
        target="titanhst", target_system="titanhst", environment="staging", target_serial=0, target_read_at=moment,
        entities=(EntityPlan(entity="staff", compared_fields=("site",), personal_fields=("last_name",)),),
        certificates=(), figures=figures, policy=DEFAULT_POLICY, verdict=verdict, excluded=(), changes=changes,
        changes_by_class={}, approvals_needed=1, created_at=moment, expires_at=moment,
    )  # fmt: skip
    return Plan(header=header, pages=(), plan_digest="sha256:p", content_digest="sha256:c")


async def fill(store: Store, changes: int, seed: int) -> PlanReview:
    """Write the plan's rows as the auditor does, and outcomes for half of them."""
    making = PlanMaking(plan(changes), run=RUN)
    for page in pages(changes, seed):
        making.count(body_of_page(page))
    making.order()
    ids: list[str] = []
    for page in pages(changes, seed):
        rows = making.rows(page, subject="plan.page")
        ids += [one.change_id for one in page.changes]

        async def add(connection: Any, rows: Any = rows) -> None:
            await connection.execute(insert(tables.plan_change), rows.changes)
            await connection.execute(insert(tables.plan_change_body), rows.bodies)

        await store.write(1, add)
    review = making.review()
    outcomes = [
        {"run": RUN, "change_id": one, "result": "applied" if place % 500 else "failed", "code": None}
        for place, one in enumerate(ids[: changes // 2])
    ]

    async def end(connection: Any) -> None:
        await connection.execute(insert(tables.change_outcome), outcomes)
        row = {"run": RUN, "plan_digest": "sha256:p", "is_listed": True, "body": review.model_dump_json()}
        await connection.execute(insert(tables.plan_review), row)

    await store.write(1, end)
    await store.count_rows((tables.plan_change, tables.plan_change_body, tables.change_outcome))
    return review


def questions(changes: int, rng: random.Random) -> dict[str, Question]:
    """What a console asks, with a place or a text that differs each time."""

    def page(**wanted: Any) -> Question:
        return lambda plans: plans.changes(RUN, PlanFilter(**wanted), offset=0, limit=50)

    def deep(**wanted: Any) -> Question:
        return lambda plans: plans.changes(RUN, PlanFilter(**wanted), offset=rng.randrange(changes // 4), limit=50)

    return {
        "first page": page(),
        "any page": lambda plans: plans.changes(RUN, PlanFilter(), offset=rng.randrange(changes), limit=50),
        "any page of a class": deep(change_class="update"),
        "text: a key": lambda plans: plans.changes(
            RUN, PlanFilter(text=str(100_000 + rng.randrange(changes))), offset=0, limit=50
        ),
        "text: a value of many": lambda plans: plans.changes(
            RUN, PlanFilter(text=f"site-{rng.randrange(SITES):03d}"), offset=0, limit=50
        ),
        "text: nothing": page(text="nowhere to be found"),
        "class and text": lambda plans: plans.changes(
            RUN, PlanFilter(change_class="create", text=f"site-{rng.randrange(SITES):03d}"), offset=0, limit=50
        ),
        "cohort": lambda plans: plans.changes(
            RUN, PlanFilter(cohort=f"site=SITE-{rng.randrange(SITES):03d}"), offset=0, limit=50
        ),
        "result: failed": page(result="failed"),
        "result: applied": page(result="applied"),
        "result: open": page(result="open"),
        "groups by class": lambda plans: plans.groups(RUN, "class", PlanFilter(), limit=50),
        "groups by cohort": lambda plans: plans.groups(RUN, "cohort", PlanFilter(), limit=50),
        "groups of alike": lambda plans: plans.groups(RUN, "alike", PlanFilter(), limit=50),
        "groups of alike in a class": lambda plans: plans.groups(
            RUN, "alike", PlanFilter(change_class="update"), limit=50
        ),
        "one change": lambda plans: plans.change(RUN, sha256_hex(f"change {rng.randrange(changes)}".encode())),
        "a record over its runs": lambda plans: plans.changes_of_key(str(100_000 + rng.randrange(changes)), limit=20),
    }


async def measure(url: str, *, changes: int, rounds: int, seed: int) -> dict[str, dict[str, float]]:
    """Milliseconds by question: median and 95th of 100, cold and warm."""
    store = Store.open(url)
    await store.migrate()
    await store.take_over(1)
    began = time.perf_counter()
    await fill(store, changes, seed)
    print(f"{changes:,} changes made into rows and written in {time.perf_counter() - began:.1f} s")
    assert (await Lookups(store.engine).review(RUN)) is not None
    await store.close()
    found: dict[str, dict[str, float]] = {}
    asked = questions(changes, random.Random(seed))
    kept = read_only_engine(url)
    for name, question in asked.items():
        cold, warm = [], []
        for _ in range(rounds):
            fresh = read_only_engine(url)
            cold.append(await _timed(PlanLookups(fresh), question))
            await fresh.dispose()
            warm.append(await _timed(PlanLookups(kept), question))
        found[name] = {
            "cold_p50": statistics.median(cold),
            "cold_p95": _p95(cold),
            "warm_p50": statistics.median(warm),
            "warm_p95": _p95(warm),
        }
    await kept.dispose()
    return found


async def _timed(plans: PlanLookups, question: Question) -> float:
    began = time.perf_counter()
    await question(plans)
    return (time.perf_counter() - began) * 1000


def _p95(values: list[float]) -> float:
    return sorted(values)[max(0, round(len(values) * 0.95) - 1)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=20261122)
    parser.add_argument("--postgres", action="store_true", help="measure PostgreSQL as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="aether-console-") as folder:
        measured = {"changes": options.changes, "rounds": options.rounds, "seed": options.seed}
        file = Path(folder) / "audit.db"
        print("SQLite")
        results["sqlite"] = asyncio.run(measure(f"sqlite+aiosqlite:///{file}", **measured))
        print(f"the file has {file.stat().st_size / 1e6:.0f} MB")
        _print(results["sqlite"])
        if options.postgres:
            print("PostgreSQL")
            with start_postgres(Path(folder)) as server:
                results["postgresql"] = asyncio.run(measure(server.create_database("audit"), **measured))
            _print(results["postgresql"])
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def _print(found: dict[str, dict[str, float]]) -> None:
    columns = ("cold_p50", "cold_p95", "warm_p50", "warm_p95")
    print(f"{'milliseconds':<30}" + "".join(f"{name:>10}" for name in columns))
    for name, numbers in found.items():
        over = "  over the goal" if max(numbers["cold_p95"], numbers["warm_p95"]) > GOAL_MS else ""
        print(f"{name:<30}" + "".join(f"{numbers[column]:10.1f}" for column in columns) + over)


if __name__ == "__main__":
    main()
