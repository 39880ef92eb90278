"""The simulated OneRoster provider: collections, both shapes, paging, sorting, filters, deltas, switches."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from simulators.oneroster.store import Roster
from tests.simulators.running_oneroster import (
    BASE_1P1,
    BASE_1P2,
    RunningRoster,
    enrollment,
    room,
    running_oneroster,
    seed,
    session,
    user,
)

NOW = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRoster]:
    with running_oneroster() as running:
        yield running


@pytest.fixture
def roster(server: RunningRoster) -> RunningRoster:
    server.reset()
    return server


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    (rows,) = answer.json().values()
    return [row["sourcedId"] for row in rows]


@pytest.mark.parametrize(
    ("path", "wrapper", "found"),
    [
        ("orgs", "orgs", "D1 S1 S2"),
        ("schools", "orgs", "S1 S2"),
        ("academicSessions", "academicSessions", "G1 T1 Y1"),
        ("terms", "academicSessions", "T1"),
        ("gradingPeriods", "academicSessions", "G1"),
        ("courses", "courses", "C1"),
        ("classes", "classes", "R1 R2"),
        ("users", "users", "K1 P1 P2 P3 T1 T2"),
        ("students", "users", "P1 P2 P3"),
        ("teachers", "users", "T1 T2"),
        ("enrollments", "enrollments", "R1-P1 R1-P2 R1-T1 R2-P1"),
        ("demographics", "demographics", "P1"),
        ("schools/S1/classes", "classes", "R1"),
        ("schools/S1/courses", "courses", "C1"),
        ("schools/S1/terms", "academicSessions", "T1"),
        ("schools/S1/enrollments", "enrollments", "R1-P1 R1-P2 R1-T1"),
        ("schools/S1/students", "users", "P1 P2 P3"),
        ("schools/S1/teachers", "users", "T1 T2"),
        ("schools/S1/classes/R1/enrollments", "enrollments", "R1-P1 R1-P2 R1-T1"),
        ("schools/S1/classes/R1/students", "users", "P1 P2"),
        ("schools/S1/classes/R1/teachers", "users", "T1"),
        ("classes/R1/students", "users", "P1 P2"),
        ("classes/R1/teachers", "users", "T1"),
        ("classes/R2/students", "users", ""),
        ("courses/C1/classes", "classes", "R1 R2"),
        ("terms/T1/classes", "classes", "R1 R2"),
        ("terms/T1/gradingPeriods", "academicSessions", "G1"),
        ("students/P1/classes", "classes", "R1"),
        ("teachers/T1/classes", "classes", "R1"),
        ("users/P1/classes", "classes", "R1"),
    ],
)
def test_every_collection_and_nested_list_is_there_in_both_versions(
    roster: RunningRoster, path: str, wrapper: str, found: str
) -> None:
    for client in (roster.old, roster.new):
        answer = client.get(f"/{path}")
        assert answer.json().keys() == {wrapper}
        assert ids(answer) == found.split()
        assert answer.headers["x-total-count"] == str(len(found.split()))


@pytest.mark.parametrize(
    ("path", "wrapper"),
    [
        ("orgs/S1", "org"),
        ("schools/S1", "org"),
        ("terms/T1", "academicSession"),
        ("gradingPeriods/G1", "academicSession"),
        ("courses/C1", "course"),
        ("classes/R1", "class"),
        ("students/P1", "user"),
        ("teachers/T1", "user"),
        ("enrollments/R1-P1", "enrollment"),
        ("demographics/P1", "demographics"),
    ],
)
def test_a_single_record_is_wrapped(roster: RunningRoster, path: str, wrapper: str) -> None:
    document = roster.old.get(f"/{path}").json()
    assert document.keys() == {wrapper}
    assert document[wrapper]["sourcedId"] == path.split("/")[1]


@pytest.mark.parametrize(
    "path",
    [
        "schools/D1",
        "students/T1",
        "terms/Y1",
        "gradingPeriods/T1",
        "schools/S9/classes",
        "classes/R9/students",
        "schools/S1/classes/R2/students",
        "users/P1/grades",
        "teachers/P1/classes",
    ],
)
def test_a_record_is_found_only_where_it_belongs(roster: RunningRoster, path: str) -> None:
    assert roster.old.get(f"/{path}").status_code == 404


def test_a_user_of_1p1_has_one_role_and_its_orgs(roster: RunningRoster) -> None:
    assert roster.old.get("/users/P2").json()["user"] == {
        "sourcedId": "P2",
        "status": "active",
        "dateLastModified": "2026-11-20T08:00:00.000Z",
        "username": "p2",
        "userIds": [{"type": "SIS", "identifier": "P2"}],
        "enabledUser": "true",
        "givenName": "Ada",
        "familyName": "Sample P2",
        "role": "student",
        "agents": [{"href": f"{roster.url}{BASE_1P1}/users/P1", "sourcedId": "P1", "type": "user"}],
        "orgs": [{"href": f"{roster.url}{BASE_1P1}/orgs/S1", "sourcedId": "S1", "type": "org"}],
        "grades": ["09"],
    }
    assert roster.old.get("/users/K1").json()["user"]["role"] == "aide"


def test_a_user_of_1p2_has_roles_profiles_and_no_role(roster: RunningRoster) -> None:
    shown = roster.new.get("/users/K1").json()["user"]
    org = {"href": f"{roster.url}{BASE_1P2}/orgs/S1", "sourcedId": "S1", "type": "org"}
    assert shown["roles"] == [{"roleType": "primary", "role": "counselor", "org": org}]
    assert shown["userProfiles"][0]["profileId"] == "K1-a"
    assert not {"role", "orgs", "password"} & shown.keys()


def test_periods_are_text_in_1p1_and_a_list_in_1p2(roster: RunningRoster) -> None:
    assert roster.old.get("/classes/R1").json()["class"]["periods"] == "1,2"
    assert roster.new.get("/classes/R1").json()["class"]["periods"] == ["1", "2"]


def test_booleans_are_texts_unless_switched(roster: RunningRoster) -> None:
    assert roster.old.get("/users/T2").json()["user"]["enabledUser"] == "false"
    assert roster.old.get("/demographics/P1").json()["demographics"]["asian"] == "true"
    roster.switch(json_booleans=True)
    assert roster.old.get("/users/T2").json()["user"]["enabledUser"] is False
    assert roster.old.get("/enrollments/R1-T1").json()["enrollment"]["primary"] is True


def test_pages_are_walked_by_offset_or_by_link(server: RunningRoster) -> None:
    people = [user(f"P{number:04d}") for number in range(250)]
    world = seed(users=people, enrollments=[], demographics=[])
    assert server.control.put("/state", json=world).status_code == 204
    first = server.old.get("/users")
    assert (len(ids(first)), first.headers["x-total-count"]) == (100, "250")
    seen: list[str] = []
    url: str | None = f"{server.url}{BASE_1P1}/users?limit=60&filter=status%3D'active'"
    while url is not None:
        answer = server.old.get(url)
        seen += ids(answer)
        url = answer.links.get("next", {}).get("url")
    assert seen == [person["sourcedId"] for person in people]
    assert answer.links["prev"]["url"].endswith("offset=180")
    assert answer.links["first"]["url"].endswith("offset=0")
    assert answer.links["last"]["url"].endswith("offset=240")
    assert ids(server.old.get("/users", params={"offset": 1_000})) == []


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"offset": "-1"}, {"limit": "5001"}])
def test_a_page_that_cannot_be_is_refused_and_recorded(roster: RunningRoster, query: dict[str, str]) -> None:
    assert roster.old.get("/users", params=query).status_code == 400
    assert roster.violations() == ["O10" if query.get("limit") == "5001" else "O9"]


def test_a_limit_may_be_capped_without_a_word(roster: RunningRoster) -> None:
    roster.switch(limit_max=2, over_limit="cap")
    answer = roster.old.get("/users", params={"limit": "9"})
    assert ids(answer) == ["K1", "P1"]
    assert answer.links["next"]["url"].endswith("limit=2&offset=2")


def test_totals_may_be_missing(roster: RunningRoster) -> None:
    roster.switch(shows_totals=False)
    assert "x-total-count" not in roster.old.get("/users").headers


def test_lists_are_sorted_by_any_member_and_by_id_where_equal(roster: RunningRoster) -> None:
    by_email = roster.old.get("/users", params={"sort": "email", "orderBy": "desc"})
    assert ids(by_email)[0] == "P1"
    assert ids(roster.old.get("/users", params={"sort": "givenName"})) == ["K1", "P1", "P2", "P3", "T1", "T2"]
    assert roster.old.get("/users", params={"sort": "email", "orderBy": "up"}).status_code == 400


def test_fields_choose_the_members(roster: RunningRoster) -> None:
    answer = roster.old.get("/students", params={"fields": "sourcedId,email", "limit": "1"})
    assert answer.json() == {"users": [{"sourcedId": "P1", "email": "p1@example.org"}]}
    assert roster.old.get("/users/P1", params={"fields": "role"}).json() == {"user": {"role": "student"}}
    assert roster.new.get("/users/P1", params={"fields": "role"}).status_code == 400
    assert roster.old.get("/users", params={"fields": "sourcedId,,"}).status_code == 400
    assert roster.violations() == ["O12", "O12"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("sourcedId='P1'", "P1"),
        ("role='student'", "P1 P2 P3"),
        ("role!='student'", "K1 T1 T2"),
        ("familyName~'p1'", "P1"),
        ("role='teacher' AND enabledUser='false'", "T2"),
        ("sourcedId='P1' OR sourcedId='T1'", "P1 T1"),
        ("sourcedId>='T1'", "T1 T2"),
        ("sourcedId<'P1'", "K1"),
        ("sourcedId<='P1'", "K1 P1"),
        ("status='tobedeleted'", "P3"),
        ("orgs.sourcedId='S1' AND role='teacher'", "T1 T2"),
        ("grades~'09,10'", "P1 P2 P3"),
        ("email='p1@example.org'", "P1"),
        ("email!='p1@example.org'", "K1 P2 P3 T1 T2"),
        ("dateLastModified>'2026-11-20T07:59:59Z'", "P2 P3"),
        ("dateLastModified>'2026-11-20T08:00:00.000Z'", "P3"),
        ("dateLastModified>='2026-11-21'", "P3"),
    ],
)
def test_filters_keep_what_they_say(roster: RunningRoster, text: str, found: str) -> None:
    answer = roster.old.get("/users", params={"filter": text})
    assert ids(answer) == found.split()
    assert answer.headers["x-total-count"] == str(len(found.split()))
    assert roster.violations() == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("role='student' AND status='active' AND givenName='Ada'", "O13"),
        ("role='student' AND status='active' OR givenName='Ada'", "O13"),
        ("role=student", "O13"),
        ("role='student' and status='active'", "O13"),
        ("shoe='44'", "O13"),
        ("", "O13"),
        ("role='student' AND ", "O13"),
        ("dateLastModified>'2026-11-20T08:00:00'", "O14"),
        ("dateLastModified>'yesterday'", "O14"),
    ],
)
def test_a_filter_that_breaks_a_rule_is_refused_and_recorded(roster: RunningRoster, text: str, rule: str) -> None:
    answer = roster.old.get("/users", params={"filter": text})
    assert answer.status_code == 400
    assert roster.violations() == [rule]


def test_unknown_fields_may_be_passed_over_without_a_word(roster: RunningRoster) -> None:
    roster.switch(lenient_queries=True)
    query = {"filter": "shoe='44'", "sort": "shoe", "fields": "shoe,sourcedId"}
    assert len(ids(roster.old.get("/users", params=query))) == 6


def test_a_delta_tells_of_removals_unless_the_provider_forgets_them(roster: RunningRoster) -> None:
    query = {"filter": "dateLastModified>'2026-11-20T12:00:00Z'"}
    removed = roster.old.get("/users", params=query).json()["users"]
    assert [(row["sourcedId"], row["status"]) for row in removed] == [("P3", "tobedeleted")]
    roster.switch(forgets_deleted=True)
    assert ids(roster.old.get("/users", params=query)) == []
    assert ids(roster.old.get("/students")) == ["P1", "P2"]
    assert roster.old.get("/users/P3").status_code == 404


def test_inactive_is_a_word_of_old_1p1_only(roster: RunningRoster) -> None:
    roster.control.put("/state", json=seed(users=[user("P1", status="inactive")], enrollments=[], demographics=[]))
    assert roster.old.get("/users/P1").json()["user"]["status"] == "tobedeleted"
    roster.switch(shows_inactive=True)
    assert roster.old.get("/users/P1").json()["user"]["status"] == "inactive"
    assert roster.new.get("/users/P1").json()["user"]["status"] == "tobedeleted"
    assert ids(roster.old.get("/users", params={"filter": "status='inactive'"})) == ["P1"]


def test_without_sort_the_order_may_turn_between_pages(roster: RunningRoster) -> None:
    roster.switch(unstable_order=True)
    pages = [ids(roster.old.get("/users", params={"limit": "3", "offset": offset})) for offset in (0, 3)]
    assert len(set(pages[0] + pages[1])) < 6
    pages = [
        ids(roster.old.get("/users", params={"limit": "3", "offset": offset, "sort": "sourcedId"})) for offset in (0, 3)
    ]
    assert pages[0] + pages[1] == ["K1", "P1", "P2", "P3", "T1", "T2"]


def test_page_faults_strike_lists(roster: RunningRoster) -> None:
    roster.control.post("/faults", json={"kind": "short_page", "items_missing": 2})
    answer = roster.old.get("/users")
    assert (len(ids(answer)), answer.headers["x-total-count"]) == (4, "6")
    roster.control.post("/faults", json={"kind": "repeated_page"})
    assert ids(roster.old.get("/teachers", params={"limit": "1", "offset": "1"})) == ["T1"]


def test_a_change_of_state_is_seen_by_a_filter_that_was_kept(roster: RunningRoster) -> None:
    query = {"filter": "familyName='Other'"}
    assert ids(roster.old.get("/users", params=query)) == []
    changed = seed()
    changed["users"][0]["familyName"] = "Other"
    roster.control.put("/state", json=changed)
    assert ids(roster.old.get("/users", params=query)) == ["P1"]


def test_the_state_goes_out_and_back_whole(roster: RunningRoster) -> None:
    roster.old.get("/users", params={"limit": "0"})
    state = roster.control.get("/state").json()
    assert roster.control.put("/state", json=state).status_code == 204
    assert roster.control.get("/state").json() == state


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"people": []}, "state"),
        ({"users": [user("P1"), user("P1")]}, r"users\[1\]: sourcedId 'P1'"),
        ({"users": [user("P1", shoe="44")]}, r"users\[0\]: shoe"),
        ({"users": [user("P1", "wizard")]}, r"users\[0\]: roles"),
        ({"users": [user("P1", status="gone")]}, r"users\[0\]: status 'gone'"),
        ({"users": [user("P1", dateLastModified="2026-11-01")]}, r"users\[0\]: dateLastModified"),
        ({"users": [user("P1", enabledUser="true")]}, r"users\[0\]: enabledUser"),
        ({"classes": [room("R1", courseSourcedId="C9")]}, r"classes\[0\]: courseSourcedId names 'C9'"),
        ({"classes": [{"sourcedId": "R1"}]}, r"classes\[0\]: title, courseSourcedId"),
        ({"enrollments": [enrollment("R1", "P9")]}, r"enrollments\[0\]: userSourcedId names 'P9'"),
        ({"academicSessions": [session("Y1", "decade", None)]}, r"academicSessions\[0\]: type"),
        ({"orgs": [7]}, r"orgs\[0\]: needs a sourcedId"),
    ],
)
def test_a_seed_the_service_would_not_hold_is_refused_by_place(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Roster.from_document(seed() | changes, now=NOW)


@pytest.mark.parametrize("people", [10_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.whole])])
def test_a_large_district_is_paged_through(people: int) -> None:
    with running_oneroster(document={"generate": {"people": people, "seed": 7}}) as big:
        seen: list[str] = []
        for offset in range(0, people, people // 20):
            page = big.old.get("/users", params={"limit": str(people // 20), "offset": offset, "fields": "sourcedId"})
            seen += ids(page)
        assert len(seen) == len(set(seen)) == people
        assert len(ids(big.old.get("/classes/R000000/students"))) > 10
        delta = big.old.get("/users", params={"filter": "dateLastModified>'2026-11-21T08:00:00Z'", "limit": "5000"})
        assert people / 200 < len(ids(delta)) < people / 50
