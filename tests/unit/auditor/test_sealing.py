"""The seal of a run, and the comparison of its counts with the ledger."""

from __future__ import annotations

import pytest

from services.auditor.sealing import mismatch, seal
from shared.audit.figures import LedgerCounts, counts_so_far, final_counts, phase_seconds
from shared.run.counts import NineCounts
from shared.run.state import PhaseTime, PlanSummary, RunState
from shared.run.states import RunStatus

NO_LEDGER = LedgerCounts({}, 0, {})
PLAN = PlanSummary(
    plan_digest="sha256:p", content_digest="sha256:c", verdict_digest="sha256:v", verdict_level="PASS", changes=4,
    changes_by_class={"create": 3, "update": 1}, approvals_needed=1, created_at="2026-11-22T08:00:00.000Z",
    expires_at="2026-11-23T08:00:00.000Z",
)  # fmt: skip


def state(
    status: RunStatus,
    *,
    plan: PlanSummary | None = PLAN,
    counts: NineCounts | None = None,
    history: tuple[PhaseTime, ...] = (),
) -> RunState:
    return RunState(
        run="r1", connector="staff", connector_version="1", release_digest="sha256:r", mode="apply", requester="otto",
        status=status, changed_at="2026-11-22T08:00:09.000Z", work=(), partitions=1, target="hst", plan=plan,
        counts=counts, history=history,
    )  # fmt: skip


def test_a_run_that_has_not_ended_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="applying and has not ended"):
        seal(state(RunStatus.APPLYING), NO_LEDGER, first_entry=0, last_entry=1)


def test_a_run_without_a_plan_is_sealed_with_nine_zeros() -> None:
    sealed = seal(state(RunStatus.FAILED, plan=None), NO_LEDGER, first_entry=3, last_entry=9)
    assert sealed.counts == NineCounts(planned=0)
    assert (sealed.plan_digest, sealed.first_entry, sealed.last_entry) == (None, 3, 9)


def test_a_plan_that_was_never_taken_up_is_counted_as_not_attempted() -> None:
    assert final_counts(state(RunStatus.REJECTED)) == NineCounts(planned=4, not_attempted=4)


def test_the_final_counts_of_the_run_are_the_seal() -> None:
    counts = NineCounts(planned=4, applied=3, failed=1)
    ledger = LedgerCounts({"applied": 3, "failed": 1}, 0, {"APL_CONFLICT": 1})
    ended = state(RunStatus.PARTIAL, counts=counts)
    sealed = seal(ended, ledger, first_entry=0, last_entry=1)
    assert sealed.counts == counts
    assert sealed.counts_by_code == {"APL_CONFLICT": 1}
    assert mismatch(ended, ledger) is None


@pytest.mark.parametrize(
    ("ledger", "fault"),
    [
        (LedgerCounts({"applied": 2, "failed": 1}, 0, {}), "applied: the run says 3, the ledger shows 2"),
        (LedgerCounts({"applied": 4, "failed": 1}, 0, {}), "applied: the run says 3, the ledger shows 4"),
        (LedgerCounts({"applied": 3, "failed": 1}, 1, {}), "unknown: the run says 0, the ledger shows 1"),
        (LedgerCounts({"applied": 3, "failed": 1, "deferred": 1}, 0, {}), "deferred: the run says 0"),
    ],
)
def test_a_ledger_that_shows_something_else_is_a_mismatch(ledger: LedgerCounts, fault: str) -> None:
    found = mismatch(state(RunStatus.PARTIAL, counts=NineCounts(planned=4, applied=3, failed=1)), ledger)
    assert found is not None
    assert found.faults[0].startswith(fault)
    assert found.faults_total == len(found.faults) == 1


def test_outcomes_written_for_a_run_that_says_it_applied_nothing_are_a_mismatch() -> None:
    found = mismatch(state(RunStatus.REJECTED), LedgerCounts({"applied": 1}, 0, {}))
    assert found is not None


def test_while_applying_the_counts_come_from_the_ledger_and_add_up() -> None:
    counts = counts_so_far(10, LedgerCounts({"applied": 4, "failed": 1}, 2, {}))
    assert counts == NineCounts(planned=10, applied=4, failed=1, unknown=2, not_attempted=3)


def test_more_outcomes_than_planned_changes_still_add_up() -> None:
    assert counts_so_far(1, LedgerCounts({"applied": 3}, 0, {})).planned == 3


def test_seconds_of_a_state_entered_twice_are_added_up() -> None:
    moments = (
        (RunStatus.APPLYING, "2026-11-22T08:00:00.000Z"),
        (RunStatus.PAUSED, "2026-11-22T08:00:01.500Z"),
        (RunStatus.APPLYING, "2026-11-22T08:01:00.000Z"),
        (RunStatus.PARTIAL, "2026-11-22T08:01:02.000Z"),
    )
    history = tuple(PhaseTime(status=status, at=at) for status, at in moments)
    assert phase_seconds(state(RunStatus.PARTIAL, history=history)) == {"applying": 3.5, "paused": 58.5}
