"""The seal of a run: its summary once it has ended, and whether the ledger of changes agrees with its counts.

Pure. The run's own final counts stand in the seal; what the ledger shows otherwise is reported beside it, never
corrected in silence.
"""

from __future__ import annotations

from shared.audit.figures import (
    ALWAYS_IN_LEDGER,
    PERHAPS_IN_LEDGER,
    LedgerCounts,
    approvers_of,
    final_counts,
    phase_seconds,
)
from shared.events.facts import FAULTS_MAX, RecordMismatch, RunSealed
from shared.run.state import RunState


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


def mismatch(state: RunState, ledger: LedgerCounts) -> RecordMismatch | None:
    """Where the run's final counts and the ledger differ; None when they agree."""
    counts = final_counts(state)
    faults: list[str] = []
    for name in ALWAYS_IN_LEDGER:
        told, found = getattr(counts, name), ledger.by_result.get(name, 0)
        if told != found:
            faults.append(f"{name}: the run says {told}, the ledger shows {found}")
    for name in PERHAPS_IN_LEDGER:
        told, found = getattr(counts, name), ledger.by_result.get(name, 0)
        if found > told:
            faults.append(f"{name}: the run says {told}, the ledger shows {found}")
    if counts.unknown != ledger.intended_only:
        faults.append(f"unknown: the run says {counts.unknown}, the ledger shows {ledger.intended_only}")
    if not faults:
        return None
    return RecordMismatch(run=state.run, faults=tuple(faults[:FAULTS_MAX]), faults_total=len(faults))
