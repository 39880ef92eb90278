"""How a live record stands to a change: the whole truth table."""

from __future__ import annotations

import pytest

from services.applier.preconditions import Standing, standing
from shared.plan.change import ChangeClass
from shared.ports.wire import Record
from tests.unit.plan.plan_builder import FIELDS, change, record

GO, DONE, MOVED = Standing.AS_PLANNED, Standing.ALREADY, Standing.MOVED
C = ChangeClass
MADE = {**record(1), "target_id": "t-99"}


@pytest.mark.parametrize(
    ("change_class", "live", "expected"),
    [
        # A create: there must be no record of this key.
        (C.CREATE, None, GO),
        (C.CREATE, MADE, DONE),
        (C.CREATE, {**MADE, "role": "NURSE"}, MOVED),
        # An update: the record must be what the plan saw.
        (C.UPDATE, record(1), GO),
        (C.UPDATE, record(1, first_name="New1"), DONE),
        (C.UPDATE, record(1, first_name="New1", role="NURSE"), DONE),  # what we would change is as we want it
        (C.UPDATE, record(1, first_name="Else"), MOVED),
        (C.UPDATE, record(1, role="NURSE"), MOVED),  # another field moved under us
        (C.UPDATE, None, MOVED),
        (C.SUSPEND, record(1), GO),
        (C.SUSPEND, record(1, active=False), DONE),
        (C.SUSPEND, record(1, email="other@example.org"), MOVED),
        (C.SUSPEND, None, MOVED),
        # A delete: gone is done.
        (C.DELETE, record(1), GO),
        (C.DELETE, None, DONE),
        (C.DELETE, record(1, role="NURSE"), MOVED),
    ],
)
def test_standing(change_class: ChangeClass, live: Record | None, expected: Standing) -> None:
    assert standing(change(1, change_class), live, compared_fields=FIELDS) is expected


def test_fields_the_plan_did_not_compare_do_not_count() -> None:
    live = {**record(1), "updated_at": "today", "target_id": "t-1"}
    assert standing(change(1), live, compared_fields=FIELDS) is GO


def test_missing_field_is_as_good_as_an_empty_one() -> None:
    seen = record(1, email=None)
    live = {name: value for name, value in seen.items() if name != "email"}
    assert standing(change(1, live=seen), live, compared_fields=FIELDS) is GO
    assert standing(change(1), live, compared_fields=FIELDS) is MOVED


def test_what_a_create_sets_and_nobody_manages_may_be_shown_as_the_target_likes() -> None:
    created = change(1, C.CREATE)
    for shown in ("NURSE", None):
        live = {**MADE, "role": shown}
        assert standing(created, live, compared_fields=FIELDS, unmanaged_fields=frozenset({"role"})) is DONE
        assert standing(created, live, compared_fields=FIELDS) is MOVED
    other = {**MADE, "first_name": "Else"}
    assert standing(created, other, compared_fields=FIELDS, unmanaged_fields=frozenset({"role"})) is MOVED
