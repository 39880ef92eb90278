"""What two snapshots differ in becomes one change per record, of its riskiest class; the unknown is left alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from services.applier.preconditions import Standing, standing
from services.differ.comparing import Memory
from shared.contract.protected import ProtectedRecord, Protection
from shared.hashing.commitment import commit, subject_key
from shared.plan.change import Cause, Change, ChangeClass
from shared.ports.wire import Record, Value
from tests.unit.differ.frames import Outcome, Row, contract, entity_of, missed_before, remembering, run, want
from tests.unit.plan.plan_builder import ENTITY, FIELDS, MASTER, NOW, TARGET, record

C = ChangeClass
ADMINS = contract(role={"privileged": ("ADMIN", "OWNER"), "is_role": True})


def one(wanted: Sequence[Row], live: Sequence[Row], **more: Any) -> Change:
    (change,) = run(wanted, live, **more).changes
    return change


def after(change: Change) -> dict[str, Value]:
    return {field.name: field.after for field in change.fields}


def causes(change: Change) -> dict[str, Cause]:
    return {field.name: field.cause for field in change.fields}


def commitments(number: int, **values: Value) -> dict[str, str]:
    key = subject_key(MASTER, f"{TARGET}/{ENTITY}/E{number}")
    return {name: commit(key, value) for name, value in values.items()}


def protection(**named: str) -> Protection:
    return Protection([ProtectedRecord.model_validate({**named, "reason": "kept by hand"})])


# --- which pairs are in doubt ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("links", "is_doubtful"),
    [
        pytest.param({}, False, id="nothing is linked"),
        pytest.param({"t-5": "E5"}, False, id="linked to each other"),
        pytest.param({"t-1": "E5"}, True, id="the key is linked to a record before it"),
        pytest.param({"t-9": "E5"}, True, id="the key is linked to a record after it"),
        pytest.param({"t-5": "E1"}, True, id="the record is linked to a key before it"),
        pytest.param({"t-5": "E9"}, True, id="the record is linked to a key after it"),
    ],
)
def test_pair_that_a_link_speaks_against_becomes_no_change(links: dict[str, str], is_doubtful: bool) -> None:
    memories = remembering(*(Memory(key, target_id=target_id) for target_id, key in links.items()))
    drafted = run([want(5, first_name="New")], [record(5)], recall=memories, linked=links).pairs[0]
    assert drafted.doubtful.height == is_doubtful
    assert len(drafted.changes) == (not is_doubtful)


@pytest.mark.parametrize("heir", ["E1", "E9"])
def test_link_whose_record_was_linked_to_another_key_since_speaks_against_nothing(heir: str) -> None:
    memories = remembering(Memory("E5", target_id="t-7"))
    drafted = run([want(5, first_name="New")], [record(5)], recall=memories, linked={"t-7": heir}).pairs[0]
    assert (drafted.doubtful.height, len(drafted.changes)) == (0, 1)


# --- what becomes a change ------------------------------------------------------------------------------------------


def test_equal_records_give_no_change() -> None:
    outcome = run([want(1), want(2)], [record(1), record(2)])
    assert (outcome.changes, outcome.aside) == ([], [])
    assert outcome.compared[0].pairs.is_empty()


def test_missing_record_is_created_with_all_its_values() -> None:
    made = one([want(1, email=None)], [])
    assert (made.change_class, made.verb, made.wave, made.target_id, made.precondition) == (
        C.CREATE,
        "create",
        1,
        None,
        None,
    )
    assert after(made) == {"external_id": "E1", "first_name": "Name1", "role": "TEACHER", "active": True}
    assert {field.before for field in made.fields} == {None}
    assert (made.write.method, made.write.path) == ("POST", "/contacts")
    assert made.write.body == after(made)


@pytest.mark.parametrize(
    ("wanted", "live", "expected"),
    [
        ({"first_name": "New"}, {}, C.UPDATE),
        ({"email": "new@example.org"}, {}, C.RENAME),
        ({"email": "first@example.org"}, {"email": None}, C.UPDATE),  # a first value renames nobody
        ({"role": "NURSE"}, {}, C.ROLE_CHANGE),
        ({"role": "NURSE"}, {"role": None}, C.UPDATE),
        ({}, {"active": False}, C.REACTIVATE),
        ({}, {"active": None}, C.UPDATE),  # was not suspended
        ({"first_name": None}, {}, C.NULL_OUT),
        # Of several, the riskiest: role before rename before emptying before reactivation before the rest.
        ({"role": "NURSE", "email": "new@example.org", "first_name": None}, {"active": False}, C.ROLE_CHANGE),
        ({"email": "new@example.org", "first_name": None}, {"active": False}, C.RENAME),
        ({"first_name": None}, {"active": False}, C.NULL_OUT),
        ({"first_name": "New"}, {"active": False}, C.REACTIVATE),
    ],
)
def test_change_has_the_riskiest_class_of_what_it_does(
    wanted: dict[str, Value], live: dict[str, Value], expected: ChangeClass
) -> None:
    under = contract(first_name={"clear": True})
    made = one([want(1, **wanted)], [record(1, **live)], under=under)
    assert made.change_class is expected
    # Whatever the class says of the risk, a suspended record that becomes active is reactivated.
    assert made.verb == ("reactivate" if live.get("active") is False else "update")
    differing = {
        name: {**want(1, **wanted)}[name] for name in FIELDS if want(1, **wanted)[name] != record(1, **live)[name]
    }
    assert after(made) == differing
    assert made.write.body == differing
    assert made.write.path == "/contacts/t-1"


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        ([record(1)], C.PRIVILEGE_GAIN),
        ([record(1, role=None)], C.PRIVILEGE_GAIN),  # a first value that gives power is a gain all the same
        ([record(1, role="OWNER")], C.PRIVILEGE_GAIN),  # from one power to another
        ([record(1, role="ADMIN", first_name="Old")], C.UPDATE),  # had it before
        ([], C.PRIVILEGE_GAIN),
    ],
)
def test_value_that_gives_power_is_a_gain_of_privilege(live: Sequence[Row], expected: ChangeClass) -> None:
    assert one([want(1, role="ADMIN")], live, under=ADMINS).change_class is expected


def test_losing_a_privilege_is_a_change_of_role_only() -> None:
    assert one([want(1)], [record(1, role="ADMIN")], under=ADMINS).change_class is C.ROLE_CHANGE


def test_privileged_true_of_a_flag_is_a_gain() -> None:
    under = contract(active={"privileged": ("true",)})
    assert one([want(1)], [record(1, active=False)], under=under).change_class is C.PRIVILEGE_GAIN


def test_null_clears_nothing_unless_the_contract_says_clear() -> None:
    assert run([want(1, first_name=None, email=None)], [record(1)]).changes == []
    cleared = one([want(1, first_name=None, email=None)], [record(1)], under=contract(first_name={"clear": True}))
    assert after(cleared) == {"first_name": None}
    assert cleared.change_class is C.NULL_OUT


def test_field_of_which_nothing_is_known_is_left_alone_even_where_null_clears() -> None:
    under = contract(first_name={"clear": True}, email={"clear": True})
    unknown = want(1, first_name=None, email=None, **{"left alone": "first_name"})
    assert after(one([unknown], [record(1)], under=under)) == {"email": None}
    assert run([{**unknown, "left alone": "email,first_name"}], [record(1)], under=under).changes == []
    assert "first_name" not in after(one([unknown], [], under=under))


def test_value_becoming_empty_is_counted_whatever_the_class() -> None:
    under = contract(first_name={"clear": True})
    outcome = run([want(1, first_name=None, role="NURSE"), want(2, role="NURSE")], [record(1), record(2)], under=under)
    (drafted,) = outcome.pairs
    assert (drafted.by_class, drafted.null_outs) == ({"role_change": 2}, 1)
    assert drafted.field_changes == {"first_name": 1, "role": 2}
    assert run([want(1, first_name=None)], [record(1, first_name=None)], under=under).changes == []


def test_removal_and_create_count_as_no_emptied_value_and_no_changed_field() -> None:
    under = contract(ladder="delete", removal={"strikes": 1})
    gone = remembering(Memory("E2", suspended_since=NOW - timedelta(days=31)))
    settled = run([want(1)], [record(2, active=False)], under=under, recall=gone).settled
    assert settled.by_class == {"create": 1, "delete": 1}
    assert (settled.null_outs, settled.field_changes) == (0, {})


def test_unmanaged_field_is_set_at_creation_and_never_again() -> None:
    under = contract(first_name={"managed": False})
    assert run([want(1, first_name="Other")], [record(1)], under=under).changes == []
    assert after(one([want(1)], [], under=under))["first_name"] == "Name1"
    assert "first_name" not in after(one([want(1, first_name="Other", role="NURSE")], [record(1)], under=under))


def test_precondition_is_what_the_target_showed_and_not_its_normalised_form() -> None:
    shown = record(1, email="P1@Example.org")
    made = one([want(1, first_name="New")], [{**record(1), "shown email": "P1@Example.org"}])
    assert standing(made, shown, compared_fields=FIELDS) is Standing.AS_PLANNED
    assert standing(made, record(1), compared_fields=FIELDS) is Standing.MOVED


def test_before_is_what_the_target_showed() -> None:
    made = one([want(1, email="new@example.org")], [{**record(1), "shown email": "P1@Example.org"}])
    assert [(field.before, field.after) for field in made.fields] == [("P1@Example.org", "new@example.org")]


def test_another_spelling_of_an_equal_value_is_no_change() -> None:
    assert run([want(1)], [{**record(1), "shown email": "P1@Example.org"}]).changes == []


def test_changes_do_not_carry_the_master_key() -> None:
    made = one([want(1)], [])
    assert MASTER.hex() not in made.model_dump_json()
    assert made.commitment_key != one([want(2)], []).commitment_key


def test_changes_stand_in_change_id_order() -> None:
    ids = [change.change_id for change in run([want(n) for n in range(20)], []).settled.changes]
    assert ids == sorted(ids)


@pytest.mark.parametrize("is_hashed", [True, False])
def test_hashes_are_made_where_a_snapshot_has_none(is_hashed: bool) -> None:
    wanted, live = [want(1, first_name="New"), want(2), want(3)], [record(1), record(2), record(4)]
    outcome = run(wanted, live, recall=missed_before(4), is_hashed=is_hashed)
    assert outcome.by_class == {"create": 1, "suspend": 1, "update": 1}
    assert not any("hash" in name for part in outcome.compared for name in part.pairs.columns)


# --- quarantine -----------------------------------------------------------------------------------------------------


def test_quarantined_record_is_unknown_and_neither_changed_nor_removed() -> None:
    gone = missed_before(*range(1000))
    outcome = run([], [record(1), record(2)], quarantined=["E1", "E9"], recall=gone)
    assert [change.key for change in outcome.changes] == ["E2"]
    assert outcome.settled.missed == ["E2"]
    assert (outcome.total("quarantined_kept"), outcome.total("live_managed")) == (1, 2)
    many = run(
        [want(n) for n in range(50, 1000)],
        [record(n) for n in range(1000)],
        quarantined=[f"E{n}" for n in range(50)],
        recall=gone,
    )
    assert (many.changes, many.total("quarantined_kept")) == ([], 50)


def test_target_records_that_share_a_key_are_ambiguous_and_never_created_again() -> None:
    """Two target records with one key stand in quarantine, so the desired record finds none: it must not be new."""
    outcome = run([want(1), want(2)], [record(2)], quarantined=["E1"])
    assert outcome.changes == []
    assert outcome.ambiguous_keys == ["E1"]


# --- causes ---------------------------------------------------------------------------------------------------------


def test_cause_tells_who_changed_what() -> None:
    """Written as it should be: the target lost it. Under another clause: the contract. Otherwise: the source."""
    written = commitments(1, first_name="New", role="COUNSELOR", email="old@example.org")
    memory = Memory("E1", written=written, clauses={"role": "clause 1", "email": "clause 1", "first_name": "clause 1"})
    made = one(
        [want(1, first_name="New", role="NURSE", email="new@example.org")],
        [record(1, active=False)],
        # Digests are read from a table: equal ones are not one object.
        entity=entity_of(
            clause_digests={"role": "".join(["clause", " 1"]), "email": "clause 2", "first_name": "clause 2"}
        ),
        recall=remembering(memory),
    )
    assert causes(made) == {
        "first_name": Cause.DRIFT,
        "role": Cause.SOURCE_CHANGE,
        "email": Cause.CONTRACT_CHANGE,
        "active": Cause.SOURCE_CHANGE,  # never written by us
    }


def test_clause_of_which_one_side_is_not_known_is_no_contract_change() -> None:
    memory = Memory("E1", written=commitments(1, role="COUNSELOR"))
    made = one(
        [want(1, role="NURSE")],
        [record(1)],
        entity=entity_of(clause_digests={"role": "clause 2"}),
        recall=remembering(memory),
    )
    assert causes(made) == {"role": Cause.SOURCE_CHANGE}


def test_record_that_somebody_deleted_in_the_target_is_made_again_and_has_drifted() -> None:
    memory = Memory("E1", target_id="t-1", written=commitments(1, first_name="Name1", role="NURSE"))
    made = one([want(1)], [], recall=remembering(memory))
    assert made.change_class is C.CREATE
    assert causes(made)["first_name"] is Cause.DRIFT
    assert causes(made)["role"] is Cause.SOURCE_CHANGE


def test_memory_changes_no_change_id() -> None:
    plain = one([want(1, first_name="New")], [record(1)])
    memory = Memory("E1", target_id="t-1", written=commitments(1, first_name="New"))
    assert one([want(1, first_name="New")], [record(1)], recall=remembering(memory)).change_id == plain.change_id


def test_change_that_an_approval_left_out_is_marked() -> None:
    plain = one([want(1, first_name="New")], [record(1)])
    memory = Memory("E1", deferred=frozenset({plain.change_id}))
    marked = one([want(1, first_name="New")], [record(1)], recall=remembering(memory))
    assert (plain.marks, marked.marks) == ((), ("deferred",))
    assert one([want(1, first_name="Other")], [record(1)], recall=remembering(memory)).marks == ()


# --- protected and held ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [{"key": "E1"}, {"target_id": "t-1"}])
def test_protected_record_is_never_changed(named: dict[str, str]) -> None:
    entity = entity_of(protected=protection(**named))
    outcome = run([want(1, first_name="New"), want(2, first_name="New")], [record(1), record(2)], entity=entity)
    assert [change.key for change in outcome.changes] == ["E2"]
    assert outcome.told == [("E1", "update", "DIF_PROTECTED")]
    (told,) = outcome.aside
    assert (told.target_id, told.fields) == ("t-1", ("first_name",))
    gone = run([], [record(1)], entity=entity, recall=missed_before(1))
    assert (gone.changes, gone.told) == ([], [("E1", "suspend", "DIF_PROTECTED")])


def test_protected_by_what_the_target_shows_and_not_by_what_is_wanted() -> None:
    rule = ProtectedRecord.model_validate({"where": [{"column": "role", "in": ["ADMIN"]}], "reason": "by hand"})
    entity = entity_of(protected=Protection([rule]))
    outcome = run([want(1), want(2, role="ADMIN")], [record(1, role="ADMIN"), record(2)], entity=entity)
    assert outcome.told == [("E1", "role_change", "DIF_PROTECTED")]
    assert [(change.key, after(change)) for change in outcome.changes] == [("E2", {"role": "ADMIN"})]


def test_protected_key_is_protected_also_where_the_target_does_not_show_it_yet() -> None:
    entity = entity_of(protected=protection(key="E1"))
    assert run([want(1)], [], entity=entity).told == [("E1", "create", "DIF_PROTECTED")]
    adopted = run([want(1)], [record(7, external_id=None, email="p1@example.org")], entity=entity)
    assert (adopted.changes, adopted.told) == ([], [("E1", "update", "DIF_PROTECTED")])


def test_protected_field_is_left_out_and_the_others_are_written() -> None:
    under = contract(role={"protected": True})
    outcome = run([want(1, role="NURSE", first_name="New"), want(2, role="NURSE")], [record(1), record(2)], under=under)
    (made,) = outcome.changes
    assert (made.key, made.change_class, after(made)) == ("E1", C.UPDATE, {"first_name": "New"})
    assert outcome.told == [("E1", "role_change", "DIF_FIELD_PROTECTED"), ("E2", "role_change", "DIF_FIELD_PROTECTED")]
    assert {aside.fields for aside in outcome.aside} == {("role",)}
    assert after(one([want(1)], [], under=under))["role"] == "TEACHER"


def test_record_is_held_until_its_source_changes() -> None:
    held = remembering(Memory("E1", held_against=commitments(1, first_name="New", role="TEACHER")))
    outcome = run([want(1, first_name="New")], [record(1)], recall=held)
    assert (outcome.changes, outcome.told) == ([], [("E1", "update", "DIF_HELD")])
    assert run([want(1, first_name="New")], [], recall=held).told == [("E1", "create", "DIF_HELD")]
    assert after(one([want(1, first_name="Newer")], [record(1)], recall=held)) == {"first_name": "Newer"}
    assert run([], [record(1)], recall=held).told == [("E1", "suspend", "DIF_FIRST_MISS")], (
        "that it is gone is a change"
    )


def test_record_whose_removal_was_undone_is_held_while_it_is_missing_and_follows_when_it_is_back() -> None:
    held = remembering(Memory("E1", strikes=5, last_strike_at=NOW - timedelta(days=9), held_against={}))
    outcome = run([], [record(1)], recall=held)
    assert (outcome.changes, outcome.told) == ([], [("E1", "suspend", "DIF_HELD")])
    assert after(one([want(1, first_name="New")], [record(1)], recall=held)) == {"first_name": "New"}


def test_aside_carries_the_key_of_its_commitments() -> None:
    (told,) = run([], [record(1)]).aside
    assert told.commitment_key == subject_key(MASTER, f"{TARGET}/{ENTITY}/E1").hex()


# --- what is counted beside the changes -----------------------------------------------------------------------------


def test_cohorts_count_a_record_where_it_is_and_a_new_one_where_it_will_be() -> None:
    under = contract(cohort=("role", "active"))
    outcome = run(
        [want(1, role="NURSE"), want(2), want(5, role=None)],
        [record(1), record(2), record(3, role="NURSE"), record(4, role=None), record(6, active=False)],
        under=under,
        recall=missed_before(3),
    )
    live = [part.cohorts for part in outcome.compared]
    assert live == [{"role=-, active=true": 1, "role=NURSE, active=true": 1, "role=TEACHER, active=true": 2}]
    assert [drafted.cohort_changes for drafted in outcome.pairs] == [{"role=TEACHER, active=true": {"role_change": 1}}]
    assert outcome.settled.cohort_changes == {
        "role=-, active=true": {"create": 1},
        "role=NURSE, active=true": {"suspend": 1},
    }
    told = {change.key: change.cohort for part in [*outcome.pairs, outcome.settled] for change in part.changes}
    # E1 changes role only: its cohort follows from the record, not from what the change holds.
    assert told == {
        "E1": "role=TEACHER, active=true",
        "E3": "role=NURSE, active=true",
        "E5": "role=-, active=true",
    }


def test_a_change_has_no_cohort_where_the_contract_names_none() -> None:
    assert [change.cohort for change in run([want(1, role="NURSE")], [record(1)]).changes] == [None]


def test_declared_changes_are_counted_apart() -> None:
    def declared(*, change_class: ChangeClass, before: Record | None, after: Record) -> str | None:
        if change_class is C.SUSPEND and before is not None and before["role"] == "NURSE":
            return "nurses leave"
        return "nurses" if after["role"] == "NURSE" and before is not None else None

    outcome = run(
        [want(1, role="NURSE"), want(2, first_name="New"), want(7, role="NURSE")],
        [record(1), record(2), record(3, role="NURSE"), record(4)],
        entity=entity_of(contract(cohort=("role",)), declaration_of=declared),
        recall=missed_before(3, 4),
    )
    (pairs,) = [drafted.declared for drafted in outcome.pairs]
    assert (pairs.by_id, pairs.by_class, pairs.by_field) == ({"nurses": 1}, {"role_change": 1}, {"role": 1})
    assert pairs.by_cohort == {"role=TEACHER": {"role_change": 1}}
    settled = outcome.settled.declared
    assert (settled.by_id, settled.by_class, settled.by_field) == ({"nurses leave": 1}, {"suspend": 1}, {})


def test_rows_beyond_one_handful_are_all_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.differ.making.ROWS_AT_ONCE", 3)
    numbers = range(10)

    def outcome(**more: Any) -> Outcome:
        wanted: list[Mapping[str, Value]] = [want(n, first_name=f"New{n}") for n in numbers]
        return run([*wanted, *(want(n) for n in range(20, 30))], [record(n) for n in range(18)], **more)

    made = outcome(recall=missed_before(*range(10, 18)))
    assert made.by_class == {"create": 10, "suspend": 8, "update": 10}
    assert {change.key: after(change) for change in made.changes if change.verb == "update"} == {
        f"E{n}": {"first_name": f"New{n}"} for n in numbers
    }


def test_empty_sides_are_compared() -> None:
    assert run([], []).changes == []
    assert isinstance(run([], []).settled.missed, list)
    assert run([], []).compared[0].pairs.schema["key"] == pl.String
