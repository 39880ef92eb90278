"""From compared partitions to one plan: figures, verdict, header, digests, and where the run goes next.

Pure. The same partitions in any order and number give the same plan. It sees the index of the changes, never the
changes themselves, so that a plan of a million changes is drafted in little memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from services.differ.comparing import Waves
from services.differ.memory import EntityHistory
from services.differ.tally import Tally, cohorts_of, declared_fields_of, declared_of, groups_of
from shared.clock import to_text
from shared.contract.connector import Connector
from shared.contract.model import ConnectorDefinition, EntityContract
from shared.contract.ordering import needs, ranks
from shared.events.documents import FailureNote
from shared.events.facts import PartitionDiffed, SnapshotRead
from shared.plan.change import Aside
from shared.plan.document import EntityPlan, Excluded, Plan, PlanHeader, PlanIndexPart, asides_digest_of
from shared.plan.index import content_digest_from_index, contested_of, plan_digest_from_index
from shared.policy.approval import VALID_HOURS, approvals_needed, risk_of
from shared.policy.connector_policy import policy_of
from shared.policy.declared import Declaration
from shared.policy.figures import EntityFigures, GuardFigures, SourceFigures
from shared.policy.guard import Level, Verdict, guard
from shared.run.state import PlanSummary, RunState
from shared.run.states import RunStatus

RowsAccepted = Mapping[tuple[str, str], int]
"""Rows of the last accepted run, by entity and source."""


@dataclass(frozen=True)
class EntityDraft:
    """What the comparison of one entity brought."""

    entity: str
    source: SnapshotRead
    target: SnapshotRead
    parts: Sequence[PartitionDiffed]
    """What each partition brought, and what settling the residue of all of them did, in the same words."""
    index: Sequence[PlanIndexPart]
    tally: Tally
    asides: Sequence[Aside]
    history: EntityHistory
    declarations: Sequence[Declaration] = ()
    """Declared deltas in force."""

    @cached_property
    def contested(self) -> tuple[str, ...]:
        """Ids of changes that claim one target record together; no partition can see it alone, so it is found here."""
        return tuple(contested_of(self.index))


@dataclass(frozen=True)
class Draft:
    """Everything a plan is made from."""

    state: RunState
    connector: Connector
    environment: str
    entities: Sequence[EntityDraft]
    """In any order; the contract's order counts."""
    rows_accepted: RowsAccepted
    now: datetime

    def named(self, entity: str) -> EntityDraft:
        """What the comparison of that entity brought."""
        return next(one for one in self.entities if one.entity == entity)


def waves_of(definition: ConnectorDefinition) -> dict[str, Waves]:
    """Where the changes of each entity stand in the order of execution.

    What an entity needs is made before it, and taken away after it; whatever takes away comes after all that does not.
    """
    rank_of = ranks(definition)
    highest = max(rank_of.values(), default=0)
    return {
        name: Waves(constructive=1 + rank, destructive=2 + highest + (highest - rank)) for name, rank in rank_of.items()
    }


def figures_of(draft: Draft) -> GuardFigures:
    """What the guard looks at, entity by entity in the contract's order."""
    return GuardFigures(
        entities=tuple(_entity_figures(draft, draft.named(name)) for name in draft.connector.definition.entities)
    )


def _entity_figures(draft: Draft, entity: EntityDraft) -> EntityFigures:
    source, target, parts = entity.source, entity.target, entity.parts
    is_target_certified = target.incomplete is None
    return EntityFigures(
        entity=entity.entity,
        sources=tuple(
            SourceFigures(
                source=one.source,
                rows=one.rows,
                rows_accepted_last=draft.rows_accepted.get((entity.entity, one.source)),
                is_certified=one.is_certified,
            )
            for one in source.sources
        ),
        is_target_certified=is_target_certified,
        live_managed=sum(part.live_managed for part in parts) if is_target_certified else None,
        desired=sum(part.desired for part in parts),
        changes=_summed(part.changes_by_class for part in parts),
        null_outs=sum(part.null_outs for part in parts),
        quarantined=source.quarantined,
        ambiguous=sum(part.ambiguous for part in parts)
        + source.quarantined_by_code.get("MAT_DUPLICATE_KEY", 0)
        + len(entity.contested),
        unmapped=sum(one.rows for one in source.unmapped),
        removals_suppressed=sum(part.removals_suppressed for part in parts),
        field_changes=_summed(part.field_changes for part in parts),
        declared_fields=declared_fields_of(entity.tally),
        cohorts=cohorts_of(entity.tally),
        groups=groups_of(entity.tally),
        windows=entity.history.windows,
        usual=entity.history.usual,
        declared=declared_of(entity.tally, entity.declarations, entity.history.declared_before),
        certified_runs=entity.history.certified_runs,
        is_onboarding=entity.history.is_onboarding,
        aside=_summed(part.aside for part in parts),
    )


def _summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return {name: total[name] for name in sorted(total) if total[name]}


def plan_of(draft: Draft) -> Plan:
    """The plan with its digests."""
    definition, state = draft.connector.definition, draft.state
    policy, figures = policy_of(definition), figures_of(draft)
    verdict = guard(figures, policy)
    by_class = _summed(entity.changes for entity in figures.entities)
    risk = risk_of(by_class, verdict.level)
    hours = min(
        VALID_HOURS[risk],
        definition.approval.valid_hours_high_risk if risk == "D2" else definition.approval.valid_hours,
    )
    targets = [entity.target for entity in draft.entities]
    contested = sorted(change_id for entity in draft.entities for change_id in entity.contested)
    asides = [aside for entity in draft.entities for aside in entity.asides]
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
            _entity_plan(name, contract, waits_for=needs(definition)[name])
            for name, contract in definition.entities.items()
        ),
        certificates=tuple(
            certificate
            for entity in sorted(draft.entities, key=lambda entity: entity.entity)
            for side in (entity.source, entity.target)
            for certificate in side.certificates
        ),
        figures=figures,
        policy=policy,
        verdict=verdict,
        excluded=tuple(Excluded(change_id=change_id, code="MAT_AMBIGUOUS") for change_id in contested),
        changes=sum(by_class.values()),
        changes_by_class=by_class,
        approvals_needed=approvals_needed(risk),
        created_at=to_text(draft.now),
        expires_at=to_text(draft.now + timedelta(hours=hours)),
        asides=len(asides),
        asides_digest=asides_digest_of(asides),
    )
    entries = [entry for entity in draft.entities for part in entity.index for entry in part.entries]
    pages = [page for entity in draft.entities for part in entity.parts for page in part.pages]
    return Plan(
        header=header,
        pages=tuple(sorted(pages, key=lambda page: page.subject)),
        plan_digest=plan_digest_from_index(header, entries),
        content_digest=content_digest_from_index(header, entries),
    )


def _entity_plan(name: str, contract: EntityContract, *, waits_for: tuple[str, ...]) -> EntityPlan:
    return EntityPlan(
        entity=name,
        compared_fields=tuple(contract.fields),
        # The key is how a reviewer and the log name the record; it is shown, or no change could be told apart.
        personal_fields=tuple(
            field for field, one in contract.fields.items() if one.pii != "none" and field != contract.key
        ),
        needs=waits_for,
        read_back=contract.read_back,
        unmanaged_fields=tuple(field for field, one in contract.fields.items() if not one.managed),
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
