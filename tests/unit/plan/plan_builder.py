"""Synthetic changes, plans, approvals and runs, in which a test says only what matters to it."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.clock import to_text
from shared.events.documents import PageReference
from shared.hashing.commitment import subject_key
from shared.hashing.signing import load_private_key, public_key_b64, sign
from shared.plan.change import (
    DESTRUCTIVE,
    Cause,
    Change,
    ChangeClass,
    FieldChange,
    Write,
    change_id_of,
    state_commitment,
)
from shared.plan.document import (
    EntityPlan,
    Excluded,
    Plan,
    PlanHeader,
    content_digest_of,
    leaves_of,
    plan_digest_of,
)
from shared.plan.subset import SubsetIndex, left_out_root, subset_root
from shared.policy.approval import (
    SIGNATURE_DOMAIN,
    Approval,
    Identities,
    Person,
    SignedApproval,
    approvals_needed,
    payload_of,
    risk_of,
)
from shared.policy.figures import EntityFigures, GuardFigures, SourceFigures
from shared.policy.guard import guard
from shared.policy.limits import DEFAULT_POLICY, Policy
from shared.ports.wire import ChangeVerb, Record, Value
from shared.records.certificate import EMPTY_CHAIN_SHA256, Certificate
from shared.run.state import PhaseTime, PlanSummary, RunState, WorkItem
from shared.run.states import RunStatus

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
RUN = "20261122T075500-000001"
OTHER_RUN = "20261122T075600-000002"
TARGET = "small"
ENTITY = "contacts"
FIELDS = ("external_id", "first_name", "email", "role", "active")
MASTER = bytes(range(32))
PRIVATE = {
    name: load_private_key(base64.b64encode(bytes([number]) * 32).decode())
    for number, name in enumerate(("anna", "abel", "otto", "olga"), start=1)
}
IDENTITIES = Identities(
    people={
        "anna": Person(roles=("approver",), approval_key=public_key_b64(PRIVATE["anna"])),
        "abel": Person(roles=("approver",), approval_key=public_key_b64(PRIVATE["abel"])),
        "otto": Person(roles=("operator", "approver"), approval_key=public_key_b64(PRIVATE["otto"])),
        "olga": Person(roles=("operator",), approval_key=public_key_b64(PRIVATE["olga"])),
        "keyless": Person(roles=("approver",)),
    }
)
_VERBS: dict[ChangeClass, ChangeVerb] = {
    ChangeClass.CREATE: "create",
    ChangeClass.SUSPEND: "suspend",
    ChangeClass.REACTIVATE: "reactivate",
    ChangeClass.DELETE: "delete",
}


def record(number: int, **fields: Value) -> dict[str, Value]:
    """A record of the small target as it shows it."""
    return {
        "target_id": f"t-{number}",
        "external_id": f"E{number}",
        "first_name": f"Name{number}",
        "email": f"p{number}@example.org",
        "role": "TEACHER",
        "active": True,
        **fields,
    }


def change(
    number: int,
    change_class: ChangeClass = ChangeClass.UPDATE,
    *,
    live: Record | None = None,
    after: Mapping[str, Value] | None = None,
    **overrides: Any,
) -> Change:
    """A finished change of record `number`; `live` is what the plan saw of it."""
    verb: ChangeVerb = _VERBS.get(change_class, "update")
    key, entity = f"E{number}", ENTITY
    commitment_key = subject_key(MASTER, f"{TARGET}/{entity}/{key}")
    seen = None if verb == "create" else (live if live is not None else record(number))
    if after is None:
        if verb == "create":
            after = {name: value for name, value in record(number).items() if name != "target_id"}
        elif verb == "suspend":
            after = {"active": False}
        else:
            after = {} if verb == "delete" else {"first_name": f"New{number}"}
    target_id = None if seen is None else str(seen["target_id"])
    path = "/contacts" if target_id is None else f"/contacts/{target_id}"
    method = {"create": "POST", "delete": "DELETE"}.get(verb, "PATCH")
    cause = Cause.SCOPE_CHANGE if verb in ("suspend", "delete") else Cause.SOURCE_CHANGE
    made = Change(
        change_id=change_id_of(
            target=TARGET,
            entity=entity,
            key=key,
            change_class=change_class,
            after_commitment=state_commitment(commitment_key, after),
        ),
        target=TARGET,
        entity=entity,
        key=key,
        target_id=target_id,
        change_class=change_class,
        verb=verb,
        fields=tuple(
            FieldChange(name=name, before=None if seen is None else seen[name], after=value, cause=cause)
            for name, value in after.items()
        ),
        precondition=None
        if seen is None
        else state_commitment(commitment_key, {name: seen.get(name) for name in FIELDS}),
        write=Write(method=method, path=path, body=None if verb == "delete" else dict(after)),
        commitment_key=commitment_key.hex(),
        wave=2 if change_class in DESTRUCTIVE else 1,
    )
    return made.model_copy(update=overrides)


def certificate(*, rows: int = 100, side: str = "source", at: datetime = NOW) -> Certificate:
    return Certificate(
        side="source" if side == "source" else "target",
        connection="hr" if side == "source" else TARGET,
        system="people_system" if side == "source" else "small_system",
        entity="people" if side == "source" else ENTITY,
        scope="all",
        rows=rows,
        expected_rows=rows,
        expected_origin="count",
        pages=1,
        page_chain_sha256=EMPTY_CHAIN_SHA256,
        first_cursor="1",
        last_cursor=str(rows),
        errors=0,
        started_at=to_text(at - timedelta(minutes=5)),
        ended_at=to_text(at - timedelta(minutes=4)),
    )


def figures(*, changes: Mapping[str, int] | None = None, **overrides: Any) -> EntityFigures:
    """The numbers of a quiet run over 1,000 records."""
    plain = EntityFigures(
        entity=ENTITY,
        sources=(SourceFigures(source="person", rows=1000, rows_accepted_last=1000, is_certified=True),),
        is_target_certified=True,
        live_managed=1000,
        desired=1000,
        changes=dict(changes or {}),
    )
    return plain.model_copy(update=overrides)


def header(changes: Sequence[Change], **overrides: Any) -> PlanHeader:
    """The header of a plan over these changes."""
    by_class = {
        name: number for name, number in sorted(Counter(one.change_class.value for one in changes).items()) if number
    }
    kept = [one for one in changes if one.change_class not in DESTRUCTIVE]
    fields = Counter(field.name for one in kept if one.target_id is not None for field in one.fields)
    emptied = sum(any(field.before is not None and field.after is None for field in one.fields) for one in kept)
    guarded = GuardFigures(
        entities=(figures(changes=by_class, null_outs=emptied, field_changes=dict(sorted(fields.items()))),)
    )
    policy: Policy = overrides.pop("policy", DEFAULT_POLICY)
    verdict = guard(guarded, policy)
    made = PlanHeader(
        run=RUN,
        requester="otto",
        connector="tiny",
        connector_version="1.0.0",
        release_digest="sha256:release",
        target=TARGET,
        target_system="small_system",
        environment="staging",
        target_serial=7,
        target_read_at=to_text(NOW - timedelta(minutes=5)),
        entities=(EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=("first_name", "email")),),
        certificates=(certificate(), certificate(side="target")),
        figures=guarded,
        policy=policy,
        verdict=verdict,
        excluded=(),
        changes=len(changes),
        changes_by_class=by_class,
        approvals_needed=approvals_needed(risk_of(by_class, verdict.level)),
        created_at=to_text(NOW),
        expires_at=to_text(NOW + timedelta(hours=4)),
    )
    return made.model_copy(update=overrides)


def plan(
    changes: Sequence[Change], *, pages: Iterable[PageReference] = (), excluded: Sequence[Change] = (), **overrides: Any
) -> Plan:
    """A plan with its digests."""
    if excluded:
        overrides["excluded"] = tuple(Excluded(change_id=one.change_id, code="MAT_AMBIGUOUS") for one in excluded)
    head, leaves = header(changes, **overrides), leaves_of(changes)
    return Plan(
        header=head,
        pages=tuple(pages),
        plan_digest=plan_digest_of(head, leaves),
        content_digest=content_digest_of(head, leaves),
    )


def summary(of: Plan) -> PlanSummary:
    head = of.header
    return PlanSummary(
        plan_digest=of.plan_digest,
        content_digest=of.content_digest,
        verdict_digest=head.verdict.digest,
        verdict_level=head.verdict.level.value,
        changes=head.changes,
        changes_by_class=head.changes_by_class,
        approvals_needed=head.approvals_needed,
        created_at=head.created_at,
        expires_at=head.expires_at,
    )


def approval(of: Plan, approver: str = "anna", **overrides: Any) -> SignedApproval:
    """An approval of the plan, signed by the approver's own key."""
    plain = Approval(
        run=of.header.run,
        plan_digest=of.plan_digest,
        verdict_digest=of.header.verdict.digest,
        decision="approve",
        approver=approver,
        reason="reviewed",
        nonce=f"nonce-{approver}",
        signed_at=to_text(NOW),
        expires_at=to_text(NOW + timedelta(hours=4)),
    )
    return signed(plain.model_copy(update=overrides))


