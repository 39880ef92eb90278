"""What was said to be done must be seen to be done: the canary, reading back always; and everything else once."""

from __future__ import annotations

import pytest

from shared.errors import AetherError
from shared.plan.change import ChangeClass
from shared.plan.document import EntityPlan, Excluded
from tests.unit.applier.applying_bench import (
    UNAUTHORIZED,
    UNKNOWN,
    UNREACHABLE,
    bench,
    now,
    stops_with,
)
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import ENTITY, FIELDS, RUN, change

C = ChangeClass

# --- the canary, and everything else once ---------------------------------------------------------------------------


async def test_canary_of_five_is_read_back_before_more_is_taken_away() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=30)
    one.target.seconds = 0.1
    assert await one.run() is None
    assert one.results() == {"applied": 30}
    canary = sorted(one.changes, key=lambda each: each.change_id)[:5]
    ids = {str(each.target_id) for each in canary}
    assert set(one.target.looked_at[:5]) == set(one.target.looked_at[5:10]) == ids
    assert set(one.target.sent[:5]) == {each.change_id for each in canary}
    back = one.times("read")[9]
    assert [at > back for at in one.times("write")] == [False] * 5 + [True] * 25
    assert sum(outcome.is_read_back for outcome in one.known.outcomes.values()) == 5


async def test_canary_is_five_that_were_applied_whatever_became_of_others() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=30)
    for each in sorted(one.changes, key=lambda each: each.change_id)[:4]:
        one.target.records[str(each.target_id)]["active"] = False  # somebody was quicker
    assert await one.run() is None
    assert one.results() == {"applied": 26, "noop_already": 4}
    read_back = [
        outcome for outcome in one.known.outcomes.values() if outcome.result == "applied" and outcome.is_read_back
    ]
    assert len(read_back) == 5


async def test_canary_that_was_read_back_before_a_pause_needs_no_other() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=1)
    one.is_pause_asked = lambda: len(one.target.sent) >= 3
    stops_with(await one.run(), "pause", "SYS_PAUSED")
    one.is_pause_asked = lambda: False
    assert await one.resume() is None
    assert sum(outcome.is_read_back for outcome in one.known.outcomes.values()) == 5


async def test_lying_target_pauses_after_the_canary() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=8)
    one.target.faults[ANY].extend(Fault(is_kept=False) for _ in range(30))
    stops_with(await one.run(), "pause", "VER_NOT_KEPT")
    assert len(one.target.sent) == 5
    assert one.results() == {"failed": 5, "not_attempted": 25}
    assert {outcome.code for outcome in one.known.outcomes.values()} == {"VER_NOT_KEPT"}


async def test_target_that_shows_the_canary_late_is_believed() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=8)
    one.target.shows_after_seconds = 1.0
    assert await one.run() is None
    assert one.results() == {"applied": 30}


async def test_entity_that_is_always_read_back_fails_each_change_that_is_not_kept() -> None:
    entity = EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=(), read_back="always")
    one = bench(*(change(n) for n in range(1, 31)), entities=(entity,))
    lies = one.changes[3], one.changes[9]
    for each in lies:
        one.target.faults[each.change_id].append(Fault(is_kept=False))
    assert await one.run() is None
    assert one.results() == {"applied": 28, "failed": 2}
    assert {one.code(each) for each in lies} == {"VER_NOT_KEPT"}
    assert all(outcome.is_read_back for outcome in one.known.outcomes.values())


async def test_write_that_cannot_be_read_back_stays_unknown() -> None:
    entity = EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=(), read_back="always")
    one = bench(change(1), entities=(entity,))
    one.target.mood = lambda kind, _: UNREACHABLE if kind == "read" and one.target.sent else None
    stops_with(await one.run(), "pause", "APL_UNREACHABLE")
    assert one.results() == {"unknown": 1}
    one.target.mood = lambda *_: None
    assert await one.resume() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == 1


async def test_changes_that_are_not_destructive_need_no_canary() -> None:
    one = bench(*(change(n) for n in range(1, 31)))
    one.target.faults[ANY].extend(Fault(is_kept=False) for _ in range(30))
    assert await one.run() is None
    assert len(one.target.sent) == 30


async def test_excluded_changes_are_quarantined_and_never_sent() -> None:
    kept, aside = change(1), change(2)
    one = bench(kept, aside, excluded=[aside])
    excluded = [Excluded(change_id=aside.change_id, code="MAT_AMBIGUOUS")]
    await one.applying.set_aside(excluded)
    assert await one.run() is None
    assert one.results() == {"applied": 1, "quarantined": 1}
    assert (one.code(aside), one.target.sent) == ("MAT_AMBIGUOUS", [kept.change_id])
    await one.applying.set_aside(excluded)
    assert await one.resume() is None
    assert len(one.journal.concluded) == 2


async def test_concluded_changes_are_not_looked_at_again() -> None:
    one = bench(change(1), change(2))
    await one.run()
    sent = list(one.target.sent)
    one.target.fetch_faults.append(AssertionError("nothing is left to look at"))
    assert await one.resume() is None
    assert one.target.sent == sent
    assert len(one.journal.concluded) == 2


async def test_never_more_requests_under_way_than_allowed_and_as_many() -> None:
    one = bench(*(change(n) for n in range(1, 41)), in_flight=3)
    one.target.seconds = 0.1
    await one.run()
    assert one.target.most_under_way == 3
    assert now() == pytest.approx(40 * 2 / 3 * 0.1, abs=0.21)  # nobody waits for the slowest of a group


@pytest.mark.parametrize("error", [UNKNOWN, UNAUTHORIZED])
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
    assert all(outcome.run == RUN for outcome in one.journal.concluded)
