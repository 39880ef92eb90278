"""Personal values of one change: shown on request with a reason, to those who may, and never by an address."""

from __future__ import annotations

import html
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.events.queries import RevealChange, RevealedChange, RevealedField
from tests.console.harness import CSRF, ConsoleUnderTest, console_under_test, refusing
from tests.console.waiting import Waiting, waiting_plan

REASON = "a parent asks why the record moved"
SECRET = "Wilhelmina <b>Example</b>"


@pytest.fixture
def house_data(small_house: Path) -> Path:
    """A house whose plans the guard holds."""
    return small_house


@pytest.fixture
def waiting(own_record: Path) -> Waiting:
    """A plan whose changes hold personal values."""
    return waiting_plan(own_record)


@pytest.fixture
async def console(house_data: Path, waiting: Waiting) -> AsyncIterator[ConsoleUnderTest]:
    """A console whose auditor answers with one name."""
    made = console_under_test(house_data, audit_database=waiting.record)

    def revealed(question: RevealChange) -> RevealedChange:
        fields = (
            RevealedField(name="first_name", before=None, after=SECRET, is_personal=True),
            RevealedField(name="role", before="A", after="B", is_personal=False),
        )
        return RevealedChange(
            run=question.run, change_id=question.change_id, entity="contacts", change_class="update", key="C1",
            fields=fields,
        )  # fmt: skip

    made.acting.answers["reveal_change"] = revealed
    yield made
    await made.console.records.close()


@pytest.mark.parametrize("role", ["operator", "approver", "steward", "auditor"])
async def test_a_reason_is_handed_to_the_auditor_before_values_are_shown(
    console: ConsoleUnderTest, waiting: Waiting, role: str
) -> None:
    change = waiting.ids[0]
    async with console.as_person("otto", role) as browser:
        answer = await browser.post(
            f"{waiting.page}/changes/{change}/reveal", data={"csrf": CSRF, "reason": f" {REASON} "}
        )
    assert console.acting.asked == [
        ("otto", "reveal_change", RevealChange(run=waiting.run, change_id=change, reason=REASON))
    ]
    assert answer.status_code == 200
    assert html.escape(SECRET) in answer.text
    assert SECRET not in answer.text
    for shown in ("Shown to otto", REASON, "recorded in the audit log"):
        assert shown in answer.text, shown
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("roles", [(), ("viewer",), ("admin",)])
async def test_who_may_not_see_values_is_offered_no_form_and_refused(
    console: ConsoleUnderTest, waiting: Waiting, roles: tuple[str, ...]
) -> None:
    place = f"{waiting.page}/changes/{waiting.ids[0]}"
    async with console.as_person("vera", *roles) as browser:
        text = (await browser.get(place)).text
        form = await browser.post(f"{place}/reveal", data={"csrf": CSRF, "reason": REASON})
        api = await browser.post(f"/api/v1{place}/reveal", json={"reason": REASON}, headers={"x-csrf-token": CSRF})
    assert f"{place}/reveal" not in text
    assert (form.status_code, api.status_code) == (403, 403)
    assert console.acting.asked == []


@pytest.mark.parametrize("reason", ["", "too short", " " * 30, "x" * 501])
async def test_a_reason_that_says_nothing_shows_nothing(
    console: ConsoleUnderTest, waiting: Waiting, reason: str
) -> None:
    place = f"{waiting.page}/changes/{waiting.ids[0]}"
    async with console.as_person("otto", "operator") as browser:
        answer = await browser.post(f"{place}/reveal", data={"csrf": CSRF, "reason": reason})
    assert answer.status_code == 409
    assert "allowed 10 to 500; nothing was shown" in answer.text
    assert console.acting.asked == []


async def test_values_cannot_be_asked_for_by_an_address_or_without_the_token(
    console: ConsoleUnderTest, waiting: Waiting
) -> None:
    place = f"{waiting.page}/changes/{waiting.ids[0]}/reveal"
    async with console.as_person("otto", "operator") as browser:
        assert (await browser.get(place, params={"reason": REASON})).status_code == 405
        assert (await browser.post(place, data={"reason": REASON})).status_code == 403
    assert console.acting.asked == []


async def test_a_change_of_no_plan_is_not_asked_for(console: ConsoleUnderTest, waiting: Waiting) -> None:
    place = f"{waiting.page}/changes/{'0' * 64}/reveal"
    async with console.as_person("otto", "operator") as browser:
        form = await browser.post(place, data={"csrf": CSRF, "reason": REASON})
        api = await browser.post(f"/api/v1{place}", json={"reason": REASON}, headers={"x-csrf-token": CSRF})
    assert (form.status_code, api.status_code) == (404, 404)
    assert console.acting.asked == []


async def test_what_the_auditor_refuses_is_told_and_nothing_is_shown(
    console: ConsoleUnderTest, waiting: Waiting
) -> None:
    console.acting.answers["reveal_change"] = refusing("AUD_UNAVAILABLE", "it cannot be recorded")
    place = f"{waiting.page}/changes/{waiting.ids[0]}/reveal"
    async with console.as_person("otto", "operator") as browser:
        answer = await browser.post(place, data={"csrf": CSRF, "reason": REASON})
    assert answer.status_code == 409
    assert "it cannot be recorded" in answer.text


async def test_the_api_answers_values_after_the_same_question(console: ConsoleUnderTest, waiting: Waiting) -> None:
    place = f"/api/v1{waiting.page}/changes/{waiting.ids[0]}/reveal"
    async with console.as_person("otto", "operator") as browser:
        answer = await browser.post(place, json={"reason": REASON}, headers={"x-csrf-token": CSRF})
        short = await browser.post(place, json={"reason": "short"}, headers={"x-csrf-token": CSRF})
    assert answer.json()["fields"][0] == {
        "name": "first_name", "before": None, "after": SECRET, "is_personal": True,
    }  # fmt: skip
    assert short.status_code == 422
    assert len(console.acting.asked) == 1
