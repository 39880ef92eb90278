"""Whose class it is and who sits in it: both kinds of scheduling, homerooms, and what must lead nowhere."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, insert, text

from shared.ports.surroundings import Surroundings
from simulators.district.databases import AERIES, CLASSES, sqlite_url
from systems.aeries_sql.config import AeriesSqlConfig
from systems.aeries_sql.entities import entities
from systems.aeries_sql.source import build_source

TODAY = datetime.fromisoformat("2026-11-20T00:00:00")


class School:
    """One Aeries database made for a test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_engine(url)
        for schema in (AERIES, CLASSES):
            schema.create_all(self._engine)

    def add(self, table: str, **columns: Any) -> None:
        found = AERIES.tables[table] if table in AERIES.tables else CLASSES.tables[table]
        blank = dict.fromkeys(column.name for column in found.columns)
        with self._engine.begin() as connection:
            connection.execute(insert(found), [{**blank, "DEL": 0, **columns}])

    def run(self, statement: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(statement))

    async def read(self, entity: str, **settings: Any) -> dict[str, dict[str, Any]]:
        source = build_source(AeriesSqlConfig(url=self.url, **settings), Surroundings())
        reading = source.read(entity)
        rows = [row async for page in reading for row in page.rows.iter_rows(named=True)]
        await source.close()
        assert reading.expected is not None
        assert reading.expected.rows == len(rows)
        return {row["key"]: row for row in rows}

    def student(self, number: int, **columns: Any) -> None:
        self.add(
            "STU", **{"SC": 1, "SN": number, "ID": 500 + number, "LN": "L", "FN": "F", "GR": 3, "TG": "", **columns}
        )

    def section(self, number: int, **columns: Any) -> None:
        self.add("MST", **{"SC": 1, "SE": number, "CN": "0726", "SM": "Y", "TN": 10, **columns})

    def teacher(self, number: int, staff_id: int, **columns: Any) -> None:
        self.add("TCH", **{"SC": 1, "TN": number, "ID": staff_id, **columns})


@pytest.fixture
def school(tmp_path: Path) -> School:
    return School(sqlite_url(tmp_path / "aeries.db"))


async def test_flex_staff_count_before_the_number_that_was_left_behind(school: School) -> None:
    school.teacher(10, 100)
    school.section(1)
    school.section(2)
    school.add("SSE", SC=1, SE=2, ID=200, PR=1)
    sections = await school.read("sections")
    assert sections["1/S/1"]["teacher_staff_id"] == 100
    assert sections["1/S/2"]["teacher_staff_id"] == 200
    assert sections["1/S/2"]["teacher_number"] == 10


async def test_of_flex_staff_the_primary_one_who_is_still_there_counts(school: School) -> None:
    school.section(1, TN=None)
    school.add("SSE", SC=1, SE=1, ID=100, PR=1, ED=TODAY)  # taught it before
    school.add("SSE", SC=1, SE=1, ID=150, PR=0)  # helps
    school.add("SSE", SC=1, SE=1, ID=160, PR=1, DEL=1)  # entered by mistake
    school.add("SSE", SC=1, SE=1, ID=200, PR=1)
    school.section(2, TN=None)
    school.add("SSE", SC=1, SE=2, ID=100, PR=1, ED=TODAY.replace(month=9))
    school.add("SSE", SC=1, SE=2, ID=300, PR=1, ED=TODAY)
    sections = await school.read("sections")
    assert sections["1/S/1"]["teacher_staff_id"] == 200
    assert sections["1/S/2"]["teacher_staff_id"] == 300, "all have ended: the last one"


async def test_vacant_deleted_and_missing_teachers_are_nobody(school: School) -> None:
    school.teacher(10, 0)
    school.teacher(11, 111, DEL=1)
    for number, teacher in enumerate((10, 11, 12, 0, None), start=1):
        school.section(number, TN=teacher)
    sections = await school.read("sections")
    assert len(sections) == 5
    assert [row["teacher_staff_id"] for row in sections.values()] == [None] * 5


@pytest.mark.parametrize("table", ["SSE", "TCH"])
async def test_a_school_without_one_of_the_two_tables_can_be_read(school: School, table: str) -> None:
    school.teacher(10, 100)
    school.section(1)
    school.add("SSE", SC=1, SE=1, ID=200, PR=1)
    school.run(f'drop table "{table}"')
    (section,) = (await school.read("sections")).values()
    assert section["teacher_staff_id"] == (100 if table == "SSE" else 200)


