"""The figures that follow from the record, kept current: all of it once, and then only what came into the log since.

`look` is called at start, when the auditor says that something changed, and every `LOOK_SECONDS`; it is the only thing
that asks the database. What it cannot read leaves the figures as they were and says when they were last right. An
auditor whose log is shorter than before has been restored from a backup: then everything is read anew.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from services.monitor.labels import Names
from services.monitor.quarantine import EntityRead, Quarantines, has_seen_enough
from services.monitor.rows import (
    FEED_ENTRIES,
    HEALTH_TYPE,
    QUARANTINE_PAGE_RUNS,
    QUARANTINE_RUNS_MAX,
    READ_TYPE,
    SEALED_TYPE,
    STATE_TYPE,
    FeedEntry,
    OpenRun,
    Rows,
    SeenRun,
)
from services.monitor.tally import Tally
from shared.clock import Clock

LOOK_SECONDS: Final = 15.0
"""How old the figures may become when a note of the auditor is lost."""
PAUSE_SECONDS: Final = 1.0
"""Between two looks, however much is noted."""
STALE_SECONDS: Final = 90.0
"""After so long without a look that succeeded the monitor does not call itself ready."""
OPEN_RUNS_MAX: Final = 10_000
"""Runs that have not ended, of which the state is kept; a house has a handful."""

log = structlog.get_logger(__name__)


class Recorded:
    """What the auditor's database says, as sums and moments."""

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._bell = asyncio.Event()
        self.connectors = Names()
        self.connections = Names()
        self._begin()

    def _begin(self) -> None:
        self.looked_at: float | None = None
        """When the database was last read, in seconds since 1970; None before the first time."""
        self._last_index: int | None = None
        self.tally = Tally(self.connectors)
        self.quarantines = Quarantines(self.connectors, Names())
        self.open: dict[str, OpenRun] = {}
        self.last_run: dict[str, float] = {}
        self._verdicts: dict[str, tuple[float, str]] = {}
        self._health: dict[str, str] = {}
        self._unknown: dict[str, int] = {}

    @property
    def is_current(self) -> bool:
        """Whether a look succeeded lately."""
        return self.looked_at is not None and self._clock.now().timestamp() - self.looked_at < STALE_SECONDS

    def verdicts(self) -> dict[str, str]:
        """The guard's verdict on the newest plan, by connector."""
        return {self.connectors(name): verdict for name, (_, verdict) in sorted(self._verdicts.items())}

    def quarantined_connections(self) -> dict[str, bool]:
        """Whether each connection that ever was in quarantine is there now."""
        found: dict[str, bool] = {}
        for name, status in sorted(self._health.items()):
            label = self.connections(name)
            found[label] = found.get(label, False) or status == "quarantined"
        return found

    def unknown_effects(self) -> dict[str, int]:
        """By connector: of the runs under way, and of the last one that applied."""
        found = {connector: number for connector, (_, number) in self.tally.last_unknown.items()}
        for run, number in self._unknown.items():
            if run in self.open:
                label = self.connectors(self.open[run].connector)
                found[label] = found.get(label, 0) + number
        return found

    def hear(self) -> None:
        """Take a note: something changed."""
        self._bell.set()

    async def run(self) -> None:
        """Look for ever, until cancelled."""
        while True:
            await self.try_to_look()
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._bell.wait()
            except TimeoutError:
                pass
            self._bell.clear()

    async def try_to_look(self) -> None:
        """Look; what stands in the way is told by its kind only, because a text may quote a row."""
        try:
            await self.look()
        except (SQLAlchemyError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("record_not_read", error=type(error).__name__)

    async def look(self) -> None:
        """Bring every figure to what the database says now."""
        last = await self._rows.last_index()
        if self._last_index is None or last < self._last_index:
            if self._last_index is not None:
                log.warning("record_is_shorter", entries=last + 1, before=self._last_index + 1)
            await self._take_all(last)
        else:
            await self._take_news()
        applying = [run for run in self.open if self.open[run].status not in _BEFORE_APPLYING]
        self._unknown = await self._rows.unknown_effects(applying)
        self.looked_at = self._clock.now().timestamp()

    async def _take_all(self, last: int) -> None:
        # What comes into the log meanwhile has a place behind `last` and is looked at once more by the next look; a
        # run that ended is known by then and is not counted twice.
        self._begin()
        async for page in self._rows.all_runs():
            for seen in page:
                self._take(seen)
            await asyncio.sleep(0)  # /livez is answered between two pages
        for connector in list(self.last_run):
            if (verdict := await self._rows.verdict(connector)) is not None:
                self._verdicts[connector] = verdict
            for read in await self._reads_of(connector):
                self.quarantines.saw(connector, read)
        self._health = await self._rows.healths()
        self._last_index = last

    async def _reads_of(self, connector: str) -> list[EntityRead]:
        """The reads that say since when something is in quarantine, oldest first."""
        newest_first: list[EntityRead] = []
        for offset in range(0, QUARANTINE_RUNS_MAX, QUARANTINE_PAGE_RUNS):
            reads, runs = await self._rows.reads(connector, offset=offset)
            newest_first += reads
            if runs < QUARANTINE_PAGE_RUNS or has_seen_enough(newest_first):
                break
        return newest_first[::-1]

    async def _take_news(self) -> None:
        is_whole = False
        while not is_whole:  # ends: every page is behind the one before it, and the log grows slower than it is read
            news = await self._rows.feed(-1 if self._last_index is None else self._last_index)
            is_whole = len(news) < FEED_ENTRIES
            await self._take_feed(news)
            if news:
                self._last_index = news[-1].index

    async def _take_feed(self, news: list[FeedEntry]) -> None:
        names = {entry.run for entry in news if entry.run is not None and entry.type in (STATE_TYPE, SEALED_TYPE)}
        for seen in await self._rows.runs(names):
            self._take(seen)
        read = [entry.index for entry in news if entry.type == READ_TYPE]
        for connector, one in await self._rows.reads_at(read):
            self.quarantines.saw(connector, one)
        for entry in news:
            if entry.type == HEALTH_TYPE and entry.health is not None:
                connection, status = entry.health
                self._health[connection] = status

    def _take(self, seen: SeenRun) -> None:
        label = self.connectors(seen.connector)
        self.last_run[seen.connector] = max(seen.requested_at, self.last_run.get(seen.connector, 0.0))
        if seen.open is not None:
            if seen.run in self.open or len(self.open) < OPEN_RUNS_MAX:
                self.open[seen.run] = seen.open
        else:
            self.open.pop(seen.run, None)
        if seen.ended is not None:
            self.tally.add(seen.ended)
        if seen.codes is not None:
            self.tally.add_codes(seen.run, label, seen.codes)
        if seen.verdict is not None and seen.requested_at >= self._verdicts.get(seen.connector, (0.0, ""))[0]:
            self._verdicts[seen.connector] = (seen.requested_at, seen.verdict)


_BEFORE_APPLYING: Final = frozenset(
    {"queued", "extracting", "normalising", "diffing", "guarding", "held", "awaiting_approval"}
)
"""States in which no change has an intent yet."""
