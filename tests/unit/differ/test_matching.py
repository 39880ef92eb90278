"""One desired record stands for one target record: by link, by key, by correlation, and in doubt for a person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from services.differ.comparing import Elsewhere, Memory
from services.differ.settling import doubts
from shared.plan.change import Change, ChangeClass
from tests.unit.differ.frames import (
    Outcome,
    Row,
    contract,
    desired,
    existing,
    missed_before,
    remembering,
    run,
    want,
)
from tests.unit.plan.plan_builder import record

MAIL = "x@example.org"
PARTITIONS = pytest.mark.parametrize("partitions", [1, 3, 8])


def linked(*pairs: tuple[int, str]) -> dict[str, Memory]:
    return remembering(*(Memory(f"E{n}", target_id=target_id, strikes=9) for n, target_id in pairs))


def taken(outcome: Outcome) -> dict[str, str | None]:
    return {change.key: change.target_id for change in outcome.changes}


def one(wanted: Sequence[Row], live: Sequence[Row], **more: Any) -> Change:
    (change,) = run(wanted, live, **more).changes
    return change


def values(change: Change) -> dict[str, object]:
    return {field.name: field.after for field in change.fields}


# --- by link --------------------------------------------------------------------------------------------------------


@PARTITIONS
def test_linked_record_that_lost_its_key_is_found_again(partitions: int) -> None:
    made = one(
        [want(1, first_name="New")],
        [record(7, external_id=None, email=MAIL)],
        recall=linked((1, "t-7")),
        partitions=partitions,
    )
    assert (made.key, made.target_id, made.verb) == ("E1", "t-7", "update")
    assert values(made) == {"external_id": "E1", "first_name": "New", "email": "p1@example.org"}


@PARTITIONS
def test_linked_record_whose_key_somebody_changed_is_renamed_back(partitions: int) -> None:
    made = one([want(1)], [record(1, external_id="E99")], recall=linked((1, "t-1")), partitions=partitions)
    assert (made.change_class, made.target_id) == (ChangeClass.RENAME, "t-1")
    assert values(made) == {"external_id": "E1"}


@PARTITIONS
def test_link_and_key_that_name_two_records_leave_both_alone(partitions: int) -> None:
    """The linked record lost its key and another record shows it: an id that names another record than before."""
    outcome = run(
        [want(1, first_name="New")],
        [record(1), record(7, external_id="E99")],
        recall=linked((1, "t-7"), (99, "t-99")),
        partitions=partitions,
    )
    assert outcome.changes == []
    assert outcome.ambiguous_keys == ["E1"]
    assert outcome.told == [("E1", "update", "MAT_REUSED_ID"), ("E99", "suspend", "MAT_REUSED_ID")]
    assert outcome.settled.missed == []


@PARTITIONS
def test_two_people_whose_keys_were_swapped_in_the_target_are_left_alone(partitions: int) -> None:
    outcome = run(
        [want(1), want(2)],
        [record(1, external_id="E2"), record(2, external_id="E1")],
        recall=linked((1, "t-1"), (2, "t-2")),
        partitions=partitions,
    )
    assert (outcome.changes, outcome.ambiguous_keys) == ([], ["E1", "E2"])


@PARTITIONS
def test_link_to_a_record_that_another_took_by_its_key_is_in_doubt(partitions: int) -> None:
    """E1's record shows E2 now, and E2 is desired and equal: E1 is neither made anew nor given what is E2's."""
    live = record(1, external_id="E2", email="p2@example.org", first_name="Name2")
    outcome = run([want(1), want(2)], [live], recall=linked((1, "t-1")), partitions=partitions)
    assert (outcome.changes, outcome.ambiguous_keys) == ([], ["E1"])


@PARTITIONS
def test_record_that_the_ledger_gives_to_another_desired_key_is_left_alone(partitions: int) -> None:
    """E1's record shows E2 now, and E2 is desired and differs: whose it is, nobody but a person can say."""
    outcome = run(
        [want(1), want(2, first_name="New")],
        [record(1, external_id="E2", email="p2@example.org")],
        recall=linked((1, "t-1")),
        partitions=partitions,
    )
    assert (outcome.changes, outcome.ambiguous_keys) == ([], ["E1", "E2"])


