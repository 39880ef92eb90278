"""Over any two snapshots: the changes lead from what is to what is wanted, however the records were cut and ordered."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.ports.wire import Value
from tests.unit.differ.frames import changes_of, compare, contract, want
from tests.unit.plan.plan_builder import FIELDS, record

NUMBERS = st.integers(min_value=0, max_value=11)
NAMES = st.sampled_from(["Ana", "Bo", None])
ROLES = st.sampled_from(["TEACHER", "NURSE"])
UNDER = contract(first_name={"clear": True})


@st.composite
def _wanted(draw: st.DrawFn) -> list[dict[str, Value]]:
    return [want(n, first_name=draw(NAMES), role=draw(ROLES)) for n in draw(st.sets(NUMBERS))]


@st.composite
def _live(draw: st.DrawFn) -> list[dict[str, Value]]:
    made = []
    for n in draw(st.sets(NUMBERS)):
        # Every third record is not marked as ours yet; it is found by its e-mail.
        key = None if n % 3 == 0 and draw(st.booleans()) else f"E{n}"
        made.append(record(n, external_id=key, first_name=draw(NAMES), role=draw(ROLES), active=draw(st.booleans())))
    return made


FEWER = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@FEWER
@given(wanted=_wanted(), live=_live())
def test_applied_changes_give_what_is_wanted(wanted: list[dict[str, Value]], live: list[dict[str, Value]]) -> None:
    store: dict[Any, dict[str, Value]] = {row["target_id"]: dict(row) for row in live}
    for number, change in enumerate(changes_of(compare(wanted, live, under=UNDER))):
        assert change.write.body is not None
        if change.target_id is None:
            store[f"new-{number}"] = {**dict.fromkeys(FIELDS), **change.write.body}
        else:
            before = store[change.target_id]
            assert all(before[field.name] == field.before for field in change.fields)
            before.update(change.write.body)
    managed = {str(row["external_id"]): row for row in store.values() if row["external_id"] is not None}
    for row in wanted:
        found = managed.pop(str(row["external_id"]))
        assert {name: found[name] for name in FIELDS} == row
    assert all(row["active"] is False for row in managed.values()), "what is wanted no longer is suspended"
    again = [{"target_id": target_id, **{n: row[n] for n in FIELDS}} for target_id, row in store.items()]
    assert changes_of(compare(wanted, again, under=UNDER)) == []


@FEWER
@given(
    wanted=_wanted(),
    live=_live(),
    partitions=st.sampled_from([1, 2, 3, 8]),
    seed=st.integers(min_value=0, max_value=99),
)
def test_partitions_and_row_order_change_nothing(
    wanted: list[dict[str, Value]], live: list[dict[str, Value]], partitions: int, seed: int
) -> None:
    expected = compare(wanted, live, under=UNDER)
    shuffled = random.Random(seed)
    shuffled.shuffle(wanted)
    shuffled.shuffle(live)
    parts = compare(wanted, live, under=UNDER, partitions=partitions)
    assert changes_of(parts) == changes_of(expected)
    for name in ("desired", "live_managed", "removals_suppressed", "null_outs", "quarantined_kept"):
        assert sum(getattr(part, name) for part in parts) == getattr(expected[0], name)


@FEWER
@given(wanted=_wanted(), live=_live(), unknown=st.sets(NUMBERS))
def test_nothing_in_quarantine_is_ever_touched(
    wanted: list[dict[str, Value]], live: list[dict[str, Value]], unknown: set[int]
) -> None:
    keys = {f"E{n}" for n in unknown}
    sound = [row for row in wanted if row["external_id"] not in keys]
    for may_remove in (True, False):
        changes = changes_of(compare(sound, live, under=UNDER, quarantined=keys, may_remove=may_remove))
        assert keys.isdisjoint(change.key for change in changes)
        if not may_remove:
            assert all(change.verb != "suspend" for change in changes)
