"""Users of the simulated Google account: rules U, and V1 and V3."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.simulators.running_google_directory import Google, fresh, new_person, person, reason, running_google, seed


@pytest.fixture(scope="module")
def shared() -> Iterator[Google]:
    with running_google() as running:
        yield running


@pytest.fixture
def google(shared: Google) -> Iterator[Google]:
    yield from fresh(shared)


def test_a_created_user_has_an_id_a_unit_and_no_password(google: Google) -> None:
    answer = google.api.post("/users", json=new_person(hashFunction="MD5", orgUnitPath="/staff"))
    user = answer.json()
    assert answer.status_code == 200
    assert user["orgUnitPath"] == "/Staff"
    assert user["name"]["fullName"] == "Nia New"
    assert user["customerId"] == "C00test00"
    assert user["creationTime"] == google.clock.now.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert user["emails"] == [{"address": "new@school.example", "primary": True}]
    assert not user.keys() & {"password", "hashFunction"}
    assert google.api.get(f"/users/{user['id']}").json()["primaryEmail"] == "new@school.example"
    assert google.effects() == {"new@school.example": [f"created {user['id']}"]}


def test_without_a_unit_a_user_is_in_the_root_and_a_wrong_one_is_refused(google: Google) -> None:
    assert google.api.post("/users", json=new_person()).json()["orgUnitPath"] == "/"
    refused = google.api.post("/users", json=new_person("b@school.example", orgUnitPath="/Nowhere"))
    assert reason(refused) == (400, "invalid")
    assert "INVALID_OU_ID" in refused.json()["error"]["message"]


@pytest.mark.parametrize("missing", ["primaryEmail", "name", "password"])
def test_what_a_creation_needs_is_required_and_recorded(google: Google, missing: str) -> None:
    body = {name: value for name, value in new_person().items() if name != missing}
    assert reason(google.api.post("/users", json=body)) == (400, "required")
    assert google.violated() == ["U1"]


@pytest.mark.parametrize("members", [{"password": "short"}, {"password": "pässwörter"}, {"hashFunction": "rot13"}])
def test_a_bad_password_is_refused(google: Google, members: dict[str, Any]) -> None:
    assert reason(google.api.post("/users", json=new_person(**members))) == (400, "invalid")
    assert google.violated() == ["U2"]


def test_an_address_must_be_free_and_of_an_own_domain(google: Google) -> None:
    assert reason(google.api.post("/users", json=new_person("P1@school.example"))) == (409, "duplicate")
    assert reason(google.api.post("/users", json=new_person("all@school.example"))) == (409, "duplicate")
    assert reason(google.api.post("/users", json=new_person("a@foreign.example"))) == (404, "notFound")
    assert google.effects() == {}


def test_put_leaves_what_is_absent_clears_what_is_null_and_replaces_arrays_whole(google: Google) -> None:
    phones = [{"type": "work", "value": "1"}, {"type": "home", "value": "2"}]
    google.api.put("/users/p1@school.example", json={"phones": phones, "recoveryEmail": "r@else.example"})
    answer = google.api.put("/users/p1@school.example", json={"phones": phones[:1], "recoveryEmail": None})
    user = answer.json()
    assert user["phones"] == phones[:1]
    assert "recoveryEmail" not in user
    assert user["externalIds"] == person(1)["externalIds"]
    cleared = google.api.put("/users/p1@school.example", json={"phones": None, "externalIds": []}).json()
    assert not cleared.keys() & {"phones", "externalIds"}
    assert google.effects()["E0001"] == [
        f"updated {person(1)['id']} [phones, recoveryEmail]",
        f"updated {person(1)['id']} [phones, recoveryEmail]",
    ]


def test_put_merges_the_name(google: Google) -> None:
    google.api.put("/users/p1@school.example", json={"name": {"displayName": "P."}})
    name = google.api.put("/users/p1@school.example", json={"name": {"givenName": "Paz"}}).json()["name"]
    assert name == {
        "givenName": "Paz",
        "familyName": "Sample001",
        "fullName": "Paz Sample001",
        "displayName": "P.",
    }
    assert reason(google.api.put("/users/p1@school.example", json={"name": {"familyName": None}})) == (400, "invalid")


@pytest.mark.parametrize("empty", [None, []])
def test_patch_cannot_clear_repeated_fields_and_says_nothing(google: Google, empty: Any) -> None:
    answer = google.api.patch("/users/p1@school.example", json={"externalIds": empty, "recoveryEmail": "r@x.example"})
    assert answer.status_code == 200
    assert answer.json()["externalIds"] == person(1)["externalIds"]
    assert answer.json()["recoveryEmail"] == "r@x.example"
    assert google.violated() == ["U7"]


def test_read_only_fields_are_silently_ignored(google: Google) -> None:
    before = google.api.get("/users/p1@school.example").json()
    body = {
        "isAdmin": True,
        "id": "7",
        "suspensionReason": "X",
        "creationTime": "2000-01-01T00:00:00Z",
        "aliases": ["x"],
    }
    answer = google.api.put("/users/p1@school.example", json=body)
    assert (answer.status_code, answer.json()) == (200, before)
    assert google.effects() == {}
    assert google.violated() == []


def test_a_change_of_nothing_is_no_effect_and_keeps_the_etag(google: Google) -> None:
    before = google.api.get("/users/p1@school.example").json()
    same = google.api.put("/users/p1@school.example", json={"suspended": False, "name": {"givenName": "Pat"}})
    assert same.json()["etag"] == before["etag"]
    changed = google.api.put("/users/p1@school.example", json={"suspended": True})
    assert changed.json()["etag"] != before["etag"]


def test_a_rename_keeps_the_old_address_as_an_alias_that_nobody_else_gets(google: Google) -> None:
    user = google.api.put("/users/p1@school.example", json={"primaryEmail": "q1@school.example"}).json()
    assert user["primaryEmail"] == "q1@school.example"
    assert user["aliases"] == ["p1@school.example"]
    assert google.api.get("/users/p1@school.example").json()["id"] == user["id"]
    assert reason(google.api.post("/users", json=new_person("p1@school.example"))) == (409, "duplicate")
    listed = google.api.get("/users/q1@school.example/aliases").json()["aliases"]
    assert [item["alias"] for item in listed] == ["p1@school.example"]
    back = google.api.put(f"/users/{user['id']}", json={"primaryEmail": "p1@school.example"}).json()
    assert (back["primaryEmail"], back["aliases"]) == ("p1@school.example", ["q1@school.example"])


def test_an_alias_can_be_added_and_taken_away_and_is_free_then(google: Google) -> None:
    added = google.api.post("/users/p1@school.example/aliases", json={"alias": "pat@school.example"})
    assert added.json()["alias"] == "pat@school.example"
    assert google.api.get("/users/pat@school.example").status_code == 200
    assert google.api.delete("/users/p1@school.example/aliases/pat@school.example").status_code == 204
    assert reason(google.api.delete("/users/p1@school.example/aliases/pat@school.example")) == (404, "notFound")
    assert google.api.post("/users", json=new_person("pat@school.example")).status_code == 200
    assert reason(google.api.post("/users/p1@school.example/aliases", json={})) == (400, "required")


def test_suspended_and_archived_are_independent(google: Google) -> None:
    user = google.api.put("/users/p1@school.example", json={"suspended": True}).json()
    assert (user["suspended"], user["archived"], user["suspensionReason"]) == (True, False, "ADMIN")
    user = google.api.put("/users/p1@school.example", json={"archived": True, "suspended": False}).json()
    assert (user["suspended"], user["archived"]) == (False, True)
    assert "suspensionReason" not in user
    assert user["archivalTime"]


def test_a_deleted_user_is_listed_for_twenty_days_and_comes_back_by_id(google: Google) -> None:
    user_id = person(1)["id"]
    assert google.api.delete("/users/p1@school.example").status_code == 204
    assert reason(google.api.get(f"/users/{user_id}")) == (404, "notFound")
    gone = google.api.get("/users", params={"customer": "my_customer", "showDeleted": "true"}).json()["users"]
    assert [(row["id"], row["primaryEmail"], "name" in row) for row in gone] == [(user_id, "p1@school.example", False)]
    assert reason(google.api.post("/users", json=new_person("p1@school.example"))) == (409, "duplicate")
    assert reason(google.api.post("/users/p1@school.example/undelete", json={})) == (400, "invalid")
    assert google.violated() == ["U12"]
    back = google.api.post(f"/users/{user_id}/undelete", json={"orgUnitPath": "/Staff"})
    assert (back.status_code, back.content) == (204, b"")
    assert google.api.get("/users/p1@school.example").json()["orgUnitPath"] == "/Staff"
    assert google.effects()["E0001"] == [f"deleted {user_id}", f"updated {user_id} [deleted]"]


def test_after_twenty_days_a_deleted_user_is_gone_and_its_address_free(google: Google) -> None:
    google.api.delete("/users/p1@school.example")
    google.clock.pass_seconds(timedelta(days=20).total_seconds())
    google.authorise()
    deleted = google.api.get("/users", params={"customer": "my_customer", "showDeleted": "true"}).json()
    assert "users" not in deleted
    assert reason(google.api.post(f"/users/{person(1)['id']}/undelete", json={})) == (404, "notFound")
    assert google.api.post("/users", json=new_person("p1@school.example")).status_code == 200


def test_the_address_of_a_deleted_user_is_free_at_once_when_switched(google: Google) -> None:
    google.switch(deleted_address_blocks=False)
    google.api.delete("/users/p1@school.example")
    assert google.api.post("/users", json=new_person("p1@school.example")).status_code == 200
    assert reason(google.api.post(f"/users/{person(1)['id']}/undelete", json={})) == (409, "duplicate")


def test_a_deleted_user_leaves_its_groups(google: Google) -> None:
    google.api.delete("/users/p1@school.example")
    assert "members" not in google.api.get("/groups/g1/members").json()


@pytest.mark.parametrize(("outcome", "code"), [("replace", 200), ("invite", 202), ("keep", 409)])
def test_a_conflict_with_an_unmanaged_account_ends_in_three_ways(google: Google, outcome: str, code: int) -> None:
    google.begin(seed(conflictAccounts={"new@school.example": outcome}))
    answer = google.api.post("/users", json=new_person(), params={"resolveConflictAccount": "true"})
    assert answer.status_code == code
    is_there = google.api.get("/users/new@school.example").status_code == 200
    assert is_there is (outcome == "replace")


def test_an_administrator_is_made_and_unmade(google: Google) -> None:
    assert google.api.post("/users/p1@school.example/makeAdmin", json={"status": True}).status_code == 204
    assert google.api.get("/users/p1@school.example").json()["isAdmin"] is True
    assert reason(google.api.post("/users/p1@school.example/makeAdmin", json={})) == (400, "required")
    assert google.api.post("/users/p1@school.example/signOut").status_code == 204


def test_custom_schemas_show_only_in_the_projection_that_asks_for_them(google: Google) -> None:
    google.begin(_with_schemas())
    google.api.put(
        "/users/p1@school.example", json={"customSchemas": {"Sync": {"key": "K1", "tags": [{"value": "a"}]}}}
    )
    assert "customSchemas" not in google.api.get("/users/p1@school.example").json()
    whole = {"Sync": {"key": "K1", "tags": [{"value": "a"}]}}
    for query in ({"projection": "full"}, {"projection": "custom", "customFieldMask": "Sync"}):
        assert google.api.get("/users/p1@school.example", params=query).json()["customSchemas"] == whole
    other = google.api.get("/users/p1@school.example", params={"projection": "custom", "customFieldMask": "Other"})
    assert "customSchemas" not in other.json()


def test_custom_values_are_merged_cleared_by_null_and_must_fit_the_schema(google: Google) -> None:
    google.begin(_with_schemas())
    path = "/users/p1@school.example"
    google.api.put(path, json={"customSchemas": {"Sync": {"key": "K1", "tags": [{"value": "a"}]}}})
    patched = google.api.patch(path, json={"customSchemas": {"Sync": {"key": None, "tags": None}}}).json()
    assert patched["customSchemas"] == {"Sync": {"tags": [{"value": "a"}]}}
    assert "customSchemas" not in google.api.put(path, json={"customSchemas": {"Sync": {"tags": None}}}).json()
    for bad in ({"Other": {"key": "x"}}, {"Sync": {"nokey": "x"}}, {"Sync": {"key": 7}}):
        assert reason(google.api.put(path, json={"customSchemas": bad})) == (400, "invalid")
    assert google.violated() == ["U7", "S2", "S2", "S2"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("email:p1*", [1]),
        ("email=p2@school.example", [2]),
        ("familyName='Sample003'", [3]),
        ("orgUnitPath='/Staff/North Side'", [2]),
        ("isSuspended=true", [3]),
        ("externalId=E0002 givenName:pat", [2]),
        ("email:nobody*", []),
    ],
)
def test_a_query_finds_exactly_what_fits(google: Google, query: str, ids: list[int]) -> None:
    people = [person(1), person(2, orgUnitPath="/Staff/North Side"), person(3, suspended=True)]
    google.begin(seed(0, users=[*seed(0)["users"], *people]))
    pages = google.walk("/users", "users", customer="my_customer", query=query)
    assert pages == [[person(number)["id"] for number in ids]]


def test_a_query_that_cannot_be_read_is_refused(google: Google) -> None:
    answer = google.api.get("/users", params={"customer": "my_customer", "query": "shoeSize=44"})
    assert reason(answer) == (400, "invalid")
    assert google.violated() == ["U16"]


def test_lists_are_of_one_domain_and_in_the_order_asked_for(google: Google) -> None:
    google.api.post("/users", json=new_person("a@other.example"))
    only = google.api.get("/users", params={"domain": "other.example"}).json()["users"]
    assert [user["primaryEmail"] for user in only] == ["a@other.example"]
    ordered = google.api.get(
        "/users", params={"customer": "C00test00", "orderBy": "email", "sortOrder": "DESCENDING"}
    ).json()["users"]
    assert [user["primaryEmail"].split("@")[0] for user in ordered] == ["p3", "p2", "p1", "admin", "a"]
    assert reason(google.api.get("/users", params={"domain": "foreign.example"})) == (404, "notFound")


def test_the_public_view_shows_less(google: Google) -> None:
    user = google.api.get("/users/p1@school.example", params={"viewType": "domain_public"}).json()
    assert user["primaryEmail"] == "p1@school.example"
    assert not user.keys() & {"isAdmin", "orgUnitPath", "suspended"}


def test_one_user_more_than_there_are_seats_is_refused(google: Google) -> None:
    google.switch(user_seats=5)
    assert google.api.post("/users", json=new_person("a@school.example")).status_code == 200
    assert reason(google.api.post("/users", json=new_person("b@school.example"))) == (412, "limitExceeded")


def test_a_new_user_cannot_be_changed_before_its_creation_is_complete(google: Google) -> None:
    google.switch(user_settling_seconds=30)
    user_id = google.api.post("/users", json=new_person()).json()["id"]
    for answer in (
        google.api.put(f"/users/{user_id}", json={"suspended": True}),
        google.api.delete(f"/users/{user_id}"),
    ):
        assert answer.status_code == 412
        assert "User creation is not complete" in answer.json()["error"]["message"]
    google.switch(user_settling_code=403)
    assert google.api.put(f"/users/{user_id}", json={"suspended": True}).status_code == 403
    assert google.api.get(f"/users/{user_id}").status_code == 200
    google.clock.pass_seconds(30)
    assert google.api.put(f"/users/{user_id}", json={"suspended": True}).status_code == 200


def test_a_rename_reaches_readers_late(google: Google) -> None:
    google.switch(rename_settling_seconds=600)
    user_id = person(1)["id"]
    written = google.api.put(f"/users/{user_id}", json={"primaryEmail": "q1@school.example"}).json()
    assert written["primaryEmail"] == "q1@school.example"
    assert reason(google.api.get("/users/q1@school.example")) == (404, "notFound")
    assert google.api.get(f"/users/{user_id}").json()["primaryEmail"] == "p1@school.example"
    assert google.api.get("/groups/g1/members").json()["members"][0]["email"] == "p1@school.example"
    google.clock.pass_seconds(600)
    assert google.api.get("/users/q1@school.example").json()["primaryEmail"] == "q1@school.example"
    assert google.api.get("/groups/g1/members").json()["members"][0]["email"] == "q1@school.example"


def _with_schemas() -> dict[str, Any]:
    fields = [
        {"fieldName": "key", "fieldType": "STRING"},
        {"fieldName": "tags", "fieldType": "STRING", "multiValued": True},
    ]
    return seed(schemas=[{"schemaName": "Sync", "displayName": "Sync", "fields": fields}])
