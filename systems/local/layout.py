"""The tables as a database has them, and adding what is missing of them. It never drops or changes anything."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Date,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    inspect,
    text,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateTable
from sqlalchemy.types import TypeEngine

from systems.local.config import LocalConfig
from systems.local.tables import ROW_ID, TABLES, WRITTEN_AT, WRITTEN_BY, LocalColumn, LocalTable

CHANGE_ID_CHARACTERS_MAX = 200
MOMENT_CHARACTERS = 24
"""2026-01-31T08:00:00.000Z"""


def layout_of(config: LocalConfig) -> dict[str, Table]:
    """The tables by entity."""
    metadata = MetaData(schema=config.schema_name)
    return {entity: _table(metadata, config.table_prefix + entity, table) for entity, table in TABLES.items()}


def statements_of(config: LocalConfig, engine: Engine) -> list[str]:
    """What would make all tables in an empty database, for an administrator who makes them by hand."""
    return [str(CreateTable(table).compile(engine)).strip() for table in layout_of(config).values()]


def create_missing(engine: Engine, config: LocalConfig) -> None:
    """Add the tables and columns that are not there; `SQLAlchemyError` where the login may not."""
    try:
        with engine.begin() as connection:
            _add(connection, config)
    except SQLAlchemyError:
        # Another program may have added the same at the same moment: then nothing is missing any more.
        with engine.begin() as connection:
            _add(connection, config)


def _add(connection: Connection, config: LocalConfig) -> None:
    inspector = inspect(connection)
    there = set(inspector.get_table_names(schema=config.schema_name))
    for table in layout_of(config).values():
        if table.name not in there:
            table.create(connection)
            continue
        have = {column["name"] for column in inspector.get_columns(table.name, schema=config.schema_name)}
        prepare = connection.dialect.identifier_preparer
        for column in table.columns:
            if column.name not in have and column.name != ROW_ID:
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                # Names come from `tables` and the checked settings, never from a record.
                connection.execute(text(f"ALTER TABLE {prepare.format_table(table)} ADD COLUMN {definition}"))


def _table(metadata: MetaData, name: str, described: LocalTable) -> Table:
    return Table(
        name,
        metadata,
        # SQLite counts only a column that is INTEGER by name.
        Column(ROW_ID, BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
        *(
            Column(column, _type(kind), unique=True if column == described.key else None, nullable=True)
            for column, kind in described.columns.items()
        ),
        Column(WRITTEN_BY, String(CHANGE_ID_CHARACTERS_MAX)),
        Column(WRITTEN_AT, String(MOMENT_CHARACTERS)),
        # A row number that was once ours is never given to another row, or an old plan could mean the wrong one.
        sqlite_autoincrement=True,
    )


def _type(column: LocalColumn) -> TypeEngine[Any]:
    match column.kind:
        case "text":
            return String(column.characters_max)
        case "boolean":
            return Boolean()
        case "date":
            return Date()
