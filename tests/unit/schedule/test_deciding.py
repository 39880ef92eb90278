"""What becomes of a time that is due: each gate, in its order, and one run a time whatever rings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.clock import to_text
from shared.contract.model import Schedule
from shared.run.states import RunStatus
from shared.schedule.calendar import HouseCalendar
from shared.schedule.calendar_file import CalendarInvalid, load_calendar
from shared.schedule.deciding import (
    Due,
    Later,
    LeftOut,
    Nothing,
    clause_of,
    counted,
    decide,
    decide_blind,
    freshness_limit,
    jitter_of,
    preview,
    run_of,
)
from shared.schedule.state import Pause, ScheduleState
from shared.schedule.times import times_after

NAME = "titanhst-staff"
YEAR = {"name": "26-27", "first_day": "2026-08-12", "last_day": "2027-06-03"}
BREAK = {"name": "Thanksgiving", "from": "2026-11-23", "to": "2026-11-27"}
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
NIGHT = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
"""A Tuesday, 02:30 in California."""


def schedule(**more: Any) -> Schedule:
    return Schedule.model_validate({"cron": "30 2 * * *", "time_zone": "America/Los_Angeles", **more})


def calendar(**more: Any) -> HouseCalendar:
    return HouseCalendar.model_validate({"time_zone": "America/Los_Angeles", **more})


def state(settled: datetime | None = NIGHT - timedelta(days=1), **more: Any) -> ScheduleState:
    return ScheduleState(
        connector=NAME, since=to_text(BEGUN), clause=clause_of(schedule()),
        settled=None if settled is None else to_text(settled), **more,
    )  # fmt: skip


def decided(
    now: datetime = NIGHT,
    *,
    of: Schedule | None = None,
    by: HouseCalendar | None = None,
    on: ScheduleState | None = None,
) -> object:
    return decide(of or schedule(), by, on or state(), connector=NAME, now=now)


PAUSED = Pause(by="olga", at=to_text(BEGUN), reason="audit week")
BLACKOUT = {"blackouts": [{"name": "exam", "from": "2026-11-24T02:00", "until": "2026-11-24T03:00"}]}


def code_of(what: object) -> str:
    assert isinstance(what, LeftOut), what
    return what.code


def test_a_time_is_taken_when_nothing_stands_against_it() -> None:
    assert decided() == Due(NIGHT)
    assert decided(NIGHT + timedelta(seconds=59)) == Due(NIGHT)
    assert decided(NIGHT - timedelta(seconds=4)) == Due(NIGHT), "a bell may ring a little early"
    assert decided(NIGHT - timedelta(minutes=1)) == Nothing(), "and not much"
    assert decided(on=state(settled=NIGHT)) == Nothing(), "a time is settled once"


def test_a_blackout_beats_everything() -> None:
    windows = calendar(**BLACKOUT)
    assert code_of(decided(by=windows)) == "SCH_BLACKOUT"
    assert code_of(decided(by=windows, on=state(paused=PAUSED))) == "SCH_BLACKOUT"
    elsewhere = calendar(blackouts=[{**BLACKOUT["blackouts"][0], "connectors": ["another"]}])
    assert decided(by=elsewhere) == Due(NIGHT)
    # One that begins between the time and its jittered beginning.
    jittered = schedule(jitter_seconds_max=3600)
    begins = NIGHT + jitter_of(jittered, NAME, NIGHT)
    late = calendar(
        blackouts=[{"name": "later", "from": to_text(NIGHT + timedelta(seconds=30)), "until": "2026-11-24T23:00:00Z"}]
    )
    assert begins > NIGHT + timedelta(seconds=30), "choose another connector's name for this test"
    assert code_of(decided(begins, of=jittered, by=late)) == "SCH_BLACKOUT"
    # And what was missed is not caught up within it.
    assert code_of(decided(NIGHT + timedelta(hours=1, minutes=-31), by=windows)) == "SCH_BLACKOUT"


@pytest.mark.parametrize(
    ("day", "more", "code"),
    [
        ("2026-11-26", {"no_school": [BREAK]}, "SCH_CALENDAR"),
        ("2026-11-28", {}, "SCH_CALENDAR"),
        ("2026-08-03", {"school_years": [YEAR]}, "SCH_CALENDAR"),
        ("2026-11-30", {"school_years": [YEAR]}, None),
        ("2026-07-08", {"rollover": "none"}, None),
        ("2026-07-08", {}, "SCH_CALENDAR"),
        ("2026-07-16", {}, None),
        ("2026-06-30", {"rollover": [{"from": "2026-06-29", "to": "2026-07-03"}]}, "SCH_CALENDAR"),
    ],
)  # fmt: skip
def test_school_days_and_rollover_are_those_of_the_calendar(day: str, more: dict[str, Any], code: str | None) -> None:
    night = datetime.fromisoformat(f"{day}T10:30+00:00").replace(tzinfo=UTC)
    summer = night - timedelta(hours=1) if day[5:7] in ("06", "07", "08") else night
    what = decided(summer, of=schedule(calendar="school_days"), by=calendar(**more), on=state(settled=None))
    if code is None:
        assert isinstance(what, Due)
    else:
        assert code_of(what) == code
    every_day = decided(summer, of=schedule(rollover="run"), by=calendar(**more), on=state(settled=None))
    assert isinstance(every_day, Due), "who runs every day, and through the rollover, is not asked about school"


def test_the_latest_missed_time_is_caught_up_and_no_other() -> None:
    late = NIGHT + timedelta(days=3, hours=5)
    assert decided(late) == Due(NIGHT + timedelta(days=3), missed=3)
    assert code_of(decided(late, of=schedule(catch_up="none"))) == "SCH_MISSED"
    assert decided(NIGHT + timedelta(seconds=90), of=schedule(catch_up="none")) == Due(NIGHT)


def test_times_before_a_schedule_was_there_are_nobodys() -> None:
    new = ScheduleState(connector=NAME, since=to_text(NIGHT + timedelta(minutes=5)), clause="x")
    assert decided(NIGHT + timedelta(hours=2), on=new) == Nothing()
    assert decided(NIGHT + timedelta(days=1), on=new) == Due(NIGHT + timedelta(days=1))


def test_a_jittered_time_waits_for_its_beginning() -> None:
    jittered = schedule(jitter_seconds_max=600)
    begins = NIGHT + jitter_of(jittered, NAME, NIGHT)
    assert decided(NIGHT, of=jittered) == Later(NIGHT, begins)
    assert decided(begins, of=jittered) == Due(NIGHT)
    assert len({jitter_of(jittered, f"c{each}", NIGHT) for each in range(50)}) > 30


CHANGE_SPRING, CHANGE_AUTUMN = datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)


@given(
    start=st.sampled_from([CHANGE_SPRING, CHANGE_AUTUMN, NIGHT]).flatmap(
        lambda day: st.integers(-48, 24).map(lambda hours: day + timedelta(hours=hours))
    ),
    bells=st.lists(st.integers(min_value=0, max_value=60 * 60 * 60), min_size=1, max_size=15),
    cron=st.sampled_from(["30 1 * * *", "30 2 * * *", "0 * * * *", "15 2 * * MON-FRI"]),
    jitter=st.sampled_from([0, 600]),
    dark=st.tuples(st.integers(0, 48), st.integers(1, 12)),
)
@settings(max_examples=60, deadline=None)  # a shared machine is slow at times
def test_every_time_leads_to_one_run_at_most_whatever_rings(
    start: datetime, bells: list[int], cron: str, jitter: int, dark: tuple[int, int]
) -> None:
    """Bells ring in any number and order, for replicas whose clocks differ; two that saw the same ask for the same."""
    of = schedule(cron=cron, jitter_seconds_max=jitter)
    from_, until = start + timedelta(hours=dark[0]), start + timedelta(hours=sum(dark))
    house = calendar(blackouts=[{"name": "dark", "from": to_text(from_), "until": to_text(until)}])
    present = ScheduleState(connector=NAME, since=to_text(start), clause=clause_of(of))
    known = set(islice(times_after(cron, of.time_zone, start), 80))
    runs: list[str] = []
    for seconds in bells:
        now = start + timedelta(seconds=seconds)
        what, again = (decide(of, house, present, connector=NAME, now=now) for _ in range(2))
        assert what == again
        if isinstance(what, Due):
            assert what.nominal in known
            assert not any(from_ <= moment < until for moment in (what.nominal, now)), "it runs within a blackout"
            runs.append(run_of(NAME, what.nominal))
        if isinstance(what, Due | LeftOut):
            present = present.model_copy(update={"settled": to_text(what.nominal)})
    assert len(runs) == len(set(runs))


@pytest.mark.parametrize("day", [CHANGE_SPRING, CHANGE_AUTUMN])
@pytest.mark.parametrize(("cron", "jitter"), [("30 1 * * *", 0), ("30 2 * * *", 600), ("0 * * * *", 600)])
def test_no_time_is_lost_as_long_as_somebody_looks(day: datetime, cron: str, jitter: int) -> None:
    of = schedule(cron=cron, jitter_seconds_max=jitter)
    begun = day + timedelta(hours=6)
    present = ScheduleState(connector=NAME, since=to_text(begun), clause=clause_of(of))
    taken = []
    for minute in range(0, 8 * 60, 3):
        what = decide(of, None, present, connector=NAME, now=begun + timedelta(minutes=minute))
        if isinstance(what, Due):
            taken.append(what)
            present = present.model_copy(update={"settled": to_text(what.nominal)})
    end = begun + timedelta(hours=7)
    expected = [each for each in islice(times_after(cron, of.time_zone, begun), 80) if each < end]
    assert [one.nominal for one in taken if one.nominal < end] == expected
    assert {one.missed for one in taken} == {0}


@pytest.mark.parametrize("day", ["2026-03-08", "2026-11-01"])
@pytest.mark.parametrize("cron", ["30 1 * * *", "30 2 * * *", "0 3 * * *", "0 2 * * *"])
def test_the_days_on_which_clocks_change_have_one_run_like_every_other(day: str, cron: str) -> None:
    of = schedule(cron=cron)
    begun = datetime.fromisoformat(f"{day}T00:00+00:00") + timedelta(hours=7)
    present = ScheduleState(connector=NAME, since=to_text(begun), clause=clause_of(of))
    runs = set()
    for minute in range(0, 24 * 60, 2):  # a bell every other minute of the day, as if every alarm clock were wrong
        what = decide(of, None, present, connector=NAME, now=begun + timedelta(minutes=minute))
        if isinstance(what, Due):
            runs.add(run_of(NAME, what.nominal))
            present = present.model_copy(update={"settled": to_text(what.nominal)})
    assert len(runs) == 1


def test_a_window_between_a_time_and_its_beginning_is_judged_the_same_whenever_one_looks() -> None:
    jittered = schedule(jitter_seconds_max=3600)
    begins = NIGHT + jitter_of(jittered, NAME, NIGHT)
    passing = {"name": "x", "from": to_text(NIGHT + timedelta(seconds=10)), "until": to_text(begins)}
    over = calendar(blackouts=[passing])
    for seconds in (0, 20, 60):
        assert decided(NIGHT + timedelta(seconds=seconds), of=jittered, by=over) == Later(NIGHT, begins)
    assert decided(begins, of=jittered, by=over) == Due(NIGHT), "it is over when the run would begin"
    covering = calendar(blackouts=[{**passing, "until": to_text(begins + timedelta(seconds=1))}])
    for seconds in (0, 20, 60):
        assert code_of(decided(NIGHT + timedelta(seconds=seconds), of=jittered, by=covering)) == "SCH_BLACKOUT"


def test_what_stays_open_while_the_calendar_cannot_be_used_is_left_out() -> None:
    def blind(now: datetime, on: ScheduleState) -> object:
        return decide_blind(schedule(), "calendar.yaml:1:1: no", on, connector=NAME, now=now)

    assert blind(NIGHT, state()) == Nothing(), "a file that is just being written is whole in a moment"
    assert blind(NIGHT + timedelta(minutes=3), state()) == LeftOut(NIGHT, "SCH_CONFIG", "calendar.yaml:1:1: no")
    assert blind(NIGHT + timedelta(minutes=3), state(settled=NIGHT)) == Nothing()
    assert code_of(blind(NIGHT + timedelta(minutes=3), state(paused=PAUSED))) == "SCH_PAUSED"


def test_a_success_may_be_twice_as_old_as_the_largest_gap_between_times_that_are_taken() -> None:
    def limit(of: Schedule, by: HouseCalendar | None = None, now: datetime = NIGHT) -> timedelta:
        return freshness_limit(of, by, state(paused=PAUSED), connector=NAME, now=now)

    assert limit(schedule()) == timedelta(days=2)
    assert limit(schedule(cron="30 2 * * MON-FRI")) == timedelta(days=6), "over the weekend"
    assert limit(schedule(cron="*/10 * * * *")) == timedelta(hours=1), "and never less than an hour"
    winter = calendar(no_school=[{"name": "winter", "from": "2026-12-21", "to": "2027-01-08"}])
    within = datetime(2026, 12, 31, 12, tzinfo=UTC)
    # From Friday the 18th to Monday the 11th nobody misses a run, and so nothing is stale.
    assert limit(schedule(calendar="school_days"), winter, within) == timedelta(days=48)
    assert limit(schedule(), winter, within) == timedelta(days=2)


def test_a_run_never_begins_after_the_next_time() -> None:
    with pytest.raises(ValidationError, match="600, and two times are 600 seconds apart"):
        schedule(cron="*/10 * * * *", jitter_seconds_max=600)
    assert schedule(cron="*/10 * * * *", jitter_seconds_max=599).jitter_seconds_max == 599


def test_two_bad_runs_in_a_row_pause_the_schedule() -> None:
    at = to_text(NIGHT)
    first = counted(state(last_run="20261123T103000-aaaaaa", is_counted=False), RunStatus.HELD, at=at)
    assert (first.bad_in_row, first.paused) == (1, None)
    assert counted(first, RunStatus.HELD, at=at) == first, "a run is counted once"
    second = counted(first.model_copy(update={"is_counted": False}), RunStatus.FAILED, at=at)
    assert second.paused is not None
    assert (second.bad_in_row, second.paused.by) == (2, "schedule")
    assert code_of(decided(on=second)) == "SCH_PAUSED"


@pytest.mark.parametrize(
    ("status", "row"),
    [("succeeded", 0), ("no_changes", 0), ("planned", 0), ("partial", 1), ("rejected", 1), ("cancelled", 1)],
)
def test_only_a_good_run_ends_the_row(status: str, row: int) -> None:
    before = state(bad_in_row=1, is_counted=False, last_run="20261123T103000-aaaaaa")
    after = counted(before, RunStatus(status), at=to_text(NIGHT))
    assert (after.bad_in_row, after.is_counted, after.paused) == (row, True, None)


def test_a_held_run_that_was_approved_and_succeeded_counts_as_good() -> None:
    held = counted(state(is_counted=False, last_run="20261123T103000-aaaaaa"), RunStatus.HELD, at=to_text(NIGHT))
    assert counted(held, RunStatus.APPLYING, at=to_text(NIGHT)).bad_in_row == 1
    assert counted(held, RunStatus.SUCCEEDED, at=to_text(NIGHT)).bad_in_row == 0


def test_the_preview_says_which_times_would_be_left_out_and_why() -> None:
    windows = calendar(no_school=[{"name": "break", "from": "2026-11-25", "to": "2026-11-26"}])
    coming = list(preview(schedule(calendar="school_days"), windows, state(), connector=NAME, now=NIGHT, count=6))
    assert [nominal.date().isoformat() for nominal, _ in coming] == [f"2026-11-{day}" for day in range(25, 31)]
    assert [why.code if why else None for _, why in coming] == ["SCH_CALENDAR", "SCH_CALENDAR", None, "SCH_CALENDAR", "SCH_CALENDAR", None]  # fmt: skip  # noqa: E501
    assert "no school day" in str(coming[0][1])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("time_zone: Nowhere\n", r"calendar.yaml:1:1: time_zone: 'Nowhere' is no time zone"),
        (
            "time_zone: UTC\nblackouts:\n  - {name: x, from: 2026-01-02, until: 2026-01-01}\n",
            r":3:5: blackouts.0: ends",
        ),
        ("time_zone: UTC\nno_school:\n  - {from: 2026-01-02, to: 2026-01-01}\n", r":3:5: no_school.0: ends on"),
        ("time_zone: UTC\nholidays: []\n", r":2:1: holidays: Extra inputs are not permitted"),
        ("- 1\n", "calendar.yaml"),
        ("time_zone: UTC\nweekly_blackouts:\n  - {name: x, from: '07:00', until: '07:00'}\n", "same time"),
    ],
)
def test_a_faulty_calendar_is_refused_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "calendar.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CalendarInvalid, match=says) as refused:
        load_calendar(path)
    assert refused.value.code == "SCH_CONFIG"


def test_a_weekly_window_may_reach_over_midnight(tmp_path: Path) -> None:
    path = tmp_path / "calendar.yaml"
    path.write_text(
        "time_zone: America/Los_Angeles\n"
        "weekly_blackouts:\n  - {name: backup, weekdays: [FRI], from: '23:00', until: '02:00'}\n",
        encoding="utf-8",
    )
    house = load_calendar(path)
    friday = datetime(2026, 11, 28, 7, 30, tzinfo=UTC)  # 23:30 on Friday in California
    assert house.blackout_at(friday, NAME) == "backup"
    assert house.blackout_at(friday + timedelta(hours=2), NAME) == "backup"
    assert house.blackout_at(friday + timedelta(hours=2, minutes=30), NAME) is None
    assert house.blackout_at(friday - timedelta(days=1), NAME) is None
