"""What the monitor asks of the auditor's database: rows in, plain values out.

It reads over an engine that cannot write, in pages; nothing here decides what a figure is. `RunState` is parsed only
where the run has not been sealed: of a sealed one the summary says all but why it failed.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog
from sqlalchemy import Select, and_, case, func, null, or_, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.monitor.quarantine import EntityRead
from services.monitor.tally import EndedRun
from shared.audit import tables
from shared.audit.figures import final_counts, phase_seconds
from shared.audit.tables import NOT_OF_THE_LEDGER
from shared.clock import from_text
from shared.events.facts import ConnectionHealth, RunSealed, SnapshotRead
from shared.run.state import RunState
from shared.run.states import TERMINAL, RunStatus

PAGE_RUNS: Final = 2_000
"""Runs that one question returns."""
NAMED_MAX: Final = 400
"""Runs, or entries, that one question names."""
FEED_ENTRIES: Final = 5_000
"""Entries that one look takes at a time."""
QUARANTINE_PAGE_RUNS: Final = 50
QUARANTINE_RUNS_MAX: Final = 500
"""Newest runs of a connector in which the beginning of a quarantine is looked for; an older one is told as old as
the oldest of these."""
HEALTH_ENTRIES_MAX: Final = 5_000
"""Newest entries about connections in which the present health of each is looked for."""

STATE_TYPE: Final = RunState.event_type
SEALED_TYPE: Final = RunSealed.event_type
READ_TYPE: Final = SnapshotRead.event_type
HEALTH_TYPE: Final = ConnectionHealth.event_type
FEED_TYPES: Final = (STATE_TYPE, SEALED_TYPE, READ_TYPE, HEALTH_TYPE)

log = structlog.get_logger(__name__)

_ENDED: Final = frozenset(status.value for status in TERMINAL)
_WITHOUT_FAILURE: Final = (RunStatus.SUCCEEDED.value, RunStatus.NO_CHANGES.value, RunStatus.PLANNED.value)
_TRACE: Final = re.compile(r"[0-9a-f]{32}")
_run, _event, _entry, _outcome = tables.run.c, tables.run_event.c, tables.entry.c, tables.change_outcome.c
_PLAIN = text(NOT_OF_THE_LEDGER)


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that has not ended."""

    run: str
    connector: str
    status: str
    since: float
    """When it came into this state, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class SeenRun:
    """One run as its row says."""

    run: str
    connector: str
    requested_at: float
    ended: EndedRun | None
    open: OpenRun | None
    codes: Mapping[str, int] | None
    """Why changes were not applied; None until the run is sealed."""
    verdict: str | None
    """Of its plan, where the row's document was read."""


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One entry of the log that may change a figure."""

    index: int
    type: str
    run: str | None
    health: tuple[str, str] | None
    """Connection and status."""


class Rows:
    """Questions to the database of one auditor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def last_index(self) -> int:
        """The index of the newest entry; -1 where there is none."""
        last = (await self._rows(select(func.max(_entry.entry_index))))[0][0]
        return -1 if last is None else int(last)

    async def all_runs(self) -> AsyncIterator[list[SeenRun]]:
        """Every run, in pages, in the order of their ids."""
        after = ""
        has_no_failure = and_(_run.sealed.is_not(None), _run.status.in_(_WITHOUT_FAILURE))
        state = case((has_no_failure, null()), else_=_run.state)
        while True:
            query = _run_columns(state).where(_run.run > after).order_by(_run.run).limit(PAGE_RUNS)
            rows = await self._rows(query)
            yield _all_seen(rows)
            if len(rows) < PAGE_RUNS:
                return
            after = rows[-1][0]

    async def runs(self, names: Collection[str]) -> list[SeenRun]:
        """These runs, with their verdicts."""
        found: list[SeenRun] = []
        for part in _parts(sorted(names)):
            query = _run_columns(_run.state).where(_run.run.in_(part)).order_by(_run.run)
            found += _all_seen(await self._rows(query))
        return found

    async def verdict(self, connector: str) -> tuple[float, str] | None:
        """When the newest run of the connector with a plan was asked for, and the guard's verdict on it."""
        query = select(_run.requested_at, _run.state).where(_run.connector == connector, _run.plan_digest.is_not(None))
        rows = await self._rows(query.order_by(_run.requested_at.desc(), _run.run.desc()).limit(1))
        if not rows:
            return None
        plan = orjson.loads(rows[0][1]).get("plan") or {}
        return _seconds(rows[0][0]), str(plan.get("verdict_level"))

    async def reads(self, connector: str, *, offset: int) -> tuple[list[EntityRead], int]:
        """Whole reads of a page of the connector's runs, newest first, and how many runs the page had."""
        query = select(_run.run, _run.state).where(_run.connector == connector)
        query = query.order_by(_run.requested_at.desc(), _run.run.desc()).offset(offset).limit(QUARANTINE_PAGE_RUNS)
        rows = await self._rows(query)
        names = [run for run, state in rows if orjson.loads(state).get("replay_of") is None]
        bodies = select(_event.body).where(_event.run.in_(names), _event.type == READ_TYPE)
        bodies = bodies.order_by(_event.entry_index.desc())
        reads = (_read(body) for (body,) in (await self._rows(bodies) if names else ()))
        return [read for read in reads if read is not None], len(rows)

    async def reads_at(self, entries: Sequence[int]) -> list[tuple[str, EntityRead]]:
        """Connector and read of those of these entries that are whole reads and no replays, in their order."""
        found: list[tuple[str, EntityRead]] = []
        for part in _parts(entries):
            query = select(_run.connector, _run.state, _event.body).join_from(
                tables.run_event, tables.run, _event.run == _run.run
            )
            query = query.where(_event.entry_index.in_(part), _event.type == READ_TYPE)
            for connector, state, body in await self._rows(query.order_by(_event.entry_index)):
                if orjson.loads(state).get("replay_of") is None and (read := _read(body)) is not None:
                    found.append((connector, read))
        return found

    async def feed(self, after: int) -> list[FeedEntry]:
        """What came into the log behind an entry and may change a figure, oldest first."""
        body = case((_entry.type == HEALTH_TYPE, _entry.body), else_=null())
        query = select(_entry.entry_index, _entry.type, _entry.run, body)
        query = query.where(_entry.type.in_(FEED_TYPES), _PLAIN, _entry.entry_index > after)
        rows = await self._rows(query.order_by(_entry.entry_index).limit(FEED_ENTRIES))
        return [FeedEntry(index, kind, run, _health(about)) for index, kind, run, about in rows]

    async def healths(self) -> dict[str, str]:
        """The newest status of each connection that was ever in quarantine."""
        query = select(_entry.body).where(_entry.type == HEALTH_TYPE, _PLAIN)
        found: dict[str, str] = {}
        for (about,) in await self._rows(query.order_by(_entry.entry_index.desc()).limit(HEALTH_ENTRIES_MAX)):
            if (health := _health(about)) is not None:
                found.setdefault(*health)
        return found

    async def unknown_effects(self, names: Collection[str]) -> dict[str, int]:
        """Changes with an intent and no outcome, or an unknown one, by run."""
        found: dict[str, int] = {}
        for part in _parts(sorted(names)):
            query = select(_outcome.run, func.count()).where(
                _outcome.run.in_(part), or_(_outcome.result.is_(None), _outcome.result == "unknown")
            )
            found.update({run: int(number) for run, number in await self._rows(query.group_by(_outcome.run))})
        return found

    async def _rows(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(query)]


