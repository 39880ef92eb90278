"""The generated Aeries district: a reader who knows the rules finds exactly its truth, at any size."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from simulators.aeries_api.world import make_world
from tests.simulators.running_aeries_api import YEAR, RunningAeries, running_aeries

PAGE = 250


def students_of(running: RunningAeries, school: int) -> list[dict[str, Any]]:
    """All school records of a school, page by page."""
    rows: list[dict[str, Any]] = []
    while True:
        page = running.get(f"/schools/{school}/students", StartingRecord=len(rows) + 1, EndingRecord=len(rows) + PAGE)
        rows += page
        if len(page) < PAGE:
            return rows


def test_a_reader_who_knows_the_rules_finds_the_truth() -> None:
    world = make_world(7, students=1_200, staff=150, schools=6)
    truth = world.truth["students"]
    with running_aeries(world.document) as running:
        schools = [row["SchoolCode"] for row in running.get("/schools")]
        assert set(world.truth["schools"]) | set(world.truth["pseudo_schools"]) < set(schools)
        rows = [row for school in schools for row in students_of(running, school)]
        assert len(rows) == truth["rows"]
        active = [
            row
            for row in rows
            if not row["InactiveStatusCode"].strip() and row["SchoolCode"] not in world.truth["pseudo_schools"]
        ]
        assert Counter(str(row["SchoolCode"]) for row in active) == Counter(truth["active_at"])
        schools_of = Counter(row["StudentID"] for row in active)
        assert len(schools_of) == truth["distinct_active"] == 1_200
        assert sorted(each for each, count in schools_of.items() if count == 2) == truth["cases"]["at_two_schools"]
        gone = {row["StudentID"] for row in rows} - schools_of.keys()
        twins = {pair[1] for pair in truth["cases"]["same_person"]}
        assert gone == twins.union(*(truth["cases"][name] for name in ("left", "pre_enrolled", "only_stored")))
        former = running.client.get("/schools/501/students", params={"DatabaseYear": "2025"}).json()
        assert len(former) == truth["former_active_at"]["501"]
        assert len(running.get("/enrollment/0/year/2026")) == truth["rows"] - len(truth["cases"]["only_stored"])
        assert running.violations() == []


def test_elementary_students_have_a_homeroom_with_zeros_and_no_sections() -> None:
    world = make_world(7, students=300, staff=60, schools=4)
    with running_aeries(world.document) as running:
        elementary = students_of(running, 501)
        assert all(len(row["HomeRoomTeacherNumber"]) == 4 for row in elementary)
        assert running.get("/schools/501/sections") == []
        seats = 0
        for section in running.get("/schools/503/sections") + running.get("/schools/502/sections"):
            place = (section["SchoolCode"], section["SectionNumber"])
            seats += len(running.get(f"/schools/{place[0]}/sections/{place[1]}/students"))
            assert section["CourseID"].startswith("0")
            assert sum(member["IsPrimaryTeacher"] for member in section["SectionStaffMembers"]) == 1
        assert seats == world.truth["students"]["seats"] > 0


def test_staff_has_every_awkward_case() -> None:
    world = make_world(3, students=50, staff=200, schools=3)
    truth = world.truth["staff"]
    with running_aeries(world.document) as running:
        rows = {row["ID"]: row for row in running.get("/staff")}
        assert len(rows) == truth["total"]
        cases = truth["cases"]
        assert all(cases.values())
        assert [each for each, row in rows.items() if not row["HumanResourcesSystemID"]] == cases["without_hrid"]
        assert [each for each, row in rows.items() if row["LeaveDate"]] == cases["left"]
        assert [each for each, row in rows.items() if row["InactiveStatusCode"]] == cases["inactive"]
        for one, other in cases["shared_hrid"]:
            hrids = {rows[each]["HumanResourcesSystemID"].lower() for each in (one, other)}
            assert len(hrids) == 1
        running.switch(exclude_expired_accounts=True)
        assert rows.keys() - {row["ID"] for row in running.get("/staff")} == set(cases["expired_account"])


def test_the_same_arguments_make_the_same_world() -> None:
    assert make_world(5, students=80, staff=60, schools=4) == make_world(5, students=80, staff=60, schools=4)
    assert make_world(5, students=80, staff=60, schools=4) != make_world(6, students=80, staff=60, schools=4)


@pytest.mark.parametrize("size", [{"students": 0}, {"students": 200_001}, {"staff": 0}, {"schools": 2}])
def test_a_world_out_of_bounds_is_refused(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(size))):
        make_world(1, **{"students": 1, "staff": 1, "schools": 3} | size)


def test_a_page_costs_the_page_and_not_the_school() -> None:
    world = make_world(1, students=10_000, staff=100, schools=3)
    with running_aeries(world.document) as running:
        took = []
        for start in (1, 3_000):
            began = time.process_time()
            for number in range(20):
                query = YEAR | {"StartingRecord": str(start + number), "EndingRecord": str(start + number + 9)}
                assert len(running.client.get("/schools/503/students", params=query).json()) == 10
            took.append(time.process_time() - began)
        assert max(took) < 2.0, f"20 pages of ten out of some thousands took {took} seconds"
        student_id = running.get("/schools/503/students", StartingRecord=5, EndingRecord=5)[0]["StudentID"]
        began = time.process_time()
        for _ in range(50):
            assert running.get(f"/schools/0/students/{student_id}")
        assert time.process_time() - began < 2.0
