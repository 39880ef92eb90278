"""A part of a plan: what goes along is all that must and nothing else, and what is signed is exactly the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import NeedsPerson
from shared.hashing.merkle import leaf_hash, root_of
from shared.plan.change import leaf_of
from shared.plan.document import in_order
from shared.plan.subset import (
    SubsetIndex,
    check_subset,
    closure,
    left_out_root,
    of_other_classes,
    resolved,
    subset_index,
    subset_root,
)
from shared.policy.approval import ALL, DEFERRED_MAX
from tests.unit.applier.test_dependencies import ALL as WEB
from tests.unit.applier.test_dependencies import ENDS, ENTITIES, JOINS, LEAVES, MAKES, OTHER, REVIVES
from tests.unit.plan.plan_builder import RUN, change, header, plan


def name_of(number: int) -> str:
    return sha256(str(number).encode()).hexdigest()


def index_over(builds_on: Mapping[int, Collection[int]], size: int, aside: Collection[int] = ()) -> SubsetIndex:
    """An index over changes 0 to `size`, of which the even ones are creates."""
    names = {name_of(number): number for number in range(size)}
    return SubsetIndex(
        run=RUN,
        leaves={name: leaf_hash(name.encode()) for name in sorted(names)},
        classes={name: "update" if names[name] % 2 else "create" for name in sorted(names)},
        builds_on={name_of(one): tuple(name_of(other) for other in others) for one, others in builds_on.items()},
        set_aside=frozenset(name_of(number) for number in aside),
    )


def check(left_out: Sequence[str], index: SubsetIndex) -> None:
    """As the part that these changes are left out of, signed as it should be."""
    check_subset(subset_root(left_out, index), left_out, index, signed_left_out=left_out_root(left_out))


SIZES = st.integers(2, 14)


@st.composite
def choices(draw: st.DrawFn) -> tuple[SubsetIndex, set[str]]:
    """A plan in which anything may build on anything, and some changes that somebody would leave out."""
    size = draw(SIZES)
    numbers = st.integers(0, size - 1)
    edges = draw(st.dictionaries(numbers, st.sets(numbers, max_size=3), max_size=size))
    return index_over(edges, size), {name_of(number) for number in draw(st.sets(numbers))}


def reached_from(start: Collection[str], index: SubsetIndex) -> set[str]:
    """What builds on these, found by asking every change again until nothing is added."""
    found = set(start)
    for _ in index.leaves:
        found |= {one for one, parents in index.builds_on.items() if found.intersection(parents)}
    return found


@given(choices())
def test_what_is_left_out_together_is_all_that_builds_on_it_and_nothing_else(
    choice: tuple[SubsetIndex, set[str]],
) -> None:
    index, given_out = choice
    found = closure(given_out, index)
    assert set(found.left_out) == reached_from(given_out, index)
    assert list(found.left_out) == sorted(set(found.left_out))
    assert set(found.added) == set(found.left_out) - given_out


@given(choices())
def test_closing_twice_adds_nothing(choice: tuple[SubsetIndex, set[str]]) -> None:
    index, given_out = choice
    found = closure(given_out, index)
    assert closure(found.left_out, index).added == {}
    assert closure(found.left_out, index).left_out == found.left_out


@given(choices())
def test_every_change_that_goes_along_names_one_left_out_that_it_builds_on(
    choice: tuple[SubsetIndex, set[str]],
) -> None:
    index, given_out = choice
    found = closure(given_out, index)
    for change_id, because in found.added.items():
        assert because in index.builds_on[change_id]
        assert because in found.left_out


@given(choices())
def test_a_closed_part_passes_and_without_one_that_goes_along_it_does_not(
    choice: tuple[SubsetIndex, set[str]],
) -> None:
    index, given_out = choice
    found = closure(given_out, index)
    if not 0 < len(found.left_out) < len(index.leaves):
        return
    check(found.left_out, index)
    for along in found.added:
        less = [one for one in found.left_out if one != along]
        with pytest.raises(NeedsPerson, match="must go along"):
            check(less, index)


@given(SIZES, st.data())
def test_two_different_parts_never_have_one_root(size: int, data: st.DataObject) -> None:
    index = index_over({}, size)
    parts = st.frozensets(st.sampled_from(sorted(index.leaves)), max_size=size - 1)
    one, other = data.draw(parts), data.draw(parts)
    assert (subset_root(one, index) == subset_root(other, index)) is (one == other)


def test_what_is_signed_is_the_root_over_the_leaves_that_stay_in_change_id_order() -> None:
    changes = [change(number) for number in range(1, 7)]
    index = subset_index(header(changes), changes[::-1])
    out, kept = changes[2], in_order([one for one in changes if one is not changes[2]])
    wanted = root_of([leaf_hash(leaf_of(one)) for one in kept])
    assert subset_root([out.change_id], index) == "sha256:" + wanted.hex()
    assert subset_root([], index) == ALL


def test_one_altered_value_of_a_change_that_stays_alters_the_root() -> None:
    changes = [change(number) for number in (1, 2, 3)]
    altered = changes[1].model_copy(update={"write": changes[1].write.model_copy(update={"path": "/contacts/t-9"})})
    roots = {
        subset_root([changes[0].change_id], subset_index(header(each), each))
        for each in (changes, [changes[0], altered, changes[2]])
    }
    assert len(roots) == 2


def web() -> SubsetIndex:
    return subset_index(header(WEB, entities=ENTITIES), WEB)


def test_a_membership_goes_along_with_the_group_that_is_not_made() -> None:
    found = closure([MAKES.change_id], web())
    assert found.added == {JOINS.change_id: MAKES.change_id}
    assert set(found.left_out) == {MAKES.change_id, JOINS.change_id}
    assert closure([REVIVES.change_id], web()).added == {JOINS.change_id: REVIVES.change_id}


def test_a_delete_goes_along_with_the_membership_that_stays() -> None:
    assert closure([LEAVES.change_id], web()).added == {ENDS.change_id: LEAVES.change_id}


def test_leaving_out_what_builds_on_others_leaves_these_in() -> None:
    for one in (JOINS, ENDS, OTHER):
        assert closure([one.change_id], web()).left_out == (one.change_id,)


def test_what_the_plan_set_aside_is_not_left_out_and_takes_nothing_along() -> None:
    made = plan(WEB, excluded=[MAKES], entities=ENTITIES)
    index = subset_index(made.header, WEB)
    assert closure([MAKES.change_id], index).left_out == ()
    assert closure([REVIVES.change_id], index).added == {JOINS.change_id: REVIVES.change_id}
    left_out = [MAKES.change_id, OTHER.change_id]
    with pytest.raises(NeedsPerson, match="set aside by the plan already"):
        check(left_out, index)


INDEX = index_over({1: (0,)}, 6, aside=(5,))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0,), "1 changes build on those left out and must go along"),
        ((2, 2), "named twice"),
        ((77,), "1 of the changes left out are not of its plan"),
        ((0, 1, 2, 3, 4), "nothing would be left"),
        ((), "0 changes are named as left out"),
    ],
)
def test_part_that_cannot_be_left_out_is_refused_in_words(numbers: tuple[int, ...], words: str) -> None:
    deferred = [name_of(number) for number in numbers]
    with pytest.raises(NeedsPerson, match=words) as refused:
        check_subset("sha256:" + "0" * 64, deferred, INDEX, signed_left_out=left_out_root(deferred))
    assert (refused.value.code, refused.value.facts["run"]) == ("APV_MALFORMED", RUN)


def test_changes_left_out_of_an_approval_of_the_whole_plan_are_refused() -> None:
    check_subset(ALL, [], INDEX, signed_left_out=None)
    with pytest.raises(NeedsPerson, match="of the whole plan, and 1 changes"):
        check_subset(ALL, [name_of(2)], INDEX, signed_left_out=None)


def test_root_of_another_part_is_refused() -> None:
    mine, other = [name_of(2)], [name_of(3)]
    for subset, signed in ((other, mine), (mine, other), (other, other)):
        with pytest.raises(NeedsPerson) as refused:
            check_subset(subset_root(subset, INDEX), mine, INDEX, signed_left_out=left_out_root(signed))
        assert refused.value.code == "APV_WRONG_DIGEST"
    check(mine, INDEX)


def test_as_many_as_fit_into_the_runs_document_may_be_left_out() -> None:
    index = index_over({}, DEFERRED_MAX + 2)
    most = sorted(index.leaves)[:DEFERRED_MAX]
    check(most, index)
    more = sorted(index.leaves)[: DEFERRED_MAX + 1]
    with pytest.raises(NeedsPerson, match="2,001 changes would be left out, allowed 2,000; reject the plan, or narrow"):
        check(more, index)


def test_change_that_the_plan_does_not_hold_cannot_be_closed_over() -> None:
    with pytest.raises(KeyError, match="no change"):
        closure([name_of(99)], INDEX)


# --- naming changes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [12, 13, 40, 64])
def test_change_is_named_by_its_id_or_how_it_begins(digits: int) -> None:
    assert resolved([name_of(3)[:digits].upper()], INDEX) == [name_of(3)]


@pytest.mark.parametrize("given_id", ["", "abc", name_of(3)[:11], "zz" * 20, name_of(3) + "0", "sha256:" + name_of(3)])
def test_what_names_no_change_is_refused(given_id: str) -> None:
    with pytest.raises(NeedsPerson, match="is no change id"):
        resolved([given_id], INDEX)


def test_beginning_of_several_changes_or_of_none_is_refused() -> None:
    twins = ["ab" * 8 + "0" * 48, "ab" * 8 + "1" * 48]
    index = replace(INDEX, leaves=dict.fromkeys(twins, bytes(32)))
    assert resolved(["ab" * 8 + "1"], index) == [twins[1]]
    with pytest.raises(NeedsPerson, match="several changes begin with"):
        resolved(["ab" * 6], index)
    with pytest.raises(NeedsPerson, match="has no change"):
        resolved(["cd" * 6], index)


def test_what_is_of_another_class_is_what_the_plan_carries_out_and_nobody_named() -> None:
    assert of_other_classes(["create"], INDEX) == sorted(name_of(number) for number in (1, 3))
    assert of_other_classes(["create", "update"], INDEX) == []
    assert len(of_other_classes(["delete"], INDEX)) == 5
