"""Finds the tables and columns that a reading needs, whatever the case of their names, before anything is selected.

A name that is missing is reported with its table, so that a renamed view never looks like an empty one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, inspect
from sqlalchemy import column as sql_column
from sqlalchemy import null as sql_null
from sqlalchemy import table as sql_table
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.expression import TableClause

from shared.errors import StopRun


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


def find_tables(
    connection: Connection, needs: Sequence[TableNeed], *, schema_name: str | None
) -> tuple[dict[str, FoundTable], list[str]]:
    """The tables found, by alias, and a sentence for everything that is missing."""
    inspector = inspect(connection)
    available = [*inspector.get_table_names(schema=schema_name), *inspector.get_view_names(schema=schema_name)]
    found: dict[str, FoundTable] = {}
    missing: list[str] = []
    for need in needs:
        place = f"{schema_name}.{need.name}" if schema_name else need.name
        actual_table = _same_name(need.name, available)
        try:
            names = (
                [str(entry["name"]) for entry in inspector.get_columns(actual_table, schema=schema_name)]
                if actual_table is not None
                else []
            )
        except NoSuchTableError:
            names = []
        if actual_table is None or not names:
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


def _same_name(name: str, names: Sequence[str]) -> str | None:
    if name in names:
        return name
    folded = name.casefold()
    return next((candidate for candidate in names if candidate.casefold() == folded), None)
