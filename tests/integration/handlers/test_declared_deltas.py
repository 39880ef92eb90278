"""Declared deltas on the bus: made and withdrawn by people, and counted in the plans of the runs they are for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.differ.questions import declared, history
from shared.clock import to_text
from shared.events.commands import DeclareDelta, Reply, WithdrawDelta
from shared.events.facts import CommandRefused, DeltaDeclared
from shared.events.queries import DeclaredQuery, HistoryQuery
from shared.policy.figures import EntityFigures
from tests.integration.handlers.small_house import CLOCK, SmallHouse


async def declare(house: SmallHouse, *, who: str = "otto", **changed: Any) -> Reply:
    now = CLOCK.now()
    values: dict[str, Any] = {
        "connector": house.connector,
        "change_class": "create",
        "where": {"role": ("TEACHER",)},
        "expected": 3,
        "tolerance_percent": 10.0,
        "valid_from": to_text(now - timedelta(hours=1)),
        "valid_until": to_text(now + timedelta(days=2)),
        "reason": "new teachers",
    }
    body = DeclareDelta(**{**values, **changed})
    return await (await house.replica("differ")).ask("aether.guard.declare", body, who=who)


async def figures(house: SmallHouse) -> EntityFigures:
    return (await house.plan()).header.figures.entities[0]


async def test_changes_that_match_are_counted_as_declared(house: SmallHouse) -> None:
    made = await declare(house)
    assert (made.is_accepted, made.run, made.refusal) == (True, None, None)
    await house.to_drafted("dry-run")
    found = await figures(house)
    creates = found.changes["create"]
    assert creates > 0
    (one,) = found.declared
    assert (one.declaration, one.matched, one.expected) == (made.declaration, creates, 3)
    told = DeltaDeclared.model_validate_json((await house.command(f"evt.differ.delta_declared.{house.connector}")).data)
    assert (told.declaration.id, told.declaration.declared_by) == (made.declaration, "otto")


async def test_declaration_for_other_records_matches_nothing(house: SmallHouse) -> None:
    await declare(house, where={"role": ("PRINCIPAL",)})
    await house.to_drafted("dry-run")
    (one,) = (await figures(house)).declared
    assert one.matched == 0


async def test_what_is_declared_after_the_reading_does_not_count_for_the_run(house: SmallHouse) -> None:
    assert (await house.request("dry-run")).is_accepted
    await house.read_sides()
    assert (await declare(house)).is_accepted
    await house.diff()
    await house.draft()
    assert (await figures(house)).declared == ()


async def test_withdrawn_between_the_stages_it_counts_in_both_or_neither(house: SmallHouse) -> None:
    made = await declare(house)
    assert (await house.request("dry-run")).is_accepted
    await house.read_sides()
    await house.diff()
    body = WithdrawDelta(declaration=str(made.declaration), reason="postponed")
    assert (await (await house.replica("differ")).ask("aether.guard.withdraw", body, who="otto")).is_accepted
    await house.draft()
    found = await figures(house)
    assert [one.matched for one in found.declared] == [found.changes["create"]]
    await house.to_drafted("dry-run")
    assert (await figures(house)).declared == ()


async def test_refusal_names_its_reason_and_is_recorded_with_who_asked(house: SmallHouse) -> None:
    refused = await declare(house, where={"email": ("p1@example.org",)})
    assert refused.refusal is not None
    assert (refused.is_accepted, refused.refusal.code) == (False, "APV_MALFORMED")
    assert "p1@example.org" not in refused.refusal.text
    fact = CommandRefused.model_validate_json((await house.command("audit.differ.refused")).data)
    assert (fact.command, fact.actor, fact.run) == ("aether.guard.declare", "otto", None)


async def test_unknown_connector_is_refused(house: SmallHouse) -> None:
    refused = await declare(house, connector="nobody")
    assert refused.refusal is not None
    assert refused.refusal.code == "CTR_UNKNOWN"
    body = WithdrawDelta(declaration="no id of ours")
    reply = await (await house.replica("differ")).ask("aether.guard.withdraw", body, who="otto")
    assert reply.refusal is not None
    assert reply.refusal.code == "APV_MALFORMED"


async def test_declared_deltas_are_listed_with_their_state(house: SmallHouse) -> None:
    now = CLOCK.now()
    first = await declare(house)
    coming = await declare(
        house, valid_from=to_text(now + timedelta(days=2)), valid_until=to_text(now + timedelta(days=4))
    )
    differ = await house.replica("differ")
    await differ.ask("aether.guard.withdraw", WithdrawDelta(declaration=str(first.declaration)), who="otto")
    for question in (DeclaredQuery(connector=house.connector), DeclaredQuery()):
        answer = await declared(question, differ.context)
        states = {one.declaration.id: one.state for one in answer.declared}
        assert states[str(first.declaration)] == "withdrawn"
        assert states[str(coming.declaration)] == "to come"
    assert (await declared(DeclaredQuery(connector="nobody"), differ.context)).declared == ()


async def test_history_holds_what_the_guard_was_shown(house: SmallHouse) -> None:
    await house.to_drafted("dry-run")
    differ = await house.replica("differ")
    answer = await history(HistoryQuery(connector=house.connector), differ.context)
    (one,) = answer.runs
    plan = await house.plan()
    assert (one.run, one.figures, one.level) == (house.run, plan.header.figures, plan.header.verdict.level)
    assert answer.total == 1
    assert (await history(HistoryQuery(connector=house.connector, offset=1), differ.context)).runs == ()
