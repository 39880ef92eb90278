"""The differ's memory across runs: what we wrote last to each target record, and how many rows each source had.

It holds no personal value: fields stand in it as commitments. It can be rebuilt from the LEDGER and PLAN streams while
these last; losing it loses causes and comparisons, never safety.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

PREPARE_ATTEMPTS_MAX = 5
PREPARE_PAUSE_SECONDS = 0.1
KEYS_PER_QUERY = 500
"""Databases bound the number of parameters of a statement."""


class WrittenRecord(SQLModel, table=True):
    """What we wrote last to one target record."""

    __tablename__ = "written_record"

    target: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    key: str = Field(primary_key=True)
    target_id: str | None = None
    commitments: str
    """JSON object: commitment by field."""
    run: str


class AcceptedRows(SQLModel, table=True):
    """How many rows a source had in the last run whose plan was accepted."""

    __tablename__ = "accepted_rows"

    connector: str = Field(primary_key=True)
    entity: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    rows: int
    run: str


@dataclass(frozen=True)
class Written:
    """One record as it was written."""

    entity: str
    key: str
    target_id: str | None
    commitments: Mapping[str, str]


class Ledger:
    """The memory over one database."""

    def __init__(self, database_url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(database_url)

    async def prepare(self) -> None:
        """Create the tables that are not there yet; replicas that start together may all try."""
        for attempt in range(1, PREPARE_ATTEMPTS_MAX + 1):
            try:
                async with self._engine.begin() as connection:
                    await connection.run_sync(SQLModel.metadata.create_all, tables=_TABLES)
            except DBAPIError:
                # Between our look and our act another replica made the table: look again.
                if attempt == PREPARE_ATTEMPTS_MAX:
                    raise
                await asyncio.sleep(PREPARE_PAUSE_SECONDS * attempt)
            else:
                return

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()

    async def written_last(self, target: str, entity: str, keys: Sequence[str]) -> dict[str, dict[str, str]]:
        """Commitments by key and field, for those keys that we wrote."""
        found: dict[str, dict[str, str]] = {}
        async with AsyncSession(self._engine) as session:
            for start in range(0, len(keys), KEYS_PER_QUERY):
                part = keys[start : start + KEYS_PER_QUERY]
                rows = await session.exec(
                    select(WrittenRecord).where(
                        WrittenRecord.target == target, WrittenRecord.entity == entity, col(WrittenRecord.key).in_(part)
                    )
                )
                found.update({row.key: json.loads(row.commitments) for row in rows})
        return found

    async def remember_written(self, target: str, records: Iterable[Written], *, run: str) -> None:
        """Keep what a run wrote; an older run never overwrites a newer one."""
        async with AsyncSession(self._engine) as session:
            for record in records:
                row = await session.get(WrittenRecord, (target, record.entity, record.key))
                if row is None:
                    row = WrittenRecord(target=target, entity=record.entity, key=record.key, commitments="{}", run=run)
                elif row.run > run:
                    continue
                row.commitments = json.dumps({**json.loads(row.commitments), **record.commitments}, sort_keys=True)
                row.target_id = record.target_id or row.target_id
                row.run = run
                session.add(row)
            await session.commit()

    async def rows_accepted(self, connector: str) -> dict[tuple[str, str], int]:
        """Rows of the last accepted run, by entity and source."""
        async with AsyncSession(self._engine) as session:
            rows = await session.exec(select(AcceptedRows).where(AcceptedRows.connector == connector))
            return {(row.entity, row.source): row.rows for row in rows}

    async def remember_rows(self, connector: str, rows: Mapping[tuple[str, str], int], *, run: str) -> None:
        """Keep the rows of an accepted run; an older run never overwrites a newer one."""
        async with AsyncSession(self._engine) as session:
            for (entity, source), count in rows.items():
                row = await session.get(AcceptedRows, (connector, entity, source))
                if row is None:
                    row = AcceptedRows(connector=connector, entity=entity, source=source, rows=count, run=run)
                elif row.run > run:
                    continue
                row.rows, row.run = count, run
                session.add(row)
            await session.commit()


_TABLES = [SQLModel.metadata.tables["written_record"], SQLModel.metadata.tables["accepted_rows"]]
