"""What the notices ask of the auditor's database: rows in, one `Look` out.

It reads over an engine that cannot write. The log is folded entry by entry from its beginning, once; runs are looked up
anew each time, in questions that are bounded and narrow. Nothing here decides what a condition is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import Select, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.monitor.notices.conditions import (
    BETTER,
    ENDED_BADLY,
    UNKNOWN_AFTER,
    WAITING,
    Look,
    SeenRun,
    Unresolved,
    streaks_of,
)
from services.monitor.notices.names import known_code, known_name
from services.monitor.notices.past import TYPES, LogEntry, LogPast
from shared.audit import tables
from shared.audit.tables import NOT_OF_THE_LEDGER
from shared.clock import from_text, to_text
from shared.events.operating import ConditionKind
from shared.run.states import RunStatus

FEED_ENTRIES: Final = 2_000
"""Entries of the log that one question returns."""
WAITING_MAX: Final = 500
"""Runs that wait for a person, newest first; a house has a handful."""
BAD_DAYS_MAX: Final = 90
"""How long ago a run that ended badly was asked for, at most; an older one is nobody's news."""
BAD_MAX: Final = 2_000
"""Such runs that one look takes, newest first."""
UNRESOLVED_MAX: Final = 1_000
"""Changes without a known outcome that one look takes."""
NAMED_MAX: Final = 400
"""Runs that one question names."""
PROGRESS_SECONDS: Final = 0.25

_run, _entry, _outcome = tables.run.c, tables.entry.c, tables.change_outcome.c
_APPLYING: Final = tuple(
    each.value for each in (RunStatus.APPLYING, RunStatus.PAUSED, RunStatus.THROTTLED, RunStatus.VERIFYING)
)
_COUNTS: Final = ("planned", "applied", "failed", "unknown", "stale_skipped", "quarantined")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Reader:
    """Looks at the record of one auditor, again and again."""

    engine: AsyncEngine
    past: LogPast = field(default_factory=LogPast)
    _last_index: int = -1
    _unresolved: dict[tuple[str, str], str] = field(default_factory=dict)
    """By run and change, since which look it is known to be unresolved."""

    async def look(self, *, now: datetime) -> Look:
        """What the record says now."""
        await self._follow_log()
        bad = await self._bad(now)
        better = {}
        for connector, mode, kind in {(one.connector, one.mode, ENDED_BADLY[one.status]) for one in bad}:
            better[connector, mode, kind] = await self._better(connector, mode, kind)
        streaks = streaks_of(bad, better)
        whole = await self._seen([streak.newest.run for streak in streaks])
        streaks = [replace(streak, newest=whole.get(streak.newest.run, streak.newest)) for streak in streaks]
        waiting = await self._waiting()
        applied_badly = [streak.newest for streak in streaks if streak.newest.mode == "apply"]
        unresolved = await self._long_unresolved(applied_badly, now=now)
        return Look(tuple(waiting), tuple(streaks), tuple(unresolved), self.past)

    async def statuses(self, runs: Collection[str]) -> dict[str, str]:
        """Where these runs stand now."""
        found: dict[str, str] = {}
        for part in _parts(sorted(runs)):
            rows = await self._rows(select(_run.run, _run.status).where(_run.run.in_(part)))
            found.update((run, status) for run, status in rows)
        return found

    async def has_recorded(self, stream: str, seq: int) -> bool:
        """Whether the log holds what stood in the stream up to there."""
        column = tables.progress.c
        rows = await self._rows(select(column.last_seq).where(column.stream == stream))
        return bool(rows) and int(rows[0][0]) >= seq

    async def wait_until_recorded(self, stream: str, seq: int) -> None:
        """Wait until the log holds what stood in the stream up to there; as long as it takes."""
        while not await self.has_recorded(stream, seq):  # noqa: ASYNC110 -- nobody here could set an event
            await asyncio.sleep(PROGRESS_SECONDS)  # the database rings no bell

    async def _follow_log(self) -> None:
        last = (await self._rows(select(func.max(_entry.entry_index))))[0][0]
        if last is not None and int(last) < self._last_index:
            # A log that was restored from a backup. What we told ourselves is remembered all the same.
            log.warning("record_is_shorter", entries=int(last) + 1)
            self.past, self._last_index = LogPast(told=self.past.told), -1
        is_whole = False
        while not is_whole:  # ends: every page lies behind the one before it
            query = select(_entry.entry_index, _entry.type, _entry.run, _entry.body)
            query = query.where(_entry.type.in_(TYPES), text(NOT_OF_THE_LEDGER), _entry.entry_index > self._last_index)
            rows = await self._rows(query.order_by(_entry.entry_index).limit(FEED_ENTRIES))
            for index, kind, run, body in rows:
                document = orjson.loads(body)
                self.past.take(LogEntry(index, kind, document["recorded_at"], run, document["summary"]))
                self._last_index = index
            is_whole = len(rows) < FEED_ENTRIES

    async def _waiting(self) -> list[SeenRun]:
        query = _whole().where(_run.status.in_(sorted(WAITING)))
        rows = await self._rows(query.order_by(_run.requested_at.desc()).limit(WAITING_MAX))
        return [run for row in rows if (run := _seen(*row)) is not None]

    async def _bad(self, now: datetime) -> list[SeenRun]:
        """The runs that ended badly, as far as narrow columns say."""
        since = to_text(now - timedelta(days=BAD_DAYS_MAX))
        query = select(_run.run, _run.connector, _run.mode, _run.status, _run.requested_at, _run.requester)
        query = query.where(_run.status.in_(sorted(ENDED_BADLY)), _run.requested_at >= since)
        rows = await self._rows(query.order_by(_run.requested_at.desc()).limit(BAD_MAX))
        return [
            SeenRun(run, connector, mode or "apply", status, at, at, requester)
            for run, connector, mode, status, at, requester in rows
            if known_name(run) and known_name(connector)
        ]

    async def _better(self, connector: str, mode: str, kind: ConditionKind) -> str:
        """When the connector's newest run that is better was asked for; empty where there is none."""
        query = select(_run.requested_at).where(
            _run.connector == connector, _run.mode == mode, _run.status.in_(BETTER[kind])
        )
        rows = await self._rows(query.order_by(_run.requested_at.desc()).limit(1))
        return str(rows[0][0]) if rows else ""

    async def _seen(self, runs: Sequence[str]) -> dict[str, SeenRun]:
        found: dict[str, SeenRun] = {}
        for part in _parts(sorted(runs)):
            for row in await self._rows(_whole().where(_run.run.in_(part))):
                if (run := _seen(*row)) is not None:
                    found[run.run] = run
        return found

    async def _long_unresolved(self, ended: Sequence[SeenRun], *, now: datetime) -> list[Unresolved]:
        query = select(_run.run, _run.connector).where(_run.status.in_(_APPLYING)).limit(WAITING_MAX)
        connectors = {run.run: run.connector for run in ended}
        connectors.update((run, connector) for run, connector in await self._rows(query))
        unresolved: dict[tuple[str, str], str] = {}
        for part in _parts(sorted(run for run in connectors if known_name(run))):
            changes = select(_outcome.run, _outcome.change_id).where(
                _outcome.run.in_(part), or_(_outcome.result.is_(None), _outcome.result == "unknown")
            )
            for run, change in await self._rows(changes.limit(UNRESOLVED_MAX)):
                unresolved[run, change] = self._unresolved.get((run, change), to_text(now))
        self._unresolved = unresolved
        long = to_text(now - UNKNOWN_AFTER)
        by_run: dict[str, list[str]] = {}
        for (run, _), since in unresolved.items():
            if since <= long:
                by_run.setdefault(run, []).append(since)
        return [
            Unresolved(run, known_name(connectors[run]) or "unnamed", len(moments), min(moments))
            for run, moments in by_run.items()
        ]

    async def _rows(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        async with self.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(query)]


