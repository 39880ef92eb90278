"""What is particular to writing to google_directory: what shows late, what is taken, what is silently ignored."""

from __future__ import annotations

import pytest

from shared.errors import NeedsPerson, OutcomeUnknown, RecordRefused, TargetMoved, TryLater
from shared.ports.wire import Record
from tests.simulators.running_google_directory import person, seed
from tests.systems.google_directory.conftest import House

NEW: Record = {
    "external_id": "S100",
    "email": "new@school.example",
    "given_name": "Nia",
    "family_name": "New",
    "org_unit_path": "/Staff",
}
JOIN: Record = {
    "membership_key": "few@school.example/p2@school.example",
    "group_email": "few@school.example",
    "member_email": "p2@school.example",
    "role": "MEMBER",
}


# --- users ----------------------------------------------------------------------------------------------------------


async def test_an_account_is_made_with_no_password_that_anybody_knows(house: House) -> None:
    target = house.target()
    receipt = await house.send(target, "users", "create", None, NEW)
    (request,) = [one for one in house.google.state()["requests"] if one["name"] == "users.insert"]
    assert request["body"]["hashFunction"] == "SHA-1"
    shown = await target.fetch("users", target_id=receipt.target_id, key=None)
    assert shown is not None
    assert {name: shown[name] for name in NEW} == NEW
    await house.close()


async def test_a_rename_keeps_the_old_address_and_nobody_else_gets_it(house: House) -> None:
    target = house.target()
    await house.send(target, "users", "update", person(1)["id"], {"email": "renamed@school.example"})
    shown = await target.fetch("users", target_id=None, key="E0001")
    assert shown is not None
    assert shown["email"] == "renamed@school.example"
    for entity, values in (
        ("users", {**NEW, "email": "p1@school.example"}),
        ("groups", {"email": "p1@school.example", "name": "Old"}),
    ):
        with pytest.raises((RecordRefused, TargetMoved)):
            await house.send(target, entity, "create", None, values)
    with pytest.raises(RecordRefused, match="alias") as caught:
        await house.send(target, "users", "update", person(2)["id"], {"email": "p1@school.example"})
    assert caught.value.facts["fields"] == "email"
    await house.close()


async def test_an_address_of_somebody_else_is_a_refusal_and_ours_is_a_reason_to_look(house: House) -> None:
    target = house.target()
    with pytest.raises(RecordRefused, match="taken"):
        await house.send(target, "users", "create", None, {**NEW, "email": "p1@school.example"})
    await house.send(target, "users", "create", None, NEW)
    with pytest.raises(TargetMoved):
        await house.send(target, "users", "create", None, NEW)
    await house.close()


async def test_the_address_of_a_deleted_user_is_taken_for_20_days(house: House) -> None:
    target = house.target()
    await house.send(target, "users", "delete", person(1)["id"], {})
    assert await target.fetch("users", target_id=person(1)["id"], key=None) is None
    assert await target.fetch("users", target_id=None, key="E0001") is None
    values: Record = {**NEW, "email": "p1@school.example"}
    with pytest.raises(TargetMoved):
        await house.send(target, "users", "create", None, values)
    house.google.clock.pass_seconds(21 * 86_400)
    assert (await house.send(target, "users", "create", None, values)).target_id
    await house.close()


async def test_a_user_still_being_made_is_written_later_whatever_the_code_of_the_refusal(house: House) -> None:
    target = house.target()
    for number, code in enumerate((400, 403, 409, 412, 503)):
        house.google.switch(user_settling_seconds=60, user_settling_code=code)
        values: Record = {**NEW, "external_id": f"S{number}", "email": f"s{number}@school.example"}
        made = await house.send(target, "users", "create", None, values)
        with pytest.raises(TryLater) as caught:
            await house.send(target, "users", "suspend", made.target_id, {})
        assert (caught.value.code, caught.value.retry_after_seconds) == ("APL_UNREACHABLE", None)
        house.google.clock.pass_seconds(61)
        await house.send(target, "users", "suspend", made.target_id, {})
        shown = await target.fetch("users", target_id=made.target_id, key=None)
        assert shown is not None
        assert shown["suspended"] is True
    await house.close()


async def test_null_clears_also_the_list_that_holds_our_number(house: House) -> None:
    house.google.begin(seed(2, users=[*seed(2)["users"][:2], person(2, recoveryEmail="x@home.example")]))
    target = house.target()
    await house.send(target, "users", "update", person(2)["id"], {"external_id": None, "recovery_email": None})
    shown = await target.fetch("users", target_id=person(2)["id"], key=None)
    assert shown is not None
    assert (shown["external_id"], shown["recovery_email"], shown["family_name"]) == (None, None, "Sample002")
    await house.close()


