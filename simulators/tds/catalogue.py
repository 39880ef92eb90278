"""INFORMATION_SCHEMA and the sys views that clients and SQLAlchemy look into, as rows made from the schema. Pure.

A login sees only what it may read, as on the server. Views that are always empty here (foreign keys, defaults,
identities, comments) are there to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from simulators.tds.collation import COLLATION_NAME
from simulators.tds.schema import SYSTEM_DATABASES, Database, Grants, Schema, Table, may_select
from simulators.tds.sqltypes import MAX, SqlType, Stored, parse_type

DBO_SCHEMA_ID: Final = 1
FIRST_OBJECT_ID: Final = 581577110
OBJECT_ID_STEP: Final = 16

_TYPE_IDS: Final = {
    "uniqueidentifier": 36, "date": 40, "time": 41, "datetime2": 42, "tinyint": 48, "smallint": 52, "int": 56,
    "smalldatetime": 58, "real": 59, "money": 60, "datetime": 61, "float": 62, "bit": 104, "decimal": 106,
    "numeric": 108, "smallmoney": 122, "bigint": 127, "varbinary": 165, "varchar": 167, "binary": 173, "char": 175,
    "nvarchar": 231, "nchar": 239,
}  # fmt: skip
_SCALES: Final = {
    "bit": (1, 1, 0), "tinyint": (1, 3, 0), "smallint": (2, 5, 0), "int": (4, 10, 0), "bigint": (8, 19, 0),
    "float": (8, 53, 0), "real": (4, 24, 0), "money": (8, 19, 4), "smallmoney": (4, 10, 4), "date": (3, 10, 0),
    "datetime": (8, 23, 3), "smalldatetime": (4, 16, 0), "uniqueidentifier": (16, 0, 0),
}  # fmt: skip
"""Bytes, digits and scale of the kinds whose arguments say nothing of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One table that a login sees."""

    object_id: int
    schema: str
    name: str
    table: Table


@dataclass(frozen=True, slots=True)
class View:
    """One system view: its columns as `name type`, and its rows."""

    columns: tuple[tuple[str, SqlType], ...]
    rows: Callable[[Facts], Iterable[tuple[Stored, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rows of a view are made from."""

    schema: Schema
    database: str
    seen: tuple[Seen, ...]
    schemas: dict[str, int]
    spid: int
    isolation: int


def facts_of(schema: Schema, database: str, *, grants: Grants, spid: int, isolation: int) -> Facts:
    """Gather what a login sees of a database."""
    found = schema.database(database)
    described: Database | None = found[1] if found is not None else None
    seen = []
    schemas = {"dbo": DBO_SCHEMA_ID, "INFORMATION_SCHEMA": 3, "sys": 4}
    for number, (owner, name, table) in enumerate(described.all() if described is not None else ()):
        if may_select(grants, schema=owner, table=name):
            seen.append(Seen(FIRST_OBJECT_ID + number * OBJECT_ID_STEP, owner, name, table))
            schemas.setdefault(owner, 5 + len(schemas))
    return Facts(schema=schema, database=database, seen=tuple(seen), schemas=schemas, spid=spid, isolation=isolation)


def view_of(schema: str, name: str) -> tuple[str, View] | None:
    """Find a system view by its name in any case."""
    return _BY_NAME.get(f"{schema}.{name}".lower())


def object_id(facts: Facts, *, schema: str, name: str) -> int | None:
    """What OBJECT_ID answers."""
    for each in facts.seen:
        if (each.schema.lower(), each.name.lower()) == (schema.lower(), name.lower()):
            return each.object_id
    return None


def _columns(*declared: str) -> tuple[tuple[str, SqlType], ...]:
    return tuple((text.split(" ", 1)[0], parse_type(text.split(" ", 1)[1])) for text in declared)


