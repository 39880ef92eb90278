"""Every handler of an event: delivered twice, late, and killed after its effect, with the same result as once.

The cases are looked up by handler in the tables of the services, so a handler that is new there and not here fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from services.applier.handlers import on_apply_plan, on_run_cancelled
from services.differ.expiry import on_expire_plan
from services.differ.handlers import on_apply_finished, on_diff_partition, on_draft_plan
from services.extractor.handlers import on_read_side
from shared.bus.dispatch import Route
from shared.bus.reading import last
from shared.events.commands import DraftPlan, ReadSide
from shared.events.facts import ApplyFinished
from shared.plan.document import Plan, header_subject
from shared.ports.system import Receipt
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import ROUTES, Picture, SmallHouse
from tests.integration.handlers.small_systems import PeopleSource
from tests.support.bus import BusUnderTest


@dataclass(frozen=True)
class Case:
    """How a run comes to the point at which a handler's message is due."""

    arrange: Callable[[SmallHouse], Awaitable[None]]
    pattern: str
    """Subject of the message; `RUN` and `TARGET` stand for the names."""
    status: RunStatus
    """Where the run stands once the message was taken."""
    to_end: Callable[[SmallHouse], Awaitable[None]] = SmallHouse.to_finished
    """How a run comes to its end with such a message on the way."""


async def _requested(house: SmallHouse) -> None:
    await house.request()
    # One side is read already: the handler under test reads the last one, which moves the run.
    await (await house.replica("extractor")).deliver(await house.command(f"cmd.extract.{house.run}.target.contacts"))


async def _read(house: SmallHouse) -> None:
    await house.request()
    await house.read_sides()
    await (await house.replica("differ")).deliver(await house.command(f"cmd.diff.{house.run}.0"))


async def _compared(house: SmallHouse) -> None:
    await house.request()
    await house.read_sides()
    await house.diff()


async def _asked_to_end(house: SmallHouse) -> None:
    await house.to_paused()
    assert (await house.cancel()).status == "paused"


async def _grown_old(house: SmallHouse) -> None:
    await house.to_drafted()
    house.clock.ahead = timedelta(hours=25)


async def _ended_while_applying(house: SmallHouse) -> None:
    """The applier at work ends the run; the fact that it was cancelled is delivered when all is over."""
    await house.to_approved()
    write = house.target.write

    async def cancels_first(*args: Any, **kwargs: Any) -> Receipt:
        if not house.target.sent:
            assert (await house.cancel()).status == "applying"
        return await write(*args, **kwargs)

    house.target.write = cancels_first  # type: ignore[method-assign]  # cancels the run and passes on
    await house.apply()


CASES: dict[Any, Case] = {
    on_read_side: Case(_requested, "cmd.extract.RUN.source.contacts", RunStatus.DIFFING),
    on_diff_partition: Case(_read, "cmd.diff.RUN.1", RunStatus.GUARDING),
    on_draft_plan: Case(_compared, "cmd.plan.RUN", RunStatus.AWAITING_APPROVAL),
    on_expire_plan: Case(_grown_old, "cmd.expire.RUN", RunStatus.EXPIRED),
    on_apply_plan: Case(SmallHouse.to_approved, "cmd.apply.RUN", RunStatus.SUCCEEDED),
    on_run_cancelled: Case(
        _asked_to_end, "evt.extractor.run_cancelled.RUN", RunStatus.PARTIAL, to_end=_ended_while_applying
    ),
    on_apply_finished: Case(SmallHouse.to_finished, "evt.applier.apply_finished.RUN", RunStatus.SUCCEEDED),
}

every_handler = pytest.mark.parametrize(
    ("service", "route"), ROUTES, ids=[f"{service}.{route.handler.__name__}" for service, route in ROUTES]
)


def _case(route: Route[Any]) -> Case:
    assert route.handler in CASES, f"{route.handler.__name__} has no case here: add one"
    return CASES[route.handler]


