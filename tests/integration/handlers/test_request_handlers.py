"""Every handler of a person's command: sent twice, late and to another replica, it acts once and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.applier.commands import on_pause_run, on_resume_run, on_retry_run
from services.differ.handlers import on_approve_run, on_declare_delta, on_reject_run, on_withdraw_delta
from services.extractor.handlers import (
    on_cancel_run,
    on_pause_schedule,
    on_promote_connector,
    on_request_run,
    on_resume_schedule,
)
from services.extractor.schedule_moves import document as schedule_document
from shared.bus.dispatch import RequestRoute
from shared.clock import to_text
from shared.contract.catalog import Connectors
from shared.events.commands import DeclareDelta, NameRun, PromoteConnector, RequestRun, WithdrawDelta
from shared.events.facts import CommandRefused
from shared.events.model import Document
from shared.events.schedules import NameSchedule
from shared.run.moves import Decision, Move
from shared.schedule.state import ScheduleState
from tests.integration.handlers.small_house import CLOCK, REQUESTS, SmallHouse


@dataclass(frozen=True)
class Case:
    arrange: Callable[[SmallHouse], Awaitable[None]]
    body: Callable[[SmallHouse], Awaitable[Document]]
    who: str
    status: str | None
    """What the reply to the first one says; None for a command that is about no run."""
    again: str
    """Code of the refusal of the second one."""


async def _nothing(house: SmallHouse) -> None:
    return


async def _request(house: SmallHouse) -> Document:
    return RequestRun(connector=house.connector, mode="apply")


async def _name(house: SmallHouse) -> Document:
    return NameRun(run=house.run, reason="as told")


async def _rejection(house: SmallHouse) -> Document:
    return await house.decision("anna", "reject")


async def _admitted(house: SmallHouse) -> None:
    await house.request()


async def _declaration(house: SmallHouse) -> DeclareDelta:
    now = CLOCK.now()
    return DeclareDelta(
        connector=house.connector,
        change_class="suspend",
        where={"role": ("TEACHER",)},
        expected=5,
        valid_from=to_text(now - timedelta(hours=1)),
        valid_until=to_text(now + timedelta(days=3)),
        reason="as told",
    )


async def _declared(house: SmallHouse) -> None:
    await house.request()
    body = await _declaration(house)
    reply = await (await house.replica("differ")).ask("aether.guard.declare", body, who="otto")
    assert reply.declaration is not None
    house.declaration = reply.declaration


async def _withdrawal(house: SmallHouse) -> Document:
    return WithdrawDelta(declaration=house.declaration, reason="as told")


async def _scheduled(house: SmallHouse) -> None:
    await house.request()
    state = ScheduleState(connector=house.connector, since=to_text(CLOCK.now()), clause="sha256:0")
    replica = await house.replica("extractor")
    await replica.context.committer.commit(Move(reads=(), decide=lambda _: Decision((schedule_document(state),))))


async def _paused_schedule(house: SmallHouse) -> None:
    await _scheduled(house)
    reply = await (await house.replica("extractor")).ask("aether.schedule.pause", await _named(house), who="otto")
    assert reply.is_accepted


async def _named(house: SmallHouse) -> Document:
    return NameSchedule(connector=house.connector, reason="as told")


async def _in_production(house: SmallHouse) -> None:
    await house.request()
    house.environment = "production"


async def _promotion(house: SmallHouse) -> Document:
    release = Connectors(house.folder).load(house.connector)
    version = release.definition.version
    return PromoteConnector(connector=house.connector, version=version, digest=release.digest, reason="tried")


CASES: dict[Any, Case] = {
    on_request_run: Case(_nothing, _request, "olga", "queued", "APV_OVERLAP"),
    on_cancel_run: Case(_admitted, _name, "otto", "cancelled", "APV_WRONG_STATE"),
    on_approve_run: Case(SmallHouse.to_drafted, lambda h: h.decision("anna"), "anna", "approved", "APV_WRONG_STATE"),
    on_reject_run: Case(SmallHouse.to_drafted, _rejection, "anna", "rejected", "APV_WRONG_STATE"),
    on_pause_run: Case(SmallHouse.to_resumed, _name, "otto", "applying", "APV_WRONG_STATE"),
    on_retry_run: Case(SmallHouse.to_partial, _name, "otto", "approved", "APV_OVERLAP"),
    on_resume_run: Case(SmallHouse.to_paused, _name, "otto", "applying", "APV_WRONG_STATE"),
    on_declare_delta: Case(_admitted, _declaration, "otto", None, "APV_MALFORMED"),
    on_withdraw_delta: Case(_declared, _withdrawal, "otto", None, "APV_MALFORMED"),
    on_pause_schedule: Case(_scheduled, _named, "otto", None, "APV_MALFORMED"),
    on_resume_schedule: Case(_paused_schedule, _named, "otto", None, "APV_MALFORMED"),
    on_promote_connector: Case(_in_production, _promotion, "stella", None, "APV_MALFORMED"),
}
ABOUT_A_DECLARATION = (on_declare_delta, on_withdraw_delta)
ABOUT_NO_RUN = (*ABOUT_A_DECLARATION, on_promote_connector, on_pause_schedule, on_resume_schedule)

every_request = pytest.mark.parametrize(
    ("service", "route"), REQUESTS, ids=[f"{service}.{route.handler.__name__}" for service, route in REQUESTS]
)


def _case(route: RequestRoute[Any]) -> Case:
    assert route.handler in CASES, f"{route.handler.__name__} has no case here: add one"
    return CASES[route.handler]


@every_request
@pytest.mark.parametrize("replicas", [1, 2])
async def test_command_sent_twice_acts_once(
    house: SmallHouse, service: str, route: RequestRoute[Any], replicas: int
) -> None:
    """With two replicas the first one died between its effect and its answer."""
    case = _case(route)
    await case.arrange(house)
    body = await case.body(house)
    one = await house.replica(service)
    first = await one.ask(route.subject, body, who=case.who)
    assert (first.is_accepted, first.status) == (True, case.status)
    if case.status is not None:
        assert first.run is not None
        house.run = first.run
    assert (first.declaration is not None) == (route.handler in ABOUT_A_DECLARATION)
    once = await house.picture()
    other = one if replicas == 1 else await house.replica(service)
    second = await other.ask(route.subject, body, who=case.who)
    assert second.refusal is not None
    assert (second.is_accepted, second.refusal.code) == (False, case.again)
    assert await house.picture() == once


@pytest.mark.parametrize(
    ("service", "route"),
    # A request after the end is the next run, which is for the next test; a retry is only for after the end.
    [
        (service, route)
        for service, route in REQUESTS
        if route.handler not in (on_request_run, on_retry_run, *ABOUT_NO_RUN)
    ],
)
async def test_command_that_comes_after_the_end_is_refused_and_recorded(
    house: SmallHouse, service: str, route: RequestRoute[Any]
) -> None:
    case = _case(route)
    await case.arrange(house)
    body = await case.body(house)
    await house.to_ended_by_cancel()
    before = await house.picture()
    reply = await (await house.replica(service)).ask(route.subject, body, who=case.who)
    assert reply.refusal is not None
    assert reply.refusal.code == "APV_WRONG_STATE"
    assert await house.picture() == before
    told = CommandRefused.model_validate_json((await house.command(f"audit.{service}.refused")).data)
    assert (told.command, told.run, told.actor, told.refusal) == (route.subject, house.run, case.who, reply.refusal)


async def test_request_after_the_end_begins_another_run(house: SmallHouse) -> None:
    await house.to_drafted("dry-run")
    first = house.run
    assert (await house.request()).is_accepted
    assert house.run != first
    assert (await house.state()).status == "queued"


async def test_dry_run_does_not_hide_a_waiting_run_from_the_next_apply(house: SmallHouse) -> None:
    await house.to_drafted()
    waiting = house.run
    await house.to_drafted("dry-run")
    await house.to_drafted("dry-run")
    assert (await house.request("apply")).is_accepted
    newest = house.run
    house.run = waiting
    state = await house.state()
    assert state.status == "superseded"
    assert state.failure is not None
    assert newest in state.failure.text


async def test_waiting_run_approved_after_a_dry_run_stands_in_the_way_of_the_next(house: SmallHouse) -> None:
    await house.to_drafted()
    waiting = house.run
    await house.to_drafted("dry-run")
    house.run = waiting
    assert (await house.decide("anna")).status == "approved"
    for mode in ("apply", "dry-run"):
        reply = await house.request(mode)
        assert reply.refusal is not None
        assert (reply.refusal.code, waiting in reply.refusal.text) == ("APV_OVERLAP", True)
    await house.apply()
    assert (await house.state()).status == "succeeded"
    assert (await house.request("apply")).is_accepted


async def test_requests_at_the_same_moment_admit_one_run(house: SmallHouse) -> None:
    replies = await asyncio.gather(*(house.request() for _ in range(6)))
    assert sum(reply.is_accepted for reply in replies) == 1
    assert {reply.refusal.code for reply in replies if reply.refusal is not None} == {"APV_OVERLAP"}


async def test_apply_is_refused_while_another_of_the_connector_is_under_way(house: SmallHouse) -> None:
    await house.to_resumed()
    applying = house.run
    for mode in ("apply", "dry-run"):
        reply = await house.request(mode)
        assert reply.refusal is not None
        assert (reply.refusal.code, applying in reply.refusal.text) == ("APV_OVERLAP", True)


async def test_two_approvals_at_the_same_moment_start_one_apply(house: SmallHouse) -> None:
    await house.to_drafted()
    replies = await asyncio.gather(*(house.decide(who) for who in ("anna", "abel")))
    assert sorted(reply.is_accepted for reply in replies) == [False, True]
    assert (await house.picture()).messages["cmd.apply.RUN"] == 1


@every_request
async def test_command_that_cannot_be_read_is_refused_by_name(
    house: SmallHouse, service: str, route: RequestRoute[Any]
) -> None:
    reply = await (await house.replica(service)).ask(route.subject, NameRun(run="x"), who="otto")
    assert reply.refusal is not None
    assert reply.refusal.code in {"APV_MALFORMED", "APV_UNKNOWN_RUN"}
