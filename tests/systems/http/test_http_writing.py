"""Writes without code against a vendor made by others: PATCH and PUT, flags and deletes, refusals, batches."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.errors import AetherError, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.ports.system import Receipt
from tests.conformance.bench import Vendor
from tests.simulators.alerts.running_alerts import Klaxon
from tests.systems.http.klaxon import Ends, contact, ends, read

PUT = {"update": {"method": "PUT", "path": "/contacts/{id}"}}
EVERY = ["external_id", "first_name", "last_name", "record_type", "job_title", "active", "email", "mobile"]
BATCH = {
    "path": "/contacts/batch", "verbs": ["create", "update"], "items": "items", "items_max": 10,
    "identified_by": "key", "results": "/results", "status": "status", "id": "id", "gather_seconds": 0.02,
}  # fmt: skip
POLL = {
    "token": "/batchId", "path": "/batches/{token}", "state": "/state", "done": ["done"], "every_seconds": 0.05,
    "asked_max": 5,
}  # fmt: skip
IN_BATCHES = ["external_id", "email", "mobile"]
SUCCESS_SAID = {
    "success": {"create": [201, 200], "update": [200], "delete": [200], "says": {"pointer": "/ok", "equals": True}},
    "error": {"message": "/message", "reason": "/code"},
    "reasons": {"missing": [404], "moved": [409], "refused": [400, 424]},
}  # fmt: skip


async def test_life_of_a_contact_by_patch(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        target = house.target()
        target_id = await house.written(target, "create", None, **contact(1))
        assert target_id is not None
        made = await target.fetch("contacts", target_id=target_id, key=None)
        assert made is not None
        assert made == await target.fetch("contacts", target_id=None, key="N1")
        assert {name: made[name] for name in contact()} == contact(1)
        listed = [row for row in (await read(target))[0] if row["target_id"] == target_id]
        assert listed == [made], "a list shows it as it is shown alone"

        assert await house.written(target, "update", target_id, first_name="Zora", job_title="Nurse") == target_id
        await house.written(target, "update", target_id, email=None, mobile="+17145550199")
        await house.written(target, "suspend", target_id)
        after = await target.fetch("contacts", target_id=target_id, key=None)
        assert after is not None
        wanted = contact(1, first_name="Zora", job_title="Nurse", email=None, mobile="+17145550199", active=False)
        assert {name: after[name] for name in wanted} == wanted
        await house.written(target, "reactivate", target_id)
        await house.written(target, "delete", target_id)
        assert await target.fetch("contacts", target_id=target_id, key=None) is None
        with pytest.raises(TargetMoved):
            await house.written(target, "delete", target_id)


async def test_a_replacing_put_sends_every_field_or_nothing(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(update="put")
    async with ends(klaxon.url, tmp_path, contacts=PUT, companions=EVERY) as house:
        target = house.target()
        target_id = await house.written(target, "create", None, **contact(1, job_title="Nurse"))
        with pytest.raises(StopRun, match="must send external_id, last_name") as caught:
            await house.written(target, "update", target_id, first_name="Zora")
        assert caught.value.code == "APL_INTERNAL"
        await house.written(target, "update", target_id, **contact(1, first_name="Zora", job_title="Nurse"))
        after = await target.fetch("contacts", target_id=target_id, key=None)
        assert after is not None
        assert (after["first_name"], after["job_title"], after["email"]) == ("Zora", "Nurse", "zoe1@example.org")


async def test_a_change_of_one_value_in_a_list_never_empties_its_neighbours(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        with pytest.raises(StopRun, match="must send mobile too"):
            house.wire.write_for("contacts", verb="update", target_id="1", values={"email": "a@example.org"})


async def test_where_contacts_are_not_deleted_the_flag_suspends(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(removal="flag")
    async with ends(klaxon.url, tmp_path, contacts={"delete": None}) as house:
        target = house.target()
        target_id = await house.written(target, "create", None, **contact(1))
        await house.written(target, "suspend", target_id)
        after = await target.fetch("contacts", target_id=target_id, key=None)
        assert after is not None
        assert after["active"] is False
        with pytest.raises(StopRun, match="delete"):
            house.wire.write_for("contacts", verb="delete", target_id=target_id, values={})


async def test_refusals_are_told_apart_and_hold_no_value(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house:
        target = house.target()
        errors: list[AetherError] = []
        for values, kind in (
            (contact(1, external_id="E1"), TargetMoved),
            (contact(2, first_name="x" * 81), RecordRefused),
            (contact(3, email="not-an-address-of-anybody"), RecordRefused),
        ):
            with pytest.raises(kind) as caught:
                await house.written(target, "create", None, **values)
            errors.append(caught.value)
        with pytest.raises(TargetMoved):
            await house.written(target, "update", "4999999999999", first_name="Zora")
        told = " ".join(f"{error} {dict(error.facts)}" for error in errors)
        assert not any(text in told for text in ("x" * 81, "not-an-address", "E1", "Zoë"))


async def test_a_refusal_that_looks_like_success_is_read_by_what_it_says(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(is_refusal_a_success=True)
    async with ends(klaxon.url, tmp_path, interface=SUCCESS_SAID) as house:
        target = house.target()
        target_id = await house.written(target, "create", None, **contact(1))
        assert target_id is not None
        assert await target.fetch("contacts", target_id=None, key="nobody") is None
        with pytest.raises(TargetMoved):
            await house.written(target, "create", None, **contact(2, external_id="E1"))
        with pytest.raises(RecordRefused):
            await house.written(target, "update", target_id, first_name="x" * 81)
        with pytest.raises(TargetMoved):
            await house.written(target, "delete", "4999999999999")
        assert len((await read(target))[0]) == 26


async def test_a_refusal_that_looks_like_success_is_never_believed_without_its_rule(
    klaxon: Klaxon, tmp_path: Path
) -> None:
    klaxon.switch(is_refusal_a_success=True)
    async with ends(klaxon.url, tmp_path, interface={"success": {"create": [201, 200]}}) as house:
        with pytest.raises(OutcomeUnknown, match="/id: is missing"):
            await house.written(house.target(), "create", None, **contact(1, external_id="E1"))


async def test_the_same_create_again_makes_no_second_record(klaxon: Klaxon, tmp_path: Path) -> None:
    async with ends(klaxon.url, tmp_path) as house, Vendor(klaxon.url) as vendor:
        target = house.target()
        await vendor.arm("reset_after_effect", method="POST", path_pattern="/v1/contacts$")
        with pytest.raises(OutcomeUnknown):
            await house.written(target, "create", None, **contact(1))
        assert await target.fetch("contacts", target_id=None, key="N1") is not None
        with pytest.raises(TargetMoved):
            await house.written(target, "create", None, **contact(1))
        assert len((await read(target))[0]) == 26


async def test_a_record_found_by_a_list_of_one(klaxon: Klaxon, tmp_path: Path) -> None:
    by_key = {"path": "/contacts", "query": {"externalId": "{key}"}, "in_list": True}
    async with ends(klaxon.url, tmp_path, contacts={"by_key": by_key}) as house:
        target = house.target()
        found = await target.fetch("contacts", target_id=None, key="E3")
        assert found is not None
        assert found["external_id"] == "E3"
        assert await target.fetch("contacts", target_id=None, key="nobody") is None


async def many(house: Ends, count: int, **values: Any) -> list[Receipt | BaseException]:
    """So many creates at the same moment, the last of which is `values`."""
    target = house.target()
    rows = [*(contact(number) for number in range(1, count)), contact(count, **values)]
    writes = [house.wire.write_for("contacts", verb="create", target_id=None, values=row) for row in rows]
    return await asyncio.gather(
        *(target.write(write, idempotency_key=str(number)) for number, write in enumerate(writes)),
        return_exceptions=True,
    )


@pytest.mark.parametrize("form", ["sync", "token"])
async def test_many_writes_go_in_few_batches_and_each_has_its_own_result(
    klaxon: Klaxon, tmp_path: Path, form: str
) -> None:
    klaxon.switch(batch=form, batch_items_max=10, batch_seconds=0.0)
    batch = BATCH if form == "sync" else {**BATCH, "poll": POLL}
    async with (
        ends(klaxon.url, tmp_path, contacts={"batch": batch}, companions=IN_BATCHES) as house,
        Vendor(klaxon.url) as vendor,
    ):
        before = len(await vendor.journal())
        done = await many(house, 23, record_type="STAFF", email="no-address")
        assert [type(one) for one in done[:-1]] == [Receipt] * 22
        assert isinstance(done[-1], RecordRefused)
        assert "no-address" not in str(done[-1])
        sent = [entry for entry in (await vendor.journal())[before:] if entry["path"].endswith("/batch")]
        assert len(sent) == 3
        target = house.target()
        target_ids = [one.target_id for one in done if isinstance(one, Receipt)]
        for number, target_id in enumerate(target_ids[:3], start=1):
            found = await target.fetch("contacts", target_id=target_id, key=None)
            assert found is not None
            assert found["external_id"] == f"N{number}"


async def test_an_update_in_a_batch_names_its_record_by_key(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(batch="sync")
    async with ends(klaxon.url, tmp_path, contacts={"batch": BATCH}, companions=IN_BATCHES) as house:
        target = house.target()
        found = await target.fetch("contacts", target_id=None, key="E4")
        assert found is not None
        with pytest.raises(StopRun, match="must send external_id too"):
            await house.written(target, "update", str(found["target_id"]), first_name="Zora")
        target_id = await house.written(target, "update", str(found["target_id"]), external_id="E4", first_name="Zora")
        assert target_id == found["target_id"]
        after = await target.fetch("contacts", target_id=target_id, key=None)
        assert after is not None
        assert (after["first_name"], after["email"]) == ("Zora", "ada4@example.org")


@pytest.mark.parametrize("fault", ["reset_after_effect", "html_page", "torn_body"])
async def test_a_batch_without_a_whole_answer_is_unknown_for_every_write_in_it(
    klaxon: Klaxon, tmp_path: Path, fault: str
) -> None:
    klaxon.switch(batch="sync")
    async with (
        ends(klaxon.url, tmp_path, contacts={"batch": BATCH}, companions=IN_BATCHES) as house,
        Vendor(klaxon.url) as vendor,
    ):
        await vendor.arm(fault, method="POST", path_pattern="/batch$")
        assert [type(one) for one in await many(house, 3)] == [OutcomeUnknown] * 3


async def test_a_batch_that_is_not_done_in_time_is_unknown(klaxon: Klaxon, tmp_path: Path) -> None:
    klaxon.switch(batch="token", batch_seconds=3_600.0)
    batch = {**BATCH, "poll": POLL}
    async with (
        ends(klaxon.url, tmp_path, contacts={"batch": batch}, companions=IN_BATCHES) as house,
        Vendor(klaxon.url) as vendor,
    ):
        before = len(await vendor.journal())
        (one,) = await many(house, 1)
        assert isinstance(one, OutcomeUnknown)
        assert "asked_max" in one.message
        asked = [entry for entry in (await vendor.journal())[before:] if "/batches/" in entry["path"]]
        assert len(asked) == 5