@PARTITIONS
def test_record_of_a_key_that_found_another_record_is_not_removed(partitions: int) -> None:
    """Somebody moved E1's key to another record, which is equal; the old one is not simply superfluous."""
    outcome = run(
        [want(1)],
        [record(1), record(7, external_id="E99")],
        recall={**linked((1, "t-7")), **missed_before(99)},
        partitions=partitions,
    )
    assert outcome.changes == []
    assert outcome.told == [("E99", "suspend", "MAT_REUSED_ID")]


def test_link_to_a_record_that_is_gone_counts_no_more() -> None:
    assert taken(run([want(1, first_name="New")], [record(1)], recall=linked((1, "t-gone")))) == {"E1": "t-1"}
    assert taken(run([want(1)], [], recall=linked((1, "t-gone")))) == {"E1": None}


def test_link_that_another_key_took_over_counts_no_more() -> None:
    """E1 became E2 in an earlier run; should E1 come back, it is another record."""
    recall = remembering(Memory("E1", target_id="t-1"), Memory("E2", target_id="t-1"))
    outcome = run([want(1), want(2)], [record(1, external_id="E2")], recall=recall, linked={"t-1": "E2"})
    assert taken(outcome) == {"E1": None, "E2": "t-1"}


def test_record_linked_to_a_quarantined_key_is_neither_removed_nor_given_away() -> None:
    live = [record(7, external_id="E99"), record(8, external_id=None, email="p2@example.org")]
    outcome = run(
        [want(2)],
        live,
        quarantined=["E1", "E3"],
        recall={**linked((1, "t-7"), (3, "t-8")), **missed_before(99)},
    )
    assert (outcome.changes, outcome.settled.missed) == ([], [])
    assert outcome.ambiguous_keys == ["E2"]


def test_record_linked_to_a_key_that_is_gone_keeps_the_key_it_shows() -> None:
    assert taken(run([want(2, first_name="New")], [record(2)], recall=linked((1, "t-2")))) == {"E2": "t-2"}


def test_nothing_is_asked_for_beyond_the_residue_where_links_and_keys_agree() -> None:
    asked = doubts(
        unmatched=desired([want(1)]),
        absent=existing([record(2)]),
        unkeyed=existing([record(3, external_id=None)]),
        recall=linked((1, "t-2"), (2, "t-2")),
        linked={"t-2": "E2"},
    )
    assert asked == Elsewhere()


def test_what_decides_and_lies_elsewhere_is_asked_for() -> None:
    asked = doubts(
        unmatched=desired([want(1)]),
        absent=existing([record(2)]),
        unkeyed=existing([record(3, external_id=None)]),
        recall=linked((1, "t-1")),
        linked={"t-1": "E1", "t-2": "E5", "t-3": "E6"},
    )
    assert asked == Elsewhere(target_ids=frozenset({"t-1"}), keys=frozenset({"E5", "E6"}))


# --- by correlation -------------------------------------------------------------------------------------------------


@PARTITIONS
def test_record_without_our_key_is_adopted_by_its_email(partitions: int) -> None:
    live = [record(7, external_id=None, email="p1@example.org", first_name="Old")]
    adopted = one([want(1)], live, partitions=partitions)
    assert (adopted.key, adopted.target_id, adopted.verb) == ("E1", "t-7", "update")
    assert adopted.change_class is ChangeClass.UPDATE  # a first key renames nobody
    assert values(adopted) == {"external_id": "E1", "first_name": "Name1"}
    assert adopted.precondition is not None


@PARTITIONS
def test_person_with_a_new_key_is_renamed_and_never_deleted_and_made_anew(partitions: int) -> None:
    outcome = run(
        [want(50, email="p1@example.org", first_name="Name1")],
        [record(1)],
        recall=missed_before(1),
        partitions=partitions,
    )
    (made,) = outcome.changes
    assert (made.key, made.target_id, made.change_class, made.verb) == ("E50", "t-1", ChangeClass.RENAME, "update")
    assert values(made) == {"external_id": "E50"}
    assert outcome.settled.missed == []


def test_rename_of_a_matched_record_is_an_update_and_never_a_delete_and_a_create() -> None:
    outcome = run([want(1, email="new@example.org", first_name="New")], [record(1)])
    assert [change.verb for change in outcome.changes] == ["update"]


def test_suspended_person_who_comes_back_with_a_new_key_is_reactivated() -> None:
    made = one([want(50, email="p1@example.org")], [record(1, active=False)])
    assert (made.target_id, made.verb, made.change_class) == ("t-1", "reactivate", ChangeClass.RENAME)


