"""Figures over many runs, for charts: runs of each day, how long they took, what failed in them.

It reads the auditor's database and changes nothing. Days are those of UTC; every answer is bounded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.audit import tables
from shared.audit.figures import phase_seconds
from shared.clock import from_text, to_text
from shared.run.state import RunState

DAY_ROWS_MAX: Final = 20_000
"""Rows of day, connector and status: 50 connectors for a year."""
RUNS_MAX: Final = 5_000
"""Newest runs whose own failure is counted."""

_run, _outcome = tables.run.c, tables.change_outcome.c


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many runs of a connector that were requested on a day stand in a state."""

    day: str
    """As `2026-11-22`."""
    connector: str
    status: str
    number: int


@dataclass(frozen=True, slots=True)
class RunDuration:
    """How long a run took."""

    run: str
    requested_at: str
    status: str
    seconds: float
    """From its request to its last move; what a person let it wait is in it."""
    phases: dict[str, float]
    """Seconds spent in each state."""


@dataclass(frozen=True, slots=True)
class FailureCount:
    """How often a code of the catalogue stood in the way."""

    code: str
    changes: int
    runs: int
    """Runs that ended, or stand, with it."""


class RunCharts:
    """Questions about many runs to the database of one auditor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def runs_per_day(self, *, since: datetime, until: datetime | None = None) -> tuple[DayCount, ...]:
        """Runs by day of their request, connector and status, the oldest day first."""
        day = func.substr(_run.requested_at, 1, 10)
        query = select(day, _run.connector, _run.status, func.count()).where(_run.requested_at >= to_text(since))
        if until is not None:
            query = query.where(_run.requested_at < to_text(until))
        query = query.group_by(day, _run.connector, _run.status).order_by(day, _run.connector, _run.status)
        async with self._engine.connect() as connection:
            return tuple(DayCount(*row) for row in await connection.execute(query.limit(DAY_ROWS_MAX)))

    async def durations(self, connector: str | None, *, limit: int) -> tuple[RunDuration, ...]:
        """How long the newest runs of a connector, or of all, took; the newest first."""
        query = select(_run.requested_at, _run.state).order_by(_run.requested_at.desc(), _run.run.desc())
        if connector is not None:
            query = query.where(_run.connector == connector)
        async with self._engine.connect() as connection:
            rows = [tuple(row) for row in await connection.execute(query.limit(limit))]
        return tuple(_duration(requested_at, RunState.model_validate_json(state)) for requested_at, state in rows)

    async def failure_mix(self, *, since: datetime) -> tuple[FailureCount, ...]:
        """What stood in the way of the runs requested since then, the most frequent first."""
        moment = to_text(since)
        of_changes = (
            select(_outcome.code, func.count())
            .join_from(tables.run, tables.change_outcome, _outcome.run == _run.run)
            .where(_run.requested_at >= moment, _outcome.code.is_not(None))
            .group_by(_outcome.code)
        )
        of_runs = select(_run.state).where(_run.requested_at >= moment).order_by(_run.requested_at.desc())
        changes: Counter[str] = Counter()
        runs: Counter[str] = Counter()
        async with self._engine.connect() as connection:
            for code, number in await connection.execute(of_changes):
                changes[code] = number
            for (state,) in await connection.execute(of_runs.limit(RUNS_MAX)):
                if (failure := orjson.loads(state).get("failure")) is not None:
                    runs[failure["code"]] += 1
        found = [FailureCount(code, changes[code], runs[code]) for code in sorted({*changes, *runs})]
        return tuple(sorted(found, key=lambda one: -(one.changes + one.runs)))


def _duration(requested_at: str, state: RunState) -> RunDuration:
    taken = from_text(state.changed_at) - from_text(requested_at)
    return RunDuration(
        run=state.run,
        requested_at=requested_at,
        status=state.status.value,
        seconds=max(0.0, taken.total_seconds()),
        phases=phase_seconds(state),
    )
