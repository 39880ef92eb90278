"""A record is removed when two certified reads, far enough apart, have missed it; everything else leaves it alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.differ.comparing import Memory
from shared.contract.model import Membership
from shared.plan.change import Cause, ChangeClass
from tests.unit.differ.frames import Outcome, contract, missed_before, remembering, run, want
from tests.unit.plan.plan_builder import NOW, record

DAY = timedelta(hours=24)
MINUTE = timedelta(minutes=1)
DELETES = contract(ladder="delete")


def gone(memory: Memory | None = None, *, active: bool = True, **more: Any) -> Outcome:
    """What becomes of record 1, which is desired no longer."""
    return run([], [record(1, active=active)], recall=remembering(memory) if memory else {}, **more)


def suspended(*, days: int = 30, strikes: int = 5) -> Memory:
    return Memory("E1", strikes=strikes, last_strike_at=NOW - DAY, suspended_since=NOW - timedelta(days=days))


def test_record_desired_no_longer_is_suspended_in_the_last_wave() -> None:
    (made,) = run([], [record(1)], recall=missed_before(1)).changes
    assert (made.change_class, made.verb, made.wave) == (ChangeClass.SUSPEND, "suspend", 2)
    assert [(one.name, one.before, one.after, one.cause) for one in made.fields] == [
        ("active", True, False, Cause.SOURCE_CHANGE)
    ]
    assert made.precondition is not None


def test_record_that_left_the_scope_says_so() -> None:
    outcome = run([], [record(1), record(2)], recall=missed_before(1, 2), outside=["E2"])
    assert {change.key: change.fields[0].cause for change in outcome.changes} == {
        "E1": Cause.SOURCE_CHANGE,
        "E2": Cause.SCOPE_CHANGE,
    }


@pytest.mark.parametrize(
    ("memory", "is_removed"),
    [
        (None, False),
        (Memory("E1", strikes=1, last_strike_at=NOW - DAY), True),
        (Memory("E1", strikes=1, last_strike_at=NOW - DAY + MINUTE), False),
        (Memory("E1", strikes=2, last_strike_at=NOW - MINUTE), True),
        (Memory("E1", strikes=0), False),
    ],
)
def test_removal_needs_two_misses_a_day_apart(memory: Memory | None, is_removed: bool) -> None:
    outcome = gone(memory)
    assert outcome.by_class == ({"suspend": 1} if is_removed else {})
    assert outcome.told == ([] if is_removed else [("E1", "suspend", "DIF_FIRST_MISS")])
    assert outcome.settled.missed == ["E1"]


def test_strikes_and_hours_are_the_contracts() -> None:
    once = contract(removal={"strikes": 1})
    assert gone(under=once).by_class == {"suspend": 1}
    three = contract(removal={"strikes": 3, "strike_hours": 2})
    two_before = Memory("E1", strikes=2, last_strike_at=NOW - timedelta(hours=2))
    assert gone(two_before, under=three).by_class == {"suspend": 1}
    assert gone(Memory("E1", strikes=1, last_strike_at=NOW - DAY), under=three).by_class == {}


@pytest.mark.parametrize(("certified_runs", "is_removed"), [(0, False), (1, False), (2, True)])
def test_nothing_is_removed_in_the_first_two_certified_runs(certified_runs: int, is_removed: bool) -> None:
    outcome = run([], [record(1)], recall=missed_before(1), certified_runs=certified_runs)
    assert outcome.by_class == ({"suspend": 1} if is_removed else {})
    assert outcome.told == ([] if is_removed else [("E1", "suspend", "DIF_ONBOARDING")])
    assert outcome.settled.missed == ["E1"], "the miss counts all the same"


def test_incomplete_snapshot_never_yields_removals_and_says_how_many() -> None:
    outcome = run(
        [want(1, first_name="New")],
        [record(1), record(2), record(3), record(4, active=False)],
        recall=missed_before(2, 3, 4),
        may_remove=False,
    )
    assert outcome.by_class == {"update": 1}
    assert outcome.settled.removals_suppressed == 2
    assert outcome.told == [("E2", "suspend", "DIF_NOT_CERTIFIED"), ("E3", "suspend", "DIF_NOT_CERTIFIED")]
    assert (outcome.settled.missed, outcome.settled.suspended_seen) == ([], []), "what was not read was not missed"


def test_flapping_source_removes_nobody() -> None:
    """Twenty nights in which a record comes and goes: each return resets its strikes, so no night removes it."""
    strikes: Memory | None = None
    for night in range(20):
        now = NOW + night * DAY
        outcome = run(
            [want(1)] if night % 2 else [], [record(1)], recall=remembering(strikes) if strikes else {}, now=now
        )
        assert outcome.changes == []
        missed = "E1" in outcome.settled.missed
        strikes = Memory("E1", strikes=1, last_strike_at=now) if missed else None
    assert night == 19


def test_preserve_removes_nothing_and_leaves_nothing_out() -> None:
    outcome = run([], [record(1), record(2)], under=contract(ladder="preserve"), recall=missed_before(1, 2))
    assert (outcome.changes, outcome.aside, outcome.settled.preserved) == ([], [], 2)
    assert run([], [record(1)], under=contract(ladder="preserve"), may_remove=False).settled.removals_suppressed == 0


def test_record_that_is_suspended_already_is_not_touched_and_not_counted() -> None:
    outcome = run([want(2)], [record(1, active=False), record(2)], recall=missed_before(1))
    assert (outcome.changes, outcome.aside) == ([], [])
    assert outcome.total("live_managed") == 1
    assert (outcome.settled.missed, outcome.settled.suspended_seen) == (["E1"], ["E1"])


@pytest.mark.parametrize(
    ("memory", "is_deleted"),
    [(suspended(days=30), True), (suspended(days=29), False), (Memory("E1", strikes=9), False)],
)
def test_record_is_deleted_once_it_was_suspended_for_thirty_days(memory: Memory, is_deleted: bool) -> None:
    outcome = gone(memory, active=False, under=DELETES)
    assert outcome.by_class == ({"delete": 1} if is_deleted else {})
    assert outcome.aside == []


def test_delete_says_what_and_why_and_sends_no_values() -> None:
    (made,) = gone(suspended(), active=False, under=DELETES).changes
    assert (made.verb, made.wave, made.write.method, made.write.body) == ("delete", 2, "DELETE", None)
    assert [(one.name, one.before, one.after, one.cause) for one in made.fields] == [
        ("external_id", "E1", None, Cause.EXPIRY)
    ]


def test_ladder_that_ends_at_suspend_never_deletes() -> None:
    assert gone(suspended(days=900), active=False).changes == []


def test_live_record_is_suspended_before_it_is_deleted() -> None:
    memory = suspended(days=900)
    assert gone(memory, under=DELETES).by_class == {"suspend": 1}


@pytest.mark.parametrize(
    ("more", "code"),
    [({"may_remove": False}, "DIF_NOT_CERTIFIED"), ({"certified_runs": 1}, "DIF_ONBOARDING")],
)
def test_deleting_rests_on_reads_like_suspending(more: dict[str, Any], code: str) -> None:
    assert gone(suspended(), active=False, under=DELETES, **more).told == [("E1", "delete", code)]


def test_deleting_needs_strikes_too() -> None:
    memory = suspended(strikes=0)
    assert gone(memory, active=False, under=DELETES).told == [("E1", "delete", "DIF_FIRST_MISS")]


def test_suspension_that_touches_a_protected_field_is_left_out_whole() -> None:
    outcome = run([], [record(1)], under=contract(active={"protected": True}), recall=missed_before(1))
    assert (outcome.changes, outcome.told) == ([], [("E1", "suspend", "DIF_FIELD_PROTECTED")])


def test_suspending_writes_what_is_not_so_already() -> None:
    under = contract(removal={"suspended": {"active": False, "role": "NONE"}})
    (made,) = run([], [record(1, role="NONE")], under=under, recall=missed_before(1)).changes
    assert [one.name for one in made.fields] == ["active"]
    assert made.write.body == {"active": False}


def test_member_leaves_the_group_at_once_but_not_at_the_first_miss() -> None:
    under = contract(ladder="delete", correlate=(), membership=Membership(group="role", member="first_name"))
    live = [record(1), record(2), record(3, role="NURSE")]
    first = run([want(3, role="NURSE")], live, under=under)
    assert first.told == [("E1", "member_remove", "DIF_FIRST_MISS"), ("E2", "member_remove", "DIF_FIRST_MISS")]
    outcome = run([want(3, role="NURSE"), want(4)], live, under=under, recall=missed_before(1, 2))
    assert outcome.by_class == {"member_add": 1, "member_remove": 2}
    removed = next(change for change in outcome.changes if change.key == "E1")
    assert (removed.verb, removed.wave) == ("delete", 2)
    assert [(one.name, one.before, one.after) for one in removed.fields] == [
        ("first_name", "Name1", None),
        ("role", "TEACHER", None),
    ]
    assert outcome.settled.group_removals == {"TEACHER": 2}
    assert [part.groups for part in outcome.compared] == [{"NURSE": 1, "TEACHER": 2}]


@pytest.mark.parametrize("ladder", ["suspend", "delete"])
def test_only_what_the_ladder_preserves_is_counted_as_preserved(ladder: str) -> None:
    outcome = run([], [record(1), record(2)], under=contract(ladder=ladder), recall=missed_before(1, 2))
    assert outcome.settled.preserved == 0
    assert outcome.by_class == {"suspend": 2}


def test_only_removals_without_a_certificate_are_counted_as_suppressed() -> None:
    certified = run([], [record(1)])
    assert (certified.told, certified.settled.removals_suppressed) == ([("E1", "suspend", "DIF_FIRST_MISS")], 0)
    early = run([], [record(1)], certified_runs=1, recall=missed_before(1))
    assert (early.told, early.settled.removals_suppressed) == ([("E1", "suspend", "DIF_ONBOARDING")], 0)
