"""The pages of local data: what is masked, what is revealed to whom, where values come from, what is refused."""

from __future__ import annotations

import html
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.console.local.origins import Origin, origins_of, personal_columns
from shared.asking.problem import NoAnswer
from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test
from tests.console.local_tables import HOSTILE, make

STEWARD = ("stella", "steward")


@dataclass
class Local:
    """A console over a record and a local database."""

    under_test: ConsoleUnderTest
    key: str
    run: str


@pytest.fixture
async def local(house_data: Path, tmp_path: Path) -> AsyncIterator[Local]:
    with sqlite3.connect(f"file:{house_data / 'auditor.db'}?mode=ro", uri=True) as record:
        key, change_id, run = record.execute(
            "SELECT c.key_shown, c.change_id, c.run FROM plan_change c JOIN change_outcome o"
            " ON o.run = c.run AND o.change_id = c.change_id WHERE o.result = 'applied' LIMIT 1"
        ).fetchone()
    url = make(tmp_path / "district.db", key=key, change_id=change_id)
    console = console_under_test(house_data, local_database_url=url, local_table_prefix="aether_")
    yield Local(console, key, run)
    await console.console.records.close()
    await console.console.local.close()


async def test_without_a_local_database_the_page_says_how_to_name_one(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person(*STEWARD) as browser:
        answer = await browser.get("/data")
        table = await browser.get("/data/staff")
    assert answer.status_code == 200
    assert "AETHER_LOCAL_DATABASE_URL" in answer.text
    assert table.status_code == 404


async def test_tables_show_their_rows_and_who_writes_them(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        page = await browser.get("/data")
        told = (await browser.get("/api/v1/data")).json()
    tables = {each["name"]: each for each in told["tables"]}
    assert tables["staff"]["rows"] == 3
    assert tables["students"]["rows"] is None
    assert "hr-local" in tables["staff"]["connectors"]
    assert "not made yet" in page.text


async def test_personal_and_unknown_columns_are_masked_and_others_are_not(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        listed = await browser.get("/data/staff")
        record = await browser.get("/data/staff/1")
        told = (await browser.get("/api/v1/data/staff/1")).json()
    for page in (listed, record):
        assert page.status_code == 200
        for personal in ("Marigold", "marigold@", "oak@"):
            assert personal not in page.text
        assert "M…(8)" in page.text
        assert "Teacher" in page.text
        assert local.key in page.text
    values = {each["column"]: each for each in told["values"]}
    assert values["shoe_size"]["is_masked"]  # no contract knows the column
    assert values["shoe_size"]["value"] == "4…(2)"
    assert not values["school_code"]["is_masked"]


async def test_each_value_says_where_it_comes_from_and_the_row_by_which_run_it_was_written(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        page = await browser.get("/data/staff/1")
        told = (await browser.get("/api/v1/data/staff/1")).json()
    origins = {each["column"]: each["origins"] for each in told["values"]}
    school = next(each for each in origins["school_code"] if each["connector"] == "hr-local")
    assert school["origin"] == "job.site_code"
    assert school["sources"] == ["ocde_hr_sql · assignments"]
    assert "turned into the district's code by the table schools" in school["steps"]
    assert told["last_write"]["run"] == local.run
    assert f"/runs/{local.run}" in page.text


async def test_reveal_is_recorded_before_the_values_are_shown(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        answer = await browser.post("/data/staff/1/reveal", data={"csrf": CSRF, "reason": "parent asked by phone"})
    assert answer.status_code == 200
    assert "marigold@bristlecone-usd.example" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    [fact] = local.under_test.told
    assert (fact["what"], fact["actor"]) == ("revealed", "stella")
    assert fact["detail"]["key"] == local.key
    assert fact["detail"]["reason"] == "parent asked by phone"
    assert "email" in fact["detail"]["columns"]
    assert "Marigold" not in str(fact)


async def test_nothing_is_revealed_when_the_fact_cannot_be_stored(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise NoAnswer("cannot be recorded", action="try again")

    monkeypatch.setattr(local.under_test.console.telling, "tell", refuse)
    async with local.under_test.as_person(*STEWARD) as browser:
        answer = await browser.post("/data/staff/1/reveal", data={"csrf": CSRF, "reason": "parent asked by phone"})
    assert answer.status_code == 503
    assert "Marigold" not in answer.text


@pytest.mark.parametrize("form", [{"csrf": CSRF, "reason": "short"}, {"reason": "a reason of good length"}])
async def test_reveal_without_a_reason_or_token_is_refused_and_not_recorded(local: Local, form: dict[str, str]) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        answer = await browser.post("/data/staff/1/reveal", data=form)
    assert answer.status_code in {403, 422}
    assert "Marigold" not in answer.text
    assert local.under_test.told == []


async def test_a_mail_address_as_key_is_masked_and_kept_out_of_the_fact(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        await browser.post("/data/staff/3/reveal", data={"csrf": CSRF, "reason": "parent asked by phone"})
    assert "oak@" not in str(local.under_test.told)


@pytest.mark.parametrize("path", ["/data", "/data/staff", "/data/staff/1", "/api/v1/data/staff"])
async def test_viewers_see_no_local_data(local: Local, path: str) -> None:
    async with local.under_test.as_person("vera", "viewer") as browser:
        answer = await browser.get(path)
    assert answer.status_code == 403
    assert "Teacher" not in answer.text


async def test_a_key_is_found_by_a_form_and_stands_in_no_address(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        found = await browser.post("/data/staff/find", data={"csrf": CSRF, "key": f" {local.key} "})
        missed = await browser.post("/data/staff/find", data={"csrf": CSRF, "key": "nobody"})
        forged = await browser.post("/data/staff/find", data={"key": local.key})
    assert (found.status_code, found.headers["location"]) == (303, "/data/staff/1")
    assert missed.headers["location"] == "/data/staff?missed=1"
    assert forged.status_code == 403


async def test_a_table_is_narrowed_by_plain_columns_and_never_by_personal_ones(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        by_school = (await browser.get("/api/v1/data/staff", params={"column": "school_code", "value": "10"})).json()
        by_active = (await browser.get("/api/v1/data/staff", params={"column": "active", "value": "false"})).json()
        by_name = await browser.get("/api/v1/data/staff", params={"column": "last_name", "value": "Oak"})
        by_nothing = await browser.get("/api/v1/data/staff", params={"column": "1=1--", "value": "x"})
    assert [row["key"] for row in by_school["rows"]] == [local.key]
    assert by_active["total"] == 1
    assert by_name.status_code == by_nothing.status_code == 422
    assert "school_code" in by_name.json()["error"]["text"]


async def test_hostile_values_are_shown_as_text(local: Local) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        pages = [
            await browser.get("/data/staff"),
            await browser.get("/data/staff/2"),
            await browser.post("/data/staff/2/reveal", data={"csrf": CSRF, "reason": HOSTILE}),
            await browser.get("/data/staff", params={"column": "title", "value": HOSTILE}),
        ]
    for page in pages:
        assert page.status_code == 200
        assert HOSTILE not in page.text
        assert html.escape(HOSTILE) in page.text


@pytest.mark.parametrize("path", ["/data/teachers", "/data/staff/99", "/data/students", "/data/staff?offset=-1"])
async def test_what_is_not_there_is_told_plainly(local: Local, path: str) -> None:
    async with local.under_test.as_person(*STEWARD) as browser:
        answer = await browser.get(path)
    assert answer.status_code in {404, 422}
    assert "Go back" in answer.text or "Correct" in answer.text


def test_a_column_is_shown_only_when_every_contract_calls_it_harmless() -> None:
    def said(personal: str) -> Origin:
        return Origin(
            connector="c", version="1.0.0", lifecycle="active", sources=(), origin="x.y", steps=(), personal=personal
        )

    origins = {("staff", "a"): (said("none"),), ("staff", "b"): (said("none"), said("contact"))}
    assert personal_columns("staff", ["k", "a", "b", "c", "active"], key="k", origins=origins) == {"b", "c"}


def test_connectors_to_other_systems_say_nothing_of_local_tables(under_test: ConsoleUnderTest) -> None:
    origins = origins_of([under_test.console.definitions.connector("titanhst-staff")])
    assert origins == {}
