"""The page of a person: the first gate in words, what earlier runs did, what is refused."""

from __future__ import annotations

import html
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from services.console.pages.person_view import gate_of
from shared.audit.plan_lookups import AsideView
from shared.events.queries import ChangeView, QuarantineAnswer, QuarantineItem
from shared.run.state import RunState
from tests.console.harness import CSRF, ConsoleUnderTest, refusing

OPERATOR = ("olga", "operator")
HOSTILE = "<script>alert(1)</script>"


def _item(key: str) -> QuarantineItem:
    return QuarantineItem(
        side="source", entity="contacts", key=key, source="person", field="email", code="NRM_BAD_FORMAT",
        value_class="text(12)", rule=HOSTILE,
    )  # fmt: skip


def _answering(under_test: ConsoleUnderTest, *items: QuarantineItem) -> None:
    def answer(question: Any) -> QuarantineAnswer:
        return QuarantineAnswer(run=question.run, total=len(items), by_code={}, items=items)

    under_test.acting.answers["quarantine"] = answer


def _applied(house_data: Path) -> tuple[str, str]:
    with sqlite3.connect(f"file:{house_data / 'auditor.db'}?mode=ro", uri=True) as record:
        key, run = record.execute(
            "SELECT c.key_shown, c.run FROM plan_change c JOIN change_outcome o ON o.run = c.run"
            " AND o.change_id = c.change_id WHERE o.result = 'applied' LIMIT 1"
        ).fetchone()
    return str(key), str(run)


def _left_out(house_data: Path) -> str:
    with sqlite3.connect(f"file:{house_data / 'auditor.db'}?mode=ro", uri=True) as record:
        return str(record.execute("SELECT key_shown FROM plan_aside ORDER BY run DESC LIMIT 1").fetchone()[0])


