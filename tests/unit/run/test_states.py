"""A run makes the moves of the table and no others, and its nine counts always add up."""

from __future__ import annotations

from itertools import pairwise

import pytest
from pydantic import ValidationError

from shared.errors import StopRun
from shared.run.counts import NineCounts
from shared.run.states import EXIT_CODES, MOVES, TERMINAL, WAITING_FOR_A_PERSON, RunStatus, check_move, is_terminal
from tests.unit.plan.plan_builder import RUN, run_state

S = RunStatus
BEFORE_THE_PLAN = (S.QUEUED, S.EXTRACTING, S.NORMALISING, S.DIFFING, S.GUARDING)
WAITING = (S.HELD, S.AWAITING_APPROVAL)
ENDS = {
    S.NO_CHANGES, S.BLOCKED, S.PLANNED, S.SUCCEEDED, S.PARTIAL, S.FAILED, S.REJECTED, S.EXPIRED, S.STALE,
    S.SUPERSEDED, S.CANCELLED,
}  # fmt: skip
# Written out here a second time, from the promise and not from the code: a move added by mistake must fail.
LEGAL = (
    set(pairwise(BEFORE_THE_PLAN))
    | {(S.QUEUED, S.APPROVED)}  # a retry
    | {(before, end) for before in BEFORE_THE_PLAN for end in (S.FAILED, S.CANCELLED)}
    | {(before, S.BLOCKED) for before in BEFORE_THE_PLAN[1:]}
    | {(S.GUARDING, after) for after in (S.NO_CHANGES, S.HELD, S.AWAITING_APPROVAL, S.PLANNED)}
    | {(w, after) for w in WAITING for after in (S.APPROVED, S.REJECTED, S.EXPIRED, S.STALE, S.SUPERSEDED, S.CANCELLED)}
    | {(S.APPROVED, after) for after in (S.APPLYING, S.EXPIRED, S.STALE, S.SUPERSEDED, S.CANCELLED, S.FAILED)}
    | {(S.APPLYING, after) for after in (S.PAUSED, S.THROTTLED, S.VERIFYING, S.CANCELLED, S.PARTIAL, S.FAILED)}
    | {(S.PAUSED, after) for after in (S.APPLYING, S.CANCELLED, S.PARTIAL, S.FAILED)}
    | {(S.THROTTLED, after) for after in (S.APPLYING, S.PAUSED, S.VERIFYING, S.CANCELLED, S.PARTIAL, S.FAILED)}
    | {(S.VERIFYING, after) for after in (S.SUCCEEDED, S.PARTIAL, S.FAILED, S.PAUSED, S.CANCELLED)}
)


@pytest.mark.parametrize(("before", "after"), [(before, after) for before in S for after in S])
def test_move_is_made_exactly_when_the_table_holds_it(before: RunStatus, after: RunStatus) -> None:
    state = run_state(before)
    if (before, after) in LEGAL:
        check_move(RUN, before, after)
        moved = state.moved(after, at="2026-11-22T09:00:00.000Z")
        assert moved.status is after
        assert [phase.status for phase in moved.history] == [*(phase.status for phase in state.history), after]
        assert moved.changed_at == moved.history[-1].at == "2026-11-22T09:00:00.000Z"
    else:
        with pytest.raises(StopRun, match=f"{before} cannot become {after}") as refused:
            state.moved(after, at="2026-11-22T09:00:00.000Z")
        assert refused.value.code == "SYS_ILLEGAL_TRANSITION"
        assert (refused.value.facts["before"], refused.value.facts["after"]) == (before, after)


def test_terminal_states_are_those_of_the_promise_and_have_no_way_out() -> None:
    assert TERMINAL == ENDS
    assert all(not MOVES[status] for status in ENDS)
    assert [status for status in S if is_terminal(status)] == [status for status in S if run_state(status).has_ended]


def test_every_state_but_the_first_can_be_reached() -> None:
    reached = {S.QUEUED}
    while new := {after for before in reached for after in MOVES[before]} - reached:
        reached |= new
    assert reached == set(S)


def test_every_state_that_a_command_can_leave_a_run_in_has_an_exit_code() -> None:
    assert set(EXIT_CODES) >= TERMINAL | WAITING_FOR_A_PERSON | {S.PAUSED}
    assert {status for status, code in EXIT_CODES.items() if code == 0} == {S.SUCCEEDED, S.NO_CHANGES}
    assert EXIT_CODES[S.PARTIAL] == 3
    assert EXIT_CODES[S.HELD] == EXIT_CODES[S.BLOCKED] == 4


def test_move_forgets_the_failure_of_the_state_it_leaves() -> None:
    paused = run_state(S.PAUSED).model_copy(update={"failure": None})
    assert paused.moved(S.APPLYING, at="x").failure is None


PARTS = [name for name in NineCounts.model_fields if name != "planned"]


def test_there_are_nine_parts() -> None:
    assert len(PARTS) == 9


@pytest.mark.parametrize("part", PARTS)
def test_counts_that_do_not_add_up_cannot_be_built(part: str) -> None:
    assert NineCounts(planned=2, **{part: 2}).model_dump()[part] == 2
    for wrong in (1, 3):
        with pytest.raises(ValidationError, match="counts do not add up"):
            NineCounts(planned=2, **{part: wrong})
    with pytest.raises(ValidationError):
        NineCounts(planned=0, **{part: -1})


def test_counts_are_clean_only_when_all_was_applied_or_not_needed() -> None:
    assert NineCounts(planned=5, applied=3, noop_already=2).is_clean
    assert NineCounts(planned=0).is_clean
    for part in PARTS:
        if part not in ("applied", "noop_already"):
            assert not NineCounts(planned=5, applied=4, **{part: 1}).is_clean


def test_reading_a_side_the_run_does_not_have_is_an_error() -> None:
    with pytest.raises(StopRun, match="no source of 'members'"):
        run_state().item("source", "members")
