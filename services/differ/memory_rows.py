"""Rows of the differ's memory, many at a time: how statements are cut, and how rows are inserted or replaced.

Acts within the transaction it is given, on SQLite and PostgreSQL alike; decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import SQLModel

from services.differ.memory import Scope
from services.differ.memory_tables import table_of

KEYS_PER_QUERY = 2_000
"""Databases bound the number of parameters of a statement; SQLite takes 32,766."""
ROWS_PER_WRITE = 5_000
"""Rows handed to the database at once, so that memory stays bounded."""


def in_parts(values: Iterable[str], size: int = KEYS_PER_QUERY) -> Iterator[list[str]]:
    """The distinct values in order, in parts that one statement takes."""
    ordered = sorted(set(values))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


async def upsert(connection: AsyncConnection, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, or replace those that are there; all rows name the same columns."""
    if not rows:
        return
    table = table_of(model)
    keys = [column.name for column in table.primary_key.columns]
    if connection.dialect.name == "postgresql":
        plain = postgresql.insert(table)
        changed = {name: plain.excluded[name] for name in rows[0] if name not in keys}
        complete: Insert = plain.on_conflict_do_update(index_elements=keys, set_=changed)
    else:
        local = sqlite.insert(table)
        changed = {name: local.excluded[name] for name in rows[0] if name not in keys}
        complete = local.on_conflict_do_update(index_elements=keys, set_=changed)
    for start in range(0, len(rows), ROWS_PER_WRITE):
        await connection.execute(complete, [dict(row) for row in rows[start : start + ROWS_PER_WRITE]])


async def insert_new(connection: AsyncConnection, model: type[SQLModel], row: Mapping[str, Any]) -> bool:
    """Insert one row unless it is there already; whether it was inserted."""
    table = table_of(model)
    keys = [column.name for column in table.primary_key.columns]
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(dict(row)).on_conflict_do_nothing(index_elements=keys)
    # What comes back is the inserted row; drivers do not agree on how they count insertions.
    return (await connection.execute(statement.returning(*table.primary_key.columns))).first() is not None


def scope_columns(scope: Scope) -> dict[str, str]:
    """The scope as columns of a row."""
    return {"connector": scope.connector, "target": scope.target, "entity": scope.entity}