async def _asked(under_test: ConsoleUnderTest, key: str) -> dict[str, Any]:
    async with under_test.as_person(*OPERATOR) as browser:
        answer = await browser.post("/api/v1/person", json={"key": key}, headers={"x-csrf-token": CSRF})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_an_applied_change_is_told_with_run_approvers_and_audit_entries(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    _answering(under_test)
    key, run = _applied(house_data)
    told = await _asked(under_test, key)
    changes = {each["run"]: each for each in told["connectors"][0]["changes"]}
    assert changes[run]["change"]["result"] == "applied"
    assert "approver" in changes[run]["approvers"]
    async with under_test.as_person(*OPERATOR) as browser:
        page = await browser.post("/person", data={"csrf": CSRF, "key": key})
        entries = await browser.get(f"/audit?run={run}&text={changes[run]['change']['change_id']}")
    assert page.status_code == 200
    assert f"/audit?run={run}&amp;text={changes[run]['change']['change_id']}" in page.text
    assert "change concluded" in entries.text


async def test_what_was_left_out_is_told_with_its_code_and_what_to_do(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    _answering(under_test)
    told = await _asked(under_test, _left_out(house_data))
    story = told["connectors"][0]
    assert story["left_out"][0]["code"] == "MAT_AMBIGUOUS"
    assert story["left_out"][0]["action"]
    assert story["gate"]["code"] == "MAT_AMBIGUOUS"


async def test_quarantine_is_the_first_gate_and_its_rule_is_shown_as_text(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    key = _left_out(house_data)
    _answering(under_test, _item(key), _item("another"))
    told = await _asked(under_test, key)
    assert told["connectors"][0]["gate"]["code"] == "NRM_BAD_FORMAT"
    assert len(told["connectors"][0]["quarantined"]) == 1
    async with under_test.as_person(*OPERATOR) as browser:
        page = await browser.post("/person", data={"csrf": CSRF, "key": key})
    assert HOSTILE not in page.text
    assert html.escape(HOSTILE) in page.text
    assert {name for _, name, _ in under_test.acting.asked} == {"quarantine"}


async def test_when_quarantine_cannot_be_asked_the_page_says_so_and_shows_the_rest(
    under_test: ConsoleUnderTest, house_data: Path
) -> None:
    under_test.acting.answers["quarantine"] = refusing("SYS_UNAVAILABLE", "the extractor does not answer")
    told = await _asked(under_test, _applied(house_data)[0])
    assert told["asks_failed"] == "the extractor does not answer"
    assert told["connectors"][0]["quarantined"] is None
    assert told["connectors"][0]["changes"]


async def test_a_key_that_nobody_knows_is_told_as_nothing_to_do(under_test: ConsoleUnderTest) -> None:
    _answering(under_test)
    told = await _asked(under_test, "no-such-key")
    assert all(each["gate"]["title"] == "Nothing to do" for each in told["connectors"])
    assert "hr-local" in told["untouched"]


@pytest.mark.parametrize("key", ["anna@bristlecone-usd.example", "a…(12)", "", "x" * 300])
async def test_personal_masked_and_empty_keys_are_refused_with_a_hint_and_nothing_is_asked(
    under_test: ConsoleUnderTest, key: str
) -> None:
    async with under_test.as_person(*OPERATOR) as browser:
        page = await browser.post("/person", data={"csrf": CSRF, "key": key})
        told = await browser.post("/api/v1/person", json={"key": key}, headers={"x-csrf-token": CSRF})
    assert page.status_code == told.status_code == 422
    assert "anna@" not in page.text + told.text
    assert under_test.acting.asked == []


async def test_a_hostile_key_is_shown_as_text(under_test: ConsoleUnderTest) -> None:
    _answering(under_test)
    async with under_test.as_person(*OPERATOR) as browser:
        page = await browser.post("/person", data={"csrf": CSRF, "key": HOSTILE})
    assert page.status_code == 200
    assert HOSTILE not in page.text


async def test_viewers_and_forged_forms_are_refused_and_nothing_is_asked(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        assert (await browser.get("/person")).status_code == 403
        assert (await browser.post("/person", data={"csrf": CSRF, "key": "1"})).status_code == 403
    async with under_test.as_person(*OPERATOR) as browser:
        assert (await browser.post("/person", data={"key": "1"})).status_code == 403
        assert (await browser.post("/api/v1/person", json={"key": "1"})).status_code == 403
    assert under_test.acting.asked == []


async def _state(under_test: ConsoleUnderTest, status: str) -> RunState:
    stored = await under_test.console.records.lookups.runs(mode="apply", status=["succeeded"], limit=1)
    return RunState.model_validate_json(stored[0].state).model_copy(update={"status": status})


def _change(result: str | None) -> ChangeView:
    return ChangeView(
        change_id="a" * 64, change_class="update", entity="contacts", key="1", fields=(), result=result, code=None
    )


@pytest.mark.parametrize(
    ("status", "result", "begins"),
    [
        ("held", None, "Guard"),
        ("blocked", None, "Guard"),
        ("awaiting_approval", None, "Approval"),
        ("planned", None, "Dry-run"),
        ("rejected", None, "Approval"),
        ("succeeded", "applied", "Nothing stopped it"),
        ("partial", "failed", "Apply: the write failed"),
        ("partial", "deferred", "Approval"),
    ],
)
async def test_the_gate_follows_from_where_the_change_stopped(
    under_test: ConsoleUnderTest, status: str, result: str | None, begins: str
) -> None:
    state = await _state(under_test, status)
    gate = gate_of(state, changes=[_change(result)], asides=[], quarantined=None, guard=[])
    assert gate.title.startswith(begins)


async def test_a_gate_further_up_the_road_comes_first(under_test: ConsoleUnderTest) -> None:
    state = await _state(under_test, "succeeded")
    aside = AsideView(state.run, "contacts", "1", None, "update", "MAT_AMBIGUOUS", ())
    applied = [_change("applied")]
    assert gate_of(state, changes=applied, asides=[aside], quarantined=[_item("1")], guard=[]).code == "NRM_BAD_FORMAT"
    assert gate_of(state, changes=applied, asides=[aside], quarantined=[], guard=[]).code == "MAT_AMBIGUOUS"
    assert gate_of(None, changes=[], asides=[], quarantined=None, guard=[]).title == "Never run"
