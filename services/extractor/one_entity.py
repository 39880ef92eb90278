"""Reading one entity of one system: taken up where an earlier process was killed, or from its first page, and anew as
long as its records move.

Acts on the system through the port and on the bus through `services.extractor.checkpoints`. Each reading has shelves
of its own, so that no row of one that was thrown away is left in the next. Which readings are worth repeating is
decided by `services.extractor.rereading`; what a broken one means for the side, by `services.extractor.reading`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import structlog

from services.extractor.checkpoints import Checkpoints, ReadingCheckpoints
from services.extractor.extract import Extract, Sink, TakenUp, extract
from services.extractor.rereading import UNSTABLE, is_read_anew, pause_seconds, told
from services.extractor.spill import Shelves, cut
from shared.clock import Clock
from shared.errors import AetherError
from shared.events.documents import FailureNote
from shared.ports.connections import Connection, Connections
from shared.ports.registry import Registry
from shared.ports.system import Column, Resumable, Source
from shared.records.certificate import Side

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Systems:
    """How systems are reached."""

    connections: Connections
    registry: Registry
    clock: Clock
    checkpoints: Checkpoints | None = None
    """Where readings are made durable; None: a reading that was left is begun anew."""
    rng: Random = field(default_factory=Random)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True)
class Wanted:
    """One entity of one connection."""

    connection: str
    entity: str
    side: Side
    columns: Sequence[str]
    """What is kept of each row."""


@dataclass(frozen=True)
class Got:
    """What reading one entity brought, in the end."""

    extract: Extract
    columns: Sequence[Column]
    """As the system declares them."""
    shelves: Shelves
    rereads: int = 0
    """Readings that were thrown away before this one because the records moved."""


async def read_entity(alias: str, wanted: Wanted, *, fresh: Callable[[], Shelves], systems: Systems) -> Got:
    """Read it whole, or say why that cannot be; `fresh` gives the shelves of one reading."""
    source: Source | None = None
    try:
        connection = systems.connections.named(wanted.connection)
        source = systems.registry.open_source(connection)
        columns = source.columns(wanted.entity)
        reader = _Reader(source, connection, wanted, fresh, systems)
        if systems.checkpoints is not None and isinstance(source, Resumable):
            # A side has one reading of each lookup entity, and one of each source's alias.
            name = f"source-{alias}" if wanted.side == "source" else f"target-{wanted.entity}"
            reader.checkpoints = systems.checkpoints.of(
                name, connection=connection, entity=wanted.entity, columns=wanted.columns
            )
            if (taken_up := await reader.taken_up(source)) is not None:
                return replace(taken_up, columns=columns)
        return replace(await reader.from_the_start(), columns=columns)
    except AetherError as error:
        nothing = Extract(rows=None, schema=None, certificate=None, incomplete=FailureNote.of(error))
        return Got(nothing, (), fresh())
    finally:
        if source is not None:
            await source.close()


@dataclass
class _Reader:
    """Reads one entity, as often as it takes."""

    source: Source
    connection: Connection
    wanted: Wanted
    fresh: Callable[[], Shelves]
    systems: Systems
    checkpoints: ReadingCheckpoints | None = None

    async def taken_up(self, source: Resumable) -> Got | None:
        """Go on where an earlier process was killed; None when there is nothing to go on with, or it has moved."""
        assert self.checkpoints is not None, "only what was made durable is taken up"  # noqa: S101 -- own invariant
        shelves = self.fresh()
        point = await self.checkpoints.take_up(source, self._sink(shelves))
        if point is None:
            return None
        got = await self._once(shelves, point)
        if got.incomplete is None or got.incomplete.code != UNSTABLE:
            return Got(got, (), shelves)
        await self.checkpoints.forget()
        log.info("reading_thrown_away", why=got.incomplete.text, resumed=point.resumed)
        return None

    async def from_the_start(self) -> Got:
        """Read from the first page, and anew while the records move and another reading may find them at rest."""
        rereads = 0
        while True:
            shelves = self.fresh()
            if self.checkpoints is not None:
                self.checkpoints.begin()
            got = await self._once(shelves, None)
            code = None if got.incomplete is None else got.incomplete.code
            if code == UNSTABLE and self.checkpoints is not None:
                await self.checkpoints.forget()
            if not is_read_anew(code, rereads=rereads):
                break
            log.info("reading_thrown_away", why=got.incomplete and got.incomplete.text, rereads=rereads)
            await self.systems.sleep(pause_seconds(rereads, chance=self.systems.rng.random()))
            rereads += 1
        if rereads and got.incomplete is not None:
            note = FailureNote(code=got.incomplete.code, text=told(got.incomplete.text, rereads=rereads))
            got = replace(got, incomplete=note)
        return Got(got, (), shelves, rereads)

    async def _once(self, shelves: Shelves, point: TakenUp | None) -> Extract:
        return await extract(
            self.source,
            connection=self.connection,
            name=self.wanted.connection,
            entity=self.wanted.entity,
            side=self.wanted.side,
            clock=self.systems.clock,
            sink=self._sink(shelves),
            keeper=self.checkpoints,
            taken_up=point,
        )

    def _sink(self, shelves: Shelves) -> Sink:
        return lambda frame: shelves.put(cut(frame, self.wanted.columns))
