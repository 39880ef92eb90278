"""Whether a stored plan is the approved plan, and still may be applied: every check before the first write.

Pure. The applier believes nobody: it computes the digest from the pages it read, runs the guard again over the plan's
figures, and checks every approval's signature against the keys it was given itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clock import from_text
from shared.errors import AetherError, NeedsPerson, StopRun
from shared.events.envelope import Undecodable, decode
from shared.hashing.canonical import sha256_hex
from shared.plan.change import DESTRUCTIVE, Change, change_id_of, state_commitment
from shared.plan.document import Plan, PlanPage, in_order, leaves_of, plan_digest_of
from shared.plan.subset import check_subset, subset_index
from shared.policy.approval import ALL, Identities, PlanFacts, approvals_needed, check_approval, risk_of
from shared.policy.figures import EntityFigures
from shared.policy.guard import Level, guard
from shared.run.state import RunState

SNAPSHOT_HOURS = {"D0": 4, "D1": 4, "D2": 1}
"""How old the target's snapshot may be at the first write, by risk."""


@dataclass(frozen=True)
class StoredBytes:
    """A stored message, as far as this matters here."""

    subject: str
    headers: Mapping[str, str]
    data: bytes


class PlanIsStale(StopRun):
    """The plan was good and is so no longer; it ends as stale, not as failed."""


def genuine_pages(plan: Plan, stored: Sequence[StoredBytes]) -> list[StoredBytes]:
    """The stored pages that are the plan's own, each once: what else came to lie beside them is left out.

    For a run that has begun. Pages are never deleted, so a forged one beside them must not keep the run from looking up
    what became of its writes; before the first write it is a reason to write nothing.
    """
    wanted = {(page.subject, page.sha256) for page in plan.pages}
    return list({one.subject: one for one in stored if (one.subject, sha256_hex(one.data)) in wanted}.values())


def examine_pages(plan: Plan, stored: Sequence[StoredBytes]) -> list[Change]:
    """The plan's changes in order; `StopRun` (APL_PLAN_ALTERED) unless the stored pages are exactly the plan's."""
    run = plan.header.run
    wanted = {page.subject: page for page in plan.pages}
    changes: list[Change] = []
    seen: set[str] = set()
    for message in stored:
        reference = wanted.get(message.subject)
        if reference is None or message.subject in seen:
            raise _altered(run, f"page {message.subject} is on the bus and not in the plan")
        seen.add(message.subject)
        if sha256_hex(message.data) != reference.sha256:
            raise _altered(run, f"page {message.subject} has not the digest that the plan names")
        try:
            page = decode(PlanPage, data=message.data, headers=message.headers, subject=message.subject)
        except Undecodable as error:
            raise _altered(run, error.message) from error
        if page.run != run or len(page.changes) != reference.changes:
            raise _altered(run, f"page {message.subject} holds another run's or another number of changes")
        changes += page.changes
    missing = sorted(set(wanted) - seen)
    if missing:
        raise _altered(run, f"{len(missing)} pages are missing, the first is {missing[0]}")
    return _ordered(run, changes)


def _ordered(run: str, changes: list[Change]) -> list[Change]:
    try:
        return in_order(changes)
    except ValueError as error:
        raise _altered(run, str(error)) from error


def examine_plan(plan: Plan, changes: Sequence[Change], state: RunState) -> None:
    """`StopRun` unless header and changes have the approved digest and the guard still says what was approved."""
    header, summary = plan.header, state.plan
    if summary is None or header.run != state.plan_run:
        raise _altered(state.run, "the run's document names no plan, or the plan is another run's")
    digest = plan_digest_of(header, leaves_of(changes))
    if digest != plan.plan_digest or digest != summary.plan_digest:
        raise _altered(state.run, f"the stored plan has digest {digest}, approved is {summary.plan_digest}")
    for change in changes:
        _examine_change(plan, change)
    _examine_figures(plan, changes)
    verdict = guard(header.figures, header.policy)
    if verdict.digest != header.verdict.digest or verdict.digest != summary.verdict_digest:
        raise StopRun(
            "APL_VERDICT_DIFFERS",
            f"run {state.run}: the guard says {verdict.digest}, approved is {summary.verdict_digest}",
            run=state.run,
        )
    if verdict.level is Level.BLOCK:
        raise StopRun("APL_VERDICT_DIFFERS", f"run {state.run}: the guard blocks this plan", run=state.run)


