"""The differ over its whole way: partitions, what is left of them, the ledger, and the plan that comes of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from services.differ.handlers import on_draft_plan
from services.differ.ledger import Ledger
from services.differ.memory import Drafted
from shared.bus.reading import last
from shared.events.commands import DraftPlan
from shared.plan.change import Cause, Change
from shared.plan.document import PlanIndexPart, header_subject
from shared.plan.index import plan_digest_from_index
from shared.policy.figures import EntityFigures
from shared.policy.guard import Level
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import SmallHouse
from tests.integration.handlers.small_systems import PeopleSource
from tests.unit.applier.fake_target import FrameReading
from tests.unit.plan.plan_builder import ENTITY

LONG_AGO = timedelta(days=3)


async def changes(house: SmallHouse) -> dict[str, Change]:
    """The changes of the present plan by key."""
    return {change.key: change for page in await house.pages() for change in page.changes}


async def asides(house: SmallHouse) -> Counter[tuple[str, str]]:
    """Key and code of what was left out."""
    return Counter((aside.key, aside.code) for page in await house.pages() for aside in page.aside)


async def figures(house: SmallHouse) -> EntityFigures:
    return (await house.plan()).header.figures.entities[0]


async def strikes(house: SmallHouse, key: str) -> int:
    ledger = Ledger(house.ledger_url)
    found = await ledger.recall(house.scope, [key])
    await ledger.close()
    return found[key].strikes if key in found else 0


def without_past(house: SmallHouse) -> None:
    """A connector that never ran."""
    house.ledger_url = f"sqlite+aiosqlite:///{house.folder / 'fresh.db'}"


async def test_first_runs_remove_nothing_and_say_why(house: SmallHouse) -> None:
    without_past(house)
    for earlier in (0, 1):
        await house.to_drafted()
        found = await figures(house)
        assert (found.certified_runs, found.is_onboarding) == (earlier, True)
        assert found.changes == {"create": 3, "update": 2}
        assert found.aside == {"DIF_ONBOARDING": 1}
        assert await asides(house) == {("E20", "DIF_ONBOARDING"): 1}
        plan = await house.plan()
        assert (plan.header.asides, plan.header.verdict.level) == (1, Level.PASS)
        await house.cancel()


async def test_a_removal_needs_two_misses_a_day_apart(house: SmallHouse) -> None:
    without_past(house)
    await house.remember_past(certified_runs=2)
    for _ in range(2):  # the second look comes too soon after the first
        await house.to_drafted()
        assert await asides(house) == {("E20", "DIF_FIRST_MISS"): 1}
        assert "suspend" not in (await figures(house)).changes
        assert await strikes(house, "E20") == 1
        await house.cancel()
    await house.remember_past(certified_runs=4, missed={"E20": timedelta(hours=25)})
    await house.to_drafted()
    assert (await changes(house))["E20"].change_class == "suspend"
    assert await strikes(house, "E20") == 2


async def test_a_record_that_is_there_again_is_missed_anew(house: SmallHouse) -> None:
    house.people.append({"id": "E20", "first": "Name20", "email": "p20@example.org", "role": "TEACHER"})
    await house.to_drafted()
    assert await strikes(house, "E20") == 0
    await house.cancel()
    house.people.pop()
    await house.to_drafted()
    assert await asides(house) == {("E20", "DIF_FIRST_MISS"): 1}
    assert await strikes(house, "E20") == 1


async def test_a_dry_run_counts_as_a_certified_look(house: SmallHouse) -> None:
    without_past(house)
    await house.to_drafted("dry-run")
    await house.to_drafted("dry-run")
    assert (await figures(house)).certified_runs == 1
    assert await strikes(house, "E20") == 1


async def test_a_person_with_another_key_is_renamed_whatever_partition_the_keys_lie_in(house: SmallHouse) -> None:
    for number in range(3, 8):
        house.people[number - 1]["id"] = f"N{number}"
    await house.to_finished_over_limits()
    found = await changes(house)
    for number in range(3, 8):
        change = found[f"N{number}"]
        assert (change.target_id, change.change_class) == (f"t-{number}", "rename")
    assert {one.change_class for one in found.values()} == {"create", "rename", "suspend", "update"}
    assert sorted(one.key for one in found.values() if one.change_class == "create") == ["E10", "E8", "E9"]
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    ledger = Ledger(house.ledger_url)
    linked = await ledger.linked(house.scope, [f"t-{number}" for number in range(3, 8)])
    await ledger.close()
    assert linked == {f"t-{number}": f"N{number}" for number in range(3, 8)}


async def test_a_link_that_contradicts_the_keys_changes_nobody(house: SmallHouse) -> None:
    # E1 is said to be t-4, which shows E4 and is E4's; t-1 shows E1.
    await house.remember_past(missed={"E20": LONG_AGO}, links={"E1": "t-4"})
    await house.to_drafted()
    assert "E1" not in await changes(house)
    assert {code for key, code in await asides(house) if key == "E1"} == {"MAT_REUSED_ID"}
    assert (await figures(house)).ambiguous >= 1


async def test_a_field_that_somebody_changed_at_the_target_has_drifted(house: SmallHouse) -> None:
    await house.to_finished()
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    house.target.records["t-1"]["first_name"] = "Somebody"
    house.people[1]["first"] = "Changed again"
    await house.to_drafted()
    found = await changes(house)
    causes = {key: [field.cause for field in change.fields] for key, change in found.items()}
    assert causes == {"E1": [Cause.DRIFT], "E2": [Cause.SOURCE_CHANGE]}


async def test_what_was_applied_stands_in_the_windows_of_the_next_plan(house: SmallHouse) -> None:
    await house.to_finished()
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    await house.to_drafted()
    found = await figures(house)
    told = {one.window: one.applied for one in found.windows}
    assert told["24h"] == told["7d"] == {"create": 3, "suspend": 1, "update": 2}
    assert (found.changes, found.is_onboarding) == ({}, False)
    assert {one.check: (one.low, one.high, one.runs) for one in found.usual}["create"] == (3, 3, 1)
    assert (await house.state()).status is RunStatus.NO_CHANGES


async def test_index_holds_the_tree_of_the_plan(house: SmallHouse) -> None:
    await house.to_drafted()
    plan = await house.plan()
    parts = [
        PlanIndexPart.model_validate_json(one.data) async for one in house.stored("PLAN", f"plan.{house.run}.index.>")
    ]
    entries = [entry for part in parts for entry in part.entries]
    assert len(entries) == plan.header.changes == 6
    assert plan_digest_from_index(plan.header, entries) == plan.plan_digest


async def test_drafting_that_was_killed_before_it_was_remembered_is_remembered_once(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.request()
    await house.read_sides()
    await house.diff()
    message = await house.command(f"cmd.plan.{house.run}")
    killed = await house.replica("differ")

    async def power_cut(ledger: Ledger, drafted: Drafted) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "remember_draft", power_cut)
        with pytest.raises(SystemExit):
            await on_draft_plan(DraftPlan.model_validate_json(message.data), killed.context)
    stored = await last(killed.js, "PLAN", header_subject(house.run))
    assert stored is not None
    assert await strikes(house, "E20") == 1
    for _ in range(2):
        await (await house.replica("differ")).deliver(message)
        assert await strikes(house, "E20") == 2
    assert (await house.plan()).model_dump_json().encode() == stored.data
    assert (await house.picture()).messages["plan.RUN.header"] == 1
    await house.cancel()
    await house.to_drafted()
    assert (await figures(house)).certified_runs == 3


async def test_a_read_without_certificate_removes_nothing_and_counts_no_miss(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(source: PeopleSource, entity: str) -> FrameReading:
        return FrameReading(source._frame, source._frame.height + 1)

    monkeypatch.setattr(PeopleSource, "read", short)
    await house.to_drafted()
    found = await figures(house)
    assert "suspend" not in found.changes
    assert (found.removals_suppressed, found.aside) == (1, {"DIF_NOT_CERTIFIED": 1})
    assert await strikes(house, "E20") == 1  # the one of the past
    await house.cancel()
    monkeypatch.undo()
    await house.to_drafted()
    assert (await figures(house)).certified_runs == 2


async def test_protected_records_are_left_alone_and_told(house: SmallHouse) -> None:
    listed = f"{ENTITY}:\n  - {{key: E20, reason: on leave}}\n  - {{target_id: t-1, reason: superintendent}}\n"
    (house.folder / house.connector / "protected.yaml").write_text(listed, encoding="utf-8")
    await house.to_drafted()
    assert await asides(house) == {("E1", "DIF_PROTECTED"): 1, ("E20", "DIF_PROTECTED"): 1}
    assert (await figures(house)).changes == {"create": 3, "update": 1}


async def test_value_that_another_contract_makes_is_told_as_a_change_of_the_contract(house: SmallHouse) -> None:
    await house.to_finished()
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    definition = house.folder / house.connector / "connector.yaml"
    plain = "first_name: {from: [person.first]"
    text = definition.read_text(encoding="utf-8")
    assert plain in text
    definition.write_text(text.replace(plain, "first_name: {from: [person.role]"), encoding="utf-8")
    await house.to_drafted()
    found = await changes(house)
    # Of E3 to E7 nothing was ever written, so that nothing is known of the clause that made their names.
    causes = {key: {field.cause for field in change.fields} for key, change in found.items()}
    written = {"E1", "E2", "E8", "E9", "E10"}
    assert causes == {
        f"E{n}": {Cause.CONTRACT_CHANGE if f"E{n}" in written else Cause.SOURCE_CHANGE} for n in range(1, 11)
    }


async def test_replicas_that_draft_at_once_go_on_with_one_plan(house: SmallHouse) -> None:
    await house.request()
    await house.read_sides()
    await house.diff()
    message = await house.command(f"cmd.plan.{house.run}")
    replicas = [await house.replica("differ") for _ in range(3)]
    await asyncio.gather(*(replica.deliver(message) for replica in replicas))
    state = await house.state()
    assert state.plan is not None
    assert state.plan.plan_digest == (await house.plan()).plan_digest
    assert (await house.picture()).messages["plan.RUN.header"] == 1
    assert await strikes(house, "E20") == 2
    assert (await house.decide("anna")).status == "approved"
    await house.apply()
    assert (await house.state()).status is RunStatus.SUCCEEDED
