"""The simulated Apex: tokens, lists, students and staff, batches, and what it says of a client that breaks a rule.

No third-party client of Apex exists, so nobody but these tests judges this simulator.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from simulators.apex.store import ApexStore
from tests.simulators.running_apex import (
    BASIC,
    CLIENT_SECRET,
    TOKEN_BODY,
    RunningApex,
    classroom,
    member_of_staff,
    running_apex,
    seed,
    seeded,
    student,
)

NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningApex]:
    with running_apex() as running:
        yield running


@pytest.fixture
def apex(server: RunningApex) -> RunningApex:
    server.reset()
    return server


def test_a_token_needs_basic_and_body_both_and_the_breach_is_recorded(apex: RunningApex) -> None:
    answers = [
        apex.anyone.post("/token", json=TOKEN_BODY),
        apex.anyone.post("/token", json={"grant_type": "client_credentials"}, auth=BASIC),
        apex.anyone.post("/token", data=TOKEN_BODY, auth=BASIC),
    ]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert all(answer.json().keys() == {"statusCode", "message"} for answer in answers)
    assert apex.violations() == ["A2"] * 3


def test_a_wrong_secret_gets_401_and_is_no_breach(apex: RunningApex) -> None:
    wrong = TOKEN_BODY | {"client_secret": "other"}
    assert apex.anyone.post("/token", json=wrong, auth=BASIC).status_code == 401
    assert apex.anyone.post("/token", json=TOKEN_BODY, auth=("apex-client", "other")).status_code == 401
    assert apex.violations() == []


@pytest.mark.parametrize("key", ["expire_in", "expires_in"])
def test_the_token_tells_its_lifetime_under_either_name_and_ends_with_it(key: str) -> None:
    with running_apex(token_expiry_key=key, token_seconds=60) as apex:
        document = apex.anyone.post("/token", json=TOKEN_BODY, auth=BASIC).json()
        assert document[key] == 60
        assert {"expire_in", "expires_in"} & document.keys() == {key}
        assert CLIENT_SECRET not in document["access_token"]
        apex.clock.now += timedelta(seconds=59)
        assert apex.client.get("/students").status_code == 200
        apex.clock.now += timedelta(seconds=1)
        refused = apex.client.get("/students")
        assert (refused.status_code, refused.json()["statusCode"]) == (401, 401)


def test_resources_stand_under_the_prefix_and_the_token_does_not() -> None:
    with running_apex(path_prefix="objects") as apex:
        assert apex.client.get("/students").status_code == 200
        headers = dict(apex.client.headers)
        assert apex.anyone.get("/students", headers=headers).status_code == 404


def test_pages_are_asked_for_and_counted_in_headers() -> None:
    with running_apex(document=seed(students=25), page_size=10) as apex:
        pages = [apex.client.get("/students", headers={"page": str(number)}) for number in (1, 2, 3, 4)]
        assert [len(page.json()) for page in pages] == [10, 10, 5, 0]
        assert {page.headers["total-pages"] for page in pages} == {"3"}
        ids = [row["ImportUserId"] for page in pages for row in page.json()]
        assert ids == [f"s{number}@example.org" for number in range(1, 26)]
        assert apex.client.get("/students").json() == pages[0].json()
        assert [apex.client.get("/students", headers={"page": bad}).status_code for bad in ("0", "x", "-1")] == [
            400
        ] * 3
        assert apex.violations() == ["A6"] * 3


def test_page_faults_strike_header_pages() -> None:
    with running_apex(document=seed(students=25), page_size=10) as apex:
        apex.control.post("/faults", json={"kind": "repeated_page"})
        first = apex.client.get("/students", headers={"page": "1"}).json()
        assert apex.client.get("/students", headers={"page": "2"}).json() == first
        apex.control.post("/faults", json={"kind": "short_page", "items_missing": 3})
        short = apex.client.get("/students", headers={"page": "1"})
        assert (len(short.json()), short.headers["total-pages"]) == (7, "3")


def test_a_list_row_has_a_role_status_and_the_detail_has_organizations() -> None:
    document = seed() | {"students": [seeded(1), seeded(2, status="Archived")]}
    with running_apex(document=document) as apex:
        rows = apex.client.get("/students").json()
        assert [(row["ImportOrgId"], row["RoleStatus"]) for row in rows] == [("10", "Active"), ("10", "Archived")]
        assert "Organizations" not in rows[0]
        detail = apex.client.get("/students/s2%40example.org", headers={"importUserId": "s2@example.org"}).json()
        assert detail["Organizations"] == [{"ImportOrgId": "10", "Role": {"Code": "S", "Status": "Archived"}}]
        assert "RoleStatus" not in detail
        missing = apex.client.get("/students/nobody")
        assert (missing.status_code, missing.json()["message"]) == (404, "Results not found.")


def test_a_person_of_two_organisations_has_two_rows_or_one_by_switch(apex: RunningApex) -> None:
    assert apex.create(student(1, ImportOrgId="20"))[0]["Code"] == 200
    mine = [row for row in apex.client.get("/students").json() if row["ImportUserId"] == "s1@example.org"]
    assert [row["ImportOrgId"] for row in mine] == ["10", "20"]
    apex.switch(list_rows="person")
    assert len(apex.client.get("/students").json()) == 3


def test_a_list_of_classrooms_is_not_offered_unless_switched_on(apex: RunningApex) -> None:
    assert apex.client.get("/classrooms").status_code == 405
    assert apex.violations() == ["A8"]
    apex.switch(lists_classrooms=True)
    assert [row["ImportClassroomId"] for row in apex.client.get("/classrooms").json()] == ["R1", "R2"]


def test_a_create_answers_item_by_item_and_never_shows_a_password(apex: RunningApex) -> None:
    before = apex.control.get("/health").json()["last_seq"]
    results = apex.create(student(9), student(1), student(8, ImportOrgId="99"), student(7, LoginId="s1"))
    assert [(each["Code"], each["Message"]) for each in results] == [
        (200, "Success"),
        (400, "User already exist"),
        (400, "Organization doesn't exist"),
        (400, "Duplicate user"),
    ]
    assert results[0]["ImportUserId"] == "s9@example.org"
    shown = apex.client.get("/students/s9@example.org")
    assert shown.json()["LoginId"] == "s9"
    assert "not-a-secret" not in shown.text + apex.client.get("/students").text + str(apex.state())
    assert apex.effects() == ["created s9@example.org"]
    effects = apex.control.get("/effects", params={"after_seq": before}).json()["effects"]
    assert effects == {"s9@example.org": ["created s9@example.org"]}


@pytest.mark.parametrize(("switch", "status"), [("200", 200), ("207", 207), ("400", 400)])
def test_a_partly_refused_create_has_the_status_of_the_switch(apex: RunningApex, switch: str, status: int) -> None:
    apex.switch(multi_status=switch)
    mixed = apex.client.post("/students", json={"studentUsers": [student(9), student(1)]})
    assert (mixed.status_code, len(mixed.json()["studentUsers"])) == (status, 2)
    assert apex.client.post("/students", json={"studentUsers": [student(10)]}).status_code == 200


def test_results_may_stand_under_users(apex: RunningApex) -> None:
    apex.switch(result_heading="Users")
    assert apex.client.post("/staff", json={"staffUsers": [member_of_staff(3)]}).json() == {
        "Users": [{"Code": 200, "Message": "Success", "ImportUserId": "s3@example.org"}]
    }


def test_up_to_fifty_items_are_taken_at_once_and_more_are_refused(apex: RunningApex) -> None:
    people = [student(number) for number in range(100, 151)]
    assert {each["Code"] for each in apex.create(*people[:50])} == {200}
    assert apex.last_effect().startswith("created s100@example.org, s101@example.org, ")
    refused = apex.client.post("/students", json={"studentUsers": people})
    assert refused.status_code == 400
    assert apex.violations() == ["A16"]
    assert len(apex.effects()) == 50


def test_a_batch_is_seen_only_after_its_polls_and_delay(apex: RunningApex) -> None:
    apex.switch(batch_polls=2, batch_delay_seconds=30)
    people = [student(number) for number in range(100, 160)] + [student(1)]
    token = apex.client.post("/students/batch", json={"studentUsers": people}).json()["BatchStatusToken"]
    poll = f"/students/batch/{token}"
    assert "processing" in apex.client.get(poll).json()["message"]
    assert "processing" in apex.client.get(poll).json()["message"]
    assert "processing" in apex.client.get(poll).json()["message"], "the delay is not over"
    assert apex.client.get("/students/s100@example.org").status_code == 404
    assert "not-a-secret" not in str(apex.state())
    apex.clock.now += timedelta(seconds=30)
    results = apex.client.get(poll).json()["studentUsers"]
    assert [each["Code"] for each in results] == [200] * 60 + [400]
    assert apex.client.get(poll).json()["studentUsers"] == results
    assert len(apex.effects()) == 60
    assert apex.client.get("/staff/batch/" + token).status_code == 404


@pytest.mark.parametrize(
    ("path", "heading", "most"), [("students", "studentUsers", 2_000), ("staff", "staffUsers", 2_500)]
)
def test_a_batch_over_its_maximum_is_refused(apex: RunningApex, path: str, heading: str, most: int) -> None:
    item = student(9) if path == "students" else member_of_staff(9)
    for count, status in ((most, 200), (most + 1, 400)):
        assert apex.client.post(f"/{path}/batch", json={heading: [item] * count}).status_code == status
    assert apex.violations() == ["A16"]


def test_partial_failure_and_claimed_duplicates_are_switches(apex: RunningApex) -> None:
    apex.switch(partial_failure_every=2, duplicate_users=["s12@example.org"])
    codes = [each["Code"] for each in apex.create(student(10), student(11))]
    assert codes == [200, 400]
    refused = apex.create(student(12))[0]
    assert (refused["Code"], refused["Message"]) == (400, "Duplicate user")
    assert apex.client.get("/students/s12@example.org").status_code == 404


def test_an_update_holds_neither_id_nor_password(apex: RunningApex) -> None:
    for body in ({"ImportUserId": "s1@example.org"}, {"LoginPw": "x"}):
        answer = apex.client.put("/students/s1@example.org", json=body)
        assert (answer.status_code, answer.json()["Code"]) == (400, 400)
    assert apex.violations() == ["A19", "A19"]
    done = apex.client.put("/students/s1@example.org", json={"LastName": "Other", "GradeLevel": "10"})
    assert done.json()["Code"] == 200
    assert apex.effects() == ["updated s1@example.org [LastName, GradeLevel]"]
    again = apex.client.put("/students/s1@example.org", json={"LastName": "Other"})
    assert again.status_code == 200
    assert apex.last_effect() == "unchanged s1@example.org"
    nobody = apex.client.put("/students/nobody", json={"LastName": "Other"})
    assert (nobody.status_code, nobody.json()["Message"]) == (400, "User doesn't exist")


def test_coach_emails_are_never_emptied_although_the_answer_is_good(apex: RunningApex) -> None:
    apex.client.put("/students/s1@example.org", json={"CoachEmails": "a@example.org,b@example.org"})
    assert apex.client.put("/students/s1@example.org", json={"CoachEmails": ""}).json()["Code"] == 200
    shown = apex.client.get("/students/s1@example.org").json()["CoachEmails"]
    assert shown == "a@example.org,b@example.org"


def test_a_delete_archives_in_the_organisation_of_its_headers(apex: RunningApex) -> None:
    apex.create(student(1, ImportOrgId="20"))
    path = "/students/s1@example.org"
    assert apex.client.delete(path).status_code == 400
    assert apex.violations() == ["A9"]
    headers = {"importUserId": "s1@example.org", "orgId": "10"}
    assert apex.client.delete(path, headers=headers).status_code == 200
    statuses = [each["Role"]["Status"] for each in apex.client.get(path).json()["Organizations"]]
    assert statuses == ["Archived", "Active"]
    assert apex.effects()[-1] == "deleted s1@example.org@10"
    assert apex.client.delete(path, headers=headers).status_code == 200
    assert apex.effects()[-1] == "deleted s1@example.org@10"
    assert len(apex.effects()) == 2
    gone = apex.client.delete("/students/nobody", headers={"importUserId": "nobody", "orgId": "10"})
    assert (gone.status_code, gone.json()["Message"]) == (400, "User doesn't exist")
    mixed_up = apex.client.delete(path, headers=headers | {"importUserId": "s2@example.org"})
    assert mixed_up.status_code == 400


def test_a_create_brings_an_archived_person_back_unless_switched_off(apex: RunningApex) -> None:
    headers = {"importUserId": "s1@example.org", "orgId": "10"}
    apex.client.delete("/students/s1@example.org", headers=headers)
    apex.switch(archived_stays_archived=True)
    assert apex.create(student(1))[0]["Message"] == "User already exist"
    apex.client.put("/students/s1@example.org", json={"ImportOrgId": "10"})
    assert apex.client.get("/students").json()[0]["RoleStatus"] == "Archived"
    apex.switch(archived_stays_archived=False)
    assert apex.create(student(1))[0]["Code"] == 200
    assert apex.client.get("/students").json()[0]["RoleStatus"] == "Active"


def test_the_text_null_is_taken_as_it_stands_and_recorded(apex: RunningApex) -> None:
    assert apex.create(student(9, MiddleName="null"))[0]["Code"] == 200
    assert apex.client.get("/students/s9@example.org").json()["MiddleName"] == "null"
    assert apex.violations() == ["A12"]


@pytest.mark.parametrize("item", [student(9, GradeLevel=9), student(9, MiddleName=None), student(9, Shoe="44")])
def test_values_are_texts_of_known_fields(apex: RunningApex, item: dict[str, Any]) -> None:
    assert apex.create(item)[0]["Code"] == 400
    assert apex.violations() == ["A11"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"studentUsers": []}', b'{"staffUsers": [{}]}', b'{"studentUsers": [NaN]}', b"[" * 9_999]
)
def test_a_body_of_another_shape_gets_400(apex: RunningApex, body: bytes) -> None:
    assert apex.client.post("/students", content=body).status_code == 400
    assert apex.violations()[0] in {"A13", "A31"}


def test_wrong_paths_and_verbs_are_told_apart(apex: RunningApex) -> None:
    assert apex.client.get("/pupils").status_code == 404
    assert apex.client.patch("/students/s1@example.org", json={}).status_code == 405
    assert apex.client.delete("/classrooms/R1").status_code == 405
    recorded = apex.state()["violations"]
    assert [each["rule"] for each in recorded] == ["A5", "A5"]
    assert recorded[0]["path"] == "/students/{ImportUserId}"


def test_staff_have_roles_of_their_own_in_each_organisation(apex: RunningApex) -> None:
    rows = apex.client.get("/staff").json()
    assert [(row["ImportUserId"], row["Role"]) for row in rows] == [("t1@example.org", "T"), ("t2@example.org", "M")]
    path = "/staff/t1@example.org"
    assert apex.client.put(path, json={"ImportOrgId": "20", "Role": "SC"}).status_code == 200
    assert apex.client.put(path, json={"ImportOrgId": "20", "LastName": "Other"}).status_code == 200
    held = apex.client.get(path).json()["Organizations"]
    assert [(each["ImportOrgId"], each["Role"]["Code"]) for each in held] == [("10", "T"), ("20", "SC")]
    assert apex.client.put(path, json={"Role": "S"}).status_code == 400


def test_a_body_that_is_too_large_gets_413(apex: RunningApex) -> None:
    assert apex.client.post("/students", content=b" " * (4 * 1024 * 1024 + 1)).status_code == 413
    assert apex.violations() == ["A31"]


def test_products_are_read_by_program(apex: RunningApex) -> None:
    products = apex.client.get("/products/ALG").json()["Products"]
    assert [each["ProductCode"] for each in products] == ["ALG-A"]
    assert apex.client.get("/products/NONE").status_code == 404


def test_a_lying_success_and_a_cut_connection_leave_what_they_promise(apex: RunningApex) -> None:
    apex.control.post("/faults", json={"kind": "lying_success"})
    assert apex.create(student(9))[0]["Code"] == 200
    assert apex.client.get("/students/s9@example.org").status_code == 404
    apex.control.post("/faults", json={"kind": "reset_after_effect"})
    with pytest.raises(httpx.TransportError):
        apex.create(student(9))
    assert apex.effects() == ["created s9@example.org"]


def test_the_state_goes_out_and_back_whole(apex: RunningApex) -> None:
    apex.create(student(9, MiddleName="null"), student(1, ImportOrgId="20"))
    apex.client.post("/students/batch", json={"studentUsers": [student(10)]})
    apex.client.post("/classrooms/R1/students", json=[{"ImportUserId": "s1@example.org", "ImportOrgId": "10"}])
    state = apex.state()
    assert apex.control.put("/state", json=state).status_code == 204
    assert apex.state() == state


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"people": []}, "state"),
        ({"organizations": [{"ImportOrgId": "1"}]}, r"organizations\[0\]"),
        ({"products": [7]}, r"products\[0\]"),
        ({"orders": [{"ImportOrgId": "99", "ProgramCode": "ALG", "Seats": 1}]}, r"orders\[0\]"),
        ({"students": [seeded(1), seeded(1)]}, r"students\[1\]: ImportUserId"),
        ({"students": [seeded(1, org="99")]}, r"students\[0\]: organisation '99'"),
        ({"students": [seeded(1, role="T")]}, r"students\[0\]: Role 'T'"),
        ({"staff": [seeded(1, role="T") | {"LoginPw": "x"}]}, r"staff\[0\]: LoginPw"),
        ({"classrooms": [classroom("R1", ImportUserId="nobody")]}, r"classrooms\[0\]: User doesn't exist"),
        ({"classrooms": [classroom("R1", ProgramCode="BIO")]}, r"classrooms\[0\]: Product"),
        ({"enrollments": [{"ImportClassroomId": "R9"}]}, r"enrollments\[0\]"),
        ({"generate": {"people": 1, "seed": 1}}, "state"),
    ],
)
def test_a_seed_the_api_would_not_hold_is_refused_by_place(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ApexStore.from_document(seed() | changes, now=NOW)


@pytest.mark.parametrize("people", [10_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.whole])])
def test_a_large_world_is_paged_through(people: int) -> None:
    document = {"generate": {"people": people, "seed": 7}}
    with running_apex(document=document, page_size=people // 20) as apex:
        pages = int(apex.client.get("/students").headers["total-pages"])
        ids = [
            row["ImportUserId"]
            for number in range(1, pages + 1)
            for row in apex.client.get("/students", headers={"page": str(number)}).json()
        ]
        assert len(ids) == len(set(ids)) == people - people // 21
        assert apex.client.get(f"/students/{ids[-1]}").status_code == 200
