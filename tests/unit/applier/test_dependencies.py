"""What builds on what, and what becomes of it when the other did not take effect."""

from __future__ import annotations

import time
from typing import Any

import pytest

from services.applier.dependencies import verdict_on
from shared.errors import RecordRefused
from shared.events.facts import OutcomeRecorded, Result
from shared.plan.change import Cause, Change, ChangeClass, FieldChange
from shared.plan.dependencies import Dependencies
from shared.plan.document import EntityPlan
from shared.ports.wire import Value
from tests.unit.applier.applying_bench import NO_ROOM, bench, stops_with
from tests.unit.applier.fake_target import Fault
from tests.unit.plan.plan_builder import ENTITY, FIELDS, RUN, change, record

C = ChangeClass
GROUPS, MEMBERS = "groups", "members"
ENTITIES = (
    EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=()),
    EntityPlan(entity=GROUPS, compared_fields=FIELDS, personal_fields=()),
    EntityPlan(entity=MEMBERS, compared_fields=FIELDS, personal_fields=(), needs=(GROUPS, ENTITY)),
)


def fields(**values: tuple[Value, Value]) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(name=name, before=before, after=after, cause=Cause.SOURCE_CHANGE)
        for name, (before, after) in values.items()
    )


def one(number: int, change_class: ChangeClass, entity: str, wave: int, **more: Any) -> Change:
    made = change(number, change_class)
    return made.model_copy(
        update={"entity": entity, "wave": wave, "change_id": f"{entity}-{change_class}-{number}", **more}
    )


def outcome(of: Change, result: Result) -> OutcomeRecorded:
    return OutcomeRecorded(run=RUN, change_id=of.change_id, fencing_token=1, result=result)


MAKES = one(1, C.CREATE, GROUPS, 1, key="G1", target_id=None)
REVIVES = one(2, C.REACTIVATE, ENTITY, 1, key="E2", target_id="t-2")
JOINS = one(3, C.CREATE, MEMBERS, 2, fields=fields(group=(None, "G1"), person=(None, "t-2")))
LEAVES = one(4, C.MEMBER_REMOVE, MEMBERS, 3, fields=fields(group=("G9", None), person=("t-9", None)))
ENDS = one(9, C.DELETE, GROUPS, 4, key="G9", target_id="g-9")
OTHER = one(7, C.DELETE, GROUPS, 4, key="G7", target_id="g-7")
ALL = (MAKES, REVIVES, JOINS, LEAVES, ENDS, OTHER)


def test_what_a_change_builds_on_is_told_by_key_and_by_id() -> None:
    built = Dependencies(ALL, ENTITIES)
    assert built.builds_on(JOINS.change_id) == (MAKES.change_id, REVIVES.change_id)
    assert built.builds_on(ENDS.change_id) == (LEAVES.change_id,)
    for each in (MAKES, REVIVES, LEAVES, OTHER):
        assert built.builds_on(each.change_id) == ()
        assert verdict_on(each.change_id, built, {}) == "go"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("applied", "applied", "go"),
        ("applied", "noop_already", "go"),
        ("applied", None, "wait"),
        (None, None, "wait"),
        ("failed", "applied", "skip"),
        (None, "quarantined", "skip"),
        ("stale_skipped", None, "skip"),
        ("dependency_skipped", "applied", "skip"),
        ("not_attempted", "applied", "skip"),
    ],
)
def test_verdict(first: Result | None, second: Result | None, expected: str) -> None:
    outcomes = {
        each.change_id: outcome(each, result)
        for each, result in ((MAKES, first), (REVIVES, second))
        if result is not None
    }
    assert verdict_on(JOINS.change_id, Dependencies(ALL, ENTITIES), outcomes) == expected


def test_nothing_builds_on_a_change_of_its_own_or_a_later_wave() -> None:
    late = MAKES.model_copy(update={"wave": 2})
    built = Dependencies((late, REVIVES, JOINS), ENTITIES)
    assert built.builds_on(JOINS.change_id) == (REVIVES.change_id,)


def test_entity_that_needs_none_builds_on_none() -> None:
    plain = tuple(each.model_copy(update={"needs": ()}) for each in ENTITIES)
    assert Dependencies(ALL, plain).builds_on(JOINS.change_id) == ()


def test_hundred_thousand_changes_that_name_one_group_take_seconds() -> None:
    joins = [JOINS.model_copy(update={"change_id": f"j{n}"}) for n in range(50_000)]
    leaves = [LEAVES.model_copy(update={"change_id": f"l{n}"}) for n in range(50_000)]
    began = time.process_time()
    built = Dependencies([MAKES, *joins, *leaves, ENDS], ENTITIES)
    assert time.process_time() - began < 10
    assert built.builds_on("j49999") == (MAKES.change_id,)
    assert len(built.builds_on(ENDS.change_id)) == 50_000


