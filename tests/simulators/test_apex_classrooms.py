"""The simulated Apex: classrooms, enrolments, seats, transfers, copies and reports; and the program that runs it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.simulators.running_apex import RunningApex, classroom, running_apex, seed, seeded

S1 = {"ImportUserId": "s1@example.org", "ImportOrgId": "10"}
S2 = {"ImportUserId": "s2@example.org", "ImportOrgId": "10"}


@pytest.fixture(scope="module")
def server() -> Iterator[RunningApex]:
    with running_apex() as running:
        yield running


@pytest.fixture
def apex(server: RunningApex) -> RunningApex:
    server.reset()
    return server


def test_a_date_is_written_in_one_form_and_read_in_another(apex: RunningApex) -> None:
    body = {"classroomEntries": [classroom("R9"), classroom("R8", ClassroomStartDate="2026-08-17")]}
    results = apex.client.post("/classrooms", json=body).json()["classroomEntries"]
    assert [each["Code"] for each in results] == [200, 400]
    assert apex.violations() == ["A22"]
    shown = apex.client.get("/classrooms/R9").json()
    assert shown["ClassroomStartDate"] == "Mon, 17 Aug 2026 00:00:00 GMT"
    assert apex.client.get("/classrooms/R1").json()["ClassroomStartDate"] == "Mon, 17 Aug 2026 08:30:09 GMT"


def test_a_classroom_is_read_with_the_name_of_its_teacher_and_not_the_id(apex: RunningApex) -> None:
    shown = apex.client.get("/classrooms/R1").json()
    assert (shown["PrimaryTeacher"], shown["ClassroomStatus"]) == ("Tess Sample 1", "Active")
    assert "t1@example.org" not in str(shown)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ImportClassroomId": "R1"}, "Classroom already exist"),
        ({"ImportUserId": "nobody"}, "User doesn't exist"),
        ({"ImportOrgId": "99"}, "Organization doesn't exist"),
        ({"ProductCodes": ["NONE"]}, "Product doesn't exist"),
    ],
)
def test_a_classroom_needs_what_it_names(apex: RunningApex, fields: dict[str, object], message: str) -> None:
    body = {"classroomEntries": [classroom("R9") | fields]}
    assert apex.client.post("/classrooms", json=body).json()["classroomEntries"][0]["Message"] == message


def test_a_classroom_is_updated_and_changes_its_primary_teacher(apex: RunningApex) -> None:
    assert apex.client.put("/classrooms/R1", json={"ClassroomName": "New"}).json()["Code"] == 200
    teacher = {"ImportUserId": "t2@example.org", "IsPrimary": "false"}
    apex.client.put("/classrooms/R1", json=teacher)
    assert apex.client.get("/classrooms/R1").json()["PrimaryTeacher"] == "Tess Sample 1"
    apex.client.put("/classrooms/R1", json=teacher | {"IsPrimary": "true"})
    assert apex.client.get("/classrooms/R1").json()["PrimaryTeacher"] == "Tess Sample 2"
    assert apex.effects() == ["updated R1 [ClassroomName]", "updated R1 [Staff]", "updated R1 [ImportUserId]"]
    assert apex.client.put("/classrooms/R1", json={"ImportClassroomId": "R7"}).status_code == 400
    assert apex.violations() == ["A19"]


def test_staff_join_a_classroom_and_may_become_primary(apex: RunningApex) -> None:
    person = {"ImportUserId": "t2@example.org", "ImportOrgId": "10"}
    joined = [apex.client.post("/classrooms/R1/staff", json=[person]).json()["staffUsers"][0] for _ in range(2)]
    assert [each["Message"] for each in joined] == ["Success", "User already exist"]
    apex.client.post("/classrooms/R1/staff", json=[person | {"IsPrimary": True}])
    assert apex.client.get("/classrooms/R1").json()["PrimaryTeacher"] == "Tess Sample 2"


def test_students_are_enrolled_withdrawn_and_enrolled_again(apex: RunningApex) -> None:
    nobody = {"ImportUserId": "nobody", "ImportOrgId": "10"}
    answer = apex.client.post("/classrooms/R1/students", json=[S1, S1, nobody]).json()["studentUsers"]
    assert [each["Message"] for each in answer] == ["Success", "User already exist", "User doesn't exist"]
    path = "/students/s1@example.org/classrooms"
    row = apex.client.get(path).json()[0]
    assert (row["ImportClassroomId"], row["EnrollmentStatus"], row["CompletedDate"]) == ("R1", "Active", None)
    assert row["EnrollmentStartDate"] == "Sun, 22 Nov 2026 08:00:00 GMT"
    assert apex.client.delete("/classrooms/R1/students/s1@example.org").json()["Code"] == 200
    assert apex.client.get(path).json()[0]["EnrollmentStatus"] == "Withdrawn"
    assert apex.client.get(path, params={"isActiveOnly": "true"}).json() == []
    assert apex.client.delete("/classrooms/R1/students/s1@example.org").json()["Code"] == 200
    assert apex.client.delete("/classrooms/R1/students/s2@example.org").status_code == 400
    apex.client.post("/classrooms/R1/students", json=[S1])
    assert apex.effects() == [f"{verb} R1/s1@example.org" for verb in ("created", "deleted", "created")]


@pytest.mark.parametrize("body", [S1, [], [S1] * 51, [S1 | {"Role": "S"}], [{"ImportUserId": "s1@example.org"}]])
def test_an_enrolment_of_another_shape_is_refused_and_recorded(apex: RunningApex, body: object) -> None:
    answer = apex.client.post("/classrooms/R1/students", json=body)
    assert answer.status_code == 400 or answer.json()["studentUsers"][0]["Code"] == 400
    assert apex.violations() == ["A25"]
    assert apex.effects() == []


def test_an_archived_student_is_not_enrolled(apex: RunningApex) -> None:
    headers = {"importUserId": "s1@example.org", "orgId": "10"}
    apex.client.delete("/students/s1@example.org", headers=headers)
    answer = apex.client.post("/classrooms/R1/students", json=[S1]).json()
    assert answer["studentUsers"][0]["Message"] == "User doesn't exist"


def test_seats_run_out_and_come_back_with_a_withdrawal(apex: RunningApex) -> None:
    answer = apex.client.post("/classrooms/R2/students", json=[S1, S2]).json()["studentUsers"]
    assert [each["Message"] for each in answer] == ["Success", "No available Order"]
    apex.client.delete("/classrooms/R2/students/s1@example.org")
    assert apex.client.post("/classrooms/R2/students", json=[S2]).json()["studentUsers"][0]["Code"] == 200


def test_a_restored_state_still_knows_which_seats_are_used(apex: RunningApex) -> None:
    apex.client.post("/classrooms/R2/students", json=[S1])
    apex.control.put("/state", json=apex.state())
    answer = apex.client.post("/classrooms/R2/students", json=[S2]).json()["studentUsers"]
    assert answer[0]["Message"] == "No available Order"


def test_orders_can_be_exhausted_by_switch(apex: RunningApex) -> None:
    apex.switch(orders_exhausted=True)
    answer = apex.client.post("/classrooms/R1/students", json=[S1]).json()["studentUsers"][0]
    assert (answer["Code"], answer["Message"]) == (400, "No available Order")


def test_a_transfer_moves_an_active_enrolment_whole_or_not_at_all(apex: RunningApex) -> None:
    apex.client.post("/classrooms/R1/students", json=[S1, S2])
    query = {"newClassroomID": "R2", "toOrgId": "10"}
    moved = apex.client.put("/students/s1@example.org/classrooms/R1", params=query)
    assert moved.json()["Code"] == 200
    rows = apex.client.get("/students/s1@example.org/classrooms").json()
    assert [(row["ImportClassroomId"], row["EnrollmentStatus"]) for row in rows] == [
        ("R1", "Withdrawn"),
        ("R2", "Active"),
    ]
    full = apex.client.put("/students/s2@example.org/classrooms/R1", params=query)
    assert (full.status_code, full.json()["Message"]) == (400, "No available Order")
    rows = apex.client.get("/students/s2@example.org/classrooms").json()
    assert [(row["ImportClassroomId"], row["EnrollmentStatus"]) for row in rows] == [("R1", "Active")]
    assert apex.effects()[-1] == "updated R1/s1@example.org [ImportClassroomId]"
    assert apex.client.put("/students/s2@example.org/classrooms/R1").status_code == 400
    assert apex.violations() == ["A27"]


def test_a_copy_has_a_new_key_and_no_students(apex: RunningApex) -> None:
    apex.client.post("/classrooms/R1/students", json=[S1])
    done = apex.client.post("/classrooms/R1/copy", json={"ImportClassroomId": "R1B"})
    assert done.json() == {"Code": 200, "Message": "Success", "ImportClassroomId": "R1B"}
    shown = apex.client.get("/classrooms/R1B").json()
    assert (shown["ClassroomName"], shown["ProductCodes"]) == ("Room R1 - copy", ["ALG-A"])
    assert apex.client.post("/classrooms/R1/copy", json={}).status_code == 400
    assert len(apex.client.get("/students/s1@example.org/classrooms").json()) == 1


def test_an_empty_report_is_204() -> None:
    done = {
        "ImportClassroomId": "R1",
        "ImportUserId": "s1@example.org",
        "EnrollmentStatus": "Complete",
        "EnrolledAt": "2026-08-17T08:00:00+00:00",
        "CompletedDate": "2026-11-01T08:00:00+00:00",
        "Report": {"Grade": "92"},
    }
    with running_apex(document=seed() | {"enrollments": [done]}) as apex:
        assert apex.client.get("/classrooms/R1/reports").json()[0]["Grade"] == "92"
        assert len(apex.client.get("/classrooms/R1/students/s1@example.org/reports").json()) == 1
        empty = apex.client.get("/classrooms/R2/reports")
        assert (empty.status_code, empty.content) == (204, b"")
        assert apex.client.get("/classrooms/R1/students/s2@example.org/reports").status_code == 204
        row = apex.client.get("/students/s1@example.org/classrooms").json()[0]
        assert row["CompletedDate"] == "Sun, 01 Nov 2026 08:00:00 GMT"


def test_a_lying_transfer_moves_nobody(apex: RunningApex) -> None:
    apex.client.post("/classrooms/R1/students", json=[S1])
    apex.control.post("/faults", json={"kind": "lying_success"})
    query = {"newClassroomID": "R2", "toOrgId": "10"}
    assert apex.client.put("/students/s1@example.org/classrooms/R1", params=query).status_code == 200
    rows = apex.client.get("/students/s1@example.org/classrooms").json()
    assert [(row["ImportClassroomId"], row["EnrollmentStatus"]) for row in rows] == [("R1", "Active")]


def test_unknown_classrooms_get_results_not_found(apex: RunningApex) -> None:
    answers = [apex.client.get("/classrooms/R9"), apex.client.post("/classrooms/R9/students", json=[S1])]
    assert [(answer.status_code, answer.json()["message"]) for answer in answers] == [(404, "Results not found.")] * 2


def test_the_program_serves_a_made_up_world_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "seed.json").write_text('{"generate": {"people": 50, "seed": 1}}')
    (tmp_path / "id").write_text("apex-client\n")
    (tmp_path / "secret").write_text("apex-secret-of-the-tests\n")
    command = [sys.executable, "-m", "simulators.apex", "--state", str(tmp_path / "seed.json")]
    command += ["--client-id-file", str(tmp_path / "id"), "--client-secret-file", str(tmp_path / "secret")]
    command += ["--ready-file", str(tmp_path / "ready.json"), "--switches", '{"page_size": 10}']
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + 20
            while not (tmp_path / "ready.json").exists():
                assert process.poll() is None and time.monotonic() < deadline, "not ready"
                time.sleep(0.02)
            url = httpx.Response(200, content=(tmp_path / "ready.json").read_bytes()).json()["url"]
            health = httpx.get(f"{url}/_sim/health", trust_env=False).json()
            assert health["simulator"] == "apex"
            assert httpx.get(f"{url}/students", trust_env=False).status_code == 401
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_one_person_may_be_seeded_in_two_organisations() -> None:
    both = seeded(1)["Organizations"] + seeded(1, org="20", status="Archived")["Organizations"]
    with running_apex(document=seed() | {"students": [seeded(1) | {"Organizations": both}]}) as apex:
        assert [row["RoleStatus"] for row in apex.client.get("/students").json()] == ["Active", "Archived"]
