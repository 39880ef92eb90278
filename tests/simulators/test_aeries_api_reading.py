"""What the simulated Aeries answers to reads, rule by rule of its README, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.simulators.running_aeries_api import (
    CERTIFICATE,
    READER,
    YEAR,
    RunningAeries,
    running_aeries,
    small_district,
    student,
)

GOOD = {"AERIES-CERT": CERTIFICATE, "Accept": "application/json"}


@pytest.fixture(scope="module")
def served() -> Iterator[RunningAeries]:
    with running_aeries() as running:
        yield running


@pytest.fixture
def aeries(served: RunningAeries) -> RunningAeries:
    """The small district, untouched."""
    served.start_anew()
    return served


def test_the_virtual_directory_is_what_the_district_made_it() -> None:  # A1
    for directory in ("", "admin", "Some/Where"):
        with running_aeries(virtual_directory=directory) as running:
            assert running.client.get("/SCHOOLS/501", params=YEAR).json()[0]["Name"] == "North High"
            assert running.violations() == []


def test_a_wrong_directory_answers_with_a_page_in_html(aeries: RunningAeries) -> None:  # A2
    answer = aeries.bare.get(f"{aeries.url}/admin/api/v5/schools", headers=GOOD)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.text.startswith("<!doctype html>")
    aeries.switch(wrong_directory="not_found_page")
    answer = aeries.bare.get(f"{aeries.url}/admin/api/v5/schools", headers=GOOD)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert aeries.violations() == ["A2", "A2"]


@pytest.mark.parametrize("path", ["/nothing", "/schools/501/nothing", "/schools/501/scheduling/sections", "/staff/1/2"])
def test_an_unknown_path_or_version_is_404_in_json(aeries: RunningAeries, path: str) -> None:  # A3
    for url in (path, f"{aeries.url}/aeries/api/v4/schools"):
        answer = aeries.client.get(url)
        assert (answer.status_code, list(answer.json())) == (404, ["Message"])


def test_a_certificate_is_compared_case_sensitively(aeries: RunningAeries) -> None:  # A4
    for sent in ({}, {"AERIES-CERT": CERTIFICATE.lower()}, {"AERIES-CERT": CERTIFICATE[:-1]}, {"AERIES-CERT": ""}):
        answer = aeries.bare.get("/schools", headers=sent | {"Accept": "application/json"}, params=YEAR)
        assert answer.status_code == 401
        assert list(answer.json()) == ["Message"]
    assert aeries.bare.get("/schools", headers={"aeries-cert": CERTIFICATE}, params=YEAR).status_code == 200


def test_a_certificate_in_the_query_works_is_noted_and_is_not_journalled(aeries: RunningAeries) -> None:  # A4
    answer = aeries.bare.get("/schools", params=YEAR | {"cert": CERTIFICATE}, headers={"Accept": "application/json"})
    assert answer.status_code == 200
    assert aeries.violations() == ["A4"]
    assert CERTIFICATE not in aeries.control.get("/journal").text


@pytest.mark.parametrize("path", ["/staff", "/staff/901", "/staff/555", "/schools/501/sections", "/codes/STU/TG"])
def test_an_area_that_was_not_granted_is_refused_as_the_district_is_set(aeries: RunningAeries, path: str) -> None:  # A5
    for status in (403, 401):
        aeries.switch(denied_area_status=status)
        answer = aeries.bare.get(path, headers=GOOD | {"AERIES-CERT": READER}, params=YEAR)
        assert answer.status_code == status
        assert "has not granted" in answer.json()["Message"]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("absent", [...] * 3),
        ("null", [None] * 3),
        ("blank", [None, 0, "0"]),
    ],
)
def test_a_field_that_was_not_granted_is_absent_null_or_blank(
    aeries: RunningAeries, form: str, expected: list[Any]
) -> None:  # A6
    aeries.switch(denied_field=form)
    answer = aeries.bare.get("/schools/501/students/1", headers=GOOD | {"AERIES-CERT": READER}, params=YEAR)
    (row,) = answer.json()
    assert [row.get(name, ...) for name in ("Birthdate", "Grade", "HomeRoomTeacherNumber")] == expected
    assert row["LastName"] == "Sample000001"


def test_only_json_is_answered_and_a_caller_must_say_so(aeries: RunningAeries) -> None:  # A7
    headers = {"AERIES-CERT": CERTIFICATE}
    assert aeries.bare.get("/schools", headers=headers | {"Accept": "text/xml"}, params=YEAR).status_code == 406
    answer = aeries.bare.get("/schools", headers=headers | {"Accept": "*/*"}, params=YEAR)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert aeries.violations() == ["A7"]


@pytest.mark.parametrize("year", [None, "2031", "26", "2026-2027", "x", ""])
def test_a_year_that_is_missing_wrong_or_not_there_silently_becomes_the_default_year(
    aeries: RunningAeries, year: str | None
) -> None:  # A8
    answer = aeries.client.get("/schools/501/students/1", params={} if year is None else {"DatabaseYear": year})
    assert [row["Grade"] for row in answer.json()] == [9]
    assert aeries.violations() == ["A8"]


def test_each_year_has_a_world_of_its_own(aeries: RunningAeries) -> None:  # A8
    former = aeries.client.get("/schools/501/students", params={"databaseyear": "2025"}).json()
    assert [(row["StudentID"], row["Grade"]) for row in former] == [(1, 8), (99, 12)]
    assert aeries.get("/schools/501/students/99") == []


def test_systeminfo_needs_no_certificate_and_tells_the_year_that_answers(aeries: RunningAeries) -> None:  # A9
    info = aeries.bare.get("/systeminfo", headers={"Accept": "application/json"}).json()
    assert info == {
        "AeriesVersion": "9.24.8.7",
        "DatabaseYear": "2026-2027",
        "AvailableDatabaseYears": ["2026-2027", "2025-2026"],
        "LocalTimeZoneName": "(UTC-08:00) Pacific Time (US & Canada)",
        "CurrentDateTime": "2026-11-22T08:00:00.0000000-08:00",
    }
    former = aeries.bare.get("/systeminfo", params={"DatabaseYear": "2025"}, headers={"Accept": "application/json"})
    assert former.json()["DatabaseYear"] == "2025-2026"


def test_the_rollover_moves_the_default_and_a_year_can_go_away(aeries: RunningAeries) -> None:  # A10
    aeries.switch(default_year=2025)
    assert len(aeries.client.get("/schools/501/students").json()) == 2
    aeries.switch(available_years=[2025])
    assert len(aeries.get("/schools/501/students")) == 2, "2026 is asked for, and 2025 answers"
    assert aeries.bare.get("/systeminfo").json()["AvailableDatabaseYears"] == ["2025-2026"]


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["StudentID"] for row in rows]


def test_record_positions_count_from_one_and_include_both_ends(aeries: RunningAeries) -> None:  # A11
    path = "/schools/501/students"
    assert ids(aeries.get(path, StartingRecord=1, EndingRecord=3)) == [1, 2, 3]
    assert ids(aeries.get(path, startingrecord=3, endingrecord=5)) == [3, 4, 5]
    assert ids(aeries.get(path, StartingRecord=9)) == [9, 10]
    assert ids(aeries.get(path, EndingRecord=2)) == [1, 2]
    assert ids(aeries.get(path, StartingRecord=9, EndingRecord=100)) == [9, 10]
    assert aeries.get(path, StartingRecord=11, EndingRecord=20) == []
    assert ids(aeries.get(f"{path}/extended", StartingRecord=10, EndingRecord=10)) == [10]
    assert ids(aeries.get(f"{path}/grade/9", StartingRecord=2, EndingRecord=2)) == [2]
    assert aeries.violations().count("A11") == 0


def test_positions_where_they_do_nothing_or_mean_nothing_are_noted(aeries: RunningAeries) -> None:  # A11
    assert len(aeries.get("/staff", StartingRecord=1, EndingRecord=1)) == 3
    assert len(aeries.get("/schools/501/students", StartingRecord=0, EndingRecord="x")) == 10
    assert aeries.get("/schools/501/students", StartingRecord=5, EndingRecord=3) == []
    assert aeries.violations() == ["A11"] * 4


def test_staff_is_one_array_and_is_filtered_by_any_property(aeries: RunningAeries) -> None:  # A12
    def found(**query: Any) -> list[int]:
        return [row["ID"] for row in aeries.get("/staff", **query)]

    assert found() == [901, 902, 903]
    assert found(leavedate="null") == [902, 903]
    assert found(LeaveDate="2026-06-05") == [901]
    assert found(primaryaeriesschool=501, humanresourcessystemid="000902") == [902]
    assert found(username="CY") == [902]
    assert found(LastName="nobody") == []


def test_lists_without_paging_come_whole(aeries: RunningAeries) -> None:  # A13
    assert [row["ID"] for row in aeries.get("/courses")] == ["0726", "0900"]
    (section,) = aeries.get("/schools/501/sections")
    assert section["TotalStudents"] == 2
    assert section["SectionStaffMembers"][0]["StaffID"] == 902
    assert section["SectionStaffMembers"][0]["EndDate"] is None


def test_one_school_is_an_array_and_one_record_an_object_unless_switched(aeries: RunningAeries) -> None:  # A14, A15
    paths = ("/schools/501", "/staff/901", "/courses/0726", "/schools/501/sections/43")
    assert [type(aeries.get(path)) for path in paths] == [list, dict, dict, dict]
    aeries.switch(single_school="object", single_record="array")
    assert [type(aeries.get(path)) for path in paths] == [dict, list, list, list]


def test_a_list_of_one_can_come_as_an_object(aeries: RunningAeries) -> None:  # A16
    assert ids(aeries.get("/schools/503/students")) == [20]
    aeries.switch(one_element_list="object")
    assert aeries.get("/schools/503/students")["StudentID"] == 20
    assert len(aeries.get("/schools/501/students")) == 10
    assert aeries.get("/schools/502/sections") == []


def test_a_student_is_found_at_every_school_whatever_the_path_says(aeries: RunningAeries) -> None:  # A17
    assert [(row["SchoolCode"], row["StudentNumber"]) for row in aeries.get("/schools/503/students/3")] == [
        (501, 3),
        (502, 77),
    ]
    aeries.switch(student_lookup="this_school")
    assert aeries.get("/schools/503/students/3") == []
    assert [row["SchoolCode"] for row in aeries.get("/schools/502/students/3")] == [502]


def test_pseudo_schools_are_schools_like_any_other(aeries: RunningAeries) -> None:  # A18
    assert [row["SchoolCode"] for row in aeries.get("/schools")] == [0, 501, 502, 503, 999]
    assert ids(aeries.get("/schools/999/students")) == [30]


def test_inactive_records_are_listed_beside_active_ones(aeries: RunningAeries) -> None:  # A19
    (row,) = aeries.get("/schools/502/students")
    assert (row["StudentID"], row["InactiveStatusCode"], row["SchoolLeaveDate"]) == (3, "I", "2026-09-30T00:00:00")
    (by_number,) = aeries.get("/schools/502/students/sn/77")
    assert by_number == row
    assert aeries.get("/schools/502/students/sn/1") == []


def test_a_current_seat_ends_with_its_term(aeries: RunningAeries) -> None:  # A20
    first, second = aeries.get("/schools/501/sections/43/students")
    assert first == {
        "StudentID": 1,
        "SchoolCode": 501,
        "SequenceNumber": 1,
        "SectionNumber": 43,
        "CourseID": "0726",
        "DateStarted": "2026-08-17T00:00:00",
        "DateEnded": "2026-12-18T00:00:00",
    }
    assert second["DateEnded"] == "2026-10-01T00:00:00"
    assert aeries.get("/schools/501/classes/1") == [first]
    assert aeries.get("/schools/502/classes/1") == []


def test_before_the_school_starts_a_seat_is_numbered_as_its_section(aeries: RunningAeries) -> None:  # A20
    aeries.clock.now = datetime(2026, 8, 1, tzinfo=UTC)
    assert [row["SequenceNumber"] for row in aeries.get("/schools/501/sections/43/students")] == [43, 43]


def test_enrollment_of_everybody_wants_a_year(aeries: RunningAeries) -> None:  # A21
    assert len(aeries.get("/enrollment/0/year/2026")) == 2
    assert [row["AcademicYear"] for row in aeries.get("/enrollment/1")] == [2025, 2026]
    assert len(aeries.get("/schools/501/enrollment/1")) == 1
    assert len(aeries.get("/schools/502/enrollment/0/year/2025")) == 1
    assert aeries.violations() == []
    assert len(aeries.get("/enrollment/0")) == 3
    aeries.switch(all_years_enrollment="times_out")
    assert aeries.client.get("/enrollment/0", params=YEAR).status_code == 500
    assert aeries.violations() == ["A21", "A21"]


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("/schools/501/terms", 2),
        ("/schools/501/calendar", 1),
        ("/schools/501/BellSchedule", 1),
        ("/schools/501/AbsenceCodes", 1),
        ("/codes/STU/TG", 1),
        ("/codes/STU/XX", 0),
        ("/schools/501/contacts/1", 1),
        ("/schools/501/contacts/0", 1),
        ("/schools/501/students/0/programs", 2),
        ("/schools/501/students/1/programs?code=144", 1),
        ("/schools/501/teachers", 1),
        ("/staff/902/teachers", 1),
        ("/staff/902/classes", 1),
        ("/staff/902/assignments", 1),
        ("/staff/902/assignments/classified", 0),
        ("/assignments/date/2026/09/01/certificated", 1),
        ("/assignments/date/2026/07/01/certificated", 0),
        ("/schools/501/students/0", 10),
        ("/schools/", 5),
    ],
)
def test_the_other_lists_are_there(aeries: RunningAeries, path: str, count: int) -> None:  # A22
    query = {"code": "144"} if "?" in path else {}
    assert len(aeries.get(path.partition("?")[0], **query)) == count


def test_single_records_of_the_other_tables_are_there(aeries: RunningAeries) -> None:  # A22
    assert aeries.get("/schools/501/teachers/7")["StaffID1"] == 902
    assert aeries.get("/staff/902/assignments/certificated/1")["StartDate"] == "2026-08-01T00:00:00"
    assert aeries.get("/staff/hrid/e0901")["ID"] == 901


def test_dates_are_naive_and_empty_ones_are_null_or_of_year_one(aeries: RunningAeries) -> None:  # A23, A24
    (row,) = aeries.get("/schools/501/students/1")
    assert (row["Birthdate"], row["SchoolLeaveDate"]) == ("2011-03-04T00:00:00", None)
    aeries.switch(empty_dates="year_0001")
    (row,) = aeries.get("/schools/501/students/1")
    assert (row["Birthdate"], row["SchoolLeaveDate"]) == ("2011-03-04T00:00:00", "0001-01-01T00:00:00")


def test_three_characters_never_come_out_of_text() -> None:  # A25
    seed = small_district()
    seed["years"]["2026"]["students"][0]["FirstName"] = 'A"d<a>'
    with running_aeries(seed) as running:
        assert running.get("/schools/501/students/1")[0]["FirstName"] == "Ada"


def test_blank_codes_are_empty_or_one_blank_and_numbers_in_text_keep_their_zeros(
    aeries: RunningAeries,
) -> None:  # A26
    (row,) = aeries.get("/schools/501/students/1")
    assert (row["InactiveStatusCode"], row["HomeRoomTeacherNumber"]) == ("", "0726")
    assert aeries.get("/schools/501/students/2")[0]["HomeRoomTeacherNumber"] == "0"
    assert aeries.get("/schools/501/sections/43")["Room"] == "012"
    aeries.switch(blank_codes="one_blank")
    assert aeries.get("/schools/501/students/1")[0]["InactiveStatusCode"] == " "
    assert aeries.get("/schools/502/students")[0]["InactiveStatusCode"] == "I"


def with_changes(*changes: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    return small_district() | {"changes": [{"Area": area, "At": at, "Keys": keys} for area, at, keys in changes]}


def test_change_feeds_return_each_key_once_and_nothing_else() -> None:  # A27
    seed = with_changes(
        ("student", "2026-11-20T09:00:00", {"StudentID": 1}),
        ("student", "2026-11-21T09:00:00", {"StudentID": 2}),
        ("student", "2026-11-21T09:30:00", {"StudentID": 2}),
        ("staff", "2026-11-21T10:00:00", {"ID": 901}),
        ("course", "2026-11-21T10:00:00", {"ID": "0726"}),
        ("section", "2026-11-21T10:00:00", {"SchoolCode": 501, "SectionNumber": 43}),
        ("roster", "2026-11-21T10:00:00", {"SchoolCode": 501, "SectionNumber": 43}),
    )
    with running_aeries(seed) as running:
        assert running.get("/StudentDataChanges/student/2026/11/20/9/0") == [{"StudentID": 1}, {"StudentID": 2}]
        assert running.get("/StudentDataChanges/student/2026/11/20/9/1") == [{"StudentID": 2}]
        assert running.get("/StudentDataChanges/contact/2026/1/1/0/0") == []
        assert running.get("/StaffDataChanges/2026/11/21/10/0") == [{"ID": 901}]
        assert running.get("/CourseDataChanges/2026/11/1/0/0") == [{"ID": "0726"}]
        for feed in ("SectionDataChanges", "sectionrosterdatachanges"):
            assert running.get(f"/{feed}/2026/11/1/0/0") == [{"SchoolCode": 501, "SectionNumber": 43}]
        assert running.violations() == []
        assert running.client.get("/StaffDataChanges/2026/11/21/24/0", params=YEAR).status_code == 400
        assert running.client.get("/StaffDataChanges/2026/11/21", params=YEAR).status_code == 404
        assert running.violations() == ["A27", "A27"]


def test_a_write_is_logged_in_local_time_and_a_deletion_not_at_all(aeries: RunningAeries) -> None:  # A27, A28
    aeries.put("/staff/901", Title="Nurse")
    assert aeries.get("/StaffDataChanges/2026/11/22/8/0") == [{"ID": 901}], "16:00 UTC is 08:00 there"
    assert aeries.get("/StaffDataChanges/2026/11/22/8/1") == []
    state = aeries.state()
    state["years"]["2026"]["staff"] = [row for row in state["years"]["2026"]["staff"] if row["ID"] != 903]
    assert aeries.control.put("/state", json=state).status_code == 204
    assert aeries.client.get("/staff/903", params=YEAR).status_code == 404
    assert aeries.get("/StaffDataChanges/2026/11/22/8/0") == [{"ID": 901}]


def test_in_the_repeated_hour_a_later_change_has_an_earlier_time(aeries: RunningAeries) -> None:  # A28
    aeries.clock.now = datetime(2026, 11, 1, 9, 10, tzinfo=UTC)  # 01:10 standard time, after 01:50 daylight time
    aeries.put("/staff/901", Title="Nurse")
    assert aeries.get("/StaffDataChanges/2026/11/1/1/50") == [], "who asks from 01:50 daylight time misses it"
    assert aeries.get("/StaffDataChanges/2026/11/1/0/55") == [{"ID": 901}]


def test_the_address_of_the_user_account_hides_the_address_of_the_record(aeries: RunningAeries) -> None:  # A29
    rows = {row["ID"]: row for row in aeries.get("/staff")}
    assert [rows[each]["EmailAddress"] for each in (901, 902, 903)] == ["s@x.test", "cy@x.test", ""]
    assert [rows[each]["UserName"] for each in (901, 902, 903)] == ["", "cy", "di"]


def test_staff_with_expired_accounts_can_be_left_out(aeries: RunningAeries) -> None:  # A30
    aeries.switch(exclude_expired_accounts=True)
    assert [row["ID"] for row in aeries.get("/staff")] == [901, 902]


@pytest.mark.parametrize(
    "path", ["/schools/777", "/staff/777", "/staff/hrid/none", "/courses/726", "/schools/501/sections/9"]
)
def test_a_single_record_that_is_not_there_is_404_with_a_message(aeries: RunningAeries, path: str) -> None:  # A38
    answer = aeries.client.get(path, params=YEAR)
    assert (answer.status_code, list(answer.json())) == (404, ["Message"])


def test_a_path_part_that_is_no_number_is_400(aeries: RunningAeries) -> None:  # A38
    assert aeries.client.get("/schools/five/students", params=YEAR).status_code == 400


def test_the_paging_faults_strike_pages_and_whole_lists(aeries: RunningAeries) -> None:  # A13
    aeries.control.post("/faults", json=[{"kind": "short_page", "path_pattern": "staff"}])
    assert [row["ID"] for row in aeries.get("/staff")] == [901, 902]
    aeries.control.post("/faults", json=[{"kind": "repeated_page", "path_pattern": "students"}])
    assert ids(aeries.get("/schools/501/students", StartingRecord=1, EndingRecord=3)) == [1, 2, 3]
    assert ids(aeries.get("/schools/501/students", StartingRecord=4, EndingRecord=6)) == [1, 2, 3]


def test_an_insert_between_two_pages_shifts_the_positions(aeries: RunningAeries) -> None:  # A11
    assert ids(aeries.get("/schools/501/students", StartingRecord=1, EndingRecord=5)) == [1, 2, 3, 4, 5]
    assert aeries.post("/schools/501/InsertStudent", LastName="Aaa", FirstName="New").status_code == 200
    assert ids(aeries.get("/schools/501/students", StartingRecord=6, EndingRecord=10)) == [5, 6, 7, 8, 9]


def test_a_throttled_caller_is_told_in_the_vendors_form(aeries: RunningAeries) -> None:  # A40
    aeries.control.post("/faults", json=[{"kind": "too_many_requests"}])
    answer = aeries.client.get("/schools", params=YEAR)
    assert (answer.status_code, list(answer.json())) == (429, ["Message"])


def test_only_the_last_thousand_violations_are_kept() -> None:
    entry = {"rule": "A8", "method": "GET", "path": "/x", "text": "no DatabaseYear"}
    seed = small_district() | {"violations": [entry] * 1_000}
    with running_aeries(seed) as running:
        running.client.get("/schools")
        assert len(running.violations()) == 1_000


def test_students_are_in_the_order_of_their_names() -> None:
    seed = small_district()
    seed["years"]["2026"]["students"] = [student(2, LastName="B"), student(1, LastName="C"), student(3, LastName="A")]
    seed["years"]["2026"]["rosters"] = []
    with running_aeries(seed) as running:
        assert ids(running.get("/schools/501/students")) == [3, 2, 1]