def _run_columns(state: Any) -> Select[Any]:
    return select(_run.run, _run.connector, _run.mode, _run.status, _run.requested_at, _run.sealed, state)


def _all_seen(rows: Sequence[tuple[Any, ...]]) -> list[SeenRun]:
    found = []
    for row in rows:
        try:
            found.append(_seen(*row))
        except (ValueError, KeyError, TypeError) as error:
            # One row that this release cannot read must not hide all others.
            log.error("run_not_read", run=row[0], error=type(error).__name__)
    return found


def _seen(
    run: str, connector: str, mode: str | None, status: str, requested_at: str, sealed: str | None, state: str | None
) -> SeenRun:
    moment = _seconds(requested_at)
    ended = still_open = codes = None
    told = {} if state is None else orjson.loads(state)
    if status not in _ENDED:
        since = (told.get("history") or [{}])[-1].get("at") or told.get("changed_at") or requested_at
        still_open = OpenRun(run, connector, status, _seconds(since))
    else:
        if sealed is not None:
            seal = orjson.loads(sealed)
            phases, counts, codes = seal["phases"], seal["counts"], seal["counts_by_code"]
        else:
            document = RunState.model_validate_json(state or "")
            phases, counts = phase_seconds(document), final_counts(document).model_dump()
        ended = EndedRun(
            run=run,
            connector=connector,
            mode=mode or str(told.get("mode")),
            status=status,
            requested_at=moment,
            phases=phases,
            planned=counts["planned"],
            outcomes={name: number for name, number in counts.items() if name != "planned"},
            failure=(told.get("failure") or {}).get("code"),
            trace=_trace(told.get("trace")),
        )
    verdict = (told.get("plan") or {}).get("verdict_level")
    return SeenRun(run, connector, moment, ended, still_open, codes, verdict)


def _read(body: str) -> EntityRead | None:
    """A read that was whole; a document is large, and only this much of it is looked at."""
    told = orjson.loads(body)
    if told.get("incomplete") is not None:
        return None
    return EntityRead(told["entity"], told["side"], _seconds(told["started_at"]), told["quarantined_by_code"])


def _health(entry: str | None) -> tuple[str, str] | None:
    summary = {} if entry is None else orjson.loads(entry).get("summary", {})
    connection, status = summary.get("connection"), summary.get("status")
    return (connection, status) if isinstance(connection, str) and isinstance(status, str) else None


def _trace(told: Any) -> str | None:
    return told if isinstance(told, str) and _TRACE.fullmatch(told) else None


def _seconds(text: str) -> float:
    try:
        return from_text(text).timestamp()
    except ValueError:
        return 0.0  # what the auditor recorded of a document without a moment


def _parts(names: Sequence[Any]) -> list[Sequence[Any]]:
    return [names[place : place + NAMED_MAX] for place in range(0, len(names), NAMED_MAX)]
