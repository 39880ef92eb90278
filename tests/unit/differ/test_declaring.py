"""Which changes may be declared in advance, what is refused and why, and for which runs a declaration counts."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.differ.declaring import AHEAD_DAYS_MAX, KEPT_DAYS, WINDOW_DAYS_MAX, declare, withdraw
from shared.clock import to_text
from shared.contract.loading import load_connector
from shared.errors import NeedsPerson
from shared.events.commands import DeclareDelta, WithdrawDelta
from shared.events.facts import DeltaDeclared, DeltaWithdrawn
from shared.run.declared import DECLARATIONS_MAX, DeclaredDeltas, connector_of_declaration, declared_subject
from shared.run.moves import Decision
from tests.unit.plan.plan_builder import NOW

DEFINITION = load_connector(Path(__file__).parents[3] / "connectors" / "titanhst-staff").definition
ID = "titanhst-staff.abc123"


def days(number: float) -> str:
    return to_text(NOW + timedelta(days=number))


def command(**changed: Any) -> DeclareDelta:
    values: dict[str, Any] = {
        "connector": DEFINITION.name,
        "change_class": "suspend",
        "where": {"location": ("TL-010",), "role": ("TEACHER", "AIDE")},
        "expected": 40,
        "tolerance_percent": 5.0,
        "valid_from": days(1),
        "valid_until": days(20),
        "reason": "the school closes",
    }
    return DeclareDelta(**{**values, **changed})


def declared(
    asked: DeclareDelta | None = None,
    *,
    present: DeclaredDeltas | None = None,
    actor: str | None = "otto",
    declaration: str = ID,
    now: datetime = NOW,
) -> Decision:
    return declare(
        asked or command(), definition=DEFINITION, present=present, actor=actor, declaration=declaration, now=now
    )


def document_in(decision: Decision) -> DeclaredDeltas:
    (found,) = [message for message in decision.messages if isinstance(message.event, DeclaredDeltas)]
    assert found.subject == declared_subject(DEFINITION.name)
    assert isinstance(found.event, DeclaredDeltas)
    return found.event


def test_declaration_is_stored_with_who_made_it_and_told_as_a_fact() -> None:
    decision = declared()
    (one,) = document_in(decision).declarations
    assert (one.id, one.connector, one.entity, one.declared_by, one.at) == (
        ID,
        "titanhst-staff",
        "contacts",
        "otto",
        to_text(NOW),
    )
    assert one.where == {"location": ("TL-010",), "role": ("TEACHER", "AIDE")}
    (fact,) = [message.event for message in decision.messages if isinstance(message.event, DeltaDeclared)]
    assert fact.declaration == one
    assert connector_of_declaration(one.id) == one.connector
    assert len({message.message_id for message in decision.messages}) == 2


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"change_class": "vanish"}, "'vanish' is no class of change; the classes are"),
        ({"entity": "users"}, "there is no entity 'users'; the entities are contacts"),
        ({"where": {"grade": ("12",)}}, "contacts has no field 'grade'; there are: active, location, role"),
        ({"where": {"email": ("a@example.org",)}}, "field email of contacts is personal"),
        ({"where": {"external_id": ("E1",)}}, "field external_id of contacts is personal"),
        ({"where": {}}, "where"),
        ({"where": {"role": ()}}, "where.role"),
        ({"expected": 0}, "expected"),
        ({"tolerance_percent": 101.0}, "tolerance_percent"),
        ({"reason": ""}, "reason"),
        ({"valid_from": "2026-12-01"}, "has no zone"),
        ({"valid_until": "in June"}, "valid_from or valid_until"),
        ({"valid_from": days(3), "valid_until": days(3)}, "is not after valid_from"),
        ({"valid_from": days(-9), "valid_until": days(0)}, "has passed"),
        ({"valid_until": days(1 + WINDOW_DAYS_MAX + 0.5)}, "it would count for 90.5 days, allowed 90"),
        ({"valid_from": days(AHEAD_DAYS_MAX - 1), "valid_until": days(AHEAD_DAYS_MAX + 1)}, "days away"),
    ],
)
def test_what_cannot_be_declared_is_refused_with_its_reason(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(NeedsPerson) as refused:
        declared(command(**changed))
    assert refused.value.code == "APV_MALFORMED"
    assert told in refused.value.message


def test_longest_window_is_allowed() -> None:
    assert document_in(declared(command(valid_until=days(1 + WINDOW_DAYS_MAX)))).declarations


def test_nobody_known_declares_or_withdraws_nothing() -> None:
    with pytest.raises(NeedsPerson) as refused:
        declared(actor=None)
    assert refused.value.code == "APV_UNATTRIBUTED"
    with pytest.raises(NeedsPerson) as refused:
        withdraw(WithdrawDelta(declaration=ID), present=document_in(declared()), actor=None, now=NOW)
    assert refused.value.code == "APV_UNATTRIBUTED"


def test_same_changes_are_not_declared_twice_for_one_time() -> None:
    present = document_in(declared())
    again = command(where={"role": ("AIDE", "TEACHER"), "location": ("TL-010",)}, valid_from=days(19.9))
    with pytest.raises(NeedsPerson, match=f"{ID} declares the same already"):
        declared(again, present=present, declaration="titanhst-staff.other1")
    for fine in (
        command(valid_from=days(20), valid_until=days(21)),
        command(change_class="rename"),
        command(where={"location": ("TL-011",)}),
    ):
        assert len(document_in(declared(fine, present=present, declaration="titanhst-staff.other1")).declarations) == 2


def test_declarations_of_a_connector_are_bounded_and_a_withdrawn_one_makes_room() -> None:
    present: DeclaredDeltas | None = None
    for number in range(DECLARATIONS_MAX):
        asked = command(where={"location": (f"TL-{number:03d}",)})
        present = document_in(declared(asked, present=present, declaration=f"titanhst-staff.n{number}"))
    one_more = command(where={"location": ("TL-999",)})
    with pytest.raises(NeedsPerson, match="50 declarations stand, allowed 50"):
        declared(one_more, present=present)
    assert present is not None
    present = document_in(
        withdraw(WithdrawDelta(declaration="titanhst-staff.n7"), present=present, actor="otto", now=NOW)
    )
    assert len(document_in(declared(one_more, present=present)).standing(NOW)) == DECLARATIONS_MAX


def test_withdrawn_declaration_counts_for_runs_that_were_read_before_and_no_other() -> None:
    present = document_in(declared(command(valid_from=days(-1))))
    at = NOW + timedelta(days=2)
    decision = withdraw(WithdrawDelta(declaration=ID, reason="no"), present=present, actor="anna", now=at)
    (fact,) = [message.event for message in decision.messages if isinstance(message.event, DeltaWithdrawn)]
    assert (fact.declaration, fact.connector, fact.actor, fact.reason) == (ID, "titanhst-staff", "anna", "no")
    after = document_in(decision)
    assert [one.id for one in after.for_read_at(at - timedelta(minutes=1))] == [ID]
    assert after.for_read_at(at) == ()
    assert after.standing(at) == ()
    with pytest.raises(NeedsPerson, match=f"no declaration {ID!r} stands"):
        withdraw(WithdrawDelta(declaration=ID), present=after, actor="anna", now=at)


def test_declaration_counts_for_no_run_that_was_read_before_it_was_made() -> None:
    made = document_in(declared(command(valid_from=days(-1))))
    assert made.for_read_at(NOW - timedelta(seconds=1)) == ()
    assert [one.id for one in made.for_read_at(NOW)] == [ID]


def test_unknown_declaration_cannot_be_withdrawn_and_the_others_are_named() -> None:
    with pytest.raises(NeedsPerson, match="there are: none"):
        withdraw(WithdrawDelta(declaration="titanhst-staff.zzz"), present=None, actor="otto", now=NOW)
    with pytest.raises(NeedsPerson, match=f"there are: {ID}"):
        withdraw(
            WithdrawDelta(declaration="titanhst-staff.zzz"), present=document_in(declared()), actor="otto", now=NOW
        )


def test_what_has_ended_leaves_the_document_after_some_days() -> None:
    present = document_in(declared(command(valid_from=days(1), valid_until=days(2))))
    soon, later = (NOW + timedelta(days=2 + KEPT_DAYS + more) for more in (-1, 1))
    for now, kept in ((soon, 2), (later, 1)):
        asked = command(valid_from=to_text(now), valid_until=to_text(now + timedelta(days=1)))
        found = document_in(declared(asked, present=present, declaration="titanhst-staff.new", now=now))
        assert len(found.declarations) == kept
