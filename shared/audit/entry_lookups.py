"""Looks through the audit log: entries by kind, run, person, time and text, one entry, and the proof that it is there.

It changes nothing. Entries hold no personal value, so nothing is masked. What bounds a search is the number of entries
that it may look at; an answer says where to go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import orjson
from sqlalchemy import Select, func, select
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.audit import tables
from shared.audit.bundle import InclusionBundle, prove_inclusion
from shared.audit.entries import AuditEntry
from shared.audit.stored_tree import stored_node
from shared.clock import from_text
from shared.events.publications import PUBLISHES
from shared.events.registry import EVENTS

TEXT_SCAN_MAX: Final = 50_000
"""Entries that one search for a text looks at."""
DAYS_MAX: Final = 100
"""Days whose entries are counted at once."""
_PROGRAM: Final = "/services/"
"""How the actor of an entry begins that no person is behind."""

_entry, _signed = tables.entry.c, tables.checkpoint.c
_not_of_the_ledger = sql(tables.NOT_OF_THE_LEDGER)
_INDEXED_TYPES: Final = frozenset(EVENTS) - {row.event_type for row in PUBLISHES if row.address.startswith("led.")}


@dataclass(frozen=True, slots=True)
class EntriesFound:
    """Entries, the newest first."""

    entries: tuple[AuditEntry, ...]
    goes_on: int | None
    """What to ask with as `before` for what follows; None at the end. With a text, entries may follow none found."""


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A signed checkpoint."""

    size: int
    """Entries that it covers."""
    text: str
    """The signed note, whole."""


class EntryLookups:
    """Questions about the log to the database of one auditor."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # The two databases have the same function under two names.
        self._position_in = func.strpos if engine.dialect.name == "postgresql" else func.instr

    async def search_entries(
        self,
        *,
        type: str | None = None,
        run: str | None = None,
        actor: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
        before: int | None = None,
        limit: int,
    ) -> EntriesFound:
        """Entries of a type, a run, an actor, recorded from `since` to before `until`, with a text in them.

        Rows older than the column of actors are not found by their actor.
        """
        async with self._engine.connect() as connection:
            chosen = _chosen(type_=type, run=run, actor=actor)
            if since is not None:
                chosen = chosen.where(_entry.entry_index >= await _first_at(connection, since))
            if until is not None:
                chosen = chosen.where(_entry.entry_index < await _first_at(connection, until))
            if before is not None:
                chosen = chosen.where(_entry.entry_index < before)
            chosen = chosen.order_by(_entry.entry_index.desc())
            if not text:
                found = [tuple(row) for row in await connection.execute(chosen.limit(limit))]
                return _found(found, goes_on=found[-1][0] if len(found) == limit else None)
            looked_at = chosen.limit(TEXT_SCAN_MAX).subquery()
            holds = self._position_in(func.lower(looked_at.c.body), text.lower()) > 0
            query = select(looked_at).where(holds).order_by(looked_at.c.entry_index.desc()).limit(limit)
            found = [tuple(row) for row in await connection.execute(query)]
            if len(found) == limit:
                return _found(found, goes_on=found[-1][0])
            ends = select(func.count(), func.min(looked_at.c.entry_index))
            number, last = (await connection.execute(ends)).one()
            return _found(found, goes_on=last if number == TEXT_SCAN_MAX else None)

    async def entry(self, index: int) -> AuditEntry | None:
        """One entry; None when the log is not that long."""
        query = select(_entry.body).where(_entry.entry_index == index)
        async with self._engine.connect() as connection:
            body = (await connection.execute(query)).scalar_one_or_none()
        return None if body is None else AuditEntry.model_validate_json(body)

    async def newest_checkpoint(self) -> SignedCheckpoint | None:
        """The last signed checkpoint; None while there is none."""
        return await self._checkpoint(select(_signed.size, _signed.text).order_by(_signed.size.desc()))

    async def checkpoint_over(self, index: int) -> SignedCheckpoint | None:
        """The first signed checkpoint that covers an entry; None while none does."""
        query = select(_signed.size, _signed.text).where(_signed.size > index)
        return await self._checkpoint(query.order_by(_signed.size))

    async def entries_per_day(self, *, since: date, until: date) -> tuple[tuple[str, int], ...]:
        """Day (`2026-11-22`, of UTC) and number of the entries recorded on it, from `since` to before `until`.

        `ValueError` for more than `DAYS_MAX` days.
        """
        days = (until - since).days
        if days > DAYS_MAX:
            raise ValueError(f"entries of {days} days were asked for, at most {DAYS_MAX} are told at once")
        found: list[tuple[str, int]] = []
        async with self._engine.connect() as connection:
            first = await _first_at(connection, _midnight(since))
            for number in range(days):
                day = since + timedelta(days=number)
                following = await _first_at(connection, _midnight(day + timedelta(days=1)), low=first)
                found.append((day.isoformat(), following - first))
                first = following
        return tuple(found)

    async def _checkpoint(self, query: Select[Any]) -> SignedCheckpoint | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(query.limit(1))).one_or_none()
        return None if row is None else SignedCheckpoint(int(row[0]), str(row[1]))

    async def inclusion(self, index: int, *, verifier_key: str) -> InclusionBundle | None:
        """The proof of one entry under the newest checkpoint; None while no checkpoint covers it.

        `ValueError` when the stored log does not prove it, `RecordAltered` when it lacks what the proof needs.
        """
        entry, signed = await self.entry(index), await self.newest_checkpoint()
        if entry is None or signed is None or index >= signed.size:
            return None
        async with self._engine.connect() as connection:

            def prove(sync: Any) -> InclusionBundle:
                def node(*, level: int, position: int) -> bytes:
                    return stored_node(sync, level=level, position=position)

                return prove_inclusion(entry, nodes=node, checkpoint=signed.text, verifier_key=verifier_key)

            return await connection.run_sync(prove)


def _chosen(*, type_: str | None, run: str | None, actor: str | None) -> Select[Any]:
    query = select(_entry.entry_index, _entry.body)
    if run is not None:
        query = query.where(_entry.run == run)
    if type_ is not None:
        query = query.where(_entry.type == type_)
    if actor is not None:
        query = query.where(_entry.actor == actor)
    is_of_person = actor is not None and not actor.startswith(_PROGRAM)
    if run is None and (type_ in _INDEXED_TYPES or is_of_person):
        # Nothing is left out: these kinds lie elsewhere, and nobody acts on the ledger but the applier.
        query = query.where(_not_of_the_ledger)
    return query


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


async def _first_at(connection: AsyncConnection, moment: datetime, *, low: int = 0) -> int:
    """Index, from `low` on, of the first entry recorded at or after a moment: entries are in the order of their time.

    Where the clock of a server was set back, entries around that moment may stand on either side.
    """
    last = (await connection.execute(select(func.max(_entry.entry_index)))).scalar_one()
    high = 0 if last is None else int(last) + 1
    while low < high:
        middle = (low + high) // 2
        query = select(_entry.body).where(_entry.entry_index == middle)
        recorded_at = orjson.loads((await connection.execute(query)).scalar_one())["recorded_at"]
        low, high = (middle + 1, high) if from_text(recorded_at) < moment else (low, middle)
    return low


def _found(rows: list[tuple[Any, ...]], *, goes_on: int | None) -> EntriesFound:
    return EntriesFound(tuple(AuditEntry.model_validate_json(body) for _, body in rows), goes_on)
