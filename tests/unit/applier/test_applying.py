"""Carrying out a plan against a target that fails in every way it can: each change exactly once in effect."""

from __future__ import annotations

import pytest

from services.applier import apply as apply_module
from shared.bus.lease import LeaseLost
from shared.errors import NeedsPerson
from shared.plan.change import ChangeClass
from tests.unit.applier.applying_bench import UNKNOWN, UNREACHABLE, bench, slow_down, stops_with
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import change, record

C = ChangeClass


async def test_intent_is_durable_before_its_write_and_outcome_after_it() -> None:
    one = bench(change(1), change(2), change(500, C.CREATE))
    assert await one.run() is None
    assert one.results() == {"applied": 3}
    assert set(one.ledger.sent_at_intent.values()) == {0}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(one.ledger.intents)
    assert one.target.records["t-1"]["first_name"] == "New1"
    assert one.known.outcomes[one.changes[2].change_id].target_id == "new-200"


async def test_nothing_is_written_when_the_intent_cannot_be_recorded() -> None:
    one = bench(change(1))
    one.ledger.refuses_intents = RuntimeError("the ledger is full")
    with pytest.raises(RuntimeError):
        await one.run()
    assert one.target.sent == []


async def test_nothing_is_written_without_the_lease() -> None:
    one = bench(change(1), is_held=lambda: False)
    with pytest.raises(LeaseLost):
        await one.run()
    assert (one.target.sent, one.ledger.intents) == ([], [])


async def test_lease_lost_between_intent_and_write_sends_nothing() -> None:
    one = bench(change(1))
    one.is_held = lambda: not one.ledger.intents
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
    assert one.target.sent == one.ledger.intents == []


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
    assert one.seconds >= 20 * 30
    assert one.known.outcomes[one.changes[0].change_id].tries == 1
    assert one.throttled == [30, 0] * 20
    assert one.applying.rate_limited == 20


async def test_request_to_slow_down_holds_back_all_writes_to_the_target() -> None:
    one = bench(*(change(n) for n in range(1, 9)), in_flight=1)
    one.target.faults[ANY].append(Fault(slow_down(90)))
    at: list[float] = []
    write = one.target.write

    async def timed(*args: object, **kwargs: object) -> object:
        at.append(one.seconds)
        return await write(*args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    one.target.write = timed  # type: ignore[method-assign, assignment]  # looks at the clock and passes on
    await one.run()
    assert at[0] == 0
    assert all(second >= 90 for second in at[1:])


async def test_endless_requests_to_slow_down_pause_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "WAITS_MAX", 6)
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(slow_down(1)) for _ in range(40))
    stops_with(await one.run(), "pause", "APL_RATE_LIMITED")
    assert len(one.target.sent) == 7


async def test_slowing_down_while_looking_uses_up_no_try_either() -> None:
    one = bench(change(1))
    one.target.fetch_faults.extend([*(slow_down(2) for _ in range(7)), UNREACHABLE, UNREACHABLE])
    assert await one.run() is None
    assert one.results() == {"applied": 1}


async def test_five_tries_and_then_the_run_pauses() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(UNREACHABLE) for _ in range(9))
    stops_with(await one.run(), "pause", "APL_UNREACHABLE")
    assert len(one.target.sent) == 5
    assert len(one.waits) == 4
    assert all(wait <= ceiling for wait, ceiling in zip(one.waits, (1, 2, 4, 8), strict=True))
    assert one.results() == {"unknown": 1}
    one.target.faults.clear()
    assert await one.resume() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.journal) == 1


async def test_fourth_failure_is_survived() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(UNREACHABLE) for _ in range(4))
    assert await one.run() is None
    assert one.known.outcomes[one.changes[0].change_id].tries == 5


async def test_target_that_cannot_be_read_pauses_the_run_before_any_intent() -> None:
    one = bench(change(1))
    one.target.fetch_faults.extend(UNREACHABLE for _ in range(9))
    stops_with(await one.run(), "pause", "APL_UNREACHABLE")
    assert one.ledger.intents == one.target.sent == []
    assert one.results() == {"not_attempted": 1}


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
    fetch = one.target.fetch
    looks = 0

    async def blind_after_write(*args: object, **kwargs: object) -> object:
        nonlocal looks
        looks += 1
        if one.target.sent and looks < 10:
            raise NeedsPerson("APL_AUTH", "the credential has expired")
        return await fetch(*args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    one.target.fetch = blind_after_write  # type: ignore[method-assign, assignment]  # fails for a while
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert one.results() == {"unknown": 1}
    looks = 10
    assert await one.resume() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == len(one.target.journal) == 1
    assert one.known.outcomes[one.changes[0].change_id].target_id == "new-200"


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
