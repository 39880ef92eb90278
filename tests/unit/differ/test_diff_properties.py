"""Over any two snapshots and any memory: the columnar comparison brings what the naive one tells, however the records
were cut and ordered; and its changes lead from what is to what is wanted."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.differ.comparing import Memory
from shared.contract.model import EntityContract, Membership
from shared.hashing.commitment import commit, subject_key
from shared.plan.change import Change
from shared.ports.wire import Value
from tests.support.plain import plain
from tests.unit.differ.frames import Outcome, contract, entity_of, run, want
from tests.unit.differ.naive import Answer, Question, Row, Told, answer
from tests.unit.plan.plan_builder import ENTITY, FIELDS, MASTER, NOW, TARGET, record

NUMBERS = st.integers(min_value=0, max_value=7)
NAMES = st.sampled_from(["Ana", "Bo", None])
ROLES = st.sampled_from(["TEACHER", "NURSE", "ADMIN"])
EMAILS = st.sampled_from(["x@example.org", "y@example.org", "z@example.org", "p1@example.org", None, ""])
CLAUSES = {"first_name": "clause 2", "role": "clause 2"}
MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEWER = settings(MANY, max_examples=60)


@dataclass(frozen=True)
class _Listed:
    """Protects two records by name and one by rule."""

    keys: frozenset[str]
    ids: frozenset[str]
    role: str | None

    def is_protected(self, frame: pl.DataFrame) -> pl.Series:
        columns = frame.columns
        rows = frame.iter_rows(named=True)
        return pl.Series(
            [self.protects({**row, "external_id": row["key"]}, has_id="target_id" in columns) for row in rows],
            dtype=pl.Boolean,
        )

    def protects(self, row: Row, *, has_id: bool = True) -> bool:
        by_id = has_id and row.get("target_id") in self.ids
        return row["external_id"] in self.keys or by_id or (self.role is not None and row["role"] == self.role)


@st.composite
def _contracts(draw: st.DrawFn) -> EntityContract:
    fields: dict[str, Any] = {
        "first_name": {"clear": draw(st.booleans()), "protected": draw(st.booleans())},
        "role": {"privileged": draw(st.sampled_from([None, ("ADMIN",), ("ADMIN", "NURSE")]))},
        "email": {"managed": draw(st.booleans())},
        "active": {"protected": draw(st.integers(0, 5)) == 0},
    }
    return contract(
        ladder=draw(st.sampled_from(["preserve", "suspend", "delete"])),
        correlate=draw(st.sampled_from([(), ("email",), ("email", "first_name"), ("first_name", "email")])),
        removal={"strikes": draw(st.integers(1, 3))},
        **fields,
    )


@st.composite
def _wanted(draw: st.DrawFn) -> list[dict[str, Value]]:
    def one(n: int) -> dict[str, Value]:
        fields: dict[str, Value] = {"first_name": draw(NAMES), "role": draw(ROLES), "email": draw(EMAILS)}
        alone = draw(st.sampled_from([None, None, None, "first_name", "email,first_name"]))
        if alone is not None:
            fields |= {**dict.fromkeys(alone.split(",")), "left alone": alone}
        return want(n, **fields)

    return [one(n) for n in draw(st.sets(NUMBERS, max_size=6))]


@st.composite
def _live(draw: st.DrawFn) -> list[dict[str, Value]]:
    """Records whose ids say nothing of their keys; some have none, some another's address."""
    keys: list[int | None] = list(draw(st.permutations(range(8))))
    count = draw(st.integers(0, 6))
    return [
        record(
            n,
            external_id=None if draw(st.integers(0, 3)) == 0 else f"E{keys[n]}",
            first_name=draw(NAMES),
            role=draw(ROLES),
            email=draw(EMAILS),
            active=draw(st.booleans()),
        )
        for n in range(count)
    ]


