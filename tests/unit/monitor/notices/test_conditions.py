"""Which conditions are present follows from the record alone, and their ids stay while they last."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.monitor.notices.conditions import BETTER, ENDED_BADLY, Look, SeenRun, Unresolved, present, streaks_of
from services.monitor.notices.past import LogEntry, LogPast
from shared.clock import to_text
from shared.events.operating import ConditionKind
from shared.events.schedules import SchedulePaused, ScheduleResumed
from shared.run.states import EXIT_CODES, TERMINAL, RunStatus

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CANARY = "Ana-María Canary <canary.person@example.org>"


def at(hours: float) -> str:
    return to_text(NOW + timedelta(hours=hours))


def seen(run: str, status: str, hours: float = -1, *, mode: str = "apply", requester: str | None = None) -> SeenRun:
    return SeenRun(run, "staff", mode, status, at(hours), at(hours), requester)


def entry(index: int, kind: str, hours: float, **summary: Any) -> LogEntry:
    return LogEntry(index, kind, at(hours), summary.pop("run", None), summary)


def past_of(*entries: LogEntry) -> LogPast:
    past = LogPast()
    for one in entries:
        past.take(one)
    return past


def ids(look: Look, now: datetime = NOW) -> set[str]:
    return set(present(look, now=now))


@pytest.mark.parametrize("status", ["awaiting_approval", "held", "paused"])
def test_a_run_that_waits_for_a_person_is_a_condition_of_its_own(status: str) -> None:
    found = present(Look(waiting=(seen("r1", status), seen("r2", status))), now=NOW)
    assert {condition.run for condition in found.values()} == {"r1", "r2"}
    assert {condition.kind for condition in found.values()} == {f"run_{status}"}


def test_a_run_that_pauses_again_is_told_again() -> None:
    first, second = seen("r1", "paused", -2), seen("r1", "paused", -1)
    assert ids(Look(waiting=(first,))) != ids(Look(waiting=(second,)))


def test_failures_in_a_row_are_one_condition_until_a_run_is_better() -> None:
    bad = [seen("r1", "failed", -3), seen("r2", "failed", -2)]
    (one,) = streaks_of(bad[:1], {})
    (both,) = streaks_of(bad, {})
    assert ids(Look(streaks=(one,))) == ids(Look(streaks=(both,)))
    (condition,) = present(Look(streaks=(both,)), now=NOW).values()
    assert (condition.run, condition.since, dict(condition.counts)) == ("r2", at(-3), {"runs in a row": 2})
    assert streaks_of(bad, {("staff", "apply", "run_failed"): at(-1)}) == []
    (later,) = streaks_of([*bad, seen("r4", "failed", 0)], {("staff", "apply", "run_failed"): at(-1)})
    assert ids(Look(streaks=(later,))).isdisjoint(ids(Look(streaks=(both,))))


def test_the_id_of_a_streak_stays_when_its_first_run_is_too_old_to_be_looked_at() -> None:
    bad = [seen(f"r{number}", "failed", -10 + number) for number in range(5)]
    better: dict[tuple[str, str, ConditionKind], str] = {("staff", "apply", "run_failed"): at(-11)}
    (whole,), (rest,) = streaks_of(bad, better), streaks_of(bad[2:], better)
    assert ids(Look(streaks=(whole,))) == ids(Look(streaks=(rest,)))


def test_a_dry_run_counts_only_when_the_schedule_asked_for_it() -> None:
    by_person = seen("r1", "failed", mode="dry-run", requester="otto")
    assert streaks_of([by_person], {}) == []
    assert len(streaks_of([replace(by_person, requester="schedule")], {})) == 1


def test_every_end_of_a_run_either_begins_ends_or_leaves_conditions_alone_on_purpose() -> None:
    # Cancelled says nothing of the connector; every other end of a run is decided upon.
    decided = {status.value for status in TERMINAL} - {"cancelled"}
    assert decided <= {*ENDED_BADLY, *BETTER["run_blocked"]}
    assert {status for status, code in EXIT_CODES.items() if code == 0} <= {
        RunStatus(each) for each in BETTER["run_failed"]
    }
    # What begins a condition never ends it.
    assert all(status not in BETTER[kind] for status, kind in ENDED_BADLY.items())


def test_a_schedule_is_paused_from_the_first_pause_to_the_resumption() -> None:
    first = entry(3, SchedulePaused.event_type, -5, connector="staff")
    again = entry(4, SchedulePaused.event_type, -4, connector="staff")
    (condition,) = present(Look(past=past_of(first, again)), now=NOW).values()
    assert (condition.kind, condition.connector, condition.since) == ("schedule_paused", "staff", at(-5))
    resumed = entry(5, ScheduleResumed.event_type, -3, connector="staff")
    assert ids(Look(past=past_of(first, again, resumed))) == set()
    anew = entry(6, SchedulePaused.event_type, -2, connector="staff")
    assert ids(Look(past=past_of(first, again, resumed, anew))).isdisjoint({condition.id})


def test_a_connection_is_in_quarantine_until_it_is_healthy_however_often_it_was_probed() -> None:
    kind = "aether.connection.health.v1"
    bad = {"connection": "hst", "status": "quarantined", "since": at(-6), "code": "SRC_AUTH"}
    probed = past_of(entry(1, kind, -6, **bad), entry(2, kind, -5, **bad, probes=1))
    (condition,) = present(Look(past=probed), now=NOW).values()
    assert (condition.connection, condition.code, condition.since) == ("hst", "SRC_AUTH", at(-6))
    assert ids(Look(past=past_of(entry(1, kind, -6, **bad)))) == {condition.id}
    probed.take(entry(3, kind, -4, connection="hst", status="healthy", since=at(-4)))
    assert ids(Look(past=probed)) == set()


def test_an_alarm_is_over_after_a_day_of_quiet_and_one_alarm_as_long_as_it_is_repeated() -> None:
    kind = "aether.alarm.raised.v1"
    alarms = [
        entry(number, kind, hours, service="applier", code="APL_PLAN_ALTERED", run="r1")
        for number, hours in enumerate((-60, -40, -20, -1))
    ]
    past = past_of(*alarms)
    (condition,) = present(Look(past=past), now=NOW).values()
    assert (condition.since, dict(condition.counts), condition.run) == (at(-60), {"alarms": 4}, "r1")
    assert ids(Look(past=past), NOW + timedelta(hours=22.9)) == {condition.id}
    assert ids(Look(past=past), NOW + timedelta(hours=23.1)) == set()
    past.take(entry(9, kind, 48, service="applier", code="APL_PLAN_ALTERED"))
    assert ids(Look(past=past), NOW + timedelta(hours=49)).isdisjoint({condition.id})


def test_effects_that_stay_unknown_are_a_condition_of_their_run() -> None:
    (condition,) = present(Look(unresolved=(Unresolved("r1", "staff", 3, at(-1)),)), now=NOW).values()
    assert (condition.kind, condition.run, dict(condition.counts)) == ("unknown_effects", "r1", {"unknown": 3})


def test_what_is_no_name_and_no_code_of_ours_is_not_repeated() -> None:
    past = past_of(
        entry(1, SchedulePaused.event_type, -1, connector=CANARY),
        entry(2, "aether.connection.health.v1", -1, connection=CANARY, status="quarantined", since=CANARY),
        entry(3, "aether.connection.health.v1", -1, connection="hst", status="quarantined", since=CANARY, code=CANARY),
        entry(4, "aether.alarm.raised.v1", -1, service="applier", code=CANARY),
        entry(5, "aether.notice.sent.v1", -1, condition="x"),
        entry(6, "aether.notice.sent.v1", -1),
    )
    found = present(Look(past=past), now=NOW)
    assert len(found) == 2
    assert "Canary" not in repr(found)
