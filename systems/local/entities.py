"""The entities as they are read: every row of a table, its number as `target_id`."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import String, cast, func, select

from shared.ports.system import Column
from shared.sql_reading import SqlEntity, Statements, TableNeed, Tables
from systems.local.tables import ROW_ID, TABLES, TARGET_ID, WRITTEN_BY


def columns_of(entity: str) -> Sequence[Column]:
    """The columns of an entity; `KeyError` for one that there is not."""
    return (
        Column(TARGET_ID, "text"),
        *(Column(name, column.kind) for name, column in TABLES[entity].columns.items()),
    )


def entities(table_prefix: str = "") -> list[SqlEntity]:
    """All of them."""
    return [_entity(entity, table_prefix) for entity in TABLES]


def _entity(entity: str, table_prefix: str) -> SqlEntity:
    names = tuple(TABLES[entity].columns)

    def build(tables: Tables) -> Statements:
        found = tables["table"]
        row_id = found.column(ROW_ID)
        return Statements(
            rows=select(cast(row_id, String).label(TARGET_ID), *(found.column(name).label(name) for name in names))
            .select_from(found.table)
            .order_by(row_id),
            count=select(func.count()).select_from(found.table),
        )

    return SqlEntity(
        name=entity,
        columns=tuple(columns_of(entity)),
        key=(TARGET_ID,),
        # `written_by` is not read, but a table without it cannot be written.
        needs=(TableNeed("table", table_prefix + entity, (ROW_ID, *names, WRITTEN_BY)),),
        build=build,
    )
