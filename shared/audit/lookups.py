"""Reads the auditor's database for those who ask: rows in, plain values out.

It changes nothing, and any number of auditors may read while one writes. Every answer is bounded by the caller's limit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, and_, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.audit import tables
from shared.audit.figures import LedgerCounts
from shared.audit.stored import PlanReview, StoredEvent, StoredRun
from shared.audit.stored_tree import StreamProgress, stored_root
from shared.events.queries import DeadLetterView
from shared.run.retries import is_tried_again
from shared.run.states import TERMINAL


class Lookups:
    """Questions to the database of one auditor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @property
    def engine(self) -> AsyncEngine:
        """The database."""
        return self._engine

    async def runs(
        self,
        *,
        connector: str | None = None,
        status: Collection[str] = (),
        mode: str | None = None,
        text: str | None = None,
        before: tuple[str, str] | None = None,
        limit: int,
    ) -> list[StoredRun]:
        """The newest runs first; `before` is the moment of request and the id of the last run seen."""
        run = tables.run.c
        query = _run_columns().order_by(run.requested_at.desc(), run.run.desc()).limit(limit)
        if connector is not None:
            query = query.where(run.connector == connector)
        if status:
            query = query.where(run.status.in_(sorted(status)))
        if mode is not None:
            query = query.where(run.mode == mode)
        if text:
            wanted = text.lower()
            places = (run.run, run.connector, func.coalesce(run.requester, ""))
            query = query.where(or_(*(func.lower(place).contains(wanted, autoescape=True) for place in places)))
        if before is not None:
            at, name = before
            query = query.where(or_(run.requested_at < at, and_(run.requested_at == at, run.run < name)))
        return [StoredRun(*row) for row in await self._rows(query)]

    async def run(self, name: str) -> StoredRun | None:
        """One run, None when there is none of this id."""
        rows = await self._rows(_run_columns().where(tables.run.c.run == name))
        return StoredRun(*rows[0]) if rows else None

    async def review(self, run: str) -> PlanReview | None:
        """What the header of a run's plan says; None while it is not in the database."""
        rows = await self._rows(select(tables.plan_review.c.body).where(tables.plan_review.c.run == run))
        return PlanReview.model_validate_json(rows[0][0]) if rows else None

    async def unlisted(self, *, limit: int) -> list[StoredRun]:
        """Runs with a plan that is not in the database yet, newest first."""
        run, review = tables.run.c, tables.plan_review.c
        query = _run_columns().where(run.plan_digest.is_not(None), ~exists().where(review.run == run.run))
        query = query.order_by(run.requested_at.desc(), run.run.desc())
        return [StoredRun(*row) for row in await self._rows(query.limit(limit))]

    async def unsealed(self, *, limit: int) -> list[StoredRun]:
        """Runs that have ended and are not sealed, oldest first."""
        run = tables.run.c
        ended = [status.value for status in TERMINAL]
        query = _run_columns().where(run.status.in_(ended), run.sealed.is_(None))
        return [StoredRun(*row) for row in await self._rows(query.order_by(run.requested_at).limit(limit))]

    async def run_events(
        self, run: str, *, limit: int, types: Collection[str] = (), without: Collection[str] = ()
    ) -> list[StoredEvent]:
        """The events of a run that answers show, newest first; of some types, or without some, if these are named."""
        column, entry = tables.run_event.c, tables.entry.c
        query = select(column.type, column.body, entry.body).where(column.run == run)
        query = query.join_from(tables.run_event, tables.entry, entry.entry_index == column.entry_index)
        if types:
            query = query.where(column.type.in_(sorted(types)))
        if without:
            query = query.where(column.type.not_in(sorted(without)))
        query = query.order_by(column.entry_index.desc())
        return [StoredEvent(*row) for row in await self._rows(query.limit(limit))]

    async def ledger_counts(self, run: str) -> LedgerCounts:
        """What the ledger shows of a run."""
        column = tables.change_outcome.c
        query = select(column.result, column.code, func.count()).where(column.run == run)
        by_result: dict[str, int] = {}
        by_code: dict[str, int] = {}
        intended_only = 0
        for result, code, number in await self._rows(query.group_by(column.result, column.code)):
            if result is None:
                intended_only += number
                continue
            by_result[result] = by_result.get(result, 0) + number
            if code is not None:
                by_code[code] = by_code.get(code, 0) + number
        return LedgerCounts(by_result, intended_only, by_code)

    async def outcomes(self, run: str, change_ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """Result and code of those of the changes that were taken up; `unknown` for an intent without outcome."""
        column = tables.change_outcome.c
        query = select(column.change_id, column.result, column.code)
        rows = await self._rows(query.where(column.run == run, column.change_id.in_(change_ids)))
        return {change_id: (result or "unknown", code) for change_id, result, code in rows}

    async def tried_again(self, run: str) -> set[str]:
        """The changes of an ended run that a retry of it tries again, by their outcomes."""
        column = tables.change_outcome.c
        rows = await self._rows(select(column.change_id, column.result, column.code).where(column.run == run))
        return {change_id for change_id, result, code in rows if is_tried_again(result, code)}

    async def entry_range(self, run: str) -> tuple[int, int] | None:
        """First and last index of a run's entries, None when it has none."""
        column = tables.entry.c
        query = select(func.min(column.entry_index), func.max(column.entry_index)).where(column.run == run)
        first, last = (await self._rows(query))[0]
        return None if first is None else (int(first), int(last))

    async def entries(self, *, first: int, limit: int) -> list[str]:
        """Canonical JSON of entries from an index on."""
        column = tables.entry.c
        query = select(column.body).where(column.entry_index >= first).order_by(column.entry_index).limit(limit)
        return [row[0] for row in await self._rows(query)]

    async def size(self) -> int:
        """Entries in the log."""
        last = (await self._rows(select(func.max(tables.entry.c.entry_index))))[0][0]
        return 0 if last is None else int(last) + 1

    async def checkpoints(self, *, first: int, limit: int) -> list[str]:
        """Signed checkpoints, oldest first, from the number `first` (from 0) on."""
        column = tables.checkpoint.c
        query = select(column.text).order_by(column.size).offset(first).limit(limit)
        return [row[0] for row in await self._rows(query)]

    async def checkpoints_total(self) -> int:
        """How many checkpoints were signed."""
        return int((await self._rows(select(func.count()).select_from(tables.checkpoint)))[0][0])

    async def signed_size(self) -> int:
        """Entries that the last checkpoint covers."""
        return int((await self._rows(select(func.max(tables.checkpoint.c.size))))[0][0] or 0)

    async def root_at(self, size: int) -> bytes:
        """The root which the log had at a size."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(stored_root, size)

    async def progress(self) -> dict[str, StreamProgress]:
        """How far each stream is in the log."""
        return {row[0]: StreamProgress(row[1], row[2]) for row in await self._rows(select(tables.progress))}

    async def dead_letters(self, *, run: str | None, limit: int) -> list[DeadLetterView]:
        """The newest dead letters, of one run or of all."""
        column = tables.dead_letter.c
        query = select(
            column.stream, column.stream_seq, column.subject, column.service, column.code, column.reason, column.at
        ).order_by(column.seq.desc())
        if run is not None:
            query = query.where(column.run == run)
        return [
            DeadLetterView(stream=row[0], seq=row[1], subject=row[2], service=row[3], code=row[4], reason=row[5],
                           at=row[6])
            for row in await self._rows(query.limit(limit))
        ]  # fmt: skip

    async def dead_letters_total(self) -> int:
        """How many dead letters there ever were."""
        return int((await self._rows(select(func.count()).select_from(tables.dead_letter)))[0][0])

    async def _rows(self, query: Select[Any]) -> list[tuple[Any, ...]]:
        async with self._engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(query)]


def _run_columns() -> Select[Any]:
    run = tables.run.c
    return select(run.run, run.requested_at, run.state, run.sealed, run.sealed_entry)
