"""The page of one run: what it shows, what may be asked for in which state, and what is asked of the bus."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.console.pages.run_view import (
    acts_of,
    count_lines,
    failure_lines,
    phase_lines,
    progress_of,
    usual_seconds,
    waits_for,
)
from shared.clock import to_text
from shared.events.commands import NameRun, RequestRun
from shared.events.documents import FailureNote
from shared.events.queries import RunView
from shared.ids import RandomIds, new_run_id
from shared.run.counts import NineCounts
from shared.run.state import PhaseTime, PlanSummary
from shared.run.states import MOVES, RunStatus, is_terminal
from tests.console.altering import HOSTILE, HOSTILE_SHOWN, add_dead_letter, alter, conclude, planned_in, run_in
from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test, refusing

NOW = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
ACTS = ("pause", "resume", "cancel", "retry")


def _view(status: RunStatus, **changes: Any) -> RunView:
    plan = PlanSummary(
        plan_digest="sha256:p", content_digest="sha256:c", verdict_digest="sha256:v", verdict_level="PASS", changes=10,
        changes_by_class={"create": 10}, approvals_needed=1, created_at="2026-01-10T11:00:00.000Z",
        expires_at="2026-01-11T11:00:00.000Z",
    )  # fmt: skip
    run = RunView(
        run="20260110T110000-abcdef", connector="c", connector_version="1.0.0", mode="apply", status=status,
        requester="olga", requested_at="2026-01-10T11:00:00.000Z", changed_at="2026-01-10T11:30:00.000Z", plan=plan,
        approvers=("anna",), counts=NineCounts(planned=10, applied=8, failed=2), failure=None, is_sealed=False,
    )  # fmt: skip
    return run.model_copy(update=changes)


def _permitted(view: RunView) -> set[str]:
    return {act.name for act in acts_of(view, now=NOW) if act.is_permitted}


# --- what may be asked for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(RunStatus))
def test_an_act_is_offered_only_where_the_states_permit_what_it_leads_to(status: RunStatus) -> None:
    offered = _permitted(_view(status))
    if "pause" in offered:
        assert RunStatus.PAUSED in MOVES[status]
    if "resume" in offered:
        assert RunStatus.APPLYING in MOVES[status]
        assert status is RunStatus.PAUSED
    assert ("cancel" in offered) == (not is_terminal(status))
    assert ("retry" in offered) == (status in {RunStatus.PARTIAL, RunStatus.FAILED})


def test_what_was_asked_already_is_not_offered_again() -> None:
    assert _permitted(_view(RunStatus.APPLYING, asked_to_pause_by="otto")) == {"cancel"}
    assert _permitted(_view(RunStatus.APPLYING, asked_to_end_by="otto")) == set()


def test_a_retry_needs_failures_and_a_plan_that_stands() -> None:
    clean = NineCounts(planned=10, applied=9, stale_skipped=1)
    assert "retry" not in _permitted(_view(RunStatus.PARTIAL, counts=clean))
    assert "retry" not in _permitted(_view(RunStatus.FAILED, plan=None))
    late = acts_of(_view(RunStatus.PARTIAL), now=NOW + timedelta(days=2))
    assert next(act for act in late if act.name == "retry").why == "The plan has expired; run the connector again."


def test_every_act_that_is_not_offered_says_why() -> None:
    for status in RunStatus:
        assert all(act.why.endswith(".") for act in acts_of(_view(status), now=NOW))


def test_a_run_that_waits_says_for_whom() -> None:
    assert "approver" in waits_for(_view(RunStatus.HELD))
    assert "1 of 1" in waits_for(_view(RunStatus.AWAITING_APPROVAL))
    assert "operator" in waits_for(_view(RunStatus.PAUSED))
    assert waits_for(_view(RunStatus.SUCCEEDED)) == ""


# --- figures --------------------------------------------------------------------------------------------------------


def test_the_counts_shown_add_up_to_what_was_planned() -> None:
    counts = NineCounts(planned=45, applied=1, noop_already=2, stale_skipped=3, dependency_skipped=4, deferred=5,
                        quarantined=6, failed=7, unknown=8, not_attempted=9)  # fmt: skip
    lines = count_lines(counts)
    assert sum(line.number for line in lines) == 45
    assert {line.name for line in lines} == set(NineCounts.model_fields) - {"planned"}


def test_rate_and_time_left_come_from_the_time_spent_applying() -> None:
    start = NOW - timedelta(seconds=100)
    phases = (
        PhaseTime(status=RunStatus.APPLYING, at=to_text(start)),
        PhaseTime(status=RunStatus.PAUSED, at=to_text(start + timedelta(seconds=10))),
        PhaseTime(status=RunStatus.APPLYING, at=to_text(NOW - timedelta(seconds=10))),
    )
    counts = NineCounts(planned=100, applied=38, failed=2, not_attempted=60)
    progress = progress_of(_view(RunStatus.APPLYING, counts=counts), phases, now=NOW)
    assert progress is not None
    assert (progress.concluded, progress.per_second, progress.seconds_left) == (40, 2.0, 30.0)
    assert progress_of(_view(RunStatus.SUCCEEDED, counts=counts), phases, now=NOW) is None


def test_the_usual_length_is_the_median_and_needs_three_runs() -> None:
    earlier = [{"diffing": 1.0, "held": 5.0}, {"diffing": 9.0, "held": 6.0}, {"diffing": 2.0}]
    assert usual_seconds(earlier) == {"diffing": 2.0}


def test_the_state_that_lasts_has_no_length() -> None:
    phases = (
        PhaseTime(status=RunStatus.QUEUED, at="2026-01-10T11:00:00.000Z"),
        PhaseTime(status=RunStatus.EXTRACTING, at="2026-01-10T11:00:02.000Z"),
    )
    queued, extracting = phase_lines(phases, {"queued": 1.0})
    assert (queued.seconds, queued.usual_seconds, queued.is_now) == (2.0, 1.0, False)
    assert (extracting.seconds, extracting.is_now) == (None, True)


def test_a_code_says_who_must_act_and_an_unknown_one_is_not_hidden() -> None:
    first, second = failure_lines({"SRC_AUTH": 2, "XXX_FUTURE": 5, "SRC_CONFIG": 0})
    assert (first.code, first.owner) == ("XXX_FUTURE", "platform")
    assert (second.code, second.owner, second.category) == ("SRC_AUTH", "district admin", "auth")


# --- pages ----------------------------------------------------------------------------------------------------------


async def _text(under_test: ConsoleUnderTest, run: str, *roles: str) -> str:
    async with under_test.as_person("olga", *roles) as browser:
        answer = await browser.get(f"/runs/{run}")
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_an_applied_run_shows_counts_phases_approvals_and_its_entries(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    run = run_in(house_data / "auditor.db", "succeeded")
    text = await _text(under_test, run, "operator")
    for expected in (
        f"{planned_in(house_data / 'auditor.db', run)}</span> planned", "succeeded", "approver", "complete",
        "verifying",
        "under a signed checkpoint", "APV_WRONG_STATE", "played for the pages",
    ):  # fmt: skip
        assert expected in text, expected


async def test_the_api_says_the_same_as_the_page(under_test: ConsoleUnderTest, house_data: Path) -> None:
    run = run_in(house_data / "auditor.db", "succeeded")
    async with under_test.as_person("vera", "viewer") as browser:
        model = (await browser.get(f"/api/v1/runs/{run}")).json()
    assert model["run"]["status"] == "succeeded"
    planned = planned_in(house_data / "auditor.db", run)
    assert sum(line["number"] for line in model["counts"]) == model["planned"] == planned
    assert len(model["approvals"]["given_by"]) == model["approvals"]["needed"]
    assert "approver" in model["approvals"]["given_by"]
    assert [act["name"] for act in model["acts"] if act["is_permitted"]] == []


async def test_a_run_that_applies_shows_how_far_it_is(own_record: Path, house_data: Path) -> None:
    run = run_in(own_record, "succeeded")
    history = [{"status": "applying", "at": to_text(datetime.now(UTC) - timedelta(seconds=20))}]
    alter(own_record, run, status="applying", counts=None, history=history)
    planned = planned_in(own_record, run)
    applied = planned // 2
    conclude(own_record, run, {("applied", None): applied, ("failed", "APL_REFUSED_RECORD"): 2, (None, None): 1})
    under_test = console_under_test(house_data, audit_database=own_record)
    text = await _text(under_test, run, "operator")
    assert f"{applied + 2} of {planned} changes concluded, 2 failed" in text
    shown = " ".join(text.split())
    assert re.search(r"\d+\.\d % concluded · [\d.,]+ a second · about [\w. ]+ left", shown), shown
    assert 'formaction="/runs/' + run + '/pause"' in text
    await under_test.console.records.close()


async def test_undo_is_not_offered(under_test: ConsoleUnderTest, house_data: Path) -> None:
    text = await _text(under_test, run_in(house_data / "auditor.db", "succeeded"), "operator", "approver", "admin")
    assert "undo" not in text.lower()


async def test_hostile_values_of_a_run_are_shown_as_text(own_record: Path, house_data: Path) -> None:
    run = run_in(own_record, "succeeded")
    note = FailureNote(code="SRC_AUTH", text=HOSTILE).model_dump()
    alter(own_record, run, requester=HOSTILE, connector=HOSTILE, connector_version=HOSTILE, failure=note,
          cancel_requested_by=HOSTILE, pause_requested_by=HOSTILE, status="paused")  # fmt: skip
    add_dead_letter(own_record, run=run, at=to_text(datetime.now(UTC)), reason=HOSTILE)
    under_test = console_under_test(house_data, audit_database=own_record)
    text = await _text(under_test, run, "operator")
    assert "<script>alert" not in text
    assert text.count(HOSTILE_SHOWN) >= 6
    await under_test.console.records.close()


@pytest.mark.parametrize("run", ["nothing", "20250101T000000-abcdef", "..%2f..%2fetc", "20260101T000000-ABCDEF"])
async def test_a_run_that_there_is_not_is_not_found(under_test: ConsoleUnderTest, run: str) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        answers = [await browser.get(f"/runs/{run}"), await browser.get(f"/api/v1/runs/{run}")]
    assert [answer.status_code for answer in answers] == [404, 404]


async def test_a_run_asked_for_a_moment_ago_is_awaited(under_test: ConsoleUnderTest) -> None:
    run = new_run_id(datetime.now(UTC), RandomIds())
    assert "as soon as the auditor has recorded it" in await _text(under_test, run, "operator")


# --- acts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("act", "done"), list(zip(ACTS, ("paused", "resumed", "cancelled", "retried"), strict=True)))
async def test_an_act_is_asked_in_the_persons_name_with_the_reason(
    under_test: ConsoleUnderTest, house_data: Path, act: str, done: str
) -> None:
    run = run_in(house_data / "auditor.db", "awaiting_approval")
    async with under_test.as_person("olga", "operator") as browser:
        by_form = await browser.post(f"/runs/{run}/{act}", data={"csrf": CSRF, "reason": "  the vendor\n asked "})
        by_api = await browser.post(
            f"/api/v1/runs/{run}/{act}", json={"reason": "the vendor asked"}, headers={"x-csrf-token": CSRF}
        )
    assert (by_form.status_code, by_api.status_code) == (303, 200)
    assert by_form.headers["location"].endswith(f"?done={done}")
    assert under_test.acting.asked == [("olga", act, NameRun(run=run, reason="the vendor asked"))] * 2


@pytest.mark.parametrize("act", ACTS)
async def test_who_is_no_operator_changes_no_run(under_test: ConsoleUnderTest, house_data: Path, act: str) -> None:
    run = run_in(house_data / "auditor.db", "awaiting_approval")
    async with under_test.as_person("anna", "approver", "steward", "auditor", "admin") as browser:
        by_form = await browser.post(f"/runs/{run}/{act}", data={"csrf": CSRF, "reason": "because"})
        by_api = await browser.post(
            f"/api/v1/runs/{run}/{act}", json={"reason": "because"}, headers={"x-csrf-token": CSRF}
        )
    assert (by_form.status_code, by_api.status_code) == (403, 403)
    assert under_test.acting.asked == []


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_without_proof_of_its_page_changes_no_run(
    under_test: ConsoleUnderTest, house_data: Path, act: str
) -> None:
    run = run_in(house_data / "auditor.db", "awaiting_approval")
    async with under_test.as_person("olga", "operator") as browser:
        by_form = await browser.post(f"/runs/{run}/{act}", data={"reason": "because"})
        by_api = await browser.post(f"/api/v1/runs/{run}/{act}", json={"reason": "because"})
    assert (by_form.status_code, by_api.status_code) == (403, 403)
    assert under_test.acting.asked == []


@pytest.mark.parametrize("reason", ["", "  \n ", "no", "x" * 501])
async def test_an_act_needs_a_reason_of_some_length(
    under_test: ConsoleUnderTest, house_data: Path, reason: str
) -> None:
    run = run_in(house_data / "auditor.db", "awaiting_approval")
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post(f"/runs/{run}/cancel", data={"csrf": CSRF, "reason": reason})
    assert answer.status_code == 422
    assert "3 to 500 are needed" in answer.text
    assert under_test.acting.asked == []


async def test_a_refused_act_is_shown_with_what_to_do(under_test: ConsoleUnderTest, house_data: Path) -> None:
    run = run_in(house_data / "auditor.db", "succeeded")
    under_test.acting.answers["cancel"] = refusing("APV_WRONG_STATE", f"run {run} has ended")
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post(f"/runs/{run}/cancel", data={"csrf": CSRF, "reason": "too late"})
    assert answer.status_code == 409
    assert "has ended" in answer.text
    assert "Do something else." in answer.text


async def test_a_replay_is_asked_for_as_a_dry_run(under_test: ConsoleUnderTest, house_data: Path) -> None:
    run = run_in(house_data / "auditor.db", "succeeded")
    text = await _text(under_test, run, "operator")
    assert f'name="replay_of" value="{run}"' in text
    async with under_test.as_person("olga", "operator") as browser:
        given = {"csrf": CSRF, "connector": "titanhst-staff", "mode": "dry-run", "replay_of": run}
        assert (await browser.post("/runs", data=given)).status_code == 303
    asked = RequestRun(connector="titanhst-staff", mode="dry-run", replay_of=run)
    assert under_test.acting.asked == [("olga", "request_run", asked)]