async def test_a_second_teacher_row_of_one_number_shows_as_a_row_too_many(school: School) -> None:
    school.run('drop table "TCH"')
    school.run('create table "TCH" ("SC" integer, "TN" integer, "ID" integer, "DEL" integer)')
    school.run('insert into "TCH" values (1, 10, 100, 0), (1, 10, 101, 0)')
    school.section(1)
    with pytest.raises(AssertionError):  # the count is taken without the joins
        await school.read("sections")


async def test_students_without_classes_sit_in_their_homeroom(school: School) -> None:
    school.teacher(52, 100)
    school.student(1, CU=52)
    school.student(2, CU=52)
    school.student(3, CU=52)
    school.add("SEC", SC=1, SN=3, SE=7)  # has a class: the homeroom is none
    school.student(4, CU=52, TG="N")  # has left
    school.student(5, CU=0)
    school.student(6, CU=None)
    school.student(7, CU=99)  # nobody's number
    school.student(8, CU=52, DEL=1)
    school.add("SEC", SC=1, SN=2, SE=7, DEL=1)  # dropped: counts as none
    places = await school.read("rosters")
    assert list(places) == ["1/1/H/52", "1/2/H/52", "1/3/S/7", "1/7/H/99"]
    assert [row["is_homeroom"] for row in places.values()] == [True, True, False, True]
    assert places["1/1/H/52"]["section_key"] == "1/H/52"
    assert places["1/1/H/52"]["student_key"] == "1/1"
    assert places["1/1/H/52"]["person_id"] == 501
    sections = await school.read("sections")
    assert {key: row["teacher_staff_id"] for key, row in sections.items()} == {"1/H/52": 100, "1/H/99": None}
    assert sections["1/H/52"]["term_key"] is None


async def test_a_place_tells_whether_its_student_is_still_there(school: School) -> None:
    school.student(1)
    school.student(2, TG="T")
    school.student(3, DEL=1)
    school.student(4, TG=None)
    school.student(5, TG="  ")
    for number in range(1, 7):
        school.add("SEC", SC=1, SN=number, SE=7, DEL=None)
    places = await school.read("rosters")
    assert [row["student_is_active"] for row in places.values()] == [True, False, False, True, True, False]
    assert places["1/3/S/7"]["person_id"] is None
    assert places["1/6/S/7"]["person_id"] is None


async def test_students_come_once_for_each_school_active_or_not(school: School) -> None:
    school.student(1, ID=900)
    school.student(2, SC=2, ID=900, TG="T")
    school.student(3, SC=999, ID=901)
    school.student(4, ID=902, DEL=1)
    students = await school.read("students", pseudo_schools=[0, 999])
    assert {key: (row["person_id"], row["is_active"], row["is_pseudo_school"]) for key, row in students.items()} == {
        "1/1": (900, True, False),
        "2/2": (900, False, False),
        "999/3": (901, True, True),
    }


async def test_gender_is_read_from_its_old_column_where_there_is_no_new_one(school: School) -> None:
    school.student(1, GN="X")
    assert (await school.read("students"))["1/1"]["gender"] == "X"
    school.run('alter table "STU" rename column "GN" to "SX"')
    assert (await school.read("students"))["1/1"]["gender"] == "X"


async def test_stays_at_schools_are_told_apart_by_person_year_school_and_day(school: School) -> None:
    for day in ("2025-08-14", "2026-01-12"):
        school.add("ENR", ID=900, SC=1, SN=1, YR=2025, ED=datetime.fromisoformat(day))
    school.add("ENR", ID=900, SC=1, SN=1, YR=2026, ED=None)
    rows = await school.read("enrolments")
    assert set(rows) == {None, "900/2025/1/2025-08-14", "900/2025/1/2026-01-12"}


def test_every_entity_of_the_manifest_is_there_with_its_key() -> None:
    declared = {each.name: {column.name for column in each.columns} for each in entities()}
    assert set(declared) == {
        "staff", "schools", "students", "courses", "terms", "sections", "rosters", "enrolments",
    }  # fmt: skip
    assert all({"id", "code", "key"} & columns for columns in declared.values())
