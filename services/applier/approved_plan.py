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
from services.applier.ending import SERVICE
from services.applier.examination import (
    StoredBytes,
    examine_approvals,
    examine_pages,
    examine_plan,
    examine_subset,
    genuine_pages,
)
from services.applier.outcomes import Known, read_known
from shared.bus.reading import last, read_all
from shared.errors import AetherError, StopRun
from shared.events.documents import FailureNote
from shared.events.envelope import decode
from shared.plan.change import Change
from shared.plan.document import Excluded, Plan, PlanHeader, header_subject, pages_filter
from shared.run.alarms import alarm_message
from shared.run.moves import Decision, Move
from shared.run.retries import is_tried_again
from shared.run.state import RunState
from shared.run.states import RunStatus


@dataclass(frozen=True)
class Work:
    """What one run is to do of a plan."""

    plan: Plan
    planned: Sequence[Change]
    """What the run's counts are about."""
    to_carry_out: Sequence[Change]
    """The same without what the plan set aside itself, and what its approvals left out."""
    excluded: Sequence[Excluded]
    """What the plan set aside; none for a retry, which does not speak of them again."""
    deferred: Sequence[str] = ()
    """Ids of what the approvals left out; none for a retry."""

    def header_of(self, run: str) -> PlanHeader:
        """The plan's header as the run at work sees it: its own name, and as many changes as it is to look at.

        What was left out is not among these: a run of few changes must not bear as many moved records as a large one.
        """
        return self.plan.header.model_copy(update={"run": run, "changes": len(self.planned) - len(self.deferred)})


async def examined(state: RunState, context: Context, *, now: datetime) -> tuple[Plan, list[Change]]:
    """The stored plan, found to be the approved one at `now`; `StopRun` with the reason when it is not.

    What was forged beside the plan of a run that has begun is left out, and alarmed: the run must be able to end.
    """
    plan_run, has_begun = state.plan_run, state.status is not RunStatus.APPROVED
    plan, foreign = await _header(state, context, has_begun=has_begun)
    stored = [
        StoredBytes(subject=page.subject, headers=page.headers, data=page.data)
        async for page in read_all(context.js, "PLAN", pages_filter(plan_run))
    ]
    pages = await asyncio.to_thread(genuine_pages, plan, stored) if has_begun else stored
    changes = await asyncio.to_thread(examine_pages, plan, pages)
    foreign += len(stored) - len(pages)
    if foreign:
        await _alarm(state, foreign, context)
    await asyncio.to_thread(examine_plan, plan, changes, state)
    examine_approvals(state, plan, identities=context.identities, now=now)
    await asyncio.to_thread(examine_subset, state, plan, changes)
    return plan, changes


async def _header(state: RunState, context: Context, *, has_begun: bool) -> tuple[Plan, int]:
    """The plan's header and how many others lie beside it; before a run has begun only the newest is looked at."""
    subject, run = header_subject(state.plan_run), state.plan_run
    newest = await last(context.js, "PLAN", subject)
    if newest is None:
        raise StopRun("APL_PLAN_ALTERED", f"run {run}: there is no plan on the bus", run=state.run)
    candidates = [newest]
    if has_begun and state.plan is not None:
        candidates = [one async for one in read_all(context.js, "PLAN", subject)]
    faults: list[str] = []
    for stored in candidates:
        try:
            plan = decode(Plan, data=stored.data, headers=stored.headers, subject=stored.subject)
        except AetherError as error:
            faults.append(error.message)
            continue
        if not has_begun or state.plan is None or plan.plan_digest == state.plan.plan_digest:
            return plan, len(candidates) - 1
        faults.append(f"its digest is {plan.plan_digest}")
    raise StopRun("APL_PLAN_ALTERED", f"run {run}: {faults[-1]}", run=state.run)


async def _alarm(state: RunState, foreign: int, context: Context) -> None:
    text = f"run {state.run}: {foreign} messages that are not the approved plan's lie beside it; they are left out"
    message = alarm_message(
        SERVICE,
        run=state.run,
        reason=FailureNote(code="APL_PLAN_ALTERED", text=text),
        message_id=f"{state.run}.foreign.{foreign}",
    )
    await context.committer.commit(Move(reads=(), decide=lambda _: Decision((message,))))


async def work_of(state: RunState, plan: Plan, changes: Sequence[Change], context: Context) -> Work:
    """What the run is to do; `StopRun` when a retry is about other changes than its document says."""
    if state.retry_of is None:
        left = {*(one.change_id for one in plan.header.excluded), *state.deferred}
        return Work(
            plan=plan,
            planned=changes,
            to_carry_out=[change for change in changes if change.change_id not in left],
            excluded=plan.header.excluded,
            deferred=state.deferred,
        )
    original = await context.committer.run_state(state.retry_of)
    if not original.has_ended or original.plan_run != state.plan_run:
        raise _smuggled(state, f"run {original.run} is {original.status} and has plan {original.plan_run}")
    if state.deferred != original.deferred:
        raise _smuggled(
            state, f"run {original.run} left {len(original.deferred)} changes out, it {len(state.deferred)}"
        )
    tried = await tried_again(original, plan, changes, js=context.js)
    if state.plan is None or state.plan.changes != len(tried):
        raise _smuggled(state, f"{len(tried)} changes of run {original.run} are to be tried again")
    return Work(plan=plan, planned=tried, to_carry_out=tried, excluded=())


async def tried_again(
    original: RunState, plan: Plan, changes: Sequence[Change], *, js: JetStreamContext
) -> list[Change]:
    """Those of the plan's changes that a retry of the ended run tries again."""
    return choose_tried(plan, changes, await read_known(js, original.run), deferred=original.deferred)


def choose_tried(plan: Plan, changes: Sequence[Change], known: Known, *, deferred: Sequence[str] = ()) -> list[Change]:
    """Those that failed by what is known of a run's outcomes; in the plan's order.

    Never what the plan set aside or its approvals left out, whatever the outcomes say.
    """
    aside = {*(one.change_id for one in plan.header.excluded), *deferred}
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
