"""The inbox: what needs a person, in what order, and what it says to whom."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.console.pages.inbox_view import (
    Growth,
    Item,
    counts_of,
    for_visitor,
    freshness,
    health_items,
    needs,
    stamp_of_items,
)
from services.console.visiting import Visitor
from shared.clock import to_text
from shared.events.documents import FailureNote
from shared.events.queries import DeadLetterView, HealthAnswer, QuarantinedConnection, RunView
from shared.run.counts import NineCounts
from shared.run.state import PlanSummary
from shared.run.states import RunStatus
from tests.console.altering import HOSTILE, HOSTILE_SHOWN, add_dead_letter, alter, run_in
from tests.console.harness import ConsoleUnderTest, console_under_test, refusing

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)


def _ago(**lengths: float) -> str:
    return to_text(NOW - timedelta(**lengths))


def _view(status: RunStatus, *, connector: str = "c", ago_hours: float = 1, **changes: Any) -> RunView:
    plan = PlanSummary(
        plan_digest="sha256:p", content_digest="sha256:c", verdict_digest="sha256:v", verdict_level="PASS", changes=10,
        changes_by_class={"create": 10}, approvals_needed=2, created_at=_ago(hours=ago_hours),
        expires_at=to_text(NOW + timedelta(hours=20)),
    )  # fmt: skip
    run = RunView(
        run=f"20260110T{100000 + int(ago_hours * 100):06d}-abcdef", connector=connector, connector_version="1.0.0",
        mode="apply", status=status, requester="olga", requested_at=_ago(hours=ago_hours),
        changed_at=_ago(hours=ago_hours), plan=plan, approvers=(), counts=None, failure=None, is_sealed=True,
    )  # fmt: skip
    return run.model_copy(update=changes)


def _needs(*views: RunView, **others: Any) -> tuple[Item, ...]:
    given: dict[str, Any] = {"dead_letters": (), "growth": (), "unsealed": None} | others
    return needs(views, now=NOW, **given)


def _visitor(user: str, *roles: str) -> Visitor:
    return Visitor(user=user, roles=frozenset(roles), session="s", csrf="t", signed_in_at=NOW)


# --- what is told ---------------------------------------------------------------------------------------------------


def test_what_is_most_urgent_comes_first() -> None:
    expiring = _view(RunStatus.AWAITING_APPROVAL, connector="a").model_copy()
    assert expiring.plan is not None
    soon = expiring.plan.model_copy(update={"expires_at": to_text(NOW + timedelta(minutes=30))})
    found = _needs(
        _view(RunStatus.FAILED, connector="b"),
        expiring.model_copy(update={"plan": soon}),
        _view(RunStatus.HELD, connector="d"),
        _view(RunStatus.PAUSED, connector="e"),
        growth=[Growth(connector="f", run="r", now=50, before=3)],
    )
    assert [item.kind for item in found] == ["paused", "approval", "held", "failed", "quarantine"]
    assert "expires soon" in found[1].why


def test_a_later_run_of_the_connector_takes_a_failure_off_the_list() -> None:
    failed = _view(RunStatus.FAILED, ago_hours=5)
    assert [item.kind for item in _needs(failed)] == ["failed"]
    assert _needs(_view(RunStatus.SUCCEEDED), failed) == ()
    assert [item.kind for item in _needs(_view(RunStatus.PLANNED, mode="dry-run"), failed)] == ["failed"]


def test_a_failure_of_long_ago_is_no_news() -> None:
    assert _needs(_view(RunStatus.FAILED, ago_hours=24 * 15)) == ()


def test_a_plan_that_waits_is_told_however_old_it_is() -> None:
    assert [item.kind for item in _needs(_view(RunStatus.HELD, ago_hours=24 * 30))] == ["held"]


def test_a_partial_run_says_how_much_is_undone_and_that_it_can_be_retried() -> None:
    counts = NineCounts(planned=10, applied=6, noop_already=1, failed=3)
    (item,) = _needs(_view(RunStatus.PARTIAL, counts=counts))
    assert "left 3 changes undone" in item.title
    assert item.act == "Look and retry"


def test_a_paused_run_says_whose_matter_it_is() -> None:
    note = FailureNote(code="APL_AUTH", text="401 from the target")
    (item,) = _needs(_view(RunStatus.PAUSED, failure=note))
    assert "401 from the target. For the district admin." in item.why
    assert item.code == "APL_AUTH"


def test_a_quarantine_that_grows_a_little_is_not_told() -> None:
    assert _needs(growth=[Growth(connector="c", run="r", now=14, before=12)]) == ()


def test_dead_letters_of_the_last_days_are_told_as_one() -> None:
    letters = [
        DeadLetterView(stream="CORE", seq=n, subject="s", service="differ", code="SYS_UNDECODABLE", reason="bad",
                       at=_ago(days=n))
        for n in (1, 2, 30)
    ]  # fmt: skip
    (item,) = _needs(dead_letters=letters)
    assert item.title == "2 messages could not be taken"


def test_an_audit_log_that_stays_unsigned_is_told() -> None:
    ended = _view(RunStatus.SUCCEEDED, ago_hours=0.01)
    assert _needs(unsealed=ended) == ()
    assert [item.kind for item in _needs(unsealed=_view(RunStatus.SUCCEEDED, ago_hours=1))] == ["audit"]


def test_the_health_of_the_house_adds_connections_and_lag() -> None:
    reason = FailureNote(code="APL_AUTH", text="refused")
    health = HealthAnswer(
        entries=9, checkpoints=1, lag={"CORE": 0, "LEDGER": 5_000}, dead_letters=(), dead_letters_total=0,
        quarantined=(
            QuarantinedConnection(connection="titan", since=_ago(hours=1), reason=reason, run=None, probes=2),
        ),
    )  # fmt: skip
    assert [item.kind for item in health_items(health)] == ["connection", "audit"]
    assert "5,000 messages of LEDGER" in health_items(health)[1].why
    assert [item.kind for item in health_items(None)] == ["silent"]


def test_freshness_is_the_last_applied_success() -> None:
    runs = [
        _view(RunStatus.PLANNED, mode="dry-run", ago_hours=1),
        _view(RunStatus.FAILED, ago_hours=2),
        _view(RunStatus.NO_CHANGES, ago_hours=3),
        _view(RunStatus.SUCCEEDED, ago_hours=9),
    ]
    first, second = freshness(runs, ["c", "never"])
    assert (first.connector, first.at, first.last_status) == ("c", _ago(hours=3), "planned")
    assert (second.connector, second.at, second.last_status) == ("never", None, None)


# --- to whom --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visitor", "approvers", "is_yours", "told"),
    [
        (_visitor("anna", "approver"), (), True, ""),
        (_visitor("olga", "approver", "operator"), (), False, "another person must decide"),
        (_visitor("anna", "approver"), ("anna",), False, "one more person must"),
        (_visitor("vera", "viewer"), (), False, "An approver must decide"),
    ],
)
def test_the_list_says_who_may_decide(visitor: Visitor, approvers: tuple[str, ...], is_yours: bool, told: str) -> None:
    (item,) = for_visitor(_needs(_view(RunStatus.AWAITING_APPROVAL, approvers=approvers)), visitor)
    assert item.is_yours is is_yours
    assert told in item.why


def test_of_equal_urgency_what_one_can_do_comes_first() -> None:
    found = _needs(_view(RunStatus.AWAITING_APPROVAL, connector="a"), _view(RunStatus.FAILED, connector="b"))
    assert [item.kind for item in for_visitor(found, _visitor("otto", "operator"))] == ["failed", "approval"]
    assert [item.kind for item in for_visitor(found, _visitor("anna", "approver"))] == ["approval", "failed"]


def test_the_stamp_changes_with_the_list_and_not_with_the_hour() -> None:
    view = _view(RunStatus.AWAITING_APPROVAL)
    later = needs([view], dead_letters=(), growth=(), unsealed=None, now=NOW + timedelta(hours=1))
    assert stamp_of_items(_needs(view)) == stamp_of_items(later)
    assert stamp_of_items(_needs(view)) != stamp_of_items(_needs(view.model_copy(update={"approvers": ("anna",)})))


def test_one_of_a_kind_is_counted_in_the_singular() -> None:
    assert [(one.number, one.words) for one in counts_of(_needs(_view(RunStatus.HELD)))] == [(1, "plan held")]


# --- the page -------------------------------------------------------------------------------------------------------


async def _page(under_test: ConsoleUnderTest, user: str, *roles: str) -> str:
    async with under_test.as_person(user, *roles) as browser:
        answer = await browser.get("/")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_plan_that_waits_is_offered_to_approvers_for_review(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    run = run_in(house_data / "auditor.db", "awaiting_approval")
    text = await _page(under_test, "anna", "approver")
    assert "titanhst-staff waits for approval" in text
    assert f'<a class="button button--primary" href="/runs/{run}/plan"' in text
    assert "another person must decide" in await _page(under_test, "operator", "approver", "operator")


async def test_the_api_says_the_same_as_the_page(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("anna", "approver") as browser:
        model = (await browser.get("/api/v1/inbox")).json()
    assert [item["kind"] for item in model["items"]][:1] == ["approval"]
    assert model["freshness"][0]["connector"] == "titanhst-staff"


async def test_a_silent_house_still_has_an_inbox(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["health"] = refusing("AUD_UNAVAILABLE", "nobody answers")
    text = await _page(under_test, "anna", "approver")
    assert "The bus or the auditor is silent" in text
    assert "waits for approval" in text


async def test_an_empty_inbox_is_calm_and_shows_how_fresh_things_are(own_record: Path, house_data: Path) -> None:
    waiting, done = run_in(own_record, "awaiting_approval"), run_in(own_record, "succeeded")
    alter(own_record, waiting, status="no_changes")
    import sqlite3

    with sqlite3.connect(own_record) as database:
        database.execute("UPDATE run SET sealed = '{}', sealed_entry = 1 WHERE run = ?", (waiting,))
    under_test = console_under_test(house_data, audit_database=own_record)
    text = await _page(under_test, "anna", "approver")
    assert "Nothing waits for you." in text
    assert f'href="/runs/{waiting}"' in text
    assert f'href="/runs/{done}"' not in text
    await under_test.console.records.close()


async def test_hostile_values_are_shown_as_text(own_record: Path, house_data: Path) -> None:
    note = FailureNote(code="APL_AUTH", text=HOSTILE).model_dump()
    alter(
        own_record,
        run_in(own_record, "awaiting_approval"),
        connector=HOSTILE,
        requester=HOSTILE,
        failure=note,
        status="paused",
    )
    add_dead_letter(own_record, run=None, at=to_text(datetime.now(UTC)), reason=HOSTILE)
    under_test = console_under_test(house_data, audit_database=own_record)
    under_test.acting.answers["health"] = lambda _: HealthAnswer(
        entries=0, checkpoints=0, lag={}, dead_letters=(), dead_letters_total=0,
        quarantined=(QuarantinedConnection(connection=HOSTILE, since=to_text(datetime.now(UTC)),
                                           reason=FailureNote(code="APL_AUTH", text=HOSTILE), run=HOSTILE, probes=0),),
    )  # fmt: skip
    text = await _page(under_test, "anna", "operator")
    assert "<script>alert" not in text
    assert text.count(HOSTILE_SHOWN) >= 5
    await under_test.console.records.close()


async def test_nobody_sees_the_inbox_without_signing_in(under_test: ConsoleUnderTest) -> None:
    async with under_test.nobody() as browser:
        page, as_json, live = [await browser.get(path) for path in ("/", "/api/v1/inbox", "/live/inbox")]
    assert (page.status_code, page.headers["location"]) == (303, "/sign-in?next=%2F")
    assert as_json.status_code == 401
    assert live.status_code == 303