async def _arranged(house: SmallHouse, route: Route[Any]) -> Any:
    case = _case(route)
    await case.arrange(house)
    return await house.command(case.pattern.replace("RUN", house.run))


def _undisturbed(picture: Picture) -> dict[str, int]:
    """Messages by subject, without what a killed attempt leaves behind on purpose."""
    return {
        subject: number for subject, number in picture.messages.items() if not subject.startswith(("snap.", "led."))
    }


@every_handler
async def test_delivered_twice_is_as_once(house: SmallHouse, service: str, route: Route[Any]) -> None:
    message = await _arranged(house, route)
    replica = await house.replica(service)
    await replica.deliver(message)
    once = await house.picture()
    assert (await house.state()).status is _case(route).status
    await replica.deliver(message)
    assert await house.picture() == once


@every_handler
async def test_killed_after_the_effect_and_before_the_ack_is_as_once(
    house: SmallHouse, service: str, route: Route[Any]
) -> None:
    message = await _arranged(house, route)
    await (await house.replica(service)).deliver(message)
    once = await house.picture()
    await (await house.replica(service)).deliver(message)
    assert await house.picture() == once


@every_handler
async def test_killed_before_the_commit_comes_to_the_same_end(
    house: SmallHouse, bus: BusUnderTest, tmp_path: Path, service: str, route: Route[Any]
) -> None:
    message = await _arranged(house, route)
    killed = await house.replica(service)
    event = route.event.model_validate_json(message.data)
    await route.handler(event, killed.context)  # what it wants committed is lost with it
    await (await house.replica(service)).deliver(message)
    (tmp_path / "other").mkdir()
    other = await SmallHouse.made(bus, tmp_path / "other")
    try:
        same = await _arranged(other, route)
        await (await other.replica(service)).deliver(same)
        assert _undisturbed(await house.picture()) == _undisturbed(await other.picture())
        assert (await house.state()).status is (await other.state()).status is _case(route).status
        assert sorted(house.effects().values()) == sorted(other.effects().values())
    finally:
        await other.close()


@pytest.mark.parametrize(
    ("service", "route"),
    # A finished run cannot be cancelled, and a cancelled one not again; both have tests of their own.
    [(service, route) for service, route in ROUTES if route.handler not in {on_apply_finished, on_run_cancelled}],
)
async def test_delivered_after_the_run_was_cancelled_has_no_effect(
    house: SmallHouse, service: str, route: Route[Any]
) -> None:
    message = await _arranged(house, route)
    reply = await house.cancel()
    assert reply.status == "cancelled", reply
    before = await house.picture()
    await (await house.replica(service)).deliver(message)
    assert await house.picture() == before
    assert house.target.journal == []


@every_handler
async def test_delivered_after_the_run_has_ended_has_no_effect(
    house: SmallHouse, service: str, route: Route[Any]
) -> None:
    case = _case(route)
    await case.to_end(house)
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    assert (await house.state()).has_ended
    before = await house.picture()
    message = await house.command(case.pattern.replace("RUN", house.run))
    await (await house.replica(service)).deliver(message)
    assert await house.picture() == before


async def test_older_outcome_that_comes_late_never_replaces_a_newer_one(house: SmallHouse) -> None:
    await house.to_finished()
    late = await house.command(f"evt.applier.apply_finished.{house.run}")
    house.people[0]["first"] = "Changed again"
    # Run ids count seconds; the newer run must have the greater id, as it has in a real house.
    older = house.run
    while (await house.request()).run is None or house.run[:15] == older[:15]:
        await house.cancel()
    await house.read_sides()
    await house.diff()
    await house.draft()
    assert (await house.decide("anna")).status == "approved"
    await house.apply()
    await house.deliver_all("differ", f"evt.applier.apply_finished.{house.run}")
    newer = (await house.picture()).written
    assert newer[0][0] == "E1"
    await (await house.replica("differ")).deliver(late)
    # It adds what only the older run wrote, and leaves alone what both did.
    assert set(newer) < set((await house.picture()).written)
    assert ApplyFinished.model_validate_json(late.data).run == older


