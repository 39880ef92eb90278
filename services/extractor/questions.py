"""What the extractor tells people who ask: what stands in a run's quarantine and why, and how a connection stands.

Never a value of a record.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from services.extractor.handlers import Context
from services.extractor.kept import fact_of
from services.extractor.snapshot import Place, frames_of
from shared.bus.questions import fitting
from shared.errors import AetherError
from shared.events.facts import SnapshotRead
from shared.events.queries import (
    ConnectionAnswer,
    ConnectionQuery,
    FindingView,
    QuarantineAnswer,
    QuarantineItem,
    QuarantineQuery,
)
from shared.ports.connections import Connection
from shared.ports.system import Finding
from shared.records.subjects import QUARANTINE
from shared.run.state import checked_run

CHECK_SECONDS_MAX: Final = 15.0
"""For all that is tried of one connection; who asks waits a little longer."""


async def connection_checked(question: ConnectionQuery, context: Context) -> ConnectionAnswer:
    """What a harmless try of a connection found; `NeedsPerson` when there is no such connection."""
    connection = context.connections.named(question.connection)
    return ConnectionAnswer(
        connection=connection.name,
        system=connection.system,
        environment=connection.environment,
        tier=context.registry.tier(connection.system, role="source").title,
        findings=tuple(
            FindingView(subject=one.subject, is_good=one.is_good, text=one.text)
            for one in await _findings(connection, context)
        ),
    )


async def _findings(connection: Connection, context: Context) -> list[Finding]:
    try:
        source = context.registry.open_source(connection)
    except AetherError as error:
        return [Finding("settings", False, error.message)]
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            return list(await source.check())
    except TimeoutError:
        return [
            Finding("network", False, f"not done after {CHECK_SECONDS_MAX:g} s; look at the system and its network")
        ]
    finally:
        await source.close()


async def quarantine_items(question: QuarantineQuery, context: Context) -> QuarantineAnswer:
    """The quarantine items of a run, as many from the offset on as fit; `StopRun` when they are no longer kept."""
    run = checked_run(question.run)
    state = await context.committer.run_state(run)
    by_code: Counter[str] = Counter()
    items: list[QuarantineItem] = []
    before = 0
    for work in sorted(state.work, key=lambda one: (one.entity, one.side)):
        if work.attempt is None:
            continue
        fact = await fact_of(context.js, run=run, side=work.side, entity=work.entity)
        by_code.update(fact.quarantined_by_code)
        manifest = next((one for one in fact.partitions if one.partition == QUARANTINE), None)
        if manifest is None:
            continue
        first = max(0, question.offset - before)
        wanted = question.limit - len(items)
        before += manifest.rows
        if first < manifest.rows and wanted > 0:
            items += await _items(fact, context, first=first, limit=wanted)
    return QuarantineAnswer(
        run=run, total=sum(by_code.values()), by_code=dict(sorted(by_code.items())), items=fitting(items)
    )


async def _items(fact: SnapshotRead, context: Context, *, first: int, limit: int) -> list[QuarantineItem]:
    manifest = next(one for one in fact.partitions if one.partition == QUARANTINE)
    found: list[QuarantineItem] = []
    passed = 0
    # Gone through to the end, although the page may be full: only there is it known that the batches are whole.
    async for frame in frames_of(context.js, Place.of(fact), manifest):
        part = frame.slice(max(0, first - passed), limit - len(found))
        passed += frame.height
        if passed <= first:
            continue
        for row in part.iter_rows(named=True):
            found.append(QuarantineItem(side=fact.side, entity=fact.entity, **{**row, "key": _shown_key(row["key"])}))
    return found


def _shown_key(key: str | None) -> str | None:
    """A key is an id, unless the connector keys records by something personal, such as a mail address."""
    return key if key is None or "@" not in key else f"{key[:1]}…({len(key)})"
