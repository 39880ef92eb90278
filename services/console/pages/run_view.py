"""What the page of one run shows, from what the record says of it.

Pure: the same model fills the page, the live parts and the JSON answer, so all three say the same. What an operator may
do follows from the run's state here; the services decide again, and refuse what has changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from statistics import median
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from shared.clock import from_text
from shared.events.queries import (
    DeadLetterView,
    DecisionView,
    RefusalView,
    RunAnswer,
    RunView,
    SnapshotView,
)
from shared.failures import CATALOGUE
from shared.policy.verdict import VerdictLine
from shared.run.counts import NineCounts
from shared.run.retries import may_hold_retries
from shared.run.state import PhaseTime
from shared.run.states import WAITING_FOR_A_PERSON, RunStatus, is_terminal

EARLIER_RUNS: Final = 20
"""Runs of the same connector and mode that the usual length of a phase is taken from."""
EARLIER_RUNS_MIN: Final = 3
GUARD_LINES_MAX: Final = 12
STAMP_DIGITS: Final = 12

ActName = Literal["pause", "resume", "cancel", "retry"]
_AT_WORK: Final = frozenset({RunStatus.APPLYING, RunStatus.THROTTLED, RunStatus.VERIFYING})
_RETRIED: Final = frozenset({RunStatus.PARTIAL, RunStatus.FAILED})
_COUNT_KINDS: Final = (
    ("applied", "ok"),
    ("noop_already", "ok"),
    ("failed", "bad"),
    ("unknown", "act"),
    ("quarantined", "warn"),
    ("stale_skipped", "warn"),
    ("dependency_skipped", "warn"),
    ("deferred", "info"),
    ("not_attempted", "quiet"),
)
_WAITS: Final[Mapping[RunStatus, str]] = {
    RunStatus.HELD: "The guard holds the plan: an approver must release it knowingly, or reject it.",
    RunStatus.PAUSED: "Applying is paused: an operator must resume or cancel it.",
    RunStatus.THROTTLED: "The target asks us to slow down; the run goes on by itself.",
    RunStatus.BLOCKED: "The guard blocks it and nothing can release it: change the data, the contract or the policy.",
    RunStatus.PARTIAL: "Look at what failed below; an operator can retry it while the plan stands.",
    RunStatus.FAILED: "Look at what failed below; an operator can retry it while the plan stands.",
}
COUNT_WORDS: Final[Mapping[str, str]] = {
    "applied": "done by this run",
    "noop_already": "already as wanted",
    "stale_skipped": "the record had changed since the plan",
    "dependency_skipped": "what it builds on did not succeed",
    "deferred": "left out of the approval; shown again in the next plan",
    "quarantined": "set aside by the plan, or refused by the target",
    "failed": "tried, and not done",
    "unknown": "sent, and not known yet whether it was done",
    "not_attempted": "not begun",
}


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class PhaseLine(_Model):
    """One state that the run was in."""

    status: str
    at: str
    seconds: float | None
    """How long; None for a state that lasts, and for the last one."""
    usual_seconds: float | None
    """Median over the connector's earlier runs; None where there are too few."""
    is_now: bool


class CountLine(_Model):
    """One of the nine counts."""

    name: str
    kind: str
    number: int
    meaning: str


class Progress(_Model):
    """How far applying is."""

    planned: int
    concluded: int
    percent: float
    per_second: float | None
    """Changes concluded a second since applying began; None before there is any."""
    seconds_left: float | None


class FailureLine(_Model):
    """What failed, who must act and how."""

    code: str
    number: int
    severity: str
    category: str
    owner: str
    text: str
    action: str


class Act(_Model):
    """Something that an operator may ask for."""

    name: ActName
    label: str
    is_permitted: bool
    why: str
    """What it does; or why it cannot be asked for now."""


class GuardSummary(_Model):
    """The verdict in short; the plan review has all of it."""

    level: str
    passed: int
    lines: tuple[VerdictLine, ...]
    """Lines that are not PASS, the worst first."""
    not_shown: int


class Approvals(_Model):
    """Who has approved, of how many that are needed."""

    needed: int
    given_by: tuple[str, ...]
    expires_at: str


class AuditRange(_Model):
    """Where the run stands in the audit log."""

    first: int
    last: int
    is_sealed: bool
    """Whether a signed checkpoint covers all of it."""


