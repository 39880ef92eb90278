"""Reading and writing which target records certified reads of a connector's sources miss.

Acts on the table `missed_record` within a transaction of the ledger. It decides only this: a miss counts once a run
and only far enough behind the last one that counted, and a key that is there again starts anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.differ.memory import EntitySeen, Scope, is_new_strike
from services.differ.memory_rows import in_parts, scope_columns, upsert
from services.differ.memory_tables import MissedRecord, table_of
from shared.clock import from_text, to_text

STRIKES_MAX = 1_000
"""More strikes than any contract asks for; counting ends here."""

_MISSES = table_of(MissedRecord)


async def misses_of(connection: AsyncConnection, scope: Scope, keys: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """The misses of these keys, of all without keys: only what is missing stands there, and that is little."""
    query = select(_MISSES).where(
        _MISSES.c.connector == scope.connector, _MISSES.c.target == scope.target, _MISSES.c.entity == scope.entity
    )
    if keys is None:
        return {row["key"]: dict(row) for row in (await connection.execute(query)).mappings()}
    found: dict[str, dict[str, Any]] = {}
    if (await connection.execute(query.limit(1))).first() is None:
        return found
    for part in in_parts(keys):
        rows = (await connection.execute(query.where(_MISSES.c.key.in_(part)))).mappings()
        found.update({row["key"]: dict(row) for row in rows})
    return found


async def write_seen(connection: AsyncConnection, scope: Scope, seen: EntitySeen, *, run: str) -> None:
    """Count the misses of one run's read, and forget those of keys that are there again."""
    present = await misses_of(connection, scope, None)
    at = to_text(seen.read_at)
    rows: list[dict[str, Any]] = []
    for key in sorted(seen.missed):
        row = present.get(key)
        strikes, last_at, by_run = 1, at, run
        if row is not None:
            strikes, last_at, by_run = row["strikes"], row["last_strike_at"], row["run"]
            if is_new_strike(last_strike_at=from_text(last_at), read_at=seen.read_at, strike_hours=seen.strike_hours):
                strikes, last_at, by_run = min(strikes + 1, STRIKES_MAX), at, run
        since = (row["suspended_since"] if row is not None else None) or at
        new = {"strikes": strikes, "last_strike_at": last_at, "run": by_run}
        new["suspended_since"] = since if key in seen.suspended else None
        if row is None or any(row[name] != value for name, value in new.items()):
            rows.append({**scope_columns(scope), "key": key, **new})
    await upsert(connection, MissedRecord, rows)
    await clear_misses(connection, scope, sorted(set(present) - seen.missed - seen.unknown))


async def miss_records(connection: AsyncConnection, scope: Scope, missed: Mapping[str, datetime], *, run: str) -> None:
    """Remember first misses of the past."""
    rows = [
        {**scope_columns(scope), "key": key, "strikes": 1, "last_strike_at": to_text(at), "run": run}
        | {"suspended_since": None}
        for key, at in sorted(missed.items())
    ]
    await upsert(connection, MissedRecord, rows)


async def mark_suspended(connection: AsyncConnection, scope: Scope, keys: Iterable[str], *, at: datetime) -> None:
    """Remember since when missing records are suspended."""
    present = await misses_of(connection, scope, sorted(set(keys)))
    rows = [{**row, "suspended_since": to_text(at)} for row in present.values() if row["suspended_since"] is None]
    await upsert(connection, MissedRecord, rows)


async def clear_misses(connection: AsyncConnection, scope: Scope, keys: Sequence[str]) -> None:
    """Forget the misses of these keys."""
    for part in in_parts(keys):
        await connection.execute(
            delete(_MISSES).where(
                _MISSES.c.connector == scope.connector,
                _MISSES.c.target == scope.target,
                _MISSES.c.entity == scope.entity,
                _MISSES.c.key.in_(part),
            )
        )
