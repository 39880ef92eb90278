"""What an apply left behind, taken into the ledger: what was written to whom, what was put off, and how many.

Reads the outcomes from the LEDGER stream and the changes from the plan's pages, a page at a time. It decides nothing
about the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from nats.js import JetStreamContext

from services.differ.context import Context
from services.differ.memory import Applied, Deferral, Written
from services.differ.pages import read_pages
from shared.bus.reading import read_all
from shared.clock import from_text
from shared.contract.ordering import clause_digests
from shared.errors import AetherError, StopRun
from shared.events.envelope import decode
from shared.events.facts import ApplyFinished, OutcomeRecorded, outcomes_filter
from shared.hashing.commitment import committer
from shared.plan.change import Change, ChangeClass
from shared.plan.document import Plan
from shared.run.retries import RETRIES_MAX
from shared.run.state import RunState

Clauses = Mapping[str, Mapping[str, str]]
"""Digest of the contract clause by entity and field."""
_HOLDS = frozenset({"applied", "noop_already"})
"""Outcomes after which the record is as the change wanted it."""
_GONE = frozenset({ChangeClass.DELETE, ChangeClass.MEMBER_REMOVE})


async def remember_apply(fact: ApplyFinished, state: RunState, plan: Plan, context: Context) -> None:
    """Keep what the run wrote, as commitments; told again it changes nothing."""
    results = await _results(context.js, fact.run)
    applied_before = await _applied_before(state, context)
    clauses = _clauses_of(plan, context)
    written: list[Written] = []
    deferred: list[Deferral] = []
    counts: dict[str, Counter[str]] = {entity.entity: Counter() for entity in plan.header.entities}
    for reference in plan.pages:
        if reference.changes == 0:
            continue
        for page in await read_pages(context.js, [reference], run=plan.header.run):
            written += written_of(page.changes, results, clauses)
            deferred += deferred_of(page.changes, results)
            for change in page.changes:
                outcome = results.get(change.change_id)
                is_applied = outcome is not None and outcome.result == "applied"
                if is_applied or change.change_id in applied_before:
                    counts[change.entity][change.change_class.value] += 1
    await context.ledger.remember_applied(
        Applied(
            run=fact.run,
            connector=state.connector,
            target=fact.target,
            release=plan.header.release_digest,
            status=fact.status,
            at=from_text(state.changed_at),
            written=written,
            deferred=deferred,
            by_class=counts,
            plan_run=state.plan_run,
        )
    )


def written_of(changes: Iterable[Change], results: Mapping[str, OutcomeRecorded], clauses: Clauses) -> list[Written]:
    """What is known of the records whose changes hold."""
    found = []
    for change in changes:
        outcome = results.get(change.change_id)
        if outcome is None or outcome.result not in _HOLDS:
            continue
        commit_to = committer(bytes.fromhex(change.commitment_key))
        digests = clauses.get(change.entity, {})
        found.append(
            Written(
                entity=change.entity,
                key=change.key,
                target_id=outcome.target_id or change.target_id,
                commitments={one.name: commit_to(one.after) for one in change.fields},
                clauses={one.name: digests[one.name] for one in change.fields if one.name in digests},
                is_suspended=change.change_class is ChangeClass.SUSPEND,
                is_gone=change.change_class in _GONE,
            )
        )
    return found


def deferred_of(changes: Iterable[Change], results: Mapping[str, OutcomeRecorded]) -> list[Deferral]:
    """The changes that an approval left out."""
    return [
        Deferral(entity=change.entity, key=change.key, change_id=change.change_id)
        for change in changes
        if change.change_id in results and results[change.change_id].result == "deferred"
    ]


def _clauses_of(plan: Plan, context: Context) -> Clauses:
    """The clauses of the release that was applied; none when the folder holds another by now."""
    header = plan.header
    try:
        connector = context.connectors.release(header.connector, header.release_digest)
    except AetherError:
        return {}
    return {entity: clause_digests(connector, entity) for entity in connector.definition.entities}


async def _applied_before(state: RunState, context: Context) -> set[str]:
    """What took effect of the plan in the runs that this one is a retry of; nothing for a run of its own plan."""
    found: set[str] = set()
    for _ in range(RETRIES_MAX):
        if state.retry_of is None:
            return found
        state = await context.committer.run_state(state.retry_of)
        results = await _results(context.js, state.run)
        found |= {change_id for change_id, outcome in results.items() if outcome.result == "applied"}
    raise StopRun(
        "SYS_HANDLER_FAILED",
        f"run {state.run} stands behind more than {RETRIES_MAX} retries of one plan; run the connector anew",
        run=state.run,
    )


async def _results(js: JetStreamContext, run: str) -> Mapping[str, OutcomeRecorded]:
    results: dict[str, OutcomeRecorded] = {}
    async for stored in read_all(js, "LEDGER", outcomes_filter(run)):
        if stored.headers.get("ce-type") == OutcomeRecorded.event_type:
            outcome = decode(OutcomeRecorded, data=stored.data, headers=stored.headers, subject=stored.subject)
            results[outcome.change_id] = outcome
    return results
