"""What the plan review shows: from the run's document, the plan's header and the changes to values for page and API.

It reads nothing itself. It decides what a person is told about a plan and whether a decision
form is offered; whether a decision counts is decided by the differ, and by the applier again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from shared.audit.plan_lookups import OPEN, QUARANTINED, UNKNOWN, ChangeGroup, Grouping
from shared.audit.stored import PlanReview, StoredRun
from shared.clock import from_text
from shared.events.model import Document
from shared.events.queries import SEARCH_CHARS_MAX, ChangeView
from shared.failures import CATALOGUE
from shared.plan.change import DESTRUCTIVE
from shared.policy.approval import ALL, Identities, Risk, risk_of
from shared.policy.guard import Level
from shared.policy.verdict import VerdictLine
from shared.run.state import PlanSummary, RunState
from shared.run.states import RunStatus

PAGE_ROWS: Final = 50
GROUPS_MAX: Final = 50
"""Groups that one page shows; the largest."""
GROUPINGS: Final[tuple[Grouping, ...]] = ("class", "cohort", "entity", "alike")
RESULTS: Final = (
    OPEN, "applied", "noop_already", "stale_skipped", "dependency_skipped", "deferred", QUARANTINED, "failed", UNKNOWN,
    "not_attempted",
)  # fmt: skip
DECIDABLE: Final = frozenset({RunStatus.AWAITING_APPROVAL, RunStatus.HELD})
FIELDS_SHOWN: Final = 4
"""Fields of a change that are open to the eye; the rest is folded."""
_ORDER: Final = (Level.BLOCK, Level.HOLD, Level.WARN, Level.PASS)
_RISKS: Final[Mapping[Risk, str]] = {
    "D0": "Creates and updates, within what the guard allows.",
    "D1": "Takes something away or moves people (suspends, renames, roles), within what the guard allows.",
    "D2": "Deletes, gives privileges, or goes beyond what the guard allows.",
}
_NOT_DECIDABLE: Final[Mapping[RunStatus, str]] = {
    RunStatus.PLANNED: "This is a dry-run: its plan is shown, never carried out. Request a run that applies to decide.",
    RunStatus.BLOCKED: "The guard blocks this plan, and no approval can release it: change the data, the contract or "
    "the policy, then run again.",
    RunStatus.REJECTED: "The plan was rejected.",
    RunStatus.EXPIRED: "Nobody decided before the plan expired. Request a new run.",
    RunStatus.STALE: "The plan is stale: the target or its sources moved on. Request a new run.",
    RunStatus.SUPERSEDED: "A newer plan took this one's place; decide upon that one.",
    RunStatus.CANCELLED: "The run was cancelled.",
}


class GuardLine(Document):
    """One line of the verdict, its figures in words."""

    check: str
    scope: str
    measured: str | None
    level: Level
    code: str | None
    text: str
    found: str | None
    """`38 of 332 (11.4 %)`."""
    limit: str | None
    """`250 or 10 %`; the text says the rest."""
    usual: str | None
    """`20 to 41 in 6 runs`."""


class ClassCount(Document):
    """How many changes of one class."""

    name: str
    number: int
    is_destructive: bool


class Aside(Document):
    """Why changes that were found are not in the plan."""

    code: str
    number: int
    text: str
    owner: str


class ApprovalShown(Document):
    """An approval that counts."""

    approver: str
    at: str
    expires_at: str
    reason: str
    is_override: bool
    is_part: bool


class Deciding(Document):
    """Whether this visitor is offered the forms to decide, and what the forms must say."""

    may_decide: bool
    why_not: str | None = None
    whom_to_ask: tuple[str, ...] = ()
    """Approvers who could decide."""
    needs_step_up: bool = False
    """Whether the visitor must prove again who they are before approving."""
    needs_override: bool = False
    overridden: tuple[str, ...] = ()
    """The guard's lines that an approval would release."""
    part: str | None = None
    """The root of the part that an earlier approval is of; an approval now must be of the same."""
    left_out: tuple[str, ...] = ()
    """Ids of the changes that the earlier approval leaves out."""
    still_needed: int = 0


