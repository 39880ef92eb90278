"""Whether this is the bus that the log was written from, looked at before a writer goes on with it.

A bus that was restored from an older backup numbers its next messages as it numbered others before. A log that went on
there would miss them and say nothing. So the last message that the log has of each stream must still be the one under
that number. It reads one message a stream and changes nothing.
"""

from __future__ import annotations

from hashlib import sha256

from nats.js import JetStreamContext
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.audit import tables
from shared.audit.entries import AuditEntry
from shared.bus.reading import NotGenuine, at
from shared.clock import to_text
from shared.errors import NeedsPerson
from shared.events.stored import Stored


async def require_same_bus(js: JetStreamContext, engine: AsyncEngine) -> None:
    """Return when the log can go on from these streams; `NeedsPerson` names the first stream of another past."""
    for entry in await _last_entries(engine):
        state = (await js.stream_info(entry.stream)).state
        if state.last_seq < entry.stream_seq:
            raise another_bus(entry.stream, f"ends at {state.last_seq}, the log holds it up to {entry.stream_seq}")
        try:
            stored = await at(js, entry.stream, entry.stream_seq)
        except NotGenuine:
            continue  # recorded as it came; who may have put it there is another matter
        if stored is not None and not _is_of(entry, stored):
            raise another_bus(entry.stream, f"has another message at {entry.stream_seq} than the log")


def another_bus(stream: str, found: str) -> NeedsPerson:
    """What is said of a bus that the log was not written from."""
    return NeedsPerson(
        "AUD_UNAVAILABLE",
        f"stream {stream} {found}: this is another bus, or it was restored from an older backup than the auditor's "
        "database; restore both from one backup, or give the auditor an empty database for this bus",
    )


async def _last_entries(engine: AsyncEngine) -> list[AuditEntry]:
    """The entry of the last message of each stream."""
    column = tables.entry.c
    async with engine.connect() as connection:
        streams = (await connection.execute(select(tables.progress.c.stream).order_by(tables.progress.c.stream))).all()
        found = []
        for (stream,) in streams:
            newest = select(func.max(column.stream_seq)).where(column.stream == stream).scalar_subquery()
            query = select(column.body).where(column.stream == stream, column.stream_seq == newest)
            found += [AuditEntry.model_validate_json(body) for (body,) in await connection.execute(query)]
    return found


def _is_of(entry: AuditEntry, stored: Stored) -> bool:
    return (entry.recorded_at, entry.payload_sha256) == (to_text(stored.time), sha256(stored.data).hexdigest())
