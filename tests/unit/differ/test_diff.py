"""What two snapshots differ in becomes one change per record, of its riskiest class; the unknown is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.applier.preconditions import Standing, standing
from services.differ.diff import Comparison, explained
from services.differ.planning import excluded_of
from shared.hashing.commitment import commit
from shared.plan.change import Cause, Change, ChangeClass
from shared.ports.wire import Value
from tests.unit.differ.frames import Row, changes_of, compare, contract, want
from tests.unit.plan.plan_builder import FIELDS, MASTER, record

C = ChangeClass


def one(wanted: Sequence[Row], live: Sequence[Row], **more: Any) -> Change:
    (part,) = compare(wanted, live, **more)
    (change,) = part.changes
    return change


def result(wanted: Sequence[Row], live: Sequence[Row], **more: Any) -> Comparison:
    (part,) = compare(wanted, live, **more)
    return part


def after(change: Change) -> dict[str, Value]:
    return {field.name: field.after for field in change.fields}


def test_equal_records_give_no_change() -> None:
    assert result([want(1), want(2)], [record(1), record(2)]).changes == []


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
    assert made.verb == ("reactivate" if expected is C.REACTIVATE else "update")
    differing = {
        name: {**want(1, **wanted)}[name] for name in FIELDS if want(1, **wanted)[name] != record(1, **live)[name]
    }
    assert after(made) == differing
    assert made.write.body == differing
    assert made.write.path == "/contacts/t-1"


def test_rename_of_a_matched_record_is_an_update_and_never_a_delete_and_a_create() -> None:
    (part,) = compare([want(1, email="new@example.org", first_name="New")], [record(1)])
    assert [change.verb for change in part.changes] == ["update"]


def test_null_clears_nothing_unless_the_contract_says_clear() -> None:
    assert result([want(1, first_name=None, email=None)], [record(1)]).changes == []
    cleared = one([want(1, first_name=None, email=None)], [record(1)], under=contract(first_name={"clear": True}))
    assert after(cleared) == {"first_name": None}
    assert cleared.change_class is C.NULL_OUT


def test_value_becoming_empty_is_counted_whatever_the_class() -> None:
    under = contract(first_name={"clear": True})
    part = result([want(1, first_name=None, role="NURSE"), want(2, role="NURSE")], [record(1), record(2)], under=under)
    assert (part.by_class, part.null_outs) == ({"role_change": 2}, 1)
    assert result([want(1, first_name=None)], [record(1, first_name=None)], under=under).changes == []


def test_unmanaged_field_is_set_at_creation_and_never_again() -> None:
    under = contract(first_name={"managed": False})
    assert result([want(1, first_name="Other")], [record(1)], under=under).changes == []
    assert after(one([want(1)], [], under=under))["first_name"] == "Name1"
    assert "first_name" not in after(one([want(1, first_name="Other", role="NURSE")], [record(1)], under=under))


def test_record_desired_no_longer_is_suspended_in_the_last_wave() -> None:
    gone = one([], [record(1)])
    assert (gone.change_class, gone.verb, gone.wave) == (C.SUSPEND, "suspend", 2)
    assert [(field.name, field.before, field.after, field.cause) for field in gone.fields] == [
        ("active", True, False, Cause.SCOPE_CHANGE)
    ]


def test_record_that_is_suspended_already_is_not_touched_and_not_counted() -> None:
    part = result([want(2)], [record(1, active=False), record(2)])
    assert part.changes == []
    assert part.live_managed == 1


def test_preserve_removes_nothing_and_suppresses_nothing() -> None:
    part = result([], [record(1)], under=contract(ladder="preserve"))
    assert (part.changes, part.removals_suppressed) == ([], 0)


def test_incomplete_snapshot_never_yields_removals_and_says_how_many() -> None:
    part = result(
        [want(1, first_name="New")], [record(1), record(2), record(3), record(4, active=False)], may_remove=False
    )
    assert part.by_class == {"update": 1}
    assert part.removals_suppressed == 2


def test_quarantined_record_is_unknown_and_neither_changed_nor_removed() -> None:
    part = result([], [record(1), record(2)], quarantined=["E1", "E9"])
    assert [change.key for change in part.changes] == ["E2"]
    assert (part.quarantined_kept, part.live_managed) == (1, 2)
    many = result(
        [want(n) for n in range(50, 1000)], [record(n) for n in range(1000)], quarantined=[f"E{n}" for n in range(50)]
    )
    assert (many.changes, many.quarantined_kept) == ([], 50)


def test_target_records_that_share_a_key_are_ambiguous_and_never_created_again() -> None:
    """Two target records with one key stand in quarantine, so the desired record finds none: it must not be new."""
    part = result([want(1), want(2)], [record(2)], quarantined=["E1"])
    assert part.changes == []
    assert part.ambiguous_keys == ["E1"]


def test_record_without_our_key_is_adopted_by_its_email() -> None:
    adopted = one([want(1)], [record(7, external_id=None, email="p1@example.org", first_name="Old")])
    assert (adopted.key, adopted.target_id, adopted.verb) == ("E1", "t-7", "update")
    assert after(adopted) == {"external_id": "E1", "first_name": "Name1"}
    assert adopted.precondition is not None


def test_record_without_our_key_is_never_removed() -> None:
    assert result([], [record(7, external_id=None)]).changes == []


def test_match_by_key_goes_before_match_by_email() -> None:
    part = result([want(1, first_name="New")], [record(1), record(7, external_id=None, email="p1@example.org")])
    assert [(change.key, change.target_id) for change in part.changes] == [("E1", "t-1")]


def test_desired_record_that_matches_two_is_ambiguous() -> None:
    twins = [record(7, external_id=None, email="p1@example.org"), record(8, external_id=None, email="p1@example.org")]
    part = result([want(1)], twins)
    assert (part.changes, part.ambiguous_keys) == ([], ["E1"])


@pytest.mark.parametrize("partitions", [1, 2, 8])
def test_all_desired_that_claim_one_record_are_set_aside_wherever_they_lie(partitions: int) -> None:
    """A partition cannot see the claims of another, so each becomes a change, and the plan leaves them all out."""
    email = "x@example.org"
    parts = compare(
        [*(want(n, email=email) for n in range(1, 5)), want(6, first_name="New")],
        [record(7, external_id=None, email=email), record(6)],
        partitions=partitions,
    )
    changes = changes_of(parts)
    claims = [change for change in changes if change.target_id == "t-7"]
    assert sorted(change.key for change in claims) == ["E1", "E2", "E3", "E4"]
    assert sum(len(part.ambiguous_keys) for part in parts) == 0
    aside = {one.change_id for one in excluded_of(changes)}
    assert aside == {change.change_id for change in claims}
    assert [change.key for change in changes if change.change_id not in aside] == ["E6"]


def test_desired_that_share_two_records_are_ambiguous_and_no_changes() -> None:
    email = "x@example.org"
    twins = [record(7, external_id=None, email=email), record(8, external_id=None, email=email)]
    part = result([want(1, email=email), want(2, email=email)], twins)
    assert (part.changes, part.ambiguous_keys) == ([], ["E1", "E2"])


def test_record_claimed_by_two_correlation_fields_is_given_to_nobody() -> None:
    under = contract(correlate=("email", "first_name"))
    live = [record(7, external_id=None, email="p1@example.org", first_name="Name2")]
    changes = result([want(1, first_name="Other"), want(2)], live, under=under).changes
    assert {(change.key, change.target_id) for change in changes} == {("E1", "t-7"), ("E2", "t-7")}
    assert {one.change_id for one in excluded_of(changes)} == {change.change_id for change in changes}


def test_blank_email_matches_nobody() -> None:
    part = result([want(1, email=None)], [record(7, external_id=None, email=None)])
    assert part.by_class == {"create": 1}


def test_second_correlation_field_is_tried_where_the_first_finds_nothing() -> None:
    adopted = one(
        [want(1)],
        [record(7, external_id=None, email="other@example.org", first_name="Name1")],
        under=contract(correlate=("email", "first_name")),
    )
    assert (adopted.key, adopted.target_id) == ("E1", "t-7")


def test_precondition_is_what_the_target_showed_and_not_its_normalised_form() -> None:
    shown = record(1, email="P1@Example.org")
    made = one([want(1, first_name="New")], [{**record(1), "shown email": "P1@Example.org"}])
    assert standing(made, shown, compared_fields=FIELDS) is Standing.AS_PLANNED
    assert standing(made, record(1), compared_fields=FIELDS) is Standing.MOVED


def test_another_spelling_of_an_equal_value_is_no_change() -> None:
    assert result([want(1)], [{**record(1), "shown email": "P1@Example.org"}]).changes == []


def test_value_that_we_wrote_and_the_target_lost_has_drifted() -> None:
    made = one([want(1, first_name="New", role="NURSE")], [record(1)])
    key = bytes.fromhex(made.commitment_key)
    written = {"E1": {"first_name": commit(key, "New"), "role": commit(key, "COUNSELOR")}}
    (told,) = explained([made], written)
    assert {field.name: field.cause for field in told.fields} == {
        "first_name": Cause.DRIFT,
        "role": Cause.SOURCE_CHANGE,  # it is not what we wrote: the source has changed since
    }
    assert explained([made], {}) == [made]
    assert told.change_id == made.change_id


def test_removal_keeps_its_cause_whatever_was_written() -> None:
    gone = one([], [record(1)])
    key = bytes.fromhex(gone.commitment_key)
    assert explained([gone], {"E1": {"active": commit(key, False)}}) == [gone]


def test_changes_do_not_carry_the_master_key() -> None:
    made = one([want(1)], [])
    assert MASTER.hex() not in made.model_dump_json()
    assert made.commitment_key != one([want(2)], []).commitment_key


def test_changes_of_a_partition_stand_in_change_id_order() -> None:
    ids = [change.change_id for change in result([want(n) for n in range(20)], []).changes]
    assert ids == sorted(ids)