class PlanHead(Document):
    """Everything about a plan but its changes."""

    run: str
    connector: str
    connector_version: str
    mode: Literal["dry-run", "apply"]
    status: str
    requester: str | None
    target: str
    target_system: str
    environment: str
    target_read_at: str
    plan: PlanSummary
    risk: Risk
    risk_text: str
    is_expired: bool
    is_listed: bool
    excluded: int
    """Changes that the plan set aside."""
    lines: tuple[GuardLine, ...]
    """Worst first."""
    classes: tuple[ClassCount, ...]
    asides: tuple[Aside, ...]
    approvals: tuple[ApprovalShown, ...]
    deciding: Deciding

    @property
    def open_lines(self) -> tuple[GuardLine, ...]:
        """The lines that are not PASS."""
        return tuple(line for line in self.lines if line.level is not Level.PASS)

    @property
    def passed_lines(self) -> tuple[GuardLine, ...]:
        """The lines that pass."""
        return tuple(line for line in self.lines if line.level is Level.PASS)


class GroupShown(Document):
    """Changes that have something in common."""

    by: Grouping
    name: str | None
    """What they have in common; None for no cohort."""
    number: int
    sample: ChangeView


class ChangesQuery(Document):
    """Which changes are asked for, as the address says it."""

    entity: str | None = Field(default=None, max_length=100)
    change_class: str | None = Field(default=None, max_length=40)
    cohort: str | None = Field(default=None, max_length=300)
    alike: str | None = Field(default=None, max_length=80)
    result: str | None = Field(default=None, max_length=40)
    """A result of the ledger, or `open`."""
    text: str | None = Field(default=None, max_length=SEARCH_CHARS_MAX)
    """Stands in the key or in a value as they are shown."""


def plan_head(
    stored: StoredRun,
    review: PlanReview | None,
    *,
    identities: Identities,
    user: str,
    is_stepped_up: bool,
    now: datetime,
) -> PlanHead | None:
    """What is said of the plan to this person; None while the run has none."""
    state = RunState.model_validate_json(stored.state)
    plan = state.plan
    if plan is None:
        return None
    risk = risk_of(plan.changes_by_class, Level(plan.verdict_level))
    lines = tuple(guard_line(line) for line in (review.verdict if review is not None else ()))
    return PlanHead(
        run=state.run,
        connector=state.connector,
        connector_version=state.connector_version,
        mode=state.mode,
        status=state.status.value,
        requester=state.requester,
        target=state.target,
        target_system=review.target_system if review is not None else "",
        environment=review.environment if review is not None else "",
        target_read_at=review.target_read_at if review is not None else "",
        plan=plan,
        risk=risk,
        risk_text=_RISKS[risk],
        is_expired=now > from_text(plan.expires_at),
        is_listed=review is not None and review.is_listed,
        excluded=review.excluded if review is not None else 0,
        lines=tuple(sorted(lines, key=lambda line: _ORDER.index(line.level))),
        classes=class_counts(plan.changes_by_class),
        asides=tuple(_aside(code, number) for code, number in sorted((review.left_out if review else {}).items())),
        approvals=approvals_shown(state),
        deciding=deciding(
            state, plan, lines, identities=identities, user=user, is_stepped_up=is_stepped_up, now=now
        ),
    )  # fmt: skip


def guard_line(line: VerdictLine) -> GuardLine:
    """One line with its figures in words."""
    return GuardLine(
        check=line.check,
        scope=line.scope,
        measured=line.measured,
        level=line.level,
        code=line.code,
        text=line.text,
        found=_found(line),
        limit=_limit(line),
        usual=None if line.usual is None else f"{line.usual.low:,} to {line.usual.high:,} in {_runs(line.usual.runs)}",
    )


def class_counts(by_class: Mapping[str, int]) -> tuple[ClassCount, ...]:
    """Destructive classes first, then the largest."""
    counts = [
        ClassCount(name=name, number=number, is_destructive=name in DESTRUCTIVE) for name, number in by_class.items()
    ]
    return tuple(sorted((one for one in counts if one.number), key=lambda one: (not one.is_destructive, -one.number)))


def approvals_shown(state: RunState) -> tuple[ApprovalShown, ...]:
    """The approvals that count, oldest first."""
    return tuple(
        ApprovalShown(
            approver=one.approval.approver,
            at=one.approval.signed_at,
            expires_at=one.approval.expires_at,
            reason=one.approval.reason,
            is_override=one.approval.is_override,
            is_part=one.approval.subset != ALL,
        )
        for one in state.approvals
        if one.approval.decision == "approve"
    )


