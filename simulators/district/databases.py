"""Writes the sample district into two databases: one shaped like Aeries, one like the HR view contract.

It works on an SQLite file and on PostgreSQL alike. Text of fixed width is padded with blanks here, because SQLite
keeps what it is given while PostgreSQL and SQL Server pad. It never writes over tables that it finds, unless told to:
a mistyped address must not cost a district its data.

Column types are a guess where the vendor publishes none; `DEL` and `is_primary` are small integers, as a bit column
of SQL Server reads. Times have no zone.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sqlalchemy import (
    CHAR,
    Column,
    Connection,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    create_engine,
    inspect,
)

from simulators.district.people import Row, World

ROWS_PER_INSERT = 5_000

AERIES = MetaData()
CLASSES = MetaData()
"""The tables of Aeries for students and classes, made only in a district that has any."""
HR = MetaData()


def _share() -> Numeric[float]:
    return Numeric(5, 4, asdecimal=False)


Table(
    "LOC", AERIES,
    Column("CD", Integer, primary_key=True, autoincrement=False), Column("NM", CHAR(50)), Column("CY", CHAR(30)),
    Column("ST", CHAR(2)), Column("TG", CHAR(1)), Column("PR", CHAR(30)), Column("LO", SmallInteger),
    Column("HI", SmallInteger), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "STF", AERIES,
    Column("ID", Integer, primary_key=True, autoincrement=False), Column("LN", CHAR(50)), Column("FN", CHAR(20)),
    Column("MN", CHAR(20)), Column("EM", String(255)), Column("AEM", String(255)), Column("CP", CHAR(10)),
    Column("NP", SmallInteger), Column("PS", CHAR(1)), Column("PSC", Integer), Column("U8", CHAR(6)),
    Column("TG", CHAR(1)), Column("SID", CHAR(10)), Column("NID", String(255)), Column("HRID", String(255)),
    Column("HD", DateTime), Column("LD", DateTime), Column("TP", Numeric(5, 2, asdecimal=False)),
    Column("TI", String(100)), Column("BD", DateTime), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "TCH", AERIES,
    Column("SC", Integer, primary_key=True, autoincrement=False),
    Column("TN", Integer, primary_key=True, autoincrement=False), Column("TE", CHAR(30)), Column("TF", CHAR(20)),
    Column("TLN", CHAR(30)), Column("EM", String(255)), Column("ID", Integer), Column("ID2", Integer),
    Column("TG", CHAR(1)), Column("LO", SmallInteger), Column("HI", SmallInteger), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "USR", AERIES,
    Column("UID", Integer, primary_key=True, autoincrement=False),
    Column("SC", Integer, primary_key=True, autoincrement=False), Column("RO", SmallInteger), Column("CG", CHAR(1)),
    Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "UGN", AERIES,
    Column("UID", Integer, primary_key=True, autoincrement=False), Column("UN", String(255)), Column("SY", CHAR(20)),
    Column("TY", SmallInteger), Column("UTY", CHAR(12)), Column("SID", Integer), Column("LN", CHAR(50)),
    Column("FN", CHAR(20)), Column("EM", String(255)), Column("XD", DateTime), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "STU", CLASSES,
    Column("SC", Integer, primary_key=True, autoincrement=False),
    Column("SN", Integer, primary_key=True, autoincrement=False), Column("ID", Integer, nullable=False),
    Column("CID", CHAR(10)), Column("LN", CHAR(50)), Column("FN", CHAR(30)), Column("MN", CHAR(30)),
    Column("LNA", CHAR(50)), Column("FNA", CHAR(30)), Column("GR", SmallInteger), Column("BD", DateTime),
    Column("GN", CHAR(1)), Column("SEM", String(255)), Column("NID", String(255)), Column("CU", Integer),
    Column("SP", CHAR(1)), Column("ED", DateTime), Column("LD", DateTime), Column("TG", CHAR(1)),
    Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "CRS", CLASSES,
    Column("CN", CHAR(6), primary_key=True), Column("CO", CHAR(15)), Column("DE", CHAR(30)),
    Column("CR", Numeric(6, 2, asdecimal=False)), Column("DC", CHAR(4)), Column("LO", SmallInteger),
    Column("HI", SmallInteger), Column("TG", CHAR(1)), Column("C3", CHAR(6)), Column("S1", CHAR(2)),
    Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "TRM", CLASSES,
    Column("SC", Integer, primary_key=True, autoincrement=False), Column("TM", CHAR(2), primary_key=True),
    Column("D1", DateTime), Column("D2", DateTime), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "MST", CLASSES,
    Column("SC", Integer, primary_key=True, autoincrement=False),
    Column("SE", Integer, primary_key=True, autoincrement=False), Column("PD", SmallInteger), Column("BL", CHAR(2)),
    Column("SM", CHAR(2)), Column("DY", CHAR(10)), Column("CN", CHAR(6)), Column("TN", Integer), Column("TN2", Integer),
    Column("RM", CHAR(10)), Column("CR", Numeric(6, 2, asdecimal=False)), Column("LO", SmallInteger),
    Column("HI", SmallInteger), Column("MX", SmallInteger), Column("TS", SmallInteger), Column("CID", Integer),
    Column("TR", CHAR(1)), Column("FSQ", Integer), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "SEC", CLASSES,
    Column("SC", Integer, primary_key=True, autoincrement=False),
    Column("SN", Integer, primary_key=True, autoincrement=False),
    Column("SE", Integer, primary_key=True, autoincrement=False), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "SSE", CLASSES,
    Column("SC", Integer, primary_key=True, autoincrement=False),
    Column("SE", Integer, primary_key=True, autoincrement=False),
    Column("ID", Integer, primary_key=True, autoincrement=False), Column("SD", DateTime), Column("ED", DateTime),
    Column("PR", SmallInteger), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "ENR", CLASSES,
    Column("ID", Integer, nullable=False), Column("SC", Integer, nullable=False), Column("SN", Integer),
    Column("YR", Integer), Column("GR", SmallInteger), Column("ED", DateTime), Column("LD", DateTime),
    Column("ER", CHAR(3)), Column("TR", CHAR(1)), Column("PR", CHAR(1)), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "CAR", CLASSES,
    Column("SC", Integer, nullable=False), Column("SN", Integer, nullable=False), Column("SE", Integer, nullable=False),
    Column("DS", DateTime), Column("DE", DateTime), Column("DEL", SmallInteger),
)  # fmt: skip
Table(
    "hr_person", HR,
    Column("person_id", Integer, primary_key=True, autoincrement=False), Column("employee_id", CHAR(12)),
    Column("last", CHAR(50)), Column("first", CHAR(40)), Column("preferred_first", CHAR(40)),
    Column("middle", CHAR(30)), Column("suffix", CHAR(6)), Column("work_email", String(255)),
    Column("personal_email", String(255)), Column("mobile", String(30)), Column("birth_date", Date),
    Column("state_educator_id", CHAR(12)), Column("status_code", CHAR(4)), Column("hire_date", Date),
    Column("last_day", Date), Column("edited_at", DateTime, nullable=False),
)  # fmt: skip
Table(
    "hr_assignment", HR,
    Column("employee_id", CHAR(12), primary_key=True), Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("position_id", CHAR(10)), Column("site_code", CHAR(6)), Column("job_class_code", CHAR(8)),
    Column("job_title", String(60)), Column("bargaining_unit", CHAR(6)), Column("person_type", CHAR(2)),
    Column("fte", _share()), Column("is_primary", SmallInteger, nullable=False),
    Column("start_date", Date, nullable=False), Column("end_date", Date), Column("supervisor_id", CHAR(12)),
    Column("edited_at", DateTime, nullable=False),
)  # fmt: skip
Table(
    "hr_position", HR,
    Column("position_id", CHAR(10), primary_key=True), Column("site_code", CHAR(6)),
    Column("job_class_code", CHAR(8)), Column("authorised_fte", _share()), Column("status", CHAR(8)),
)  # fmt: skip
Table(
    "hr_site", HR,
    Column("site_code", CHAR(6), primary_key=True), Column("name", CHAR(50)), Column("school_code", Integer),
)  # fmt: skip


def sqlite_url(path: Path) -> str:
    """The address of an SQLite file."""
    return f"sqlite:///{path.resolve()}"


def write_aeries(world: World, url: str, *, replace: bool = False) -> None:
    """Write LOC, STF, TCH, USR and UGN, and with students their tables; `replace` drops tables of these names first."""
    _write(world, url, AERIES, replace=replace)
    if world.classes is not None:
        _write(world, url, CLASSES, replace=replace)


def write_hr(world: World, url: str, *, replace: bool = False) -> None:
    """Write hr_person, hr_assignment, hr_position and hr_site; `replace` drops tables of these names first."""
    _write(world, url, HR, replace=replace)


def _write(world: World, url: str, schema: MetaData, *, replace: bool) -> None:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            found = sorted(set(inspect(connection).get_table_names()) & set(schema.tables))
            if found and not replace:
                raise ValueError(
                    f"{engine.url.render_as_string()}: already has {', '.join(found)}; "
                    "give an empty database, or say replace to drop these tables"
                )
            schema.drop_all(connection)
            schema.create_all(connection)
            for table in schema.sorted_tables:
                _insert(connection, table, world.tables[table.name])
    finally:
        engine.dispose()


def _insert(connection: Connection, table: Table, rows: list[Row]) -> None:
    widths = {
        column.name: column.type.length
        for column in table.columns
        if isinstance(column.type, CHAR) and column.type.length is not None
    }
    limits = {
        column.name: column.type.length
        for column in table.columns
        if isinstance(column.type, String) and column.type.length is not None
    }
    remaining: Iterator[Row] = (_padded(table.name, row, widths, limits) for row in rows)
    # Bounded by the number of rows.
    while chunk := list(islice(remaining, ROWS_PER_INSERT)):
        connection.execute(table.insert(), chunk)


def _padded(table: str, row: Row, widths: dict[str, int], limits: dict[str, int]) -> Row:
    """Pad text of fixed width, and refuse text that SQLite would take and a real server would not."""
    padded = dict(row)
    for name, limit in limits.items():
        value = row[name]
        if isinstance(value, str):
            if len(value) > limit:
                raise ValueError(
                    f"{table}.{name}: {len(value)} characters, allowed {limit}; shorten the generated text"
                )
            padded[name] = value.ljust(widths[name]) if name in widths else value
    return padded
