"""Before the first write: a plan that is not whole, not the approved one, not approved or too old is refused."""

from __future__ import annotations

from collections.abc import Callable
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
)
from services.differ.pages import cut
from shared.clock import to_text
from shared.errors import StopRun
from shared.events.documents import PageReference
from shared.events.envelope import body_of, headers_of
from shared.hashing.canonical import sha256_hex
from shared.plan.change import Change, ChangeClass, FieldChange
from shared.plan.document import Plan, PlanPage, in_order, leaves_of, plan_digest_of
from shared.policy.approval import SignedApproval
from shared.policy.guard import guard
from shared.policy.limits import Limit, policy_with
from shared.run.state import RunState
from shared.run.states import RunStatus
from tests.unit.plan.plan_builder import (
    ENTITY,
    IDENTITIES,
    NOW,
    OTHER_RUN,
    RUN,
    approval,
    change,
    figures,
    header,
    plan,
    run_state,
    summary,
)

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


def resealed(changes: list[Change], **overrides: object) -> tuple[Plan, RunState]:
    """A plan whose digest is right for what it holds, and a run that names it: everything but what is under test."""
    head = header(changes).model_copy(update=overrides)
    made = plan(changes).model_copy(update={"header": head, "plan_digest": plan_digest_of(head, leaves_of(changes))})
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
    blocked = figures(changes={"update": 5, "suspend": 1}, is_target_certified=False, live_managed=None)
    guarded = header(ALL).figures.model_copy(update={"entities": (blocked,)})
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
    risky = plan([change(1, ChangeClass.DELETE)])
    refused(lambda: approvals_hold(approved(approval(risky), of=risky), risky), "APV_TOO_FEW")
    refused(lambda: approvals_hold(approved(approval(risky), approval(risky, nonce="2"), of=risky), risky), "APV_TWICE")
    approvals_hold(approved(approval(risky), approval(risky, "abel"), of=risky), risky)


def test_number_of_approvals_follows_from_the_changes_and_not_from_what_the_run_says() -> None:
    risky = plan([change(1, ChangeClass.DELETE)], approvals_needed=1)
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