def _examine_change(plan: Plan, change: Change) -> None:
    header = plan.header
    key = bytes.fromhex(change.commitment_key)
    after = state_commitment(key, {one.name: one.after for one in change.fields})
    wanted = change_id_of(
        target=change.target,
        entity=change.entity,
        key=change.key,
        change_class=change.change_class,
        after_commitment=after,
    )
    if change.target != header.target or change.change_id != wanted:
        raise _altered(header.run, f"change {change.change_id} is not what its id says")


def _examine_figures(plan: Plan, changes: Sequence[Change]) -> None:
    """The guard judges figures, so these must be those of the changes that would be written."""
    header = plan.header
    by_class = Counter(change.change_class.value for change in changes)
    if +Counter(header.changes_by_class) != by_class or header.changes != len(changes):
        raise _differs(header.run, f"the header tells of {header.changes} changes, the pages hold {len(changes)}")
    by_entity: dict[str, list[Change]] = {one.entity: [] for one in header.figures.entities}
    if len(by_entity) != len(header.figures.entities):
        raise _differs(header.run, "the guard judged an entity twice")
    for change in changes:
        if change.entity not in by_entity:
            raise _differs(header.run, f"the guard judged no changes of {change.entity}, the pages hold some")
        by_entity[change.entity].append(change)
    for figures in header.figures.entities:
        for name, (told, found) in _countable(figures, by_entity[figures.entity]).items():
            if told != found:
                raise _differs(header.run, f"{figures.entity}: the guard judged {told} {name}, the pages hold {found}")
        _examine_certificates(plan, figures, by_entity[figures.entity])


def _countable(figures: EntityFigures, changes: Sequence[Change]) -> dict[str, tuple[int, int]]:
    """Every figure that the changes show: as the guard judged it, and as it is counted here.

    Cohorts and groups are not among them; the guard itself blocks when they do not add up to the changes by class.
    """
    kept = [change for change in changes if change.change_class not in DESTRUCTIVE]
    by_class = Counter(change.change_class.value for change in changes)
    by_field = Counter(
        name for change in kept if change.target_id is not None for name in {field.name for field in change.fields}
    )
    emptied = [
        change for change in kept if any(field.before is not None and field.after is None for field in change.fields)
    ]
    return {
        "changes that empty a value": (figures.null_outs, len(emptied)),
        **{
            f"changes of class {name}": (figures.changes.get(name, 0), by_class[name])
            for name in sorted({*figures.changes, *by_class})
        },
        **{
            f"changes of field {name}": (figures.field_changes.get(name, 0), by_field[name])
            for name in sorted({*figures.field_changes, *by_field})
        },
    }


def _examine_certificates(plan: Plan, figures: EntityFigures, changes: Sequence[Change]) -> None:
    """Removals need a certificate of every source of the entity, and of the target; the header must hold them."""
    removals = sum(change.change_class in DESTRUCTIVE for change in changes)
    if removals == 0:
        return
    header = plan.header
    missing = [source.source for source in figures.sources if not source.is_certified]
    given = sum(certificate.side == "source" for certificate in header.certificates)
    if not figures.sources or missing or given < len(figures.sources):
        raise _differs(
            header.run,
            f"{figures.entity}: {removals} removals, and of {len(figures.sources)} sources "
            f"{', '.join(missing) or 'some'} have no certificate",
        )
    if not any(
        (one.side, one.connection, one.entity) == ("target", header.target, figures.entity)
        for one in header.certificates
    ):
        raise _differs(header.run, f"{figures.entity}: {removals} removals, and the target has no certificate")


