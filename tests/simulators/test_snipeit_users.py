"""What a simulated Snipe-IT does to its users: README rules U and W."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulators.snipeit.access import Rights
from tests.simulators.running_snipeit import Snipe, person, running_snipeit


@pytest.fixture(scope="module")
def shared_snipe() -> Iterator[Snipe]:
    with running_snipeit() as running:
        yield running


@pytest.fixture
def snipe(shared_snipe: Snipe) -> Snipe:
    shared_snipe.begin_anew()
    return shared_snipe


def test_a_created_user_is_read_with_what_was_sent(snipe: Snipe) -> None:  # U1, U14
    body = person(employee_num="E4", email="dee@district.example", zip="90210", manager_id=1, location_id="2", vip=1)
    payload = snipe.done("POST", "/users", body)
    shown = snipe.get(f"/users/{payload['id']}")
    assert payload == shown
    assert (shown["id"], shown["employee_num"], shown["zip"], shown["vip"]) == (4, "E4", "90210", True)
    assert (shown["manager"]["id"], shown["location"]) == (1, {"id": 2, "name": "South"})
    assert shown["groups"] is None
    assert "password" not in shown
    assert snipe.effects() == {"E4": ["created 4"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (person(first_name=None), "first_name"),
        ({name: value for name, value in person().items() if name != "username"}, "username"),
        ({"first_name": "Dee", "username": "dee"}, "password"),
        (person(password_confirmation="other one"), "password"),
        (person(password="short", password_confirmation="short"), "password"),
        (person(zip="12345678901"), "zip"),
        (person(email="nobody"), "email"),
        (person(location_id=99), "location_id"),
        (person(employee_num=7), "employee_num"),
        (person(start_date="soon"), "start_date"),
        (person(start_date="2026-08-02", end_date="2026-08-01"), "end_date"),
        (person(activated="maybe"), "activated"),
        (person(username="ADA"), "username"),
    ],
)
def test_a_body_that_is_not_valid_is_refused_by_field_with_status_200(
    snipe: Snipe, body: dict[str, object], field: str
) -> None:  # U1, U3, U4, U15, W2
    messages = snipe.refused("POST", "/users", body)
    assert messages.keys() == {field}
    assert all(isinstance(text, str) for text in messages[field])
    assert snipe.effects() == {}


def test_a_user_of_the_directory_needs_no_password(snipe: Snipe) -> None:  # U1
    assert snipe.done("POST", "/users", {"first_name": "Dee", "username": "dee", "ldap_import": 1})["ldap_import"]


def test_put_needs_first_name_and_username_and_leaves_the_rest_alone(snipe: Snipe) -> None:  # U2
    assert snipe.refused("PUT", "/users/2", {"jobtitle": "Nurse"}).keys() == {"first_name", "username"}
    snipe.done("PUT", "/users/2", {"first_name": "Ben", "username": "ben", "jobtitle": "Nurse"})
    assert snipe.get("/users/2")["employee_num"] == "E2"


def test_two_users_may_have_one_employee_number(snipe: Snipe) -> None:  # U5
    snipe.done("PATCH", "/users/3", {"employee_num": "E2"})
    assert snipe.ids("/users", employee_num="E2") == [2, 3]


def test_mobile_and_display_name_are_known_from_8_3_on(snipe: Snipe) -> None:  # U6
    snipe.switch(release="8.1.4")
    snipe.done("PATCH", "/users/3", {"mobile": "+15595550123"})
    assert "mobile" not in snipe.get("/users/3")
    assert snipe.violations() == ["W3"]
    snipe.switch(release="8.6")
    assert snipe.get("/users/3")["mobile"] is None
    snipe.done("PATCH", "/users/3", {"mobile": "+15595550123", "display_name": "Cyd"})
    assert snipe.get("/users/3")["mobile"] == "+15595550123"


def test_an_end_before_the_start_passes_in_the_older_release(snipe: Snipe) -> None:  # U4
    snipe.switch(release="8.1.4")
    snipe.done("PATCH", "/users/3", {"start_date": "2026-08-02", "end_date": "2026-08-01"})


def test_fields_of_authentication_are_dropped_in_silence_without_the_right(snipe: Snipe) -> None:  # U7
    body = {"username": "other", "email": "o@district.example", "activated": False, "permissions": {"admin": "1"},
            "jobtitle": "Nurse"}  # fmt: skip
    answer = snipe.editor.patch("/users/2", json=body).json()
    assert answer["status"] == "success"
    shown = snipe.get("/users/2")
    assert (shown["username"], shown["email"], shown["activated"]) == ("ben", "ben@district.example", True)
    assert (shown["permissions"], shown["jobtitle"]) == (None, "Nurse")
    assert snipe.effects() == {"E2": ["updated 2 [jobtitle]"]}


def test_the_right_to_edit_authentication_ends_at_superusers_and_a_switch_takes_it_away(snipe: Snipe) -> None:  # U7
    admin = snipe.clients[Rights.EDIT_AUTH]
    assert admin.patch("/users/2", json={"email": "b2@district.example"}).json()["status"] == "success"
    assert snipe.get("/users/2")["email"] == "b2@district.example"
    assert admin.patch("/users/1", json={"email": "a2@district.example"}).json()["status"] == "success"
    assert snipe.get("/users/1")["email"] == "ada@district.example"
    snipe.switch(ignores_auth_fields=True)
    admin.patch("/users/2", json={"activated": False})
    assert snipe.get("/users/2")["activated"] is True
    snipe.done("PATCH", "/users/2", {"activated": False})
    assert snipe.get("/users/2")["activated"] is False


def test_a_changed_password_is_an_effect_and_is_kept_nowhere(snipe: Snipe) -> None:  # U7
    snipe.done("PATCH", "/users/2", {"password": "a new secret", "password_confirmation": "a new secret"})
    assert snipe.last_effect() == "updated 2 [password]"
    assert "a new secret" not in snipe.control.get("/state").text


@pytest.mark.parametrize("location_id", [2, None])
def test_sending_a_location_moves_every_asset_of_the_user(snipe: Snipe, location_id: int | None) -> None:  # U8
    snipe.done("PATCH", "/users/2", {"location_id": location_id})
    shown = snipe.get("/hardware/1")["location"]
    assert (shown["id"] if shown else None) == location_id
    assert snipe.effects() == {"E2": ["updated 2 [location_id, assets.location_id]"]}


def test_not_sending_a_location_leaves_the_assets_alone(snipe: Snipe) -> None:  # U8
    snipe.done("PATCH", "/hardware/1", {"location_id": 2})
    snipe.done("PATCH", "/users/2", {"jobtitle": "Nurse"})
    assert snipe.get("/hardware/1")["location"]["id"] == 2
    snipe.done("PATCH", "/users/2", {"location_id": 1})  # the location the user has already
    assert snipe.get("/hardware/1")["location"]["id"] == 1
    assert snipe.effects()["E2"] == ["updated 2 [jobtitle]", "updated 2 [assets.location_id]"]


def test_groups_are_honoured_for_superusers_only(snipe: Snipe) -> None:  # U9
    snipe.clients[Rights.EDIT_AUTH].patch("/users/2", json={"groups": [1]})
    assert snipe.get("/users/2")["groups"] is None
    snipe.done("PATCH", "/users/2", {"groups": [1]})
    assert snipe.get("/users/2")["groups"] == {"total": 1, "rows": [{"id": 1, "name": "Technicians"}]}


def test_the_company_of_a_user_with_assets_cannot_change(snipe: Snipe) -> None:  # U10
    assert snipe.refused("PATCH", "/users/2", {"company_id": 1}).keys() == {"company_id"}
    assert snipe.done("PATCH", "/users/3", {"company_id": 1})["company"]["id"] == 1


def test_a_user_who_holds_or_manages_anything_cannot_be_deleted(snipe: Snipe) -> None:  # U11
    assert "assets" in snipe.refused("DELETE", "/users/2")
    assert "managed users" in snipe.refused("DELETE", "/users/1")
    snipe.done("PATCH", "/users/2", {"manager_id": None})
    assert "managed locations" in snipe.refused("DELETE", "/users/1")
    snipe.done("POST", "/hardware/1/checkin")
    snipe.done("DELETE", "/users/2")
    assert snipe.effects()["E2"] == ["updated 2 [manager_id]", "deleted 2"]


def test_licences_and_accessories_block_a_deletion_too() -> None:  # U11
    user = {"id": 1, "first_name": "Ada", "username": "ada"}
    for column in ("licenses_count", "accessories_count"):
        with running_snipeit({"users": [user | {column: 1}]}) as snipe:
            assert "1 " in snipe.refused("DELETE", "/users/1")


def test_deletion_is_soft_and_can_be_undone(snipe: Snipe) -> None:  # U12
    snipe.done("DELETE", "/users/3")
    assert snipe.admin.get("/users/3").json()["status"] == "error"
    assert snipe.ids("/users") == [1, 2]
    assert snipe.ids("/users", deleted="true") == [3]
    assert snipe.ids("/users", all="true") == [1, 2, 3]
    assert snipe.ids("/users", employee_num="E3") == []
    assert snipe.get("/users", deleted="true", sort="id")["rows"][0]["deleted_at"]["datetime"] == "2026-11-22 08:00:00"
    snipe.refused("PATCH", "/users/3", {"jobtitle": "Nurse"})
    snipe.done("POST", "/users/3/restore")
    assert snipe.ids("/users") == [1, 2, 3]
    assert snipe.effects() == {"E3": ["deleted 3", "updated 3 [deleted_at]"]}
    snipe.refused("POST", "/users/3/restore")


def test_a_username_is_free_after_a_deletion_and_blocks_the_restore_then(snipe: Snipe) -> None:  # U3, U12
    snipe.done("DELETE", "/users/3")
    snipe.done("POST", "/users", person(username="cy"))
    assert snipe.refused("POST", "/users/3/restore").keys() == {"username"}


def test_me_is_the_raw_row_and_not_the_read_shape(snipe: Snipe) -> None:  # U13
    me = snipe.get("/users/me")
    assert me["last_name"] == "O'Brien"
    assert (me["location_id"], me["permissions"]) == (1, '{"superuser":"1"}')
    assert "location" not in me
    assert me["created_at"] == "2026-11-22T08:00:00.000000Z"
    assert snipe.reader.get("/users/me").json()["status"] == "error"  # an account outside the listed users


def test_the_assets_of_a_user_are_a_list_with_archived_ones(snipe: Snipe) -> None:  # U16
    assert snipe.ids("/users/2/assets") == [1]
    snipe.done("PATCH", "/hardware/1", {"status_id": 3})
    assert snipe.ids("/users/2/assets") == [1]
    assert snipe.get("/users/2")["assets_count"] == 1
    assert snipe.admin.get("/users/99/assets").json()["status"] == "error"
    assert snipe.violations() == []


def test_a_change_that_changes_nothing_leaves_the_row_alone(snipe: Snipe) -> None:  # W4
    before = snipe.get("/users/3")
    snipe.clock.now = snipe.clock.now.replace(hour=9)
    assert snipe.done("PATCH", "/users/3", {"first_name": "Cy"}) == before
    assert snipe.control.get("/journal").json()["entries"][-1]["effect"] == "unchanged 3"


def test_an_empty_text_is_null(snipe: Snipe) -> None:  # W1
    assert snipe.done("PATCH", "/users/3", {"employee_num": ""})["employee_num"] is None
    assert snipe.refused("PATCH", "/users/3", {"first_name": ""}).keys() == {"first_name"}
