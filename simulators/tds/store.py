"""The rows of a simulated server: a folder with `schema.json` and one SQLite file for each database.

The files are in SQLite's write-ahead mode, so a reader keeps the rows of its snapshot while somebody replaces them. It
knows nothing of TDS or of T-SQL; texts are compared by the collation of `collation`, which every connection brings.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Self

from simulators.kit.lines import replace_atomically
from simulators.tds.collation import COLLATION, compare
from simulators.tds.schema import Schema, Table, split_document, split_name
from simulators.tds.sqltypes import BINARIES, INTEGER_BYTES, Stored, stored

SCHEMA_FILE: Final = "schema.json"
ROWS_PER_INSERT: Final = 5_000
ROWS_MAX: Final = 10_000_000
BUSY_SECONDS_MAX: Final = 10.0


class TdsStore:
    """All databases of one server."""

    def __init__(self, folder: Path, schema: Schema) -> None:
        self.folder = folder
        self.schema = schema

    @classmethod
    def create(cls, folder: Path, document: Any) -> Self:
        """Write the files of a seed into a folder; a table without `rows` keeps those it has there, or is empty."""
        schema, rows = split_document(document)
        folder.mkdir(parents=True, exist_ok=True)
        store = cls(folder, schema)
        for database in schema.databases:
            store.replace(database, rows[database], keep_others=True)
        replace_atomically(folder / SCHEMA_FILE, schema.model_dump(mode="json"))
        return store

    @classmethod
    def open(cls, folder: Path, schema_file: Path | None = None) -> Self:
        """Open a folder written before; `ValueError` names a database that is missing."""
        document = json.loads((schema_file or folder / SCHEMA_FILE).read_bytes())
        schema, rows = split_document(document)
        if any(given for tables in rows.values() for given in tables.values()):
            raise ValueError(f"{schema_file or folder}: rows belong into the database files; make them with a seed")
        for database in schema.databases:
            if not _file(folder, database).exists():
                raise ValueError(f"{folder}: has no {_file(folder, database).name}; make the folder anew from its seed")
        return cls(folder, schema)

    def document(self) -> dict[str, Any]:
        """Describe the whole server with its rows; `create` reads it back."""
        document = self.schema.model_dump(mode="json")
        with closing(self.connect()) as connection:
            for database, tables in document["databases"].items():
                for key, table in tables["tables"].items():
                    source = sqlite_name(database, *split_name(key))
                    found = connection.execute(f"SELECT * FROM {source}")  # noqa: S608 - names of the schema, quoted; values are bound
                    table["rows"] = [[_shown(value) for value in row] for row in found]
        return document

    def replace_rows(self, database: str, table: str, rows: Iterable[Any]) -> int:
        """Replace all rows of one table and count them, as `replace` does."""
        return self.replace(database, {table: rows})[table]

    def replace(
        self, database: str, tables: Mapping[str, Iterable[Any]], *, keep_others: bool = False
    ) -> dict[str, int]:
        """Replace all rows of some tables in one transaction and count them; readers see the old or the new ones.

        A row is a list of values in the order of the columns or an object by their names; values as JSON or as Python
        has them. `ValueError` names the row, the column and the rule, and nothing has changed then. With `keep_others`
        the tables that are not given are made, empty, where they are not there as declared.
        """
        found = self.schema.database(database)
        if found is None:
            raise ValueError(f"{database}: no such database in the schema")
        name, described = found
        counts: dict[str, int] = {}
        with closing(sqlite3.connect(_file(self.folder, name), isolation_level=None, timeout=BUSY_SECONDS_MAX)) as made:
            made.create_collation(COLLATION, compare)
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("PRAGMA synchronous = OFF")
            made.execute("BEGIN IMMEDIATE")
            if keep_others:
                for schema, table, columns in described.all():
                    _make(made, sqlite_name("main", schema, table), columns, is_anew=False)
            for key, rows in tables.items():
                known = described.find(*split_name(key))
                if known is None:
                    raise ValueError(f"{name}.{key}: no such table in the schema")
                target = sqlite_name("main", known[0], known[1])
                _make(made, target, known[2], is_anew=True)
                places = ", ".join("?" for _ in known[2].columns)
                statement = f"INSERT INTO {target} VALUES ({places})"  # noqa: S608 - names of the schema, quoted
                try:
                    cursor = made.executemany(statement, _checked(rows, known[2], place=f"{name}.{key}"))
                except sqlite3.IntegrityError as error:
                    raise ValueError(f"{name}.{key}: {error}") from error
                counts[key] = max(cursor.rowcount, 0)
            made.execute("COMMIT")
        return counts

    def connect(self) -> sqlite3.Connection:
        """Open a connection that only reads, with every database attached under its name."""
        connection = sqlite3.connect(
            ":memory:", isolation_level=None, timeout=BUSY_SECONDS_MAX, check_same_thread=False
        )
        connection.create_collation(COLLATION, compare)
        for database in self.schema.databases:
            # Not opened with mode=ro: a write-ahead file needs its shared memory beside it, which readers create.
            connection.execute("ATTACH DATABASE ? AS " + _quoted(database), (str(_file(self.folder, database)),))
        return connection


def sqlite_name(database: str, schema: str, table: str) -> str:
    """How a table is called in SQLite."""
    return f"{_quoted(database)}.{_quoted(f'{schema}.{table}')}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _file(folder: Path, database: str) -> Path:
    return folder / f"{database}.sqlite"


def _make(connection: sqlite3.Connection, target: str, table: Table, *, is_anew: bool) -> None:
    """Make a table as it is declared; one that is there stays if it is declared so and need not be made anew."""
    statement = f"CREATE TABLE {target} ({_definition(table)})"
    if not is_anew:
        name = target.partition(".")[2]
        found = connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?", (name[1:-1],))
        # SQLite keeps the statement without the name of the database.
        if found.fetchone() == (statement.replace(target, name, 1),):
            return
    connection.execute(f"DROP TABLE IF EXISTS {target}")
    connection.execute(statement)


def _definition(table: Table) -> str:
    parts = []
    for column in table.columns:
        kind = column.sql_type
        if kind.kind in INTEGER_BYTES:
            affinity = "INTEGER"
        elif kind.is_number:
            affinity = "REAL"
        else:
            affinity = "BLOB" if kind.kind in BINARIES else f"TEXT COLLATE {COLLATION}"
        parts.append(f"{_quoted(column.name)} {affinity}{'' if column.nullable else ' NOT NULL'}")
    if table.key:
        # Not INTEGER PRIMARY KEY: the rows keep the order in which they were given, as a heap does.
        parts.append(f"PRIMARY KEY ({', '.join(_quoted(name) for name in table.key)})")
    return ", ".join(parts)


def _checked(rows: Iterable[Any], table: Table, *, place: str) -> Iterator[Sequence[Stored]]:
    names = [column.name for column in table.columns]
    kinds = [column.sql_type for column in table.columns]
    known = set(names)
    for number, given in enumerate(rows):
        row = given
        if number == ROWS_MAX:
            raise ValueError(f"{place}: more than {ROWS_MAX} rows")
        if isinstance(row, dict):
            unknown = sorted(set(row) - known)
            if unknown:
                raise ValueError(f"{place} row {number}: no column {', '.join(unknown)}")
            row = [row.get(name) for name in names]
        if len(row) != len(names):
            raise ValueError(f"{place} row {number}: {len(row)} values for {len(names)} columns")
        values: list[Stored] = []
        for column, kind, value in zip(table.columns, kinds, row, strict=True):
            if value is None and not column.nullable:
                raise ValueError(f"{place} row {number}, {column.name}: null in a column that is not nullable")
            try:
                values.append(stored(value, kind))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{place} row {number}, {column.name}: {error}") from error
        yield values


def _shown(value: Stored) -> Any:
    return f"0x{value.hex().upper()}" if isinstance(value, bytes) else value
