"""The plan of a run as it lies on the bus, examined; and which of its changes this run is to carry out.

For a retry these are the changes of the approved plan that failed in the run it retries, as that run's ledger says.
Nobody names them: neither the person who asks nor the run's document can add one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nats.js import JetStreamContext

from services.applier.context import Context
from services.applier.examination import StoredBytes, examine_approvals, examine_pages, examine_plan
from services.applier.outcomes import Known, read_known
from shared.bus.reading import last, read_all
from shared.errors import AetherError, StopRun
from shared.events.envelope import decode
from shared.plan.change import Change
from shared.plan.document import Excluded, Plan, PlanHeader, header_subject, pages_filter
from shared.run.retries import is_tried_again
from shared.run.state import RunState


@dataclass(frozen=True)
class Work:
    """What one run is to do of a plan."""

    plan: Plan
    planned: Sequence[Change]
    """What the run's counts are about."""
    to_carry_out: Sequence[Change]
    """The same without what the plan set aside itself."""
    excluded: Sequence[Excluded]
    """What the plan set aside; none for a retry, which does not speak of them again."""

    def header_of(self, run: str) -> PlanHeader:
        """The plan's header as the run at work sees it: its own name, and as many changes as it is about."""
        return self.plan.header.model_copy(update={"run": run, "changes": len(self.planned)})


async def examined(state: RunState, context: Context, *, now: datetime) -> tuple[Plan, list[Change]]:
    """The stored plan, found to be the approved one at `now`; `StopRun` with the reason when it is not."""
    plan_run = state.plan_run
    stored = await last(context.js, "PLAN", header_subject(plan_run))
    if stored is None:
        raise StopRun("APL_PLAN_ALTERED", f"run {plan_run}: there is no plan on the bus", run=state.run)
    try:
        plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
    except AetherError as error:
        raise StopRun("APL_PLAN_ALTERED", f"run {plan_run}: {error.message}", run=state.run) from error
    pages = [
        StoredBytes(subject=page.subject, headers=page.headers, data=page.data)
        async for page in read_all(context.js, "PLAN", pages_filter(plan_run))
    ]
    changes = await asyncio.to_thread(examine_pages, plan, pages)
    await asyncio.to_thread(examine_plan, plan, changes, state)
    examine_approvals(state, plan, identities=context.identities, now=now)
    return plan, changes


async def work_of(state: RunState, plan: Plan, changes: Sequence[Change], context: Context) -> Work:
    """What the run is to do; `StopRun` when a retry is about other changes than its document says."""
    if state.retry_of is None:
        aside = {one.change_id for one in plan.header.excluded}
        return Work(
            plan=plan,
            planned=changes,
            to_carry_out=[change for change in changes if change.change_id not in aside],
            excluded=plan.header.excluded,
        )
    original = await context.committer.run_state(state.retry_of)
    if not original.has_ended or original.plan_run != state.plan_run:
        raise _smuggled(state, f"run {original.run} is {original.status} and has plan {original.plan_run}")
    tried = await tried_again(original, plan, changes, js=context.js)
    if state.plan is None or state.plan.changes != len(tried):
        raise _smuggled(state, f"{len(tried)} changes of run {original.run} are to be tried again")
    return Work(plan=plan, planned=tried, to_carry_out=tried, excluded=())


async def tried_again(
    original: RunState, plan: Plan, changes: Sequence[Change], *, js: JetStreamContext
) -> list[Change]:
    """Those of the plan's changes that a retry of the ended run tries again."""
    return choose_tried(plan, changes, await read_known(js, original.run))


def choose_tried(plan: Plan, changes: Sequence[Change], known: Known) -> list[Change]:
    """Those that failed by what is known of a run's outcomes, never what the plan set aside; in the plan's order."""
    aside = {one.change_id for one in plan.header.excluded}
    return [
        change
        for change in changes
        if change.change_id not in aside
        and (outcome := known.outcomes.get(change.change_id)) is not None
        and is_tried_again(outcome.result, outcome.code)
    ]


def _smuggled(state: RunState, what: str) -> StopRun:
    told = state.plan.changes if state.plan is not None else 0
    return StopRun(
        "APL_PLAN_ALTERED",
        f"run {state.run}: the document of the retry names {told} changes, but {what}; nothing is written",
        run=state.run,
    )
