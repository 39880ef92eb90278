"""A simulated SQL Server for the systems that are read from one: the sample district in it, and sources over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

from sqlalchemy import CHAR, Date, DateTime, Integer, MetaData, Numeric, SmallInteger, String
from sqlalchemy.types import TypeEngine

from shared.ports.connections import Connection
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source
from shared.secrets import Secret
from simulators.district.people import Row
from simulators.tds.server import TdsConfig, TdsServer, serving_tds
from tests.support.systems import installed_systems

AERIES_DATABASE = "DST26000"
HR_DATABASE = "HR"
LOGIN = "reader"
PASSWORD = "a-reader-of-the-sample"
_BITS = {"DEL", "is_primary", "PR", "RO"}
_CODE_CHARACTERS_MAX = 12
"""Text of fixed width up to this is a code; longer text holds names in any alphabet."""

Tables = dict[str, Any]


def tables_of(schemas: Sequence[MetaData], rows: dict[str, list[Row]]) -> Tables:
    """The tables of the sample district with the types that SQL Server has for them, and these rows."""
    return {
        table.name: {
            "columns": [
                {"name": column.name, "type": _type(column.name, column.type), "nullable": not column.primary_key}
                for column in table.columns
            ],
            "key": [column.name for column in table.primary_key.columns],
            "rows": [[_cell(row.get(column.name)) for column in table.columns] for row in rows.get(table.name, [])],
        }
        for schema in schemas
        for table in schema.sorted_tables
    }


@contextmanager
def serving_databases(databases: dict[str, Tables], **options: Any) -> Iterator[TdsServer]:
    """A server with these databases, which `LOGIN` may read. Options of a database: `snapshot_allowed`, `deny`."""
    snapshot_allowed, deny = options.pop("snapshot_allowed", True), options.pop("deny", [])
    seed = {
        "logins": {
            LOGIN: {"password": PASSWORD, "databases": {name: {"select": ["*"], "deny": deny} for name in databases}}
        },
        "databases": {
            name: {"tables": tables, "snapshot_allowed": snapshot_allowed} for name, tables in databases.items()
        },
    }
    with serving_tds(TdsConfig(seed=seed, **options)) as server:
        yield server


def source_over(
    server: TdsServer,
    system: str,
    *,
    database: str,
    surroundings: Surroundings | None = None,
    password: str = PASSWORD,
    **settings: Any,
) -> Source:
    """A source of that system over the server."""
    around = surroundings or Surroundings(resolve=lambda _: Secret(password))
    connection = Connection(
        name="database",
        system=system,
        environment="staging",
        settings={
            "url": f"mssql://{LOGIN}@{server.host}:{server.port}/{database}",
            "password": "env:PASSWORD",
            **settings,
        },
    )
    return installed_systems(surroundings=around).open_source(connection)


def _type(name: str, kind: TypeEngine[Any]) -> str:
    match kind:
        case CHAR():
            width = kind.length or 1
            return f"char({width})" if width <= _CODE_CHARACTERS_MAX else f"nchar({width})"
        case String():
            return f"nvarchar({kind.length})"
        case Numeric():
            return f"decimal({kind.precision},{kind.scale})"
        case SmallInteger() if name in _BITS:
            return "bit"
        case DateTime() | Date() | SmallInteger() | Integer():
            return {DateTime: "datetime", Date: "date", SmallInteger: "smallint", Integer: "int"}[type(kind)]
        case _:
            raise ValueError(f"column {name}: {kind!r} has no type of SQL Server; say which")


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime | date) else value
