"""What a run's state means to the command line: whether to go on watching, and what to exit with. Pure."""

from __future__ import annotations

from shared.events.queries import RunView
from shared.run.states import EXIT_CODES, WAITING_FOR_A_PERSON, RunStatus, is_terminal

EXIT_HELD = EXIT_CODES[RunStatus.HELD]


def has_ended(status: str) -> bool:
    """Whether nothing follows any more."""
    return is_terminal(RunStatus(status))


def is_at_rest(status: str) -> bool:
    """Whether nothing more happens by itself: the run has ended, or waits for a person."""
    known = RunStatus(status)
    return is_terminal(known) or known in WAITING_FOR_A_PERSON or known is RunStatus.PAUSED


def exit_code_of(status: str, *, verdict_level: str | None = None) -> int:
    """What to exit with when leaving a run in this state; 0 while it is under way.

    A dry-run has no state `held`: that its plan would be held shows in the guard's verdict.
    """
    known = RunStatus(status)
    if known is RunStatus.PLANNED and verdict_level in ("HOLD", "BLOCK"):
        return EXIT_HELD
    return EXIT_CODES.get(known, 0)


def exit_code_of_view(view: RunView) -> int:
    """The same for a run as the auditor shows it."""
    return exit_code_of(view.status, verdict_level=view.plan.verdict_level if view.plan is not None else None)


def progress_of(view: RunView) -> str:
    """One line on where a run is: its state, and the counts that are not 0."""
    parts = [view.status]
    if view.counts is not None:
        numbers = {name: number for name, number in view.counts.model_dump().items() if number and name != "planned"}
        parts.append(f"of {view.counts.planned} changes: " + ", ".join(f"{n} {name}" for name, n in numbers.items()))
    elif view.plan is not None:
        parts.append(f"{view.plan.changes} changes planned")
    if view.status == RunStatus.THROTTLED and view.failure is not None:
        parts.append(view.failure.text)  # why nothing moves: the run goes on by itself
    return " · ".join(parts)
