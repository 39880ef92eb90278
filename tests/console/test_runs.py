"""The list of runs: what it shows, how it is filtered and paged, and the form that asks for a run."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from services.console.pages.runs_view import Outcome, days_chart, figures_of
from shared.events.commands import RequestRun
from tests.console.altering import HOSTILE, HOSTILE_SHOWN, alter, conclude, copy_runs, planned_in, run_in
from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test, refusing

CONNECTOR = "titanhst-staff"


async def _ids(under_test: ConsoleUnderTest, **query: str | int) -> list[str]:
    return [row["run"] for row in (await _answer(under_test, **query))["rows"]]


async def _answer(under_test: ConsoleUnderTest, **query: str | int) -> dict[str, Any]:
    async with under_test.as_person("vera", "viewer") as browser:
        answer = await browser.get("/api/v1/runs", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


# --- shown ----------------------------------------------------------------------------------------------------------


async def test_the_list_shows_every_run_with_its_state(under_test: ConsoleUnderTest) -> None:
    runs = await _ids(under_test)
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/runs")).text
    assert len(runs) >= 5
    assert all(f'href="/runs/{run}"' in text for run in runs)
    for status in ("succeeded", "rejected", "superseded", "planned"):
        assert re.search(rf"</span> {status}</span>", text), status


async def test_what_was_applied_stands_as_a_bar_and_as_text(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/runs", params={"status": "succeeded"})).text
    assert re.search(r'aria-label="Of \d+ changes: \d+ applied"', text)
    assert re.search(r"\d+ applied, 0 failed, 0 neither", text)


async def test_a_house_without_runs_says_what_to_do(own_record: Path, house_data: Path) -> None:
    import sqlite3

    with sqlite3.connect(own_record) as database:
        database.execute("DELETE FROM run")
    under_test = console_under_test(house_data, audit_database=own_record)
    async with under_test.as_person("olga", "operator") as browser:
        text = (await browser.get("/runs")).text
    assert "Request a dry-run above" in text
    await under_test.console.records.close()


async def test_hostile_values_of_a_run_are_shown_as_text(own_record: Path, house_data: Path) -> None:
    run = run_in(own_record, "succeeded")
    alter(own_record, run, requester=HOSTILE, connector=HOSTILE, connector_version=HOSTILE, status="applying")
    under_test = console_under_test(house_data, audit_database=own_record)
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/runs", params={"text": HOSTILE, "requester": HOSTILE})).text
    assert "<script>alert" not in text
    assert text.count(HOSTILE_SHOWN) >= 3
    await under_test.console.records.close()


# --- filters and pages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"status": "rejected"}, {"rejected"}),
        ({"mode": "dry-run"}, {"planned"}),
        ({"requester": "nobody-of-this-name"}, set()),
        ({"connector": "local-apex"}, set()),
        ({"until": "2020-01-01"}, set()),
        ({"since": "2999-01-01"}, set()),
    ],
)
async def test_a_filter_leaves_only_what_it_names(
    under_test: ConsoleUnderTest, query: dict[str, str], expected: set[str]
) -> None:
    rows = (await _answer(under_test, **query))["rows"]
    assert {row["status"] for row in rows} == expected


async def test_a_person_is_found_by_the_whole_name_only(under_test: ConsoleUnderTest) -> None:
    assert await _ids(under_test, requester="operator") == await _ids(under_test)
    assert await _ids(under_test, requester="operato") == []
    assert await _ids(under_test, text="operato") == await _ids(under_test)


async def test_pages_hold_every_run_once(own_record: Path, house_data: Path) -> None:
    first = run_in(own_record, "rejected")
    copies = copy_runs(own_record, first, number=60, requested_at="2026-01-01T08:00:00.000Z")
    under_test = console_under_test(house_data, audit_database=own_record)
    seen: list[str] = []
    before = ""
    for _ in range(20):
        answer = await _answer(under_test, limit=10, before=before)
        seen += [row["run"] for row in answer["rows"]]
        if answer["goes_on"] is None:
            break
        before = str(answer["goes_on"])
    assert len(seen) == len(set(seen))
    assert seen[-60:] == copies
    await under_test.console.records.close()


async def test_days_are_those_of_the_district(own_record: Path, house_data: Path) -> None:
    run = run_in(own_record, "rejected")
    # Eight in the morning in London is the evening before in California… of the same night at midnight there.
    copied = copy_runs(own_record, run, number=1, requested_at="2026-01-02T07:30:00.000Z")
    under_test = console_under_test(house_data, audit_database=own_record)
    assert await _ids(under_test, since="2026-01-01", until="2026-01-01") == copied
    assert await _ids(under_test, since="2026-01-02", until="2026-01-02") == []
    await under_test.console.records.close()


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"status": "flying"}, "status: 'flying' is no state of a run"),
        ({"mode": "wild"}, "mode: 'wild' is none"),
        ({"since": "yesterday"}, "since: 'yesterday' is no day"),
        ({"until": "0001-01-01"}, "the year 1 is out of range"),
        ({"text": "x" * 200}, "text: 200 characters, allowed are 100"),
    ],
)
async def test_a_filter_that_makes_no_sense_says_why(
    under_test: ConsoleUnderTest, query: dict[str, str], told: str
) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        as_json, as_page = await browser.get("/api/v1/runs", params=query), await browser.get("/runs", params=query)
    assert as_json.status_code == as_page.status_code == 422
    assert told in as_json.json()["error"]["text"]
    assert told.replace("'", "&#39;") in as_page.text


# --- figures --------------------------------------------------------------------------------------------------------


def test_days_without_runs_are_there_too() -> None:
    ran = Outcome(run="r", connector="c", day=date(2026, 1, 10), at="08:00", kind="bad", seconds=1.0,
                  counts_by_code={"APL_REFUSED_RECORD": 3})  # fmt: skip
    figures = figures_of([ran], today=date(2026, 1, 14))
    assert len(figures.days) == 14
    assert [day.by_kind for day in figures.days if day.by_kind] == [{"bad": 1}]
    assert [(row.code, row.number) for row in figures.failures] == [("APL_REFUSED_RECORD", 3)]
    assert "Runs a day by outcome, 1 in 14 days" in days_chart(figures)


# --- asking for a run -----------------------------------------------------------------------------------------------


async def test_an_operator_asks_for_a_dry_run_unless_told_otherwise(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post("/runs", data={"csrf": CSRF, "connector": CONNECTOR})
    assert answer.status_code == 303
    assert answer.headers["location"].endswith("?done=requested")
    assert under_test.acting.asked == [("olga", "request_run", RequestRun(connector=CONNECTOR, mode="dry-run"))]


async def test_the_api_asks_for_the_same(under_test: ConsoleUnderTest) -> None:
    body = {"connector": CONNECTOR, "mode": "apply", "version": "1.0.0"}
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post("/api/v1/runs", json=body, headers={"x-csrf-token": CSRF})
    assert answer.status_code == 202
    asked = RequestRun(connector=CONNECTOR, mode="apply", version="1.0.0")
    assert under_test.acting.asked == [("olga", "request_run", asked)]


async def test_who_is_no_operator_asks_for_nothing(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("anna", "approver", "steward", "auditor", "admin", "viewer") as browser:
        answer = await browser.post("/runs", data={"csrf": CSRF, "connector": CONNECTOR})
        shown = await browser.get("/runs")
    assert answer.status_code == 403
    assert under_test.acting.asked == []
    assert "Request the run" not in shown.text


async def test_a_form_without_proof_of_its_page_asks_for_nothing(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("olga", "operator") as browser:
        answers = [
            await browser.post("/runs", data={"connector": CONNECTOR}),
            await browser.post("/runs", data={"csrf": "other", "connector": CONNECTOR}),
            await browser.post("/api/v1/runs", json={"connector": CONNECTOR}),
        ]
    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert under_test.acting.asked == []


@pytest.mark.parametrize("wrong", [{"connector": "../x"}, {"mode": "force"}, {"version": "newest"}, {"replay_of": "x"}])
async def test_a_request_that_cannot_be_read_asks_for_nothing(
    under_test: ConsoleUnderTest, wrong: dict[str, str]
) -> None:
    given = {"csrf": CSRF, "connector": CONNECTOR} | wrong
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post("/runs", data=given)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.text
    assert under_test.acting.asked == []


async def test_a_refusal_is_shown_with_what_to_do(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["request_run"] = refusing("APV_OVERLAP", "run X is applying; wait for it")
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post("/runs", data={"csrf": CSRF, "connector": CONNECTOR})
    assert answer.status_code == 409
    assert "run X is applying" in answer.text
    assert "Do something else." in answer.text


async def test_runs_under_way_stand_above_the_list(own_record: Path, house_data: Path) -> None:
    run = run_in(own_record, "succeeded")
    alter(own_record, run, status="applying", counts=None)
    conclude(own_record, run, {("applied", None): 30, ("failed", "APL_REFUSED_RECORD"): 2})
    planned = planned_in(own_record, run)
    under_test = console_under_test(house_data, audit_database=own_record)
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get("/runs")).text
    assert "1 run under way" in text
    assert f"30 of {planned} applied, 2 failed" in text
    await under_test.console.records.close()
