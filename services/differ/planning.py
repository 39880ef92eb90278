"""From compared partitions to one plan: figures, verdict, header, digests, and where the run goes next.

Pure. The same partitions in any order give the same plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clock import to_text
from shared.contract.loading import Connector
from shared.contract.model import ConnectorDefinition
from shared.events.documents import FailureNote
from shared.events.facts import PartitionDiffed, SnapshotRead
from shared.plan.change import Change
from shared.plan.document import (
    EntityPlan,
    Excluded,
    Plan,
    PlanHeader,
    content_digest_of,
    leaves_of,
    plan_digest_of,
)
from shared.policy.approval import VALID_HOURS, approvals_needed, risk_of
from shared.policy.guard import EntityFigures, GuardFigures, Level, SourceFigures, Verdict, guard
from shared.policy.limits import Limit, Policy, limit_named, policy_with
from shared.run.state import PlanSummary, RunState
from shared.run.states import RunStatus

RowsAccepted = Mapping[tuple[str, str], int]
"""Rows of the last accepted run, by entity and source."""


@dataclass(frozen=True)
class Draft:
    """Everything a plan is made from."""

    state: RunState
    connector: Connector
    environment: str
    snapshots: Sequence[SnapshotRead]
    partitions: Sequence[PartitionDiffed]
    changes: Sequence[Change]
    rows_accepted: RowsAccepted
    now: datetime


def policy_of(definition: ConnectorDefinition) -> Policy:
    """The connector's policy: the defaults with its own limits. A part that it leaves out stays as it is."""
    overrides: dict[str, Limit] = {}
    for name, override in definition.guard.items():
        overrides[name] = limit_named(name).model_copy(update=override.model_dump(exclude_none=True))
    return policy_with(overrides)


def figures_of(draft: Draft) -> GuardFigures:
    """What the guard looks at, entity by entity in the contract's order."""
    return GuardFigures(
        entities=tuple(_entity_figures(draft, entity) for entity in draft.connector.definition.entities)
    )


def _entity_figures(draft: Draft, entity: str) -> EntityFigures:
    sides = {fact.side: fact for fact in draft.snapshots if fact.entity == entity}
    source, target = sides["source"], sides["target"]
    parts = [part for part in draft.partitions if part.entity == entity]
    changes: Counter[str] = Counter()
    for part in parts:
        changes.update(part.changes_by_class)
    is_target_certified = target.incomplete is None
    return EntityFigures(
        entity=entity,
        sources=tuple(
            SourceFigures(
                source=one.source,
                rows=one.rows,
                rows_accepted_last=draft.rows_accepted.get((entity, one.source)),
                is_certified=one.is_certified,
            )
            for one in source.sources
        ),
        is_target_certified=is_target_certified,
        live_managed=sum(part.live_managed for part in parts) if is_target_certified else None,
        desired=sum(part.desired for part in parts),
        changes={name: changes[name] for name in sorted(changes)},
        null_outs=sum(part.null_outs for part in parts),
        quarantined=source.quarantined,
        ambiguous=sum(part.ambiguous for part in parts)
        + source.quarantined_by_code.get("MAT_DUPLICATE_KEY", 0)
        + len(excluded_of([change for change in draft.changes if change.entity == entity])),
        removals_suppressed=sum(part.removals_suppressed for part in parts),
    )


def excluded_of(changes: Sequence[Change]) -> tuple[Excluded, ...]:
    """Changes that claim one target record together; partitions cannot see each other's, so it is found here."""
    claimed = Counter((change.entity, change.target_id) for change in changes if change.target_id is not None)
    return tuple(
        Excluded(change_id=change.change_id, code="MAT_AMBIGUOUS")
        for change in sorted(changes, key=lambda change: change.change_id)
        if change.target_id is not None and claimed[(change.entity, change.target_id)] > 1
    )


def plan_of(draft: Draft) -> Plan:
    """The plan with its digests."""
    definition, state = draft.connector.definition, draft.state
    policy, figures = policy_of(definition), figures_of(draft)
    verdict = guard(figures, policy)
    by_class = Counter(change.change_class.value for change in draft.changes)
    risk = risk_of(by_class, verdict.level)
    hours = min(
        VALID_HOURS[risk],
        definition.approval.valid_hours_high_risk if risk == "D2" else definition.approval.valid_hours,
    )
    targets = [fact for fact in draft.snapshots if fact.side == "target"]
    header = PlanHeader(
        run=state.run,
        requester=state.requester,
        connector=definition.name,
        connector_version=definition.version,
        release_digest=draft.connector.digest,
        target=definition.target.connection,
        target_system=definition.target.system,
        environment=draft.environment,
        # The oldest of several readings counts: what happened after it was not seen.
        target_serial=min(fact.target_serial for fact in targets),
        target_read_at=min(fact.started_at for fact in targets),
        entities=tuple(
            EntityPlan(
                entity=name,
                compared_fields=tuple(contract.fields),
                # The key is how a reviewer and the log name the record; it is shown, or no change could be told apart.
                personal_fields=tuple(
                    field for field, one in contract.fields.items() if one.pii != "none" and field != contract.key
                ),
            )
            for name, contract in definition.entities.items()
        ),
        certificates=tuple(
            certificate
            for fact in sorted(draft.snapshots, key=lambda fact: (fact.entity, fact.side))
            for certificate in fact.certificates
        ),
        figures=figures,
        policy=policy,
        verdict=verdict,
        excluded=excluded_of(draft.changes),
        changes=len(draft.changes),
        changes_by_class={name: by_class[name] for name in sorted(by_class)},
        approvals_needed=approvals_needed(risk),
        created_at=to_text(draft.now),
        expires_at=to_text(draft.now + timedelta(hours=hours)),
    )
    leaves = leaves_of(draft.changes)
    pages = sorted((page for part in draft.partitions for page in part.pages), key=lambda page: page.subject)
    return Plan(
        header=header,
        pages=tuple(pages),
        plan_digest=plan_digest_of(header, leaves),
        content_digest=content_digest_of(header, leaves),
    )


def summary_of(plan: Plan) -> PlanSummary:
    """What the run's document says of the plan."""
    header = plan.header
    return PlanSummary(
        plan_digest=plan.plan_digest,
        content_digest=plan.content_digest,
        verdict_digest=header.verdict.digest,
        verdict_level=header.verdict.level.value,
        changes=header.changes,
        changes_by_class=header.changes_by_class,
        approvals_needed=header.approvals_needed,
        created_at=header.created_at,
        expires_at=header.expires_at,
    )


def status_after(plan: Plan, mode: str) -> tuple[RunStatus, FailureNote | None]:
    """Where a guarded run goes, and why when it may not go on."""
    verdict = plan.header.verdict
    if verdict.level is Level.BLOCK:
        return RunStatus.BLOCKED, note_of(verdict)
    if plan.header.changes == 0 and verdict.level is not Level.HOLD:
        return RunStatus.NO_CHANGES, None
    if mode == "dry-run":
        return RunStatus.PLANNED, note_of(verdict) if verdict.level is Level.HOLD else None
    if verdict.level is Level.HOLD:
        return RunStatus.HELD, note_of(verdict)
    return RunStatus.AWAITING_APPROVAL, None


def note_of(verdict: Verdict) -> FailureNote:
    """The first of the worst lines; the others stand in the plan."""
    worst = verdict.worst_lines
    more = f"; and {len(worst) - 1} more lines" if len(worst) > 1 else ""
    return FailureNote(code=worst[0].code or "GRD_LIMIT", text=worst[0].text + more)
