"""Over any two snapshots: the changes lead from what is to what is wanted, however the records were cut and ordered."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from services.differ.planning import excluded_of
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


EMAILS = st.sampled_from(["x@example.org", "y@example.org", "z@example.org", None])


@st.composite
def _wanted_alike(draw: st.DrawFn) -> list[dict[str, Value]]:
    """Records that share their addresses and names, with each other and with those of the target."""
    return [
        want(n, email=draw(EMAILS), first_name=draw(NAMES), role=draw(ROLES))
        for n in draw(st.sets(NUMBERS, min_size=3))
    ]


@st.composite
def _live_alike(draw: st.DrawFn) -> list[dict[str, Value]]:
    """Records of which many are not ours yet and several may answer to one address or name."""
    return [
        record(
            n,
            external_id=f"E{n}" if draw(st.integers(0, 3)) == 0 else None,
            email=draw(EMAILS),
            first_name=draw(NAMES),
            role=draw(ROLES),
        )
        for n in draw(st.sets(NUMBERS, min_size=3))
    ]


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


FIGURES = ("desired", "live_managed", "removals_suppressed", "null_outs", "quarantined_kept")


@FEWER
@given(
    rows=st.one_of(st.tuples(_wanted(), _live()), st.tuples(_wanted_alike(), _live_alike())),
    unknown=st.one_of(st.just(set[int]()), st.sets(NUMBERS, max_size=3)),
    correlate=st.sampled_from([("email",), ("email", "first_name"), ("first_name", "email")]),
    partitions=st.sampled_from([1, 2, 3, 8]),
    seed=st.integers(min_value=0, max_value=99),
)
@example(
    rows=([want(n, email="x@example.org") for n in range(4)], [record(9, external_id=None, email="x@example.org")]),
    unknown=set(),
    correlate=("email",),
    partitions=8,
    seed=0,
)
def test_partitions_and_row_order_change_nothing(
    rows: tuple[list[dict[str, Value]], list[dict[str, Value]]],
    unknown: set[int],
    correlate: tuple[str, ...],
    partitions: int,
    seed: int,
) -> None:
    """Neither the changes, nor which of them the plan sets aside, nor what is ambiguous, nor a figure of the guard."""
    wanted, live = list(rows[0]), list(rows[1])
    under = contract(correlate=correlate, first_name={"clear": True})
    quarantined = {f"E{n}" for n in unknown}
    expected = compare(wanted, live, under=under, quarantined=quarantined)
    shuffled = random.Random(seed)
    shuffled.shuffle(wanted)
    shuffled.shuffle(live)
    parts = compare(wanted, live, under=under, quarantined=quarantined, partitions=partitions)
    assert changes_of(parts) == changes_of(expected)
    assert excluded_of(changes_of(parts)) == excluded_of(changes_of(expected))
    assert sorted(key for part in parts for key in part.ambiguous_keys) == expected[0].ambiguous_keys
    for name in FIGURES:
        assert sum(getattr(part, name) for part in parts) == getattr(expected[0], name)


@FEWER
@given(wanted=_wanted_alike(), live=_live_alike(), partitions=st.sampled_from([1, 8]))
def test_no_target_record_is_given_to_two(
    wanted: list[dict[str, Value]], live: list[dict[str, Value]], partitions: int
) -> None:
    parts = compare(wanted, live, under=UNDER, partitions=partitions)
    changes = changes_of(parts)
    aside = {one.change_id for one in excluded_of(changes)}
    kept = [change for change in changes if change.change_id not in aside]
    taken = [change.target_id for change in kept if change.target_id is not None]
    assert len(taken) == len(set(taken))
    # Who matches something unclear is left for a person, never made anew.
    created = {change.key for change in kept if change.verb == "create"}
    unclear = {key for part in parts for key in part.ambiguous_keys}
    assert created.isdisjoint(unclear | {change.key for change in changes if change.change_id in aside})


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