def signed_part(left_out: Collection[str], index: SubsetIndex) -> dict[str, Any]:
    """The fields of an approval that leaves these changes out."""
    return {"subset": subset_root(left_out, index), "left_out_root": left_out_root(left_out)}


def signed(one: Approval, *, key_of: str | None = None) -> SignedApproval:
    private = PRIVATE[key_of or (one.approver if one.approver in PRIVATE else "anna")]
    return SignedApproval(approval=one, signature=sign(private, domain=SIGNATURE_DOMAIN, payload=payload_of(one)))


def run_state(status: RunStatus = RunStatus.QUEUED, *, of: Plan | None = None, **overrides: Any) -> RunState:
    """The document of a run that came to its state by the straight way."""
    at = to_text(NOW)
    way = [RunStatus.QUEUED]
    if status is not RunStatus.QUEUED:
        way.append(status)
    plain = RunState(
        run=RUN,
        connector="tiny",
        connector_version="1.0.0",
        release_digest="sha256:release",
        mode="apply",
        requester="otto",
        status=status,
        changed_at=at,
        work=(WorkItem(side="target", entity=ENTITY), WorkItem(side="source", entity=ENTITY)),
        partitions=2,
        target=TARGET,
        plan=None if of is None else summary(of),
        history=tuple(PhaseTime(status=one, at=at) for one in way),
    )
    return plain.model_copy(update=overrides)