@st.composite
def _memories(draw: st.DrawFn) -> dict[str, Memory]:
    """What the ledger may know; a target id is linked to one key only."""
    found: dict[str, Memory] = {}
    ids = draw(st.permutations([f"t-{n}" for n in range(8)]))
    for n in sorted(draw(st.sets(NUMBERS))):
        key = subject_key(MASTER, f"{TARGET}/{ENTITY}/E{n}")
        values = {"first_name": draw(NAMES), "role": draw(ROLES), "active": True}
        written = {name: commit(key, value) for name, value in values.items() if draw(st.booleans())}
        held = {"role": commit(key, draw(ROLES))} if draw(st.integers(0, 4)) == 0 else None
        found[f"E{n}"] = Memory(
            f"E{n}",
            target_id=ids[n] if draw(st.booleans()) else None,
            written=written,
            clauses={name: draw(st.sampled_from(["clause 1", "clause 2"])) for name in written},
            strikes=draw(st.integers(0, 3)),
            last_strike_at=draw(st.sampled_from([None, NOW - timedelta(hours=1), NOW - timedelta(hours=24)])),
            suspended_since=draw(st.sampled_from([None, NOW - timedelta(days=29), NOW - timedelta(days=30)])),
            held_against=draw(st.sampled_from([held, held, {}])) if held else None,
        )
    return found


@st.composite
def _questions(draw: st.DrawFn) -> tuple[Question, _Listed]:
    listed = _Listed(
        keys=frozenset(f"E{n}" for n in draw(st.sets(NUMBERS, max_size=1))),
        ids=frozenset(f"t-{n}" for n in draw(st.sets(NUMBERS, max_size=1))),
        role=draw(st.sampled_from([None, None, "ADMIN"])),
    )
    unknown = draw(st.sampled_from([frozenset(), frozenset({1, 2})]))
    asked = Question(
        contract=draw(_contracts()),
        wanted=draw(_wanted()),
        live=draw(_live()),
        quarantined=frozenset(f"E{n}" for n in unknown),
        outside=frozenset(f"E{n}" for n in draw(st.sets(NUMBERS, max_size=3))),
        recall=draw(_memories()),
        clauses=CLAUSES,
        protects=listed.protects,
        may_remove=draw(st.integers(0, 4)) > 0,
        certified_runs=draw(st.sampled_from([1, 2, 9])),
        now=NOW,
    )
    return asked, listed


def _asked(asked: Question, listed: _Listed, *, partitions: int = 1) -> Outcome:
    return run(
        asked.wanted,
        asked.live,
        entity=entity_of(asked.contract, protected=listed, clause_digests=asked.clauses),
        quarantined=asked.quarantined,
        outside=asked.outside,
        recall=asked.recall,
        may_remove=asked.may_remove,
        certified_runs=asked.certified_runs,
        now=asked.now,
        partitions=partitions,
    )


def _told(change: Change) -> Told:
    fields = tuple((one.name, one.before, one.after, one.cause.value) for one in change.fields)
    return Told(change.key, change.target_id, change.change_class.value, change.verb, fields)


def _answered(outcome: Outcome) -> Answer:
    return Answer(
        changes={_told(change) for change in outcome.changes},
        aside=set(outcome.told),
        ambiguous=outcome.ambiguous_keys,
        missed=outcome.settled.missed,
    )


@MANY
@given(question=_questions())
def test_comparison_brings_what_the_semantics_tell(question: tuple[Question, _Listed]) -> None:
    asked, listed = question
    outcome = _asked(asked, listed)
    assert _answered(outcome) == answer(asked)
    assert len(outcome.changes) == len({change.change_id for change in outcome.changes})


@FEWER
@given(question=_questions(), partitions=st.sampled_from([2, 3, 8]), seed=st.integers(0, 99))
def test_partitions_and_row_order_change_nothing(
    question: tuple[Question, _Listed], partitions: int, seed: int
) -> None:
    """Neither the changes, nor what is left out, nor what is ambiguous or missed, nor a figure of the guard."""
    asked, listed = question
    wanted, live = list(asked.wanted), list(asked.live)
    shuffled = random.Random(seed)
    shuffled.shuffle(wanted)
    shuffled.shuffle(live)
    whole = _asked(asked, listed)
    parts = _asked(replace(asked, wanted=wanted, live=live), listed, partitions=partitions)
    assert parts.changes == whole.changes
    assert parts.aside == whole.aside
    assert parts.ambiguous_keys == whole.ambiguous_keys
    assert parts.settled == whole.settled
    for name in ("desired", "live_managed", "quarantined_kept"):
        assert parts.total(name) == whole.total(name)


