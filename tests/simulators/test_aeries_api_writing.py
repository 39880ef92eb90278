"""What writes to the simulated Aeries do, rule by rule of its README, and what its seed and its state may hold."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import simulators.aeries_api
from simulators.aeries_api.__main__ import main
from simulators.aeries_api.certificates import Certificate, certificates_in
from simulators.aeries_api.district import District
from tests.simulators.running_aeries_api import (
    CERTIFICATE,
    READER,
    REGISTRAR,
    YEAR,
    RunningAeries,
    running_aeries,
    small_district,
    student,
)


@pytest.fixture(scope="module")
def served() -> Iterator[RunningAeries]:
    with running_aeries() as running:
        yield running


@pytest.fixture
def aeries(served: RunningAeries) -> RunningAeries:
    """The small district, untouched."""
    served.start_anew()
    return served


def test_a_put_leaves_what_is_left_out_or_null_and_blanks_what_is_empty(aeries: RunningAeries) -> None:  # A31
    before = aeries.get("/staff/902")
    answer = aeries.put("/staff/902", LASTNAME="New", firstName=None, HumanResourcesSystemID="")
    assert answer.status_code == 200
    assert answer.json() == before | {"LastName": "New", "HumanResourcesSystemID": ""}
    assert aeries.get("/staff/902") == answer.json()
    assert aeries.client.get("/staff/hrid/000902", params=YEAR).status_code == 404
    assert aeries.effects() == {"902": ["updated 902 [LastName, HumanResourcesSystemID]"]}
    assert aeries.violations() == []


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({"Title": "Nurse"}, None),
        ({"LeaveDate": None}, None),
        ({"LeaveDate": ""}, None),
        ({"LeaveDate": "2026-06-30"}, "2026-06-30T00:00:00"),
    ],
)
def test_a_put_without_a_date_of_leaving_brings_a_leaver_back(
    aeries: RunningAeries, body: dict[str, Any], after: str | None
) -> None:  # A32
    assert aeries.put("/staff/901", **body).json()["LeaveDate"] == after
    assert aeries.get("/staff/901")["LeaveDate"] == after


def test_a_put_of_an_unknown_id_creates_unless_the_district_numbers_its_staff(aeries: RunningAeries) -> None:  # A33
    answer = aeries.put("/staff/950", LastName="New", HumanResourcesSystemID="E0950")
    assert (answer.status_code, answer.json()["ID"]) == (201, 950)
    aeries.switch(auto_number_staff=True)
    assert aeries.put("/staff/951", LastName="New").status_code == 400
    assert aeries.post("/staff", ID=951, LastName="New").status_code == 400
    made = aeries.post("/staff", LastName="New")
    assert (made.status_code, made.json()["ID"]) == (201, 951)
    assert aeries.effects() == {"E0950": ["created 950"], "951": ["created 951"]}


def test_a_post_without_numbering_needs_an_id_that_is_free(aeries: RunningAeries) -> None:  # A33
    assert aeries.post("/staff", LastName="New").status_code == 400
    assert aeries.post("/staff", ID=901).status_code == 400
    assert aeries.post("/staff", ID=960).status_code == 201
    assert aeries.effects() == {"960": ["created 960"]}


def test_writing_the_address_may_not_change_what_is_read(aeries: RunningAeries) -> None:  # A29
    assert aeries.put("/staff/902", EmailAddress="new@x.test").json()["EmailAddress"] == "cy@x.test"
    assert aeries.effects() == {"000902": ["updated 902 [EmailAddress]"]}


def test_what_staff_has_not_and_what_comes_from_elsewhere_is_ignored(aeries: RunningAeries) -> None:  # A34
    answer = aeries.put("/staff/902", Shoe=44, UserName="other", ID=3, SchoolAccessPermissions=[])
    assert (answer.json()["ID"], answer.json()["UserName"]) == (902, "cy")
    assert aeries.violations() == ["A34"]
    assert aeries.effects() == {}


@pytest.mark.parametrize(
    "body",
    [
        {"FirstName": "x" * 21},
        {"LastName": "x" * 51},
        {"AddressState": "CAL"},
        {"HireDate": "yesterday"},
        {"HireDate": "2026-02-30"},
        {"FullTimePercentage": "all"},
        {"LastName": 7},
    ],
)
def test_a_value_that_does_not_fit_is_400_with_a_message(aeries: RunningAeries, body: dict[str, Any]) -> None:  # A38
    answer = aeries.put("/staff/902", **body)
    assert (answer.status_code, list(answer.json())) == (400, ["Message"])
    assert next(iter(body)) in answer.json()["Message"]
    assert aeries.effects() == {}


def test_a_body_that_is_no_json_object_is_refused(aeries: RunningAeries) -> None:  # A31
    json_type = {"Content-Type": "application/json"}
    assert aeries.client.put("/staff/902", content=b"{", headers=json_type).status_code == 400
    assert aeries.client.put("/staff/902", content=b"[]", headers=json_type).status_code == 400
    assert aeries.client.put("/staff/902", data={"LastName": "New"}).status_code == 415
    assert aeries.client.put("/staff/902", content=b" " * 300_000, headers=json_type).status_code == 413
    assert aeries.client.delete("/staff/902").status_code == 405
    assert aeries.effects() == {}


def test_a_lying_success_looks_honest_and_does_nothing(aeries: RunningAeries) -> None:
    aeries.control.post("/faults", json=[{"kind": "lying_success"}])
    assert aeries.put("/staff/902", LastName="New").json()["LastName"] == "New"
    assert aeries.get("/staff/902")["LastName"] == "Two"
    assert aeries.get("/StaffDataChanges/2026/1/1/0/0") == []


def test_writes_need_a_right_of_their_own(aeries: RunningAeries) -> None:  # A5
    headers = {"AERIES-CERT": READER}
    for path in ("/staff/902", "/staff/999"):
        assert aeries.client.put(path, json={}, headers=headers).status_code == 403
    for path in ("/staff", "/schools/501/InsertStudent", "/schools/501/UpdateStudent/1"):
        assert aeries.client.post(path, json={}, headers=headers).status_code == 403
    assert aeries.effects() == {}


def test_an_assignment_is_numbered_per_person_and_type(aeries: RunningAeries) -> None:  # A39
    body = {"AssignmentType": "certificated", "JobClassificationCode": "12", "SchoolCode": 501}
    answer = aeries.post("/staff/902/assignments", **body)
    assert (answer.status_code, answer.json()["SequenceNumber"]) == (201, 2)
    assert aeries.post("/staff/777/assignments", **body).json() == {"Message": "Invalid Staff ID"}
    assert aeries.post("/staff/902/assignments", **body | {"JobClassificationCode": "123"}).status_code == 400
    assert aeries.post("/staff/902/assignments", AssignmentType="other").status_code == 400
    assert aeries.effects() == {"000902": ["created 902/certificated/2"]}


def test_a_student_is_inserted_once_and_only_where_there_is_a_school(aeries: RunningAeries) -> None:  # A35
    answer = aeries.post("/schools/502/InsertStudent", LastName="New", FirstName="Kit", Grade=10)
    assert (answer.status_code, answer.json()["StudentID"], answer.json()["StudentNumber"]) == (200, 31, 78)
    assert aeries.get("/schools/502/students/sn/78")[0]["FirstName"] == "Kit"
    assert aeries.post("/schools/502/InsertStudent", LastName="New").status_code == 400
    assert aeries.post("/schools/777/InsertStudent", LastName="New", FirstName="Kit").status_code == 400
    assert aeries.post("/schools/502/InsertStudent", StudentID=1, LastName="N", FirstName="K").status_code == 400
    assert aeries.effects() == {"31": ["created 31"]}
    assert aeries.get("/StudentDataChanges/student/2026/11/22/0/0") == [{"StudentID": 31}]


def test_a_field_that_a_certificate_may_not_write_is_ignored(aeries: RunningAeries) -> None:  # A6, A35
    body = {"Birthdate": "2012-01-01", "Grade": 10}
    headers = {"AERIES-CERT": REGISTRAR}
    answer = aeries.client.post("/schools/501/UpdateStudent/1", params=YEAR, json=body, headers=headers)
    assert answer.status_code == 200
    (row,) = aeries.get("/schools/501/students/1")
    assert (row["Birthdate"], row["Grade"]) == ("2011-03-04T00:00:00", 10)


def test_an_update_moves_a_student_to_the_place_of_the_new_name(aeries: RunningAeries) -> None:  # A36
    assert aeries.post("/schools/501/UpdateStudent/1", LastName="Zzz", StudentNumber=9).json()["StudentNumber"] == 1
    assert aeries.get("/schools/501/students")[-1]["StudentID"] == 1
    assert aeries.get("/schools/501/students/sn/1")[0]["LastName"] == "Zzz"
    assert [row["LastName"] for row in aeries.get("/schools/501/students/1")] == ["Zzz"]
    assert (
        aeries.post("/schools/501/UpdateStudentAddress/1", LastName="No", MailingAddressCity="Rio").status_code == 200
    )
    assert aeries.post("/schools/503/UpdateStudent/1", LastName="No").status_code == 404
    assert aeries.effects() == {"1": ["updated 1 [LastName]", "updated 1 [MailingAddressCity]"]}


def test_login_fields_can_be_accepted_without_effect(aeries: RunningAeries) -> None:  # A36
    body = {"StudentEmailAddress": "ada@x.test", "NetworkLoginID": "ada"}
    aeries.switch(login_fields_read_only=True)
    assert aeries.post("/schools/501/UpdateStudent/1", **body).status_code == 200
    assert aeries.get("/schools/501/students/1")[0]["NetworkLoginID"] == ""
    assert aeries.effects() == {}
    aeries.switch(login_fields_read_only=False)
    aeries.post("/schools/501/UpdateStudent/1", **body)
    assert aeries.get("/schools/501/students/1")[0]["StudentEmailAddress"] == "ada@x.test"


def test_pre_enrolling_answers_a_broken_rule_with_500(aeries: RunningAeries) -> None:  # A37
    made = aeries.client.get("/commands/preenrollstudent/20", params=YEAR)
    assert made.status_code == 200
    assert [(each["NextSchool"], each["Copied"]) for each in made.json()["LogDetails"]] == [(502, "Yes")]
    assert [(each["SchoolCode"], each["Grade"]) for each in made.json()["Students"]] == [(502, 10)]
    for student_id in (20, 1, 777):
        refused = aeries.client.get(f"/commands/preenrollstudent/{student_id}", params=YEAR)
        assert (refused.status_code, list(refused.json())) == (500, ["Message"])
    assert aeries.effects() == {"20": ["created 20@502"]}


def test_what_was_written_comes_back_as_an_object_whatever_reads_look_like(aeries: RunningAeries) -> None:  # A15
    aeries.switch(single_record="array", one_element_list="object")
    assert aeries.put("/staff/902", Title="Nurse").json()["Title"] == "Nurse"


def test_a_contact_is_added_to_a_student(aeries: RunningAeries) -> None:  # A22
    assert aeries.post("/schools/501/InsertContact/1", LastName="Sample").json()["SequenceNumber"] == 2
    assert aeries.post("/schools/501/InsertContact/777", LastName="Sample").status_code == 400
    assert aeries.get("/StudentDataChanges/contact/2026/1/1/0/0") == [{"StudentID": 1}]


def test_writes_go_to_the_year_that_answers(aeries: RunningAeries) -> None:  # A8
    aeries.client.put("/staff/901", params={"DatabaseYear": "2025"}, json={"LastName": "Old"})
    assert aeries.get("/staff/901")["LastName"] == "One"
    assert aeries.client.get("/staff/901", params={"DatabaseYear": "2025"}).json()["LastName"] == "Old"


def test_the_state_comes_back_as_it_was(aeries: RunningAeries) -> None:
    aeries.put("/staff/901", Title="Nurse")
    aeries.client.get("/schools")
    state = aeries.state()
    assert aeries.control.put("/state", json=state).status_code == 204
    assert aeries.state() == state
    assert aeries.control.put("/state", json={"years": {}}).status_code == 422
    assert aeries.state() == state


def _broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    seed = small_district()
    change(seed["years"]["2026"])
    return seed


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda year: year.update(cats=[]), "years.2026: an object with"),
        (lambda year: year["schools"].append({"SchoolCode": 501}), "SchoolCode: 501 is another school's"),
        (lambda year: year["students"].append(student(1)), "school 501 has a student with number 1"),
        (lambda year: year["students"].append(student(1, school=77)), r"students\[13\].SchoolCode: 77 is not seeded"),
        (lambda year: year["students"].append(student(0, number=50)), "StudentID: 0 is not a whole number from 1"),
        (lambda year: year["students"].append(student(50, Grade="9")), "Grade: '9' is not of kind int"),
        (lambda year: year["students"].append(student(50, Birthdate="1/2/2010")), "Birthdate: '1/2/2010'"),
        (lambda year: year["students"].append(student(50, Shoe=1)), "Shoe: is no property of Student"),
        (lambda year: year["students"].append(7), "'7' is no object"),
        (lambda year: year["staff"].append({"ID": 901}), "ID: 901 is another staff member's"),
        (lambda year: year["staff"].append({"ID": 5, "Account": {"X": 1}}), "Account.X: is no property"),
        (lambda year: year["courses"].append({"Title": "x"}), "ID: None is empty or another course's"),
        (lambda year: year["courses"].append({"ID": "1234567"}), "has 7 characters, at most 6"),
        (lambda year: year["rosters"].append({"StudentID": 1, "SchoolCode": 501, "SectionNumber": 9}), "no section 9"),
        (lambda year: year["schools"][0].update(Terms=[{"X": 1}]), r"Terms\[0\].X: is no property of Term"),
    ],
)
def test_a_seed_that_cannot_be_is_refused_by_place_value_and_rule(
    change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        District.from_document(_broken(change))


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([], "state: an object"),
        ({"years": {"26": {}}}, "'26' is not a start year"),
        ({"years": {"2026": {}}, "defaultYear": 2025}, "defaultYear: 2025"),
        ({"years": {"2026": {}}, "system": {"TimeZone": "Mars/Base"}}, "no zone"),
        ({"years": {"2026": {}}, "changes": [{"Area": "cats"}]}, r"changes\[0\]"),
        ({"years": {"2026": {}}, "violations": [{}]}, r"violations\[0\]"),
    ],
)
def test_a_state_that_cannot_be_is_refused(document: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        District.from_document(document)


def test_certificates_are_read_from_a_file_with_their_permissions() -> None:  # A4, A5, A6
    (plain,) = certificates_in(f"{CERTIFICATE}\n")
    assert plain.allows("Staff Data", "delete")
    (limited,) = certificates_in(
        json.dumps(
            [{"certificate": READER, "permissions": {"Staff Data": ["read"]}, "deniedFields": ["Contact.HomePhone"]}]
        )
    )
    assert [limited.allows("Staff Data", "read"), limited.allows("Staff Data", "update")] == [True, False]
    assert not limited.allows("Student Data", "read")
    for wrong in ("short", '[{"certificate": "short"}]', "[]", f'[{{"certificate": "{READER}", "x": 1}}]'):
        with pytest.raises(ValueError, match="certificate"):
            certificates_in(wrong)
    with pytest.raises(ValueError, match="Cats"):
        Certificate(value=CERTIFICATE, permissions={"Cats": frozenset({"read"})})
    with pytest.raises(ValueError, match=r"Staff\.Title"):
        Certificate(value=CERTIFICATE, denied_fields=frozenset({"Staff.Title"}))


def test_the_program_refuses_to_start_from_a_seed_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "seed.json").write_text('{"years": {}}')
    (tmp_path / "certificate").write_text(CERTIFICATE)
    files = ["--state", str(tmp_path / "seed.json"), "--certificates-file", str(tmp_path / "certificate")]
    assert main(files) == 1
    assert "years: an object of 1 to 20 years" in capsys.readouterr().err


def test_the_program_serves_its_seed_below_its_directory(tmp_path: Path) -> None:  # A1
    (tmp_path / "seed.json").write_text(json.dumps(small_district()))
    (tmp_path / "certificate").write_text(CERTIFICATE)
    ready_file = tmp_path / "ready.json"
    command = [sys.executable, "-m", "simulators.aeries_api", "--state", str(tmp_path / "seed.json")]
    command += ["--certificates-file", str(tmp_path / "certificate"), "--ready-file", str(ready_file)]
    command += ["--virtual-directory", "admin", "--switches", '{"single_school": "object"}']
    root = Path(simulators.aeries_api.__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 20.0
            while not ready_file.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline, "the program was not ready in time"
                time.sleep(0.01)
            url = json.loads(ready_file.read_text())["url"]
            headers = {"AERIES-CERT": CERTIFICATE, "Accept": "application/json"}
            answer = httpx.get(f"{url}/admin/api/v5/schools/501", params=YEAR, headers=headers, trust_env=False)
            assert answer.json()["Name"] == "North High"
            process.terminate()
            assert process.wait(10) == 0
        finally:
            process.kill()
