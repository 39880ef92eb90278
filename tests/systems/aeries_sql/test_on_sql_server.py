"""Aeries read from a (simulated) SQL Server, where it lives: aeries_sql over TDS, with pymssql between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from shared.errors import AetherError, NeedsPerson, StopRun, TryLater
from shared.ports.surroundings import Surroundings
from shared.ports.system import ExpectedRows, Finding, Source
from simulators.district.databases import AERIES, CLASSES, sqlite_url, write_aeries
from simulators.district.people import World
from simulators.district.truth import truth_of
from simulators.district.vendor import leave_behind
from simulators.district.world import generate
from simulators.tds.faults import Fault, FaultKind
from simulators.tds.server import TdsServer
from systems.aeries_sql.config import AeriesSqlConfig
from systems.aeries_sql.source import build_source
from tests.systems.district_truth import found_by, frames_of
from tests.systems.sql_server import AERIES_DATABASE, serving_databases, source_over, tables_of

ENTITIES = ("staff", "schools", "students", "courses", "terms", "sections", "rosters", "enrolments")
ROWS_PER_PAGE = 40
LAST_YEAR = "DST25000"
PLAIN_NAME = "Aeries"


@dataclass
class House:
    world: World
    server: TdsServer

    def source(self, **settings: Any) -> Source:
        settings = {"page_rows": ROWS_PER_PAGE, "database": AERIES_DATABASE, **settings}
        return source_over(self.server, "aeries_sql", **settings)

    def arm(self, kind: FaultKind, table: str, **options: Any) -> None:
        self.server.faults.arm(Fault.model_validate({"kind": kind, "table_pattern": f"(?i){table}", **options}))


@pytest.fixture(scope="module")
def world() -> World:
    return generate(seed=19, staff=400, students=300)


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TdsServer]:
    tables = tables_of([AERIES, CLASSES], world.tables)
    small = tables_of([AERIES, CLASSES], {"TRM": world.tables["TRM"]})
    with serving_databases({AERIES_DATABASE: tables, LAST_YEAR: small, PLAIN_NAME: small}) as server:
        yield server


@pytest.fixture
def house(world: World, running: TdsServer) -> Iterator[House]:
    yield House(world, running)
    running.faults.clear()
    running.house.switchboard.reset()
    assert running.violations == []


async def read(source: Source, entity: str) -> tuple[pl.DataFrame, ExpectedRows | None]:
    reading = source.read(entity)
    frame = pl.concat([page.rows async for page in reading])
    await source.close()
    return frame, reading.expected


async def refusal(source: Source, entity: str = "students") -> AetherError:
    with pytest.raises(AetherError) as caught:
        await read(source, entity)
    return caught.value


def bad(findings: Any) -> list[Finding]:
    return [finding for finding in findings if not finding.is_good]


@pytest.fixture(scope="module")
def plain_copy(world: World, tmp_path_factory: pytest.TempPathFactory) -> Source:
    url = sqlite_url(tmp_path_factory.mktemp("aeries") / "aeries.db")
    write_aeries(world, url)
    return build_source(AeriesSqlConfig(url=url), Surroundings())


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize("isolation", ["snapshot", "read_committed"])
async def test_sql_server_and_a_plain_copy_deliver_the_same_rows(
    house: House, plain_copy: Source, entity: str, isolation: str
) -> None:
    frame, expected = await read(house.source(isolation=isolation), entity)
    copied, _ = await read(plain_copy, entity)
    key = copied.columns[0]
    assert expected is not None
    assert expected.rows == frame.height == copied.height > 0
    assert frame.sort(key).equals(copied.sort(key)), "padding, nulls, times or decimals come otherwise"


async def test_the_connector_finds_the_truth_of_the_district(house: House) -> None:
    truth: Any = truth_of(house.world, leave_behind(house.world))
    aliases = {"student": "students", "course": "courses", "term": "terms", "section": "sections", "place": "rosters"}
    frames = await frames_of(house.source(page_rows=20_000), aliases | {"teacher": "staff"})
    for entity in ("students", "courses", "sections", "enrolments"):
        found, quarantined = found_by("aeries-sql-local", entity, frames)
        wanted = truth["local"][entity]
        assert found.keys() == wanted.keys()
        assert {key: {name: found[key][name] for name in record} for key, record in wanted.items()} == wanted
        assert quarantined.keys() == truth["local_quarantined"].get(entity, {}).keys()


async def test_read_uncommitted_reads_and_certifies_nothing(house: House) -> None:
    frame, expected = await read(house.source(isolation="read_uncommitted"), "students")
    assert frame.height > 300
    assert expected is None
    findings = await house.source(isolation="read_uncommitted").check()
    assert [finding.is_good for finding in findings if finding.subject == "certificate"] == [True]


async def test_rows_missing_from_an_answer_that_looks_whole_show_in_the_count(house: House) -> None:
    whole, _ = await read(house.source(), "students")
    source = house.source()
    reading = aiter(reading_of := source.read("students"))
    house.arm(FaultKind.SHORT_RESULT, "STU", rows_missing=3, after=1)
    height = sum([page.rows.height async for page in reading])
    assert height == whole.height - 3
    assert reading_of.expected is not None
    assert reading_of.expected.rows == whole.height


async def test_rows_that_move_under_read_committed_are_noticed(house: House) -> None:
    source = house.source(isolation="read_committed")
    by_name = [column.name for column in CLASSES.tables["CRS"].columns]
    rows = [[row.get(name) for name in by_name] for row in house.world.tables["CRS"]]
    reading = aiter(source.read("courses"))
    await anext(reading)
    renamed = [["0111", *row[1:]] if row[0] == "0110" else row for row in rows]
    try:
        await asyncio.to_thread(house.server.store.replace_rows, AERIES_DATABASE, "CRS", renamed)
        with pytest.raises(StopRun) as caught:
            assert [page async for page in reading]
        assert caught.value.code == "SRC_UNSTABLE"
    finally:
        await asyncio.to_thread(house.server.store.replace_rows, AERIES_DATABASE, "CRS", rows)


async def test_rows_that_move_under_a_snapshot_are_not_seen(house: House) -> None:
    by_name = [column.name for column in CLASSES.tables["CRS"].columns]
    rows = [[row.get(name) for name in by_name] for row in house.world.tables["CRS"]]
    reading = house.source(page_rows=2).read("courses")
    pages = aiter(reading)
    codes = (await anext(pages)).rows["code"].to_list()
    try:
        await asyncio.to_thread(house.server.store.replace_rows, AERIES_DATABASE, "CRS", rows[:1])
        async for page in pages:
            codes += page.rows["code"].to_list()
    finally:
        await asyncio.to_thread(house.server.store.replace_rows, AERIES_DATABASE, "CRS", rows)
    assert reading.expected is not None
    assert len(codes) == reading.expected.rows == 14


# --- refusals by reason ---------------------------------------------------------------------------------------------


async def test_wrong_password_needs_a_person(house: House) -> None:
    error = await refusal(house.source(password="not-the-password"))
    assert isinstance(error, NeedsPerson)
    assert error.code == "SRC_AUTH"
    assert "not-the-password" not in str(error)
    assert [finding.subject for finding in await house.source(password="wrong").check()] == ["authentication"]


async def test_database_that_is_not_there_is_a_setting_to_correct(house: House) -> None:
    error = await refusal(house.source(database="DST27000"))
    assert isinstance(error, NeedsPerson)
    assert error.code == "SRC_CONFIG"
    assert [finding.subject for finding in await house.source(database="DST27000").check()] == ["settings"]


async def test_nobody_at_the_address_is_unreachable(house: House) -> None:
    url = f"mssql://reader@127.0.0.1:1/{AERIES_DATABASE}"
    error = await refusal(house.source(url=url, connect_timeout_seconds=2))
    assert isinstance(error, TryLater)
    assert error.code == "SRC_UNREACHABLE"


async def test_table_that_may_not_be_read_is_told_from_a_login_that_is_refused(world: World) -> None:
    tables = tables_of([AERIES, CLASSES], {})
    with serving_databases({AERIES_DATABASE: tables}, deny=["STU"]) as server:
        source = source_over(server, "aeries_sql", database=AERIES_DATABASE)
        error = await refusal(source)
        findings = bad(await source.check())
    # A table without any right is not even listed, so that it looks as if it were missing.
    assert error.code in ("SRC_AUTH", "SRC_WRONG_SHAPE")
    assert "STU" in error.message or "SELECT" in error.message
    assert {finding.subject for finding in findings} <= {"permission", "shape"}
    assert any("students" in finding.text for finding in findings)


async def test_database_without_snapshots_says_what_to_set_and_reads_committed_instead() -> None:
    tables = tables_of([AERIES, CLASSES], {})
    with serving_databases({AERIES_DATABASE: tables}, snapshot_allowed=False) as server:
        error = await refusal(source_over(server, "aeries_sql", database=AERIES_DATABASE))
        assert error.code == "SRC_CONFIG"
        assert "ALLOW_SNAPSHOT_ISOLATION" in error.message
        _, expected = await read(
            source_over(server, "aeries_sql", database=AERIES_DATABASE, isolation="read_committed"), "students"
        )
        assert expected is not None


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (FaultKind.DEADLOCK, {"after_rows": 50}),
        (FaultKind.RESET, {"after_rows": 50}),
        (FaultKind.CLOSE, {"after_rows": 50}),
        (FaultKind.HANG, {"after_rows": 50, "seconds": 30}),
    ],
)
async def test_reading_that_breaks_half_way_is_tried_later(
    house: House, kind: FaultKind, options: dict[str, Any]
) -> None:
    # The count is answered first; the fault is for the rows.
    house.arm(kind, "STU", times=2, **options)
    async with asyncio.timeout(20):
        error = await refusal(house.source(statement_timeout_seconds=1))
    assert isinstance(error, TryLater)
    assert error.code == "SRC_UNREACHABLE"


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (208, StopRun, "SRC_WRONG_SHAPE"),
        (207, StopRun, "SRC_WRONG_SHAPE"),
        (229, NeedsPerson, "SRC_AUTH"),
        (601, StopRun, "SRC_UNSTABLE"),
        (1222, TryLater, "SRC_UNREACHABLE"),
        (10928, TryLater, "SRC_RATE_LIMITED"),
    ],
)
async def test_errors_are_told_apart_by_their_number(
    house: House, number: int, kind: type[AetherError], code: str
) -> None:
    house.arm(FaultKind.ERROR, "STU", number=number, severity=16, message="It quotes Wilhelmina Ash-Grove.", times=1)
    error = await refusal(house.source())
    assert isinstance(error, kind)
    assert error.code == code
    assert "Ash-Grove" not in str(error)


async def test_server_that_cannot_encrypt_is_refused_unless_the_settings_allow_it(house: House) -> None:
    house.server.house.switchboard.set({"encryption": "not_supported"})
    error = await refusal(house.source())
    assert isinstance(error, NeedsPerson)
    assert error.code == "SRC_CONFIG"
    assert "encrypt" in error.message
    frame, _ = await read(house.source(encryption="off"), "schools")
    assert frame.height > 0


# --- the year -------------------------------------------------------------------------------------------------------


async def test_database_of_another_year_is_not_read(house: House) -> None:
    source = house.source(database=LAST_YEAR, database_year=2026)
    error = await refusal(source, "staff")
    assert isinstance(error, NeedsPerson)
    assert error.code == "SRC_CONFIG"
    assert "2025" in error.message and "2026" in error.message
    assert [finding.subject for finding in bad(await source.check())] == ["year"]


async def test_terms_tell_the_year_where_the_name_does_not(house: House) -> None:
    assert bad(await house.source(database=PLAIN_NAME, database_year=2026).check()) == []
    error = await refusal(house.source(database=PLAIN_NAME, database_year=2027), "staff")
    assert "school year 2026 by the database's terms" in error.message


async def test_without_a_wanted_year_the_year_is_only_told(house: House) -> None:
    findings = await house.source(database=LAST_YEAR).check()
    assert [finding.text for finding in findings if finding.subject == "year"] == [
        "database_year is not set, so any school year is read: the name says 2025"
    ]


def test_address_without_a_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names no host, user or database"):
        AeriesSqlConfig(url="mssql://reader@host:1433")