async def test_plan_stored_by_a_killed_differ_is_the_plan_of_the_run(house: SmallHouse) -> None:
    message = await _arranged(house, next(route for _, route in ROUTES if route.handler is on_draft_plan))
    killed = await house.replica("differ")
    await on_draft_plan(DraftPlan.model_validate_json(message.data), killed.context)
    stored = await last(killed.js, "PLAN", header_subject(house.run))
    assert stored is not None
    assert (await house.state()).status is RunStatus.GUARDING
    await (await house.replica("differ")).deliver(message)
    state = await house.state()
    assert state.plan is not None
    assert state.plan.plan_digest == Plan.model_validate_json(stored.data).plan_digest
    assert (await house.picture()).messages["plan.RUN.header"] == 1


async def test_dead_reader_leaves_batches_that_nobody_takes_for_the_snapshot(house: SmallHouse) -> None:
    message = await _arranged(house, next(route for _, route in ROUTES if route.handler is on_read_side))
    killed = await house.replica("extractor")
    await on_read_side(ReadSide.model_validate_json(message.data), killed.context)
    house.people.pop()  # what the second reader finds is something else
    await (await house.replica("extractor")).deliver(message)
    await house.diff()
    await house.draft()
    state = await house.state()
    assert state.plan is not None
    assert state.plan.changes_by_class == {"create": 2, "suspend": 1, "update": 2}


async def test_target_records_that_share_a_key_are_set_aside_and_not_created_again(house: SmallHouse) -> None:
    house.target.records["t-99"] = {**house.target.records["t-5"], "target_id": "t-99"}
    await house.to_drafted()
    state = await house.state()
    assert state.plan is not None
    assert state.plan.changes_by_class == {"create": 3, "suspend": 1, "update": 2}
    assert state.status is RunStatus.HELD  # one record of ten is ambiguous


async def _blocked_with(house: SmallHouse, code: str) -> None:
    await house.request()
    await house.read_sides()
    state = await house.state()
    assert state.status is RunStatus.BLOCKED
    assert state.failure is not None
    assert state.failure.code == code
    # The other side, and whatever is delivered late, leaves it as it is.
    before = await house.picture(with_snapshots=False)
    await house.read_sides()
    assert await house.picture(with_snapshots=False) == before
    assert not any(subject.startswith("cmd.diff.") for subject in before.messages)


async def test_column_gone_from_a_source_blocks_the_run(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"id": ["E1"], "first": ["Ana"], "email": ["a@example.org"]})
    monkeypatch.setattr(PeopleSource, "__init__", lambda self, rows: setattr(self, "_frame", frame))
    await _blocked_with(house, "NRM_SCHEMA_DRIFT")


async def test_column_gone_from_the_target_blocks_the_run(house: SmallHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [column for column in house.target.columns("contacts") if column.name != "role"]
    monkeypatch.setattr(house.target, "columns", lambda entity: columns)
    for one in house.target.records.values():
        del one["role"]
    await _blocked_with(house, "NRM_SCHEMA_DRIFT")


async def test_unmapped_id_blocks_the_run_where_the_contract_says_so(house: SmallHouse) -> None:
    folder = house.folder / house.connector
    text = (folder / "connector.yaml").read_text(encoding="utf-8")
    mapped = text.replace("role: {from: [person.role]", "role: {from: [person.role], map: roles, unmapped: block")
    assert mapped != text
    (folder / "connector.yaml").write_text(mapped, encoding="utf-8")
    (folder / "tables").mkdir()
    (folder / "tables" / "roles.csv").write_text("role,code\nNURSE,NURSE\n", encoding="utf-8")
    await _blocked_with(house, "NRM_BLOCKED_UNMAPPED")


async def test_target_read_short_blocks_the_run(house: SmallHouse) -> None:
    house.target.rows_missing = 1
    await house.to_drafted()
    state = await house.state()
    assert state.status is RunStatus.BLOCKED
    assert state.failure is not None
    assert state.failure.code == "GRD_TARGET_UNKNOWN"