async def test_two_users_of_one_number_are_told_and_none_is_chosen(house: House) -> None:
    house.google.begin(seed(2, users=[*seed(2)["users"], person(7, externalIds=person(1)["externalIds"])]))
    with pytest.raises(RecordRefused, match="2 users") as caught:
        await house.target().fetch("users", target_id=None, key="E0001")
    assert "E0001" not in str(caught.value)
    await house.close()


async def test_a_number_of_another_type_or_case_is_not_ours(house: House) -> None:
    house.google.begin(seed(1, users=[*seed(1)["users"], person(7, externalIds=[{"type": "custom", "value": "X9"}])]))
    target = house.target()
    assert await target.fetch("users", target_id=None, key="X9") is None
    assert await target.fetch("users", target_id=None, key="e0001") is None
    assert await target.fetch("users", target_id=None, key="E0001") is not None
    await house.close()


async def test_a_refusal_tells_the_column_and_never_the_value(house: House) -> None:
    target = house.target()
    with pytest.raises(RecordRefused, match="org_unit_path") as caught:
        await house.send(target, "users", "create", None, {**NEW, "org_unit_path": "/Wilhelmina"})
    assert "Wilhelmina" not in str(caught.value)
    with pytest.raises(RecordRefused):
        await house.send(target, "users", "create", None, {**NEW, "email": "new@nowhere.example"})
    await house.close()


async def test_a_full_account_is_a_matter_of_room(house: House) -> None:
    house.google.switch(user_seats=4)
    with pytest.raises(RecordRefused) as caught:
        await house.send(house.target(), "users", "create", None, NEW)
    assert caught.value.code == "APL_CAPACITY"
    await house.close()


async def test_many_new_users_stay_below_ten_a_second(house: House) -> None:
    target = house.target()
    for number in range(25):
        await house.send(
            target,
            "users",
            "create",
            None,
            {**NEW, "external_id": f"S{number}", "email": f"s{number}@school.example"},
        )
    assert sum(house.slept) == pytest.approx(2.4)
    await house.close()


async def test_a_burst_that_was_refused_with_503_is_unknown_until_looked_at(house: House) -> None:
    house.google.switch(refuse_with="backendError")
    with pytest.raises(OutcomeUnknown) as caught:
        await house.send(house.target(), "users", "create", None, NEW)
    assert caught.value.facts["status"] == 503
    await house.close()


async def test_nobody_is_invited_or_replaced_for_the_sake_of_an_address(house: House) -> None:
    house.google.begin(seed(1, conflictAccounts={"new@school.example": "invite"}))
    receipt = await house.send(house.target(), "users", "create", None, NEW)
    assert receipt.target_id is not None
    assert all("resolveConflictAccount" not in one["query"] for one in house.google.state()["requests"])
    await house.close()


async def test_a_rename_that_shows_late_is_no_second_record(house: House) -> None:
    house.google.switch(rename_settling_seconds=600)
    target = house.target()
    await house.send(target, "users", "update", person(1)["id"], {"email": "renamed@school.example"})
    shown = await target.fetch("users", target_id=person(1)["id"], key=None)
    assert shown is not None
    assert shown["email"] == "p1@school.example"
    house.google.clock.pass_seconds(601)
    shown = await target.fetch("users", target_id=person(1)["id"], key=None)
    assert shown is not None
    assert shown["email"] == "renamed@school.example"
    await house.close()


async def test_who_may_not_change_users_is_told_so(house: House) -> None:
    house.google.begin(seed(2, adminRoles=[{"user": "p1@school.example", "resources": ["groups", "members"]}]))
    with pytest.raises(NeedsPerson, match="role") as caught:
        await house.send(house.target(subject="p1@school.example"), "users", "create", None, NEW)
    assert caught.value.code == "APL_AUTH"
    await house.close()


# --- units ----------------------------------------------------------------------------------------------------------


async def test_a_unit_below_one_that_is_not_there_yet_is_made_later(house: House) -> None:
    target = house.target()
    child: Record = {"org_unit_path": "/Students/Grade 07"}
    with pytest.raises(TryLater):
        await house.send(target, "org_units", "create", None, child)
    await house.send(target, "org_units", "create", None, {"org_unit_path": "/Students"})
    made = await house.send(target, "org_units", "create", None, child)
    shown = await target.fetch("org_units", target_id=None, key="/Students/Grade 07")
    assert shown is not None
    assert (shown["target_id"], shown["parent_path"]) == (made.target_id, "/Students")
    await house.close()


async def test_units_are_written_one_a_second(house: House) -> None:
    target = house.target()
    for number in range(4):
        await house.send(target, "org_units", "create", None, {"org_unit_path": f"/U{number}"})
    assert sum(house.slept) == pytest.approx(3.0)
    await house.close()


