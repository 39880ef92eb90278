"""What the console reads of the auditor's database, over one engine that cannot write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.audit.entry_lookups import EntryLookups
from shared.audit.lookups import Lookups
from shared.audit.opening import read_only_engine
from shared.audit.plan_lookups import PlanLookups
from shared.audit.run_charts import RunCharts


@dataclass(frozen=True)
class Records:
    """Every question that pages put to the record."""

    engine: AsyncEngine
    lookups: Lookups
    """Runs, their events, progress, dead letters."""
    plans: PlanLookups
    """Plans and their changes, masked."""
    entries: EntryLookups
    """Entries of the audit log and their proofs."""
    charts: RunCharts
    """Counts over time."""

    @classmethod
    def open(cls, database_url: str, *, password: str | None = None) -> Self:
        """The record at an address, with the reference of its password; nothing is connected yet."""
        return cls.over(read_only_engine(database_url, password=password))

    @classmethod
    def over(cls, engine: AsyncEngine) -> Self:
        """The record over an engine that the caller opened."""
        return cls(engine, Lookups(engine), PlanLookups(engine), EntryLookups(engine), RunCharts(engine))

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
