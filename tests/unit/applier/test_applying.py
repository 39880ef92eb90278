"""Carrying out a plan against a target that fails in every way it can: each change exactly once in effect."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.applier import requests as requests_module
from shared.bus.lease import LeaseLost
from shared.plan.change import ChangeClass
from tests.unit.applier.applying_bench import (
    ANSWERED_500,
    UNAUTHORIZED,
    UNKNOWN,
    UNREACHABLE,
    bench,
    now,
    slow_down,
    stops_with,
)
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import change, record

C = ChangeClass


async def test_intent_is_durable_before_its_write_and_outcome_after_it() -> None:
    one = bench(change(1), change(2), change(500, C.CREATE))
    assert await one.run() is None
    assert one.results() == {"applied": 3}
    assert set(one.journal.sent_at_intent.values()) == {0}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(one.journal.intents)
    assert one.target.records["t-1"]["first_name"] == "New1"
    assert one.known.outcomes[one.changes[2].change_id].target_id == "new-200"


async def test_nothing_is_written_when_the_intent_cannot_be_recorded() -> None:
    one = bench(change(1))
    one.journal.refuses_intents = RuntimeError("the ledger is full")
    with pytest.raises(RuntimeError):
        await one.run()
    assert one.target.sent == []


async def test_nothing_is_written_without_the_lease() -> None:
    one = bench(change(1), is_held=lambda: False)
    with pytest.raises(LeaseLost):
        await one.run()
    assert (one.target.sent, one.journal.intents) == ([], [])


async def test_lease_lost_between_intent_and_write_sends_nothing() -> None:
    one = bench(change(1))
    one.is_held = lambda: not one.journal.intents
    with pytest.raises(LeaseLost):
        await one.run()
    assert one.target.sent == []
    assert one.results() == {"unknown": 1}


async def test_destructive_changes_come_last() -> None:
    one = bench(change(1, C.SUSPEND), change(2), change(300, C.CREATE), change(3, C.ROLE_CHANGE), in_flight=1)
    await one.run()
    assert [entry[0] for entry in one.target.journal][-1] == one.changes[0].change_id


async def test_record_that_is_as_wanted_already_is_not_written() -> None:
    one = bench(change(1), change(2, C.SUSPEND), change(3, C.CREATE), change(400, C.DELETE))
    one.target.records["t-1"]["first_name"] = "New1"
    one.target.records["t-2"]["active"] = False
    assert await one.run() is None
    assert one.results() == {"noop_already": 4}
    assert one.target.sent == one.journal.intents == []


async def test_record_that_moved_is_skipped_and_told() -> None:
    one = bench(change(1), change(2))
    one.target.records["t-1"]["role"] = "NURSE"
    await one.run()
    assert (one.result(one.changes[0]), one.code(one.changes[0])) == ("stale_skipped", "APL_CONFLICT")
    assert one.result(one.changes[1]) == "applied"
    assert one.target.sent == [one.changes[1].change_id]


# --- waiting and trying again ---------------------------------------------------------------------------------------


async def test_request_to_slow_down_is_obeyed_and_uses_up_no_try() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(slow_down(30)) for _ in range(20))
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert now() >= 20 * 30
    assert one.known.outcomes[one.changes[0].change_id].tries == 1
    assert one.throttled == [30, 0] * 20
    assert {note.code for note in one.notes if note is not None} == {"APL_RATE_LIMITED"}
    assert one.applying.rate_limited == 20


async def test_request_to_slow_down_holds_back_all_requests_to_the_target() -> None:
    one = bench(*(change(n) for n in range(1, 9)), in_flight=2)
    one.target.faults[ANY].append(Fault(slow_down(90)))
    await one.run()
    times = sorted(at for _, at in one.target.requests)
    assert one.results() == {"applied": 8}
    assert all(at == 0 or at >= 90 for at in times)
    assert sum(at == 0 for at in times) <= 4
    assert one.throttled == [90, 0]  # told once, whoever else waits


async def test_longer_request_to_slow_down_is_told_again() -> None:
    one = bench(*(change(n) for n in range(1, 9)), in_flight=2)
    one.target.faults[ANY].extend([Fault(slow_down(10)), Fault(slow_down(60))])
    await one.run()
    assert one.throttled == [10, 60, 0]


async def test_request_to_slow_down_without_a_time_is_obeyed_ever_longer() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(slow_down(None)) for _ in range(9))
    assert await one.run() is None
    assert one.throttled[::2] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert one.known.outcomes[one.changes[0].change_id].tries == 1


async def test_no_wait_is_longer_than_a_quarter_of_an_hour() -> None:
    one = bench(change(1))
    one.target.faults[ANY].append(Fault(slow_down(86_400)))
    assert await one.run() is None
    assert now() == pytest.approx(900, abs=1)


async def test_endless_requests_to_slow_down_pause_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests_module, "WAITS_MAX", 6)
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(slow_down(1)) for _ in range(40))
    stops_with(await one.run(), "pause", "APL_RATE_LIMITED")
    assert len(one.target.sent) == 7


async def test_slowing_down_while_looking_uses_up_no_try_either() -> None:
    one = bench(change(1))
    one.target.fetch_faults.extend([*(slow_down(2) for _ in range(7)), UNREACHABLE, UNREACHABLE])
    assert await one.run() is None
    assert one.results() == {"applied": 1}


async def test_five_tries_and_then_the_change_has_failed() -> None:
    one = bench(change(1), change(2))
    bad = one.changes[0]
    one.target.faults[bad.change_id].extend(Fault(UNREACHABLE) for _ in range(9))
    assert await one.run() is None
    assert one.results() == {"applied": 1, "failed": 1}
    assert (one.code(bad), one.known.outcomes[bad.change_id].tries) == ("APL_UNREACHABLE", 5)
    sent = one.times("write")
    assert len(sent) == 6
    pauses = [after - before for before, after in pairwise(sent[-5:])]
    assert all(0 <= pause <= ceiling for pause, ceiling in zip(pauses, (1, 2, 4, 8), strict=True))
    assert len({round(pause, 3) for pause in pauses}) == 4  # drawn, not counted


async def test_fourth_failure_is_survived() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(UNREACHABLE) for _ in range(4))
    assert await one.run() is None
    assert one.known.outcomes[one.changes[0].change_id].tries == 5


async def test_record_that_cannot_be_read_has_failed_without_any_intent() -> None:
    one = bench(*(change(n) for n in range(1, 30)), in_flight=3)
    one.target.mood = lambda kind, name: UNREACHABLE if (kind, name) == ("read", "t-7") else None
    assert await one.run() is None
    assert one.results() == {"applied": 28, "failed": 1}
    bad = next(each for each in one.changes if each.target_id == "t-7")
    assert bad.change_id not in one.journal.intents
    assert one.target.looked_at.count("t-7") == 5


# --- unknown outcomes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change_class", [C.CREATE, C.UPDATE, C.SUSPEND])
async def test_unknown_outcome_that_was_done_is_found_by_reading_and_not_sent_again(change_class: ChangeClass) -> None:
    number = 500 if change_class is C.CREATE else 1
    one = bench(change(number, change_class))
    one.target.faults[ANY].append(Fault(UNKNOWN, is_done=True))
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == len(one.target.journal) == 1
    assert one.known.outcomes[one.changes[0].change_id].is_read_back


@pytest.mark.parametrize("change_class", [C.CREATE, C.UPDATE])
async def test_unknown_outcome_that_was_not_done_is_sent_again_after_a_look(change_class: ChangeClass) -> None:
    one = bench(change(500 if change_class is C.CREATE else 1, change_class))
    one.target.faults[ANY].append(Fault(UNKNOWN))
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert (len(one.target.sent), len(one.target.journal)) == (2, 1)


async def test_unknown_outcome_whose_record_moved_meanwhile_is_stale() -> None:
    one = bench(change(1))
    moved = record(1, role="NURSE")

    async def fails(*_: object, **__: object) -> object:
        one.target.records["t-1"] = moved
        raise UNKNOWN

    one.target.write = fails  # type: ignore[method-assign, assignment]  # moves the record and gives no answer
    assert await one.run() is None
    assert one.results() == {"stale_skipped": 1}
    assert one.target.records["t-1"] is moved


async def test_outcome_that_stays_unknown_pauses_the_run_and_resume_looks_first() -> None:
    one = bench(change(500, C.CREATE))
    one.target.faults[ANY].append(Fault(UNKNOWN, is_done=True))
    one.target.mood = lambda kind, _: UNAUTHORIZED if kind == "read" and one.target.sent else None
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert one.results() == {"unknown": 1}
    one.target.mood = lambda kind, _: None
    assert await one.resume() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == len(one.target.journal) == 1
    assert one.known.outcomes[one.changes[0].change_id].target_id == "new-200"


async def test_writes_that_are_never_answered_pause_the_run() -> None:
    one = bench(change(500, C.CREATE))
    one.target.faults[ANY].extend(Fault(UNKNOWN) for _ in range(20))
    stops_with(await one.run(), "pause", "APL_UNKNOWN_OUTCOME")
    assert len(one.target.sent) == 5
    assert one.results() == {"unknown": 1}


async def test_record_whose_writes_are_all_answered_with_an_error_has_failed() -> None:
    one = bench(*(change(n) for n in range(1, 30)), in_flight=3)
    bad = one.changes[3]
    one.target.faults[bad.change_id].extend(Fault(ANSWERED_500) for _ in range(99))
    assert await one.run() is None
    assert one.results() == {"applied": 28, "failed": 1}
    assert (one.result(bad), one.code(bad)) == ("failed", "APL_UNKNOWN_OUTCOME")
    assert one.target.sent.count(bad.change_id) == 5


async def test_write_that_shows_late_is_not_sent_again() -> None:
    one = bench(change(500, C.CREATE))
    one.target.faults[ANY].append(Fault(UNKNOWN, is_done=True))
    one.target.shows_after_seconds = 1.0
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == len(one.target.journal) == 1


async def test_intent_of_a_killed_applier_whose_write_went_out_counts_as_applied() -> None:
    one = bench(change(1), change(2))
    one.known.attempts[one.changes[0].change_id] = 1
    one.target.records["t-1"]["first_name"] = "New1"
    assert await one.run() is None
    assert one.results() == {"applied": 2}
    assert one.target.sent == [one.changes[1].change_id]


async def test_intent_of_a_killed_applier_whose_write_did_not_go_out_is_sent() -> None:
    one = bench(change(500, C.CREATE))
    one.known.attempts[one.changes[0].change_id] = 1
    assert await one.run() is None
    assert len(one.target.journal) == 1
    assert one.known.attempts[one.changes[0].change_id] == 2
