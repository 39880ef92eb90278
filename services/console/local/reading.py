"""Reads the district's local tables: names, rows, one row. It never writes, and every answer is bounded.

The tables are looked at as they are, so columns that the district added stand beside ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Self

from sqlalchemy import Boolean, Column, Connection, Date, MetaData, String, Table, cast, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.audit.opening import read_only_engine

OFFSET_MAX: Final = 10_000_000
"""Rows that are passed over at most."""
COLUMNS_MAX: Final = 60
"""Of one table; further ones are not shown."""
VALUE_CHARACTERS_MAX: Final = 500
ROW_ID: Final = "row_id"

Row = Mapping[str, str | None]
"""Texts by the name of the column; None where there is no value."""


class TableMissing(LookupError):
    """The database has no such table."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a table."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    total: int


class LocalData:
    """The local tables of one database."""

    def __init__(self, engine: AsyncEngine, *, schema: str | None, prefix: str) -> None:
        self._engine = engine
        self._schema = schema
        self._prefix = prefix

    @classmethod
    def open(cls, url: str, *, password: str | None = None, schema: str | None, prefix: str) -> Self:
        """The tables at an address, with the reference of its password; nothing is connected yet."""
        return cls(read_only_engine(url, password=password), schema=schema, prefix=prefix)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    async def counts(self, names: tuple[str, ...]) -> dict[str, int | None]:
        """Rows of each of the tables; None for one that is not there."""
        async with self._engine.connect() as connection:
            return await connection.run_sync(self._counts, names)

    async def page(self, name: str, *, where: tuple[str, str] | None, offset: int, limit: int) -> Page:
        """A part of a table in the order of its rows, all of it or those with this text in this column.

        `TableMissing` when there is no such table; `KeyError` for an unknown column.
        """
        async with self._engine.connect() as connection:
            return await connection.run_sync(self._page, name, where, offset, limit)

    async def row(self, name: str, *, column: str, value: str) -> Row | None:
        """The row with this text in this column; None without one, `TableMissing` without the table."""
        found = await self.page(name, where=(column, value), offset=0, limit=1)
        return found.rows[0] if found.rows else None

    def _counts(self, connection: Connection, names: tuple[str, ...]) -> dict[str, int | None]:
        there = set(inspect(connection).get_table_names(schema=self._schema))
        return {
            name: connection.execute(select(func.count()).select_from(self._table(connection, name))).scalar_one()
            if self._prefix + name in there
            else None
            for name in names
        }

    def _page(self, connection: Connection, name: str, where: tuple[str, str] | None, offset: int, limit: int) -> Page:
        table = self._table(connection, name)
        columns = list(table.columns)[:COLUMNS_MAX]
        query = select(*columns)
        counted = select(func.count()).select_from(table)
        if where is not None:
            condition = _is(table.columns[where[0]], where[1])
            query, counted = query.where(condition), counted.where(condition)
        order = [table.columns[ROW_ID]] if ROW_ID in table.columns else columns[:1]
        total = connection.execute(counted).scalar_one()
        rows = connection.execute(query.order_by(*order).offset(offset).limit(limit)).all()
        names = tuple(column.name for column in columns)
        return Page(names, tuple(dict(zip(names, map(_text, row), strict=True)) for row in rows), total)

    def _table(self, connection: Connection, name: str) -> Table:
        full = self._prefix + name
        inspector = inspect(connection)
        if not inspector.has_table(full, schema=self._schema):
            raise TableMissing(name)
        columns = [Column(each["name"], each["type"]) for each in inspector.get_columns(full, schema=self._schema)]
        return Table(full, MetaData(), *columns, schema=self._schema)


def _is(column: Column[Any], text: str) -> Any:
    """The column has the value that this text is; a column of ours can use its index."""
    match column.type:
        case Boolean():
            return column.is_(text.lower() == "true")
        case Date():
            try:
                return column == date.fromisoformat(text)
            except ValueError:
                return column.is_(None) & column.is_not(None)  # no day is this text
        case String():
            return column == text
        case _:
            return cast(column, String) == text


def _text(value: object) -> str | None:
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case bytes():
            return f"{len(value)} bytes"
        case _:
            return str(value)[:VALUE_CHARACTERS_MAX]