@FEWER
@given(question=_questions())
def test_no_target_record_is_given_to_two(question: tuple[Question, _Listed]) -> None:
    outcome = _asked(*question)
    taken = [change.target_id for change in outcome.changes if change.target_id is not None]
    assert len(taken) == len(set(taken))
    keys = [change.key for change in outcome.changes]
    assert len(keys) == len(set(keys))
    assert set(keys).isdisjoint(outcome.ambiguous_keys)


@FEWER
@given(question=_questions())
def test_nothing_in_quarantine_is_ever_touched(question: tuple[Question, _Listed]) -> None:
    asked, _ = question
    outcome = _asked(*question)
    live = {row["target_id"]: row["external_id"] for row in asked.live}
    for change in outcome.changes:
        assert change.key not in asked.quarantined
        assert live.get(change.target_id) not in asked.quarantined
        if change.change_class.value in ("suspend", "delete"):
            linked = [memory.key for memory in asked.recall.values() if memory.target_id == change.target_id]
            assert asked.quarantined.isdisjoint(linked)


@FEWER
@given(question=_questions())
def test_incomplete_snapshot_never_yields_removals(question: tuple[Question, _Listed]) -> None:
    asked, listed = question
    outcome = _asked(replace(asked, may_remove=False), listed)
    assert {change.verb for change in outcome.changes} <= {"create", "update", "reactivate"}
    assert outcome.settled.missed == []
    # Nor does a record of an unread key become another's.
    shown = {row["target_id"]: row["external_id"] for row in asked.live if row["external_id"] is not None}
    links = {memory.key: memory.target_id for memory in asked.recall.values()}
    for change in outcome.changes:
        if change.target_id in shown and shown[change.target_id] != change.key:
            assert links[change.key] == change.target_id


@FEWER
@given(wanted=_wanted(), live=_live())
def test_applied_changes_give_what_is_wanted(wanted: list[dict[str, Value]], live: list[dict[str, Value]]) -> None:
    under = contract(first_name={"clear": True}, email={"clear": True}, removal={"strikes": 1})
    wanted = [{name: row[name] for name in FIELDS} for row in wanted]
    store: dict[Any, dict[str, Value]] = {row["target_id"]: dict(row) for row in live}
    outcome = run(wanted, live, under=under)
    for number, change in enumerate(outcome.changes):
        assert change.write.body is not None
        if change.target_id is None:
            store[f"new-{number}"] = {**dict.fromkeys(FIELDS), **plain(change.write.body)}
        else:
            before = store[change.target_id]
            assert all(before[field.name] == field.before for field in change.fields)
            before.update(plain(change.write.body))
    left = set(outcome.ambiguous_keys) | {key for key, _, _ in outcome.told}
    managed = {str(row["external_id"]): row for row in store.values() if row["external_id"] is not None}
    for row in wanted:
        if row["external_id"] not in left:
            found = managed.pop(str(row["external_id"]))
            assert {name: found[name] for name in FIELDS} == row
    assert all(row["active"] is False for key, row in managed.items() if key not in left), "what is gone is suspended"
    again = [{"target_id": target_id, **{n: row[n] for n in FIELDS}} for target_id, row in store.items()]
    repeated = run(wanted, again, under=under)
    assert [change for change in repeated.changes if change.key not in left] == []


@FEWER
@given(wanted=_wanted(), live=_live())
def test_memberships_are_added_and_taken_and_never_suspended(
    wanted: list[dict[str, Value]], live: list[dict[str, Value]]
) -> None:
    under = contract(
        ladder="delete", correlate=(), membership=Membership(group="role", member="first_name"), removal={"strikes": 1}
    )
    asked = Question(contract=under, wanted=wanted, live=live, now=NOW)
    outcome = run(wanted, live, under=under)
    assert _answered(outcome) == answer(asked)
    assert {change.verb for change in outcome.changes} <= {"create", "update", "delete"}
    removed = [change for change in outcome.changes if change.change_class.value == "member_remove"]
    assert sum(outcome.settled.group_removals.values()) == len(removed)
