"""Groups and members of the simulated Google account: rules G and M, and V2, V4 and V5."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.simulators.running_google_directory import Google, fresh, person, reason, running_google, seed


@pytest.fixture(scope="module")
def shared() -> Iterator[Google]:
    with running_google() as running:
        yield running


@pytest.fixture
def google(shared: Google) -> Iterator[Google]:
    yield from fresh(shared)


def test_a_created_group_has_an_id_and_a_count_in_text(google: Google) -> None:
    answer = google.api.post("/groups", json={"email": "new@school.example", "name": "New", "description": "d"})
    group = answer.json()
    assert (answer.status_code, group["directMembersCount"], group["name"]) == (200, "0", "New")
    assert google.api.get(f"/groups/{group['id']}").json() == group
    assert google.api.get("/groups/g1").json()["directMembersCount"] == "1"
    assert reason(google.api.post("/groups", json={"name": "x"})) == (400, "required")
    assert reason(google.api.post("/groups", json={"email": "p1@school.example"})) == (409, "duplicate")
    assert google.effects() == {"new@school.example": [f"created {group['id']}"]}


def test_groups_are_listed_by_account_domain_or_member(google: Google) -> None:
    def found(**query: str) -> list[str]:
        return [group["id"] for group in google.api.get("/groups", params=query).json().get("groups", [])]

    assert found(customer="my_customer") == ["g1", "g2"]
    assert found(customer="my_customer", orderBy="email", sortOrder="DESCENDING") == ["g2", "g1"]
    assert found(domain="other.example") == []
    assert found(userKey="p1@school.example") == ["g1"]
    assert found(userKey=person(2)["id"]) == []
    assert found(customer="my_customer", query="email:few*") == ["g2"]
    assert found(customer="my_customer", query="memberKey=p1@school.example") == ["g1"]
    assert reason(google.api.get("/groups")) == (400, "badRequest")
    both = google.api.get("/groups", params={"customer": "my_customer", "userKey": "p1@school.example"})
    assert reason(both) == (400, "invalid")
    assert google.violated() == ["P1", "G1"]


def test_a_group_is_changed_renamed_and_deleted(google: Google) -> None:
    renamed = google.api.put("/groups/g1", json={"email": "every@school.example"}).json()
    assert (renamed["name"], renamed["aliases"]) == ("All", ["all@school.example"])
    assert google.api.patch("/groups/all@school.example", json={"name": "Every"}).json()["name"] == "Every"
    assert google.api.get("/groups/g1/aliases").json()["aliases"][0]["alias"] == "all@school.example"
    assert google.api.delete("/groups/g1/aliases/all@school.example").status_code == 204
    assert google.api.post("/groups/g1/aliases", json={"alias": "e@school.example"}).status_code == 200
    assert google.api.delete("/groups/every@school.example").status_code == 204
    assert reason(google.api.delete("/groups/g1")) == (404, "notFound")
    assert "groups" not in google.api.get("/groups", params={"userKey": "p1@school.example"}).json()
    assert google.effects()["every@school.example"][0] == "updated g1 [email]"


def test_a_member_is_added_once_and_a_second_time_is_a_duplicate(google: Google) -> None:
    answer = google.api.post("/groups/g1/members", json={"email": "p2@school.example", "role": "MANAGER"})
    member = answer.json()
    assert (answer.status_code, member["id"], member["role"], member["type"], member["status"]) == (
        200,
        person(2)["id"],
        "MANAGER",
        "USER",
        "ACTIVE",
    )
    again = google.api.post("/groups/g1/members", json={"id": person(2)["id"]})
    assert reason(again) == (409, "duplicate")
    assert again.json()["error"]["message"] == "Member already exists."
    assert google.effects() == {"all@school.example/p2@school.example": [f"created g1/{person(2)['id']}"]}


def test_members_of_every_kind(google: Google) -> None:
    bodies: list[dict[str, str]] = [
        {"email": "out@side.example"},
        {"email": "few@school.example"},
        {"id": "C00test00"},
    ]
    added = [google.api.post("/groups/g1/members", json=body).json() for body in bodies]
    assert [member["type"] for member in added] == ["EXTERNAL", "GROUP", "CUSTOMER"]
    listed = google.api.get("/groups/g1/members").json()["members"]
    assert [member["type"] for member in listed] == ["USER", "EXTERNAL", "GROUP", "CUSTOMER"]
    assert google.api.get("/groups/g1/members/out@side.example").json()["id"] == added[0]["id"]


def test_a_suspended_member_is_shown_as_suspended(google: Google) -> None:
    google.api.put("/users/p1@school.example", json={"suspended": True})
    assert google.api.get("/groups/g1/members/p1@school.example").json()["status"] == "SUSPENDED"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (400, "required")),
        ({"email": "nobody@school.example"}, (404, "notFound")),
        ({"email": "p2@school.example", "role": "BOSS"}, (400, "invalid")),
        ({"email": "p2@school.example", "delivery_settings": "PIGEON"}, (400, "invalid")),
    ],
)
def test_a_member_that_cannot_be_is_refused(google: Google, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert reason(google.api.post("/groups/g1/members", json=body)) == expected


def test_a_membership_is_changed_found_by_role_and_ended(google: Google) -> None:
    path = "/groups/g1/members/p1@school.example"
    assert google.api.patch(path, json={"role": "OWNER", "delivery_settings": "DIGEST"}).json()["role"] == "OWNER"
    assert google.walk("/groups/g1/members", "members", roles="OWNER,MANAGER") == [[person(1)["id"]]]
    assert google.walk("/groups/g1/members", "members", roles="MEMBER") == [[]]
    assert google.api.put(path, json={"role": "OWNER"}).json()["delivery_settings"] == "DIGEST"
    assert google.api.delete(path).status_code == 204
    assert reason(google.api.delete(path)) == (404, "notFound")
    assert reason(google.api.get(path)) == (404, "notFound")
    link = f"g1/{person(1)['id']}"
    assert google.effects() == {
        "all@school.example/p1@school.example": [f"updated {link} [role, delivery]", f"deleted {link}"]
    }


def test_has_member_looks_through_nested_groups_and_refuses_outsiders(google: Google) -> None:
    google.api.post("/groups/g2/members", json={"email": "all@school.example"})
    assert google.api.get("/groups/g2/hasMember/p1@school.example").json() == {"isMember": True}
    assert google.api.get("/groups/g2/hasMember/p2@school.example").json() == {"isMember": False}
    assert reason(google.api.get("/groups/g2/hasMember/out@side.example")) == (400, "invalid")


def test_derived_members_are_listed_only_when_asked_for(google: Google) -> None:
    google.api.post("/groups/g2/members", json={"email": "all@school.example"})
    assert google.walk("/groups/g2/members", "members") == [["g1"]]
    assert google.walk("/groups/g2/members", "members", includeDerivedMembership="true") == [["g1", person(1)["id"]]]


def test_a_cycle_of_groups_is_refused(google: Google) -> None:
    google.api.post("/groups/g2/members", json={"email": "all@school.example"})
    for group, member in (("g1", "few@school.example"), ("g1", "all@school.example")):
        answer = google.api.post(f"/groups/{group}/members", json={"email": member})
        assert "Cyclic memberships not allowed" in answer.json()["error"]["message"]


def test_a_new_group_is_not_found_at_first(google: Google) -> None:
    google.switch(group_settling_seconds=20)
    group_id = google.api.post("/groups", json={"email": "new@school.example"}).json()["id"]

    def join() -> httpx.Response:
        return google.api.post(f"/groups/{group_id}/members", json={"email": "p1@school.example"})

    refused = join()
    assert reason(refused) == (404, "notFound")
    assert refused.json()["error"]["message"] == "Resource Not Found: groupKey"
    assert google.walk("/groups", "groups", customer="my_customer") == [["g1", "g2"]]
    google.clock.pass_seconds(20)
    assert join().status_code == 200


def test_a_new_member_is_not_seen_at_first_and_yet_is_one(google: Google) -> None:
    google.switch(member_settling_seconds=60)
    google.api.post("/groups/g1/members", json={"email": "p2@school.example"})
    assert google.walk("/groups/g1/members", "members") == [[person(1)["id"]]]
    assert google.api.get("/groups/g1").json()["directMembersCount"] == "1"
    assert google.api.get("/groups/g1/hasMember/p2@school.example").json() == {"isMember": False}
    assert reason(google.api.post("/groups/g1/members", json={"email": "p2@school.example"})) == (409, "duplicate")
    google.clock.pass_seconds(60)
    assert google.walk("/groups/g1/members", "members") == [[person(1)["id"], person(2)["id"]]]


def test_a_nested_group_takes_a_while_to_bring_its_members(google: Google) -> None:
    google.switch(nested_settling_seconds=600)
    google.api.post("/groups/g2/members", json={"email": "all@school.example"})
    assert google.api.get("/groups/g2/hasMember/p1@school.example").json() == {"isMember": False}
    google.clock.pass_seconds(600)
    assert google.api.get("/groups/g2/hasMember/p1@school.example").json() == {"isMember": True}


def test_members_are_paged_by_two_hundred(google: Google) -> None:
    members = [{"email": f"out{number}@side.example"} for number in range(450)]
    google.begin(seed(groups=[{"id": "g9", "email": "big@school.example", "members": members}]))
    pages = google.walk("/groups/g9/members", "members")
    assert [len(page) for page in pages] == [200, 200, 50]
    assert len({member for page in pages for member in page}) == 450
    assert reason(google.api.get("/groups/g9/members", params={"maxResults": "201"})) == (400, "invalid")
    assert google.violated() == ["P2"]
