"""Before the first write: a plan that is not whole, not the approved one, not approved or too old is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.applier.examination import (
    PlanIsStale,
    StoredBytes,
    examine_age,
    examine_approvals,
    examine_pages,
    examine_plan,
    examine_subset,
    genuine_pages,
)
from services.differ.pages import cut
from shared.clock import to_text
from shared.errors import StopRun
from shared.events.documents import PageReference
from shared.events.envelope import body_of, headers_of
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Change, ChangeClass, FieldChange
from shared.plan.document import Plan, PlanPage, in_order, leaves_of, plan_digest_of
from shared.plan.subset import subset_index
from shared.policy.approval import SignedApproval
from shared.policy.figures import GuardFigures
from shared.policy.guard import Level, guard
from shared.policy.limits import DEFAULT_POLICY, Limit, policy_with
from shared.records.certificate import Certificate
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.unit.plan.plan_builder import (
    ENTITY,
    IDENTITIES,
    NOW,
    OTHER_RUN,
    RUN,
    approval,
    certificate,
    change,
    figures,
    header,
    plan,
    run_state,
    signed_part,
    summary,
)

DELETES = policy_with({"delete": Limit(count=25)})
CHANGES = [change(n) for n in range(1, 6)]
CUT = cut(in_order(CHANGES), run=RUN, entity=ENTITY, partition=0) + cut(
    [change(9, ChangeClass.SUSPEND)], run=RUN, entity=ENTITY, partition=1
)
ALL = [*CHANGES, change(9, ChangeClass.SUSPEND)]
PLAN = plan(ALL, pages=[page.reference for page in CUT])


def stored(page: PlanPage, subject: str) -> StoredBytes:
    headers = headers_of(page, message_id="m", source="/services/differ", subject=RUN, time=NOW)
    return StoredBytes(subject=subject, headers=headers, data=body_of(page))


PAGES = [stored(page.page, page.reference.subject) for page in CUT]


def refused(act: Callable[[], object], code: str) -> StopRun:
    with pytest.raises(StopRun) as error:
        act()
    assert error.value.code == code
    assert error.value.facts["run"] == RUN
    return error.value


# --- pages ----------------------------------------------------------------------------------------------------------


def test_pages_of_the_plan_give_its_changes_in_order() -> None:
    assert examine_pages(PLAN, PAGES) == in_order(ALL)


def test_what_lies_beside_the_plan_of_a_run_that_has_begun_is_left_out() -> None:
    forged = replace(PAGES[0], data=PAGES[0].data + b" ")
    elsewhere = replace(PAGES[0], subject=PAGES[0].subject + "9")
    beside = [forged, *PAGES, PAGES[0], elsewhere, forged]
    assert genuine_pages(PLAN, beside) == PAGES
    assert examine_pages(PLAN, genuine_pages(PLAN, beside)) == in_order(ALL)
    refused(lambda: examine_pages(PLAN, genuine_pages(PLAN, [forged, *PAGES[1:]])), "APL_PLAN_ALTERED")
    assert examine_pages(PLAN, PAGES[::-1]) == in_order(ALL)


def test_forged_page_is_refused_though_its_schema_is_valid() -> None:
    forged = stored(PlanPage(run=RUN, partition=1, number=2, changes=(change(7),)), f"plan.{RUN}.page.{ENTITY}.1.2")
    refused(lambda: examine_pages(PLAN, [*PAGES, forged]), "APL_PLAN_ALTERED")


def test_missing_page_is_refused() -> None:
    assert "missing" in refused(lambda: examine_pages(PLAN, PAGES[1:]), "APL_PLAN_ALTERED").message


def test_page_that_comes_twice_is_refused() -> None:
    refused(lambda: examine_pages(PLAN, [*PAGES, PAGES[0]]), "APL_PLAN_ALTERED")


def test_page_with_one_altered_byte_is_refused() -> None:
    page = PAGES[0]
    for at in range(0, len(page.data), 97):
        data = page.data[:at] + bytes([page.data[at] ^ 1]) + page.data[at + 1 :]
        altered = StoredBytes(subject=page.subject, headers=page.headers, data=data)
        refused(lambda altered=altered: examine_pages(PLAN, [altered, *PAGES[1:]]), "APL_PLAN_ALTERED")  # type: ignore[misc]  # a default argument of a lambda


def test_page_that_is_no_page_is_refused() -> None:
    other = StoredBytes(subject=PAGES[0].subject, headers={"ce-type": "aether.plan.v1"}, data=PAGES[0].data)
    refused(lambda: examine_pages(PLAN, [other, *PAGES[1:]]), "APL_PLAN_ALTERED")


@pytest.mark.parametrize("what", ["run", "number of changes", "twice"])
def test_page_with_right_digest_and_wrong_content_is_refused(what: str) -> None:
    page = {
        "run": PlanPage(run=OTHER_RUN, partition=0, number=1, changes=tuple(CHANGES)),
        "number of changes": PlanPage(run=RUN, partition=0, number=1, changes=tuple(CHANGES[1:])),
        "twice": PlanPage(run=RUN, partition=0, number=1, changes=(*CHANGES[1:], CHANGES[1])),
    }[what]
    subject = CUT[0].reference.subject
    reference = PageReference(subject=subject, sha256=sha256_hex(body_of(page)), changes=len(CHANGES))
    of = PLAN.model_copy(update={"pages": (reference,)})
    refused(lambda: examine_pages(of, [stored(page, subject)]), "APL_PLAN_ALTERED")


# --- plan -----------------------------------------------------------------------------------------------------------


def test_approved_plan_passes() -> None:
    examine_plan(PLAN, ALL, run_state(RunStatus.APPROVED, of=PLAN))


def resealed(of: list[Change], **overrides: object) -> tuple[Plan, RunState]:
    """A plan whose digest is right for what it holds, and a run that names it: everything but what is under test."""
    head = header(of).model_copy(update=overrides)
    made = plan(of).model_copy(update={"header": head, "plan_digest": plan_digest_of(head, leaves_of(of))})
    return made, run_state(RunStatus.APPROVED, plan=summary(made))


def test_plan_without_summary_or_of_another_run_is_refused() -> None:
    refused(lambda: examine_plan(PLAN, ALL, run_state(RunStatus.APPROVED)), "APL_PLAN_ALTERED")
    other, state = resealed(ALL, run=OTHER_RUN)
    refused(lambda: examine_plan(other, ALL, state), "APL_PLAN_ALTERED")


def test_changes_that_do_not_give_the_digest_are_refused() -> None:
    state = run_state(RunStatus.APPROVED, of=PLAN)
    refused(lambda: examine_plan(PLAN, ALL[1:], state), "APL_PLAN_ALTERED")
    refused(lambda: examine_plan(PLAN, [*ALL, change(77)], state), "APL_PLAN_ALTERED")


def test_plan_that_is_not_the_one_the_run_names_is_refused() -> None:
    other = plan(ALL, expires_at=to_text(NOW + timedelta(hours=5)))
    refused(lambda: examine_plan(other, ALL, run_state(RunStatus.APPROVED, of=PLAN)), "APL_PLAN_ALTERED")


@pytest.mark.parametrize("what", ["id", "target", "after"])
def test_change_that_is_not_what_its_id_says_is_refused(what: str) -> None:
    one = CHANGES[0]
    after = FieldChange.model_validate({**one.fields[0].model_dump(), "after": "Forged"})
    altered: dict[str, dict[str, Any]] = {
        "id": {"change_id": "0" * 64},
        "target": {"target": "elsewhere"},
        "after": {"fields": (after,)},
    }
    forged = one.model_copy(update=altered[what])
    made, state = resealed([forged])
    refused(lambda: examine_plan(made, [forged], state), "APL_PLAN_ALTERED")


def test_verdict_that_the_guard_does_not_give_is_refused() -> None:
    lenient = header(ALL, policy=policy_with({"suspend": Limit(count=1000)})).verdict
    made, state = resealed(ALL, verdict=lenient)
    refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS")


def test_plan_that_the_guard_blocks_is_refused_however_well_approved() -> None:
    blocked = header(ALL).figures.entities[0].model_copy(update={"is_target_certified": False, "live_managed": None})
    guarded = GuardFigures(entities=(blocked,))
    made, state = resealed(ALL, figures=guarded, verdict=guard(guarded, header(ALL).policy))
    assert "blocks" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message


def test_figures_that_are_not_those_of_the_changes_are_refused() -> None:
    """The guard judges figures; figures of another plan would let pass what it never saw."""
    few = figures(changes={"update": 1})
    guarded = header(ALL).figures.model_copy(update={"entities": (few,)})
    made, state = resealed(
        ALL, figures=guarded, verdict=guard(guarded, header(ALL).policy), changes_by_class={"update": 1}
    )
    refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS")


def judged(of: list[Change], **told: Any) -> tuple[Plan, RunState]:
    """A plan over these changes, with figures that say something else of them and the verdict that follows."""
    one = header(of).figures.entities[0].model_copy(update=told)
    guarded = GuardFigures(entities=(one,))
    verdict = guard(guarded, DEFAULT_POLICY)
    assert verdict.level is not Level.BLOCK  # else the guard would refuse it, not the recount
    return resealed(of, figures=guarded, verdict=verdict)


EMPTYING = change(11, ChangeClass.NULL_OUT, after={"email": None, "role": None})
OF_ALL = [*ALL, change(10, ChangeClass.CREATE), EMPTYING, change(12, ChangeClass.ROLE_CHANGE, after={"role": "AIDE"})]


def test_figures_that_are_those_of_the_changes_pass() -> None:
    made, state = judged(OF_ALL)
    (one,) = made.header.figures.entities
    assert (one.null_outs, one.field_changes) == (1, {"first_name": 5, "email": 1, "role": 2})
    examine_plan(made, OF_ALL, state)
    # A class that is named and did not occur is no other figure.
    made, state = judged(OF_ALL, changes={**one.changes, "rename": 0})
    examine_plan(made, OF_ALL, state)


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"null_outs": 0}, "the guard judged 0 changes that empty a value, the pages hold 1"),
        ({"null_outs": 2}, "the guard judged 2 changes that empty a value, the pages hold 1"),
        ({"field_changes": {"first_name": 5, "email": 1, "role": 1}}, "1 changes of field role, the pages hold 2"),
        ({"field_changes": {"first_name": 5, "role": 2}}, "0 changes of field email, the pages hold 1"),
        (
            {"field_changes": {"first_name": 5, "email": 1, "role": 2, "active": 1}},
            "1 changes of field active, the pages hold 0",
        ),
        (
            {"changes": {"create": 1, "null_out": 1, "role_change": 1, "update": 5}},
            "0 changes of class suspend, the pages hold 1",
        ),
        (
            {"changes": {"create": 1, "null_out": 1, "role_change": 1, "update": 5, "suspend": 1, "rename": 1}},
            "1 changes of class rename, the pages hold 0",
        ),
    ],
)
def test_figure_that_the_changes_do_not_show_is_refused(told: dict[str, Any], what: str) -> None:
    made, state = judged(OF_ALL, **told)
    assert what in refused(lambda: examine_plan(made, OF_ALL, state), "APL_VERDICT_DIFFERS").message


def test_values_and_fields_of_removals_and_of_new_records_are_no_changes_of_fields() -> None:
    removed = change(9, ChangeClass.SUSPEND, after={"active": None})
    made, state = judged([removed, change(10, ChangeClass.CREATE)], null_outs=0, field_changes={})
    examine_plan(made, [removed, change(10, ChangeClass.CREATE)], state)


def test_changes_of_an_entity_that_nobody_judged_are_refused() -> None:
    quiet = figures(changes={}).model_copy(update={"entity": "members"})
    guarded = GuardFigures(entities=(quiet,))
    made, state = resealed(ALL, figures=guarded, verdict=guard(guarded, DEFAULT_POLICY))
    assert f"no changes of {ENTITY}" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message


def test_entity_that_was_judged_twice_is_refused() -> None:
    one = header(ALL).figures.entities[0]
    guarded = GuardFigures(entities=(one, one))
    made, state = resealed(ALL, figures=guarded, verdict=guard(guarded, DEFAULT_POLICY))
    assert "twice" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message


@pytest.mark.parametrize("told", [{"changes": 5}, {"changes_by_class": {"update": 6}}])
def test_header_that_tells_of_other_changes_is_refused(told: dict[str, Any]) -> None:
    made, state = resealed(ALL, **told)
    assert "the pages hold 6" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message


@pytest.mark.parametrize(
    "certificates",
    [
        (certificate(side="target"),),
        (certificate(),),
        (certificate(), certificate(side="target").model_copy(update={"entity": "assets"})),
        (certificate(), certificate(side="target").model_copy(update={"connection": "hr"})),
    ],
)
def test_removals_without_every_certificate_are_refused(certificates: tuple[Certificate, ...]) -> None:
    """Whatever the figures say of a source, the header must hold the proof."""
    made, state = resealed(ALL, certificates=certificates)
    assert "1 removals" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message


def test_removals_that_no_source_asks_for_are_refused() -> None:
    made, state = judged(ALL, sources=())
    assert "of 0 sources" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message


def test_without_removals_no_certificate_is_asked_for() -> None:
    made, state = resealed(CHANGES, certificates=())
    examine_plan(made, CHANGES, state)


def test_removals_of_a_source_that_is_not_certified_are_refused() -> None:
    one = header(ALL).figures.entities[0]
    uncertified = one.model_copy(update={"sources": (one.sources[0].model_copy(update={"is_certified": False}),)})
    guarded = GuardFigures(entities=(uncertified,))
    made, state = resealed(ALL, figures=guarded, verdict=guard(guarded, DEFAULT_POLICY))
    assert (
        "person have no certificate" in refused(lambda: examine_plan(made, ALL, state), "APL_VERDICT_DIFFERS").message
    )


# --- approvals ------------------------------------------------------------------------------------------------------


def approved(*given: SignedApproval, of: Plan = PLAN) -> RunState:
    return run_state(RunStatus.APPROVED, of=of, approvals=given)


def approvals_hold(state: RunState, of: Plan = PLAN, now: datetime = NOW) -> None:
    examine_approvals(state, of, identities=IDENTITIES, now=now)


def test_approval_by_another_person_holds() -> None:
    approvals_hold(approved(approval(PLAN)))


def test_unapproved_plan_is_refused() -> None:
    refused(lambda: approvals_hold(approved()), "APV_TOO_FEW")
    refused(lambda: approvals_hold(approved(approval(PLAN, decision="reject"))), "APV_TOO_FEW")


def test_plan_of_high_risk_needs_two_people() -> None:
    risky = plan([change(1, ChangeClass.DELETE)], policy=DELETES)
    refused(lambda: approvals_hold(approved(approval(risky), of=risky), risky), "APV_TOO_FEW")
    refused(lambda: approvals_hold(approved(approval(risky), approval(risky, nonce="2"), of=risky), risky), "APV_TWICE")
    approvals_hold(approved(approval(risky), approval(risky, "abel"), of=risky), risky)


def test_number_of_approvals_follows_from_the_changes_and_not_from_what_the_run_says() -> None:
    risky = plan([change(1, ChangeClass.DELETE)], policy=DELETES, approvals_needed=1)
    refused(lambda: approvals_hold(approved(approval(risky), of=risky), risky), "APV_TOO_FEW")


def test_forged_approvals_are_refused() -> None:
    good = approval(PLAN)
    forged = good.model_copy(update={"approval": good.approval.model_copy(update={"approver": "abel"})})
    refused(lambda: approvals_hold(approved(forged)), "APV_BAD_SIGNATURE")
    refused(lambda: approvals_hold(approved(approval(PLAN, "otto"))), "APV_OWN_REQUEST")
    refused(lambda: approvals_hold(approved(approval(plan(ALL[1:])))), "APV_WRONG_DIGEST")
    refused(lambda: approvals_hold(approved(good, forged)), "APV_BAD_SIGNATURE")


def test_expired_approval_makes_the_plan_stale() -> None:
    error = refused(lambda: approvals_hold(approved(approval(PLAN)), now=NOW + timedelta(hours=5)), "APV_EXPIRED")
    assert isinstance(error, PlanIsStale)


# --- age ------------------------------------------------------------------------------------------------------------


def test_fresh_plan_may_be_applied() -> None:
    examine_age(PLAN, target_serial=7, now=NOW)


@pytest.mark.parametrize(
    ("changes", "hours"),
    [([change(1)], 4), ([change(1, ChangeClass.SUSPEND)], 4), ([change(1, ChangeClass.DELETE)], 1)],
)
def test_snapshot_may_be_four_hours_old_or_one_for_high_risk(changes: list[Change], hours: int) -> None:
    of = plan(changes, expires_at=to_text(NOW + timedelta(days=1)))
    read_at = NOW - timedelta(minutes=5)
    examine_age(of, target_serial=7, now=read_at + timedelta(hours=hours))
    late = read_at + timedelta(hours=hours, seconds=1)
    assert isinstance(refused(lambda: examine_age(of, target_serial=7, now=late), "APL_STALE"), PlanIsStale)


def test_expired_plan_is_stale() -> None:
    of = plan([change(1)], expires_at=to_text(NOW - timedelta(seconds=1)))
    refused(lambda: examine_age(of, target_serial=7, now=NOW), "APL_STALE")


@pytest.mark.parametrize("serial", [0, 6, 8])
def test_plan_is_stale_once_another_was_applied_to_the_target(serial: int) -> None:
    assert "another plan" in refused(lambda: examine_age(PLAN, target_serial=serial, now=NOW), "APL_STALE").message


# --- a part of the plan ---------------------------------------------------------------------------------------------

WHOLE = subset_index(PLAN.header, ALL)
OUT = tuple(sorted((CHANGES[0].change_id, CHANGES[3].change_id)))
PART = signed_part(OUT, WHOLE)
NO_PART: dict[str, Any] = {"subset": "ALL", "left_out_root": None}


def in_part(deferred: tuple[str, ...], signed: dict[str, Any] = PART) -> RunState:
    return run_state(RunStatus.APPROVED, of=PLAN, approvals=(approval(PLAN, **signed),), deferred=deferred)


def test_part_that_was_signed_passes() -> None:
    examine_subset(in_part(OUT), PLAN, ALL)
    examine_subset(run_state(RunStatus.APPROVED, of=PLAN, approvals=(approval(PLAN),)), PLAN, ALL)


@pytest.mark.parametrize(
    "deferred",
    [(), OUT[:1], OUT[1:], (*OUT, CHANGES[1].change_id), (OUT[0], CHANGES[1].change_id), (*OUT, OUT[0]), ("0" * 64,)],
)
def test_altered_list_of_what_is_left_out_is_refused(deferred: tuple[str, ...]) -> None:
    refused(lambda: examine_subset(in_part(deferred), PLAN, ALL), "APL_PLAN_ALTERED")


@pytest.mark.parametrize("which", [0, 1])
def test_part_of_which_one_signed_root_is_of_other_changes_is_refused(which: int) -> None:
    """The root over what stays comes from the differ; who signed it named the ids that it does not hold."""
    other = signed_part(OUT[:1], WHOLE)
    mixed = ({**PART, "subset": other["subset"]}, {**PART, "left_out_root": other["left_out_root"]})[which]
    for deferred in (OUT, OUT[:1]):
        refused(lambda deferred=deferred: examine_subset(in_part(deferred, mixed), PLAN, ALL), "APL_PLAN_ALTERED")  # type: ignore[misc]  # a default argument of a lambda


def test_list_beside_an_approval_of_the_whole_plan_is_refused() -> None:
    refused(lambda: examine_subset(in_part(OUT, NO_PART), PLAN, ALL), "APL_PLAN_ALTERED")
    unsigned = run_state(RunStatus.APPROVED, of=PLAN, deferred=OUT)
    refused(lambda: examine_subset(unsigned, PLAN, ALL), "APL_PLAN_ALTERED")


def test_approvals_of_two_different_parts_are_refused() -> None:
    deletes = [change(n, ChangeClass.DELETE) for n in (1, 2, 3)]
    of = plan(deletes, policy=DELETES)
    out = deletes[0].change_id
    part = signed_part([out], subset_index(of.header, deletes))
    for parts in ((part, NO_PART), (NO_PART, part), (part, {**part, "subset": "sha256:" + "0" * 64})):
        signed = tuple(approval(of, who, **signed) for who, signed in zip(("anna", "abel"), parts, strict=True))
        state = run_state(RunStatus.APPROVED, of=of, approvals=signed, deferred=(out,))
        refused(lambda: examine_approvals(state, of, identities=IDENTITIES, now=NOW), "APV_WRONG_DIGEST")  # noqa: B023  # called at once
    same = tuple(approval(of, who, **part) for who in ("anna", "abel"))
    state = run_state(RunStatus.APPROVED, of=of, approvals=same, deferred=(out,))
    examine_approvals(state, of, identities=IDENTITIES, now=NOW)
    examine_subset(state, of, deletes)
