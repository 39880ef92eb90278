"""The index: enough for the plan's digests and for double claims, without the changes, in parts that fit a message."""

from __future__ import annotations

import random
from collections.abc import Sequence
from hashlib import sha256

import pytest

from shared.events.envelope import body_of
from shared.plan.change import Change, ChangeClass, leaf_of
from shared.plan.document import (
    INDEX_ENTRIES_MAX,
    PAGE_BYTES_MAX,
    IndexEntry,
    PlanIndexPart,
    content_digest_of,
    leaves_of,
    plan_digest_of,
)
from shared.plan.index import content_digest_from_index, contested_of, index_of, plan_digest_from_index
from tests.unit.plan.plan_builder import ENTITY, RUN, change, header

CHANGES = [change(number, kind) for number, kind in enumerate([*ChangeClass] * 3, start=1)]
HEADER = header(CHANGES)


def indexed(changes: Sequence[Change], *, partitions: int = 1, entity: str = ENTITY) -> list[PlanIndexPart]:
    return [
        part
        for number in range(partitions)
        for part in index_of(changes[number::partitions], run=RUN, entity=entity, partition=number)
    ]


def entries_of(parts: Sequence[PlanIndexPart]) -> list[IndexEntry]:
    return [entry for part in parts for entry in part.entries]


def test_entry_says_leaf_target_id_and_wave_of_its_change() -> None:
    one = change(1, ChangeClass.SUSPEND)
    (part,) = indexed([one])
    assert (part.run, part.entity, part.partition, part.number) == (RUN, ENTITY, 0, 1)
    (entry,) = part.entries
    assert entry.change_id == one.change_id
    assert entry.leaf == sha256(b"\x00" + leaf_of(one)).hexdigest()
    assert entry.target_id == "t-1"
    assert entry.wave == one.wave == 2


@pytest.mark.parametrize("partitions", [1, 3, 8])
def test_digests_from_the_index_are_those_from_the_changes(partitions: int) -> None:
    entries = entries_of(indexed(CHANGES, partitions=partitions))
    random.Random(partitions).shuffle(entries)
    assert plan_digest_from_index(HEADER, iter(entries)) == plan_digest_of(HEADER, leaves_of(CHANGES))
    assert content_digest_from_index(HEADER, iter(entries)) == content_digest_of(HEADER, leaves_of(CHANGES))


def test_index_of_no_changes_is_empty_and_the_digest_is_that_of_the_header_alone() -> None:
    assert index_of([], run=RUN, entity=ENTITY, partition=0) == []
    alone = header([])
    assert plan_digest_from_index(alone, []) == plan_digest_of(alone, [])


def test_index_that_is_not_the_whole_plan_gives_no_digest() -> None:
    entries = entries_of(indexed(CHANGES))
    for digest_from in (plan_digest_from_index, content_digest_from_index):
        with pytest.raises(ValueError, match=f"holds {len(CHANGES) - 1} changes, the header says {len(CHANGES)}"):
            digest_from(HEADER, entries[1:])
        with pytest.raises(ValueError, match="stands in the plan twice"):
            digest_from(HEADER, [*entries, entries[0]])


def test_leaf_in_the_index_that_is_no_hash_gives_no_digest() -> None:
    entries = entries_of(indexed(CHANGES))
    for leaf in ("", "00", "zz" * 32):
        with pytest.raises(ValueError, match=r"expected 32|hexadecimal"):
            plan_digest_from_index(HEADER, [entries[0].model_copy(update={"leaf": leaf}), *entries[1:]])


def test_one_change_twice_in_a_partition_has_no_index() -> None:
    with pytest.raises(ValueError, match="stands in the plan twice"):
        index_of([CHANGES[0], CHANGES[0]], run=RUN, entity=ENTITY, partition=0)


@pytest.mark.parametrize(
    ("number", "id_chars", "sizes"),
    [
        (INDEX_ENTRIES_MAX, 1, [INDEX_ENTRIES_MAX]),
        (INDEX_ENTRIES_MAX + 1, 1, [INDEX_ENTRIES_MAX, 1]),
        # An entry takes 179 bytes beside the vendor's id: 250 of these make PAGE_BYTES_MAX exactly.
        (501, 3_021, [250, 250, 1]),
        (501, 3_022, [249, 249, 3]),
    ],
)
def test_parts_are_full_in_order_and_fit_a_message(number: int, id_chars: int, sizes: list[int]) -> None:
    plain = change(1)
    changes = [
        plain.model_copy(update={"change_id": f"{place:064x}", "target_id": "x" * id_chars})
        for place in reversed(range(number))
    ]
    parts = index_of(changes, run=RUN, entity=ENTITY, partition=4)
    assert [len(part.entries) for part in parts] == sizes
    assert [part.number for part in parts] == list(range(1, len(sizes) + 1))
    assert [entry.change_id for entry in entries_of(parts)] == [f"{place:064x}" for place in range(number)]
    framing = 200
    assert all(len(body_of(part)) <= PAGE_BYTES_MAX + framing for part in parts)


def test_a_part_holds_no_byte_more_than_it_may() -> None:
    # 250 entries of which one is a byte longer: PAGE_BYTES_MAX and one, at the end of a part and at its beginning.
    id_chars = [3_021] * 249 + [3_022] + [3_021] * 249
    plain = change(1)
    changes = [
        plain.model_copy(update={"change_id": f"{place:064x}", "target_id": "x" * chars})
        for place, chars in enumerate(id_chars)
    ]
    assert [len(part.entries) for part in indexed(changes)] == [249, 249, 1]


def test_one_entry_that_is_too_long_stands_alone() -> None:
    plain = change(1)
    changes = [
        plain.model_copy(update={"change_id": f"{place:064x}", "target_id": target_id})
        for place, target_id in enumerate(["t-0", "x" * (PAGE_BYTES_MAX + 1), "t-2", "t-3"])
    ]
    assert [len(part.entries) for part in indexed(changes)] == [1, 1, 2]


def test_changes_that_claim_one_target_record_are_found_across_partitions() -> None:
    twins = [
        change(1),
        change(2).model_copy(update={"target_id": "t-1"}),
        change(3),
        change(4, ChangeClass.CREATE),
        change(5, ChangeClass.CREATE),
    ]
    expected = sorted([twins[0].change_id, twins[1].change_id])
    for partitions in (1, 2, 5):
        assert contested_of(indexed(twins, partitions=partitions)) == expected


def test_one_target_id_in_two_entities_is_no_double_claim() -> None:
    assert contested_of([*indexed([change(1)]), *indexed([change(2)], entity="students")]) == []
    same = change(2).model_copy(update={"target_id": "t-1"})
    assert contested_of([*indexed([change(1)]), *indexed([same], entity="students")]) == []
