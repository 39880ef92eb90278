"""Aeries is read whole, for the wanted year and no other, in every form that its versions answer in."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import AetherError, NeedsPerson, StopRun
from shared.ports.system import Page
from simulators.aeries_api.app import AeriesConfig, create_app
from simulators.aeries_api.certificates import Certificate
from simulators.aeries_api.switches import AeriesSwitches, EmptyField
from simulators.aeries_api.world import make_world
from simulators.kit.serve import serving
from tests.simulators.running_aeries_api import RunningAeries, small_district, student
from tests.systems.aeries_api.conftest import KEEPS_BIRTHDATES, Opener, asked, rows_of

ENTITIES = ("schools", "terms", "staff", "students", "courses", "sections", "section_staff", "rosters", "enrolments")


async def code_of(opener: Opener, entity: str, **settings: Any) -> AetherError:
    with pytest.raises(AetherError) as caught:
        await rows_of(opener.source(**settings), entity)
    return caught.value


# --- what is delivered ----------------------------------------------------------------------------------------------


async def test_a_whole_district_is_read_to_the_truth_about_it(aeries: RunningAeries, opener: Opener) -> None:
    world = make_world(7, students=300, staff=30, schools=4)
    assert aeries.control.put("/state", json=world.document).status_code == 204
    year = world.document["years"]["2026"]
    pseudo = tuple(world.truth["pseudo_schools"])
    source = opener.source(excluded_schools=pseudo, page_records=37)
    students = await rows_of(source, "students")
    active = [row for row in students if row["is_active"]]
    assert len({row["person_id"] for row in active}) == world.truth["students"]["distinct_active"]
    for code, count in world.truth["students"]["active_at"].items():
        if int(code) not in pseudo:
            assert sum(row["school"] == int(code) for row in active) == count, code
    assert {row["school"] for row in students}.isdisjoint(pseudo)
    assert len(students) == sum(row["SchoolCode"] not in pseudo for row in year["students"])
    assert len(await rows_of(source, "staff")) == world.truth["staff"]["total"]
    schools = {row["code"] for row in await rows_of(source, "schools")}
    assert schools == {row["SchoolCode"] for row in year["schools"]} - set(pseudo)
    assert schools >= set(world.truth["schools"])
    rosters = await rows_of(source, "rosters")
    assert len(rosters) == world.truth["students"]["seats"]
    assert {row["section_key"] for row in rosters} <= {row["key"] for row in await rows_of(source, "sections")}
    assert len(await rows_of(source, "enrolments")) == sum(
        row["AcademicYear"] == 2026 and row["SchoolCode"] not in pseudo for row in year["enrollment"]
    )


async def test_students_inactive_and_of_two_schools_each_have_their_row(opener: Opener) -> None:
    rows = await rows_of(opener.source(), "students")
    assert [(row["key"], row["is_active"]) for row in rows if row["person_id"] == 3] == [
        ("501/3", True),
        ("502/77", False),
    ]
    assert [row["leave_date"] for row in rows if row["key"] == "502/77"] == ["2026-09-30"]
    (first,) = [row for row in rows if row["person_id"] == 1]
    assert (first["homeroom_teacher"], first["birth_date"], first["person_key"]) == ("0726", "2011-03-04", "501/1")


async def test_schools_that_are_none_are_neither_listed_nor_read(aeries: RunningAeries, opener: Opener) -> None:
    source = opener.source()
    assert [row["code"] for row in await rows_of(source, "schools")] == [501, 502, 503]
    assert {row["school"] for row in await rows_of(source, "students")} == {501, 502, 503}
    assert not [entry for entry in asked(aeries) if "/schools/0/" in entry["path"] or "/999/" in entry["path"]]
    wider = opener.source(excluded_schools=(0, 503, 999))
    assert {row["school"] for row in await rows_of(wider, "students")} == {501, 502}


async def test_codes_keep_their_leading_zeros(opener: Opener) -> None:
    source = opener.source()
    assert [row["code"] for row in await rows_of(source, "courses")] == ["0726", "0900"]
    (section,) = await rows_of(source, "sections")
    assert (section["course"], section["room"], section["term_key"]) == ("0726", "012", "501/F")


async def test_staff_of_a_section_are_flattened_the_primary_one_first(aeries: RunningAeries, opener: Opener) -> None:
    state = small_district()
    members = [
        {"StaffID": 903, "IsPrimaryTeacher": True, "EndDate": "2026-10-01T00:00:00"},
        {"StaffID": 902, "IsPrimaryTeacher": True, "StartDate": "2026-10-02T00:00:00"},
        {"StaffID": 901, "IsPrimaryTeacher": False, "InactiveStatusCode": "I"},
    ]
    state["years"]["2026"]["sections"][0]["SectionStaffMembers"] = members
    aeries.control.put("/state", json=state)
    source = opener.source()
    (section,) = await rows_of(source, "sections")
    assert (section["teacher_staff_id"], section["staff_ids"]) == (902, "902,903")
    staff = await rows_of(source, "section_staff")
    assert {(row["key"], row["section_key"], row["is_primary"]) for row in staff} == {
        ("501/43/903/", "501/43", True),
        ("501/43/902/2026-10-02", "501/43", True),
        ("501/43/901/", "501/43", False),
    }


async def test_a_seat_is_current_until_its_term_ends(opener: Opener) -> None:
    rows = {row["person_id"]: row for row in await rows_of(opener.source(), "rosters")}
    assert (rows[1]["end_date"], rows[1]["is_current"]) == ("2026-12-18", True)
    assert (rows[2]["end_date"], rows[2]["is_current"]) == ("2026-10-01", False)
    assert rows[1]["key"] == "501/43/1/1"


async def test_enrolments_are_those_of_the_year_and_asked_for_with_it(aeries: RunningAeries, opener: Opener) -> None:
    rows = await rows_of(opener.source(), "enrolments")
    assert {(row["person_id"], row["year"], row["school"]) for row in rows} == {(1, 2026, 501), (2, 2026, 501)}
    paths = [entry["path"] for entry in asked(aeries) if "enrollment" in entry["path"]]
    assert paths
    assert all(path.endswith("/enrollment/0/year/2026") for path in paths)


# --- forms of an answer ---------------------------------------------------------------------------------------------


async def test_one_record_comes_as_object_or_as_array(aeries: RunningAeries, opener: Opener) -> None:
    as_arrays = {entity: await rows_of(opener.source(), entity) for entity in ENTITIES}
    aeries.switch(one_element_list="object", single_school="object", single_record="array")
    assert {entity: await rows_of(opener.source(), entity) for entity in ENTITIES} == as_arrays
    assert len(as_arrays["sections"]) == 1, "the district must have a list of one"


async def test_dates_of_the_year_one_are_none(aeries: RunningAeries, opener: Opener) -> None:
    as_null = {entity: await rows_of(opener.source(), entity) for entity in ENTITIES}
    aeries.switch(empty_dates="year_0001")
    assert {entity: await rows_of(opener.source(), entity) for entity in ENTITIES} == as_null
    assert [row["hire_date"] for row in as_null["staff"]] == [None, None, None]


async def test_a_code_of_one_blank_is_blank(aeries: RunningAeries, opener: Opener) -> None:
    before = await rows_of(opener.source(), "students")
    aeries.switch(blank_codes="one_blank")
    assert await rows_of(opener.source(), "students") == before


# --- the year -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entity", ENTITIES)
async def test_a_year_that_aeries_does_not_have_is_never_read(
    aeries: RunningAeries, opener: Opener, entity: str
) -> None:
    aeries.switch(available_years=[2025])
    error = await code_of(opener, entity)
    assert isinstance(error, NeedsPerson)
    assert error.code == "SRC_CONFIG"
    assert "wrong year: database_year is 2026, and Aeries has 2025" in error.message
    assert [entry["path"] for entry in asked(aeries)] == ["/aeries/api/v5/systeminfo"]
    aeries.control.put("/state", json=small_district())  # that question names a year that is not there, on purpose


@pytest.mark.parametrize("entity", ENTITIES)
async def test_every_request_names_its_year_and_none_its_certificate(
    aeries: RunningAeries, opener: Opener, entity: str
) -> None:
    await rows_of(opener.source(), entity)
    entries = asked(aeries)
    assert {entry["query"]["DatabaseYear"] for entry in entries} == {"2026"}
    assert not [entry for entry in entries if "cert" in entry["query"]]
    assert entries[0]["path"] == entries[-1]["path"] == "/aeries/api/v5/systeminfo"


async def test_a_former_year_is_read_as_such(opener: Opener) -> None:
    rows = await rows_of(opener.source(database_year=2025), "students")
    assert {(row["person_id"], row["grade"]) for row in rows} == {(1, 8), (99, 12)}


async def test_a_rollover_while_it_is_read_voids_the_reading(aeries: RunningAeries, opener: Opener) -> None:
    reading = opener.source(excluded_schools=(0, 502, 503, 999)).read("students")
    pages: list[Page] = []
    with pytest.raises(StopRun, match="moved while they were read") as caught:
        async for page in reading:
            pages.append(page)
            aeries.switch(available_years=[2025])
    assert caught.value.code == "SRC_UNSTABLE"
    assert pages
    assert reading.expected is None
    aeries.control.put("/state", json=small_district())


# --- lists cut by position ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [0, 1, 2])
async def test_an_answer_cut_short_is_no_end(aeries: RunningAeries, opener: Opener, cut: int) -> None:
    """Ten students in answers of four are three answers and one that shows the end."""
    fault = {"kind": "short_page", "path_pattern": "/schools/501/students$", "after": cut}
    aeries.control.post("/faults", json=fault)
    error = await code_of(opener, "students")
    assert error.code == "SRC_UNSTABLE"
    assert "entity students, school 501" in error.message


@pytest.mark.parametrize("change", ["removed", "added"])
async def test_a_list_that_shifts_while_it_is_read_is_noticed(
    aeries: RunningAeries, opener: Opener, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = small_district()
    students = state["years"]["2026"]["students"]
    moved = students[1:] if change == "removed" else [student(12, number=900, LastName="Aaa"), *students]
    state["years"]["2026"] |= {"students": moved, "rosters": []}
    source = opener.source(requests_at_once=1)
    client = source._client  # type: ignore[attr-defined] # the moment between two questions is found nowhere else
    get, questions = client.get, []

    async def get_and_move(path: str, **more: Any) -> Any:
        answer = await get(path, **more)
        questions.append(path)
        if questions.count("/api/v5/schools/501/students") == 1:
            aeries.control.put("/state", json=state)
        return answer

    monkeypatch.setattr(client, "get", get_and_move)
    with pytest.raises(StopRun, match="another record stands at position 4") as caught:
        await rows_of(source, "students")
    assert caught.value.code == "SRC_UNSTABLE"


async def test_whole_lists_are_asked_for_without_positions(aeries: RunningAeries, opener: Opener) -> None:
    for entity in ENTITIES:
        await rows_of(opener.source(), entity)
    with_positions = {entry["path"].rsplit("/", 1)[-1] for entry in asked(aeries) if "StartingRecord" in entry["query"]}
    assert with_positions == {"students"}


# --- rights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 403])
async def test_an_area_that_is_not_granted_is_told_from_a_bad_certificate(
    aeries: RunningAeries, opener: Opener, status: int
) -> None:
    aeries.switch(denied_area_status=status)
    error = await code_of(opener, "staff", certificate="env:READER")
    assert isinstance(error, NeedsPerson)
    assert error.code == "SRC_AUTH"
    assert "has not granted read on staff" in error.message
    findings = await opener.source("env:READER").check()
    permissions = [finding.text for finding in findings if finding.subject == "permission"]
    assert [text.split(":")[0] for text in permissions] == ["entity staff", "entity sections", "entity rosters"]
    assert ("authentication", True) in [(finding.subject, finding.is_good) for finding in findings]


@pytest.mark.parametrize(
    ("form", "text"), [("absent", "/0/Grade: is missing"), ("null", "/0/Grade: is null"), ("blank", "grade")]
)
async def test_a_needed_field_that_is_kept_back_never_passes_for_an_empty_one(
    aeries: RunningAeries, opener: Opener, form: str, text: str
) -> None:
    aeries.switch(denied_field=form)
    error = await code_of(opener, "students", certificate="env:READER")
    assert error.code == "SRC_WRONG_SHAPE"
    assert text in error.message
    assert "grant read on this field" in error.message


@pytest.mark.parametrize("form", list(EmptyField))
async def test_a_field_that_may_miss_is_empty_when_it_is_kept_back(opener: Opener, form: EmptyField) -> None:
    certificate = Certificate(value=KEEPS_BIRTHDATES, denied_fields=frozenset({"Student.Birthdate"}))
    switches = AeriesSwitches(denied_field=form)
    config = AeriesConfig(certificates=(certificate,), seed=small_district(), switches=switches)
    with serving(create_app(config)) as url:
        rows = await rows_of(opener.source("env:BIRTHDATES", base_url=f"{url}/aeries"), "students")
    assert len(rows) == 12
    assert {row["birth_date"] for row in rows} == {None}


@pytest.mark.parametrize("page", ["login_page", "not_found_page"])
@pytest.mark.parametrize("directory", ["", "eagles/aeries"])
async def test_a_wrong_virtual_directory_is_said(
    aeries: RunningAeries, opener: Opener, page: str, directory: str
) -> None:
    aeries.switch(wrong_directory=page)
    (finding,) = await opener.source(directory=directory).check()
    assert (finding.subject, finding.is_good) == ("settings", False)
    assert "virtual directory" in finding.text
    error = await code_of(opener, "students", directory=directory)
    assert (error.code, isinstance(error, NeedsPerson)) == ("SRC_CONFIG", True)
    aeries.control.put("/state", json=small_district())  # asking outside is what the test is about


async def test_check_says_that_the_year_is_wrong(aeries: RunningAeries, opener: Opener) -> None:
    (finding,) = await opener.source(database_year=2031).check()
    assert (finding.subject, finding.is_good) == ("year", False)
    assert "Aeries has 2025, 2026" in finding.text
    aeries.control.put("/state", json=small_district())


async def test_check_of_a_sound_district_finds_every_area_readable(opener: Opener) -> None:
    findings = await opener.source().check()
    assert [finding for finding in findings if not finding.is_good] == []
    told = " ".join(finding.text for finding in findings)
    for entity in ("schools", "staff", "courses", "students", "sections", "rosters", "enrolments"):
        assert f"entity {entity}: can be read" in told
