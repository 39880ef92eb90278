"""Two independent clients, unmodified, against a simulated Snipe-IT on a real socket.

`snipeitpyapi` sends no Accept header and no sort, so every request of it is recorded as a violation (P2, L4); it works
because the vendor answers successes in JSON all the same. Its check-in and check-out send a form that they declare as
JSON, which the vendor cannot read (P11): those two are shown to fail. It takes any answer for a success.

`snipepy` asks for JSON, reads errors with status 200 as errors and takes back the HTML escapes. Its models are narrower
than the documented read shapes in three places, so the world here has no warranty and no groups: it wants
`warranty_months` as a number, `warranty_expires` as text and `groups` as a list; and of `/users/me`, a raw row, it can
read the permissions only where there are none. Its lists go without a sort unless
asked; here they are asked. Its answer to a delete is nothing, so effects are read from the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import requests
import snipeitpyapi
from snipepy import (
    Config,
    Snipepy,
    SnipepyAuthError,
    SnipepyForbiddenError,
    SnipepyNotFoundError,
    SnipepyRateLimitError,
    SnipepyServerError,
    SnipepyValidationError,
)
from snipepy._http_client import HttpClient

from simulators.snipeit.access import Rights
from tests.simulators.running_snipeit import SECRETS, Snipe, person, running_snipeit

TOKEN = SECRETS[Rights.SUPERUSER]


@pytest.fixture(scope="module")
def shared_snipe() -> Iterator[Snipe]:
    with running_snipeit() as running:
        yield running


@pytest.fixture
def snipe(shared_snipe: Snipe) -> Snipe:
    shared_snipe.begin_anew()
    return shared_snipe


def client(snipe: Snipe, rights: Rights = Rights.SUPERUSER) -> Snipepy:
    config = Config(url=snipe.url, token=SECRETS[rights])
    return Snipepy(config, HttpClient(config, max_retries=1, retry_after=0))


def test_snipepy_reads_users_and_takes_back_the_escapes(snipe: Snipe) -> None:
    users = client(snipe).users
    assert [user.id for user in users.list_all(sort="id", order="asc")] == [1, 2, 3]
    assert users.get(1).name == "Ada O'Brien"
    assert users.get_by_username("ben").employee_num == "E2"
    assert users.get_by_email("ada@district.example").id == 1
    snipe.done("PATCH", "/users/1", {"permissions": None})
    assert users.get_me().last_name == "O'Brien"
    assert [asset.asset_tag for asset in users.list_assets(2).rows] == ["T1"]


def test_snipepy_walks_pages_of_a_list(snipe: Snipe) -> None:
    for number in range(105):
        snipe.done("POST", "/users", person(username=f"new{number}"))
    assert len({user.id for user in client(snipe).users.list_all(sort="id", order="asc")}) == 108
    assert snipe.violations() == []


def test_snipepy_writes_users(snipe: Snipe) -> None:
    users = client(snipe).users
    made = users.create("dee", "long enough", "long enough", "Dee", employee_num="E4", location_id=2)
    assert made.location is not None
    assert (made.id, made.location.name) == (4, "South")
    assert users.update(4, "dee", "Dee", "O'Neill").last_name == "O'Neill"
    assert users.update_partial(4, jobtitle="R&D").jobtitle == "R&D"
    users.delete(4)
    with pytest.raises(SnipepyValidationError, match="not found"):
        users.get(4)
    assert users.restore(4).id == 4
    assert snipe.effects() == {
        "E4": ["created 4", "updated 4 [last_name]", "updated 4 [jobtitle]", "deleted 4", "updated 4 [deleted_at]"]
    }
    with pytest.raises(SnipepyValidationError, match="assets"):
        users.delete(2)


def test_snipepy_lends_assets(snipe: Snipe) -> None:
    assets = client(snipe).assets
    assert assets.get_by_asset_tag("T1").id == assets.get_by_serial("S1").id == 1
    made = assets.create("T4", 1, 1, name="Ada's", serial="S4")
    assert (made.id, assets.get(4).name) == (4, "Ada's")
    lent = assets.checkout_to_user(4, 3, note="for class")
    assert lent.assigned_to is not None
    assert (lent.assigned_to.id, lent.assigned_to.type) == (3, "user")
    with pytest.raises(SnipepyValidationError, match="not available"):
        assets.checkout_to_location(4, 1)
    assert assets.checkin(4).assigned_to is None
    assert assets.update_partial(4, name="New").name == "New"
    assert [asset.id for asset in assets.list(status="RTD", sort="id", order="asc").rows] == [2, 4]
    assets.audit(4, note="seen")
    assets.delete(4)
    assert assets.restore(4).deleted_at is None
    with pytest.raises((SnipepyNotFoundError, SnipepyValidationError)):
        assets.get_by_serial("none")


def test_snipepy_reads_and_writes_the_other_tables(snipe: Snipe) -> None:
    snipepy = client(snipe)
    assert {label.type for label in snipepy.status_labels.list().rows} == {
        "deployable", "pending", "archived", "undeployable"
    }  # fmt: skip
    assert [model.name for model in snipepy.models.list().rows] == ["Chromebook"]
    assert snipepy.categories.get(1).category_type == "asset"
    assert snipepy.departments.get(1).users_count == 1
    assert snipepy.manufacturers.get(1).name == "Acme"
    assert snipepy.companies.get(1).name == "Bristlecone USD"
    place = snipepy.locations.create(name="West & East")
    assert snipepy.locations.get(place.id).name == "West & East"
    assert snipepy.locations.get(1).users_count == 2
    snipepy.locations.delete(place.id)
    assert snipe.effects() == {"West & East": ["created 4", "deleted 4"]}


def test_snipepy_names_every_refusal_by_its_kind(snipe: Snipe) -> None:
    with pytest.raises(SnipepyForbiddenError):
        client(snipe, Rights.READ).users.delete(3)
    with pytest.raises(SnipepyAuthError):
        config = Config(url=snipe.url, token="nobody")
        Snipepy(config).users.get(1)
    with pytest.raises(SnipepyValidationError, match="must be unique"):
        client(snipe).users.update_partial(3, username="ada")
    snipe.arm("server_error", status=503)
    with pytest.raises(SnipepyServerError):
        client(snipe).users.get(1)
    snipe.arm("too_many_requests", retry_after_seconds=0)
    assert client(snipe).users.get(1).id == 1
    snipe.arm("too_many_requests", retry_after_seconds=0, times=2)
    with pytest.raises(SnipepyRateLimitError):
        client(snipe).users.get(1)


def test_snipeitpyapi_reads_and_writes_users_and_breaks_the_accept_rule(snipe: Snipe) -> None:
    users = snipeitpyapi.Users()
    page = json.loads(users.get(snipe.url, TOKEN, limit=2))
    assert (page["total"], len(page["rows"])) == (3, 2)
    assert users.getID(snipe.url, TOKEN, "ben@district") == 2
    made = json.loads(users.create(snipe.url, TOKEN, json.dumps(person(employee_num="E4"))))
    assert made["payload"]["id"] == 4
    assert users.updateUser(snipe.url, TOKEN, 4, json.dumps({"jobtitle": "Nurse"})) == "success"
    assert json.loads(users.getDetailsByID(snipe.url, TOKEN, 4))["jobtitle"] == "Nurse"
    assert json.loads(users.getCheckedOutAssets(snipe.url, TOKEN, 2))["rows"][0]["asset_tag"] == "T1"
    assert users.delete(snipe.url, TOKEN, 4) == "success"
    assert snipe.effects() == {"E4": ["created 4", "updated 4 [jobtitle]", "deleted 4"]}
    assert {"P2", "L4"} <= set(snipe.violations())


def test_snipeitpyapi_reads_and_writes_assets_and_locations(snipe: Snipe) -> None:
    assets, locations = snipeitpyapi.Assets(), snipeitpyapi.Locations()
    assert json.loads(assets.getDetailsByTag(snipe.url, TOKEN, "T1"))["id"] == 1
    assert json.loads(assets.getDetailsBySerial(snipe.url, TOKEN, "S2"))["rows"][0]["id"] == 2
    body = {"asset_tag": "T4", "model_id": 1, "status_id": 1}
    assert json.loads(assets.create(snipe.url, TOKEN, json.dumps(body)))["payload"]["id"] == 4
    assert assets.updateDevice(snipe.url, TOKEN, 4, json.dumps({"name": "Four"})) == "success"
    assert json.loads(assets.getAssetsByCategory(snipe.url, TOKEN, 1))["total"] == 3
    assert assets.delete(snipe.url, TOKEN, 4) == "success"
    assert json.loads(assets.getAuditDue(snipe.url, TOKEN))["total"] == 0
    assert json.loads(locations.create(snipe.url, TOKEN, json.dumps({"name": "West"})))["payload"]["id"] == 4
    assert locations.updateLocation(snipe.url, TOKEN, 4, json.dumps({"city": "Fresno"})) == "success"
    assert locations.delete(snipe.url, TOKEN, 4) == "success"
    assert snipe.effects() == {
        "T4": ["created 4", "updated 4 [name]", "deleted 4"],
        "West": ["created 4", "updated 4 [city]", "deleted 4"],
    }


def test_snipeitpyapi_reads_the_other_tables(snipe: Snipe) -> None:
    for api, name in (
        (snipeitpyapi.StatusLabels(), "Ready"),
        (snipeitpyapi.Models(), "Chromebook"),
        (snipeitpyapi.Categories(), "Laptops"),
        (snipeitpyapi.Manufacturers(), "Acme"),
        (snipeitpyapi.Company(), "Bristlecone USD"),
    ):
        assert name in {row["name"] for row in json.loads(api.get(snipe.url, TOKEN))["rows"]}


def test_snipeitpyapi_cannot_check_in_because_its_json_is_a_form(snipe: Snipe) -> None:
    with pytest.raises(requests.exceptions.JSONDecodeError):
        snipeitpyapi.Assets().checkInAsset(snipe.url, TOKEN, 1, note="x")
    assert snipe.effects() == {}
