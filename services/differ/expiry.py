"""The clock of a plan that waits for a person: when its time is over, its run ends as expired.

The command that runs the clock is published with the plan and comes back until the time is over; nobody has to ask.
A plan that was approved in time and never begun is the applier's, which finds it stale.
"""

from __future__ import annotations

from typing import Final

from services.differ.approving import expired
from services.differ.context import Context
from shared.clock import from_text, to_text
from shared.errors import TryLater
from shared.events.commands import ExpirePlan, expire_plan_subject
from shared.run.moves import NOTHING, Message, Move, move_run
from shared.run.state import PlanSummary, RunState
from shared.run.states import WAITING_FOR_A_PERSON

LOOK_SECONDS_MAX: Final = 900.0
"""Longest pause between two looks: the longest that a message may be put off. A plan of 24 hours takes 96 of them, of
the 1000 deliveries that one which only waits may have."""


async def on_expire_plan(command: ExpirePlan, context: Context) -> Move | None:
    """End the run if nobody has decided upon that plan in its time; `TryLater` while there is time."""
    now = context.clock.now()
    state = await context.committer.run_state(command.run)
    if not waits_for(state, command.plan_digest):
        return None
    seconds = (from_text(command.expires_at) - now).total_seconds()
    # Equal is not yet over: an approval of that very moment counts.
    if seconds >= 0:
        raise TryLater(
            "APV_WAITING",
            f"run {command.run}: its plan waits for a person until {command.expires_at}",
            retry_after_seconds=min(max(seconds, 0.01), LOOK_SECONDS_MAX),
            run=command.run,
        )
    at = to_text(now)
    return move_run(command.run, lambda now: expired(now, at=at) if waits_for(now, command.plan_digest) else NOTHING)


def waits_for(state: RunState, plan_digest: str) -> bool:
    """Whether the run waits for a person's decision upon this plan."""
    return state.status in WAITING_FOR_A_PERSON and state.plan is not None and state.plan.plan_digest == plan_digest


def expiry_command(run: str, plan: PlanSummary) -> Message:
    """The command that runs the clock, to be published with the plan."""
    return Message(
        subject=expire_plan_subject(run),
        event=ExpirePlan(run=run, plan_digest=plan.plan_digest, expires_at=plan.expires_at),
        message_id=f"{run}.expire",
        about=run,
    )
