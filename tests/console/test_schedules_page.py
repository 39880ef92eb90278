"""Schedules: the next times with what stands against them, four weeks of days, pausing and letting go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.console.pages.schedules_view import schedules_page
from shared.asking.problem import CommandFailed
from shared.clock import to_text
from shared.events.documents import FailureNote
from shared.events.schedules import (
    CalendarView,
    NameSchedule,
    NextTime,
    ScheduleList,
    ScheduleQuery,
    ScheduleView,
    WindowView,
)
from shared.schedule.state import Pause
from tests.console.harness import CSRF, ConsoleUnderTest

NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
ZONE = ZoneInfo("America/Los_Angeles")
CONNECTOR = "titanhst-staff"
HOSTILE = "<script>alert(1)</script>"


def view(**more: object) -> ScheduleView:
    nights = [NOW.replace(hour=10, minute=30) + timedelta(days=day) for day in range(1, 6)]
    thanksgiving = FailureNote(code="SCH_CALENDAR", text="2026-11-26 is no school day")
    return ScheduleView.model_validate(
        {
            "connector": CONNECTOR, "version": "1.0.0", "cron": "30 2 * * *", "time_zone": "America/Los_Angeles",
            "mode": "apply", "calendar": "school_days", "rollover": "pause", "catch_up": "latest",
            "jitter_seconds_max": 600, "last_run": "20261124T103000-abcdef", "last_status": "succeeded",
            "settled": to_text(nights[0] - timedelta(days=1)),
            "next": tuple(NextTime(at=to_text(at), left_out=thanksgiving if at.day == 26 else None) for at in nights),
            **more,
        }
    )  # fmt: skip


def listed(*views: ScheduleView, **more: object) -> ScheduleList:
    return ScheduleList.model_validate({"schedules": views, **more})


def test_four_weeks_hold_each_time_on_its_local_day() -> None:
    model = schedules_page(listed(view()), why_not=None, now=NOW, zone=ZONE)
    days = [day for week in model.weeks for day in week]
    assert (len(days), days[0].day, days[-1].day) == (28, "2026-11-23", "2026-12-20")
    assert [day.day for day in days if day.is_today] == ["2026-11-24"]
    by_day = {day.day: day.entries for day in days if day.entries}
    assert sorted(by_day) == [f"2026-11-{day}" for day in range(25, 30)]
    assert (by_day["2026-11-25"][0].at, by_day["2026-11-25"][0].code) == ("02:30", None)
    assert by_day["2026-11-26"][0].code == "SCH_CALENDAR"


def test_a_dense_schedule_is_counted_and_says_how_far_it_is_known() -> None:
    hourly = [NextTime(at=to_text(NOW + timedelta(hours=each))) for each in range(1, 51)]
    model = schedules_page(listed(view(next=tuple(hourly))), why_not=None, now=NOW, zone=ZONE)
    (tomorrow,) = [day for week in model.weeks for day in week if day.day == "2026-11-25"]
    assert (len(tomorrow.entries), tomorrow.more) == (3, 21)
    assert model.until == "2026-11-26"


async def test_the_page_shows_times_windows_and_who_paused_it(under_test: ConsoleUnderTest) -> None:
    calendar = CalendarView(
        time_zone="America/Los_Angeles",
        rollover="1 to 15 July of every year",
        blackouts=(WindowView(name=HOSTILE, when="SAT 01:00 until 05:00", connectors=(CONNECTOR,)),),
    )
    paused = Pause(by="olga", at=to_text(NOW), reason="audit week")
    under_test.acting.answers["schedules"] = lambda _: listed(view(paused=paused), calendar=calendar)
    async with under_test.as_person("olga", "operator") as browser:
        text = (await browser.get("/schedules")).text
        assert (await browser.get("/api/v1/schedules")).json()["schedules"][0]["connector"] == CONNECTOR
    assert "2026-11-26 is no school day" in text
    assert "by olga" in text
    assert "audit week" in text
    assert "1 to 15 July of every year" in text
    assert f'action="/schedules/{CONNECTOR}/resume"' in text
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert under_test.acting.asked[-1][:2] == ("olga", "schedules")
    assert isinstance(under_test.acting.asked[-1][2], ScheduleQuery)


@pytest.mark.parametrize("act", ["pause", "resume"])
async def test_an_operator_pauses_and_resumes_with_a_reason(under_test: ConsoleUnderTest, act: str) -> None:
    async with under_test.as_person("olga", "operator") as browser:
        done = await browser.post(f"/schedules/{CONNECTOR}/{act}", data={"csrf": CSRF, "reason": "audit week"})
        assert (done.status_code, done.headers["location"]) == (303, f"/schedules?done=schedule-{act}d")
        told = (await browser.get(done.headers["location"])).text
        assert (await browser.post(f"/schedules/{CONNECTOR}/{act}", data={"csrf": CSRF})).status_code == 422
    assert (
        "olga",
        f"{act}_schedule",
        NameSchedule(connector=CONNECTOR, reason="audit week"),
    ) in under_test.acting.asked
    assert "by itself" in told


async def test_a_house_that_does_not_answer_and_a_broken_calendar_are_said(under_test: ConsoleUnderTest) -> None:
    under_test.acting.answers["schedules"] = lambda _: CommandFailed("nobody answers", action="Start the extractor.")
    async with under_test.as_person("vera", "viewer") as browser:
        assert "nobody answers" in (await browser.get("/schedules")).text
        problem = FailureNote(code="SCH_CONFIG", text="calendar.yaml:2:1: time_zone: 'Mars' is no time zone")
        broken = listed(view(problem=problem, next=()), problem=problem)
        under_test.acting.answers["schedules"] = lambda _: broken
        text = (await browser.get("/schedules")).text
    assert "Nothing runs by schedule" in text
    assert "calendar.yaml:2:1" in text
    assert '<form method="post" action="/schedules' not in text