def _measure(kind: SqlType) -> tuple[int, int, int]:
    """max_length in bytes, precision and scale, as sys.columns has them."""
    if kind.kind in {"decimal", "numeric"}:
        size = 5 if kind.precision <= 9 else 9 if kind.precision <= 19 else 13 if kind.precision <= 28 else 17
        return size, kind.precision, kind.scale
    if kind.kind in {"datetime2", "time"}:
        size = (3 if kind.scale <= 2 else 4 if kind.scale <= 4 else 5) + (3 if kind.kind == "datetime2" else 0)
        digits = (19 if kind.kind == "datetime2" else 8) + (kind.scale + 1 if kind.scale else 0)
        return size, digits, kind.scale
    if kind.kind in _SCALES:
        return _SCALES[kind.kind]
    width = 2 if kind.kind.startswith("n") else 1
    return (-1 if kind.length == MAX else kind.length * width), 0, 0


def _information_columns(facts: Facts) -> Iterable[tuple[Stored, ...]]:
    for each in facts.seen:
        for number, column in enumerate(each.table.columns, start=1):
            kind = column.sql_type
            size, precision, scale = _measure(kind)
            has_length = kind.length != 0
            is_number = kind.is_number and kind.kind != "bit"
            is_time = kind.family in {"datetime", "date", "time"}
            yield (
                facts.database, each.schema, each.name, column.name, number, None,
                "YES" if column.nullable else "NO", kind.kind,
                kind.length if has_length else None, size if has_length else None,
                precision if is_number else None,
                (2 if kind.kind in {"float", "real"} else 10) if is_number else None,
                scale if is_number and kind.kind not in {"float", "real"} else None,
                scale if is_time else None,
                (None if not kind.is_text else "UNICODE" if kind.kind.startswith("n") else "iso_1"),
                COLLATION_NAME if kind.is_text else None,
            )  # fmt: skip


def _sys_columns(facts: Facts) -> Iterable[tuple[Stored, ...]]:
    for each in facts.seen:
        for number, column in enumerate(each.table.columns, start=1):
            kind = column.sql_type
            type_id = _TYPE_IDS[kind.kind]
            collation = COLLATION_NAME if kind.is_text else None
            yield (
                each.object_id, column.name, number, type_id, type_id, *_measure(kind), collation,
                int(column.nullable), 0, 0, 0,
            )  # fmt: skip


def _keys(facts: Facts) -> Iterable[tuple[Seen, str]]:
    return ((each, f"PK_{each.name}") for each in facts.seen if each.table.key)


def _key_columns(facts: Facts) -> Iterable[tuple[Stored, ...]]:
    for each, _ in _keys(facts):
        numbers = {column.name.lower(): number for number, column in enumerate(each.table.columns, start=1)}
        for ordinal, name in enumerate(each.table.key, start=1):
            yield each.object_id, 1, ordinal, numbers[name.lower()], ordinal, 0, 0


def _key_usage(facts: Facts) -> Iterable[tuple[Stored, ...]]:
    for each, constraint in _keys(facts):
        for ordinal, name in enumerate(each.table.key, start=1):
            place = (facts.database, each.schema)
            yield *place, constraint, *place, each.name, name, ordinal


def _objects(facts: Facts, *, views: bool | None) -> Iterable[tuple[Stored, ...]]:
    for each in facts.seen:
        if views is None or views == each.table.is_view:
            kind = ("V ", "VIEW") if each.table.is_view else ("U ", "USER_TABLE")
            yield each.name, each.object_id, facts.schemas[each.schema], 0, *kind, 0


def _none(_facts: Facts) -> Iterable[tuple[Stored, ...]]:
    return ()


