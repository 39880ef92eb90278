"""The systems read over SQL: the promises of every source, on SQLite and on a real PostgreSQL.

Tables are made here from the shape that the systems' README files state, with synthetic rows.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import (
    CHAR,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    create_engine,
    delete,
    insert,
    text,
)
from sqlalchemy.pool import NullPool

from shared.errors import NeedsPerson, StopRun, TryLater
from shared.ports.connections import Connection
from shared.ports.system import Source
from shared.sql_reading.reading import SqlReading
from tests.conformance.bench import Bench, Observed
from tests.conformance.source_suite import SourceSuite, pages_of
from tests.support.postgres import PostgresServer, start_postgres
from tests.support.systems import installed_systems

Kind = Literal["sqlite", "postgresql"]
REGISTRY = installed_systems()
NAMES = iter(range(1, 10_000))

AERIES = MetaData()
STF = Table(
    "STF", AERIES,
    Column("ID", Integer, primary_key=True), Column("LN", CHAR(20)), Column("FN", CHAR(20)), Column("MN", CHAR(20)),
    Column("EM", String(255)), Column("AEM", String(255)), Column("CP", CHAR(10)), Column("TI", String(100)),
    Column("TG", CHAR(1)), Column("PSC", Integer), Column("SID", CHAR(10)), Column("HRID", CHAR(12)),
    Column("HD", DateTime), Column("LD", DateTime), Column("DEL", SmallInteger),
)  # fmt: skip
UGN = Table(
    "UGN", AERIES,
    Column("UID", Integer, primary_key=True), Column("SID", Integer), Column("EM", CHAR(40)),
    Column("DEL", SmallInteger),
)  # fmt: skip
LOC = Table(
    "LOC", AERIES,
    Column("CD", Integer, primary_key=True), Column("NM", CHAR(30)), Column("TG", CHAR(1)), Column("CY", CHAR(20)),
    Column("PR", CHAR(20)), Column("LO", SmallInteger), Column("HI", SmallInteger), Column("DEL", SmallInteger),
)  # fmt: skip
HR = MetaData()
ASSIGNMENT = Table(
    "hr_assignment", HR,
    Column("employee_id", CHAR(12), primary_key=True), Column("seq", Integer, primary_key=True),
    Column("position_id", CHAR(10)), Column("site_code", CHAR(6)), Column("job_class_code", CHAR(8)),
    Column("job_title", String(60)), Column("bargaining_unit", CHAR(6)), Column("person_type", CHAR(2)),
    Column("fte", Numeric(5, 4)), Column("is_primary", SmallInteger), Column("start_date", Date),
    Column("end_date", Date), Column("supervisor_id", CHAR(12)), Column("edited_at", DateTime),
)  # fmt: skip


@dataclass
class Database:
    kind: Kind
    url: str

    def run(self, *statements: Any) -> None:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(statement)
        engine.dispose()

    def make(self, schema: MetaData) -> None:
        engine = create_engine(self.url, poolclass=NullPool)
        schema.create_all(engine)
        engine.dispose()

    def source(self, system: str, **settings: Any) -> Source:
        settings = {"url": self.url, "page_rows": 10, **settings}
        if system == "aeries_sql":
            settings.setdefault("checked_entities", ["staff", "schools"])
        return REGISTRY.open_source(Connection(name="db", system=system, environment="staging", settings=settings))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "sqlite":
        return Database("sqlite", f"sqlite:///{tmp_path / 'data.db'}")
    running: PostgresServer = request.getfixturevalue("server")
    return Database("postgresql", running.create_database(f"sql_sources_{next(NAMES)}"))


def staff(number: int, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys((column.name for column in STF.columns), None)
    return (
        row | {"ID": number, "LN": f"Last{number}", "FN": "First", "HRID": f"00{number}", "TG": "", "DEL": 0} | changes
    )


def assignment(number: int, **changes: Any) -> dict[str, Any]:
    row = dict.fromkeys((column.name for column in ASSIGNMENT.columns), None)
    return row | {
        "employee_id": f"E{number:04d}", "seq": 1, "position_id": "P1", "site_code": "010", "job_class_code": "T100",
        "job_title": "Teacher", "fte": Decimal("0.5000"), "is_primary": 1, "start_date": date(2020, 8, 1),
        "edited_at": datetime.fromisoformat("2026-01-02T03:04:05.678"),
    } | changes  # fmt: skip


@pytest.fixture
def aeries(database: Database) -> Database:
    database.make(AERIES)
    return database


@pytest.fixture
def hr(database: Database) -> Database:
    database.make(HR)
    return database


def bench_of(database: Database, tmp_path: Path, *, system: str, entity: str, rows: int, table: Table) -> Bench:
    def emptier() -> Callable[[], Awaitable[None]]:
        async def make_empty() -> None:
            await asyncio.to_thread(database.run, delete(table))

        return make_empty

    if database.kind == "sqlite":
        unreachable = database.source(system, url=f"sqlite:///{tmp_path / 'missing.db'}")
        refused = None
    else:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nobody = database.url.replace(
                database.url.split("@")[1].split("/")[0], f"127.0.0.1:{probe.getsockname()[1]}"
            )
        unreachable = database.source(system, url=nobody)
        refused = database.source(system, url=database.url.replace("postgres@", "nobody_we_know@"))
    return Bench(
        source=database.source(system),
        entity=entity,
        rows=rows,
        unreachable=unreachable,
        refused=refused,
        make_empty=emptier(),
    )


class TestAeriesSqlIsASource(SourceSuite):
    @pytest.fixture
    def bench(self, aeries: Database, tmp_path: Path) -> Bench:
        aeries.run(insert(STF).values([staff(number) for number in range(1, 26)]))
        return bench_of(aeries, tmp_path, system="aeries_sql", entity="staff", rows=25, table=STF)


class TestOcdeHrSqlIsASource(SourceSuite):
    @pytest.fixture
    def bench(self, hr: Database, tmp_path: Path) -> Bench:
        for name in ("people", "positions", "sites"):
            hr.run(text(VIEWS[name]))
        hr.run(insert(ASSIGNMENT).values([assignment(number) for number in range(1, 26)]))
        return bench_of(hr, tmp_path, system="ocde_hr_sql", entity="assignments", rows=25, table=ASSIGNMENT)


VIEWS = {
    "people": (
        "create view hr_person as select 1 as person_id, 'E1' as employee_id, 'a' as last, 'b' as first,"
        " 'c' as preferred_first, 'd' as work_email, 'A' as status_code, '2020-01-01' as hire_date,"
        " '2020-01-01 00:00:00' as edited_at"
    ),
    "positions": "create view hr_position as select 'P1' as position_id, '010' as site_code, 'T' as job_class_code",
    "sites": "create view hr_site as select '010' as site_code, 'Alder' as name",
}


async def rows_of(source: Source, entity: str) -> list[dict[str, Any]]:
    rows = [row for page in await pages_of(source, entity) for row in page.rows.to_dicts()]
    await source.close()
    return rows


async def test_staff_has_address_of_lowest_live_login_else_own(aeries: Database) -> None:
    aeries.run(
        insert(STF).values([staff(1, EM="own@d.example"), staff(2, EM="own@d.example"), staff(3), staff(4, EM="x ")]),
        insert(UGN).values(
            [
                {"UID": 10, "SID": 1, "EM": "deleted@d.example", "DEL": 1},
                {"UID": 12, "SID": 1, "EM": "login@d.example", "DEL": None},
                {"UID": 13, "SID": 1, "EM": "later@d.example", "DEL": 0},
                {"UID": 14, "SID": 2, "EM": "   ", "DEL": 0},
                {"UID": 16, "SID": 2, "EM": "later@d.example", "DEL": 0},
                {"UID": 15, "SID": None, "EM": "group@d.example", "DEL": 0},
            ]
        ),
    )
    rows = await rows_of(aeries.source("aeries_sql"), "staff")
    assert [(row["id"], row["email"]) for row in rows] == [
        (1, "login@d.example"),
        (2, "own@d.example"),
        (3, None),
        (4, "x"),
    ]


async def test_deleted_staff_are_left_out_and_inactive_staff_are_not(aeries: Database) -> None:
    aeries.run(insert(STF).values([staff(1, DEL=1), staff(2, DEL=None), staff(3, TG="I"), staff(4)]))
    source = aeries.source("aeries_sql")
    rows = await rows_of(source, "staff")
    assert [(row["id"], row["inactive_code"]) for row in rows] == [(2, ""), (3, "I"), (4, "")]


async def test_padding_goes_and_blank_and_null_and_leading_zeros_stay(aeries: Database) -> None:
    aeries.run(
        insert(STF).values(
            staff(1, LN="  Núñez ", MN="   ", HRID="00123", HD=datetime.fromisoformat("2020-08-01T13:30"), CP=None)
        )
    )
    (row,) = await rows_of(aeries.source("aeries_sql"), "staff")
    assert (row["last_name"], row["middle_name"], row["hr_id"]) == ("  Núñez", "", "00123")
    assert (row["cell"], row["hire_date"], row["leave_date"]) == (None, "2020-08-01", None)


async def test_pseudo_schools_are_left_out(aeries: Database) -> None:
    schools = [{"CD": code, "NM": f"School {code}", "DEL": int(code == 3)} for code in (0, 1, 2, 3, 999)]
    aeries.run(insert(LOC).values(schools))
    assert [row["code"] for row in await rows_of(aeries.source("aeries_sql"), "schools")] == [1, 2]
    assert [row["code"] for row in await rows_of(aeries.source("aeries_sql", pseudo_schools=[1]), "schools")] == [
        0,
        2,
        999,
    ]


async def test_numbers_flags_and_times_have_one_text_on_every_database(hr: Database) -> None:
    hr.run(
        insert(ASSIGNMENT).values(
            [assignment(1), assignment(2, fte=Decimal(1), is_primary=0, end_date=date(2026, 6, 30))]
        )
    )
    first, second = await rows_of(hr.source("ocde_hr_sql"), "assignments")
    assert (first["fte"], first["is_primary"], first["end_date"]) == ("0.5", True, None)
    assert (second["fte"], second["is_primary"], second["end_date"]) == ("1", False, "2026-06-30")
    assert first["edited_at"] == "2026-01-02T03:04:05.678000"
    assert (first["site_code"], first["start_date"]) == ("010", "2020-08-01")


async def test_missing_tables_and_columns_are_named_all_at_once(hr: Database) -> None:
    hr.run(text("alter table hr_assignment drop column site_code"), text("alter table hr_assignment drop column fte"))
    source = hr.source("ocde_hr_sql")
    with pytest.raises(StopRun) as caught:
        await pages_of(source, "assignments")
    assert caught.value.code == "SRC_WRONG_SHAPE"
    assert "hr_assignment has no column site_code" in caught.value.message
    assert "hr_assignment has no column fte" in caught.value.message
    with pytest.raises(StopRun, match="table hr_person does not exist"):
        await pages_of(source, "people")
    findings = await source.check()
    assert [finding.is_good for finding in findings] == [True, True, False, False, False, False]
    await source.close()


async def test_optional_columns_that_are_missing_are_null_and_reported(hr: Database) -> None:
    hr.run(text(VIEWS["people"]), text(VIEWS["positions"]), text(VIEWS["sites"]))
    source = hr.source("ocde_hr_sql")
    (row,) = await rows_of(source, "sites")
    assert row == {"site_code": "010", "name": "Alder", "school_code": None}
    assert any("hr_site.school_code" in finding.text for finding in await source.check())


async def test_view_names_come_from_the_connection_in_any_case(hr: Database) -> None:
    hr.run(text("create view staff_sites as select '010' as SITE_CODE, 'Alder' as Name"))
    (row,) = await rows_of(hr.source("ocde_hr_sql", views={"sites": "Staff_Sites"}), "sites")
    assert row["name"] == "Alder"


async def test_value_of_another_type_is_named_by_column_and_never_by_value(hr: Database) -> None:
    hr.run(text("create view hr_site as select '010' as site_code, 'Alder' as name, 'soon' as school_code"))
    source = hr.source("ocde_hr_sql")
    with pytest.raises(StopRun, match="column school_code: holds a str that is no integer") as caught:
        await pages_of(source, "sites")
    assert "soon" not in caught.value.message
    await source.close()


async def test_rows_that_come_during_a_reading_are_not_seen_by_it(aeries: Database) -> None:
    aeries.run(text("pragma journal_mode = wal") if aeries.kind == "sqlite" else text("select 1"))
    aeries.run(insert(STF).values([staff(number) for number in range(1, 26)]))
    reading = aeries.source("aeries_sql").read("staff")
    rows = 0
    async for page in reading:
        if page.number == 1:
            await asyncio.to_thread(aeries.run, insert(STF).values(staff(1000)), delete(STF).where(STF.c.ID == 25))
        rows += page.rows.height
    assert reading.expected is not None
    assert rows == reading.expected.rows == 25


async def test_pages_hold_no_more_rows_than_asked_for(aeries: Database) -> None:
    aeries.run(insert(STF).values([staff(number) for number in range(1, 26)]))
    pages = await pages_of(aeries.source("aeries_sql"), "staff")
    assert [page.rows.height for page in pages] == [10, 10, 5]
    assert [(page.first_cursor, page.last_cursor) for page in pages] == [("1", "10"), ("11", "20"), ("21", "25")]


async def test_file_that_is_no_database_is_of_another_shape(tmp_path: Path) -> None:
    path = tmp_path / "page.db"
    path.write_text("<html>sign in</html>" * 100)
    source = Database("sqlite", f"sqlite:///{path}").source("aeries_sql")
    with pytest.raises(StopRun) as caught:
        await pages_of(source, "staff")
    assert caught.value.code == "SRC_WRONG_SHAPE"


async def test_missing_sqlite_file_is_not_made(tmp_path: Path) -> None:
    source = Database("sqlite", f"sqlite:///{tmp_path / 'none.db'}").source("aeries_sql")
    with pytest.raises(NeedsPerson):
        await pages_of(source, "staff")
    assert not (tmp_path / "none.db").exists()


async def test_login_without_the_right_to_read_needs_a_person(server: PostgresServer) -> None:
    database = Database("postgresql", server.create_database(f"sql_sources_{next(NAMES)}"))
    database.make(AERIES)
    database.run(text("create role reader_of_nothing login"))
    source = database.source("aeries_sql", url=database.url.replace("postgres@", "reader_of_nothing@"))
    with pytest.raises(NeedsPerson) as caught:
        await pages_of(source, "staff")
    assert caught.value.code == "SRC_AUTH"
    assert {finding.subject for finding in await source.check() if not finding.is_good} == {"permission"}


async def test_missing_postgres_database_is_a_setting_to_correct(server: PostgresServer) -> None:
    source = Database("postgresql", server.url_for("no_such_database")).source("aeries_sql")
    with pytest.raises(NeedsPerson) as caught:
        await pages_of(source, "staff")
    assert caught.value.code == "SRC_CONFIG"


async def test_connection_cut_half_way_is_tried_later(server: PostgresServer) -> None:
    database = Database("postgresql", server.create_database(f"sql_sources_{next(NAMES)}"))
    database.make(AERIES)
    database.run(insert(STF).values([staff(number) for number in range(1, 26)]))
    cut = text(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    reading = database.source("aeries_sql").read("staff")
    with pytest.raises(TryLater) as caught:
        async for _ in reading:
            await asyncio.to_thread(database.run, cut)
    assert caught.value.code == "SRC_UNREACHABLE"
    assert reading.expected is None


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_reading_can_write_nothing(kind: Kind, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from sqlalchemy.exc import DBAPIError

    from shared.sql_reading import SqlSettings, open_engine
    from shared.sql_reading.engine import begin_snapshot

    url = (
        f"sqlite:///{tmp_path / 'data.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("server").create_database(f"sql_sources_{next(NAMES)}")
    )
    Database(kind, url).make(AERIES)
    engine = open_engine(SqlSettings(url=url), password=None)
    with begin_snapshot(engine) as connection, pytest.raises(DBAPIError):
        connection.execute(insert(STF).values(staff(1)))
    engine.dispose()


async def test_login_that_ends_between_two_readings_needs_a_person(server: PostgresServer) -> None:
    database = Database("postgresql", server.create_database(f"sql_sources_{next(NAMES)}"))
    database.make(HR)
    name = f"ending_{next(NAMES)}"
    database.run(text(f"create role {name} login"), text(f"grant select on all tables in schema public to {name}"))
    source = database.source("ocde_hr_sql", url=database.url.replace("postgres@", f"{name}@"))
    assert [page.rows.height for page in await pages_of(source, "assignments")] == [0]
    database.run(text(f"alter role {name} nologin"))
    with pytest.raises(NeedsPerson) as caught:
        await pages_of(source, "assignments")
    assert caught.value.code == "SRC_AUTH"
    await source.close()


async def test_database_without_a_connection_to_spare_is_left_alone_for_a_while(server: PostgresServer) -> None:
    database = Database("postgresql", server.create_database(f"sql_sources_{next(NAMES)}"))
    database.make(AERIES)
    name = f"crowd_{next(NAMES)}"
    database.run(text(f"create role {name} login connection limit 0"))
    observed = Observed()
    source = installed_systems(surroundings=observed.surroundings({})).open_source(
        Connection(
            name="db",
            system="aeries_sql",
            environment="staging",
            settings={"url": database.url.replace("postgres@", f"{name}@")},
        )
    )
    with pytest.raises(TryLater) as caught:
        await pages_of(source, "staff")
    assert caught.value.code == "SRC_RATE_LIMITED"
    assert len(observed.slowed) == 1, "those who share the connection's budget were not told"
    await source.close()


async def test_reading_stops_at_its_limit_of_rows(aeries: Database) -> None:
    aeries.run(insert(STF).values([staff(number) for number in range(1, 26)]))
    source: Any = aeries.source("aeries_sql")
    reading = SqlReading(source._entity("staff"), engine=source._engine, settings=source._settings, rows_max=20)
    with pytest.raises(StopRun) as caught:
        assert [page async for page in reading]
    assert caught.value.code == "SRC_INCOMPLETE"
    assert reading.expected is None
    await source.close()


async def test_statement_that_takes_too_long_is_given_up(server: PostgresServer) -> None:
    database = Database("postgresql", server.create_database(f"sql_sources_{next(NAMES)}"))
    database.run(text("create view hr_site as select '010' as site_code, 'x' || pg_sleep(20)::text as name"))
    source = database.source("ocde_hr_sql", statement_timeout_seconds=1)
    async with asyncio.timeout(15):
        with pytest.raises(TryLater) as caught:
            await pages_of(source, "sites")
    assert caught.value.code == "SRC_UNREACHABLE"
    await source.close()


async def test_check_looks_at_the_entities_that_are_used_alone(aeries: Database) -> None:
    findings = await aeries.source("aeries_sql", checked_entities=["staff", "students", "pupils"]).check()
    shapes = [finding.is_good for finding in findings if finding.subject in ("shape", "settings")]
    assert shapes == [True, False, False]
    assert "there is no entity pupils" in findings[-1].text