async def test_a_unit_that_moves_keeps_its_id_and_takes_its_users_along(house: House) -> None:
    target = house.target()
    north = await target.fetch("org_units", target_id=None, key="/Staff/North Side")
    assert north is not None
    await house.send(target, "org_units", "update", str(north["target_id"]), {"org_unit_path": "/North"})
    moved = await target.fetch("org_units", target_id=str(north["target_id"]), key=None)
    assert moved is not None
    assert (moved["org_unit_path"], moved["name"], moved["parent_path"]) == ("/North", "North", "/")
    await house.close()


async def test_a_unit_with_somebody_in_it_cannot_be_deleted(house: House) -> None:
    target = house.target()
    staff = await target.fetch("org_units", target_id=None, key="/Staff")
    assert staff is not None
    with pytest.raises(RecordRefused):
        await house.send(target, "org_units", "delete", str(staff["target_id"]), {})
    await house.close()


@pytest.mark.parametrize("duplicate", ["duplicate", "invalid"])
async def test_a_name_that_a_sibling_has_is_refused_or_looked_at(house: House, duplicate: str) -> None:
    house.google.switch(orgunit_duplicate=duplicate, orgunit_write_code=200)
    with pytest.raises((TargetMoved, RecordRefused)):
        await house.send(house.target(), "org_units", "create", None, {"org_unit_path": "/staff"})
    await house.close()


# --- groups and members ---------------------------------------------------------------------------------------------


async def test_a_member_already_there_and_one_gone_already_are_looked_at(house: House) -> None:
    target = house.target()
    joined = await house.send(target, "members", "create", None, JOIN)
    with pytest.raises(TargetMoved):
        await house.send(target, "members", "create", None, JOIN)
    shown = await target.fetch("members", target_id=None, key=str(JOIN["membership_key"]))
    assert shown is not None
    assert {name: shown[name] for name in JOIN} == JOIN
    again = await house.send(target, "members", "update", str(shown["target_id"]), {"role": "MANAGER"})
    assert again.target_id == shown["target_id"]
    assert joined.target_id in (None, shown["target_id"])
    await house.send(target, "members", "delete", str(shown["target_id"]), {})
    with pytest.raises(TargetMoved):
        await house.send(target, "members", "delete", str(shown["target_id"]), {})
    assert await target.fetch("members", target_id=None, key=str(JOIN["membership_key"])) is None
    await house.close()


async def test_a_group_made_a_moment_ago_gets_its_members_later(house: House) -> None:
    house.google.switch(group_settling_seconds=30)
    target = house.target()
    await house.send(target, "groups", "create", None, {"email": "fresh@school.example", "name": "Fresh"})
    join: Record = {"group_email": "fresh@school.example", "member_email": "p1@school.example", "role": "MEMBER"}
    assert await target.fetch("members", target_id=None, key="fresh@school.example/p1@school.example") is None
    with pytest.raises(TryLater):
        await house.send(target, "members", "create", None, join)
    house.google.clock.pass_seconds(31)
    await house.send(target, "members", "create", None, join)
    assert await target.fetch("members", target_id=None, key="fresh@school.example/p1@school.example") is not None
    await house.close()


async def test_a_membership_that_shows_late_is_never_made_twice(house: House) -> None:
    house.google.switch(member_settling_seconds=30)
    target = house.target()
    await house.send(target, "members", "create", None, JOIN)
    assert await target.fetch("members", target_id=None, key=str(JOIN["membership_key"])) is None
    with pytest.raises(TargetMoved):
        await house.send(target, "members", "create", None, JOIN)
    house.google.clock.pass_seconds(31)
    assert await target.fetch("members", target_id=None, key=str(JOIN["membership_key"])) is not None
    await house.close()


async def test_a_ring_of_groups_is_one_records_refusal(house: House) -> None:
    target = house.target()
    nest: Record = {"group_email": "all@school.example", "member_email": "few@school.example", "role": "MEMBER"}
    ring: Record = {"group_email": "few@school.example", "member_email": "all@school.example", "role": "MEMBER"}
    await house.send(target, "members", "create", None, nest)
    with pytest.raises(RecordRefused):
        await house.send(target, "members", "create", None, ring)
    await house.close()


async def test_a_group_found_under_an_alias_is_another_group(house: House) -> None:
    target = house.target()
    await house.send(target, "groups", "update", "g1", {"email": "everybody@school.example"})
    assert await target.fetch("groups", target_id=None, key="all@school.example") is None
    assert await target.fetch("groups", target_id=None, key="everybody@school.example") is not None
    assert await target.fetch("members", target_id=None, key="all@school.example/p1@school.example") is None
    await house.close()
