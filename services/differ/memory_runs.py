"""Reading and writing what earlier runs brought: certified runs, numbers of plans, what was applied, and row counts.

Acts on the tables `entity_record`, `run_statistics` and `accepted_rows` within a transaction of the ledger. A run is
counted with the row of its statistics, so that a drafting that is done twice counts once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.differ.history import LONGEST_WINDOW, USUAL_RUNS, PastApply, usual_of, windows_of
from services.differ.memory import Applied, Drafted, EntityHistory, EntitySeen, Scope
from services.differ.memory_rows import insert_new, scope_columns, upsert
from services.differ.memory_tables import AcceptedRows, EntityRecord, RunStatistics, table_of
from shared.clock import from_text, to_text
from shared.policy.backtest import RUNS_MAX, StoredRun
from shared.policy.figures import EntityFigures, GuardFigures
from shared.policy.verdict import Level

STATISTICS_DAYS = 400
"""Numbers of older runs are forgotten: a school year and a month."""
ENTITIES_MAX = 20
"""Entities of one connector; so many its definition may have."""

_ENTITIES = table_of(EntityRecord)
_RUNS = table_of(RunStatistics)
_ROWS = table_of(AcceptedRows)


async def count_run(connection: AsyncConnection, scope: Scope, drafted: Drafted, seen: EntitySeen) -> bool:
    """Keep the numbers of a run's plan and count its certified reads; False when the run was counted before."""
    row = {
        "run": drafted.run, **scope_columns(scope), "mode": drafted.mode, "at": to_text(drafted.at),
        "level": drafted.level, "status": drafted.status, "is_accepted": drafted.is_accepted, "applied": "{}",
        "figures": json.dumps(seen.figures.model_dump(mode="json"), sort_keys=True),
    }  # fmt: skip
    if not await insert_new(connection, RunStatistics, row):
        return False
    await insert_new(connection, EntityRecord, {**scope_columns(scope), "certified_runs": 0})
    if seen.is_certified:
        await connection.execute(
            update(_ENTITIES)
            .where(*_in_scope(_ENTITIES.c, scope))
            .values(certified_runs=_ENTITIES.c.certified_runs + 1, last_certified_run=drafted.run)
        )
    oldest = to_text(drafted.at - timedelta(days=STATISTICS_DAYS))
    await connection.execute(delete(_RUNS).where(*_in_scope(_RUNS.c, scope), _RUNS.c.at < oldest))
    return True


async def is_counted(connection: AsyncConnection, run: str) -> bool:
    """Whether the numbers of this run's plan are kept already."""
    found = await connection.execute(select(func.count()).select_from(_RUNS).where(_RUNS.c.run == run))
    return bool(found.scalar_one())


async def close_run(connection: AsyncConnection, applied: Applied) -> None:
    """Keep how an apply ended and what took effect, entity by entity."""
    for entity, by_class in sorted(applied.by_class.items()):
        counts = {name: number for name, number in sorted(by_class.items()) if number}
        values: dict[str, Any] = {"status": applied.status, "applied": json.dumps(counts)}
        if counts:
            values |= {"applied_at": to_text(applied.at), "is_accepted": True}
        planned_as = applied.plan_run or applied.run
        await connection.execute(
            update(_RUNS).where(_RUNS.c.run == planned_as, _RUNS.c.entity == entity).values(**values)
        )
        if counts:
            scope = Scope(connector=applied.connector, target=applied.target, entity=entity)
            await insert_new(connection, EntityRecord, {**scope_columns(scope), "certified_runs": 0})
            await connection.execute(
                update(_ENTITIES)
                .where(*_in_scope(_ENTITIES.c, scope), _ENTITIES.c.first_applied_run.is_(None))
                .values(first_applied_run=applied.run)
            )


async def history_of(connection: AsyncConnection, scope: Scope, *, run: str, now: datetime) -> EntityHistory:
    """What came before this run: whatever was applied to the entity, and this connector's accepted plans."""
    entity = (await connection.execute(select(_ENTITIES).where(*_in_scope(_ENTITIES.c, scope)))).mappings().first()
    applied = await connection.execute(
        select(_RUNS.c.applied_at, _RUNS.c.applied, _RUNS.c.figures).where(
            _RUNS.c.target == scope.target,
            _RUNS.c.entity == scope.entity,
            _RUNS.c.run != run,
            _RUNS.c.applied_at >= to_text(now - LONGEST_WINDOW),
        )
    )
    accepted = await connection.execute(
        select(_RUNS.c.figures)
        .where(*_in_scope(_RUNS.c, scope), _RUNS.c.is_accepted.is_(True), _RUNS.c.run != run)
        .order_by(_RUNS.c.at.desc())
        .limit(USUAL_RUNS)
    )
    return EntityHistory(
        certified_runs=0 if entity is None else entity["certified_runs"],
        is_onboarding=entity is None or entity["first_applied_run"] is None,
        windows=windows_of(
            (
                PastApply(
                    at=from_text(row.applied_at),
                    by_class=json.loads(row.applied),
                    figures=EntityFigures.model_validate_json(row.figures),
                )
                for row in applied
            ),
            now=now,
        ),
        usual=usual_of([EntityFigures.model_validate_json(row.figures) for row in accepted]),
    )


async def plans_of(connection: AsyncConnection, connector: str, *, since: datetime) -> list[StoredRun]:
    """The connector's plans since then, the newest first, at most as many as are judged at once."""
    rows = await connection.execute(
        select(_RUNS)
        .where(_RUNS.c.connector == connector, _RUNS.c.at >= to_text(since))
        .order_by(_RUNS.c.at.desc(), _RUNS.c.run, _RUNS.c.entity)
        .limit(RUNS_MAX * ENTITIES_MAX)
    )
    runs: dict[str, list[RowMapping]] = {}
    for row in rows.mappings():
        if row["run"] not in runs and len(runs) == RUNS_MAX:
            break
        runs.setdefault(row["run"], []).append(row)
    return [
        StoredRun(
            run=run,
            at=entities[0]["at"],
            figures=GuardFigures(entities=tuple(EntityFigures.model_validate_json(one["figures"]) for one in entities)),
            level=Level(entities[0]["level"]),
        )
        for run, entities in runs.items()
    ]


async def seed_entity(
    connection: AsyncConnection, scope: Scope, *, certified_runs: int, applied_run: str | None
) -> None:
    """Begin with runs that were not lived through."""
    row = {**scope_columns(scope), "certified_runs": certified_runs, "first_applied_run": applied_run}
    await upsert(connection, EntityRecord, [row])


async def rows_of(connection: AsyncConnection, connector: str) -> dict[tuple[str, str], int]:
    """Rows of the last accepted run, by entity and source."""
    rows = await connection.execute(select(_ROWS).where(_ROWS.c.connector == connector))
    return {(row.entity, row.source): row.rows for row in rows}


async def write_rows(
    connection: AsyncConnection, connector: str, rows: Mapping[tuple[str, str], int], *, run: str
) -> None:
    """Keep the rows of an accepted run; an older run never overwrites a newer one."""
    newer = {
        (row.entity, row.source)
        for row in await connection.execute(select(_ROWS).where(_ROWS.c.connector == connector, _ROWS.c.run > run))
    }
    found = [
        {"connector": connector, "entity": entity, "source": source, "rows": count, "run": run}
        for (entity, source), count in sorted(rows.items())
        if (entity, source) not in newer
    ]
    await upsert(connection, AcceptedRows, found)


def _in_scope(columns: Any, scope: Scope) -> tuple[Any, ...]:
    return tuple(columns[name] == value for name, value in scope_columns(scope).items())
