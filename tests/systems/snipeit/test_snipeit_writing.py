"""Writing to Snipe-IT: what it does in silence, what it refuses, and what it does beside what it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from simulators.snipeit.access import Rights
from tests.simulators.running_snipeit import Snipe, small_seed
from tests.systems.snipeit.conftest import Opened

PERSON: dict[str, Any] = {"employee_num": "E9", "username": "dee", "first_name": "Dee", "activated": True}


def place_of(snipe: Snipe, asset_id: int) -> Any:
    return (snipe.get(f"/hardware/{asset_id}")["location"] or {}).get("id")


# --- users ----------------------------------------------------------------------------------------------------------


async def test_a_user_is_created_without_a_password_and_cannot_be_made_twice(system: Opened) -> None:
    target = system.target()
    shown = await system.write(target, "users", "create", **PERSON)
    assert shown is not None
    assert (shown["employee_num"], shown["username"], shown["ldap_import"]) == ("E9", "dee", True)
    with pytest.raises(RecordRefused) as caught:
        await system.write(target, "users", "create", **PERSON)
    assert caught.value.facts["fields"] == "username"


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({"username": "ADA"}, "username"),
        ({"zip": "92701-1234-99"}, "zip"),
        ({"start_date": "2026-09-01", "end_date": "2026-08-01"}, "end_date"),
        ({"department_id": "99"}, "department_id"),
        ({"first_name": None, "zip": "92701-1234-99"}, "first_name,zip"),
    ],
)
async def test_a_refused_user_names_the_fields_and_no_value(system: Opened, values: Any, fields: str) -> None:
    with pytest.raises(RecordRefused) as caught:
        await system.write(system.target(), "users", "create", **(PERSON | values))
    assert caught.value.facts["fields"] == fields
    assert not any(str(value) in caught.value.message for value in values.values())
    assert system.snipe.effects() == {}


@pytest.mark.parametrize("field", ["username", "email", "activated"])
async def test_a_change_dropped_in_silence_is_called_a_success_and_shows_when_looked_at(
    system: Opened, field: str
) -> None:
    """The token lacks the right over fields of authentication: connectors for users read every write back."""
    values: dict[str, Any] = {"username": "other", "email": "other@x.example", "activated": False}
    target = system.target(Rights.EDIT)
    before = await target.fetch("users", target_id="2", key=None)
    after = await system.write(target, "users", "update", "2", **{field: values[field]})
    assert after == before
    changed = await system.write(system.target(), "users", "update", "2", **{field: values[field]})
    assert changed is not None
    assert changed[field] == values[field]


async def test_a_field_that_an_older_release_lacks_is_dropped_in_silence_and_shows_when_looked_at(
    system: Opened,
) -> None:
    system.snipe.switch(release="8.1.4")
    shown = await system.write(system.target(), "users", "update", "2", mobile="+17145550100", jobtitle="Teacher")
    assert shown is not None
    assert (shown["mobile"], shown["jobtitle"]) == (None, "Teacher")
    assert system.snipe.violations() == ["W3"], "what this test is about, and nothing else"
    system.snipe.begin_anew()


async def test_a_location_moves_a_users_assets_and_any_other_change_leaves_them_where_they_are(system: Opened) -> None:
    target = system.target()
    system.snipe.done("PATCH", "/hardware/1", {"location_id": 3})
    await system.write(target, "users", "update", "2", jobtitle="Teacher", email="b@x.example")
    assert place_of(system.snipe, 1) == 3
    await system.write(target, "users", "update", "2", location_id="2")
    assert place_of(system.snipe, 1) == 2


async def test_several_users_of_one_employee_number_are_never_taken_for_one(system: Opened) -> None:
    system.snipe.done("PATCH", "/users/3", {"employee_num": "E2"})
    with pytest.raises(TargetMoved, match="2 records have one employee_num"):
        await system.target().fetch("users", target_id=None, key="E2")
    assert [row["employee_num"] for row in await system.rows("users")] == ["E1", "E2", "E2"]


async def test_a_number_in_other_letters_is_another_persons(system: Opened) -> None:
    assert await system.target().fetch("users", target_id=None, key="e2") is None


async def test_a_blank_key_is_never_a_filter_that_shows_everybody(system: Opened) -> None:
    for key in ("", "  ", None):
        with pytest.raises(StopRun):
            await system.target().fetch("users", target_id=None, key=key)


async def test_a_user_who_has_assets_is_not_deleted_and_not_moved_to_another_company(system: Opened) -> None:
    target = system.target()
    with pytest.raises(RecordRefused, match="check in or move them first"):
        await system.write(target, "users", "delete", "2")
    with pytest.raises(RecordRefused):
        await system.write(target, "users", "update", "2", company_id="1")
    assert system.snipe.effects() == {}


async def test_a_user_is_suspended_by_deactivation(system: Opened) -> None:
    target = system.target()
    shown = await system.write(target, "users", "suspend", "2")
    assert shown is not None
    assert shown["activated"] is False
    shown = await system.write(target, "users", "reactivate", "2")
    assert shown is not None
    assert shown["activated"] is True


async def test_a_user_who_is_gone_is_told_as_moved(system: Opened) -> None:
    target = system.target()
    await system.write(target, "users", "delete", "3")
    with pytest.raises(TargetMoved):
        await system.write(target, "users", "update", "3", jobtitle="Teacher")
    with pytest.raises(TargetMoved):
        await system.write(target, "users", "delete", "3")


# --- assets ---------------------------------------------------------------------------------------------------------


async def test_an_asset_is_created_with_numbers_and_dates_and_shown_as_it_was_meant(system: Opened) -> None:
    shown = await system.write(
        system.target(),
        "hardware",
        "create",
        asset_tag="T-9",
        name="Ada's <cart>",
        model_id="1",
        status_id="1",
        purchase_date="2026-08-13",
        purchase_cost="12345.60",
        warranty_months="36",
    )
    assert shown is not None
    assert (shown["name"], shown["model"], shown["purchase_date"]) == ("Ada's <cart>", "Chromebook", "2026-08-13")
    assert (shown["purchase_cost"], shown["warranty_months"]) == ("12345.60", "36")


async def test_a_tag_that_is_taken_has_found_its_record_and_a_serial_that_is_taken_is_refused(system: Opened) -> None:
    target, asset = system.target(), {"model_id": "1", "status_id": "1"}
    with pytest.raises(TargetMoved):
        await system.write(target, "hardware", "create", asset_tag="T1", **asset)
    with pytest.raises(RecordRefused) as caught:
        await system.write(target, "hardware", "create", asset_tag="T4", serial="S1", **asset)
    assert caught.value.facts["fields"] == "serial"


async def test_archived_assets_and_odd_tags_are_found_by_their_tag(system: Opened) -> None:
    target = system.target()
    archived = await target.fetch("hardware", target_id=None, key="T3")
    assert archived is not None
    assert archived["status_type"] == "archived"
    assert await target.fetch("hardware", target_id=None, key="t3") is None
    for tag, status in (("A/7 ü&b", "1"), ("A/8", "3"), ("..", "1")):
        await system.write(target, "hardware", "create", asset_tag=tag, model_id="1", status_id=status)
        found = await target.fetch("hardware", target_id=None, key=tag)
        assert found is not None
        assert found["asset_tag"] == tag


async def test_a_deleted_asset_is_no_record_although_it_is_still_found(system: Opened) -> None:
    target = system.target()
    await system.write(target, "hardware", "delete", "2")
    assert system.snipe.get("/hardware/2")["deleted_at"] is not None
    assert await target.fetch("hardware", target_id="2", key=None) is None
    assert await target.fetch("hardware", target_id=None, key="T2") is None


async def test_a_default_place_that_is_set_alone_moves_the_asset_as_well(system: Opened) -> None:
    """Why connectors manage `rtd_location_id` or `location_id`, not both."""
    shown = await system.write(system.target(), "hardware", "update", "2", rtd_location_id="1")
    assert shown is not None
    assert (shown["rtd_location_id"], shown["location_id"]) == ("1", "1")


# --- checkouts ------------------------------------------------------------------------------------------------------


CHECKOUT: dict[str, Any] = {"checkout_key": "T2/E3", "asset_id": "2", "user_id": "3"}


async def test_a_checkout_is_made_shown_and_ended(system: Opened) -> None:
    target = system.target()
    system.snipe.switch(needs_checkout_note=True)
    shown = await system.write(target, "checkouts", "create", **CHECKOUT)
    assert shown is not None
    assert (shown["checkout_key"], shown["target_id"]) == ("T2/E3", "2")
    assert await target.fetch("checkouts", target_id=None, key="T2/E3") == shown
    assert await target.fetch("checkouts", target_id=None, key="T2/E2") is None
    assert await system.write(target, "checkouts", "delete", "2") is None
    assert await target.fetch("checkouts", target_id=None, key="T2/E3") is None


async def test_an_asset_that_somebody_has_is_not_lent_again(system: Opened) -> None:
    with pytest.raises(TargetMoved):
        await system.write(system.target(), "checkouts", "create", asset_id="1", user_id="3")
    assert system.snipe.get("/hardware/1")["assigned_to"]["id"] == 2


async def test_an_asset_that_is_not_there_or_cannot_be_lent_is_told_as_moved(system: Opened) -> None:
    for asset_id in ("3", "99"):
        with pytest.raises(TargetMoved):
            await system.write(system.target(), "checkouts", "create", asset_id=asset_id, user_id="3")


async def test_a_holder_who_is_not_there_is_refused_or_gone(system: Opened) -> None:
    with pytest.raises((RecordRefused, TargetMoved)):
        await system.write(system.target(), "checkouts", "create", asset_id="2", user_id="99")
    assert system.snipe.get("/hardware/2")["assigned_to"] is None


@pytest.mark.parametrize("is_lying", [False, True])
async def test_the_check_in_of_a_free_asset_leaves_it_free_whatever_is_answered(system: Opened, is_lying: bool) -> None:
    system.snipe.switch(has_lying_checkin=is_lying)
    target = system.target()
    if is_lying:
        assert await system.write(target, "checkouts", "delete", "2") is None
    else:
        with pytest.raises(TargetMoved):
            await system.write(target, "checkouts", "delete", "2")
    assert system.snipe.effects() == {}


# --- places, models, rights -----------------------------------------------------------------------------------------


async def test_a_place_is_found_by_its_whole_name_only(system: Opened) -> None:
    target = system.target()
    await system.write(target, "locations", "create", name="North Annex & Yard")
    north = await target.fetch("locations", target_id=None, key="North")
    annex = await target.fetch("locations", target_id=None, key="North Annex & Yard")
    assert (north and north["target_id"], annex and annex["name"]) == ("1", "North Annex & Yard")
    assert await target.fetch("locations", target_id=None, key="Nort") is None


async def test_a_place_in_use_is_not_deleted_and_its_name_is_not_given_twice(system: Opened) -> None:
    target = system.target()
    with pytest.raises(RecordRefused, match="hold on to it"):
        await system.write(target, "locations", "delete", "1")
    with pytest.raises(TargetMoved):
        await system.write(target, "locations", "create", name="North")


async def test_a_model_is_shown_one_by_one_as_its_list_shows_it_and_as_it_was_written(system: Opened) -> None:
    values: dict[str, Any] = {"name": "Tab & <Pen>", "model_number": "P-1", "category_id": "1", "manufacturer_id": "1"}
    shown = await system.write(system.target(), "models", "create", **values, eol="36")
    assert shown is not None
    assert {name: shown[name] for name in (*values, "eol")} == values | {"eol": "36"}
    assert await system.target().fetch("models", target_id=None, key="Tab & <Pen>") == shown
    assert (await system.rows("models"))[-1] == shown
    changed = await system.write(system.target(), "models", "update", str(shown["target_id"]), eol="48")
    assert changed == {**shown, "eol": "48"}


async def test_two_models_of_one_name_are_never_taken_for_one(system: Opened) -> None:
    target = system.target()
    await system.write(target, "models", "create", name="Chromebook", model_number="C-2", category_id="1")
    with pytest.raises(TargetMoved, match="2 records have one name"):
        await target.fetch("models", target_id=None, key="Chromebook")
    with pytest.raises(TargetMoved):
        await system.write(target, "models", "create", name="Chromebook", model_number="C-2", category_id="1")


async def test_who_may_only_read_is_told_that_the_right_lacks(system: Opened) -> None:
    with pytest.raises(NeedsPerson, match="may not do this") as caught:
        await system.write(system.target(Rights.READ), "users", "create", **PERSON)
    assert (caught.value.code, caught.value.facts["is_permission"]) == ("APL_AUTH", True)
    assert system.snipe.effects() == {}


async def test_a_write_between_which_and_us_a_page_in_html_stands_is_unknown(system: Opened) -> None:
    system.snipe.arm("html_page", method="POST")
    with pytest.raises(OutcomeUnknown):
        await system.write(system.target(), "users", "create", **PERSON)


def test_the_small_world_is_what_these_tests_take_it_for() -> None:
    seed = small_seed()
    assert [asset["asset_tag"] for asset in seed["hardware"]] == ["T1", "T2", "T3"]
    assert [user["employee_num"] for user in seed["users"]] == ["E1", "E2", "E3"]
