"""What a run's document and the ledger say of it in figures: the nine counts, who approved, seconds of each phase.

Pure. The run's own final counts stand where it has ended; while it applies, they follow from the ledger of changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from shared.clock import from_text
from shared.run.counts import NineCounts
from shared.run.state import RunState

ALWAYS_IN_LEDGER = ("applied", "noop_already", "stale_skipped", "failed")
"""Outcomes that only an applier at work can reach; each leaves one record in the ledger."""
PERHAPS_IN_LEDGER = ("dependency_skipped", "deferred", "quarantined", "not_attempted")
"""Outcomes that a change may also have without ever being taken up."""


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """What the ledger shows of one run."""

    by_result: Mapping[str, int]
    intended_only: int
    """Changes with an intent and no outcome."""
    by_code: Mapping[str, int]


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
    concluded = {name: ledger.by_result.get(name, 0) for name in (*ALWAYS_IN_LEDGER, *PERHAPS_IN_LEDGER)}
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
