"""Reads the plan of a run for whoever wants to approve a part of it, and answers what such a part would be.

It decides nothing itself (`shared.plan.subset` does) and shows no value of a record: change ids and numbers only. The
plan is read from its pages and must have the digest that the run's document names, so that what is answered, and what
is signed on the strength of it, is about the plan that was reviewed.
"""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from services.differ.approving import is_of_a_part
from services.differ.context import Context
from services.differ.drafting import stored_plan
from services.differ.pages import read_pages
from shared.errors import NeedsPerson, StopRun
from shared.events.commands import DecideRun
from shared.events.queries import SubsetAnswer, SubsetQuery
from shared.ids import is_run_id
from shared.plan.change import Change, ChangeClass
from shared.plan.document import Plan, digest_of_root, plan_root
from shared.plan.subset import (
    SubsetIndex,
    check_subset,
    closure,
    left_out_root,
    of_other_classes,
    resolved,
    subset_index,
    subset_root,
    too_many,
)
from shared.policy.approval import ALL, DEFERRED_MAX
from shared.run.state import PlanSummary, RunState
from shared.run.states import WAITING_FOR_A_PERSON

CHANGES_MAX: Final = 50_000
"""Changes of a plan that can be approved in part: these are read in seconds, and a person waits for it."""
QUESTION_BYTES_MAX: Final = 262_144
"""Room for every id that one decision may leave out."""


class Subsets:
    """Answers about parts of plans, and keeps the plan that was asked about last while a person chooses."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._digest = ""
        self._index: SubsetIndex | None = None
        self._reading = asyncio.Lock()  # one at a time: two readers of one plan would hold it twice

    async def answer(self, question: SubsetQuery) -> SubsetAnswer:
        """What approving a part of a run's plan would mean; what stands in its way is told in the answer."""
        if not is_run_id(question.run):
            raise NeedsPerson("APV_UNKNOWN_RUN", f"{question.run[:60]!r} is no run id")
        state = await self._context.committer.run_state(question.run)
        digest = None if state.plan is None else state.plan.plan_digest
        try:
            if state.status not in WAITING_FOR_A_PERSON or digest is None:
                _refuse(state, f"it is {state.status}; only a run that is awaiting_approval or held can be decided")
            async with self._reading:
                if self._index is None or self._digest != digest:
                    self._index, self._digest = await read_subset_index(state, self._context), digest
                index = self._index
            found = await asyncio.to_thread(answer_of, question, state, index)
        except NeedsPerson as error:
            return SubsetAnswer(run=question.run, plan_digest=digest, problem=error.message)
        return found.model_copy(update={"plan_digest": digest})


async def index_for(command: DecideRun, context: Context) -> SubsetIndex | None:
    """What a decision on a part is checked against; None where nothing but the decision itself is needed."""
    if command.signed.approval.subset == ALL and not command.deferred:
        return None
    state = await context.committer.run_state(command.signed.approval.run)
    return await read_subset_index(state, context) if is_of_a_part(state, command.signed, command.deferred) else None


async def read_subset_index(state: RunState, context: Context) -> SubsetIndex:
    """The index over the run's plan, read from its pages; `NeedsPerson` when it cannot be chosen from."""
    run, summary = state.run, state.plan
    if summary is None:
        raise NeedsPerson("APV_WRONG_STATE", f"run {run} has no plan", run=run)
    if summary.changes > CHANGES_MAX:
        raise NeedsPerson(
            "APV_MALFORMED",
            f"run {run}: its plan has {summary.changes:,} changes, a part can be approved of {CHANGES_MAX:,} at most; "
            "approve the whole, reject it, or narrow the connector",
            run=run,
        )
    plan = await stored_plan(run, context)
    if plan is None:
        raise NeedsPerson("APV_WRONG_STATE", f"run {run}: its plan is not kept any more; run again", run=run)
    pages = await read_pages(context.js, [page for page in plan.pages if page.changes], run=run)
    changes = [change for page in pages for change in page.changes]
    return await asyncio.to_thread(_index_of, plan, changes, summary)


def _index_of(plan: Plan, changes: list[Change], summary: PlanSummary) -> SubsetIndex:
    index = subset_index(plan.header, changes)
    found = digest_of_root(plan_root(plan.header, list(index.leaves.values())))
    if found != summary.plan_digest:
        raise StopRun(
            "APL_PLAN_ALTERED",
            f"run {index.run}: the stored plan has digest {found}, its document names {summary.plan_digest}",
            run=index.run,
        )
    return index


def answer_of(question: SubsetQuery, state: RunState, index: SubsetIndex) -> SubsetAnswer:
    """The answer, with everything that has to go along; `NeedsPerson` when such a part cannot be approved."""
    given = set(state.deferred) if question.is_as_before else set(resolved(question.left_out, index))
    if question.is_as_before and (question.left_out or question.only_classes):
        _refuse(state, "the same part as before leaves out what it left out, and nothing else can be named")
    if question.is_as_before and not state.approvals:
        _refuse(state, "nobody has approved the plan yet, so there is no part as before")
    if question.only_classes:
        unknown = sorted({*question.only_classes} - {one.value for one in ChangeClass})
        if unknown:
            known = ", ".join(one.value for one in ChangeClass)
            _refuse(state, f"there is no class of change {unknown[0][:40]!r}; there are: {known}")
        given |= set(of_other_classes(question.only_classes, index))
    found = closure(given, index)
    if len(found.left_out) > DEFERRED_MAX:
        _refuse(state, too_many(len(found.left_out)))
    root = subset_root(found.left_out, index)
    check_subset(root, found.left_out, index, signed_left_out=left_out_root(found.left_out))
    standing = next((one.approval for one in state.approvals), None)
    if standing is not None and standing.subset != root:
        part = f"all but {len(state.deferred)} changes" if standing.subset != ALL else "the whole plan"
        _refuse(state, f"{standing.approver} approved {part}; approve the same (--as-before), or reject the plan")
    return SubsetAnswer(
        run=state.run,
        subset_root=root,
        approved=len(index.leaves) - len(found.left_out),
        left_out=found.left_out,
        because=dict(found.added),
    )


def _refuse(state: RunState, what: str) -> NoReturn:
    raise NeedsPerson("APV_MALFORMED", f"run {state.run}: {what}", run=state.run)
