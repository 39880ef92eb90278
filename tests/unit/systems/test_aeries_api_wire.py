"""How a change of staff looks on Aeries's wire, and what is made of the records it shows."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import StopRun
from shared.http.shape import WrongShape
from shared.ports.wire import ChangeVerb
from systems.aeries_api.entities import ENTITIES, ROSTERS, SCHOOLS, SECTIONS, STAFF, columns_of
from systems.aeries_api.wire import build_wire, filtered_in, named_in, record_of, rows_of, staff_id_in, written_id_in
from systems.aeries_api.year import fault_of, info_of
from tests.support.systems import installed_systems

WIRE = build_wire()
SECTION: dict[str, Any] = {
    "SchoolCode": 1,
    "SectionNumber": 7,
    "CourseID": "0726",
    "Period": "01",
    "Semester": "F",
    "InactiveStatusCode": " ",
    "SectionStaffMembers": [],
}


# --- writes ---------------------------------------------------------------------------------------------------------


def test_a_new_member_of_staff_is_posted_and_never_put_over_somebody() -> None:
    values = {"id": "950", "hr_id": "E1", "hire_date": "2026-08-03", "title": None, "primary_school": 501}
    write = WIRE.write_for("staff", verb="create", target_id=None, values=values)
    assert (write.method, write.path) == ("POST", "/api/v5/staff")
    assert write.body == {
        "ID": 950,
        "HumanResourcesSystemID": "E1",
        "HireDate": "2026-08-03T00:00:00",
        "PrimaryAeriesSchool": 501,
    }


@pytest.mark.parametrize("verb", ["update", "suspend", "reactivate"])
def test_a_change_sends_the_date_of_leaving_and_empties_texts_with_empty_text(verb: ChangeVerb) -> None:
    values = {"leave_date": "2026-06-05", "title": None, "inactive_code": "I"}
    write = WIRE.write_for("staff", verb=verb, target_id="17", values=values)
    assert (write.method, write.path) == ("PUT", "/api/v5/staff/17")
    assert write.body == {"LeaveDate": "2026-06-05T00:00:00", "Title": "", "InactiveStatusCode": "I"}


def test_an_empty_date_of_leaving_is_null() -> None:
    write = WIRE.write_for("staff", verb="update", target_id="17", values={"leave_date": None})
    assert write.body == {"LeaveDate": None}


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values", "text"),
    [
        ("students", "update", "1", {"email": "a@x.test"}, "only staff can"),
        ("staff", "create", "17", {"hr_id": "E1"}, "takes no target id"),
        ("staff", "update", None, {"leave_date": None}, "needs a target id"),
        ("staff", "delete", "17", {}, "deletes no staff"),
        ("staff", "update", "17", {"title": "x"}, "leave_date must go with every change"),
        ("staff", "suspend", "17", {}, "leave_date must go with every change"),
        ("staff", "update", "17", {"leave_date": None, "id": 18}, "id cannot be changed"),
        ("staff", "update", "17", {"leave_date": None, "user_name": "x"}, "user_name cannot be sent"),
        ("staff", "update", "17", {"leave_date": None, "hire_date": None}, "hire_date is date and cannot be emptied"),
        ("staff", "update", "17", {"leave_date": "soon"}, "leave_date is date and cannot be sent as str"),
        ("staff", "update", "17", {"leave_date": None, "primary_school": "north"}, "primary_school is integer"),
        ("staff", "update", "17", {"leave_date": None, "title": True}, "title is text and cannot be sent as bool"),
        ("staff", "update", "../901", {"leave_date": None}, "no number of staff"),
        ("staff", "update", "017", {"leave_date": None}, "no number of staff"),
    ],
)
def test_what_aeries_cannot_do_is_refused_before_the_plan(
    entity: str, verb: ChangeVerb, target_id: str | None, values: dict[str, Any], text: str
) -> None:
    with pytest.raises(StopRun, match=text) as caught:
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)
    assert caught.value.code == "APL_INTERNAL"


@pytest.mark.parametrize(
    ("path", "target_id"),
    [
        ("/api/v5/staff/17", "17"),
        ("/api/v5/staff/17?x=1", None),
        ("/api/v5/staff/17/assignments", None),
        ("/api/v5/staff/../staff/17", None),
        ("/api/v5/staff/", None),
        ("/staff/17", None),
    ],
)
def test_only_paths_of_staff_are_ours(path: str, target_id: str | None) -> None:
    assert staff_id_in(path) == target_id


def test_characters_that_aeries_takes_out_are_found_by_property() -> None:
    assert filtered_in({"Title": 'a "b"', "FirstName": "a'b", "LastName": "<a", "ID": 5, "LeaveDate": None}) == [
        "Title",
        "LastName",
    ]


def test_of_a_message_only_names_of_properties_are_told() -> None:
    message = "FirstName: 'Wilhelmina Title' is longer than 20; EmailAddressed"
    assert named_in(message) == ["FirstName", "Title"]


def test_the_manifest_names_the_date_of_leaving_as_what_every_change_sends_along() -> None:
    registry = installed_systems()
    assert registry.write_companions()["aeries_api", "staff"] == ("leave_date",)
    assert registry.write_companions_of("aeries_api", "students") == ()


# --- records --------------------------------------------------------------------------------------------------------


def test_text_loses_the_blanks_behind_it_and_dates_their_hours() -> None:
    record = {shape.place[0]: None for shape in STAFF.shapes} | {
        "ID": 17,
        "InactiveStatusCode": " ",
        "LastName": " Öz  ",
        "HireDate": "2018-09-05T07:30:00.0000000",
        "LeaveDate": "0001-01-01T00:00:00",
        "PrimaryAeriesSchool": 0,
    }
    shown = record_of(record, STAFF)
    assert (shown["target_id"], shown["id"], shown["primary_school"]) == ("17", 17, 0)
    assert (shown["inactive_code"], shown["last_name"]) == ("", " Öz")
    assert (shown["hire_date"], shown["leave_date"], shown["hr_id"]) == ("2018-09-05", None, None)
    assert list(shown) == [column.name for column in columns_of("staff")]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"LeaveDate": "05.06.2026"}, "/0/LeaveDate: is no date"),
        ({"LeaveDate": "2026-02-30T00:00:00"}, "/0/LeaveDate: is no date"),
        ({"ID": "17"}, "/0/ID: is no integer but a str"),
        ({"ID": None}, "/0/ID: is null"),
    ],
)
def test_what_is_not_of_the_shape_is_told_by_place_and_never_by_value(change: dict[str, Any], text: str) -> None:
    record = {shape.place[0]: None for shape in STAFF.shapes} | {"ID": 17} | change
    with pytest.raises(WrongShape) as caught:
        record_of(record, STAFF)
    assert str(caught.value).startswith(text)
    assert "2026" not in str(caught.value)


@pytest.mark.parametrize("missing", ["LeaveDate", "HumanResourcesSystemID", "InactiveStatusCode"])
def test_a_property_that_is_needed_may_not_be_absent(missing: str) -> None:
    record = {shape.place[0]: None for shape in STAFF.shapes if shape.place[0] != missing} | {"ID": 17}
    record.pop("Title")
    with pytest.raises(WrongShape, match=f"/0/{missing}: is missing"):
        record_of(record, STAFF)


def test_periods_and_rooms_are_text_in_either_form() -> None:
    rows = rows_of([SECTION | {"Room": 12}, SECTION | {"SectionNumber": 8, "Period": 2, "Room": "012"}], SECTIONS)
    assert (rows.columns["period"], rows.columns["room"]) == (["01", "2"], ["12", "012"])
    assert (rows.columns["key"], rows.columns["is_active"]) == (["1/7", "1/8"], [True, True])


def test_the_primary_member_still_there_is_the_teacher() -> None:
    def member(staff: int, ended: str | None, **more: Any) -> dict[str, Any]:
        return {"StaffID": staff, "IsPrimaryTeacher": True, "EndDate": ended, **more}

    def teacher(*members: dict[str, Any]) -> tuple[Any, Any]:
        shown = record_of(SECTION | {"SectionStaffMembers": list(members)}, SECTIONS)
        return shown["teacher_staff_id"], shown["staff_ids"]

    ended = [member(1, "2026-09-01T00:00:00"), member(2, "2026-10-01T00:00:00")]
    assert teacher(*ended) == (2, "1,2")
    assert teacher(*ended, member(4, None), member(3, "0001-01-01T00:00:00")) == (3, "1,2,3,4")
    assert teacher(member(5, None, InactiveStatusCode="I"), member(6, None, IsPrimaryTeacher=False)) == (None, "6")
    assert teacher() == (None, "")


@pytest.mark.parametrize(
    ("ended", "term_ends", "is_current"),
    [
        ("2026-12-18T00:00:00", "2026-12-18", True),
        ("2026-10-01T00:00:00", "2026-12-18", False),
        (None, "2026-12-18", True),
        ("2026-10-01T00:00:00", None, True),
    ],
)
def test_a_seat_is_current_unless_it_ends_before_its_term(ended: str, term_ends: str, is_current: bool) -> None:
    seat = {"SchoolCode": 1, "SectionNumber": 7, "StudentID": 5, "SequenceNumber": 1, "DateEnded": ended}
    assert rows_of([seat], ROSTERS, term_ends=term_ends).columns["is_current"] == [is_current]


@pytest.mark.parametrize("body", [[], [{"ID": 1}, {"ID": 2}], {"ID": "1"}, {"Message": "x"}, None, 5, {"ID": 0}])
def test_a_write_whose_answer_shows_not_one_record_tells_no_id(body: Any) -> None:
    with pytest.raises(WrongShape):
        written_id_in(body)


def test_new_properties_are_counted_and_never_refused() -> None:
    rows = rows_of([{"SchoolCode": 1, "Name": "A", "Motto": "x"}, {"SchoolCode": 2, "Name": None}], SCHOOLS)
    assert rows.columns["code"] == [1, 2]
    assert rows.unknown_fields == {"Motto": 1}


def test_every_entity_tells_its_columns_and_its_key_among_them() -> None:
    for name, entity in ENTITIES.items():
        columns = [column.name for column in columns_of(name)]
        assert len(set(columns)) == len(columns)
        assert set(entity.key) <= set(columns)
    with pytest.raises(StopRun, match="no_such"):
        columns_of("no_such")


# --- the year -------------------------------------------------------------------------------------------------------


def info(year: object = "2026-2027", available: object = ("2026-2027", "2025-2026")) -> dict[str, object]:
    listed = list(available) if isinstance(available, tuple) else available
    return {"AeriesVersion": "9.26.1.1", "DatabaseYear": year, "AvailableDatabaseYears": listed}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (info(), None),
        (info(2026, (2026, 2025)), None),
        (info("2025-2026", ("2025-2026",)), "Aeries has 2025; it would answer for 2025"),
        (info("2025-2026"), "yet it answers for 2025"),
        (info("2026-2027", ("2025-2026",)), "Aeries has 2025"),
    ],
)
def test_another_year_is_a_fault(body: object, text: str | None) -> None:
    fault = fault_of(info_of(body), wanted=2026)
    assert fault is None if text is None else (fault is not None and text in fault)


@pytest.mark.parametrize("body", [None, [], info("26-27"), info(None), info(available=None), info(available=())])
def test_an_answer_without_years_is_no_system_information(body: object) -> None:
    with pytest.raises(WrongShape):
        info_of(body)
