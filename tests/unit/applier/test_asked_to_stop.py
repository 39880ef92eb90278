"""Limits, people and losses that stop the work: when that takes effect, and what holds when it has stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from services.applier import apply as apply_module
from services.applier.stopping import HANDED_OVER
from shared.bus.lease import LeaseLost
from shared.bus.publishing import Conflict
from shared.errors import AetherError, NeedsPerson
from shared.plan.change import ChangeClass
from tests.support.plain import plain
from tests.unit.applier.applying_bench import (
    UNAUTHORIZED,
    UNREACHABLE,
    Bench,
    bench,
    now,
    slow_down,
    stops_with,
)
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import change, record

C = ChangeClass

# --- limits and people ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "stale", "is_stopped"), [(10, 5, False), (10, 6, True), (400, 8, False), (400, 9, True)]
)
async def test_more_stale_than_five_or_two_percent_stops(changes: int, stale: int, is_stopped: bool) -> None:
    one = bench(*(change(n) for n in range(changes)), live=changes)
    for each in sorted(one.changes, key=lambda each: each.change_id)[:stale]:
        one.target.records[str(each.target_id)]["role"] = "NURSE"
    stop = await one.run()
    if is_stopped:
        stops_with(stop, "stale", "APL_STALE")
        assert len(one.target.sent) <= one.in_flight  # only what was under way beside them
        assert one.results()["stale_skipped"] <= stale
        assert "unknown" not in one.results()
    else:
        assert stop is None
        assert one.results() == {"applied": changes - stale, "stale_skipped": stale}


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_cancel_takes_effect_at_the_next_change(after: int) -> None:
    one = bench(*(change(n) for n in range(1, 101)), in_flight=1)
    one.is_cancelled = lambda: len(one.target.sent) >= after
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert len(one.target.sent) == after
    counts = one.results()
    assert counts.get("applied", 0) == after
    assert counts["not_attempted"] == 100 - after
    assert "unknown" not in counts


async def test_pause_takes_effect_at_the_next_change_and_concludes_what_is_under_way() -> None:
    one = bench(*(change(n) for n in range(1, 101)), in_flight=8)
    one.target.seconds = 0.1
    one.journal.seconds = 0.05
    one.is_pause_asked = lambda: len(one.target.sent) >= 20
    stops_with(await one.run(), "pause", "SYS_PAUSED")
    counts = one.results()
    assert counts["applied"] + counts["not_attempted"] == 100
    assert 20 <= counts["applied"] < 20 + 2 * 8
    assert len(one.target.sent) == counts["applied"] == len(one.journal.concluded)
    one.is_pause_asked = lambda: False
    assert await one.resume() is None
    assert one.results() == {"applied": 100}
    assert len(one.target.sent) == 100


async def test_an_applier_that_ends_begins_nothing_more_and_another_goes_on() -> None:
    one = bench(*(change(n) for n in range(1, 101)), in_flight=8)
    one.target.seconds = 0.1
    one.journal.seconds = 0.05
    one.is_leaving = lambda: len(one.target.sent) >= 20
    assert await one.run() is HANDED_OVER
    counts = one.results()
    assert counts["applied"] + counts["not_attempted"] == 100
    assert 20 <= counts["applied"] < 20 + 2 * 8
    assert len(one.target.sent) == counts["applied"] == len(one.journal.concluded)
    one.is_leaving = lambda: False
    assert await one.resume() is None
    assert one.results() == {"applied": 100}
    assert len(one.target.sent) == 100


async def test_what_a_person_asks_outranks_the_end_of_a_program() -> None:
    one = bench(*(change(n) for n in range(1, 11)), in_flight=2)
    one.is_leaving = one.is_pause_asked = lambda: len(one.target.sent) >= 2
    stops_with(await one.run(), "pause", "SYS_PAUSED")


async def test_pause_that_comes_with_the_last_change_has_nothing_to_pause() -> None:
    one = bench(change(1), change(2), in_flight=1)
    one.is_pause_asked = lambda: len(one.target.sent) >= 2
    assert await one.run() is None
    assert one.results() == {"applied": 2}


async def test_person_who_ends_a_run_outranks_one_who_pauses_it() -> None:
    one = bench(*(change(n) for n in range(1, 101)), in_flight=8)
    one.target.seconds = 0.1
    one.journal.seconds = 0.05
    one.is_pause_asked = lambda: len(one.target.sent) >= 20
    one.is_cancelled = lambda: len(one.target.journal) >= 21
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")


WAITS: dict[str, Callable[[Bench], None]] = {
    "asked to slow down": lambda one: one.target.faults[ANY].extend(Fault(slow_down(800)) for _ in range(9)),
    "asked to slow down while looking": lambda one: setattr(one.target, "mood", lambda *_: slow_down(800)),
    "backing off": lambda one: setattr(one.target, "mood", lambda kind, _: UNREACHABLE if kind == "write" else None),
    "breaker": lambda one: setattr(one.target, "mood", lambda *_: UNREACHABLE),
}


@pytest.mark.parametrize("who", ["cancel", "pause"])
@pytest.mark.parametrize("wait", WAITS)
async def test_person_ends_every_wait_at_once(wait: str, who: str) -> None:
    one = bench(*(change(n) for n in range(1, 60)), in_flight=6)
    WAITS[wait](one)
    asked = 2.5 if wait == "backing off" else 12.0
    setattr(one, "is_cancelled" if who == "cancel" else "is_pause_asked", lambda: now() >= asked)
    stop = await one.run()
    stops_with(stop, who, "SYS_CANCELLED" if who == "cancel" else "SYS_PAUSED")
    assert asked <= now() < asked + 0.5
    counts = one.results()
    assert sum(counts.values()) == 59
    if who == "cancel":
        assert counts == {"not_attempted": 59}


async def test_lost_lease_ends_everything_at_once() -> None:
    one = bench(*(change(n) for n in range(1, 60)), in_flight=6)
    one.target.seconds = 0.1
    one.is_held = lambda: now() < 1.0
    with pytest.raises(LeaseLost):
        await one.run()
    assert now() < 1.2
    assert max(one.times("write")) < 1.0


@pytest.mark.parametrize("broken", ["refuses_intents", "refuses_outcomes"])
async def test_journal_that_fails_ends_everything_at_once_and_nothing_is_written_after(broken: str) -> None:
    one = bench(*(change(n) for n in range(1, 200)), in_flight=6)
    one.target.seconds = 0.1
    failure = Conflict("led.x", "the fence", "wrong last sequence")

    async def fails_later() -> None:
        await asyncio.sleep(3.0)
        setattr(one.journal, broken, failure)

    failing = asyncio.create_task(fails_later())
    with pytest.raises(Conflict) as raised:
        await one.run()
    await failing
    assert raised.value is failure
    at = now()
    assert at < 3.5
    sent = len(one.target.sent)
    await asyncio.sleep(1000)
    assert len(one.target.sent) == sent


async def test_no_more_than_so_many_outcomes_are_ever_waiting_to_be_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "OUTCOMES_PENDING_MAX", 7)
    one = bench(*(change(n) for n in range(1, 60)), in_flight=20)
    for each in one.changes:
        one.target.records[str(each.target_id)].update(plain(each.write.body))  # nothing to write: no intents
    one.journal.seconds = 1.0
    assert await one.run() is None
    assert len(one.journal.concluded) == 59
    assert one.journal.most_waiting == 7


async def test_cancel_ends_a_wait() -> None:
    one = bench(change(1), change(2), in_flight=1)
    one.target.faults[ANY].append(Fault(slow_down(800)))
    one.is_cancelled = lambda: now() >= 2
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert now() < 2.5
    assert one.results() == {"not_attempted": 2}


# --- ending while outcomes are unknown ------------------------------------------------------------------------------


def _with_unknown(*numbers: int, others: int = 0) -> Bench:
    """Updates that were intended by an applier that is no more, and some that nobody took up."""
    one = bench(*(change(n) for n in (*numbers, *range(150, 150 + others))))
    one.known.attempts = {each.change_id: 1 for each in one.changes[: len(numbers)]}
    one.is_cancelled = lambda: True
    return one


async def test_run_that_is_ended_looks_its_unknown_outcomes_up_and_sends_nothing() -> None:
    one = _with_unknown(1, 2, 3, others=2)
    done, undone, moved = one.changes[:3]
    one.target.records["t-1"]["first_name"] = "New1"
    one.target.records["t-3"]["role"] = "NURSE"
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert (one.result(done), one.result(undone), one.result(moved)) == ("applied", "not_attempted", "stale_skipped")
    assert one.results() == {"applied": 1, "not_attempted": 3, "stale_skipped": 1}
    assert one.target.sent == one.journal.intents == []
    told = [one.known.outcomes[each.change_id] for each in (done, undone, moved)]
    assert all(outcome.is_read_back for outcome in told)
    assert (told[0].target_id, told[1].tries, told[2].code) == ("t-1", 0, "APL_CONFLICT")


async def test_create_of_unknown_outcome_is_looked_up_by_its_key_when_the_run_ends() -> None:
    made, lost = change(500, C.CREATE), change(501, C.CREATE)
    one = bench(made, lost)
    one.target.records["new"] = {**record(500), "target_id": "new"}
    one.known.attempts = {made.change_id: 1, lost.change_id: 1}
    one.is_cancelled = lambda: True
    await one.run()
    assert (one.result(made), one.result(lost)) == ("applied", "not_attempted")
    assert one.known.outcomes[made.change_id].target_id == "new"


@pytest.mark.parametrize("error", [UNREACHABLE, slow_down(5), NeedsPerson("APL_AUTH", "401")])
async def test_outcome_that_cannot_be_looked_up_stays_unknown_until_the_target_answers(error: AetherError) -> None:
    one = _with_unknown(1, 2)
    one.target.fetch_faults.append(error)
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert one.results() == {"not_attempted": 1, "unknown": 1}
    assert now() == 0  # whoever ends a run does not wait for its target
    await one.resume()
    assert one.results() == {"not_attempted": 2}
    assert one.target.sent == []
    assert len(one.journal.concluded) == 2  # what was found at the first look is not told again


async def test_all_unknown_outcomes_are_looked_up_however_many() -> None:
    one = _with_unknown(*range(150))
    for each in one.changes[:70]:
        one.target.records[str(each.target_id)].update(plain(each.write.body))
    await one.run()
    assert one.results() == {"applied": 70, "not_attempted": 80}


async def test_run_that_stops_over_stale_records_looks_its_unknown_outcomes_up() -> None:
    one = bench(*(change(n) for n in range(10)))
    by_id = sorted(one.changes, key=lambda each: each.change_id)
    for each in by_id[:6]:
        one.target.records[str(each.target_id)]["role"] = "NURSE"
    one.known.attempts = {by_id[9].change_id: 1}
    stops_with(await one.run(), "stale", "APL_STALE")
    assert one.results() == {"stale_skipped": 6, "not_attempted": 4}
    assert one.result(by_id[9]) == "not_attempted"


async def test_run_that_is_paused_leaves_the_unknown_to_whoever_resumes_it() -> None:
    one = bench(change(1), change(2, C.SUSPEND))
    one.known.attempts = {one.changes[1].change_id: 1}
    one.target.faults[ANY].extend([Fault(UNAUTHORIZED), Fault(UNAUTHORIZED)])
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert one.results() == {"unknown": 2}


async def test_failure_of_one_leaves_nobody_counted_as_cancelled() -> None:
    one = bench(*(change(n) for n in range(1, 20)))
    one.journal.refuses_outcomes = Conflict("led.x", "the fence", "wrong last sequence")
    with pytest.raises(Conflict):
        await one.run()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.11, 0.16, 0.21, 0.26])
async def test_pause_leaves_no_change_with_an_intent_and_no_outcome(seconds: float) -> None:
    one = bench(*(change(n) for n in range(1, 101)), in_flight=8)
    one.target.seconds = 0.1
    one.journal.seconds = 0.05
    one.is_pause_asked = lambda: now() >= 1.0 + seconds
    stops_with(await one.run(), "pause", "SYS_PAUSED")
    assert set(one.results()) == {"applied", "not_attempted"}
