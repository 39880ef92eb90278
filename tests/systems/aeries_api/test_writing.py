"""Staff are written to the wanted year only, nobody comes back by accident, and every answer has one meaning."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.ports.system import Receipt
from shared.ports.wire import ChangeVerb, Record, Value, WireWrite
from systems.aeries_api.year import CHECKED_SECONDS_MAX
from tests.simulators.running_aeries_api import RunningAeries, small_district
from tests.systems.aeries_api.conftest import Opener, asked

NEW: dict[str, Value] = {"id": 950, "hr_id": "E0950", "last_name": "New", "first_name": "Eve", "email": "e@x.test"}


async def write(
    opener: Opener, verb: ChangeVerb, target_id: str | None, values: Record, *, target: Any = None
) -> Receipt:
    target = target or opener.target()
    wire = opener.registry().wire("aeries_api")
    one = wire.write_for("staff", verb=verb, target_id=target_id, values=values)
    receipt: Receipt = await target.write(one, idempotency_key="k")
    return receipt


async def shown(opener: Opener, target_id: str) -> Record:
    record = await opener.target().fetch("staff", target_id=target_id, key=None)
    assert record is not None
    return record


# --- the trap of the leaver -----------------------------------------------------------------------------------------


async def test_a_leaver_stays_one_when_something_else_changes(opener: Opener) -> None:
    before = await shown(opener, "901")
    assert before["leave_date"] == "2026-06-05"
    await write(opener, "update", "901", {"title": "Teacher", "leave_date": before["leave_date"]})
    assert await shown(opener, "901") == {**before, "title": "Teacher"}


async def test_a_write_without_the_date_would_bring_the_leaver_back(opener: Opener) -> None:
    """The reason for the companion, seen at the simulator with the write that our wire refuses to make."""
    await opener.target().write(WireWrite("PUT", "/api/v5/staff/901", {"Title": "Teacher"}), idempotency_key="k")
    assert (await shown(opener, "901"))["leave_date"] is None


async def test_the_date_of_leaving_is_set_and_taken_back(opener: Opener) -> None:
    await write(opener, "suspend", "902", {"leave_date": "2026-12-01", "inactive_code": "I"})
    left = await shown(opener, "902")
    assert (left["leave_date"], left["inactive_code"]) == ("2026-12-01", "I")
    await write(opener, "reactivate", "902", {"leave_date": None, "inactive_code": None})
    back = await shown(opener, "902")
    assert (back["leave_date"], back["inactive_code"]) == (None, "")


async def test_none_empties_a_text_and_leaves_no_other_alone(opener: Opener) -> None:
    await write(opener, "update", "902", {"title": "Teacher", "cell": "7145550100", "leave_date": None})
    before = await shown(opener, "902")
    await write(opener, "update", "902", {"title": None, "leave_date": None})
    assert await shown(opener, "902") == {**before, "title": ""}


# --- who is meant ---------------------------------------------------------------------------------------------------


async def test_a_number_that_is_taken_is_never_overwritten(opener: Opener) -> None:
    before = await shown(opener, "902")
    with pytest.raises(TargetMoved) as caught:
        await write(opener, "create", None, {**NEW, "id": 902})
    assert caught.value.code == "APL_CONFLICT"
    assert await shown(opener, "902") == before


async def test_aeries_gives_the_number_where_it_numbers_staff(aeries: RunningAeries, opener: Opener) -> None:
    aeries.switch(auto_number_staff=True)
    with pytest.raises(RecordRefused) as caught:
        await write(opener, "create", None, NEW)
    assert caught.value.code == "APL_REFUSED_RECORD"
    receipt = await write(opener, "create", None, {name: value for name, value in NEW.items() if name != "id"})
    assert receipt == Receipt(target_id="904", status=201)
    by_key = await opener.target().fetch("staff", target_id=None, key="E0950")
    assert by_key is not None
    assert by_key["target_id"] == "904"


async def test_an_update_that_made_a_new_record_is_not_called_done(aeries: RunningAeries, opener: Opener) -> None:
    with pytest.raises(OutcomeUnknown, match="there was no such record") as caught:
        await write(opener, "update", "977", {"title": "Ghost", "leave_date": None})
    assert caught.value.code == "APL_UNKNOWN_OUTCOME"
    assert aeries.effects() != {}, "the simulator has made one, as the documents say"


async def test_two_of_one_hr_id_are_never_taken_for_one(aeries: RunningAeries, opener: Opener) -> None:
    state = small_district()
    state["years"]["2026"]["staff"][1]["HumanResourcesSystemID"] = "E0901"
    aeries.control.put("/state", json=state)
    with pytest.raises(TargetMoved, match="2 members of staff"):
        await opener.target().fetch("staff", target_id=None, key="E0901")


async def test_a_key_of_another_case_is_nobodys(opener: Opener) -> None:
    assert await opener.target().fetch("staff", target_id=None, key="e0901") is None


async def test_who_is_left_out_of_the_list_is_still_found_by_the_key(aeries: RunningAeries, opener: Opener) -> None:
    state = small_district()
    state["years"]["2026"]["staff"][2]["HumanResourcesSystemID"] = "E0903"
    aeries.control.put("/state", json=state)
    aeries.switch(exclude_expired_accounts=True)
    found = await opener.target().fetch("staff", target_id=None, key="E0903")
    assert found is not None
    assert found["target_id"] == "903"


async def test_one_record_is_shown_from_object_and_array(aeries: RunningAeries, opener: Opener) -> None:
    as_object = await shown(opener, "902")
    aeries.switch(single_record="array", one_element_list="object")
    assert await shown(opener, "902") == as_object
    assert await opener.target().fetch("staff", target_id=None, key="000902") == as_object


async def test_an_address_of_the_account_hides_what_was_written(opener: Opener) -> None:
    """Why a connector that writes staff reads every write back."""
    receipt = await write(opener, "update", "902", {"email": "new@x.test", "leave_date": None})
    assert receipt.status == 200
    assert (await shown(opener, "902"))["email"] == "cy@x.test"
    await write(opener, "update", "901", {"email": "new@x.test", "leave_date": None})
    assert (await shown(opener, "901"))["email"] == "new@x.test", "she has no account"


# --- what answers mean ----------------------------------------------------------------------------------------------


async def test_a_text_that_aeries_would_alter_is_not_sent(aeries: RunningAeries, opener: Opener) -> None:
    with pytest.raises(RecordRefused, match="out of Title") as caught:
        await write(opener, "update", "902", {"title": 'The "One"', "leave_date": None})
    assert "One" not in caught.value.message
    assert asked(aeries, "PUT") == []


async def test_a_text_that_is_too_long_is_refused_by_its_property(opener: Opener) -> None:
    with pytest.raises(RecordRefused) as caught:
        await write(opener, "update", "902", {"first_name": "Wilhelmina" * 3, "leave_date": None})
    assert caught.value.facts["fields"] == "FirstName"
    assert "Wilhelmina" not in caught.value.message


@pytest.mark.parametrize(("certificate", "text"), [("env:READER", "insert and update on staff")])
async def test_who_may_not_write_staff_is_told_what_to_grant(opener: Opener, certificate: str, text: str) -> None:
    target = opener.target("env:ALL", write_certificate=certificate)
    with pytest.raises(NeedsPerson, match=text) as caught:
        await write(opener, "update", "902", {"title": "x", "leave_date": None}, target=target)
    assert caught.value.code == "APL_AUTH"


async def test_a_page_for_people_under_200_leaves_it_open_what_was_done(aeries: RunningAeries, opener: Opener) -> None:
    aeries.control.post("/faults", json={"kind": "html_page", "method": "PUT"})
    with pytest.raises(OutcomeUnknown):
        await write(opener, "update", "902", {"title": "x", "leave_date": None})


# --- the year -------------------------------------------------------------------------------------------------------


async def test_nothing_is_written_to_another_year(aeries: RunningAeries, opener: Opener) -> None:
    aeries.switch(available_years=[2025])
    with pytest.raises(NeedsPerson, match="wrong year") as caught:
        await write(opener, "update", "902", {"title": "x", "leave_date": None})
    assert caught.value.code == "APL_CONFIG"
    with pytest.raises(NeedsPerson, match="wrong year"):
        await opener.target().fetch("staff", target_id="902", key=None)
    assert {entry["path"] for entry in [*asked(aeries), *asked(aeries, "PUT")]} == {"/aeries/api/v5/systeminfo"}
    aeries.control.put("/state", json=small_district())  # those questions name a year that is not there, on purpose


async def test_the_year_is_looked_at_again_once_a_minute(aeries: RunningAeries, opener: Opener) -> None:
    target = opener.target()
    for step in (0.0, CHECKED_SECONDS_MAX / 2, CHECKED_SECONDS_MAX / 2):
        opener.clock.seconds += step
        await write(opener, "update", "902", {"title": f"at {step}", "leave_date": None}, target=target)
    assert sum(entry["path"].endswith("systeminfo") for entry in asked(aeries)) == 2
    assert {entry["query"]["DatabaseYear"] for entry in asked(aeries, "PUT")} == {"2026"}


async def test_only_staff_is_shown_one_by_one(opener: Opener) -> None:
    with pytest.raises(StopRun, match="only staff is"):
        await opener.target().fetch("students", target_id="1", key=None)
