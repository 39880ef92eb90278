"""Why something was done for one key, or why not: the first gate that stopped it, in words. It reads nothing.

The gates stand in the order of the road: read, normalise, match, compare, guard, approval, apply. What is judged is the
newest run of each connector; what earlier runs did stands beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from shared.audit.figures import approvers_of
from shared.audit.plan_lookups import AsideView, RecordChange
from shared.events.queries import ChangeView, QuarantineItem
from shared.failures import CATALOGUE
from shared.policy.verdict import Level, VerdictLine
from shared.run.state import RunState
from shared.run.states import RunStatus

Kind = Literal["ok", "info", "warn", "act", "bad", "quiet", "busy"]

AT_WORK: Final = frozenset(
    {RunStatus.QUEUED, RunStatus.EXTRACTING, RunStatus.NORMALISING, RunStatus.DIFFING, RunStatus.GUARDING}
)
_WRITTEN: Final = {
    "applied": "The change was written to the target.",
    "noop_already": "The target had the value already when the change was to be written.",
}
_NOT_WRITTEN: Final[Mapping[str, tuple[Kind, str, str]]] = {
    "failed": ("bad", "Apply: the write failed", "The target did not take the change."),
    "quarantined": (
        "bad",
        "Apply: the record is set aside",
        "The plan or the applier set the change aside for a person.",
    ),
    "stale_skipped": (
        "warn",
        "Apply: the record had moved",
        "The target's record was not as the plan saw it; nothing was written.",
    ),
    "dependency_skipped": (
        "warn",
        "Apply: something before it failed",
        "A change that this one needs was not written.",
    ),
    "deferred": (
        "warn",
        "Approval: left out",
        "The approval covered a part of the plan, and this change is not in it.",
    ),
    "not_attempted": ("warn", "Apply: not reached", "The run ended before this change was begun."),
    "unknown": (
        "bad",
        "Apply: not known yet",
        "The write was begun and its end is not known; the target is read before anything else.",
    ),
}
_OPEN: Final[Mapping[RunStatus, tuple[Kind, str, str]]] = {
    RunStatus.BLOCKED: ("bad", "Guard: the plan is blocked", "Data, contract or policy must change first."),
    RunStatus.HELD: ("warn", "Guard: the plan is held", "The plan waits for an approval that overrides the guard."),
    RunStatus.AWAITING_APPROVAL: ("act", "Approval: nobody decided yet", "The plan waits for an approver."),
    RunStatus.PLANNED: ("info", "Dry-run: nothing is written", "The change was found; a dry-run never writes."),
    RunStatus.REJECTED: ("quiet", "Approval: the plan was rejected", "An approver said no; the next run plans anew."),
    RunStatus.EXPIRED: ("quiet", "Approval: the plan expired", "Nobody decided in time; request a new run."),
    RunStatus.STALE: ("quiet", "Approval: the plan was too old", "What it was made from had changed."),
    RunStatus.SUPERSEDED: ("quiet", "Approval: a newer plan took its place", "Look at the newer run of the connector."),
    RunStatus.CANCELLED: ("quiet", "Apply: the run was cancelled", "Somebody ended the run before this change."),
    RunStatus.FAILED: ("bad", "Apply: the run failed", "The run ended before this change was written."),
    RunStatus.PAUSED: ("warn", "Apply: the run is paused", "It goes on when somebody resumes it."),
    RunStatus.THROTTLED: ("warn", "Apply: the target asks for patience", "The run goes on by itself."),
}  # fmt: skip


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gate(_Model):
    """The first gate that stopped something, or that none did."""

    kind: Kind
    title: str
    text: str
    code: str | None = None
    """Of the catalogue of failures."""


class ChangeTold(_Model):
    """One change of the key, in one run."""

    run: str
    mode: str
    status: str
    requested_at: str
    approvers: tuple[str, ...]
    change: ChangeView


class AsideTold(_Model):
    """One change that was found and left out."""

    run: str
    entity: str
    change_class: str
    code: str
    text: str
    """What the code means."""
    action: str
    """What to do."""
    fields: tuple[str, ...]


class Told(_Model):
    """What one connector has to do with the key."""

    connector: str
    target: str | None
    newest_run: str | None
    newest_status: str | None
    newest_at: str | None
    gate: Gate
    changes: tuple[ChangeTold, ...]
    left_out: tuple[AsideTold, ...]
    quarantined: tuple[QuarantineItem, ...] | None
    """Of the newest run; None where it could not be asked."""
    guard: tuple[VerdictLine, ...]
    """Lines of the newest run that are no pass."""


class LocalRow(_Model):
    """The row of the key in one local table."""

    table: str
    row_id: str
    is_active: bool | None
    written_at: str | None


class PersonAnswer(_Model):
    """Everything that is known of one key."""

    key: str
    connectors: tuple[Told, ...]
    local: tuple[LocalRow, ...]
    has_local: bool
    """Whether a local database is named to the console."""
    asks_failed: str | None
    """Why quarantine could not be asked."""
    untouched: tuple[str, ...]
    """Connectors that never ran."""


def key_problem(key: str) -> str | None:
    """Why a text cannot be looked for as a key; None when it can."""
    if "@" in key:
        return (
            "This is a mail address. Keys that are personal are stored masked only and cannot be found by it; "
            "take the id of the employee or student, as a plan or a local table shows it."
        )
    if "…(" in key:
        return "This key is masked, and many records may look like it. Open the record from its plan instead."
    return None


def told_of(
    connector: str,
    newest: RunState | None,
    *,
    requested_at: str | None,
    states: Mapping[str, tuple[RunState, str]],
    changes: Sequence[RecordChange],
    asides: Sequence[AsideView],
    quarantined: Sequence[QuarantineItem] | None,
    verdict: Sequence[VerdictLine],
) -> Told:
    """What one connector has to do with the key; `states` has the run of every change and when it was requested."""
    guard = tuple(sorted((line for line in verdict if line.level is not Level.PASS), key=lambda line: -line.level.rank))
    return Told(
        connector=connector,
        target=None if newest is None else newest.target,
        newest_run=None if newest is None else newest.run,
        newest_status=None if newest is None else newest.status.value,
        newest_at=requested_at,
        gate=gate_of(
            newest,
            changes=[each.change for each in changes if newest is not None and each.run == newest.run],
            asides=[each for each in asides if newest is not None and each.run == newest.run],
            quarantined=quarantined,
            guard=guard,
        ),
        changes=tuple(
            ChangeTold(
                run=each.run,
                mode=states[each.run][0].mode,
                status=states[each.run][0].status.value,
                requested_at=states[each.run][1],
                approvers=approvers_of(states[each.run][0]),
                change=each.change,
            )
            for each in changes
        ),
        left_out=tuple(_aside(each) for each in asides),
        quarantined=None if quarantined is None else tuple(quarantined),
        guard=guard,
    )


def gate_of(
    newest: RunState | None,
    *,
    changes: Sequence[ChangeView],
    asides: Sequence[AsideView],
    quarantined: Sequence[QuarantineItem] | None,
    guard: Sequence[VerdictLine],
) -> Gate:
    """The first gate that stopped the newest run from writing something for the key."""
    if newest is None:
        return Gate(kind="quiet", title="Never run", text="The connector has not run yet, so nothing was looked at.")
    if (before := _gate_before_records(newest)) is not None:
        return before
    if quarantined:
        return _gate_of_quarantine(quarantined[0])
    if asides:
        entry = CATALOGUE.get(asides[0].code)
        text = "The change was found and left out of the plan." + (f" {entry.text}" if entry is not None else "")
        return Gate(kind="warn", title="Compare: left out of the plan", text=text, code=asides[0].code)
    if changes:
        return _gate_of_change(newest, changes, guard)
    return Gate(
        kind="quiet",
        title="Nothing to do",
        text=(
            "The newest run found no difference for this key: the target has what the source says, or the record is "
            "out of the connector's scope, or no source has it. Records without a difference are not kept."
        ),
    )


def _gate_before_records(newest: RunState) -> Gate | None:
    """What stopped the whole run before any record was judged."""
    if newest.status in AT_WORK:
        return Gate(kind="busy", title="The newest run is at work", text="Look again when it has made its plan.")
    if newest.plan is None and newest.failure is not None and newest.status is not RunStatus.NO_CHANGES:
        title = f"The run ended before anything could be compared ({newest.status.value.replace('_', ' ')})"
        return Gate(kind="bad", title=title, text=newest.failure.text, code=newest.failure.code)
    return None


def _gate_of_quarantine(first: QuarantineItem) -> Gate:
    side = "source" if first.side == "source" else "target"
    text = (
        f"The {side}'s record was read, and its {first.field} does not meet the contract ({first.rule}; the value "
        f"is {first.value_class}). It is unknown, not absent: nothing is changed or removed for it."
    )
    return Gate(kind="bad", title="Normalise: the record is in quarantine", text=text, code=first.code)


def _gate_of_change(newest: RunState, changes: Sequence[ChangeView], guard: Sequence[VerdictLine]) -> Gate:
    # The change that fared worst is the one to look at.
    stopped = [each for each in changes if each.result in _NOT_WRITTEN]
    if stopped:
        kind, title, text = _NOT_WRITTEN[stopped[0].result or ""]
        return Gate(kind=kind, title=title, text=text, code=stopped[0].code)
    written = [each for each in changes if each.result in _WRITTEN]
    if len(written) == len(changes):
        return Gate(kind="ok", title="Nothing stopped it: written", text=_WRITTEN[written[0].result or ""])
    if newest.status in _OPEN:
        kind, title, text = _OPEN[newest.status]
        is_guard = newest.status in (RunStatus.HELD, RunStatus.BLOCKED)
        if is_guard and guard:
            return Gate(kind=kind, title=title, text=f"{text} {guard[0].text}", code=guard[0].code)
        return Gate(kind=kind, title=title, text=text, code=newest.failure.code if newest.failure is not None else None)
    return Gate(kind="busy", title="Apply: it is next", text="The plan is approved; the change is written in its turn.")


def _aside(view: AsideView) -> AsideTold:
    entry = CATALOGUE.get(view.code)
    return AsideTold(
        run=view.run,
        entity=view.entity,
        change_class=view.change_class,
        code=view.code,
        text=entry.text if entry is not None else "A code of another version.",
        action=entry.action if entry is not None else "Compare the versions of the services.",
        fields=view.fields,
    )