class RunPage(_Model):
    """All that the page of a run shows."""

    run: RunView
    has_ended: bool
    waits_for: str
    """What must happen next, in a sentence; empty where nothing must."""
    phases: tuple[PhaseLine, ...]
    counts: tuple[CountLine, ...]
    planned: int
    progress: Progress | None
    guard: GuardSummary | None
    approvals: Approvals | None
    failures: tuple[FailureLine, ...]
    left_out: tuple[FailureLine, ...]
    """What was found and is not in the plan, by code."""
    snapshots: tuple[SnapshotView, ...]
    decisions: tuple[DecisionView, ...]
    refusals: tuple[RefusalView, ...]
    dead_letters: tuple[DeadLetterView, ...]
    audit: AuditRange | None
    acts: tuple[Act, ...]
    acts_stamp: str
    """Changes when what can be asked for does."""
    facts_stamp: str
    """Changes when anything below the counts does."""


def run_page(
    answer: RunAnswer, *, usual: Mapping[str, float], entries: tuple[int, int] | None, now: datetime
) -> RunPage:
    """The page of a run that the record holds; `ValueError` for an answer without a run."""
    run = answer.run
    if run is None:
        raise ValueError("the answer holds no run; ask for its page only once it is in the record")
    phases = phase_lines(answer.phases, usual)
    acts = acts_of(run, now=now)
    page = RunPage(
        run=run,
        has_ended=is_terminal(RunStatus(run.status)),
        waits_for=waits_for(run),
        phases=phases,
        counts=count_lines(run.counts),
        planned=run.counts.planned if run.counts is not None else run.plan.changes if run.plan is not None else 0,
        progress=progress_of(run, answer.phases, now=now),
        guard=_guard(run, answer.verdict),
        approvals=None
        if run.plan is None
        else Approvals(needed=run.plan.approvals_needed, given_by=run.approvers, expires_at=run.plan.expires_at),
        failures=failure_lines(answer.counts_by_code),
        left_out=failure_lines(answer.left_out),
        snapshots=answer.snapshots,
        decisions=answer.decisions,
        refusals=answer.refusals,
        dead_letters=answer.dead_letters,
        audit=None if entries is None else AuditRange(first=entries[0], last=entries[1], is_sealed=run.is_sealed),
        acts=acts,
        acts_stamp=stamp_of(run.status, *(f"{act.is_permitted}{act.why}" for act in acts)),
        facts_stamp="",
    )
    told = page.model_dump_json(include={"guard", "approvals", "failures", "left_out", "snapshots", "decisions",
                                         "refusals", "dead_letters"})  # fmt: skip
    return page.model_copy(update={"facts_stamp": stamp_of(run.status, str(run.is_sealed), told)})


def stamp_of(*parts: str) -> str:
    """A short text that differs when any part does."""
    return sha256("\x00".join(parts).encode()).hexdigest()[:STAMP_DIGITS]


# --- where it stands ------------------------------------------------------------------------------------------------


def waits_for(run: RunView) -> str:
    """What must happen next, and who can make it happen."""
    if run.asked_to_end_by is not None:
        return f"It ends at its next change, as {run.asked_to_end_by} asked."
    if run.asked_to_pause_by is not None:
        return f"It pauses at its next change, as {run.asked_to_pause_by} asked."
    if run.status == RunStatus.AWAITING_APPROVAL:
        needed = run.plan.approvals_needed if run.plan is not None else 1
        return f"The plan waits for approval: {len(run.approvers)} of {needed} given."
    return _WAITS.get(RunStatus(run.status), "")


def phase_lines(phases: Sequence[PhaseTime], usual: Mapping[str, float]) -> tuple[PhaseLine, ...]:
    """Each state that the run entered, in order, with how long that usually takes."""
    if not phases:
        return ()
    lines = [
        PhaseLine(
            status=phase.status.value,
            at=phase.at,
            seconds=_seconds(phase.at, following.at),
            usual_seconds=usual.get(phase.status.value),
            is_now=False,
        )
        for phase, following in pairwise(phases)
    ]
    last = phases[-1]
    is_now = not is_terminal(last.status)
    usually = usual.get(last.status.value) if is_now else None
    lines.append(PhaseLine(status=last.status.value, at=last.at, seconds=None, usual_seconds=usually, is_now=is_now))
    return tuple(lines)


