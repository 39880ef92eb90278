"""What stops the work on a plan, or one change of it: refusals, limits, people; and what holds when it stops."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shared.errors import AetherError, NeedsPerson, RecordRefused, TargetMoved
from shared.plan.change import ChangeClass
from tests.unit.applier.applying_bench import UNKNOWN, UNREACHABLE, Bench, bench, slow_down, stops_with
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import RUN, change, record

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


async def test_refused_credential_pauses_at_once() -> None:
    one = bench(*(change(n) for n in range(1, 100)), in_flight=1)
    one.target.faults[ANY].append(Fault(NeedsPerson("APL_AUTH", "401")))
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert len(one.target.sent) == 1


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
        assert one.target.sent == []  # all of them were seen before the first write
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


async def test_cancel_ends_a_wait() -> None:
    one = bench(change(1), change(2), in_flight=1)
    one.target.faults[ANY].append(Fault(slow_down(800)))
    one.is_cancelled = lambda: one.seconds >= 2
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert one.seconds < 4
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
    assert one.target.sent == one.ledger.intents == []
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
    assert one.waits == []  # whoever ends a run does not wait for its target
    await one.resume()
    assert one.results() == {"not_attempted": 2}
    assert one.target.sent == []
    assert len(one.ledger.concluded) == 2  # what was found at the first look is not told again


async def test_all_unknown_outcomes_are_looked_up_however_many() -> None:
    one = _with_unknown(*range(150))
    for each in one.changes[:70]:
        one.target.records[str(each.target_id)].update(each.write.body or {})
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
    one.target.faults[ANY].append(Fault(NeedsPerson("APL_AUTH", "401")))
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert one.results() == {"unknown": 2}


# --- the canary, and everything else once ---------------------------------------------------------------------------


async def test_canary_of_five_is_read_back_before_more_is_taken_away() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=30)
    fetched_after_write: list[int] = []
    fetch = one.target.fetch

    async def noted(*args: object, **kwargs: object) -> object:
        fetched_after_write.append(len(one.target.sent))
        return await fetch(*args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    one.target.fetch = noted  # type: ignore[method-assign, assignment]  # notes and passes on
    assert await one.run() is None
    assert one.results() == {"applied": 30}
    # Five looks, five writes, five looks back; then the others.
    assert fetched_after_write[:10] == [0] * 5 + [5] * 5


async def test_lying_target_pauses_after_the_canary() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)))
    one.target.faults[ANY].extend(Fault(is_kept=False) for _ in range(30))
    stops_with(await one.run(), "pause", "APL_NOT_KEPT")
    assert len(one.target.sent) == 5


async def test_changes_that_are_not_destructive_need_no_canary() -> None:
    one = bench(*(change(n) for n in range(1, 31)))
    one.target.faults[ANY].extend(Fault(is_kept=False) for _ in range(30))
    assert await one.run() is None
    assert len(one.target.sent) == 30


async def test_excluded_changes_are_quarantined_and_never_sent() -> None:
    kept, aside = change(1), change(2)
    one = bench(kept, aside, excluded=[aside])
    assert await one.run() is None
    assert one.results() == {"applied": 1, "quarantined": 1}
    assert one.target.sent == [kept.change_id]
    assert await one.resume() is None
    assert len(one.ledger.concluded) == 2


async def test_concluded_changes_are_not_looked_at_again() -> None:
    one = bench(change(1), change(2))
    await one.run()
    sent = list(one.target.sent)
    one.target.fetch_faults.append(AssertionError("nothing is left to look at"))
    assert await one.resume() is None
    assert one.target.sent == sent
    assert len(one.ledger.concluded) == 2


async def test_never_more_writes_under_way_than_allowed() -> None:
    one = bench(*(change(n) for n in range(1, 41)), in_flight=3)
    under_way = most = 0
    write: Callable[..., Awaitable[object]] = one.target.write

    async def counted(*args: object, **kwargs: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await write(*args, **kwargs)
        finally:
            under_way -= 1

    one.target.write = counted  # type: ignore[method-assign, assignment]  # counts and passes on
    await one.run()
    assert most == 3


@pytest.mark.parametrize("error", [UNREACHABLE, UNKNOWN, NeedsPerson("APL_AUTH", "401")])
async def test_paused_run_resumes_where_it_stopped_and_writes_everything_once(error: AetherError) -> None:
    one = bench(
        *(change(n) for n in range(1, 21)), change(500, C.CREATE), *(change(n, C.SUSPEND) for n in range(30, 45))
    )
    bad = one.changes[7].change_id
    one.target.faults[bad].extend(Fault(error) for _ in range(5))
    stop = await one.run()
    assert stop is not None
    assert stop.kind == "pause"
    one.target.faults.clear()
    assert await one.resume() is None
    assert one.results() == {"applied": len(one.changes)}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(each.change_id for each in one.changes)
    assert all(outcome.run == RUN for outcome in one.ledger.concluded)
