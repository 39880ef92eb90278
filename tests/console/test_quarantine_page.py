"""The pages about quarantine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from services.console.pages.quarantine_view import ITEMS_READ_MAX
from shared.asking.problem import CommandFailed
from shared.events.commands import RequestRun
from shared.events.queries import QuarantineAnswer, QuarantineItem, QuarantineQuery
from tests.console.harness import CSRF, ConsoleUnderTest

HOSTILE = "<script>alert(1)</script>"


def _item(number: int, *, code: str = "NRM_UNMAPPED", field: str = "location", key: str | None = "") -> QuarantineItem:
    return QuarantineItem(
        side="source", entity="contacts", key=f"E{number:05}" if key == "" else key, source="job", field=field,
        code=code, value_class="text(3)", rule="map: locations",
    )  # fmt: skip


def _answering(*items: QuarantineItem, total: int | None = None) -> Callable[[QuarantineQuery], QuarantineAnswer]:
    by_code: dict[str, int] = {}
    for one in items:
        by_code[one.code] = by_code.get(one.code, 0) + 1
    return lambda asked: QuarantineAnswer(
        run=asked.run,
        total=len(items) if total is None else total,
        by_code=by_code,
        items=items[asked.offset : asked.offset + asked.limit],
    )


async def _newest(under_test: ConsoleUnderTest) -> str:
    async with under_test.as_person("vera", "viewer") as browser:
        run: str = (await browser.get("/api/v1/quarantine")).json()["runs"][0]["run"]
    under_test.acting.asked.clear()
    return run


async def test_newest_run_of_a_connector_counts_and_earlier_ones_do_not(under_test: ConsoleUnderTest) -> None:
    async with under_test.as_person("vera", "viewer") as browser:
        runs = (await browser.get("/api/v1/quarantine")).json()["runs"]
        text = (await browser.get("/quarantine")).text
    assert [one["is_newest"] for one in runs] == [True, *[False] * (len(runs) - 1)]
    assert runs[0]["requested_at"] == max(one["requested_at"] for one in runs)
    assert runs[0]["records"] == 29
    assert {one["code"] for one in runs[0]["by_code"]} >= {"NRM_UNMAPPED", "NRM_MISSING_REQUIRED"}
    assert "data steward: Fill the field in the system of record." in text
    assert "There is no button that lets a record out" in text


async def test_items_are_filtered_by_code_and_field(under_test: ConsoleUnderTest) -> None:
    run = await _newest(under_test)
    under_test.acting.answers["quarantine"] = _answering(
        _item(1), _item(2, field="role"), _item(3, code="NRM_MISSING_REQUIRED", field="last_name")
    )
    async with under_test.as_person("vera", "viewer") as browser:
        by_code = (await browser.get(f"/quarantine/{run}", params={"code": "NRM_MISSING_REQUIRED"})).text
        by_field = (await browser.get(f"/api/v1/quarantine/{run}", params={"field": "role"})).json()
        nothing = (await browser.get(f"/quarantine/{run}", params={"field": HOSTILE})).text
    assert "E00003" in by_code
    assert "E00001" not in by_code
    assert [one["key"] for one in by_field["items"]] == ["E00002"]
    assert (by_field["total"], by_field["found"]) == (3, 1)
    assert "No item is of this kind." in nothing
    assert HOSTILE not in nothing


async def test_items_are_paged_and_each_is_shown_once(under_test: ConsoleUnderTest) -> None:
    run = await _newest(under_test)
    items = [_item(number) for number in range(1_234)]
    under_test.acting.answers["quarantine"] = _answering(*items)
    seen: list[str] = []
    async with under_test.as_person("vera", "viewer") as browser:
        for offset in range(0, 1_300, 100):
            page = (await browser.get(f"/api/v1/quarantine/{run}", params={"offset": offset})).json()
            seen += [one["key"] for one in page["items"]]
        text = (await browser.get(f"/quarantine/{run}", params={"offset": 1_200})).text
    assert seen == [one.key for one in items]
    assert "1,234 of 1,234 items" in text
    assert 'rel="prev"' in text
    assert 'rel="next"' not in text


async def test_what_is_beyond_the_bound_is_said_and_not_read(under_test: ConsoleUnderTest) -> None:
    run = await _newest(under_test)
    items = [_item(number) for number in range(ITEMS_READ_MAX + 900)]
    under_test.acting.answers["quarantine"] = _answering(*items)
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get(f"/quarantine/{run}")).text
    assert f"There are {ITEMS_READ_MAX + 900} items; the first {ITEMS_READ_MAX} are shown" in text
    assert len(under_test.acting.asked) == ITEMS_READ_MAX // 500


async def test_hostile_keys_and_rules_are_shown_as_text(under_test: ConsoleUnderTest) -> None:
    run = await _newest(under_test)
    hostile = QuarantineItem(
        side="source", entity=HOSTILE, key=HOSTILE, source=HOSTILE, field=HOSTILE, code=HOSTILE, value_class=HOSTILE,
        rule=HOSTILE,
    )  # fmt: skip
    under_test.acting.answers["quarantine"] = _answering(hostile, _item(1, key=None))
    async with under_test.as_person("vera", "viewer") as browser:
        text = (await browser.get(f"/quarantine/{run}")).text
    assert HOSTILE not in text
    assert "This release does not know the code." in text
    assert "without a key" in text


async def test_replay_asks_for_a_dry_run_over_the_same_rows(under_test: ConsoleUnderTest) -> None:
    run = await _newest(under_test)
    async with under_test.as_person("olga", "operator") as browser:
        answer = await browser.post(f"/quarantine/{run}/replay", data={"csrf": CSRF})
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs/20260101T000000-abcdef?done=requested")
    wanted = RequestRun(connector="titanhst-staff", mode="dry-run", replay_of=run)
    assert under_test.acting.asked == [("olga", "request_run", wanted)]


async def test_replay_needs_the_role_and_a_form_of_ours(under_test: ConsoleUnderTest) -> None:
    run = await _newest(under_test)
    async with under_test.as_person("eve", "viewer", "approver", "steward", "auditor", "admin") as browser:
        lacking = await browser.post(f"/quarantine/{run}/replay", data={"csrf": CSRF})
    async with under_test.as_person("olga", "operator") as browser:
        forged = await browser.post(f"/quarantine/{run}/replay", data={"csrf": "another"})
    assert (lacking.status_code, forged.status_code) == (403, 403)
    assert under_test.acting.asked == []


@pytest.mark.parametrize("run", ["nonsense", "x" * 300, "20200101T000000-zzzzzz"])
async def test_unknown_run_has_no_quarantine(under_test: ConsoleUnderTest, run: str) -> None:
    async with under_test.as_person("olga", "operator") as browser:
        answers = [await browser.get(f"/quarantine/{run}"), await browser.get(f"/api/v1/quarantine/{run}")]
        answers.append(await browser.post(f"/quarantine/{run}/replay", data={"csrf": CSRF}))
    assert {answer.status_code for answer in answers} == {404}
    assert under_test.acting.asked == []


async def test_list_is_shown_when_nobody_answers(under_test: ConsoleUnderTest) -> None:
    for name in ("health", "quarantine"):
        under_test.acting.answers[name] = lambda _: CommandFailed("nobody answers", action="Start the house.")
    async with under_test.as_person("vera", "viewer") as browser:
        listed = await browser.get("/quarantine")
        run = (await browser.get("/api/v1/quarantine")).json()["runs"][0]["run"]
        one = await browser.get(f"/quarantine/{run}")
    assert (listed.status_code, one.status_code) == (200, 200)
    assert "is not known now: nobody answers. Start the house." in listed.text
    assert "The records cannot be shown now: nobody answers. Start the house." in one.text
    assert "Every connection may be used" not in listed.text
