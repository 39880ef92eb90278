"""Organisational units and custom schemas of the simulated Google account: rules O and S."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulators.running_google_directory import Google, fresh, person, reason, running_google, seed

UNITS = "/customer/my_customer/orgunits"


@pytest.fixture(scope="module")
def shared() -> Iterator[Google]:
    with running_google() as running:
        yield running


@pytest.fixture
def google(shared: Google) -> Iterator[Google]:
    yield from fresh(shared)


def write(google: Google, verb: str, path: str, body: dict[str, Any]) -> Any:
    """Write a unit in a second of its own: there is a limit of one."""
    google.clock.pass_seconds(1)
    return google.api.request(verb, path, json=body)


def test_a_unit_is_made_below_a_path_or_an_id_and_answers_201(google: Google) -> None:
    made = write(google, "POST", UNITS, {"name": "East", "parentOrgUnitPath": "/Staff"})
    assert (made.status_code, made.json()["orgUnitPath"]) == (201, "/Staff/East")
    below = write(google, "POST", UNITS, {"name": "Room", "parentOrgUnitId": made.json()["orgUnitId"]})
    assert below.json()["orgUnitPath"] == "/Staff/East/Room"
    google.switch(orgunit_write_code=200)
    assert write(google, "POST", UNITS, {"name": "West", "parentOrgUnitPath": "/"}).status_code == 200
    assert google.effects()["/Staff/East"] == [f"created {made.json()['orgUnitId']}"]


def test_units_are_listed_as_children_all_or_with_their_parent(google: Google) -> None:
    def paths(**query: str) -> list[str]:
        return [unit["orgUnitPath"] for unit in google.api.get(UNITS, params=query).json().get("organizationUnits", [])]

    assert paths() == ["/Staff"]
    assert paths(type="all") == ["/Staff", "/Staff/North Side"]
    assert paths(type="allIncludingParent") == ["/", "/Staff", "/Staff/North Side"]
    assert paths(orgUnitPath="/Staff") == ["/Staff/North Side"]
    assert paths(orgUnitPath="/Staff", type="allIncludingParent") == ["/Staff", "/Staff/North Side"]
    assert paths(orgUnitPath="/Staff/North Side") == []
    assert reason(google.api.get(UNITS, params={"orgUnitPath": "/Nowhere"})) == (404, "notFound")


def test_a_unit_is_found_by_its_path_without_the_first_slash_or_by_id(google: Google) -> None:
    unit = google.api.get(f"{UNITS}/Staff/North%20Side").json()
    assert unit["name"] == "North Side"
    assert google.api.get(f"{UNITS}/{unit['orgUnitId']}").json() == unit
    assert google.api.get(f"{UNITS}/staff/north%20side").json() == unit
    assert google.api.get(f"/customer/C00test00/orgunits/{unit['parentOrgUnitId']}").json()["orgUnitPath"] == "/Staff"
    assert reason(google.api.get(f"{UNITS}/Nowhere")) == (404, "notFound")
    assert google.violated() == []
    assert reason(google.api.get(f"{UNITS}//Staff")) == (400, "invalid")
    assert google.violated() == ["O6"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "A"}, (400, "required")),
        ({"parentOrgUnitPath": "/"}, (400, "required")),
        ({"name": "A/B", "parentOrgUnitPath": "/"}, (400, "invalid")),
        ({"name": "A", "parentOrgUnitPath": "/Nowhere"}, (400, "invalid")),
        ({"name": "sTaFF", "parentOrgUnitPath": "/"}, (409, "duplicate")),
    ],
)
def test_a_unit_that_cannot_be_is_refused(google: Google, body: dict[str, Any], expected: tuple[int, str]) -> None:
    assert reason(write(google, "POST", UNITS, body)) == expected
    assert google.effects() == {}


def test_a_taken_name_is_refused_in_the_other_way_when_switched(google: Google) -> None:
    google.switch(orgunit_duplicate="invalid")
    assert reason(write(google, "POST", UNITS, {"name": "Staff", "parentOrgUnitPath": "/"})) == (400, "invalid")


def test_units_go_thirty_five_levels_deep_and_no_further(google: Google) -> None:
    paths = ["/" + "/".join(["L"] * depth) for depth in range(1, 36)]
    google.begin(seed(orgUnits=[{"orgUnitPath": path} for path in paths]))
    assert reason(write(google, "POST", UNITS, {"name": "L", "parentOrgUnitPath": paths[-1]})) == (400, "invalid")
    made = write(google, "POST", UNITS, {"name": "M", "parentOrgUnitPath": "/"})
    moved = write(google, "PUT", f"{UNITS}/L", {"parentOrgUnitPath": "/M"})
    assert (made.status_code, reason(moved)) == (201, (400, "invalid"))


def test_a_renamed_unit_takes_everything_below_along(google: Google) -> None:
    users = [*seed(0)["users"], person(1, orgUnitPath="/Staff/North Side")]
    google.begin(seed(0, users=users, groups=[]))
    answer = write(google, "PUT", f"{UNITS}/Staff", {"name": "Team", "description": "d"})
    assert (answer.status_code, answer.json()["orgUnitPath"]) == (201, "/Team")
    assert google.api.get("/users/p1@school.example").json()["orgUnitPath"] == "/Team/North Side"
    assert reason(google.api.get(f"{UNITS}/Staff")) == (404, "notFound")
    moved = write(google, "PATCH", f"{UNITS}/Team/North%20Side", {"parentOrgUnitPath": "/"})
    assert moved.json()["orgUnitPath"] == "/North Side"
    assert moved.json()["parentOrgUnitPath"] == "/"
    assert reason(write(google, "PUT", f"{UNITS}/Team", {"parentOrgUnitPath": "/Team"})) == (400, "invalid")


def test_a_unit_with_users_or_units_in_it_cannot_be_deleted(google: Google) -> None:
    assert reason(google.api.delete(f"{UNITS}/Staff")) == (412, "conditionNotMet")
    google.api.put("/users/p1@school.example", json={"orgUnitPath": "/Staff/North Side"})
    assert reason(google.api.delete(f"{UNITS}/Staff/North%20Side")) == (412, "conditionNotMet")
    google.api.put("/users/p1@school.example", json={"orgUnitPath": "/"})
    assert google.api.delete(f"{UNITS}/Staff/North%20Side").status_code == 204
    assert google.api.delete(f"{UNITS}/Staff").status_code == 204
    assert "organizationUnits" not in google.api.get(UNITS, params={"type": "all"}).json()


def test_a_foreign_customer_is_refused(google: Google) -> None:
    assert reason(google.api.get("/customer/C99/orgunits")) == (400, "badRequest")
    assert reason(google.api.get("/users", params={"customer": "C99"})) == (400, "badRequest")
    assert google.violated() == ["C8", "C8"]


def test_schemas_are_made_read_changed_and_deleted(google: Google) -> None:
    path = "/customer/my_customer/schemas"
    body = {"schemaName": "Sync", "displayName": "Sync", "fields": [{"fieldName": "key", "fieldType": "STRING"}]}
    schema = google.api.post(path, json=body).json()
    assert google.api.get(f"{path}/Sync").json() == schema
    assert google.api.get(path).json()["schemas"] == [schema]
    assert reason(google.api.post(path, json=body)) == (409, "duplicate")
    assert reason(google.api.post(path, json={"schemaName": "Other"})) == (400, "required")
    changed = google.api.patch(f"{path}/{schema['schemaId']}", json={"displayName": "Sync it"}).json()
    assert (changed["displayName"], changed["etag"] == schema["etag"]) == ("Sync it", False)
    assert google.api.delete(f"{path}/Sync").status_code == 204
    assert reason(google.api.get(f"{path}/Sync")) == (404, "notFound")
    assert google.effects()["Sync"][1] == f"updated {schema['schemaId']} [displayName]"