def usual_seconds(earlier: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median length of each state over earlier runs; states that too few of them were in are left out."""
    found: dict[str, list[float]] = {}
    for one in earlier:
        for status, seconds in one.items():
            found.setdefault(status, []).append(seconds)
    return {status: median(lengths) for status, lengths in found.items() if len(lengths) >= EARLIER_RUNS_MIN}


def count_lines(counts: NineCounts | None) -> tuple[CountLine, ...]:
    """The nine counts without the sum, in the order in which a person wants them."""
    if counts is None:
        return ()
    return tuple(
        CountLine(name=name, kind=kind, number=getattr(counts, name), meaning=COUNT_WORDS[name])
        for name, kind in _COUNT_KINDS
    )


def progress_of(run: RunView, phases: Sequence[PhaseTime], *, now: datetime) -> Progress | None:
    """How far applying is; None for a run that does not apply now."""
    if run.counts is None or run.status not in {*_AT_WORK, RunStatus.PAUSED} or run.counts.planned == 0:
        return None
    concluded = run.counts.planned - run.counts.not_attempted - run.counts.unknown
    spent = 0.0
    for place, phase in enumerate(phases):
        if phase.status in _AT_WORK:
            end = from_text(phases[place + 1].at) if place + 1 < len(phases) else now
            spent += max((end - from_text(phase.at)).total_seconds(), 0.0)
    rate = concluded / spent if spent > 0 and concluded > 0 else None
    is_moving = run.status != RunStatus.PAUSED
    return Progress(
        planned=run.counts.planned,
        concluded=concluded,
        percent=round(100 * concluded / run.counts.planned, 1),
        per_second=None if rate is None or not is_moving else round(rate, 1),
        seconds_left=None if rate is None or not is_moving else round((run.counts.planned - concluded) / rate, 1),
    )


# --- what failed ----------------------------------------------------------------------------------------------------


def failure_lines(by_code: Mapping[str, int]) -> tuple[FailureLine, ...]:
    """Each code with its line of the catalogue, the most frequent first."""
    ordered = sorted(by_code.items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(failure_line(code, number) for code, number in ordered if number > 0)


def failure_line(code: str, number: int) -> FailureLine:
    """One code with its line of the catalogue; one of another release is told as such."""
    entry = CATALOGUE.get(code)
    if entry is None:
        return FailureLine(
            code=code, number=number, severity="error", category="unknown", owner="platform",
            text="This release of the console does not know it.", action="Bring all programs to the same release.",
        )  # fmt: skip
    return FailureLine(
        code=code, number=number, severity=entry.severity, category=entry.category, owner=entry.owner,
        text=entry.text, action=entry.action,
    )  # fmt: skip


def _guard(run: RunView, verdict: Sequence[VerdictLine]) -> GuardSummary | None:
    if run.plan is None:
        return None
    passed = sum(line.level.rank == 0 for line in verdict)
    others = sorted((line for line in verdict if line.level.rank > 0), key=lambda line: -line.level.rank)
    return GuardSummary(
        level=run.plan.verdict_level,
        passed=passed,
        lines=tuple(others[:GUARD_LINES_MAX]),
        not_shown=max(len(others) - GUARD_LINES_MAX, 0),
    )


# --- what may be asked for ------------------------------------------------------------------------------------------


def acts_of(run: RunView, *, now: datetime) -> tuple[Act, ...]:
    """The four acts, each permitted by the run's state or explained."""
    return (
        _act("pause", "Pause", _why_no_pause(run), "It stops at its next change and waits."),
        _act("resume", "Resume", _why_no_resume(run), "It goes on with the same plan under the same approval."),
        _act("retry", "Retry what failed", _why_no_retry(run, now), "A new run tries only what failed, same plan."),
        _act("cancel", "Cancel the run", _why_no_cancel(run), "It ends; what was done stays done."),
    )


def _act(name: ActName, label: str, refusal: str | None, effect: str) -> Act:
    return Act(name=name, label=label, is_permitted=refusal is None, why=refusal or effect)


def _why_no_pause(run: RunView) -> str | None:
    status = RunStatus(run.status)
    if is_terminal(status):
        return "The run has ended."
    if status is RunStatus.PAUSED:
        return "It is paused already."
    if status not in _AT_WORK:
        return "It writes nothing now; only a run that applies can pause."
    if run.asked_to_end_by is not None:
        return f"It ends at its next change already, as {run.asked_to_end_by} asked."
    if run.asked_to_pause_by is not None:
        return f"It pauses at its next change already, as {run.asked_to_pause_by} asked."
    return None


def _why_no_resume(run: RunView) -> str | None:
    return None if run.status == RunStatus.PAUSED else "Only a paused run can be resumed."


def _why_no_cancel(run: RunView) -> str | None:
    if is_terminal(RunStatus(run.status)):
        return "The run has ended."
    if run.asked_to_end_by is not None:
        return f"{run.asked_to_end_by} has asked for it already."
    return None


def _why_no_retry(run: RunView, now: datetime) -> str | None:
    status = RunStatus(run.status)
    if status not in _RETRIED or run.plan is None:
        if status in WAITING_FOR_A_PERSON or not is_terminal(status):
            return "The run has not ended."
        return "Only a run that ended partial or failed after it had a plan can be retried."
    if not may_hold_retries(run.counts):
        return "No change failed or was refused; run the connector again for the rest."
    if now > from_text(run.plan.expires_at):
        return "The plan has expired; run the connector again."
    return None


def _seconds(first: str, last: str) -> float:
    return round(max((from_text(last) - from_text(first)).total_seconds(), 0.0), 3)
