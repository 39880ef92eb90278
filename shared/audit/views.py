"""Runs and plans as people see them: the answers that the command line and the console both show.

It reads the auditor's database and nothing else, and changes nothing. Whoever sends an answer over the bus cuts it to
what fits in a message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import orjson

from shared.audit.figures import approvers_of, counts_so_far
from shared.audit.lookups import Lookups
from shared.audit.plan_lookups import PlanFilter, PlanLookups
from shared.audit.run_events import decisions_in, refusals_in, snapshots_in
from shared.audit.stored import StoredEvent, StoredRun
from shared.events import facts, queries
from shared.run.state import RunState
from shared.run.states import RunStatus

RUN_EVENTS_MAX: Final = 500
DEAD_LETTERS_MAX: Final = 20
_FROM_THE_LEDGER = frozenset({RunStatus.APPLYING, RunStatus.PAUSED, RunStatus.THROTTLED, RunStatus.VERIFYING})


async def runs_answer(lookups: Lookups, question: queries.RunsQuery) -> queries.RunsAnswer:
    """The newest runs of the kind asked for."""
    stored = await lookups.runs(
        connector=question.connector,
        status=question.status,
        mode=question.mode,
        text=question.text,
        before=place_of(question.before),
        limit=question.limit + 1,
    )
    signed_size = await lookups.signed_size()
    views = [await run_view(one, lookups, signed_size) for one in stored[: question.limit]]
    return queries.RunsAnswer(
        runs=tuple(views), goes_on=place_text(views[-1]) if len(stored) > question.limit and views else None
    )


def place_text(view: queries.RunView) -> str:
    """The place of a run among all, to ask for those that follow."""
    return f"{view.requested_at}|{view.run}"


def place_of(text: str | None) -> tuple[str, str] | None:
    """What `place_text` wrote; any other text names a place as well, though perhaps an empty one."""
    if text is None:
        return None
    at, _, run = text.partition("|")
    return at, run


async def run_view(stored: StoredRun, lookups: Lookups, signed_size: int) -> queries.RunView:
    """One run; `signed_size` is how many entries the last checkpoint covers."""
    state = RunState.model_validate_json(stored.state)
    counts = state.counts
    if state.status in _FROM_THE_LEDGER and state.plan is not None:
        counts = counts_so_far(state.plan.changes, await lookups.ledger_counts(stored.run))
    return queries.RunView(
        run=state.run,
        connector=state.connector,
        connector_version=state.connector_version,
        mode=state.mode,
        status=state.status.value,
        requester=state.requester,
        requested_at=stored.requested_at,
        changed_at=state.changed_at,
        plan=state.plan,
        approvers=approvers_of(state),
        counts=counts,
        failure=state.failure,
        replay_of=state.replay_of,
        retry_of=state.retry_of,
        asked_to_end_by=None if state.has_ended else state.cancel_requested_by,
        asked_to_pause_by=state.pause_requested_by,
        is_sealed=stored.sealed_entry is not None and stored.sealed_entry < signed_size,
        trace=state.trace,
    )


async def run_answer(lookups: Lookups, run: str) -> queries.RunAnswer:
    """All that is known of one run; verdict and what was left out once its plan is in the database."""
    stored = await lookups.run(run)
    if stored is None:
        return queries.RunAnswer(run=None)
    state = RunState.model_validate_json(stored.state)
    review = await lookups.review(run) if state.plan is not None else None
    events = await lookups.run_events(run, limit=RUN_EVENTS_MAX, without=(facts.ChangeRevealed.event_type,))
    return queries.RunAnswer(
        run=await run_view(stored, lookups, await lookups.signed_size()),
        phases=state.history,
        snapshots=snapshots_in(events),
        verdict=review.verdict if review is not None else (),
        left_out=review.left_out if review is not None else {},
        counts_by_code=await _counts_by_code(run, events, lookups),
        decisions=decisions_in(events),
        refusals=refusals_in(events),
        dead_letters=tuple(await lookups.dead_letters(run=run, limit=DEAD_LETTERS_MAX)),
        summary=orjson.loads(stored.sealed) if stored.sealed is not None else None,
    )


async def plan_answer(lookups: Lookups, plans: PlanLookups, question: queries.PlanQuery) -> queries.PlanAnswer | None:
    """A part of a run's plan; None when the run has a plan whose changes are not in the database."""
    stored = await lookups.run(question.run)
    state = RunState.model_validate_json(stored.state) if stored is not None else None
    # The run's own document decides whether there is a plan: a page without it is a draft nobody may act on.
    if state is None or state.plan is None:
        return queries.PlanAnswer(run=question.run, plan=None)
    review = await lookups.review(question.run)
    if review is None or not review.is_listed:
        return None
    changes, total = await plans.changes(
        question.run, filter_of(question), offset=question.offset, limit=question.limit
    )
    return queries.PlanAnswer(
        run=question.run,
        plan=state.plan,
        verdict=review.verdict,
        left_out=review.left_out,
        excluded=review.excluded,
        total=total,
        changes=changes,
    )


def filter_of(question: queries.PlanQuery) -> PlanFilter:
    """Which changes a question asks for."""
    return PlanFilter(
        entity=question.entity,
        change_class=question.change_class,
        cohort=question.cohort,
        alike=question.alike,
        result=question.result,
        text=question.text or None,
    )


async def _counts_by_code(run: str, events: Iterable[StoredEvent], lookups: Lookups) -> dict[str, int]:
    """As the applier finished with; before that as the ledger shows."""
    for stored in events:
        if stored.type == facts.ApplyFinished.event_type:
            return facts.ApplyFinished.model_validate_json(stored.body).counts_by_code
    return dict((await lookups.ledger_counts(run)).by_code)