def test_record_whose_key_is_desired_is_no_candidate() -> None:
    assert taken(run([want(1), want(2, email="p1@example.org")], [record(1)])) == {"E2": None}


def test_unread_key_gives_its_record_to_nobody() -> None:
    """The read is not certified: E1 may be desired, and only not have been read."""
    outcome = run([want(50, email="p1@example.org")], [record(1)], may_remove=False)
    assert (outcome.changes, outcome.ambiguous_keys) == ([], ["E50"])
    adopted = run([want(50, email=MAIL)], [record(7, external_id=None, email=MAIL)], may_remove=False)
    assert taken(adopted) == {"E50": "t-7"}


def test_record_without_our_key_is_never_removed() -> None:
    outcome = run([], [record(7, external_id=None)])
    assert (outcome.changes, outcome.aside) == ([], [])


def test_match_by_key_goes_before_match_by_email() -> None:
    live = [record(1), record(7, external_id=None, email="p1@example.org")]
    assert taken(run([want(1, first_name="New")], live)) == {"E1": "t-1"}


@PARTITIONS
@pytest.mark.parametrize(
    ("wanted", "live"),
    [
        ([1], [(7, None), (8, None)]),
        ([1], [(7, None), (8, "E8")]),
        ([1, 2, 3, 4], [(7, None)]),
        ([1, 2], [(7, "E7")]),
        ([1, 2], [(7, None), (8, None)]),
    ],
)
def test_all_that_share_an_address_are_left_for_a_person(
    wanted: Iterable[int], live: Iterable[tuple[int, str | None]], partitions: int
) -> None:
    """Whoever of them is who: none is changed, none is made anew, and none is removed."""
    outcome = run(
        [*(want(n, email=MAIL) for n in wanted), want(6, first_name="New")],
        [*(record(n, external_id=key, email=MAIL) for n, key in live), record(6)],
        recall=missed_before(7, 8),
        partitions=partitions,
    )
    assert taken(outcome) == {"E6": "t-6"}
    assert outcome.ambiguous_keys == [f"E{n}" for n in wanted]
    told = [(f"E{n}", "create", "MAT_AMBIGUOUS") for n in wanted]
    told += [(key, "suspend", "MAT_AMBIGUOUS") for _, key in live if key is not None]
    assert outcome.told == sorted(told)
    assert outcome.settled.missed == []


def test_suspended_record_about_which_something_is_unclear_is_not_told_as_a_removal() -> None:
    outcome = run([want(1, email=MAIL), want(2, email=MAIL)], [record(7, email=MAIL, active=False)])
    assert outcome.told == [("E1", "create", "MAT_AMBIGUOUS"), ("E2", "create", "MAT_AMBIGUOUS")]


def test_record_claimed_by_two_correlation_fields_is_given_to_nobody() -> None:
    under = contract(correlate=("email", "first_name"))
    live = [record(7, external_id=None, email="p1@example.org", first_name="Name2")]
    outcome = run([want(1, first_name="Other"), want(2)], live, under=under)
    assert (outcome.changes, outcome.ambiguous_keys) == ([], ["E1", "E2"])


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_blank_email_matches_nobody(blank: str | None) -> None:
    outcome = run([want(1, email=blank)], [record(7, external_id=None, email=blank)])
    assert outcome.by_class == {"create": 1}


def test_second_correlation_field_is_tried_where_the_first_finds_nothing() -> None:
    adopted = one(
        [want(1)],
        [record(7, external_id=None, email="other@example.org", first_name="Name1")],
        under=contract(correlate=("email", "first_name")),
    )
    assert (adopted.key, adopted.target_id) == ("E1", "t-7")


def test_first_correlation_field_that_finds_one_decides() -> None:
    by_mail = record(7, external_id=None, email="p1@example.org", first_name="Other")
    by_name = record(8, external_id=None, email="other@example.org")
    outcome = run(
        [want(1)], [by_mail, {**by_name, "first_name": "Name1"}], under=contract(correlate=("email", "first_name"))
    )
    assert taken(outcome) == {"E1": "t-7"}


def test_address_that_thousands_share_costs_no_product() -> None:
    """Ten thousand times ten thousand pairs would take minutes and all memory."""
    wanted = [want(n, email=MAIL) for n in range(10_000)]
    live = [record(n, external_id=None, email=MAIL) for n in range(10_000)]
    outcome = run(wanted, live)
    assert outcome.changes == []
    assert len(outcome.ambiguous_keys) == 10_000
