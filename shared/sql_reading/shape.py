"""What an entity needs of a database, and finding it there, whatever the case of names, before anything is selected.

A name that is missing is reported with its table, so that a renamed view never looks like an empty one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, func, inspect, select
from sqlalchemy import column as sql_column
from sqlalchemy import null as sql_null
from sqlalchemy import table as sql_table
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import TableClause

from shared.errors import StopRun
from shared.ports.system import Column


@dataclass(frozen=True)
class TableNeed:
    """One table or view that an entity is read from."""

    alias: str
    """The name that the entity's `build` uses for it."""
    name: str
    """Its name in the database."""
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    """Columns that are read as null where the table has none."""
    may_be_missing: bool = False
    """Whether the entity can be read without it: `build` then finds no such alias."""


@dataclass(frozen=True)
class FoundTable:
    """A needed table as the database has it."""

    table: TableClause
    actual: Mapping[str, str]
    """Needed column name → name in the database; missing optional columns left out."""

    def column(self, name: str) -> ColumnElement[Any]:
        """The column of that name, or NULL when it is optional and the table has none."""
        found = self.actual.get(name)
        return sql_null() if found is None else self.table.c[found]

    def has(self, name: str) -> bool:
        """Whether the table has that column."""
        return name in self.actual


Tables = Mapping[str, FoundTable]
"""By alias."""


@dataclass(frozen=True)
class Statements:
    """What is asked of the database for one entity."""

    rows: Select[Any]
    """One column for each declared column, labelled with its name and in that order; ordered by the key."""
    count: Select[int]
    """One number: how many rows there are. Counted without the joins of `rows`, so that it tests them."""


@dataclass(frozen=True)
class SqlEntity:
    """One entity: what it needs, what it delivers and how it is asked for."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    """Columns that order the rows, in that order; their values are the reading's cursor."""
    needs: tuple[TableNeed, ...]
    build: Callable[[Tables], Statements]
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns that the reading makes itself, from which others: their values joined by "/", null when one is null."""

    @property
    def selected(self) -> tuple[Column, ...]:
        """The columns that the database is asked for."""
        return tuple(column for column in self.columns if column.name not in self.joined)


def find_tables(
    connection: Connection, needs: Sequence[TableNeed], *, schema_name: str | None
) -> tuple[dict[str, FoundTable], list[str]]:
    """The tables found, by alias, and a sentence for everything that is missing."""
    columns_of = _looked_up(connection, needs, schema_name=schema_name)
    found: dict[str, FoundTable] = {}
    missing: list[str] = []
    for need in needs:
        place = f"{schema_name}.{need.name}" if schema_name else need.name
        actual_table = _same_name(need.name, list(columns_of))
        names = columns_of.get(actual_table, []) if actual_table is not None else []
        if actual_table is None or not names:
            if not need.may_be_missing:
                missing.append(f"table {place} does not exist or may not be seen by this login")
            continue
        actual = {name: same for name in (*need.required, *need.optional) if (same := _same_name(name, names))}
        missing.extend(f"table {place} has no column {name}" for name in need.required if name not in actual)
        clause = sql_table(actual_table, *(sql_column(name) for name in actual.values()), schema=schema_name)
        found[need.alias] = FoundTable(table=clause, actual=actual)
    return found, missing


def require_tables(
    connection: Connection, needs: Sequence[TableNeed], *, schema_name: str | None, entity: str
) -> dict[str, FoundTable]:
    """The tables by alias; `StopRun` (SRC_WRONG_SHAPE) names every missing table and column at once."""
    found, missing = find_tables(connection, needs, schema_name=schema_name)
    if missing:
        raise StopRun(
            "SRC_WRONG_SHAPE",
            f"entity {entity}: {'; '.join(missing)}; compare the database with the system's README",
            entity=entity,
            missing=len(missing),
        )
    return found


def _looked_up(connection: Connection, needs: Sequence[TableNeed], *, schema_name: str | None) -> dict[str, list[str]]:
    """The columns of each needed table that there is, by its name in the database."""
    wanted = {need.name.casefold() for need in needs}
    if connection.dialect.name == "mssql":
        return _looked_up_in_sql_server(connection, wanted, schema_name=schema_name)
    inspector = inspect(connection)
    found: dict[str, list[str]] = {}
    for table in [*inspector.get_table_names(schema=schema_name), *inspector.get_view_names(schema=schema_name)]:
        if table.casefold() in wanted:
            try:
                found[table] = [str(entry["name"]) for entry in inspector.get_columns(table, schema=schema_name)]
            except NoSuchTableError:  # gone since
                continue
    return found


def _looked_up_in_sql_server(
    connection: Connection, wanted: set[str], *, schema_name: str | None
) -> dict[str, list[str]]:
    # One question for all of them: a student information system has hundreds of tables, and SQLAlchemy asks each of
    # them for keys, defaults and comments.
    own_schema = func.schema_name() if schema_name is None else schema_name
    views = sql_table(
        "COLUMNS",
        *(sql_column(name) for name in ("TABLE_SCHEMA", "TABLE_NAME", "COLUMN_NAME", "ORDINAL_POSITION")),
        schema="INFORMATION_SCHEMA",
    )
    of_schema = views.c.TABLE_SCHEMA
    rows = connection.execute(
        select(views.c.TABLE_NAME, views.c.COLUMN_NAME)
        .where(
            of_schema == own_schema,
            func.lower(views.c.TABLE_NAME).in_(sorted(wanted)),
        )
        .order_by(views.c.TABLE_NAME, views.c.ORDINAL_POSITION)
    )
    found: dict[str, list[str]] = {}
    for table, name in rows:
        found.setdefault(str(table), []).append(str(name))
    return found


def _same_name(name: str, names: Sequence[str]) -> str | None:
    if name in names:
        return name
    folded = name.casefold()
    return next((candidate for candidate in names if candidate.casefold() == folded), None)
