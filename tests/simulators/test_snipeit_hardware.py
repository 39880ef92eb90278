"""What a simulated Snipe-IT does to its assets and to the tables they refer to: README rules H and R."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulators.running_snipeit import Snipe, running_snipeit


@pytest.fixture(scope="module")
def shared_snipe() -> Iterator[Snipe]:
    with running_snipeit() as running:
        yield running


@pytest.fixture
def snipe(shared_snipe: Snipe) -> Snipe:
    shared_snipe.begin_anew()
    return shared_snipe


ASSET = {"asset_tag": "T4", "model_id": 1, "status_id": 1}


def test_a_created_asset_answers_the_raw_row_and_is_read_in_another_shape(snipe: Snipe) -> None:  # H1, H7, H13
    body = ASSET | {"serial": "S4", "name": "Ada's", "purchase_date": "2026-01-31", "warranty_months": 1,
                    "purchase_cost": 1234.5, "rtd_location_id": 3}  # fmt: skip
    payload = snipe.done("POST", "/hardware", body)
    shown = snipe.get(f"/hardware/{payload['id']}")
    assert (payload["model_id"], payload["name"], payload["purchase_date"]) == (1, "Ada's", "2026-01-31")
    assert payload["created_at"] == "2026-11-22T08:00:00.000000Z"
    assert "model_id" not in shown
    assert shown["name"] == "Ada&#039;s"
    assert (shown["model"], shown["category"]["id"]) == ({"id": 1, "name": "Chromebook"}, 1)
    assert (shown["eol"], shown["warranty_months"], shown["purchase_cost"]) == ("36 months", "1 months", "1,234.50")
    assert shown["warranty_expires"]["date"] == "2026-02-28"
    assert (shown["location"]["id"], shown["rtd_location"]["id"]) == (3, 3)
    assert snipe.effects() == {"T4": ["created 4"]}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"model_id": 1, "status_id": 1}, "asset_tag"),
        ({"asset_tag": "T4", "status_id": 1}, "model_id"),
        ({"asset_tag": "T4", "model_id": 1}, "status_id"),
        (ASSET | {"asset_tag": "t1"}, "asset_tag"),
        (ASSET | {"serial": "S1"}, "serial"),
        (ASSET | {"purchase_date": "yesterday"}, "purchase_date"),
        (ASSET | {"purchase_cost": "dear"}, "purchase_cost"),
        (ASSET | {"assigned_user": 99}, "assigned_user"),
    ],
)
def test_an_asset_that_is_not_valid_is_refused_by_field(snipe: Snipe, body: dict[str, Any], field: str) -> None:
    assert snipe.refused("POST", "/hardware", body).keys() == {field}  # H1, H3
    assert snipe.effects() == {}


def test_tags_are_made_where_the_setting_says_so(snipe: Snipe) -> None:  # H2
    snipe.switch(has_automatic_tags=True)
    assert snipe.done("POST", "/hardware", {"model_id": 1, "status_id": 1})["asset_tag"] == "000004"


def test_newer_releases_show_the_status_under_two_names(snipe: Snipe) -> None:  # H7
    shown = snipe.get("/hardware/1")
    assert shown["status"] == shown["status_label"]
    assert shown["status_label"] == {
        "id": 1, "name": "Ready", "status_type": "deployable", "status_meta": "deployed"
    }  # fmt: skip
    snipe.switch(release="8.1.4")
    assert "status" not in snipe.get("/hardware/1")


def test_who_has_an_asset_is_shown_by_what_it_is(snipe: Snipe) -> None:  # H7
    assert snipe.get("/hardware/1")["assigned_to"] == {
        "id": 2,
        "username": "ben",
        "name": "Ben Sample",
        "first_name": "Ben",
        "last_name": "Sample",
        "email": "ben@district.example",
        "employee_number": "E2",
        "type": "user",
    }
    snipe.done("POST", "/hardware/2/checkout", {"checkout_to_type": "location", "assigned_location": 2})
    assert snipe.get("/hardware/2")["assigned_to"] == {"id": 2, "name": "South", "type": "location"}


def test_by_tag_gives_an_object_and_a_list_with_deleted_ones(snipe: Snipe) -> None:  # H8
    assert snipe.get("/hardware/bytag/T1")["id"] == 1
    snipe.done("DELETE", "/hardware/2")
    assert snipe.admin.get("/hardware/bytag/T2").json()["status"] == "error"
    found = snipe.get("/hardware/bytag/T2", deleted="true")
    assert (found["total"], found["rows"][0]["id"]) == (1, 2)


def test_by_serial_gives_a_list(snipe: Snipe) -> None:  # H9
    found = snipe.get("/hardware/byserial/S1")
    assert (found["total"], found["rows"][0]["id"]) == (1, 1)
    assert snipe.admin.get("/hardware/byserial/none").json()["status"] == "error"


def test_only_a_free_deployable_asset_can_be_checked_out(snipe: Snipe) -> None:  # H14
    body = {"checkout_to_type": "user", "assigned_user": 3}
    for asset_id in (1, 3):
        assert snipe.refused("POST", f"/hardware/{asset_id}/checkout", body) == (
            "That asset is not available for checkout!"
        )
    payload = snipe.done("POST", "/hardware/2/checkout", body | {"expected_checkin": "2026-12-01", "note": "x"})
    assert payload == {"asset": "T2"}
    shown = snipe.get("/hardware/2")
    assert (shown["assigned_to"]["id"], shown["checkout_counter"]) == (3, 1)
    assert shown["expected_checkin"]["date"] == "2026-12-01"
    assert shown["last_checkout"]["datetime"] == "2026-11-22 08:00:00"
    assert shown["location"] is None  # H20: the user has none
    assert snipe.effects() == {
        "T2": ["updated 2 [location_id, expected_checkin, assigned_type, assigned_to, last_checkout, checkout_counter]"]
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "checkout_to_type"),
        ({"checkout_to_type": "friend"}, "checkout_to_type"),
        ({"checkout_to_type": "user"}, "assigned_user"),
        ({"checkout_to_type": "user", "assigned_user": 99}, "assigned_user"),
        ({"checkout_to_type": "asset", "assigned_asset": 2}, "assigned_asset"),
        ({"checkout_to_type": "user", "assigned_user": 3, "status_id": 2}, "status_id"),
        ({"checkout_to_type": "user", "assigned_user": 3, "checkout_at": "later"}, "checkout_at"),
    ],
)
def test_a_checkout_to_nobody_is_refused_by_field(snipe: Snipe, body: dict[str, Any], field: str) -> None:  # H14
    assert snipe.refused("POST", "/hardware/2/checkout", body).keys() == {field}
    assert snipe.effects() == {}


def test_a_note_is_required_where_the_setting_says_so(snipe: Snipe) -> None:  # H14
    snipe.switch(needs_checkout_note=True)
    body = {"checkout_to_type": "user", "assigned_user": 3}
    assert snipe.refused("POST", "/hardware/bytag/T2/checkout", body).keys() == {"note"}
    snipe.done("POST", "/hardware/bytag/T2/checkout", body | {"note": "for class"})


def test_a_checked_in_asset_goes_home_and_is_free(snipe: Snipe) -> None:  # H15, H20
    assert snipe.done("POST", "/hardware/1/checkin", {"note": "x"}) == {"asset": "T1"}
    shown = snipe.get("/hardware/1")
    assert (shown["assigned_to"], shown["location"]["id"], shown["checkin_counter"]) == (None, 3, 1)
    assert snipe.get("/users/2")["assets_count"] == 0
    snipe.done("POST", "/hardware/1/checkout", {"checkout_to_type": "asset", "assigned_asset": 2})
    assert snipe.get("/hardware/1")["location"]["id"] == 3
    assert snipe.done("POST", "/hardware/checkinbytag", {"asset_tag": "T1"}) == {"asset": "T1"}
    assert snipe.done("POST", "/hardware/bytag/T2/checkout", {"checkout_to_type": "user", "assigned_user": "2"})
    assert snipe.get("/hardware/2")["location"]["id"] == 1  # the user's
    snipe.done("POST", "/hardware/bytag/T2/checkin", {"location_id": 2})
    assert snipe.get("/hardware/2")["location"]["id"] == 2


def test_a_free_asset_cannot_be_checked_in_though_an_old_bug_says_success(snipe: Snipe) -> None:  # H10, H15
    assert snipe.refused("POST", "/hardware/2/checkin") == "That asset is already checked in."
    snipe.switch(has_lying_checkin=True)
    snipe.done("POST", "/hardware/2/checkin")
    assert snipe.effects() == {}


def test_a_change_that_names_a_user_lends_again_each_time_and_takes_it_from_others(snipe: Snipe) -> None:  # H11
    for count in (1, 2):
        snipe.done("PATCH", "/hardware/1", {"assigned_user": 3})
        shown = snipe.get("/hardware/1")
        assert (shown["assigned_to"]["id"], shown["checkout_counter"]) == (3, count)
    snipe.done("PATCH", "/hardware/3", {"assigned_user": 3})  # archived, and lent all the same
    assert snipe.get("/hardware/3")["assigned_to"]["id"] == 3
    assert len(snipe.effects()["T1"]) == 2


def test_a_new_home_moves_the_asset_unless_its_place_is_sent_too(snipe: Snipe) -> None:  # H12
    snipe.done("PATCH", "/hardware/1", {"rtd_location_id": 2})
    assert snipe.get("/hardware/1")["location"]["id"] == 2
    snipe.done("PUT", "/hardware/1", {"rtd_location_id": 3, "location_id": 1})
    assert snipe.get("/hardware/1")["location"]["id"] == 1


def test_custom_fields_are_written_by_column_and_read_by_label(snipe: Snipe) -> None:  # H16
    snipe.done("PATCH", "/hardware/2", {"_snipeit_mac_address_1": "02:00:00:00:00:01"})
    assert snipe.get("/hardware/2")["custom_fields"] == {
        "MAC Address": {
            "field": "_snipeit_mac_address_1",
            "value": "02:00:00:00:00:01",
            "field_format": "ANY",
            "element": "text",
        }
    }
    assert snipe.ids("/hardware", _snipeit_mac_address_1="02:00:00:00:00:01") == [2]
    snipe.done("PATCH", "/hardware/2", {"_snipeit_none_9": "x"})
    assert snipe.violations() == ["W3"]
    snipe.done("POST", "/models", {"name": "Plain", "category_id": 1})
    snipe.done("PATCH", "/hardware/2", {"model_id": 2})
    assert snipe.get("/hardware/2")["custom_fields"] == {}


def test_notes_come_back_as_html(snipe: Snipe) -> None:  # H17
    snipe.done("PATCH", "/hardware/2", {"notes": "**new** & <b>"})
    assert snipe.get("/hardware/2")["notes"] == "<strong>new</strong> &amp; &lt;b&gt;"


def test_a_deleted_asset_is_free_hidden_and_can_be_restored(snipe: Snipe) -> None:  # H18
    snipe.done("DELETE", "/hardware/1")
    assert snipe.ids("/hardware") == [2]
    assert snipe.ids("/hardware", status="Deleted") == [1]
    assert snipe.get("/hardware/1")["deleted_at"] is not None
    assert snipe.get("/users/2")["assets_count"] == 0
    snipe.refused("PATCH", "/hardware/1", {"name": "x"})
    assert snipe.done("POST", "/hardware/1/restore") is None
    assert snipe.get("/hardware/1")["assigned_to"] is None
    snipe.refused("POST", "/hardware/1/restore")
    assert snipe.effects() == {"T1": ["deleted 1", "updated 1 [deleted_at]"]}


def test_an_audit_sets_the_next_one_and_lists_tell_what_is_due(snipe: Snipe) -> None:  # H19
    snipe.done("POST", "/hardware/1/audit")
    assert snipe.get("/hardware/1")["next_audit_date"]["date"] == "2027-11-22"
    snipe.done("POST", "/hardware/audit", {"asset_tag": "T1", "next_audit_date": "2026-11-22"})
    snipe.done("POST", "/hardware/audit", {"asset_tag": "T2", "next_audit_date": "2026-11-01"})
    assert [row["id"] for row in snipe.get("/hardware/audits/due")["rows"]] == [1]
    assert [row["id"] for row in snipe.get("/hardware/audits/overdue")["rows"]] == [2]
    assert snipe.get("/hardware/audits/due-or-overdue")["total"] == 2
    assert snipe.get("/hardware/checkins/due-or-overdue")["total"] == 0


def test_a_location_is_read_with_its_children_and_its_manager_in_full(snipe: Snipe) -> None:  # R1
    shown = snipe.get("/locations/1")
    assert shown["children"] == [{"id": 2, "name": "South"}]
    assert shown["manager"] == snipe.get("/users/1")
    assert (shown["users_count"], shown["assets_count"]) == (2, 1)
    assert snipe.get("/locations/2")["parent"] == {"id": 1, "name": "North"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/locations", {"name": "X"}, "name"),
        ("/locations", {"name": "north"}, "name"),
        ("/models", {"name": "Chromebook", "model_number": "C-1", "category_id": 1}, "name"),
        ("/models", {"name": "Tablet"}, "category_id"),
        ("/statuslabels", {"name": "New"}, "type"),
        ("/statuslabels", {"name": "New", "type": "lost"}, "type"),
        ("/categories", {"name": "Things", "category_type": "thing"}, "category_type"),
        ("/companies", {"name": "Bristlecone USD"}, "name"),
    ],
)
def test_other_rows_are_refused_by_field(snipe: Snipe, path: str, body: dict[str, Any], field: str) -> None:
    assert snipe.refused("POST", path, body).keys() == {field}  # R1, R2, R3, R4, R6
    assert snipe.effects() == {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/locations", {"name": "West", "manager_id": 2}),
        ("/models", {"name": "Chromebook", "model_number": "C-2", "category_id": 1}),
        ("/statuslabels", {"name": "New", "type": "pending"}),
        ("/categories", {"name": "Phones", "category_type": "asset"}),
        ("/companies", {"name": "Parks"}),
        ("/departments", {"name": "Operations"}),
        ("/manufacturers", {"name": "Globex"}),
    ],
)
def test_other_rows_are_created_changed_and_softly_deleted(snipe: Snipe, path: str, body: dict[str, Any]) -> None:
    row_id = snipe.done("POST", path, body)["id"]  # R6
    snipe.done("PATCH", f"{path}/{row_id}", {"name": "Other"})
    assert snipe.get(f"{path}/{row_id}")["name"] == "Other"
    snipe.done("DELETE", f"{path}/{row_id}")
    assert row_id not in snipe.ids(path)
    assert snipe.effects() == {
        body["name"]: [f"created {row_id}"], "Other": [f"updated {row_id} [name]", f"deleted {row_id}"]
    }  # fmt: skip


@pytest.mark.parametrize(
    "path", ["/locations/1", "/models/1", "/statuslabels/1", "/categories/1", "/departments/1", "/manufacturers/1"]
)
def test_what_is_in_use_cannot_be_deleted(snipe: Snipe, path: str) -> None:  # R5
    assert "in use" in snipe.refused("DELETE", path)


def test_the_state_is_a_seed_with_what_was_broken_so_far(snipe: Snipe) -> None:
    snipe.done("DELETE", "/users/3")
    snipe.done("PATCH", "/users/2", {"shoe_size": 44, "groups": [1], "department_id": 1})
    state = snipe.state()
    assert snipe.control.put("/state", json=state).status_code == 204
    assert snipe.state() == state
    assert [each["rule"] for each in state["violations"]] == ["W3"]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"people": []}, "people"),
        ({"users": {}}, "users"),
        ({"users": [{"id": 1, "first_name": "A"}]}, "users[id 1].username"),
        ({"users": [{"id": 1, "first_name": "A", "username": "a", "shoe": 1}]}, "users[id 1].shoe"),
        ({"users": [{"id": 1, "first_name": "A", "username": "a", "location_id": 9}]}, "users[id 1].location_id"),
        ({"users": [{"id": n, "first_name": "A", "username": "a"} for n in (1, 2)]}, "users[id 2].username"),
        ({"users": [{"id": 0, "first_name": "A", "username": "a"}]}, "users[0].id"),
        ({"users": [{"id": 2, "first_name": "A", "username": "a"}]}, "user 1"),
    ],
)
def test_a_state_that_the_vendor_could_not_hold_is_refused_by_place(
    snipe: Snipe, document: dict[str, Any], place: str
) -> None:
    before = snipe.state()
    answer = snipe.control.put("/state", json=document)
    assert answer.status_code == 422
    assert place in answer.json()["message"]
    assert snipe.state() == before