def _whole() -> Select[Any]:
    return select(_run.run, _run.connector, _run.mode, _run.status, _run.requested_at, _run.requester, _run.state)


def _seen(
    run: str, connector: str, mode: str | None, status: str, requested_at: str, requester: str | None, state: str
) -> SeenRun | None:
    """A run with what its document says of it; None for one that this release cannot read."""
    try:
        told = orjson.loads(state)
        since = (told.get("history") or [{}])[-1].get("at") or told.get("changed_at") or requested_at
        plan, counts = told.get("plan") or {}, told.get("counts") or {}
        numbers: dict[str, int] = {}
        if status in WAITING and plan:
            numbers = {"changes": int(plan["changes"]), "approvals needed": int(plan["approvals_needed"])}
            numbers |= {"approvals given": len(told.get("approvals") or ())}
        if counts:
            numbers = {name.replace("_", " "): int(counts.get(name, 0)) for name in _COUNTS if counts.get(name)}
        if known_name(run) is None or known_name(connector) is None:
            raise ValueError("a name of another form")
        return SeenRun(
            run, connector, mode or "apply", status, requested_at, to_text(from_text(since)), requester,
            known_code((told.get("failure") or {}).get("code")), tuple(numbers.items()),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        # One row that cannot be read must not hide the others.
        log.error("run_not_read", run=known_name(run), error=type(error).__name__)
        return None


def _parts(names: Sequence[Any]) -> list[Sequence[Any]]:
    return [names[place : place + NAMED_MAX] for place in range(0, len(names), NAMED_MAX)]
