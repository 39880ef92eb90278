"""The clock of a plan that waits for a person: it ends the run in time, once, and no other run."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.differ.expiry import LOOK_SECONDS_MAX, expiry_command, on_expire_plan
from services.differ.handlers import plan_is_drafted
from shared.bus.delivery import STANDARD_BACK_OFF, WAIT_SECONDS_MAX, RetryIn
from shared.bus.delivery import decide as decide_delivery
from shared.clock import from_text, to_text
from shared.errors import TryLater
from shared.events.commands import ExpirePlan
from shared.policy.approval import VALID_HOURS
from shared.run.moves import Move
from shared.run.state import RunState, state_subject
from shared.run.states import RunStatus
from tests.unit.plan.plan_builder import NOW, RUN, change, plan, run_state

S = RunStatus
PLAN = plan([change(1)])
EXPIRES = from_text(PLAN.header.expires_at)


def command(**overrides: Any) -> ExpirePlan:
    plain = {"run": RUN, "plan_digest": PLAN.plan_digest, "expires_at": PLAN.header.expires_at}
    return ExpirePlan(**(plain | overrides))


async def taken(state: RunState, at: datetime, given: ExpirePlan | None = None) -> Move | None:
    async def run_state_of(_: str) -> RunState:
        return state

    context: Any = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: at), committer=SimpleNamespace(run_state=run_state_of)
    )
    return await on_expire_plan(given or command(), context)


@pytest.mark.parametrize("status", [S.AWAITING_APPROVAL, S.HELD])
async def test_plan_that_nobody_decided_upon_expires(status: RunStatus) -> None:
    move = await taken(run_state(status, of=PLAN), EXPIRES + timedelta(seconds=1))
    assert move is not None
    assert move.reads == (state_subject(RUN),)


@pytest.mark.parametrize("status", [one for one in S if one not in (S.AWAITING_APPROVAL, S.HELD)])
async def test_run_that_no_longer_waits_is_left_alone(status: RunStatus) -> None:
    assert await taken(run_state(status, of=PLAN), EXPIRES + timedelta(days=1)) is None


async def test_run_that_waits_with_another_plan_is_left_alone() -> None:
    assert await taken(run_state(S.HELD, of=PLAN), EXPIRES + timedelta(days=1), command(plan_digest="sha256:0")) is None


@pytest.mark.parametrize(
    ("seconds_left", "pause"), [(86_400, LOOK_SECONDS_MAX), (901, LOOK_SECONDS_MAX), (30, 30), (0, 0.01)]
)
async def test_while_there_is_time_the_command_comes_back(seconds_left: int, pause: float) -> None:
    with pytest.raises(TryLater) as later:
        await taken(run_state(S.HELD, of=PLAN), EXPIRES - timedelta(seconds=seconds_left))
    assert (later.value.code, later.value.retry_after_seconds) == ("APV_WAITING", pause)


def test_command_that_waits_for_the_longest_plan_is_never_given_up() -> None:
    """With all its deliveries used for waiting, and as many again for restarts of the bus."""
    assert LOOK_SECONDS_MAX <= WAIT_SECONDS_MAX
    deliveries = max(VALID_HOURS.values()) * 3600 / LOOK_SECONDS_MAX
    assert deliveries * 2 < STANDARD_BACK_OFF.waiting_deliveries_max
    later = TryLater("APV_WAITING", "not yet", retry_after_seconds=LOOK_SECONDS_MAX)
    assert decide_delivery(later, int(deliveries * 2)) == RetryIn(LOOK_SECONDS_MAX)


@pytest.mark.parametrize(("mode", "waits"), [("apply", True), ("dry-run", False)])
def test_clock_is_started_with_every_plan_that_waits_for_a_person(mode: str, waits: bool) -> None:
    state = run_state(S.GUARDING, mode=mode)
    decision = plan_is_drafted(state, PLAN, at=to_text(NOW), seconds=1)
    found = [message for message in decision.messages if isinstance(message.event, ExpirePlan)]
    (drafted,) = [message.event for message in decision.messages if isinstance(message.event, RunState)]
    assert drafted.plan is not None
    assert found == ([expiry_command(RUN, drafted.plan)] if waits else [])
    assert [message.subject for message in found] == ([f"cmd.expire.{RUN}"] if waits else [])
