"""HR read from a (simulated) SQL Server, where most counties keep it: ocde_hr_sql over TDS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import create_engine, insert, text

from shared.errors import StopRun
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source
from simulators.district.databases import AERIES, HR, sqlite_url, write_aeries, write_hr
from simulators.district.people import World
from simulators.district.truth import truth_of
from simulators.district.vendor import leave_behind
from simulators.district.world import generate
from simulators.tds.server import TdsServer
from systems.ocde_hr_sql.config import OcdeHrSqlConfig
from systems.ocde_hr_sql.source import build_source
from tests.systems.district_truth import found_by, frames_of
from tests.systems.sql_server import AERIES_DATABASE, HR_DATABASE, serving_databases, source_over, tables_of


@pytest.fixture(scope="module")
def world() -> World:
    return generate(seed=23, staff=400, students=60)


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[TdsServer]:
    databases = {HR_DATABASE: tables_of([HR], world.tables), AERIES_DATABASE: tables_of([AERIES], world.tables)}
    with serving_databases(databases) as running:
        yield running
        assert running.violations == []


async def whole(source: Source, entity: str) -> pl.DataFrame:
    frames = await frames_of(source, {"all": entity})
    await source.close()
    return frames["all"]


@pytest.mark.parametrize("entity", ["people", "assignments", "positions", "sites"])
async def test_sql_server_and_a_plain_copy_deliver_the_same_rows(
    server: TdsServer, world: World, tmp_path: Path, entity: str
) -> None:
    url = sqlite_url(tmp_path / "hr.db")
    write_hr(world, url)
    copied = await whole(build_source(OcdeHrSqlConfig(url=url), Surroundings()), entity)
    served = await whole(source_over(server, "ocde_hr_sql", database=HR_DATABASE, page_rows=100), entity)
    key = copied.columns[0]
    assert served.sort(key).equals(copied.sort(key)), "padding, nulls, times or decimals come otherwise"


async def test_the_connector_finds_the_truth_of_the_district(server: TdsServer, world: World, tmp_path: Path) -> None:
    truth: Any = truth_of(world, leave_behind(world))
    write_aeries(world, sqlite_url(tmp_path / "aeries.db"))
    people = source_over(server, "ocde_hr_sql", database=HR_DATABASE)
    aeries = source_over(server, "aeries_sql", database=AERIES_DATABASE)
    frames = await frames_of(people, {"person": "people", "job": "assignments"})
    frames |= await frames_of(aeries, {"aeries": "staff"})
    found, quarantined = found_by("hr-local", "staff", frames)
    wanted = truth["local"]["staff"]
    assert {key: {name: found[key][name] for name in record} for key, record in wanted.items()} == wanted
    assert found.keys() == wanted.keys()
    unsound = {key for key, reason in truth["quarantined"].items() if reason not in ("ambiguous_match", "missing_key")}
    assert quarantined.keys() - {"None"} == unsound


def made(tmp_path: Path, *, people: list[dict[str, Any]], leave_out: str = "") -> str:
    url = sqlite_url(tmp_path / "hr.db")
    engine = create_engine(url)
    HR.create_all(engine)
    blank = dict.fromkeys(column.name for column in HR.tables["hr_person"].columns)
    day = {"hire_date": date(2020, 8, 1), "edited_at": datetime.fromisoformat("2026-01-01T00:00:00")}
    with engine.begin() as connection:
        for number, person in enumerate(people, start=1):
            connection.execute(
                insert(HR.tables["hr_person"]), [{**blank, **day, "person_id": number, "last": "L", **person}]
            )
        if leave_out:
            connection.execute(text(f"alter table hr_person drop column {leave_out}"))
    engine.dispose()
    return url


async def test_status_codes_get_the_meaning_that_the_settings_give_them(tmp_path: Path) -> None:
    url = made(tmp_path, people=[{"status_code": code} for code in ("A", " l ", "t", "W", "", None)])
    plain = build_source(OcdeHrSqlConfig(url=url), Surroundings())
    assert (await whole(plain, "people"))["status"].to_list() == [
        "active", "leave", "terminated", "unknown", "unknown", "unknown",
    ]  # fmt: skip
    own = OcdeHrSqlConfig(url=url, status_codes={"w": "substitute", "A": "active"})
    assert (await whole(build_source(own, Surroundings()), "people"))["status"].to_list() == [
        "active", "unknown", "unknown", "substitute", "unknown", "unknown",
    ]  # fmt: skip


async def test_check_reports_codes_that_nobody_explained_and_rows_without_key(tmp_path: Path) -> None:
    people: list[dict[str, Any]] = [
        {"status_code": "A", "employee_id": "E1"},
        {"status_code": "w", "employee_id": " e1 "},
        {"status_code": "W", "employee_id": "  ", "last": None},
    ]
    source = build_source(OcdeHrSqlConfig(url=made(tmp_path, people=people)), Surroundings())
    findings = {finding.subject: finding for finding in await source.check()}
    assert not findings["codes"].is_good
    assert "W (2)" in findings["codes"].text
    texts = [finding.text for finding in await source.check()]
    assert "people: 1 employee ids have several rows, 1 rows have no employee id, 1 no last name" in texts


async def test_required_columns_that_are_missing_are_named_and_optional_ones_are_null(tmp_path: Path) -> None:
    source = build_source(OcdeHrSqlConfig(url=made(tmp_path, people=[], leave_out="edited_at")), Surroundings())
    with pytest.raises(StopRun, match="hr_person has no column edited_at"):
        await whole(source, "people")
    assert any("edited_at" in finding.text for finding in await source.check() if not finding.is_good)


@pytest.mark.parametrize("codes", [{"A": "active", "a ": "leave"}, {" ": "active"}])
def test_a_status_code_is_explained_once(codes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="each code once"):
        OcdeHrSqlConfig.model_validate({"url": "sqlite:////hr.db", "status_codes": codes})


async def test_an_assignment_is_told_by_employee_and_number(server: TdsServer) -> None:
    rows = await whole(source_over(server, "ocde_hr_sql", database=HR_DATABASE), "assignments")
    assert rows["assignment_id"].n_unique() == rows.height
    assert rows["assignment_id"].to_list()[0].split("/")[1] == str(rows["seq"][0])
