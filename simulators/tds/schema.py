"""The document that describes a simulated server: its logins, its databases and the types of their columns.

README.md shows its form. A document that no server could hold is refused with place, value and rule. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from simulators.tds.sqltypes import SqlType, parse_type

DATABASES_MAX: Final = 9
"""SQLite attaches no more than ten files to a connection."""
TABLES_MAX: Final = 1_000
COLUMNS_MAX: Final = 1_024
NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_ $#-]{0,127}$"
SYSTEM_DATABASES: Final = ("master", "tempdb", "model", "msdb")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ignored_types=(cached_property,))


class Column(_Part):
    """One column."""

    name: str = Field(pattern=NAME_PATTERN)
    type: str
    """As SQL Server declares it, such as `char(12)`."""
    nullable: bool = True

    @field_validator("type")
    @classmethod
    def _type_is_known(cls, value: str) -> str:
        parse_type(value)
        return value

    @property
    def sql_type(self) -> SqlType:
        """The parsed type."""
        return parse_type(self.type)


class Table(_Part):
    """One table or view."""

    columns: tuple[Column, ...] = Field(min_length=1, max_length=COLUMNS_MAX)
    key: tuple[str, ...] = ()
    """Columns of the primary key; none when empty."""
    is_view: bool = False

    @model_validator(mode="after")
    def _names_agree(self) -> Table:
        names = [column.name.lower() for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"columns named twice, case set aside: {', '.join(twice)}")
        for name in self.key:
            column = self.column(name)
            if column is None or column.nullable:
                raise ValueError(f"key column {name} must be a column that is not nullable")
        return self

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name.lower(): column for column in self.columns}

    def column(self, name: str) -> Column | None:
        """Find a column by its name in any case."""
        return self._by_name.get(name.lower())


class Database(_Part):
    """One database: its tables by `schema.table`, or by `table` in schema dbo."""

    tables: dict[str, Table] = Field(max_length=TABLES_MAX)
    snapshot_allowed: bool = True
    """Whether ALLOW_SNAPSHOT_ISOLATION is on."""

    @model_validator(mode="after")
    def _names_differ(self) -> Database:
        if len(self._by_name) != len(self.tables):
            raise ValueError("two tables have one name, case set aside")
        return self

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], tuple[str, str, Table]]:
        found = {}
        for key, table in self.tables.items():
            schema, name = split_name(key)
            found[schema.lower(), name.lower()] = (schema, name, table)
        return found

    def find(self, schema: str, name: str) -> tuple[str, str, Table] | None:
        """Find a table in any case: its schema and name as declared, and itself."""
        return self._by_name.get((schema.lower() or "dbo", name.lower()))

    def all(self) -> Iterator[tuple[str, str, Table]]:
        """Schema, name and table, one after the other."""
        return iter(self._by_name.values())


class Grants(_Part):
    """What a login may read of one database; it never may write."""

    select: tuple[str, ...] = ("*",)
    """`*` for all tables, or their names; a schema other than dbo stands in front."""
    deny: tuple[str, ...] = ()
    """Tables it may not read although `select` has them."""


class Login(_Part):
    """One SQL login."""

    password: str = Field(min_length=1, repr=False)
    databases: dict[str, Grants]
    """Databases it may open; another one is answered with 4060."""
    default_database: str | None = None
    """Used when the client names none; the first of `databases` when absent."""


class Schema(_Part):
    """A whole server without its rows."""

    server_name: str = "SIMSQL01"
    version: str = Field(default="16.0.4135.4", pattern=r"^[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,5}\.[0-9]{1,3}$")
    logins: dict[str, Login] = Field(min_length=1)
    databases: dict[str, Database] = Field(min_length=1, max_length=DATABASES_MAX)

    @model_validator(mode="after")
    def _logins_name_what_is_there(self) -> Schema:
        for login, described in self.logins.items():
            for database, grants in described.databases.items():
                found = self.database(database)
                if found is None:
                    raise ValueError(f"logins.{login}.databases: there is no database {database}")
                for name in (*grants.select, *grants.deny):
                    if name != "*" and found[1].find(*split_name(name)) is None:
                        raise ValueError(f"logins.{login}.databases.{database}: there is no table {name}")
        names = [name.lower() for name in self.databases]
        if len(set(names)) != len(names) or set(names) & {"main", "temp", *SYSTEM_DATABASES}:
            raise ValueError(f"databases {', '.join(self.databases)}: one name twice, or a name of the system's own")
        return self

    def database(self, name: str) -> tuple[str, Database] | None:
        """Find a database by its name in any case: the name as declared, and itself."""
        for known, database in self.databases.items():
            if known.lower() == name.lower():
                return known, database
        return None

    def login(self, name: str) -> tuple[str, Login] | None:
        """Find a login by its name in any case."""
        for known, login in self.logins.items():
            if known.lower() == name.lower():
                return known, login
        return None

    def grants(self, login: str, database: str) -> Grants | None:
        """What a login may read of a database; None when it may not even open it."""
        found = self.login(login)
        for known, grants in found[1].databases.items() if found is not None else ():
            if known.lower() == database.lower():
                return grants
        return None


def may_select(grants: Grants, *, schema: str, table: str) -> bool:
    """Whether these grants let a table be read."""
    name = (schema.lower(), table.lower())
    listed = {tuple(part.lower() for part in split_name(each)) for each in grants.select if each != "*"}
    denied = {tuple(part.lower() for part in split_name(each)) for each in grants.deny}
    return ("*" in grants.select or name in listed) and name not in denied


def split_name(key: str) -> tuple[str, str]:
    """Split `schema.table`; schema dbo where none is named."""
    schema, point, name = key.rpartition(".")
    return (schema, name) if point else ("dbo", key)


def split_document(document: Any) -> tuple[Schema, dict[str, dict[str, list[Any]]]]:
    """Part a seed into the schema and the rows per database and table; `ValueError` names place, value and rule."""
    if not isinstance(document, dict) or not isinstance(document.get("databases"), dict):
        raise ValueError("seed: an object with logins and databases")
    rows: dict[str, dict[str, list[Any]]] = {}
    databases: dict[str, Any] = {}
    for name, database in document["databases"].items():
        if not isinstance(database, dict) or not isinstance(database.get("tables"), dict):
            raise ValueError(f"databases.{name}: an object with tables")
        tables = {}
        rows[name] = {}
        for key, table in database["tables"].items():
            if not isinstance(table, dict) or not isinstance(table.get("rows", []), list):
                raise ValueError(f"databases.{name}.tables.{key}: an object with columns, and rows as a list")
            if "rows" in table:
                rows[name][key] = table["rows"]
            tables[key] = {part: value for part, value in table.items() if part != "rows"}
        databases[name] = {**database, "tables": tables}
    known = {part: value for part, value in document.items() if part != "violations"}
    return Schema.model_validate({**known, "databases": databases}), rows
