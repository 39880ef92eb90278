"""A target that is out of order as a whole, beside one that only refuses one record: who is to blame decides."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from shared.errors import AetherError
from shared.plan.change import ChangeClass
from tests.unit.applier.applying_bench import ANSWERED_500, UNREACHABLE, Bench, bench, now, stops_with
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import change

C = ChangeClass


def everything(kind: str) -> AetherError | None:
    return UNREACHABLE


def writes_only(kind: str) -> AetherError | None:
    return UNREACHABLE if kind == "write" else None


def writes_answered_500(kind: str) -> AetherError | None:
    return ANSWERED_500 if kind == "write" else None


def house(in_flight: int) -> Bench:
    one = bench(
        *(change(n) for n in range(1, 41)),
        *(change(n, C.CREATE) for n in range(500, 510)),
        *(change(n, C.SUSPEND) for n in range(100, 120)),
        in_flight=in_flight,
    )
    one.target.seconds = 0.08
    return one


def out_of_order(one: Bench, what: Callable[[str], AetherError | None], *, since: float, seconds: float) -> None:
    one.target.mood = lambda kind, _: what(kind) if since <= now() < since + seconds else None


@pytest.mark.parametrize("what", [everything, writes_only, writes_answered_500])
@pytest.mark.parametrize("since", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("in_flight", [1, 4, 16])
async def test_outage_of_two_minutes_ends_with_everything_applied(
    in_flight: int, since: float, what: Callable[[str], AetherError | None]
) -> None:
    one = house(in_flight)
    out_of_order(one, what, since=since, seconds=120)
    assert await one.run() is None
    assert one.results() == {"applied": 70}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(each.change_id for each in one.changes)
    assert max(outcome.tries for outcome in one.known.outcomes.values()) <= 5
    assert one.throttled[-1] == 0
    assert {note.code for note in one.notes if note is not None} == {"APL_SYSTEMIC"}


async def test_nothing_but_probes_is_sent_while_the_target_is_out_of_order() -> None:
    one = house(16)
    out_of_order(one, everything, since=0.0, seconds=120)
    await one.run()
    outage = [at for _, at in one.target.requests if 4 < at < 120]
    assert 3 <= len(outage) <= 5  # after 5, 10, 20 and 40 seconds
    assert all(later >= 1.9 * earlier for (_, earlier), (_, later) in pairwise(_gaps(outage)))


def _gaps(times: list[float]) -> list[tuple[float, float]]:
    return [(after, after - before) for before, after in pairwise(times)]


async def test_target_that_stays_out_of_order_pauses_the_run_after_six_probes() -> None:
    one = house(8)
    out_of_order(one, everything, since=0.5, seconds=1e9)
    stops_with(await one.run(), "pause", "APL_SYSTEMIC")
    assert 195 < now() < 215
    counts = one.results()
    assert set(counts) <= {"applied", "not_attempted", "unknown"}
    one.target.mood = lambda *_: None
    assert await one.resume() is None
    assert one.results() == {"applied": 70}
    assert len(one.target.journal) == 70


@pytest.mark.parametrize("in_flight", [1, 2, 4, 16])
@pytest.mark.parametrize("kind", ["read", "write"])
async def test_record_whose_requests_always_fail_has_failed_and_all_others_are_applied(
    in_flight: int, kind: str
) -> None:
    for position in (0, 20, 39):
        one = house(in_flight)
        bad = sorted(one.changes[:40], key=lambda each: each.change_id)[position]
        place = str(bad.target_id) if kind == "read" else bad.write.path
        one.target.mood = lambda met, name, place=place: UNREACHABLE if (met, name) == (kind, place) else None  # type: ignore[misc]  # bound now
        assert await one.run() is None
        assert one.results() == {"applied": 69, "failed": 1}
        assert (one.result(bad), one.code(bad)) == ("failed", "APL_UNREACHABLE")
        assert sum((met, name) == (kind, place) for met, name in _asked(one, kind)) == 5
        assert one.applying.retries >= 4


def _asked(one: Bench, kind: str) -> list[tuple[str, str]]:
    if kind == "read":
        return [("read", name) for name in one.target.looked_at]
    return [("write", path) for path in one.target.written_to]


async def test_record_that_is_bad_during_an_outage_is_told_from_it() -> None:
    one = house(4)
    bad = one.changes[5]
    place = str(bad.target_id)
    one.target.mood = lambda kind, name: UNREACHABLE if name == place or 0.5 <= now() < 60 else None
    assert await one.run() is None
    assert one.results() == {"applied": 69, "failed": 1}
    assert one.result(bad) == "failed"


async def test_outage_that_meets_the_last_change_alone_is_told_from_a_bad_record() -> None:
    one = bench(change(1), change(2), in_flight=1)
    last = max(one.changes, key=lambda each: each.change_id)
    one.target.mood = lambda kind, name: (
        UNREACHABLE if len(one.target.sent) == 1 and now() < 120 and kind == "read" else None
    )
    assert await one.run() is None
    assert one.results() == {"applied": 2}
    assert one.target.sent[-1] == last.change_id


async def test_single_change_that_always_fails_has_failed() -> None:
    one = bench(change(1))
    one.target.mood = lambda *_: UNREACHABLE
    assert await one.run() is None
    assert one.results() == {"failed": 1}
    assert len(one.target.requests) == 5


async def test_outage_uses_up_no_more_tries_than_there_are() -> None:
    one = house(4)
    one.target.faults[ANY].extend(Fault(UNREACHABLE) for _ in range(3))
    out_of_order(one, everything, since=0.5, seconds=100)
    assert await one.run() is None
    assert max(outcome.tries for outcome in one.known.outcomes.values()) <= 5


async def test_several_records_that_fail_on_alone_are_no_outage() -> None:
    """What is left at the end are only the bad ones; everything else was answered after they had failed first."""
    one = bench(*(change(n) for n in range(1, 41)), in_flight=16)
    bad = {item.change_id for item in one.changes[:4]}
    for change_id in bad:
        one.target.faults[change_id].extend(Fault(ANSWERED_500) for _ in range(100))
    assert await one.run() is None
    assert one.results() == {"applied": 36, "failed": 4}
    assert {change_id for change_id in bad if one.known.outcomes[change_id].result == "failed"} == bad
    assert not [seconds for seconds in one.throttled if seconds]
