"""The audit log at rest: whole, signed, and of everything that lies on the bus.

The log is taken from the auditor's database as an export would take it and verified from first principles; that every
stored message is an entry is counted on the bus itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from sqlalchemy import text

from services.auditor.store import Store
from shared.audit.verify import verify_log
from tests.simulation.bus import Bus
from tests.simulation.invariants import Watch
from tests.simulation.shape import AUDITOR_URL, LOG_KEY

RECORDED: Final = ("CORE", "LEDGER", "DLQ")
CATCH_UP_SECONDS: Final = 60.0


async def audited(bus: Bus) -> None:
    """Wait until the auditor has taken everything, and has stopped adding to it itself."""
    ends_at = bus.loop.time() + CATCH_UP_SECONDS
    store = Store.open(AUDITOR_URL)
    while bus.loop.time() < ends_at:
        before = {name: bus.streams[name].last_seq for name in RECORDED}
        await asyncio.sleep(3.0)
        async with store.engine.connect() as connection:
            rows = (await connection.execute(text("select stream, last_seq from progress"))).all()
        taken: dict[str, int] = {str(row.stream): int(row.last_seq) for row in rows}
        if all(taken.get(name, 0) == before[name] == bus.streams[name].last_seq for name in RECORDED):
            break
    await store.close()


async def require_audited(bus: Bus, watch: Watch) -> None:
    """Note what the audit log lacks."""
    store = Store.open(AUDITOR_URL)
    async with store.engine.connect() as connection:
        entries = (
            await connection.execute(text("select body, stream, stream_seq from entry order by entry_index"))
        ).all()
        checkpoints = (await connection.execute(text("select text from checkpoint order by size"))).scalars().all()
    await store.close()
    report = verify_log([body for body, _, _ in entries], list(checkpoints), LOG_KEY.verifier_key)
    if not report.is_proven:
        watch.violated(f"the audit log does not hold: {report.first_failure or 'entries without a signature'}")
    found = Counter((stream, seq) for _, stream, seq in entries)
    for name in RECORDED:
        for seq in bus.streams[name].kept:
            if found[name, seq] != 1:
                watch.violated(f"message {seq} of {name} is in the audit log {found[name, seq]} times")
    sealed = {one.subject.rpartition(".")[2] for one in bus.streams["CORE"].of("evt.auditor.run_sealed.*")}
    for run, state in watch.states.items():
        if state.has_ended and run not in sealed:
            watch.violated(f"run {run} has ended and was not sealed")
    for one in bus.streams["CORE"].of("audit.auditor.>"):
        watch.violated(f"the auditor reports {one.subject}: {one.data.decode()[:300]}")
