"""The inbox tells of credentials that end and of schedules that paused themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.console.pages.inbox_view import credential_items, for_visitor, schedule_items
from shared.clock import to_text
from shared.events.documents import FailureNote
from shared.events.operating import CredentialAge, CredentialList
from shared.events.schedules import ScheduleList
from shared.schedule.state import Pause
from tests.console.harness import ConsoleUnderTest
from tests.console.test_inbox import _visitor as visitor
from tests.console.test_schedules_page import view

NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)


def ending(days: float | None) -> CredentialList:
    ends = None if days is None else to_text(NOW + timedelta(days=days))
    return CredentialList(
        credentials=(
            CredentialAge(connection="titanhst", setting="write_token", changed_at=to_text(NOW), ends_at=ends),
        )
    )


@pytest.mark.parametrize(
    ("days", "urgency", "says"),
    [
        (None, None, ""),
        (31, None, ""),
        (29, "look", "ends soon"),
        (6, "today", "ends soon"),
        (0, "now", "has ended"),
        (-3, "now", "has ended"),
    ],
)
def test_a_credential_is_told_before_it_ends(days: float | None, urgency: str | None, says: str) -> None:
    items = credential_items(ending(days), NOW)
    assert [item.urgency for item in items] == ([] if urgency is None else [urgency])
    for item in items:
        assert says in item.title
        assert item.href == "/systems#connection-titanhst"
    assert credential_items(None, NOW) == ()


def test_a_schedule_that_paused_itself_is_told_and_one_that_a_person_paused_is_not() -> None:
    itself = Pause(by="schedule", at=to_text(NOW), reason="2 runs in a row were held")
    (item,) = schedule_items(ScheduleList(schedules=(view(paused=itself),)))
    assert (item.kind, item.code, item.href) == ("schedule", "SCH_PAUSED", "/schedules")
    person = Pause(by="olga", at=to_text(NOW), reason="audit week")
    assert schedule_items(ScheduleList(schedules=(view(paused=person),))) == ()
    problem = FailureNote(code="SCH_CONFIG", text="calendar.yaml:2:1: no zone")
    (item,) = schedule_items(ScheduleList(schedules=(), problem=problem))
    assert (item.urgency, item.code) == ("now", "SCH_CONFIG")


def test_who_can_do_it_is_told() -> None:
    items = credential_items(ending(1), NOW)
    met = for_visitor(items, visitor("olga", "operator"))
    assert met[0].is_yours
    assert not for_visitor(items, visitor("vera", "viewer"))[0].is_yours


async def test_inbox_and_systems_show_the_end(under_test: ConsoleUnderTest) -> None:
    soon = to_text(datetime.now(UTC) + timedelta(days=2))
    told = CredentialAge(connection="titanhst", setting="token", changed_at=soon, ends_at=soon)
    under_test.acting.answers["credentials"] = lambda _: CredentialList(credentials=(told,))
    async with under_test.as_person("olga", "operator") as browser:
        inbox = (await browser.get("/api/v1/inbox")).json()
        systems = (await browser.get("/api/v1/connections")).json()
    assert [item["title"] for item in inbox["items"] if item["kind"] == "credential"] == [
        "The credential token of titanhst ends soon"
    ]
    ends = {
        (card["name"], one["setting"]): (one["ends_at"], one["ends_soon"])
        for card in systems["connections"]
        for one in card["credentials"]
    }
    assert ends["titanhst", "token"] == (soon, True)
