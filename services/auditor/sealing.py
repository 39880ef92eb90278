"""The seal of a run: its summary once it has ended, and whether the ledger of changes agrees with its counts.

Pure. The run's own final counts stand in the seal; what the ledger shows otherwise is reported beside it, never
corrected in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from shared.clock import from_text
from shared.events.facts import FAULTS_MAX, RecordMismatch, RunSealed
from shared.run.counts import NineCounts
from shared.run.state import RunState

_ALWAYS_IN_LEDGER = ("applied", "noop_already", "stale_skipped", "failed")
"""Outcomes that only an applier at work can reach; each leaves one record in the ledger."""
_PERHAPS_IN_LEDGER = ("dependency_skipped", "deferred", "quarantined", "not_attempted")
"""Outcomes that a change may also have without ever being taken up."""


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """What the ledger shows of one run."""

    by_result: Mapping[str, int]
    intended_only: int
    """Changes with an intent and no outcome."""
    by_code: Mapping[str, int]


def seal(state: RunState, ledger: LedgerCounts, *, first_entry: int, last_entry: int) -> RunSealed:
    """The summary of a run that has ended; `ValueError` while it has not."""
    if not state.has_ended:
        raise ValueError(f"run {state.run} is {state.status} and has not ended; only an ended run is sealed")
    return RunSealed(
        run=state.run,
        connector=state.connector,
        connector_version=state.connector_version,
        mode=state.mode,
        status=state.status.value,
        plan_digest=state.plan.plan_digest if state.plan is not None else None,
        verdict_digest=state.plan.verdict_digest if state.plan is not None else None,
        approvers=approvers_of(state),
        counts=final_counts(state),
        counts_by_class=dict(state.plan.changes_by_class) if state.plan is not None else {},
        counts_by_code=dict(sorted(ledger.by_code.items())),
        phases=phase_seconds(state),
        first_entry=first_entry,
        last_entry=last_entry,
    )


def approvers_of(state: RunState) -> tuple[str, ...]:
    """Who approved the run's plan, in the order of their approvals."""
    return tuple(one.approval.approver for one in state.approvals if one.approval.decision == "approve")


def final_counts(state: RunState) -> NineCounts:
    """The counts of a run that has ended: its own, or every planned change as not attempted when it counted none."""
    if state.counts is not None:
        return state.counts
    planned = state.plan.changes if state.plan is not None else 0
    return NineCounts(planned=planned, not_attempted=planned)


def counts_so_far(planned: int, ledger: LedgerCounts) -> NineCounts:
    """The counts of a run that is applying: concluded as the ledger shows, intended only as unknown, the rest open."""
    concluded = {name: ledger.by_result.get(name, 0) for name in (*_ALWAYS_IN_LEDGER, *_PERHAPS_IN_LEDGER)}
    taken_up = sum(concluded.values()) + ledger.intended_only
    planned = max(planned, taken_up)
    concluded["not_attempted"] += planned - taken_up
    return NineCounts(planned=planned, unknown=ledger.intended_only, **concluded)


def phase_seconds(state: RunState) -> dict[str, float]:
    """Seconds spent in each state, those of a state that was entered twice added up; the last state has none."""
    spent: dict[str, float] = {}
    for phase, following in pairwise(state.history):
        seconds = (from_text(following.at) - from_text(phase.at)).total_seconds()
        spent[phase.status.value] = round(spent.get(phase.status.value, 0.0) + max(seconds, 0.0), 3)
    return spent


def mismatch(state: RunState, ledger: LedgerCounts) -> RecordMismatch | None:
    """Where the run's final counts and the ledger differ; None when they agree."""
    counts = final_counts(state)
    faults: list[str] = []
    for name in _ALWAYS_IN_LEDGER:
        told, found = getattr(counts, name), ledger.by_result.get(name, 0)
        if told != found:
            faults.append(f"{name}: the run says {told}, the ledger shows {found}")
    for name in _PERHAPS_IN_LEDGER:
        told, found = getattr(counts, name), ledger.by_result.get(name, 0)
        if found > told:
            faults.append(f"{name}: the run says {told}, the ledger shows {found}")
    if counts.unknown != ledger.intended_only:
        faults.append(f"unknown: the run says {counts.unknown}, the ledger shows {ledger.intended_only}")
    if not faults:
        return None
    return RecordMismatch(run=state.run, faults=tuple(faults[:FAULTS_MAX]), faults_total=len(faults))
