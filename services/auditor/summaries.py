"""What an audit entry says of an event: an allow-list of fields for each type, and nothing else.

Pure. Entries stand for ever and are shown to judges, so a field that is not named here never enters one: reasons that
people type, ids that a vendor gave, values that a mapping table lacks, sentences of errors. Counts by class or by code
are taken only under names that the house itself defines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from shared.events import commands, facts, operating, schedules
from shared.events.documents import FailureNote
from shared.events.model import Event
from shared.failures import CATALOGUE
from shared.hashing.canonical import INTEGER_MAX
from shared.plan.change import ChangeClass
from shared.run.active import ConnectorActive
from shared.run.counts import NineCounts
from shared.run.declared import DeclaredDeltas
from shared.run.promoted import ConnectorPromotions
from shared.run.state import RunState
from shared.run.states import RunStatus
from shared.schedule.state import ScheduleState

Summary = dict[str, str | int | bool | None]
TEXT_CHARS_MAX = 512
"""A name, a digest or a moment is far shorter; a longer text is cut."""

FIELDS_TOLD_MAX = 200
"""Names of fields that one entry tells, below the bound of a summary."""

_ACCESS_DETAILS = frozenset({"roles", "roles_before", "roles_after", "method", "reason_code", "rows", "kind", "until"})
"""What an entry tells of an act at the console beyond who, what and whom; free text stays out."""

_PROGRAM = re.compile(r"/services/[a-z]{1,32}")
_CLASSES = frozenset(str(value) for value in ChangeClass)
_STATES = frozenset(str(value) for value in RunStatus)

_FIELDS: dict[type[Event], tuple[str, ...]] = {
    RunState: ("status", "connector", "connector_version", "release_digest", "mode", "target", "retry_of"),
    ConnectorActive: ("connector",),
    DeclaredDeltas: ("connector",),
    commands.ReadSide: ("side", "entity"),
    commands.DiffPartition: ("partition",),
    commands.DraftPlan: (),
    commands.ApplyPlan: ("ordinal",),
    commands.ExpirePlan: ("plan_digest", "expires_at"),
    facts.RunRequested: ("connector", "connector_version", "release_digest", "mode", "replay_of"),
    facts.CommandRefused: ("command",),
    facts.SnapshotRead: (
        "side", "entity", "attempt", "records", "quarantined", "out_of_scope", "started_at", "target_serial",
        "memory_peak_mb",
    ),
    facts.PartitionDiffed: (
        "partition", "entity", "changes", "null_outs", "ambiguous", "removals_suppressed", "desired", "live_managed",
        "quarantined_kept", "memory_peak_mb",
    ),
    facts.PlanDrafted: (
        "plan_digest", "content_digest", "verdict_digest", "verdict_level", "changes", "approvals_needed",
        "expires_at", "memory_peak_mb",
    ),
    facts.PlanDecided: ("is_final", "left_out"),
    facts.RunCancelled: (),
    facts.RunResumed: (),
    facts.PauseRequested: (),
    facts.RetryRequested: ("retry_of", "connector", "changes"),
    facts.RunExpired: ("plan_digest", "expired_at"),
    facts.ConnectionHealth: ("connection", "status", "since", "probes"),
    facts.AlarmRaised: ("service",),
    facts.ApplyRefused: (),
    facts.ApplyStarted: ("target", "fencing_token", "plan_digest", "planned"),
    facts.ApplyPaused: (),
    facts.ApplyFinished: ("target", "status", "retries", "rate_limited", "memory_peak_mb"),
    facts.IntentRecorded: ("change_id", "fencing_token", "attempt"),
    facts.OutcomeRecorded: ("change_id", "fencing_token", "result", "is_read_back", "tries"),
    facts.RunSealed: (
        "connector", "connector_version", "mode", "status", "plan_digest", "verdict_digest", "first_entry",
        "last_entry",
    ),
    facts.DeltaDeclared: (),
    facts.DeltaWithdrawn: ("declaration", "connector"),
    facts.TargetFenced: ("target", "fencing_token"),
    facts.RecordMismatch: ("faults_total",),
    facts.MessagesLost: ("stream", "first_seq", "last_seq"),
    facts.ChangeRevealed: ("change_id", "entity"),
    facts.ConsoleActed: ("what", "subject"),
    operating.NoticeSent: (
        "condition", "kind", "change", "channel", "outcome", "tries", "at", "since", "connector", "connection",
    ),
    operating.NoticesTakenOver: ("holder", "fencing_token"),
    operating.ConnectorPromoted: ("connector",),
    ConnectorPromotions: ("connector",),
    ScheduleState: ("connector", "since", "settled", "last_run", "is_counted", "bad_in_row", "number"),
    schedules.ScheduleFired: ("connector", "nominal", "missed"),
    schedules.ScheduleSkipped: ("connector", "nominal"),
    schedules.SchedulePaused: ("connector",),
    schedules.ScheduleResumed: ("connector",),
}  # fmt: skip
"""Fields that are copied as they are."""


def summarise(event: Event) -> Summary:
    """The allowed part of an event; `KeyError` for a type that nobody has decided about yet."""
    summary: Summary = {name: getattr(event, name) for name in _FIELDS[type(event)]}
    further = _FURTHER.get(type(event))
    if further is not None:
        summary.update(further(event))
    return {name: _plain(value) for name, value in summary.items()}


def actor_of(event: Event | None, headers: Mapping[str, str]) -> str | None:
    """Who did it: the person that the event names, else the program that published it."""
    match event:
        case facts.RunRequested():
            person = event.requester
        case facts.DeltaDeclared():
            person = event.declaration.declared_by
        case facts.CommandRefused() | facts.RunCancelled() | facts.RunResumed() | facts.DeltaWithdrawn():
            person = event.actor
        case facts.PauseRequested() | facts.RetryRequested() | facts.ChangeRevealed() | facts.ConsoleActed():
            person = event.actor
        case facts.PlanDecided():
            person = event.signed.approval.approver
        case operating.ConnectorPromoted():
            person = event.promotion.by
        case schedules.SchedulePaused():
            person = event.pause.by
        case schedules.ScheduleResumed():
            person = event.by
        case _:
            source = headers.get("ce-source", "")
            return source if _PROGRAM.fullmatch(source) else None
    return person[:TEXT_CHARS_MAX] if person else None


def _state(event: RunState) -> Summary:
    summary: Summary = {"approvals": len(event.approvals), "failure_code": _code(event.failure)}
    if event.plan is not None:
        summary["plan_digest"] = event.plan.plan_digest
        summary["verdict_level"] = event.plan.verdict_level
    return summary | _nine(event.counts)


def _refused(event: facts.CommandRefused | facts.ApplyRefused) -> Summary:
    return {"code": _code(event.refusal)}


def _reason(event: facts.ConnectionHealth | facts.AlarmRaised) -> Summary:
    return {"code": _code(event.reason)}


def _snapshot(event: facts.SnapshotRead) -> Summary:
    return {
        "certificates": len(event.certificates),
        "rows": sum(certificate.rows for certificate in event.certificates),
        "sources_certified": sum(source.is_certified for source in event.sources),
        "sources": len(event.sources),
        "incomplete_code": _code(event.incomplete),
        "unmapped_ids": len(event.unmapped),
        "partitions": len(event.partitions),
        "milliseconds": round(event.seconds * 1000),
    } | _by("quarantined", event.quarantined_by_code, frozenset(CATALOGUE))


def _diffed(event: facts.PartitionDiffed) -> Summary:
    measured: Summary = {"pages": len(event.pages), "milliseconds": round(event.seconds * 1000)}
    return measured | _by("class", event.changes_by_class, _CLASSES)


def _drafted(event: facts.PlanDrafted) -> Summary:
    measured: Summary = {"milliseconds": round(event.seconds * 1000)}
    return measured | _by("class", event.changes_by_class, _CLASSES)


def _decided(event: facts.PlanDecided) -> Summary:
    approval = event.signed.approval
    names = (
        "plan_digest", "verdict_digest", "subset", "decision", "is_override", "nonce", "signed_at", "expires_at",
    )  # fmt: skip
    return {name: getattr(approval, name) for name in names} | {"signature": event.signed.signature}


def _paused(event: facts.ApplyPaused) -> Summary:
    return {"code": _code(event.reason)} | _nine(event.counts)


def _finished(event: facts.ApplyFinished) -> Summary:
    measured: Summary = {"milliseconds": round(event.seconds * 1000)}
    return measured | _nine(event.counts) | _by("code", event.counts_by_code, frozenset(CATALOGUE))


def _outcome(event: facts.OutcomeRecorded) -> Summary:
    return {"code": _code(event.code)}


def _sealed(event: facts.RunSealed) -> Summary:
    phases = {name: round(seconds * 1000) for name, seconds in event.phases.items()}
    return (
        {"approvers": len(event.approvers)}
        | _nine(event.counts)
        | _by("class", event.counts_by_class, _CLASSES)
        | _by("code", event.counts_by_code, frozenset(CATALOGUE))
        | _by("milliseconds", phases, _STATES)
    )


def _declared_deltas(event: DeclaredDeltas) -> Summary:
    return {"declarations": len(event.declarations), "withdrawn": len(event.withdrawn)}


def _declared(event: facts.DeltaDeclared) -> Summary:
    one = event.declaration
    # Fields and values stay out: they may name a group that is small enough to be a person.
    names = ("connector", "entity", "change_class", "expected", "valid_from", "valid_until")
    tolerance: Summary = {"tolerance_percent": f"{one.tolerance_percent:g}", "conditions": len(one.where)}
    return {"declaration": one.id} | {name: getattr(one, name) for name in names} | tolerance


def _revealed(event: facts.ChangeRevealed) -> Summary:
    # Names of fields are the contract's, not the person's.
    named: Summary = {f"field.{name}": True for name in event.fields[:FIELDS_TOLD_MAX]}
    return {"fields": len(event.fields)} | named


def _acted(event: facts.ConsoleActed) -> Summary:
    return {f"detail.{name}": event.detail[name] for name in sorted(_ACCESS_DETAILS & event.detail.keys())}


def _noticed(event: operating.NoticeSent) -> Summary:
    return {"code": _code(event.code)}


def _promoted(event: operating.ConnectorPromoted) -> Summary:
    one = event.promotion
    return {"connector_version": one.version, "release_digest": one.digest, "tried_in": one.tried_in}


def _promotions(event: ConnectorPromotions) -> Summary:
    return {"promotions": len(event.promotions)}


def _schedule(event: ScheduleState) -> Summary:
    return {"is_paused": event.paused is not None, "code": _code(event.last_code)}


def _skipped(event: schedules.ScheduleSkipped) -> Summary:
    return {"code": _code(event.reason)}


_FURTHER: dict[type[Event], Callable[[Any], Summary]] = {
    RunState: _state,
    DeclaredDeltas: _declared_deltas,
    facts.DeltaDeclared: _declared,
    facts.CommandRefused: _refused,
    facts.SnapshotRead: _snapshot,
    facts.PartitionDiffed: _diffed,
    facts.PlanDrafted: _drafted,
    facts.PlanDecided: _decided,
    facts.ApplyRefused: _refused,
    facts.ConnectionHealth: _reason,
    facts.AlarmRaised: _reason,
    facts.ApplyPaused: _paused,
    facts.ApplyFinished: _finished,
    facts.OutcomeRecorded: _outcome,
    facts.RunSealed: _sealed,
    facts.ChangeRevealed: _revealed,
    facts.ConsoleActed: _acted,
    operating.NoticeSent: _noticed,
    operating.ConnectorPromoted: _promoted,
    ConnectorPromotions: _promotions,
    ScheduleState: _schedule,
    schedules.ScheduleSkipped: _skipped,
}
"""What is counted, measured or taken from within."""

SUMMARISED = frozenset(_FIELDS)
"""The types that have an allow-list."""


def _plain(value: Any) -> str | int | bool | None:
    """A value as the summary keeps it; an enum as its text. `TypeError` for what is no single value."""
    if isinstance(value, str):
        return str(value)[:TEXT_CHARS_MAX]
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        return str(value)  # JSON readers would not keep it exactly
    if value is None or isinstance(value, int):
        return value
    raise TypeError(f"a summary holds single values, not {type(value).__name__}")


def _code(failure: FailureNote | str | None) -> str | None:
    """The code if the catalogue holds it: a sentence in its place must not pass."""
    code = failure.code if isinstance(failure, FailureNote) else failure
    return code if code is None or code in CATALOGUE else "unlisted"


def _nine(counts: NineCounts | None) -> Summary:
    return {} if counts is None else dict(counts.model_dump())


def _by(prefix: str, counts: Mapping[str, int], known: frozenset[str]) -> Summary:
    """Counts under known names; what stands under others is added up, so that nothing goes missing."""
    found: Summary = {f"{prefix}.{name}": counts[name] for name in sorted(known & counts.keys())}
    other = sum(number for name, number in counts.items() if name not in known)
    return found | ({f"{prefix}.unlisted": other} if other else {})