_OBJECT: Final = _columns(
    "name sysname", "object_id int", "schema_id int", "parent_object_id int", "type char(2)",
    "type_desc nvarchar(60)", "is_ms_shipped bit",
)  # fmt: skip
_EMPTY_OBJECT: Final = (
    "name sysname", "object_id int", "schema_id int", "parent_object_id int", "parent_column_id int", "column_id int",
    "definition nvarchar(max)",
)  # fmt: skip
_VIEWS: Final[dict[str, View]] = {
    "INFORMATION_SCHEMA.TABLES": View(
        _columns("TABLE_CATALOG sysname", "TABLE_SCHEMA sysname", "TABLE_NAME sysname", "TABLE_TYPE varchar(10)"),
        lambda facts: (
            (facts.database, each.schema, each.name, "VIEW" if each.table.is_view else "BASE TABLE")
            for each in facts.seen
        ),
    ),
    "INFORMATION_SCHEMA.VIEWS": View(
        _columns("TABLE_CATALOG sysname", "TABLE_SCHEMA sysname", "TABLE_NAME sysname"),
        lambda facts: ((facts.database, each.schema, each.name) for each in facts.seen if each.table.is_view),
    ),
    "INFORMATION_SCHEMA.COLUMNS": View(
        _columns(
            "TABLE_CATALOG sysname",
            "TABLE_SCHEMA sysname",
            "TABLE_NAME sysname",
            "COLUMN_NAME sysname",
            "ORDINAL_POSITION int",
            "COLUMN_DEFAULT nvarchar(4000)",
            "IS_NULLABLE varchar(3)",
            "DATA_TYPE sysname",
            "CHARACTER_MAXIMUM_LENGTH int",
            "CHARACTER_OCTET_LENGTH int",
            "NUMERIC_PRECISION tinyint",
            "NUMERIC_PRECISION_RADIX smallint",
            "NUMERIC_SCALE int",
            "DATETIME_PRECISION smallint",
            "CHARACTER_SET_NAME sysname",
            "COLLATION_NAME sysname",
        ),
        _information_columns,
    ),
    "INFORMATION_SCHEMA.SCHEMATA": View(
        _columns("CATALOG_NAME sysname", "SCHEMA_NAME sysname", "SCHEMA_OWNER sysname"),
        lambda facts: ((facts.database, name, name) for name in facts.schemas),
    ),
    "INFORMATION_SCHEMA.TABLE_CONSTRAINTS": View(
        _columns(
            "CONSTRAINT_CATALOG sysname",
            "CONSTRAINT_SCHEMA sysname",
            "CONSTRAINT_NAME sysname",
            "TABLE_CATALOG sysname",
            "TABLE_SCHEMA sysname",
            "TABLE_NAME sysname",
            "CONSTRAINT_TYPE varchar(11)",
        ),
        lambda facts: (
            (facts.database, each.schema, name, facts.database, each.schema, each.name, "PRIMARY KEY")
            for each, name in _keys(facts)
        ),
    ),
    "INFORMATION_SCHEMA.KEY_COLUMN_USAGE": View(
        _columns(
            "CONSTRAINT_CATALOG sysname",
            "CONSTRAINT_SCHEMA sysname",
            "CONSTRAINT_NAME sysname",
            "TABLE_CATALOG sysname",
            "TABLE_SCHEMA sysname",
            "TABLE_NAME sysname",
            "COLUMN_NAME sysname",
            "ORDINAL_POSITION int",
        ),
        _key_usage,
    ),
    "INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS": View(
        _columns(
            "CONSTRAINT_CATALOG sysname",
            "CONSTRAINT_SCHEMA sysname",
            "CONSTRAINT_NAME sysname",
            "UNIQUE_CONSTRAINT_CATALOG sysname",
            "UNIQUE_CONSTRAINT_SCHEMA sysname",
            "UNIQUE_CONSTRAINT_NAME sysname",
            "MATCH_OPTION varchar(7)",
            "UPDATE_RULE varchar(11)",
            "DELETE_RULE varchar(11)",
        ),
        _none,
    ),
    "sys.databases": View(
        _columns(
            "name sysname",
            "database_id int",
            "collation_name sysname",
            "state_desc nvarchar(60)",
            "is_read_only bit",
            "compatibility_level tinyint",
            "snapshot_isolation_state tinyint",
            "is_read_committed_snapshot_on bit",
        ),
        lambda facts: (
            *(
                (name, number, COLLATION_NAME, "ONLINE", 0, 160, 0, 0)
                for number, name in enumerate(SYSTEM_DATABASES, 1)
            ),
            *(
                (name, number, COLLATION_NAME, "ONLINE", 0, 160, int(each.snapshot_allowed), 0)
                for number, (name, each) in enumerate(facts.schema.databases.items(), 5)
            ),
        ),
    ),
    "sys.schemas": View(
        _columns("name sysname", "schema_id int", "principal_id int"),
        lambda facts: ((name, number, 1) for name, number in facts.schemas.items()),
    ),
    "sys.objects": View(_OBJECT, lambda facts: _objects(facts, views=None)),
    "sys.all_objects": View(_OBJECT, lambda facts: _objects(facts, views=None)),
    "sys.tables": View(_OBJECT, lambda facts: _objects(facts, views=False)),
    "sys.views": View(_OBJECT, lambda facts: _objects(facts, views=True)),
    "sys.columns": View(
        _columns(
            "object_id int",
            "name sysname",
            "column_id int",
            "system_type_id tinyint",
            "user_type_id int",
            "max_length smallint",
            "precision tinyint",
            "scale tinyint",
            "collation_name sysname",
            "is_nullable bit",
            "is_identity bit",
            "is_computed bit",
            "default_object_id int",
        ),
        _sys_columns,
    ),
    "sys.types": View(
        _columns("name sysname", "system_type_id tinyint", "user_type_id int", "schema_id int", "is_user_defined bit"),
        lambda facts: (
            *((name, number, number, 4, 0) for name, number in _TYPE_IDS.items()),
            ("sysname", 231, 256, 4, 0),
        ),
    ),
    "sys.key_constraints": View(
        _columns(
            "name sysname",
            "object_id int",
            "schema_id int",
            "parent_object_id int",
            "type char(2)",
            "unique_index_id int",
        ),
        lambda facts: (
            (name, each.object_id + 1, facts.schemas[each.schema], each.object_id, "PK", 1)
            for each, name in _keys(facts)
        ),
    ),
    "sys.indexes": View(
        _columns(
            "object_id int",
            "name sysname",
            "index_id int",
            "type tinyint",
            "type_desc nvarchar(60)",
            "is_unique bit",
            "is_primary_key bit",
            "is_unique_constraint bit",
            "is_hypothetical bit",
            "has_filter bit",
            "filter_definition nvarchar(max)",
        ),
        lambda facts: ((each.object_id, name, 1, 1, "CLUSTERED", 1, 1, 0, 0, 0, None) for each, name in _keys(facts)),
    ),
    "sys.index_columns": View(
        _columns(
            "object_id int",
            "index_id int",
            "index_column_id int",
            "column_id int",
            "key_ordinal tinyint",
            "is_descending_key bit",
            "is_included_column bit",
        ),
        _key_columns,
    ),
    "sys.system_views": View(
        _columns("name sysname", "object_id int", "schema_id int"),
        lambda _facts: ((name.split(".")[1], -number, 4) for number, name in enumerate(_VIEWS, start=100)),
    ),
    "sys.dm_exec_sessions": View(
        _columns("session_id smallint", "transaction_isolation_level smallint", "program_name nvarchar(128)"),
        lambda facts: ((facts.spid, facts.isolation, None),),
    ),
    "sys.default_constraints": View(_columns(*_EMPTY_OBJECT), _none),
    "sys.foreign_keys": View(_columns(*_EMPTY_OBJECT), _none),
    "sys.sql_modules": View(_columns(*_EMPTY_OBJECT), _none),
    "sys.computed_columns": View(_columns(*_EMPTY_OBJECT, "is_persisted bit", "is_computed bit"), _none),
    "sys.identity_columns": View(
        _columns(*_EMPTY_OBJECT, "is_identity bit", "seed_value bigint", "increment_value bigint"), _none
    ),
    "sys.extended_properties": View(
        _columns("class tinyint", "major_id int", "minor_id int", "name sysname", "value nvarchar(4000)"), _none
    ),
    "sys.fn_listextendedproperty": View(
        _columns("objtype sysname", "objname sysname", "name sysname", "value nvarchar(4000)"), _none
    ),
}
_BY_NAME: Final = {name.lower(): (name, view) for name, view in _VIEWS.items()}
