"""Reading and writing what is known of single target records, many at a time, within a transaction of the ledger.

Acts on the table `target_record`. It decides only this: an older run never overwrites a newer one, and a target
record has one key, the one it was given last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.differ.comparing import Memory
from services.differ.memory import Applied, Deferral, Scope, Written
from services.differ.memory_misses import clear_misses, mark_suspended, misses_of
from services.differ.memory_rows import in_parts, upsert
from services.differ.memory_tables import TargetRecord, table_of
from shared.clock import from_text

_RECORDS = table_of(TargetRecord)
_BLANK: Mapping[str, Any] = {
    "target_id": None, "commitments": "{}", "clauses": "{}", "release": None, "held_against": None, "deferred": "[]",
    "run": "",
}  # fmt: skip


async def recall_records(connection: AsyncConnection, scope: Scope, keys: Iterable[str]) -> dict[str, Memory]:
    """What is known of the records of these keys; a key of which nothing is known is left out."""
    wanted = sorted(set(keys))
    misses = await misses_of(connection, scope, wanted)
    found: dict[str, Memory] = {}
    for part in in_parts(wanted if await _is_known(connection, scope) else ()):
        query = select(
            _RECORDS.c.key,
            _RECORDS.c.target_id,
            _RECORDS.c.commitments,
            _RECORDS.c.clauses,
            _RECORDS.c.held_against,
            _RECORDS.c.deferred,
        ).where(_RECORDS.c.target == scope.target, _RECORDS.c.entity == scope.entity, _RECORDS.c.key.in_(part))
        for key, target_id, commitments, clauses, held_against, deferred in await connection.execute(query):
            found[key] = Memory(
                key=key,
                target_id=target_id,
                written=orjson.loads(commitments),
                clauses=orjson.loads(clauses),
                held_against=None if held_against is None else orjson.loads(held_against),
                deferred=frozenset(orjson.loads(deferred)),
            )
    for key, miss in misses.items():
        since = miss["suspended_since"]
        found[key] = replace(
            found.get(key, Memory(key=key)),
            strikes=miss["strikes"],
            last_strike_at=from_text(miss["last_strike_at"]),
            suspended_since=None if since is None else from_text(since),
        )
    return found


async def _is_known(connection: AsyncConnection, scope: Scope) -> bool:
    """Whether anything is known of the entity; of a new one a million keys need not be looked up."""
    query = select(_RECORDS.c.key).where(_RECORDS.c.target == scope.target, _RECORDS.c.entity == scope.entity).limit(1)
    return (await connection.execute(query)).first() is not None


async def linked_keys(connection: AsyncConnection, scope: Scope, target_ids: Iterable[str]) -> dict[str, str]:
    """Our key by target id, for those of these records that we know."""
    found: dict[str, str] = {}
    for part in in_parts(target_ids):
        query = select(_RECORDS.c.target_id, _RECORDS.c.key).where(
            _RECORDS.c.target == scope.target, _RECORDS.c.entity == scope.entity, _RECORDS.c.target_id.in_(part)
        )
        found.update((target_id, key) for target_id, key in await connection.execute(query))
    return found


async def write_applied(connection: AsyncConnection, applied: Applied) -> None:
    """Keep what an apply wrote and left out; may be told again, and late."""
    written: dict[str, list[Written]] = {}
    for record in applied.written:
        written.setdefault(record.entity, []).append(record)
    deferred: dict[str, list[Deferral]] = {}
    for deferral in applied.deferred:
        deferred.setdefault(deferral.entity, []).append(deferral)
    for entity in sorted({*written, *deferred}):
        scope = Scope(connector=applied.connector, target=applied.target, entity=entity)
        await _write_entity(connection, scope, written.get(entity, []), deferred.get(entity, []), applied)
        suspended = [one.key for one in written.get(entity, []) if one.is_suspended]
        await mark_suspended(connection, scope, suspended, at=applied.at)


async def _write_entity(
    connection: AsyncConnection,
    scope: Scope,
    written: Sequence[Written],
    deferred: Sequence[Deferral],
    applied: Applied,
) -> None:
    keys = [*(one.key for one in written), *(one.key for one in deferred)]
    known = await _records_of(connection, scope.target, scope.entity, keys)
    newer = {key for key, row in known.items() if row["run"] > applied.run}
    rows: dict[str, dict[str, Any]] = {}

    def row_of(key: str) -> dict[str, Any]:
        if key not in rows:
            blank = {"target": scope.target, "entity": scope.entity, "key": key, **_BLANK}
            rows[key] = {**blank, **known.get(key, {})}
        return rows[key]

    gone = sorted(one.key for one in written if one.is_gone and one.key not in newer)
    for one in written:
        if one.key in newer or one.is_gone:
            continue
        row = row_of(one.key)
        row["commitments"] = _merged(row["commitments"], one.commitments)
        # Where the clause behind a value is not known, no older one may pass for it.
        stale = {name: digest for name, digest in orjson.loads(row["clauses"]).items() if name not in one.commitments}
        row["clauses"] = _text({**stale, **one.clauses})
        row["target_id"] = one.target_id or row["target_id"]
        # What is carried out is neither held any more, nor put off.
        row |= {"held_against": None, "deferred": "[]", "release": applied.release, "run": applied.run}
    for deferral in deferred:
        if deferral.key not in newer:
            row = row_of(deferral.key)
            row["deferred"] = _text(sorted({*orjson.loads(row["deferred"]), deferral.change_id}))
    await _unlink_others(connection, scope, rows.values(), run=applied.run)
    await upsert(connection, TargetRecord, list(rows.values()))
    await _forget(connection, scope, gone)


async def _unlink_others(
    connection: AsyncConnection, scope: Scope, rows: Iterable[Mapping[str, Any]], *, run: str
) -> None:
    """Forget the former keys of target records that were given another one: a target record has one key."""
    key_of = {str(row["target_id"]): row["key"] for row in rows if row["target_id"] is not None}
    for part in in_parts(key_of):
        query = select(_RECORDS.c.target_id, _RECORDS.c.key).where(
            _RECORDS.c.target == scope.target,
            _RECORDS.c.entity == scope.entity,
            _RECORDS.c.target_id.in_(part),
            _RECORDS.c.run <= run,
        )
        former = [row.key for row in await connection.execute(query) if key_of[str(row.target_id)] != row.key]
        await _forget(connection, scope, former)


async def _forget(connection: AsyncConnection, scope: Scope, keys: Sequence[str]) -> None:
    """Forget records that were deleted, with their misses."""
    for part in in_parts(keys):
        await connection.execute(
            delete(_RECORDS).where(
                _RECORDS.c.target == scope.target, _RECORDS.c.entity == scope.entity, _RECORDS.c.key.in_(part)
            )
        )
    await clear_misses(connection, scope, keys)


async def hold_records(
    connection: AsyncConnection, scope: Scope, holds: Mapping[str, Mapping[str, str]], *, run: str
) -> None:
    """Hold records against the commitments of what is desired of them now."""
    known = await _records_of(connection, scope.target, scope.entity, holds)
    rows = [
        {"target": scope.target, "entity": scope.entity, "key": key, **_BLANK, **known.get(key, {}), "run": run}
        | {"held_against": _text(dict(against))}
        for key, against in sorted(holds.items())
    ]
    await upsert(connection, TargetRecord, rows)


async def link_records(connection: AsyncConnection, scope: Scope, links: Mapping[str, str]) -> None:
    """Link keys to target ids without having written anything; what is known already stays."""
    known = await _records_of(connection, scope.target, scope.entity, links)
    rows = [
        {"target": scope.target, "entity": scope.entity, "key": key, **_BLANK, **known.get(key, {})}
        | {"target_id": target_id}
        for key, target_id in sorted(links.items())
    ]
    await upsert(connection, TargetRecord, rows)


async def _records_of(
    connection: AsyncConnection, target: str, entity: str, keys: Iterable[str]
) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for part in in_parts(keys):
        query = select(_RECORDS).where(
            _RECORDS.c.target == target, _RECORDS.c.entity == entity, _RECORDS.c.key.in_(part)
        )
        found.update({row["key"]: dict(row) for row in (await connection.execute(query)).mappings()})
    return found


def _merged(stored: str, more: Mapping[str, str]) -> str:
    return _text({**orjson.loads(stored), **more})


def _text(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
