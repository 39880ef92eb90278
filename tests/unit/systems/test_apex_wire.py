"""How changes look to Apex, and what its answers mean: nothing is sent here."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StopRun
from shared.http.shape import WrongShape
from shared.ports.wire import WireWrite
from systems.apex.answers import (
    classroom_of,
    enrollment_in,
    items_in,
    meaning_of,
    membership_of_row,
    memberships_of_detail,
)
from systems.apex.fields import columns_of, enrollment_key, enrollment_of, membership_key, membership_of
from systems.apex.wire import build_wire, write_at

WIRE = build_wire()
ADA = "10/ada@example.org"
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda text: "%2F" not in text)


def new_student(**changes: Any) -> dict[str, Any]:
    return {
        "membership_key": ADA,
        "import_user_id": "ada@example.org",
        "import_org_id": "10",
        "first_name": "Ada",
        "middle_name": None,
        "last_name": "Sample",
        "grade_level": "9",
        "active": True,
    } | changes


def test_a_create_leaves_out_what_is_not_known_and_never_sends_the_word_null() -> None:
    write = WIRE.write_for("students", verb="create", target_id=None, values=new_student())
    assert write == WireWrite(
        "POST",
        "/students",
        {
            "ImportUserId": "ada@example.org",
            "ImportOrgId": "10",
            "FirstName": "Ada",
            "LastName": "Sample",
            "GradeLevel": "9",
        },
    )


def test_an_update_has_neither_id_nor_organisation_in_it() -> None:
    write = WIRE.write_for("students", verb="update", target_id=ADA, values={"first_name": "Eve", "middle_name": None})
    assert write == WireWrite("PUT", "/students/ada%40example.org", {"FirstName": "Eve", "MiddleName": ""})


def test_suspending_archives_in_the_one_organisation() -> None:
    sent_along = {"first_name": "Ada", "middle_name": None, "active": False}
    for verb, values in (("suspend", {}), ("suspend", sent_along), ("update", {"active": False})):
        write = WIRE.write_for("staff", verb=verb, target_id=ADA, values=values)  # type: ignore[arg-type] # of the pairs
        assert write == WireWrite(
            "DELETE", "/staff/ada%40example.org", {"importUserId": "ada@example.org", "orgId": "10"}
        )


def test_bringing_back_names_the_organisation() -> None:
    write = WIRE.write_for("students", verb="reactivate", target_id=ADA, values={})
    assert write.body == {"ImportOrgId": "10"}
    write = WIRE.write_for("students", verb="update", target_id=ADA, values={"active": True, "grade_level": "10"})
    assert write.body == {"ImportOrgId": "10", "GradeLevel": "10"}


@pytest.mark.parametrize(
    ("entity", "verb", "target_id", "values", "text"),
    [
        ("students", "update", ADA, {"coach_emails": None}, "cannot be emptied"),
        ("students", "update", ADA, {"login_pw": "x"}, "cannot be sent"),
        ("students", "update", ADA, {"import_org_id": "20"}, "cannot be changed"),
        ("students", "update", ADA, {}, "nothing to set"),
        ("students", "update", "no-slash", {"first_name": "x"}, "not made of two ids"),
        ("students", "update", "10/..", {"first_name": "x"}, "a dot"),
        ("students", "delete", ADA, {}, "never deleted"),
        ("students", "create", None, new_student(active=False), "cannot be archived"),
        ("students", "create", None, new_student(membership_key="20/ada@example.org"), "joined by a slash"),
        ("classrooms", "delete", "R1", {}, "no request to delete"),
        ("classrooms", "update", "R1", {"status": "x"}, "cannot be sent"),
        ("enrollments", "update", "R1/ada", {"status": "x"}, "nothing of it can be changed"),
        ("enrollments", "create", None, {"import_classroom_id": "R1", "import_user_id": "a"}, "import_org_id"),
        ("reports", "create", None, {}, "no entity"),
    ],
)
def test_what_apex_has_no_request_for_is_refused_when_it_is_planned(
    entity: str, verb: Any, target_id: str | None, values: dict[str, Any], text: str
) -> None:
    with pytest.raises(StopRun, match=text):
        WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)


def test_a_classroom_is_written_with_slashes_in_its_date_and_a_list_of_products() -> None:
    values = {
        "import_classroom_id": "10/7",
        "classroom_name": "Algebra",
        "product_codes": "ALG-A, ALG-B",
        "import_org_id": "10",
        "program_code": "ALG",
        "start_date": "2026-08-17",
        "teacher_id": "t1@example.org",
    }
    write = WIRE.write_for("classrooms", verb="create", target_id=None, values=values)
    assert write.body == {
        "ImportClassroomId": "10/7",
        "ClassroomName": "Algebra",
        "ProductCodes": ["ALG-A", "ALG-B"],
        "ImportOrgId": "10",
        "ProgramCode": "ALG",
        "ClassroomStartDate": "2026/08/17",
        "ImportUserId": "t1@example.org",
    }
    write = WIRE.write_for("classrooms", verb="update", target_id="10/7", values={"teacher_id": "t2@example.org"})
    assert write == WireWrite("PUT", "/classrooms/10%2F7", {"ImportUserId": "t2@example.org", "IsPrimary": "true"})


def test_an_enrolment_begins_and_ends() -> None:
    values = {"enrollment_key": "10/7/a", "import_classroom_id": "10/7", "import_user_id": "a", "import_org_id": "10"}
    write = WIRE.write_for("enrollments", verb="create", target_id=None, values=values)
    assert write == WireWrite("POST", "/classrooms/10%2F7/students", {"ImportUserId": "a", "ImportOrgId": "10"})
    write = WIRE.write_for("enrollments", verb="delete", target_id="10/7/a", values={})
    assert write == WireWrite("DELETE", "/classrooms/10%2F7/students/a", None)


@given(first=IDS, second=IDS)
def test_a_key_made_of_two_ids_leads_back_to_them(first: str, second: str) -> None:
    assert membership_of(membership_key(first, second)) == (first, second)
    assert enrollment_of(enrollment_key(first, second)) == (first, second)


@given(org=IDS, user=IDS.filter(lambda text: text not in (".", "..")))
def test_every_write_of_ours_is_known_again_with_its_ids(org: str, user: str) -> None:
    matched = write_at(WIRE.write_for("students", verb="suspend", target_id=membership_key(org, user), values={}))
    assert matched is not None
    assert (matched.kind, matched.place, matched.ids) == ("archive", "students", (user,))
    assert write_at(WIRE.write_for("students", verb="create", target_id=None, values=new_student())) is not None


@pytest.mark.parametrize(
    "write",
    [
        WireWrite("POST", "/../students", {}),
        WireWrite("POST", "students", {}),
        WireWrite("POST", "/students?x=1", {}),
        WireWrite("POST", "/students", None),
        WireWrite("DELETE", "/classrooms/R1", {}),
        WireWrite("DELETE", "/students/a", None),
        WireWrite("PUT", "/students/a/b", {}),
        WireWrite("PUT", "/students/..", {}),
        WireWrite("POST", "/token", {}),
        WireWrite("POST", "https://elsewhere.example/students", {}),
    ],
)
def test_what_no_plan_of_ours_holds_is_not_known(write: WireWrite) -> None:
    assert write_at(write) is None


@pytest.mark.parametrize(
    ("item", "meaning"),
    [
        ({"Code": 200, "Message": "Success"}, "done"),
        ({"Code": "201"}, "done"),
        ({"Code": 200, "Message": "User already exist"}, "moved"),
        ({"Code": 400, "Message": "Duplicate user."}, "moved"),
        ({"Code": 400, "Message": "User doesn\u2019t exist"}, "moved"),
        ({"Code": 400, "Message": "No available Order"}, "capacity"),
        ({"Code": 400, "Message": "Ada Sample is not allowed"}, "refused"),
        ({"Code": 500, "Message": "Success"}, "doubtful"),
        ({"Code": None}, "doubtful"),
        ({"Code": True}, "doubtful"),
    ],
)
def test_an_item_means_what_its_message_and_code_say(item: dict[str, Any], meaning: str) -> None:
    assert meaning_of(item) == meaning


def test_results_stand_under_the_heading_that_was_posted_or_under_users() -> None:
    one = {"Code": 200, "ImportUserId": "a"}
    for body in ({"studentUsers": [one]}, {"Users": [one]}, [one], one):
        assert items_in(body, heading="studentUsers") == [one]
    for nothing in (None, {}, {"message": "x"}, {"studentUsers": "x"}, {"studentUsers": [{"x": 1}]}, "text"):
        assert items_in(nothing, heading="studentUsers") is None


def test_a_person_is_one_record_for_each_organisation_and_the_same_in_lists_and_alone() -> None:
    person = {"ImportUserId": "ada@example.org", "FirstName": "Ada", "LastName": "Sample", "GradeLevel": 9}
    row = person | {"ImportOrgId": "10", "Role": "S", "RoleStatus": "Archived"}
    detail = person | {
        "Organizations": [
            {"ImportOrgId": "10", "Role": {"Code": "S", "Status": "Archived"}},
            {"ImportOrgId": "20", "Role": {"Code": "S", "Status": "Active"}},
        ]
    }
    listed = membership_of_row(row, "students", pointer="/0")
    archived, active = memberships_of_detail(detail, "students")
    assert listed == archived
    assert (archived["active"], active["active"], active["membership_key"]) == (False, True, "20/ada@example.org")
    assert set(listed) == {column.name for column in columns_of("students")}


def test_dates_are_read_as_days_from_rfc_1123() -> None:
    read = classroom_of({"ImportClassroomId": "R1", "ClassroomStartDate": "Wed, 17 Aug 2022 08:30:09 GMT"})
    assert read["start_date"] == "2022-08-17"
    assert set(read) == {column.name for column in columns_of("classrooms")}
    row = {"ImportClassroomId": "R1", "EnrollmentStatus": "Complete", "CompletedDate": "Thu, 18 Aug 2022 00:00:00 GMT"}
    assert enrollment_in(row, "a", pointer="")["completed_date"] == "2022-08-18"
    with pytest.raises(WrongShape, match="RFC 1123") as caught:
        classroom_of({"ImportClassroomId": "R1", "ClassroomStartDate": "Ada Sample"})
    assert "Ada" not in str(caught.value)


@pytest.mark.parametrize(
    "row",
    [
        {"FirstName": "Ada", "ImportOrgId": "10"},
        {"ImportUserId": "", "ImportOrgId": "10"},
        {"ImportUserId": "ada@example.org"},
        {"ImportUserId": "ada@example.org", "ImportOrgId": "10", "Email": ["ada@example.org"]},
        "ada@example.org",
    ],
)
def test_a_row_of_another_shape_is_refused_without_its_values(row: Any) -> None:
    with pytest.raises(WrongShape) as caught:
        membership_of_row(row, "students", pointer="/3")
    assert "ada" not in str(caught.value).lower()
    assert "/3" in str(caught.value)
