"""What a target empties when a change leaves it out goes along with every change, and is no change itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from services.differ.comparing import Memory
from shared.plan.change import Change, ChangeClass
from shared.ports.wire import Value
from tests.unit.differ.frames import Row, contract, entity_of, run, want
from tests.unit.plan.plan_builder import NOW, record


def one(wanted: list[Row], live: list[Row], *, companions: tuple[str, ...] = ("email",), **more: Any) -> Change:
    under = more.pop("under", None)
    entity = entity_of(under, write_companions=companions)
    (change,) = run(wanted, live, entity=entity, **more).changes
    return change


def test_a_change_sends_its_companion_along_as_the_record_has_it() -> None:
    made = one([want(1, first_name="New")], [record(1)])
    assert made.write.body == {"email": "p1@example.org", "first_name": "New"}
    assert [field.name for field in made.fields] == ["first_name"]
    assert made.change_class is ChangeClass.UPDATE


def test_a_companion_that_changes_is_sent_with_its_new_value() -> None:
    made = one([want(1, email="new@example.org")], [record(1)])
    assert made.write.body == {"email": "new@example.org"}


@pytest.mark.parametrize("clause", [{"managed": False, "is_rename": False}, {"protected": True}, {}])
def test_a_companion_that_is_not_to_be_changed_stays_what_it_is(clause: dict[str, bool]) -> None:
    wanted: Value = None if not clause else "new@example.org"
    made = one([want(1, first_name="New", email=wanted)], [record(1)], under=contract(email=clause))
    assert made.write.body == {"email": "p1@example.org", "first_name": "New"}


def test_a_companion_without_a_value_is_sent_as_none() -> None:
    made = one([want(1, first_name="New", email=None)], [record(1, email=None)])
    assert made.write.body == {"email": None, "first_name": "New"}


def test_a_companion_in_the_targets_spelling_is_sent_in_ours() -> None:
    made = one([want(1, first_name="New")], [record(1, **{"shown email": "P1@Example.org"})])
    assert made.write.body == {"email": "p1@example.org", "first_name": "New"}


def test_a_companion_does_not_move_the_id_and_the_precondition_of_a_change() -> None:
    plain = one([want(1, first_name="New")], [record(1)], companions=())
    made = one([want(1, first_name="New")], [record(1)])
    assert (made.change_id, made.precondition, made.fields) == (plain.change_id, plain.precondition, plain.fields)
    assert made.write != plain.write


def test_a_record_that_comes_back_takes_its_companion_along() -> None:
    made = one([want(1)], [record(1, active=False)])
    assert made.verb == "reactivate"
    assert made.write.body == {"email": "p1@example.org", "active": True}


def test_a_suspension_sends_the_companion_along() -> None:
    gone = Memory("E1", strikes=5, last_strike_at=NOW - timedelta(days=2))
    made = one([], [record(1)], recall={"E1": gone})
    assert made.change_class is ChangeClass.SUSPEND
    assert made.write.body == {"email": "p1@example.org", "active": False}
    assert [field.name for field in made.fields] == ["active"]


def test_a_new_record_has_no_companions() -> None:
    made = one([want(1, email=None)], [])
    assert made.write.body is not None
    assert "email" not in made.write.body