# --- while they are carried out -------------------------------------------------------------------------------------

A, B = "accounts", "badges"
CHAIN = (
    EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=()),
    EntityPlan(entity=A, compared_fields=FIELDS, personal_fields=(), needs=(ENTITY,)),
    EntityPlan(entity=B, compared_fields=FIELDS, personal_fields=(), needs=(A,)),
)


def chain() -> tuple[Change, Change, Change, Change]:
    """A contact that is made, one that is made and names it, one that names that, and one that names none."""
    values = {name: value for name, value in record(502).items() if name != "target_id"}
    return (
        change(500, C.CREATE),
        change(501, C.CREATE, after={**values, "external_id": "E501", "role": "E500"}, entity=A, wave=2),
        change(502, C.CREATE, after={**values, "role": "E501"}, entity=B, wave=3),
        change(4),
    )


NESTED = (EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=(), needs=(ENTITY,)),)


def nested(*links: tuple[int, int | None]) -> list[Change]:
    """Contacts that are made, each naming another one."""
    values = {name: value for name, value in record(502).items() if name != "target_id"}
    return [
        change(number, C.CREATE, after={**values, "external_id": f"E{number}", "role": f"E{parent}"})
        for number, parent in links
    ]


def test_records_of_one_entity_follow_each_other_by_generation() -> None:
    links = ((500, 501), (501, 502), (502, None), (503, 502))
    changes = nested(*links)
    built = Dependencies(changes, NESTED)
    assert [built.generation(one.change_id) for one in changes] == [2, 1, 0, 1]
    assert built.builds_on(changes[0].change_id) == (changes[1].change_id,)
    assert built.builds_on(changes[2].change_id) == ()
    plain = tuple(each.model_copy(update={"needs": ()}) for each in NESTED)
    assert Dependencies(changes, plain).generation(changes[0].change_id) == 0


def test_records_that_name_each_other_in_a_ring_wait_for_nobody() -> None:
    changes = nested((500, 501), (501, 500), (502, 502), (503, 500))
    built = Dependencies(changes, NESTED)
    for one in changes:
        assert built.generation(one.change_id) == 0
        assert verdict_on(one.change_id, built, {}) == "go"


async def test_a_record_goes_out_behind_the_one_that_it_builds_on_and_not_without_it() -> None:
    changes = nested((500, 501), (501, 502), (502, None))
    house = bench(*changes, entities=NESTED)
    assert await house.run() is None
    assert house.results() == {"applied": 3}
    assert list(house.target.sent) == [one.change_id for one in reversed(changes)]
    changes = nested((500, 501), (501, 502), (502, None))
    house = bench(*changes, entities=NESTED)
    house.target.faults[changes[1].change_id].append(Fault(RecordRefused("APL_REFUSED_RECORD", "bad name")))
    assert await house.run() is None
    assert [house.result(one) for one in changes] == ["dependency_skipped", "quarantined", "applied"]


async def test_chain_whose_first_change_is_applied_is_applied() -> None:
    house = bench(*chain(), entities=CHAIN)
    assert await house.run() is None
    assert house.results() == {"applied": 4}


async def test_chain_whose_first_change_fails_is_skipped_to_its_end() -> None:
    first, second, third, other = chain()
    house = bench(first, second, third, other, entities=CHAIN)
    house.target.faults[first.change_id].append(Fault(RecordRefused("APL_REFUSED_RECORD", "bad name")))
    assert await house.run() is None
    assert [house.result(each) for each in (first, second, third, other)] == [
        "quarantined",
        "dependency_skipped",
        "dependency_skipped",
        "applied",
    ]
    assert house.code(second) == house.code(third) == "APL_DEPENDENCY"
    assert set(house.target.sent) == {first.change_id, other.change_id}
    assert second.change_id not in house.journal.intents


async def test_chain_whose_first_change_has_no_room_is_left_until_there_is_some() -> None:
    first, second, third, other = chain()
    house = bench(first, second, third, other, entities=CHAIN)
    house.target.faults[first.change_id].append(Fault(NO_ROOM))
    stops_with(await house.run(), "pause", "APL_CAPACITY")
    assert house.results() == {"applied": 1, "unknown": 1, "not_attempted": 2}
    assert await house.resume() is None
    assert house.results() == {"applied": 4}
