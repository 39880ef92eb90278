"""What is particular to Apex, against its simulator over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.ports.connections import Connection
from shared.ports.surroundings import Surroundings
from shared.ports.system import Receipt, Target
from shared.secrets import Secret
from tests.simulators.running_apex import CLIENT_ID, CLIENT_SECRET, RunningApex, classroom, running_apex, seed, seeded
from tests.support.systems import installed_systems

MADE = "created"


@pytest.fixture(scope="module")
def served() -> Iterator[RunningApex]:
    with running_apex() as apex:
        yield apex


@pytest.fixture
def apex(served: RunningApex) -> Iterator[RunningApex]:
    served.reset()
    yield served
    assert served.violations() == [], "something was sent that Apex's documents forbid"


async def hurry(seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.01))


def opened(url: str, *, around: Surroundings | None = None, **settings: Any) -> Target:
    surroundings = around or Surroundings(sleep=hurry)
    registry = installed_systems(surroundings=replace(surroundings, resolve=lambda _: Secret(CLIENT_SECRET)))
    told = {"base_url": url, "client_id": CLIENT_ID, "client_secret": "env:SECRET", "timeout_seconds": 5} | settings
    return registry.open_target(Connection(name="apex", system="apex", environment="staging", settings=told))


@pytest_asyncio.fixture
async def target(apex: RunningApex) -> AsyncIterator[Target]:
    async with closing(apex.url) as target:
        yield target


@asynccontextmanager
async def closing(url: str, **options: Any) -> AsyncIterator[Target]:
    target = opened(url, **options)
    try:
        yield target
    finally:
        await target.close()


WIRE = installed_systems().wire("apex")


def student(number: int, *, org: str = "10", **fields: Any) -> dict[str, Any]:
    user_id = f"n{number}@example.org"
    return {
        "membership_key": f"{org}/{user_id}",
        "import_user_id": user_id,
        "import_org_id": org,
        "first_name": "Ada",
        "middle_name": None,
        "last_name": f"Sample {number}",
        "email": user_id,
        "grade_level": "9",
        "login_id": f"n{number}",
        "coach_emails": None,
        "role": "S",
        "active": True,
    } | fields


def enrolment(room: str, user_id: str) -> dict[str, Any]:
    return {"import_classroom_id": room, "import_user_id": user_id, "import_org_id": "10"}


async def create(target: Target, entity: str, values: dict[str, Any]) -> Receipt:
    write = WIRE.write_for(entity, verb="create", target_id=None, values=values)
    return await target.write(write, idempotency_key="x")


async def change(target: Target, entity: str, verb: Any, target_id: str, **values: Any) -> Receipt:
    write = WIRE.write_for(entity, verb=verb, target_id=target_id, values=values)
    return await target.write(write, idempotency_key="x")


async def all_of(target: Target, entity: str, records: Sequence[dict[str, Any]]) -> list[Receipt | BaseException]:
    return await asyncio.gather(*(create(target, entity, values) for values in records), return_exceptions=True)


def posts(apex: RunningApex, path: str, *, since: int = 0) -> int:
    entries = apex.control.get("/journal").json()["entries"][since:]
    return sum(entry["method"] == "POST" and entry["path"] == path for entry in entries)


def seen(apex: RunningApex) -> int:
    return len(apex.control.get("/journal").json()["entries"])


async def rows_of(target: Target, entity: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    async for page in target.read(entity):
        found |= {row["target_id"]: row for row in page.rows.iter_rows(named=True)}
    return found


# --- creating many ----------------------------------------------------------------------------------------------------


async def test_creates_of_one_moment_go_in_one_request(apex: RunningApex, target: Target) -> None:
    before = seen(apex)
    receipts = await all_of(target, "students", [student(n) for n in range(50)])
    assert [receipt.target_id for receipt in receipts if isinstance(receipt, Receipt)] == [
        student(n)["membership_key"] for n in range(50)
    ]
    assert posts(apex, "/students", since=before) == 1
    assert len([effect for effect in apex.effects() if effect.startswith(MADE)]) == 50


async def test_more_than_fifty_go_as_a_batch_and_each_gets_its_own_result(apex: RunningApex, target: Target) -> None:
    apex.switch(batch_polls=3)
    await create(target, "students", student(7))
    before, effects = seen(apex), len(apex.effects())
    told = await all_of(target, "students", [student(n) for n in range(60)])
    assert isinstance(told[7], TargetMoved)
    assert all(isinstance(each, Receipt) for n, each in enumerate(told) if n != 7)
    assert (posts(apex, "/students/batch", since=before), posts(apex, "/students", since=before)) == (1, 0)
    made = apex.effects()[effects:]
    assert len(made) == len(set(made)) == 59, "each of the others exactly once"


@pytest.mark.parametrize("status", ["200", "207", "400"])
@pytest.mark.parametrize("heading", ["post", "Users"])
async def test_a_partly_refused_request_says_the_same_under_every_status(
    apex: RunningApex, target: Target, status: str, heading: str
) -> None:
    apex.switch(multi_status=status, result_heading=heading, duplicate_users=["n2@example.org"])
    wanted = [student(0), student(1), student(2), student(3, org="77")]
    told = await all_of(target, "students", wanted)
    assert [type(each) for each in told] == [Receipt, Receipt, TargetMoved, RecordRefused]
    for values, is_there in zip(wanted, (True, True, False, False), strict=True):
        shown = await target.fetch("students", target_id=values["membership_key"], key=None)
        assert (shown is not None) == is_there


async def test_no_value_of_a_refused_record_is_told(apex: RunningApex, target: Target) -> None:
    apex.switch(partial_failure_every=1)
    with pytest.raises(RecordRefused) as caught:
        await create(target, "students", student(1, last_name="Ash-Grove"))
    assert "Ash-Grove" not in str(caught.value)
    assert "could not be processed" not in str(caught.value)


async def test_one_person_for_two_organisations_never_stands_twice_in_one_request(
    apex: RunningApex, target: Target
) -> None:
    before = seen(apex)
    told = await all_of(target, "students", [student(1), student(1, org="20")])
    assert [each.target_id for each in told if isinstance(each, Receipt)] == ["10/n1@example.org", "20/n1@example.org"]
    assert posts(apex, "/students", since=before) == 2


async def test_a_batch_that_does_not_end_is_unknown_for_each_record_and_sent_once(apex: RunningApex) -> None:
    apex.switch(batch_polls=1_000)
    async with closing(apex.url, batch_seconds_max=4, batch_poll_seconds=1) as target:
        told = await all_of(target, "students", [student(n) for n in range(51)])
        assert {type(each) for each in told} == {OutcomeUnknown}
        assert "batch_seconds_max" in str(told[0])
        assert len(apex.state()["batches"]["items"]) == 1


async def test_a_batch_whose_polling_breaks_is_unknown_and_never_called_failed(apex: RunningApex) -> None:
    async with closing(apex.url) as target:
        apex.control.post("/faults", json={"kind": "server_error", "path_pattern": "/students/batch/", "times": 1_000})
        told = await all_of(target, "students", [student(n) for n in range(51)])
        assert {type(each) for each in told} == {OutcomeUnknown}
        apex.control.delete("/faults")


@pytest.mark.parametrize("fault", ["reset_after_effect", "torn_body"])
async def test_a_batch_that_gets_no_answer_is_unknown_and_sent_once(
    apex: RunningApex, target: Target, fault: str
) -> None:
    apex.control.post("/faults", json={"kind": fault, "path_pattern": "/students/batch$"})
    told = await all_of(target, "students", [student(n) for n in range(51)])
    assert {type(each) for each in told} == {OutcomeUnknown}
    assert len(apex.state()["batches"]["items"]) == 1


async def test_a_throttled_batch_is_asked_about_again(apex: RunningApex, target: Target) -> None:
    apex.control.post("/faults", json={"kind": "too_many_requests", "path_pattern": "/students/batch/", "times": 2})
    told = await all_of(target, "students", [student(n) for n in range(51)])
    assert all(isinstance(each, Receipt) for each in told)


async def test_staff_and_classrooms_are_created_the_same_way(apex: RunningApex, target: Target) -> None:
    people = [student(n, role="T") for n in range(3)]
    for person in people:
        del person["grade_level"], person["coach_emails"]
    assert all(isinstance(each, Receipt) for each in await all_of(target, "staff", people))
    shown = await target.fetch("staff", target_id=None, key=people[2]["membership_key"])
    assert shown == people[2] | {"target_id": people[2]["membership_key"]}
    room = {
        "import_classroom_id": "10/77",
        "classroom_name": "Algebra",
        "product_codes": "ALG-A",
        "import_org_id": "10",
        "program_code": "ALG",
        "start_date": "2026-08-31",
        "teacher_id": "n1@example.org",
    }
    assert (await create(target, "classrooms", room)).target_id == "10/77"
    with pytest.raises(TargetMoved):
        await create(target, "classrooms", room)
    await change(target, "classrooms", "update", "10/77", classroom_name="Geometry")
    record = await target.fetch("classrooms", target_id="10/77", key=None)
    assert record is not None
    assert (record["classroom_name"], record["start_date"], record["teacher_id"]) == ("Geometry", "2026-08-31", None)
    assert record["primary_teacher"] == "Ada Sample 1"


# --- archiving --------------------------------------------------------------------------------------------------------


async def test_archiving_in_one_organisation_leaves_the_other(apex: RunningApex, target: Target) -> None:
    await all_of(target, "students", [student(1), student(1, org="20")])
    await change(target, "students", "suspend", "10/n1@example.org")
    rows = await rows_of(target, "students")
    assert (rows["10/n1@example.org"]["active"], rows["20/n1@example.org"]["active"]) == (False, True)
    assert "deleted n1@example.org@10" in apex.effects()


async def test_one_that_is_not_in_that_organisation_has_moved(apex: RunningApex, target: Target) -> None:
    for verb, target_id in (("suspend", "20/s1@example.org"), ("suspend", "10/nobody@example.org")):
        with pytest.raises(TargetMoved):
            await change(target, "students", verb, target_id)


async def test_bringing_back_that_has_no_effect_shows_when_read_back(apex: RunningApex, target: Target) -> None:
    await change(target, "students", "suspend", "10/s1@example.org")
    apex.switch(archived_stays_archived=True)
    await change(target, "students", "reactivate", "10/s1@example.org")
    shown = await target.fetch("students", target_id="10/s1@example.org", key=None)
    assert shown is not None
    assert shown["active"] is False


async def test_an_id_that_no_header_carries_is_refused_before_anything_is_sent(
    apex: RunningApex, target: Target
) -> None:
    before = seen(apex)
    with pytest.raises(RecordRefused, match="by hand"):
        await change(target, "students", "suspend", "10/zoë@example.org")
    assert seen(apex) == before


async def test_neither_a_password_nor_the_word_null_is_ever_sent(apex: RunningApex, target: Target) -> None:
    await create(target, "students", student(1))
    await change(target, "students", "update", "10/n1@example.org", middle_name=None)
    assert "A12" not in apex.violations()
    people = {person["ImportUserId"]: person for person in apex.state()["students"]}
    assert people["n1@example.org"].get("HasPassword") in (None, False)
    assert not [column.name for column in target.columns("students") if "pw" in column.name]


# --- enrolments -------------------------------------------------------------------------------------------------------


async def test_enrolments_of_several_classrooms_each_get_their_own_answer(apex: RunningApex, target: Target) -> None:
    before = seen(apex)
    wanted = [enrolment("R1", f"s{n}@example.org") for n in (1, 2, 99)] + [
        enrolment("R2", f"s{n}@example.org") for n in (1, 2)
    ]
    told = await all_of(target, "enrollments", [*wanted, enrolment("NIX", "s1@example.org")])
    assert [type(each) for each in told] == [Receipt, Receipt, TargetMoved, Receipt, RecordRefused, TargetMoved]
    assert isinstance(told[4], RecordRefused)
    assert told[4].code == "APL_CAPACITY", "one seat was left for R2"
    assert posts(apex, "/classrooms/R1/students", since=before) == 1
    assert set(await rows_of(target, "enrollments")) == {"R1/s1@example.org", "R1/s2@example.org", "R2/s1@example.org"}


async def test_more_than_fifty_of_one_classroom_go_by_fifties(apex: RunningApex, target: Target) -> None:
    await all_of(target, "students", [student(n) for n in range(51)])
    before = seen(apex)
    told = await all_of(target, "enrollments", [enrolment("R1", f"n{n}@example.org") for n in range(51)])
    assert all(isinstance(each, Receipt) for each in told)
    assert posts(apex, "/classrooms/R1/students", since=before) == 2


async def test_an_enrolment_that_is_there_or_exhausted_says_so(apex: RunningApex, target: Target) -> None:
    await create(target, "enrollments", enrolment("R1", "s1@example.org"))
    with pytest.raises(TargetMoved):
        await create(target, "enrollments", enrolment("R1", "s1@example.org"))
    apex.switch(orders_exhausted=True)
    with pytest.raises(RecordRefused) as caught:
        await create(target, "enrollments", enrolment("R1", "s2@example.org"))
    assert caught.value.code == "APL_CAPACITY"


async def test_a_withdrawn_enrolment_is_gone_and_a_completed_one_is_not(apex: RunningApex, target: Target) -> None:
    began = {"ImportUserId": "s1@example.org", "EnrolledAt": "2026-08-17T08:30:09+00:00"}
    document = seed() | {
        "enrollments": [
            began | {"ImportClassroomId": "R1", "EnrollmentStatus": "Active"},
            began
            | {
                "ImportClassroomId": "R2",
                "EnrollmentStatus": "Complete",
                "CompletedDate": "2026-10-01T00:00:00+00:00",
            },
        ]
    }
    assert apex.control.put("/state", json=document).status_code == 204
    await change(target, "enrollments", "delete", "R1/s1@example.org")
    rows = await rows_of(target, "enrollments")
    assert [(row["enrollment_key"], row["status"], row["completed_date"]) for row in rows.values()] == [
        ("R2/s1@example.org", "Complete", "2026-10-01")
    ]
    assert await target.fetch("enrollments", target_id="R1/s1@example.org", key=None) is None
    assert await target.fetch("enrollments", target_id="R2/s1@example.org", key=None) == rows["R2/s1@example.org"]
    assert (await change(target, "enrollments", "delete", "R1/s1@example.org")).status == 200, "it says nothing of it"


# --- reading ----------------------------------------------------------------------------------------------------------


async def test_a_student_whose_classrooms_are_cut_once_is_noticed(apex: RunningApex, target: Target) -> None:
    await create(target, "enrollments", enrolment("R1", "s2@example.org"))
    apex.control.post("/faults", json={"kind": "short_page", "path_pattern": "/students/s2[^/]*/classrooms"})
    with pytest.raises(StopRun) as caught:
        await rows_of(target, "enrollments")
    assert caught.value.code == "SRC_UNSTABLE"


@pytest.mark.parametrize("after", [0, 1, 2])
async def test_a_cut_of_any_page_is_noticed_by_the_second_walk(apex: RunningApex, target: Target, after: int) -> None:
    apex.switch(page_size=1)
    apex.control.post("/faults", json={"kind": "short_page", "path_pattern": "/students$", "after": after})
    with pytest.raises(StopRun) as caught:
        await rows_of(target, "students")
    assert caught.value.code == "SRC_UNSTABLE"


async def test_without_a_second_walk_nothing_is_proven(apex: RunningApex) -> None:
    for twice, expected in ((True, 3), (False, None)):
        async with closing(apex.url, lists_asked_twice=twice) as target:
            before = seen(apex)
            reading = target.read("students")
            assert sum([page.rows.height async for page in reading]) == 3
            assert (reading.expected.rows if reading.expected is not None else None) == expected
            assert seen(apex) - before == (4 if twice else 2), "one for the token, one for each walk, one behind"


async def test_only_classrooms_that_a_student_is_or_was_in_are_found_and_no_total_is_claimed(
    apex: RunningApex, target: Target
) -> None:
    await create(target, "enrollments", enrolment("R1", "s1@example.org"))
    await change(target, "enrollments", "delete", "R1/s1@example.org")
    reading = target.read("classrooms")
    found = [row async for page in reading for row in page.rows.iter_rows(named=True)]
    assert [row["import_classroom_id"] for row in found] == ["R1"]
    assert found[0]["start_date"] == "2026-08-17"
    assert reading.expected is None
    assert await target.fetch("classrooms", target_id="R2", key=None) is not None


async def test_lists_with_one_row_for_each_person_are_read_too(apex: RunningApex, target: Target) -> None:
    apex.switch(list_rows="person")
    assert set(await rows_of(target, "students")) == {f"10/s{n}@example.org" for n in (1, 2, 3)}


async def test_students_who_are_archived_everywhere_are_not_asked_for_their_classrooms(
    apex: RunningApex, target: Target
) -> None:
    await create(target, "enrollments", enrolment("R1", "s1@example.org"))
    await change(target, "students", "suspend", "10/s1@example.org")
    assert await rows_of(target, "enrollments") == {}


# --- token, prefix, check ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["expire_in", "expires_in"])
async def test_a_token_is_renewed_before_it_ends_however_its_life_is_spelt(apex: RunningApex, spelling: str) -> None:
    apex.switch(token_expiry_key=spelling, token_seconds=1)

    class Later:
        seconds = 0.0

        def __getattr__(self, name: str) -> Any:
            return getattr(Surroundings().clock, name)

        def monotonic_seconds(self) -> float:
            return self.seconds

    clock = Later()
    async with closing(apex.url, around=Surroundings(sleep=hurry, clock=clock)) as target:
        before = seen(apex)
        await target.fetch("students", target_id="10/s1@example.org", key=None)
        clock.seconds = 0.95
        await target.fetch("students", target_id="10/s1@example.org", key=None)
        assert posts(apex, "/token", since=before) == 2
        entries = apex.control.get("/journal").json()["entries"][before:]
        assert [entry["status"] for entry in entries] == [200] * 4


async def test_a_token_that_ended_early_costs_one_more_request_and_no_write_twice(
    apex: RunningApex, target: Target
) -> None:
    await create(target, "students", student(1))
    apex.control.post("/faults", json={"kind": "unauthorized", "path_pattern": "/students$"})
    await create(target, "students", student(2))
    assert [effect for effect in apex.effects() if "n2@" in effect] == ["created n2@example.org"]


async def test_a_prefix_stands_before_every_path_but_the_token(apex: RunningApex) -> None:
    with running_apex(path_prefix="objects") as behind:
        async with closing(behind.url, path_prefix="objects") as target:
            await create(target, "students", student(1))
            assert "10/n1@example.org" in await rows_of(target, "students")
            assert behind.violations() == []
        async with closing(behind.url) as lost:
            findings = await lost.check()
            assert [(finding.subject, finding.is_good) for finding in findings] == [("settings", False)]
            assert "path_prefix" in findings[0].text
            with pytest.raises(NeedsPerson):
                await rows_of(lost, "students")


async def test_the_writer_has_a_credential_of_its_own() -> None:
    with pytest.raises(NeedsPerson, match="go together"):
        opened("https://api.example", write_client_id="writer")


@pytest.mark.parametrize("prefix", ["/objects", "objects/", "a?b", "../x"])
async def test_a_prefix_that_leads_elsewhere_is_refused(prefix: str) -> None:
    with pytest.raises(AetherError, match="path_prefix"):
        opened("https://api.example", path_prefix=prefix)


def test_the_seed_is_made_of_what_these_tests_say() -> None:
    document = seed()
    assert [person["ImportUserId"] for person in document["students"]] == [seeded(n)["ImportUserId"] for n in (1, 2, 3)]
    assert document["classrooms"][0]["ImportClassroomId"] == classroom("R1")["ImportClassroomId"]


async def test_classrooms_that_are_listed_are_read_whole_and_proven(apex: RunningApex) -> None:
    apex.switch(lists_classrooms=True)
    async with closing(apex.url, classrooms_are_listed=True) as target:
        reading = target.read("classrooms")
        found = [row async for page in reading for row in page.rows.iter_rows(named=True)]
        assert {row["import_classroom_id"] for row in found} >= {"R1", "R2"}
        assert reading.expected is not None
        assert reading.expected.rows == len(found)