def examine_approvals(state: RunState, plan: Plan, *, identities: Identities, now: datetime) -> None:
    """`StopRun` unless as many people as the plan's risk asks for have approved exactly this plan."""
    header = plan.header
    facts = PlanFacts(
        # A retry goes on under the approvals of the plan, which name the run that the plan was made for.
        run=state.plan_run,
        requester=header.requester,
        plan_digest=plan.plan_digest,
        verdict_digest=header.verdict.digest,
        verdict_level=header.verdict.level,
        changes_by_class=header.changes_by_class,
        expires_at=header.expires_at,
        subset=next((one.approval.subset for one in state.approvals if one.approval.decision == "approve"), None),
    )
    earlier: list[str] = []
    for signed in state.approvals:
        try:
            check_approval(signed, plan=facts, identities=identities, earlier=earlier, now=now)
        except AetherError as error:
            if error.code == "APV_EXPIRED":
                raise PlanIsStale("APV_EXPIRED", error.message, run=state.run) from error
            raise StopRun(error.code, error.message, run=state.run) from error
        if signed.approval.decision == "approve":
            earlier.append(signed.approval.approver)
    needed = approvals_needed(risk_of(header.changes_by_class, header.verdict.level))
    if len(earlier) < needed:
        raise StopRun(
            "APV_TOO_FEW",
            f"run {state.run}: {len(earlier)} approvals, the plan's risk asks for {needed}",
            run=state.run,
        )


def examine_subset(state: RunState, plan: Plan, changes: Sequence[Change]) -> None:
    """`StopRun` unless what the run's document leaves out is exactly what its approvals leave out.

    After `examine_plan` and `examine_approvals`: the changes are the plan's, and the approvals are of one part of it.
    """
    approvals = [one.approval for one in state.approvals if one.approval.decision == "approve"]
    if all(one.subset == ALL for one in approvals) and not state.deferred:
        return  # the usual case, in which no leaf needs to be computed again
    index = subset_index(plan.header, changes)
    try:
        if not approvals:
            check_subset(ALL, state.deferred, index, signed_left_out=None)
        for one in approvals:
            check_subset(one.subset, state.deferred, index, signed_left_out=one.left_out_root)
    except NeedsPerson as error:
        raise _altered(
            state.run, f"what is approved is not what the run's document leaves ({error.message})"
        ) from error


def examine_age(
    plan: Plan, *, target_serial: int, now: datetime, begun_by: str | None = None, retry_of: str | None = None
) -> None:
    """`PlanIsStale` when the plan expired, its snapshot is old, or another plan was applied to the target since.

    `target_serial` is the sequence of the last apply that began on the target, `begun_by` its run. With `retry_of` the
    target must stand where that run left it.
    """
    header = plan.header
    risk = risk_of(header.changes_by_class, header.verdict.level)
    if now > from_text(header.expires_at):
        raise PlanIsStale("APL_STALE", f"run {header.run}: the plan expired at {header.expires_at}", run=header.run)
    oldest = now - timedelta(hours=SNAPSHOT_HOURS[risk])
    if from_text(header.target_read_at) < oldest:
        raise PlanIsStale(
            "APL_STALE",
            f"run {header.run}: the target was read at {header.target_read_at}, over {SNAPSHOT_HOURS[risk]} hours ago",
            run=header.run,
        )
    if retry_of is not None:
        if begun_by != retry_of:
            raise PlanIsStale(
                "APL_STALE",
                f"run {retry_of} cannot be retried: run {begun_by} has begun on {header.target} since",
                run=retry_of,
            )
    elif target_serial != header.target_serial:
        raise PlanIsStale(
            "APL_STALE",
            f"run {header.run}: another plan was applied to {header.target} since its records were read",
            run=header.run,
        )


def _differs(run: str, what: str) -> StopRun:
    return StopRun("APL_VERDICT_DIFFERS", f"run {run}: {what}; nothing is written", run=run)


def _altered(run: str, what: str) -> StopRun:
    return StopRun("APL_PLAN_ALTERED", f"run {run}: {what}; nothing is written", run=run)
