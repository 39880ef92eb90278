"""The last look: which changes are looked at, and what an answer, or none, means for the run."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.applier.verifying import sample_of
from shared.bus.publishing import Conflict
from shared.errors import AetherError, StopRun
from shared.events.facts import OutcomeRecorded, Result
from shared.plan.change import ChangeClass
from tests.unit.applier.applying_bench import UNAUTHORIZED, UNREACHABLE, Bench, bench, now
from tests.unit.applier.fake_target import Fault
from tests.unit.plan.plan_builder import RUN, change

C = ChangeClass


def outcome(change_id: str, result: Result = "applied", *, is_read_back: bool = False) -> OutcomeRecorded:
    return OutcomeRecorded(
        run=RUN, change_id=change_id, fencing_token=1, result=result, is_read_back=is_read_back, tries=1
    )


@pytest.mark.parametrize(("applied", "size"), [(0, 0), (1, 1), (19, 19), (20, 20), (21, 20), (197, 20)])
def test_sample_is_spread_and_always_the_same(applied: int, size: int) -> None:
    changes = [change(n) for n in range(applied)]
    outcomes = {each.change_id: outcome(each.change_id) for each in changes}
    sample = sample_of(changes, outcomes)
    assert len({each.change_id for each in sample}) == len(sample) == size
    assert sample == sample_of(list(reversed(changes)), outcomes)
    order = sorted(each.change_id for each in changes)
    places = [order.index(each.change_id) for each in sample]
    assert all(after - before <= applied // 20 + 1 for before, after in pairwise(places))


def test_only_what_counts_as_applied_and_nobody_read_back_is_sampled() -> None:
    changes = [change(n) for n in range(4)]
    first, second, third, fourth = (each.change_id for each in changes)
    outcomes = {
        first: outcome(first),
        second: outcome(second, is_read_back=True),
        third: outcome(third, "noop_already"),
    }
    assert [each.change_id for each in sample_of(changes, outcomes)] == [first]
    assert fourth not in outcomes


async def applied(*lies: int) -> Bench:
    one = bench(*(change(n) for n in range(1, 16)))
    for number in lies:
        one.target.faults[one.changes[number].change_id].append(Fault(is_kept=False))
    assert await one.run() is None
    assert one.results() == {"applied": 15}
    return one


async def test_run_that_was_told_the_truth_stays_as_it_is() -> None:
    one = await applied()
    told = list(one.journal.concluded)
    await one.verify()
    assert one.results() == {"applied": 15}
    assert one.journal.concluded == told
    assert len(one.target.looked_at) == 30


async def test_write_that_was_not_kept_is_concluded_anew_as_failed() -> None:
    one = await applied(3, 7)
    await one.verify()
    assert one.results() == {"applied": 13, "failed": 2}
    assert [one.code(one.changes[number]) for number in (3, 7)] == ["VER_NOT_KEPT"] * 2
    assert {each.change_id for each in one.journal.concluded[15:]} == {one.changes[n].change_id for n in (3, 7)}
    assert one.target.looked_at.count("t-4") == 1 + 3


async def test_write_that_shows_late_is_waited_for() -> None:
    one = bench(*(change(n) for n in range(1, 6)))
    one.target.shows_after_seconds = 1.0
    assert await one.run() is None
    await one.verify()
    assert one.results() == {"applied": 5}


@pytest.mark.parametrize("error", [UNREACHABLE, UNAUTHORIZED, StopRun("APL_WRONG_SHAPE", "a login page")])
async def test_target_that_does_not_answer_costs_no_outcome(error: AetherError) -> None:
    one = await applied(3)
    one.target.mood = lambda *_: error
    before = now()
    await one.verify()
    assert one.results() == {"applied": 15}
    assert now() - before <= 60


async def test_person_who_asks_for_a_stop_is_not_kept_waiting() -> None:
    one = await applied(3)
    one.target.mood = lambda *_: UNREACHABLE
    one.is_cancelled = lambda: True
    before = now()
    await one.verify()
    assert now() - before < 0.5


async def test_lost_fence_while_telling_is_not_hidden() -> None:
    one = await applied(3)
    one.journal.refuses_outcomes = Conflict("led.x", "the fence", "wrong last sequence")
    with pytest.raises(Conflict):
        await one.verify()
