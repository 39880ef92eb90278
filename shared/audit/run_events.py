"""What the stored events of a run say to a person: what was read, who decided what and why, and what was refused.

It reads no store itself. The reasons that people type stand in the auditor's database and in these answers; the audit
log itself holds only the digest of the message they came in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from shared.audit.entries import AuditEntry
from shared.audit.stored import StoredEvent
from shared.events import facts, queries
from shared.events.documents import FailureNote

UNKNOWN: Final = "nobody known"
DECISIONS_MAX: Final = 50
REASON_CHARACTERS_MAX: Final = 500
REFUSALS_MAX: Final = 50
"""The newest are shown."""


def snapshots_in(events: Iterable[StoredEvent]) -> tuple[queries.SnapshotView, ...]:
    """The newest reading of each side of each entity; the events come newest first."""
    views: dict[tuple[str, str], queries.SnapshotView] = {}
    for stored in events:
        if stored.type != facts.SnapshotRead.event_type:
            continue
        read = facts.SnapshotRead.model_validate_json(stored.body)
        views.setdefault(
            (read.side, read.entity),
            queries.SnapshotView(
                side=read.side,
                entity=read.entity,
                is_certified=read.incomplete is None and bool(read.certificates),
                rows={source.source: source.rows for source in read.sources if source.rows is not None}
                or {certificate.connection: certificate.rows for certificate in read.certificates},
                records=read.records,
                quarantined=read.quarantined,
                quarantined_by_code=read.quarantined_by_code,
                unmapped=tuple(f"{one.table}: {one.value} ({one.rows})" for one in read.unmapped),
                incomplete=read.incomplete,
                seconds=read.seconds,
                memory_peak_mb=read.memory_peak_mb,
            ),
        )
    return tuple(views[place] for place in sorted(views))


def decisions_in(events: Iterable[StoredEvent]) -> tuple[queries.DecisionView, ...]:
    """What people decided about the run, oldest first; the events come newest first."""
    found = [view for stored in events if (view := _decision(stored)) is not None]
    return tuple(reversed(found[:DECISIONS_MAX]))


def refusals_in(events: Iterable[StoredEvent]) -> tuple[queries.RefusalView, ...]:
    """What was refused, oldest first; the events come newest first."""
    found = [view for stored in events if (view := _refusal(stored)) is not None]
    return tuple(reversed(found[:REFUSALS_MAX]))


def _decision(stored: StoredEvent) -> queries.DecisionView | None:
    match stored.type:
        case facts.PlanDecided.event_type:
            decided = facts.PlanDecided.model_validate_json(stored.body)
            approval = decided.signed.approval
            return queries.DecisionView(
                decision=approval.decision,
                person=approval.approver,
                at=_at(stored),
                is_override=approval.is_override,
                reason=approval.reason[:REASON_CHARACTERS_MAX],
                subset=approval.subset if approval.decision == "approve" else None,
                left_out=decided.left_out,
            )
        case facts.RunCancelled.event_type:
            return _asked("cancel", facts.RunCancelled.model_validate_json(stored.body), stored)
        case facts.RunResumed.event_type:
            return _asked("resume", facts.RunResumed.model_validate_json(stored.body), stored)
        case facts.PauseRequested.event_type:
            return _asked("pause", facts.PauseRequested.model_validate_json(stored.body), stored)
        case facts.RetryRequested.event_type:
            return _asked("retry", facts.RetryRequested.model_validate_json(stored.body), stored)
        case _:
            return None


def _asked(
    what: Literal["cancel", "resume", "pause", "retry"],
    fact: facts.RunCancelled | facts.RunResumed | facts.PauseRequested | facts.RetryRequested,
    stored: StoredEvent,
) -> queries.DecisionView:
    return queries.DecisionView(
        decision=what, person=fact.actor or UNKNOWN, at=_at(stored), reason=fact.reason[:REASON_CHARACTERS_MAX]
    )


def _refusal(stored: StoredEvent) -> queries.RefusalView | None:
    match stored.type:
        case facts.CommandRefused.event_type:
            refused = facts.CommandRefused.model_validate_json(stored.body)
            what, person, note = refused.command, refused.actor, refused.refusal
        case facts.ApplyRefused.event_type:
            what, person, note = "apply", None, facts.ApplyRefused.model_validate_json(stored.body).refusal
        case facts.RunExpired.event_type:
            until = facts.RunExpired.model_validate_json(stored.body).expired_at
            note = FailureNote(code="APV_EXPIRED", text=f"nobody decided upon the plan until {until}")
            what, person = "plan", None
        case facts.AlarmRaised.event_type:
            alarm = facts.AlarmRaised.model_validate_json(stored.body)
            what, person, note = f"with an alarm by the {alarm.service}", None, alarm.reason
        case facts.ConnectionHealth.event_type:
            health = facts.ConnectionHealth.model_validate_json(stored.body)
            if health.reason is None or health.probes:
                return None  # healthy again, or one more probe of what is told already
            what, person, note = f"connection {health.connection}, now in quarantine", None, health.reason
        case _:
            return None
    return queries.RefusalView(what=what, person=person, at=_at(stored), code=note.code, text=note.text)


def _at(stored: StoredEvent) -> str:
    return AuditEntry.model_validate_json(stored.entry).recorded_at
