"""When a schedule is due, over both changes of the clocks and in other zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.schedule.times import checked_cron, checked_zone, in_words, latest_time, times_after, with_seconds

PACIFIC, BERLIN = "America/Los_Angeles", "Europe/Berlin"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def next_times(cron: str, zone: str, after: str, count: int) -> list[str]:
    return [each.strftime("%m-%dT%H:%M") for each in islice(times_after(cron, zone, utc(after)), count)]


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # Clocks go forward at 02:00: half past two does not exist, and is due when the gap ends.
        ("30 2 * * *", PACIFIC, "2026-03-07T12:00", ["03-08T10:00", "03-09T09:30"]),
        ("30 1 * * *", PACIFIC, "2026-03-07T12:00", ["03-08T09:30", "03-09T08:30"]),
        ("0 3 * * *", PACIFIC, "2026-03-07T12:00", ["03-08T10:00", "03-09T10:00"]),
        ("30 2 * * *", BERLIN, "2026-03-28T12:00", ["03-29T01:00", "03-30T00:30"]),
        # Clocks go back at 02:00: half past one comes twice, and is due the first time.
        ("30 1 * * *", PACIFIC, "2026-10-31T12:00", ["11-01T08:30", "11-02T09:30"]),
        ("30 2 * * *", PACIFIC, "2026-10-31T12:00", ["11-01T10:30", "11-02T10:30"]),
        ("30 2 * * *", BERLIN, "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"]),
        # What is due every hour follows real hours.
        ("0 * * * *", PACIFIC, "2026-03-08T08:30", ["03-08T09:00", "03-08T10:00", "03-08T11:00"]),
        ("0 * * * *", PACIFIC, "2026-11-01T07:30", ["11-01T08:00", "11-01T09:00", "11-01T10:00"]),
        # Weekdays are those of the zone: Friday evening in California is Saturday in UTC.
        ("0 18 * * FRI", PACIFIC, "2026-11-20T00:00", ["11-21T02:00", "11-28T02:00"]),
    ],
)
def test_times_are_due_as_the_clocks_of_the_zone_say(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert next_times(cron, zone, after, len(expected)) == expected


@given(
    cron=st.sampled_from(["30 1 * * *", "30 2 * * *", "0 3 * * MON-FRI", "*/20 * * * *", "0 0 1 * *", "15 2 8 3 *"]),
    zone=st.sampled_from([PACIFIC, BERLIN, "UTC", "Australia/Lord_Howe", "Asia/Kolkata"]),
    minutes=st.integers(min_value=0, max_value=2 * 366 * 24 * 60),
)
def test_looking_back_and_looking_forward_know_the_same_times(cron: str, zone: str, minutes: int) -> None:
    moment = utc("2026-01-01T00:00") + timedelta(minutes=minutes)
    following = next(times_after(cron, zone, moment))
    assert following > moment
    assert latest_time(cron, zone, following) == following
    before = latest_time(cron, zone, following - timedelta(microseconds=1))
    assert before is not None
    assert before <= moment


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 30 2 * * *", "five fields"),
        ("@daily", "five fields"),
        ("30 2 * *", "five fields"),
        ("30 25 * * *", "is no cron expression"),
        ("30 2 L * *", "is no cron expression|five fields"),
        ("0 0 30 2 *", "never|no time that ever comes|is no cron expression"),
        ("* * * * *", "every 1 minutes; at most every 5 minutes"),
        ("*/4 * * * *", "every 4 minutes"),
        ("0,58 * * * *", "every 2 minutes"),
        ("0 " * 60, "characters, allowed 100"),
    ],
)
def test_what_is_no_schedule_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        checked_cron(text)


def test_an_expression_is_kept_in_one_spelling() -> None:
    assert checked_cron(" 30  2 * * mon-fri ") == "30 2 * * MON-FRI"
    assert with_seconds("30 2 * * 7,17") == "0 30 2 * * 0,17"
    assert with_seconds("30 2 * * MON-FRI") == "0 30 2 * * MON-FRI"


def test_a_zone_that_does_not_exist_is_refused() -> None:
    assert checked_zone(PACIFIC) == PACIFIC
    for wrong in ("Pacific Time", "../etc/passwd", "America", ""):
        with pytest.raises(ValueError, match="no time zone"):
            checked_zone(wrong)


def test_an_expression_can_be_read_by_people() -> None:
    assert in_words("30 2 * * MON-FRI") == "At 02:30 on Monday through Friday"


CHANGES = [
    (PACIFIC, "2026-03-08"), (PACIFIC, "2026-11-01"), (BERLIN, "2026-03-29"), (BERLIN, "2026-10-25"),
    ("Australia/Lord_Howe", "2026-04-05"),
]  # fmt: skip
"""Days on which clocks change; in the last zone by half an hour."""


@pytest.mark.parametrize(("zone", "day"), CHANGES)
@pytest.mark.parametrize("cron", ["30 1 * * *", "30 2 * * *", "0 * * * *", "15 1,2,3 * * SUN", "*/30 1-3 * * *"])
def test_the_times_around_a_change_of_clocks_are_the_same_from_wherever_one_looks(
    zone: str, day: str, cron: str
) -> None:
    """From every ninth minute of a day, before, within and after the hour that is left out or doubled."""
    begun = utc(f"{day}T00:00") - timedelta(hours=8)
    end = begun + timedelta(hours=36)
    told_once = [each for each in islice(times_after(cron, zone, begun - timedelta(days=9)), 1_000) if each <= end]
    assert told_once == sorted(set(told_once))
    for minute in range(0, 24 * 60, 9):
        moment = begun + timedelta(minutes=minute, seconds=30)
        before = [each for each in told_once if each <= moment]
        after = [each for each in told_once if each > moment]
        assert latest_time(cron, zone, moment) == before[-1], moment
        if after:
            assert next(times_after(cron, zone, moment)) == after[0], moment


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (PACIFIC, "2026-03-08", 23),
        (PACIFIC, "2026-11-01", 25),
        (BERLIN, "2026-03-29", 23),
        (BERLIN, "2026-10-25", 25),
    ],
)
def test_an_hourly_schedule_has_as_many_times_as_the_day_has_hours(zone: str, day: str, hours: int) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone))
    next_midnight = midnight + timedelta(days=1)  # by the clock on the wall
    just_before = midnight.astimezone(UTC) - timedelta(seconds=1)
    found = [each for each in islice(times_after("0 * * * *", zone, just_before), 30) if each < next_midnight]
    assert len(found) == hours
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}