def deciding(
    state: RunState,
    plan: PlanSummary,
    lines: Sequence[GuardLine],
    *,
    identities: Identities,
    user: str,
    is_stepped_up: bool,
    now: datetime,
) -> Deciding:
    """Whether this person is offered the forms, and what they must say."""
    earlier = [one.approval for one in state.approvals if one.approval.decision == "approve"]
    names = {one.approver for one in earlier}
    others = tuple(
        sorted(
            name
            for name, person in identities.people.items()
            if "approver" in person.roles and person.approval_key and name not in {state.requester, user, *names}
        )
    )
    why_not = _why_not(state, plan, identities=identities, user=user, approved=names, now=now)
    is_open = state.status in DECIDABLE and now <= from_text(plan.expires_at)
    return Deciding(
        may_decide=why_not is None,
        why_not=why_not,
        whom_to_ask=others if is_open and why_not is not None else (),
        needs_step_up=risk_of(plan.changes_by_class, Level(plan.verdict_level)) != "D0" and not is_stepped_up,
        needs_override=plan.verdict_level == "HOLD",
        overridden=tuple(line.text for line in lines if line.level is Level.HOLD),
        part=next((one.subset for one in earlier if one.subset != ALL), None),
        left_out=state.deferred,
        still_needed=max(plan.approvals_needed - len(earlier), 0) if is_open else 0,
    )


def visible_fields(change: ChangeView) -> tuple[int, int]:
    """How many fields of a change are open to the eye and how many are folded; a lone last one is not worth folding."""
    total = len(change.fields)
    return (total, 0) if total <= FIELDS_SHOWN + 1 else (FIELDS_SHOWN, total - FIELDS_SHOWN)


def needs_groups(wanted: ChangesQuery, *, by: Grouping, total: int) -> bool:
    """Whether groups tell more than the list below them: not of what fits on a page or is one group by the filter."""
    is_filtered = wanted != ChangesQuery()
    is_one_group = {
        "class": wanted.change_class, "cohort": wanted.cohort, "entity": wanted.entity, "alike": wanted.alike
    }[by] is not None  # fmt: skip
    return not is_one_group and not (is_filtered and total <= PAGE_ROWS and by != "alike")


def groups_shown(groups: Sequence[ChangeGroup], by: Grouping) -> tuple[GroupShown, ...]:
    """The groups as page and API show them; a change that is like no other is no group of alike ones."""
    shown = (one for one in groups if by != "alike" or one.number > 1)
    return tuple(GroupShown(by=by, name=one.name, number=one.number, sample=one.sample) for one in shown)


def _why_not(
    state: RunState, plan: PlanSummary, *, identities: Identities, user: str, approved: set[str], now: datetime
) -> str | None:
    if state.status not in DECIDABLE:
        return _NOT_DECIDABLE.get(state.status, "The plan was decided upon; nothing waits for an approval.")
    person = identities.people.get(user)
    texts = (
        (now > from_text(plan.expires_at), _NOT_DECIDABLE[RunStatus.EXPIRED]),
        (
            state.requester is None,
            "The run was requested without an identity, so nobody can be shown to be a second person; let it expire.",
        ),
        (user == state.requester, "You requested this run, so another person has to decide."),
        (
            person is None or "approver" not in person.roles,
            "You are no approver: you may look at the plan, and an approver decides.",
        ),
        (user in approved, "You have approved this plan; the second approval must be another person's."),
    )
    return next((text for is_so, text in texts if is_so), None)


def _found(line: VerdictLine) -> str | None:
    if line.number is None:
        return None
    if line.denominator is None:
        return f"{line.number:,}"
    share = f" ({line.number * 100 / line.denominator:.1f} %)" if line.denominator else ""
    return f"{line.number:,} of {line.denominator:,}{share}"


def _limit(line: VerdictLine) -> str | None:
    parts = []
    if line.limit_count is not None:
        parts.append(f"{line.limit_count:,}")
    if line.limit_percent is not None:
        parts.append(f"{line.limit_percent:g} %")
    return " or ".join(parts) or None


def _runs(number: int) -> str:
    return "1 run" if number == 1 else f"{number:,} runs"


def _aside(code: str, number: int) -> Aside:
    entry = CATALOGUE.get(code)
    return Aside(
        code=code,
        number=number,
        text=entry.text if entry is not None else "A reason that this release does not know.",
        owner=entry.owner if entry is not None else "platform",
    )
