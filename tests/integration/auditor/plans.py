"""Synthetic plans on the bus, with what a reviewer looks for: classes, cohorts, alike changes, asides, hidden keys."""

from __future__ import annotations

from collections.abc import Sequence

from shared.bus.publishing import publish_one
from shared.events.documents import PageReference
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Aside, Cause, Change, ChangeClass, FieldChange, Write
from shared.plan.document import EntityPlan, Excluded, Plan, PlanHeader, PlanPage, header_subject, page_subject
from shared.policy.figures import CohortFigures, EntityFigures, GuardFigures
from shared.policy.guard import Level, Verdict
from shared.policy.limits import DEFAULT_POLICY
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.integration.auditor.house import House, event_message, run_state

SECRET = "Petersen-Example"
MAIL = "petra.petersen@example.org"
MOMENT = "2026-11-22T08:00:00.000Z"
SITES = ("11", "12")


def change(number: int, kind: ChangeClass = ChangeClass.UPDATE, *, key: str | None = None) -> Change:
    """One change of a person's name and site; odd ones go to site 12, a create comes from nothing."""
    is_new = kind is ChangeClass.CREATE
    fields = (
        FieldChange(name="last_name", before=None if is_new else "Sample", after=SECRET, cause=Cause.SOURCE_CHANGE),
        FieldChange(name="site", before=None if is_new else "11", after=SITES[number % 2], cause=Cause.DRIFT),
    )
    return Change(
        change_id=sha256_hex(f"change {number}".encode()), target="hst", entity="staff", key=key or str(1000 + number),
        target_id=None, change_class=kind, verb="update", fields=fields, precondition=None,
        write=Write(method="PUT", path="/x", body={"last_name": SECRET}),
        commitment_key=sha256_hex(f"key {number}".encode()), wave=2,
        cohort=f"site={fields[1].after if is_new else fields[1].before}",
    )  # fmt: skip


def aside(number: int, *, key: str | None = None) -> Aside:
    """One change that was left out."""
    return Aside(
        entity="staff", key=key or str(5000 + number), target_id=None, change_class=ChangeClass.DELETE,
        fields=("site",), code="DIF_PROTECTED", commitment_key=sha256_hex(f"key {number}".encode()),
    )  # fmt: skip


def pages_of(
    run: str, changes: Sequence[Change], *, asides: Sequence[Aside] = (), on_a_page: int = 3
) -> list[PlanPage]:
    """The changes on pages in change-id order, what was left out on the last."""
    ordered = sorted(changes, key=lambda one: one.change_id)
    parts = [tuple(ordered[start : start + on_a_page]) for start in range(0, len(ordered), on_a_page)]
    last = len(parts)
    return [
        PlanPage(run=run, partition=0, number=number, changes=part, aside=tuple(asides) if number == last else ())
        for number, part in enumerate(parts, start=1)
    ]


def plan_of(run: str, pages: Sequence[PlanPage], *, excluded: Sequence[Change] = ()) -> Plan:
    """The header over pages."""
    asides = sum(len(page.aside) for page in pages)
    cohorts = tuple(CohortFigures(cohort=f"site={site}", live_managed=30, changes={}) for site in SITES)
    figures = EntityFigures(
        entity="staff", sources=(), is_target_certified=True, live_managed=60, desired=60, changes={}, cohorts=cohorts,
        aside={"DIF_PROTECTED": asides} if asides else {},
    )  # fmt: skip
    header = PlanHeader(
        run=run, requester="otto", connector="staff", connector_version="1", release_digest="sha256:r", target="hst",
        target_system="titanhst", environment="staging", target_serial=0, target_read_at=MOMENT,
        entities=(EntityPlan(entity="staff", compared_fields=("last_name", "site"), personal_fields=("last_name",)),),
        certificates=(), figures=GuardFigures(entities=(figures,)), policy=DEFAULT_POLICY,
        verdict=Verdict(level=Level.PASS, lines=(), policy_digest=DEFAULT_POLICY.digest),
        excluded=tuple(Excluded(change_id=one.change_id, code="GRD_LIMIT") for one in excluded),
        changes=sum(len(page.changes) for page in pages), changes_by_class={}, approvals_needed=1, created_at=MOMENT,
        expires_at=MOMENT, asides=asides,
    )  # fmt: skip
    references = tuple(
        PageReference(
            subject=page_subject(run, "staff", 0, page.number),
            sha256=sha256_hex(page.model_dump_json().encode()),
            changes=len(page.changes),
        )
        for page in pages
    )
    return Plan(header=header, pages=references, plan_digest=f"sha256:{run}", content_digest="sha256:c")


async def publish(house: House, run: str, pages: Sequence[PlanPage], plan: Plan) -> None:
    """Put a plan on the bus as the differ does: the pages, then the header."""
    js = house.writers["differ"]
    for page in pages:
        subject = page_subject(run, "staff", 0, page.number)
        await publish_one(js, event_message(page, subject, run, service="differ"))
    await publish_one(js, event_message(plan, header_subject(run), run, service="differ"))


async def plan_on_the_bus(
    house: House, run: str, changes: Sequence[Change], *, asides: Sequence[Aside] = (), excluded: Sequence[Change] = ()
) -> RunState:
    """A plan on the bus, and the document of the run that waits for its approval."""
    pages = pages_of(run, changes, asides=asides)
    await publish(house, run, pages, plan_of(run, pages, excluded=excluded))
    state = run_state(run, RunStatus.AWAITING_APPROVAL, changes=len(changes))
    await house.say_state(state)
    return state
