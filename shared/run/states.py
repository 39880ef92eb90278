"""The states of a run and the moves between them, as data.

Pure. Every program that moves a run asks `check_move` first; a move that the table does not hold is refused and
alarmed. A terminal state never changes.
"""

from __future__ import annotations

from enum import StrEnum

from shared.errors import StopRun


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    EXTRACTING = "extracting"
    NORMALISING = "normalising"
    DIFFING = "diffing"
    GUARDING = "guarding"
    NO_CHANGES = "no_changes"
    BLOCKED = "blocked"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting_approval"
    PLANNED = "planned"
    APPROVED = "approved"
    APPLYING = "applying"
    PAUSED = "paused"
    THROTTLED = "throttled"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    STALE = "stale"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"


_S = RunStatus

MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    # A retry begins with the plan and the approvals of another run.
    _S.QUEUED: frozenset({_S.EXTRACTING, _S.APPROVED, _S.FAILED, _S.CANCELLED}),
    _S.EXTRACTING: frozenset({_S.NORMALISING, _S.BLOCKED, _S.FAILED, _S.CANCELLED}),
    _S.NORMALISING: frozenset({_S.DIFFING, _S.BLOCKED, _S.FAILED, _S.CANCELLED}),
    _S.DIFFING: frozenset({_S.GUARDING, _S.BLOCKED, _S.FAILED, _S.CANCELLED}),
    _S.GUARDING: frozenset(
        {_S.NO_CHANGES, _S.BLOCKED, _S.HELD, _S.AWAITING_APPROVAL, _S.PLANNED, _S.FAILED, _S.CANCELLED}
    ),
    _S.HELD: frozenset({_S.APPROVED, _S.REJECTED, _S.EXPIRED, _S.STALE, _S.SUPERSEDED, _S.CANCELLED}),
    _S.AWAITING_APPROVAL: frozenset({_S.APPROVED, _S.REJECTED, _S.EXPIRED, _S.STALE, _S.SUPERSEDED, _S.CANCELLED}),
    _S.APPROVED: frozenset({_S.APPLYING, _S.EXPIRED, _S.STALE, _S.SUPERSEDED, _S.CANCELLED, _S.FAILED}),
    _S.APPLYING: frozenset({_S.PAUSED, _S.THROTTLED, _S.VERIFYING, _S.CANCELLED, _S.PARTIAL, _S.FAILED}),
    _S.PAUSED: frozenset({_S.APPLYING, _S.CANCELLED, _S.PARTIAL, _S.FAILED}),
    _S.THROTTLED: frozenset({_S.APPLYING, _S.PAUSED, _S.VERIFYING, _S.CANCELLED, _S.PARTIAL, _S.FAILED}),
    _S.VERIFYING: frozenset({_S.SUCCEEDED, _S.PARTIAL, _S.FAILED, _S.PAUSED, _S.CANCELLED}),
    _S.NO_CHANGES: frozenset(),
    _S.BLOCKED: frozenset(),
    _S.PLANNED: frozenset(),
    _S.SUCCEEDED: frozenset(),
    _S.PARTIAL: frozenset(),
    _S.FAILED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.STALE: frozenset(),
    _S.SUPERSEDED: frozenset(),
    _S.CANCELLED: frozenset(),
}

TERMINAL: frozenset[RunStatus] = frozenset(status for status, following in MOVES.items() if not following)

WAITING_FOR_A_PERSON: frozenset[RunStatus] = frozenset({_S.HELD, _S.AWAITING_APPROVAL})
"""States in which a run does not stand in the way of the next one: a newer plan supersedes it."""


def is_terminal(status: RunStatus) -> bool:
    """Whether nothing follows this state."""
    return status in TERMINAL


def check_move(run: str, before: RunStatus, after: RunStatus) -> None:
    """`StopRun` with `SYS_ILLEGAL_TRANSITION` unless the table holds the move."""
    if after not in MOVES[before]:
        allowed = ", ".join(sorted(MOVES[before])) or "nothing, it has ended"
        raise StopRun(
            "SYS_ILLEGAL_TRANSITION",
            f"run {run}: a run that is {before} cannot become {after}; what may follow is: {allowed}",
            run=run,
            before=str(before),
            after=str(after),
        )


EXIT_CODES: dict[RunStatus, int] = {
    _S.SUCCEEDED: 0,
    _S.NO_CHANGES: 0,
    _S.FAILED: 1,
    _S.PLANNED: 2,
    _S.AWAITING_APPROVAL: 2,
    _S.PARTIAL: 3,
    _S.HELD: 4,
    _S.BLOCKED: 4,
    _S.STALE: 5,
    _S.EXPIRED: 5,
    _S.SUPERSEDED: 5,
    _S.REJECTED: 6,
    _S.CANCELLED: 6,
    _S.PAUSED: 3,
}
"""What the command line exits with when it leaves a run in this state. Paused is amber: a person is needed."""
