"""The plan's digest covers every byte of header and changes, in one order, and shows no personal value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from services.differ.pages import cut
from shared.plan.change import Cause, Change, ChangeClass, Write, change_id_of, leaf_of
from shared.plan.document import PlanHeader, in_order, leaves_of, plan_digest_of
from tests.unit.plan.plan_builder import ENTITY, OTHER_RUN, TARGET, certificate, change, header, plan

CHANGES = [
    change(1),
    change(2, ChangeClass.CREATE),
    change(3, ChangeClass.SUSPEND),
    change(4, ChangeClass.ROLE_CHANGE, after={"role": "NURSE", "first_name": "Zoe"}),
    change(5, ChangeClass.DELETE),
]
HEADER = header(CHANGES)
DIGEST = plan_digest_of(HEADER, leaves_of(CHANGES))


@pytest.mark.parametrize("partitions", [1, 2, 3, 5])
def test_digest_does_not_depend_on_partitions_or_the_order_of_pages(partitions: int) -> None:
    pages = [
        page.page
        for number in range(partitions)
        for page in cut(CHANGES[number::partitions], run=HEADER.run, entity=ENTITY, partition=number)
    ]
    for order in (pages, pages[::-1]):
        read = [one for page in order for one in page.changes]
        assert plan_digest_of(HEADER, leaves_of(read)) == DIGEST


def test_order_of_changes_is_by_change_id_and_an_id_stands_once() -> None:
    assert in_order(CHANGES[::-1]) == in_order(CHANGES)
    with pytest.raises(ValueError, match="stands in the plan twice"):
        in_order([*CHANGES, CHANGES[0]])


def _flips(value: Any) -> Iterator[Any]:
    """The value with one place of it altered, once for each place."""
    match value:
        case bool():
            yield not value
        case None:
            yield "x"
        case int() | float():
            yield value + 1
        case str():
            middle = len(value) // 2
            yield value + "x"
            if value:
                yield value[:middle] + ("y" if value[middle] != "y" else "z") + value[middle + 1 :]
        case list():
            for place, one in enumerate(value):
                for flipped in _flips(one):
                    yield [*value[:place], flipped, *value[place + 1 :]]
            yield value[1:] if value else ["x"]
        case dict():
            for name, one in value.items():
                for flipped in _flips(one):
                    yield {**value, name: flipped}
            yield {**value, "another": 1}
        case _:
            raise AssertionError(f"JSON has no {type(value).__name__}")


def test_any_altered_place_of_the_header_alters_the_digest() -> None:
    leaves, tried = leaves_of(CHANGES), 0
    for flipped in _flips(HEADER.model_dump(mode="json")):
        try:
            # As it would come from the bus; built by a program, a code outside the catalogue would not even stand.
            altered = PlanHeader.model_validate_json(json.dumps(flipped))
        except ValueError:
            continue  # refused before it could be counted
        if altered != HEADER:
            assert plan_digest_of(altered, leaves) != DIGEST
            tried += 1
    assert tried > 200


@pytest.mark.parametrize("which", range(len(CHANGES)))
def test_any_altered_field_of_a_change_alters_the_digest(which: int) -> None:
    one = CHANGES[which]
    others = [other for other in CHANGES if other is not one]
    document = one.model_dump(mode="json")
    tried = 0
    for flipped in _flips(document):
        try:
            altered = Change.model_validate(flipped)
            leaf = leaf_of(altered)
        except ValueError:
            continue  # refused before it could be counted
        if altered == one:
            continue
        assert leaf != leaf_of(one)
        assert plan_digest_of(HEADER, leaves_of([*others, altered])) != DIGEST
        tried += 1
    assert tried >= 15


def test_left_out_and_added_changes_alter_the_digest() -> None:
    assert plan_digest_of(HEADER, leaves_of(CHANGES[1:])) != DIGEST
    assert plan_digest_of(HEADER, leaves_of([*CHANGES, change(6)])) != DIGEST


def test_leaf_holds_no_personal_value() -> None:
    marker = "Marker Person"
    for change_class in (ChangeClass.CREATE, ChangeClass.UPDATE, ChangeClass.RENAME, ChangeClass.NULL_OUT):
        plain = change(1, change_class)
        planted = plain.model_copy(
            update={
                "key": marker,
                "fields": tuple(
                    one.model_copy(update={"before": f"{marker} before", "after": f"{marker} after"})
                    for one in plain.fields
                ),
                "write": Write(method="PATCH", path="/contacts/t-1", body={"first_name": marker, "email": marker}),
            }
        )
        leaf = leaf_of(planted)
        assert b"Marker" not in leaf
        assert b"Person" not in leaf
        assert planted.commitment_key.encode() not in leaf


def test_equal_values_of_two_people_have_different_commitments() -> None:
    after = {"first_name": "Same", "email": "same@example.org"}
    first, second = change(1, after=after), change(2, after=after)
    assert first.precondition != second.precondition
    shown = [{part for part in leaf_of(one).split(b'"') if part.startswith(b"hmac")} for one in (first, second)]
    assert shown[0].isdisjoint(shown[1])


def test_change_id_tells_target_entity_key_class_and_after_apart() -> None:
    plain = {"target": TARGET, "entity": ENTITY, "key": "E1", "after_commitment": "hmac-sha256:a"}
    ids = {change_id_of(**plain, change_class=ChangeClass.UPDATE)}
    ids.add(change_id_of(**plain, change_class=ChangeClass.RENAME))
    for name in plain:
        ids.add(change_id_of(**{**plain, name: "other"}, change_class=ChangeClass.UPDATE))
    assert len(ids) == 6
    assert change_id_of(**plain, change_class=ChangeClass.UPDATE) in ids
    assert all(len(one) == 64 for one in ids)


def test_change_id_is_the_same_for_the_same_intention_whatever_the_record_was() -> None:
    before = change(1, live={**change_record(), "role": "NURSE"})
    assert before.change_id == change(1).change_id
    assert leaf_of(before) != leaf_of(change(1))


def change_record() -> dict[str, Any]:
    return {"target_id": "t-1", "external_id": "E1", "first_name": "Name1", "email": "p1@example.org", "active": True}


def test_content_digest_is_equal_for_two_runs_over_equal_data() -> None:
    first = plan(CHANGES)
    second = plan(
        CHANGES[::-1],
        run=OTHER_RUN,
        requester="olga",
        created_at="2026-11-23T08:00:00.000Z",
        expires_at="2026-11-23T12:00:00.000Z",
        target_read_at="2026-11-23T07:00:00.000Z",
        target_serial=9,
        certificates=(certificate(rows=100), certificate(rows=100, side="target")),
    )
    assert second.content_digest == first.content_digest
    assert second.plan_digest != first.plan_digest


def test_content_digest_differs_where_the_changes_or_the_release_do() -> None:
    first = plan(CHANGES)
    assert plan(CHANGES[1:]).content_digest != first.content_digest
    assert plan(CHANGES, release_digest="sha256:other").content_digest != first.content_digest
    drifted = CHANGES[0].model_copy(
        update={"fields": tuple(one.model_copy(update={"cause": Cause.DRIFT}) for one in CHANGES[0].fields)}
    )
    assert plan([drifted, *CHANGES[1:]]).content_digest != first.content_digest
