"""The plan review: what it shows of a plan, how its changes are grouped, filtered and paged, and to whom."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test
from tests.console.waiting import Waiting, waiting_plan

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
def house_data(small_house: Path) -> Path:
    """A house whose plans the guard holds."""
    return small_house


@pytest.fixture
def waiting(own_record: Path) -> Waiting:
    """A plan that the guard holds."""
    return waiting_plan(own_record)


@pytest.fixture
async def console(house_data: Path, waiting: Waiting) -> AsyncIterator[ConsoleUnderTest]:
    """A console over the record in which that plan waits."""
    made = console_under_test(house_data, audit_database=waiting.record)
    yield made
    await made.console.records.close()


async def _text(
    console: ConsoleUnderTest, path: str, *, user: str = "vera", roles: tuple[str, ...] = ("viewer",)
) -> str:
    async with console.as_person(user, *roles) as browser:
        answer = await browser.get(path)
    assert answer.status_code == 200, answer.text
    return answer.text


def _keys(text: str) -> list[str]:
    return re.findall(r'/plan/changes/([0-9a-f]{64})"', text)


async def test_the_head_says_what_where_how_risky_and_under_which_digest(
    console: ConsoleUnderTest, waiting: Waiting
) -> None:
    text = await _text(console, waiting.page)
    assert f"{len(waiting.ids)} changes to titanhst" in text
    assert waiting.digest in text
    for shown in ("titanhst-staff", "requested by operator", "staging", "0 of 2", "goes beyond what the guard allows"):
        assert shown in text, shown


async def test_what_the_guard_holds_stands_before_what_passes(console: ConsoleUnderTest, waiting: Waiting) -> None:
    text = await _text(console, waiting.page)
    held = "suspend: 21 of 332 contacts (6.3 %), allowed 100 or 5 %, and 5 always"
    passed = "update: 57 of 332 contacts"
    assert text.index(held) < text.index("checks pass</summary>") < text.index(passed)
    assert '/help#GRD_LIMIT"' in text


async def test_usual_ranges_are_shown_where_the_guard_knows_them(console: ConsoleUnderTest, waiting: Waiting) -> None:
    assert "Usual</th>" not in await _text(console, waiting.page)

    def with_usual(body: dict[str, object]) -> dict[str, object]:
        lines = body["verdict"]
        assert isinstance(lines, list)
        for line in lines:
            line["usual"] = {"check": line["check"], "low": 1_100, "high": 1_250, "runs": 6}
        return body

    waiting.change_review(with_usual)
    assert "1,100 to 1,250 in 6 runs" in await _text(console, waiting.page)


async def test_classes_are_counted_and_what_takes_away_is_marked_in_words(
    console: ConsoleUnderTest, waiting: Waiting
) -> None:
    async with console.as_person("vera", "viewer") as browser:
        head = (await browser.get(f"/api/v1{waiting.page}")).json()
    classes = {one["name"]: (one["number"], one["is_destructive"]) for one in head["classes"]}
    assert classes["suspend"] == (21, True)
    assert classes["update"] == (57, False)
    assert sum(number for number, _ in classes.values()) == len(waiting.ids)
    assert 'suspend</span><span class="visually-hidden"> (takes something away)' in await _text(console, waiting.page)


async def test_what_was_left_out_is_told_by_reason(console: ConsoleUnderTest, waiting: Waiting) -> None:
    text = await _text(console, waiting.page)
    assert "A record matches several target records." in text
    assert "/help#MAT_AMBIGUOUS" in text


async def test_every_change_is_on_exactly_one_page(console: ConsoleUnderTest, waiting: Waiting) -> None:
    seen: Counter[str] = Counter()
    for offset in (0, 50, 100):
        seen.update(_keys(await _text(console, f"{waiting.page}?offset={offset}")))
    assert seen == Counter(waiting.ids)


@pytest.mark.parametrize("change_class", ["suspend", "role_change", "create"])
async def test_a_filter_by_class_shows_these_and_no_others(
    console: ConsoleUnderTest, waiting: Waiting, change_class: str
) -> None:
    text = await _text(console, f"{waiting.page}?change_class={change_class}")
    assert _keys(text) == list(waiting.ids_of(change_class))
    assert f"{len(waiting.ids_of(change_class))} changes fit the filter" in text


async def test_search_finds_by_key_and_never_by_a_masked_value(console: ConsoleUnderTest, waiting: Waiting) -> None:
    async with console.as_person("vera", "viewer") as browser:
        found = (await browser.get(f"/api/v1{waiting.page}/changes", params={"text": "c001262"})).json()
        masked = (await browser.get(f"/api/v1{waiting.page}/changes", params={"text": "@"})).json()
    assert [one["key"] for one in found["changes"]] == ["C001262"]
    assert masked["total"] == 0


async def test_groups_lead_to_exactly_their_changes(console: ConsoleUnderTest, waiting: Waiting) -> None:
    async with console.as_person("vera", "viewer") as browser:
        for by, parameter in (
            ("class", "change_class"),
            ("entity", "entity"),
            ("alike", "alike"),
            ("cohort", "cohort"),
        ):
            groups = (await browser.get(f"/api/v1{waiting.page}/groups", params={"by": by})).json()["groups"]
            named = [one for one in groups if one["name"] is not None]
            assert named, by
            first = named[0]
            there = await browser.get(f"/api/v1{waiting.page}/changes", params={parameter: first["name"]})
            assert there.json()["total"] == first["number"], by
            assert all(one["number"] > 1 for one in groups) or by != "alike"


async def test_page_and_api_say_the_same(console: ConsoleUnderTest, waiting: Waiting) -> None:
    text = await _text(console, f"{waiting.page}?change_class=rename")
    async with console.as_person("vera", "viewer") as browser:
        answer = (await browser.get(f"/api/v1{waiting.page}/changes", params={"change_class": "rename"})).json()
    assert [one["change_id"] for one in answer["changes"]] == _keys(text)
    for one in answer["changes"]:
        for field in one["fields"]:
            assert html.escape(field["after"]) in text


async def test_vendor_data_is_never_markup(console: ConsoleUnderTest, waiting: Waiting) -> None:
    def hostile(body: dict[str, object]) -> dict[str, object]:
        field = {"name": HOSTILE, "before": HOSTILE, "after": HOSTILE, "cause": HOSTILE}
        return body | {"key": HOSTILE, "entity": HOSTILE, "cohort": HOSTILE, "fields": [field] * 6, "marks": [HOSTILE]}

    waiting.change_bodies(hostile)
    waiting.change_review(
        lambda body: body | {"target_system": HOSTILE, "environment": HOSTILE, "left_out": {HOSTILE: 3}}
    )
    for path in (waiting.page, f"{waiting.page}?by=cohort", f"{waiting.page}/changes/{waiting.ids[0]}"):
        text = await _text(console, path, user="approver", roles=("approver",))
        assert "<script>alert" not in text, path
        assert "&lt;script&gt;alert(1)" in text, path
    text = await _text(console, f"{waiting.page}?text={HOSTILE.replace(' ', '+')}")
    assert "<script>alert" not in text


@pytest.mark.parametrize("query", ["by=colour", "offset=-1", "offset=two", "offset=99999999", f"text={'x' * 101}"])
async def test_a_question_that_cannot_be_read_is_refused_in_words(
    console: ConsoleUnderTest, waiting: Waiting, query: str
) -> None:
    async with console.as_person("vera", "viewer") as browser:
        answer = await browser.get(f"{waiting.page}?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.text


@pytest.mark.parametrize("run", ["20200101T000000-aaaaaa", "no-run", "..%2f..%2fetc"])
async def test_a_run_that_is_not_there_is_a_404(console: ConsoleUnderTest, run: str) -> None:
    async with console.as_person("vera", "viewer") as browser:
        assert (await browser.get(f"/runs/{run}/plan")).status_code == 404
        assert (await browser.get(f"/api/v1/runs/{run}/plan")).status_code == 404


async def test_nobody_sees_a_plan_without_signing_in(console: ConsoleUnderTest, waiting: Waiting) -> None:
    async with console.nobody() as browser:
        assert (await browser.get(waiting.page)).headers["location"].startswith("/sign-in?next=%2Fruns")
        for part in ("", "/changes", "/groups"):
            assert (await browser.get(f"/api/v1{waiting.page}{part}")).status_code == 401


async def test_results_are_shown_once_the_plan_was_carried_out(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        runs = (await browser.get("/api/v1/runs", params={"status": "succeeded"})).json()["rows"]
        run = runs[0]["run"]
        answer = (await browser.get(f"/api/v1/runs/{run}/plan/changes", params={"result": "applied"})).json()
        text = (await browser.get(f"/runs/{run}/plan")).text
        head = (await browser.get(f"/api/v1/runs/{run}/plan")).json()
    assert answer["total"] == head["plan"]["changes"]
    assert "</span> applied</span>" in text
    assert head["deciding"]["may_decide"] is False
    assert 'action="/runs/' not in text.partition('id="decide"')[2]


async def test_a_change_shows_its_record_in_other_runs(console: ConsoleUnderTest, waiting: Waiting) -> None:
    change = waiting.ids_of("suspend")[0]
    text = await _text(console, f"{waiting.page}/changes/{change}")
    others = re.findall(r'href="/runs/([^/"]+)/plan/changes/', text.partition("h-before")[2])
    assert others
    assert waiting.run not in others
    assert others == sorted(others, reverse=True)


async def test_a_change_of_another_run_is_not_found_here(console: ConsoleUnderTest, waiting: Waiting) -> None:
    async with console.as_person("vera", "viewer") as browser:
        assert (await browser.get(f"{waiting.page}/changes/{'0' * 64}")).status_code == 404
        assert (await browser.get(f"{waiting.page}/changes/x")).status_code == 404


async def test_ticks_are_kept_from_page_to_page(console: ConsoleUnderTest, waiting: Waiting) -> None:
    first, second = waiting.ids[:2]
    async with console.as_person("approver", "approver") as browser:
        form = {"csrf": CSRF, "left_out": "", "shown": " ".join(waiting.ids[:50]), "leave_out": [first, second]}
        there = await browser.post(f"{waiting.page}/choose", data=form | {"offset": "50"})
        assert re.search(rf'name="left_out" value="{first} {second}"', there.text)
        assert "2 changes are ticked" in there.text
        assert _keys(there.text) == list(waiting.ids[50:100])
        form = {"csrf": CSRF, "left_out": f"{first} {second}", "shown": f"{first} {second}", "leave_out": [second]}
        back = await browser.post(f"{waiting.page}/choose", data=form)
    assert re.search(rf'name="left_out" value="{second}"', back.text)
    assert re.search(rf'value="{second}" checked', back.text)
    assert not re.search(rf'value="{first}" checked', back.text)
    assert console.acting.asked == []


async def test_groups_are_shown_only_where_they_tell_more_than_the_list(
    console: ConsoleUnderTest, waiting: Waiting
) -> None:
    grouped = 'aria-label="Groups of changes"'
    assert grouped in await _text(console, waiting.page)
    assert grouped in await _text(console, f"{waiting.page}?by=alike&change_class=suspend")
    assert grouped not in await _text(console, f"{waiting.page}?change_class=update")
    assert grouped not in await _text(console, f"{waiting.page}?text=c001262")
