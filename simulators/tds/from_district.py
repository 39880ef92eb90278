"""`python -m simulators.tds.from_district`: puts the sample district's databases into a folder for the server.

Types and widths come from the tables that `simulators.district` declares; a database of Aeries is named after its
school year. Called again, also while a server reads the folder, it replaces all rows: open transactions with a snapshot
keep the old ones. With a seed document instead of a folder, `seed_of` is for tests.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import CHAR, Date, DateTime, Integer, MetaData, Numeric, SmallInteger, String
from sqlalchemy.types import TypeEngine

from simulators.district.databases import AERIES, HR
from simulators.tds.store import TdsStore

AERIES_DATABASE: Final = "DST26000Bristlecone"
HR_DATABASE: Final = "HRBristlecone"
LOGIN: Final = "reader"
BITS: Final = frozenset({"DEL", "is_primary"})
"""Columns that SQL Server has as bit and the district as small integers."""
NATIONAL: Final = frozenset({
    ("hr_person", "last"), ("hr_person", "first"), ("hr_person", "preferred_first"), ("hr_person", "middle"),
    ("STF", "LN"), ("STF", "FN"), ("STF", "MN"), ("TCH", "TE"), ("TCH", "TF"), ("TCH", "TLN"), ("UGN", "LN"),
    ("UGN", "FN"),
})  # fmt: skip
"""Names of people, which may hold more than one code page has."""


def schema_of(*, password: str, aeries: str = AERIES_DATABASE, hr: str = HR_DATABASE) -> dict[str, Any]:
    """The schema of the district's two databases, with one login that may read all of both."""
    return {
        "logins": {LOGIN: {"password": password, "databases": {aeries: {}, hr: {}}, "default_database": aeries}},
        "databases": {aeries: {"tables": _tables(AERIES)}, hr: {"tables": _tables(HR)}},
    }


def write_store(
    folder: Path,
    *,
    aeries_file: Path,
    hr_file: Path,
    password: str,
    aeries: str = AERIES_DATABASE,
    hr: str = HR_DATABASE,
) -> dict[str, int]:
    """Write the folder, or replace the rows in it; returns the number of rows per `database.table`."""
    store = TdsStore.create(folder, schema_of(password=password, aeries=aeries, hr=hr))
    return refresh(store, {aeries: aeries_file, hr: hr_file})


def refresh(store: TdsStore, files: dict[str, Path]) -> dict[str, int]:
    """Replace the rows of databases from SQLite files with tables of the same names; counts rows per table."""
    counts = {}
    for database, file in files.items():
        found = store.schema.database(database)
        if found is None:
            raise ValueError(f"{database}: no such database in the schema")
        if not file.exists():
            raise ValueError(f"{file}: no such file; make it with python -m simulators.district --out DIR")
        with closing(sqlite3.connect(file)) as connection:
            tables = {
                name: _rows(connection, name, [column.name for column in table.columns])
                for _, name, table in found[1].all()
            }
            for name, count in store.replace(database, tables).items():
                counts[f"{database}.{name}"] = count
    return counts


def _rows(connection: sqlite3.Connection, table: str, columns: list[str]) -> Iterator[tuple[object, ...]]:
    listed = ", ".join(f'"{name}"' for name in columns)
    return connection.execute(f'SELECT {listed} FROM "{table}"')  # noqa: S608 - names of the district's own tables


def _tables(metadata: MetaData) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for table in metadata.sorted_tables:
        columns = [
            {
                "name": column.name,
                "type": _declared(table.name, column.name, column.type),
                "nullable": bool(column.nullable) and not column.primary_key,
            }
            for column in table.columns
        ]
        tables[table.name] = {"columns": columns, "key": [column.name for column in table.primary_key.columns]}
    return tables


def _declared(table: str, name: str, kind: TypeEngine[Any]) -> str:  # noqa: PLR0911 - one way out for each type
    national = "n" if (table, name) in NATIONAL else ""
    match kind:
        case CHAR():
            return f"{national}char({kind.length})"
        case String():
            return f"{national}varchar({kind.length})"
        case SmallInteger():
            return "bit" if name in BITS else "smallint"
        case Integer():
            return "int"
        case DateTime():
            return "datetime"
        case Date():
            return "date"
        case Numeric():
            return f"decimal({kind.precision},{kind.scale})"
        case _:
            raise ValueError(f"{table}.{name}: no SQL Server type is known for {kind!r}")


def main(arguments: list[str] | None = None) -> int:
    """Make or refresh a folder as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m simulators.tds.from_district", description=__doc__)
    parser.add_argument("--district", type=Path, required=True, help="folder with aeries.db and hr.db")
    parser.add_argument("--out", type=Path, required=True, help="folder for the server")
    parser.add_argument("--password-file", type=Path, required=True, help=f"the password of the login {LOGIN}")
    parser.add_argument("--aeries-database", default=AERIES_DATABASE)
    parser.add_argument("--hr-database", default=HR_DATABASE)
    options = parser.parse_args(arguments)
    try:
        counts = write_store(
            options.out,
            aeries_file=options.district / "aeries.db",
            hr_file=options.district / "hr.db",
            password=options.password_file.read_text(encoding="utf-8").strip(),
            aeries=options.aeries_database,
            hr=options.hr_database,
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"from_district: {error}\n")
        return 1
    sys.stdout.write("".join(f"{name:<40}{count:>8}\n" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
