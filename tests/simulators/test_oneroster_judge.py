"""The simulated OneRoster 1.1, judged by strongmind-oneroster-client 2.0.5, unmodified, over a real socket.

The client is generated from the 1.1 interface and checks what it reads: required members, enumerations, dates. What it
cannot do: it asks for no token and signs nothing, so a token is asked for beside it; it shows neither X-Total-Count nor
Link, except in the raw response; it knows the statuses `active` and `tobedeleted` only, and booleans only as text.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import oneroster_client as judge
import pytest
import requests

from tests.simulators.running_oneroster import BASE_1P1, RunningRoster, running_oneroster

PEOPLE = 300


@pytest.fixture(scope="module")
def world() -> Iterator[RunningRoster]:
    with running_oneroster(document={"generate": {"people": PEOPLE, "seed": 11}}) as running:
        yield running


@pytest.fixture(scope="module")
def client(world: RunningRoster) -> Any:
    configuration = judge.Configuration()
    configuration.host = world.url + BASE_1P1
    configuration.access_token = world.old.headers["authorization"].removeprefix("Bearer ")
    return judge.ApiClient(configuration)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def everything(get: Any, member: str) -> list[Any]:
    found: list[Any] = []
    while page := getattr(get(limit=70, offset=len(found)), member):
        found += page
    return found


def test_the_judge_walks_all_people_page_by_page(client: Any) -> None:
    users = everything(judge.UsersManagementApi(client).get_users, "users")
    assert len({user.sourced_id for user in users}) == len(users) == PEOPLE
    assert {user.role for user in users} == {"student", "teacher"}
    assert {user.enabled_user for user in users} == {True}
    assert all(user.orgs[0].type == "org" and user.date_last_modified.tzinfo is not None for user in users)
    students = everything(judge.StudentsManagementApi(client).get_students, "users")
    teachers = everything(judge.TeachersManagementApi(client).get_teachers, "users")
    assert len(students) + len(teachers) == PEOPLE


def test_the_judge_reads_every_collection(client: Any) -> None:
    orgs = everything(judge.OrgsManagementApi(client).get_orgs, "orgs")
    schools = everything(judge.SchoolsManagementApi(client).get_schools, "orgs")
    assert {org.type for org in orgs} == {"district", "school"}
    assert [school.parent.sourced_id for school in schools] == ["D1"] * len(schools)
    sessions = everything(judge.AcademicSessionsManagementApi(client).get_academic_sessions, "academic_sessions")
    terms = everything(judge.TermsManagementApi(client).get_terms, "academic_sessions")
    periods = everything(judge.GradingPeriodsManagementApi(client).get_grading_periods, "academic_sessions")
    assert {type(each.start_date) for each in sessions} == {date}
    assert [each.type for each in terms] == ["term"] * 2
    assert [each.parent.sourced_id for each in periods] == [terms[0].sourced_id] * 2
    courses = everything(judge.CoursesManagementApi(client).get_courses, "courses")
    assert {each.org.sourced_id for each in courses} == {"D1"}
    demographics = everything(judge.DemographicsManagementApi(client).get_demographics, "demographics")
    assert all(each.birth_date.year > 2000 for each in demographics)
    assert any(each.asian for each in demographics)


def test_the_judge_follows_classes_to_their_people(client: Any) -> None:
    api = judge.ClassesManagementApi(client)
    classes = everything(api.get_classes, "classes")
    assert {each.class_type for each in classes} == {"scheduled"}
    enrollments = everything(judge.EnrollmentsManagementApi(client).get_enrollments, "enrollments")
    first = classes[0].sourced_id
    students = judge.StudentsManagementApi(client).get_students_for_class(first).users
    mine = {each.user.sourced_id for each in enrollments if each._class.sourced_id == first and each.role == "student"}
    assert {each.sourced_id for each in students} == mine
    assert mine
    teacher = judge.TeachersManagementApi(client).get_teachers_for_class(first).users[0]
    assert first in {each.sourced_id for each in api.get_classes_for_teacher(teacher.sourced_id).classes}
    assert {each.primary for each in enrollments if each.role == "teacher"} == {True}


def test_the_judge_reads_single_records(client: Any) -> None:
    user = judge.UsersManagementApi(client).get_user("P000001").user
    assert (user.sourced_id, user.user_ids[0].type) == ("P000001", "SIS")
    assert judge.ClassesManagementApi(client).get_class("R000001")._class.periods == "2"
    assert judge.TermsManagementApi(client).get_term("Y2026-F").academic_session.school_year == "2027"
    assert judge.DemographicsManagementApi(client).get_demographic("P000001").demographics.sex in {"female", "male"}


def test_the_judge_filters_sorts_and_selects(client: Any) -> None:
    api = judge.UsersManagementApi(client)
    since = "2026-11-01T00:00:00Z"
    changed = api.get_users(filter=f"dateLastModified>'{since}' AND role='student'", limit=500).users
    assert 0 < len(changed) < PEOPLE
    assert all(each.date_last_modified > datetime(2026, 11, 1, tzinfo=UTC) for each in changed)
    names = [each.family_name for each in api.get_users(sort="familyName", order_by="desc", limit=500).users]
    assert names == sorted(names, reverse=True)
    raw = api.get_users(fields=["sourcedId", "email"], limit=1, _preload_content=False)
    assert raw.json()["users"][0].keys() == {"sourcedId", "email"}
    assert raw.headers["X-Total-Count"] == str(PEOPLE)


def test_the_judge_meets_refusals_as_http_errors(client: Any, world: RunningRoster) -> None:
    api = judge.UsersManagementApi(client)
    with pytest.raises(requests.HTTPError, match="404"):
        api.get_user("nobody")
    with pytest.raises(requests.HTTPError, match="400"):
        api.get_users(filter="role='student' AND role='student' AND role='student'")
    world.control.post("/faults", json={"kind": "unauthorized"})
    with pytest.raises(requests.HTTPError, match="401"):
        api.get_users()
    assert world.violations() == ["O13"]
