"""The sample district's students and classes: made from the seed, apart from the staff, with their awkward cases."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from simulators.district.__main__ import main, make
from simulators.district.class_rows import FLEX_SCHOOLS, TABLES
from simulators.district.databases import AERIES, CLASSES, HR, sqlite_url
from simulators.district.people import World
from simulators.district.students import CASES, GRADES, STUDENTS_MAX, level_of
from simulators.district.truth import truth_of
from simulators.district.vendor import leave_behind
from simulators.district.world import generate

STUDENTS = 400


@pytest.fixture(scope="module")
def world() -> World:
    return generate(seed=5, staff=400, students=STUDENTS)


def live(world: World, table: str) -> list[dict[str, Any]]:
    return [row for row in world.tables[table] if row["DEL"] != 1]


def is_active(row: dict[str, Any]) -> bool:
    return str(row["TG"] or "").strip() == ""


def test_without_students_a_district_is_what_it_always_was(tmp_path: Path) -> None:
    make(out=tmp_path, seed=5, staff=400)
    engine = create_engine(sqlite_url(tmp_path / "aeries.db"))
    with engine.connect() as connection:
        tables = set(connection.execute(text("select name from sqlite_master where type = 'table'")).scalars())
    engine.dispose()
    assert tables == set(AERIES.tables)
    assert "local" not in json.loads((tmp_path / "truth.json").read_bytes())


def test_students_change_nothing_of_the_staff_but_vacant_positions(world: World) -> None:
    without = generate(seed=5, staff=400)
    for table in (*AERIES.tables, *HR.tables):
        rows = world.tables[table]
        if table == "TCH":
            rows = [row for row in rows if row["ID"] != 0]
        assert rows == without.tables[table], table


def test_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert main(["--out", str(tmp_path / name), "--staff", "400", "--students", "150", "--seed", "3"]) == 0
    for file in ("aeries.db", "hr.db", "titanhst.json", "truth.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert main(["--out", str(tmp_path / "three"), "--staff", "400", "--students", "150", "--seed", "4"]) == 0
    assert (tmp_path / "one" / "truth.json").read_bytes() != (tmp_path / "three" / "truth.json").read_bytes()


def test_rows_in_the_database_are_those_that_were_made(world: World, tmp_path: Path) -> None:
    truth = make(out=tmp_path, seed=5, staff=400, students=STUDENTS)
    engine = create_engine(sqlite_url(tmp_path / "aeries.db"))
    with engine.connect() as connection:
        for table in CLASSES.tables:
            count = connection.execute(text(f'select count(*) from "{table}"')).scalar_one()
            assert count == len(world.tables[table]) == truth["rows"][table]  # type: ignore[index] # counts by table
    engine.dispose()
    assert set(TABLES) == set(CLASSES.tables)


def test_every_special_case_is_there(world: World) -> None:
    assert world.classes is not None
    cases = Counter(pupil.case for pupil in world.classes.pupils)
    assert len(world.classes.pupils) == STUDENTS
    assert set(cases) == {*CASES, "plain"}
    assert min(cases.values()) >= 2
    assert world.mess["vacant_teacher"] > 0
    assert world.mess["place_in_deleted_section"] > 0
    assert world.mess["place_of_a_leaver"] > 0


def test_a_student_of_two_schools_is_mainly_at_the_one_with_the_lower_code(world: World) -> None:
    assert world.classes is not None
    for pupil in world.classes.pupils:
        schools = [row["SC"] for row in live(world, "STU") if row["ID"] == pupil.person_id and is_active(row)]
        if pupil.case == "two_schools":
            assert len(schools) == 2
        if pupil.is_desired:
            assert min(schools) == pupil.school


def test_grades_are_those_of_the_school(world: World) -> None:
    assert world.classes is not None
    for pupil in world.classes.pupils:
        if pupil.case not in ("adult", "preschool", "graduate"):
            assert pupil.grade in GRADES[level_of(pupil.school)]


def test_flex_schools_name_their_staff_by_section_and_leave_old_numbers_behind(world: World) -> None:
    sections = {(row["SC"], row["SE"]) for row in world.tables["MST"]}
    by_section = {(row["SC"], row["SE"]) for row in world.tables["SSE"]}
    assert by_section == {place for place in sections if place[0] in FLEX_SCHOOLS}
    staff_of = {(row["SC"], row["TN"]): row["ID"] for row in world.tables["TCH"]}
    primary = {(row["SC"], row["SE"]): row["ID"] for row in live(world, "SSE") if row["PR"] == 1 and row["ED"] is None}
    numbered = {(row["SC"], row["SE"]): staff_of[row["SC"], row["TN"]] for row in world.tables["MST"]}
    assert any(numbered[place] != staff_id for place, staff_id in primary.items())


def test_the_truth_holds_only_records_whose_section_and_student_are_there(world: World) -> None:
    truth: Any = truth_of(world, leave_behind(world))
    local = truth["local"]
    known = {*local["students"], *truth["local_quarantined"]["students"]}
    for key, enrolment in local["enrolments"].items():
        assert enrolment["section_key"] in local["sections"]
        assert enrolment["student_id"] in known
        assert key == f"{enrolment['section_key']}/{enrolment['student_id']}"
    courses = {section["course_code"] for section in local["sections"].values()} - {None}
    assert courses <= set(local["courses"])
    teachers = {section["teacher_staff_id"] for section in local["sections"].values()}
    assert None in teachers
    # Anybody with a live staff row may teach, former and unsound employees too.
    assert teachers - {None} <= {person.external_id for person in world.people}


def test_a_size_out_of_bounds_is_refused() -> None:
    with pytest.raises(ValueError, match=f"students: {STUDENTS_MAX + 1}, allowed 0 to {STUDENTS_MAX}"):
        generate(students=STUDENTS_MAX + 1)
