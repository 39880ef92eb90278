"""What stops the work on a plan, or one change of it, by itself: refusals, credentials, room, defects of ours."""

from __future__ import annotations

import pytest

from shared.errors import NeedsPerson, RecordRefused, TargetMoved
from shared.plan.change import ChangeClass
from tests.unit.applier.applying_bench import (
    NO_ROOM,
    UNAUTHORIZED,
    bench,
    stops_with,
)
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import change

C = ChangeClass

# --- refusals -------------------------------------------------------------------------------------------------------


async def test_target_that_says_moved_and_shows_what_we_want_needs_nothing() -> None:
    one = bench(change(500, C.CREATE))
    one.target.faults[ANY].append(Fault(TargetMoved("APL_CONFLICT", "exists"), is_done=True))
    assert await one.run() is None
    assert one.results() == {"noop_already": 1}


async def test_target_that_says_moved_and_shows_something_else_is_stale() -> None:
    one = bench(change(1))
    one.target.faults[ANY].append(Fault(TargetMoved("APL_CONFLICT", "changed")))
    assert await one.run() is None
    assert one.results() == {"stale_skipped": 1}
    assert len(one.target.sent) == 1


async def test_refused_record_is_quarantined_and_the_others_go_on() -> None:
    one = bench(change(1), change(2))
    one.target.faults[one.changes[0].change_id].append(Fault(RecordRefused("APL_REFUSED_RECORD", "bad phone")))
    assert await one.run() is None
    assert one.results() == {"applied": 1, "quarantined": 1}
    assert one.code(one.changes[0]) == "APL_REFUSED_RECORD"


@pytest.mark.parametrize(("refused", "is_paused"), [(19, False), (20, True)])
async def test_twenty_refusals_alike_pause_the_run(refused: int, is_paused: bool) -> None:
    one = bench(*(change(n) for n in range(1, 151)), in_flight=1)
    one.target.faults[ANY].extend(Fault(RecordRefused("APL_REFUSED_RECORD", "bad")) for _ in range(refused))
    stop = await one.run()
    if is_paused:
        stops_with(stop, "pause", "APL_REFUSED_RECORD")
        assert len(one.target.sent) == 20
    else:
        assert stop is None
        assert one.results() == {"applied": 131, "quarantined": 19}


async def test_refused_credential_is_read_anew_once_and_the_request_repeated() -> None:
    one = bench(*(change(n) for n in range(1, 100)), in_flight=8)
    one.target.faults[ANY].extend(Fault(UNAUTHORIZED) for _ in range(8))  # everything that was under way
    one.target.seconds = 0.1
    assert await one.run() is None
    assert one.results() == {"applied": 99}
    assert one.reopened == 1
    assert {outcome.tries for outcome in one.known.outcomes.values()} == {1}


async def test_credential_that_is_refused_again_pauses_the_run() -> None:
    one = bench(*(change(n) for n in range(1, 100)), in_flight=1)
    one.target.faults[ANY].extend([Fault(), Fault(UNAUTHORIZED), Fault(), Fault(), Fault(UNAUTHORIZED)])
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert (len(one.target.sent), one.reopened) == (5, 1)
    assert one.results() == {"applied": 3, "not_attempted": 95, "unknown": 1}


async def test_credential_that_cannot_be_read_anew_pauses_the_run_over_the_refusal() -> None:
    one = bench(change(1), change(2), reopening_fails=NeedsPerson("SYS_SECRET", "the file is gone"))
    one.target.mood = lambda kind, _: UNAUTHORIZED if kind == "read" else None
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert one.results() == {"not_attempted": 2}


# --- capacity -------------------------------------------------------------------------------------------------------


async def test_class_without_room_is_left_and_everything_else_is_done() -> None:
    creates = [change(n, C.CREATE) for n in range(500, 520)]
    one = bench(*creates, *(change(n) for n in range(1, 20)), *(change(n, C.SUSPEND) for n in range(30, 40)))
    one.target.mood = lambda kind, path: NO_ROOM if (kind, path) == ("write", "/contacts") else None
    stop = await one.run()
    stops_with(stop, "pause", "APL_CAPACITY")
    assert stop is not None
    assert "20 changes (create of contacts)" in stop.note.text
    counts = one.results()
    assert counts["applied"] == 29
    assert counts["unknown"] + counts["not_attempted"] == 20
    assert counts["unknown"] <= one.in_flight  # only what was under way when the room was used up
    one.target.mood = lambda *_: None
    assert await one.resume() is None
    assert one.results() == {"applied": 49}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(each.change_id for each in one.changes)
    assert max(one.known.attempts.values()) == 2


@pytest.mark.parametrize(("defects", "is_paused"), [(2, False), (3, True)])
async def test_three_defects_of_ours_pause_the_run(defects: int, is_paused: bool) -> None:
    one = bench(*(change(n) for n in range(1, 11)), in_flight=1)
    one.target.faults[ANY].extend(Fault(KeyError("bug")) for _ in range(defects))
    stop = await one.run()
    if is_paused:
        stops_with(stop, "pause", "APL_INTERNAL")
        assert len(one.target.sent) == 3
    else:
        assert stop is None
        assert one.results() == {"applied": 8, "failed": 2}
