"""Random faults and random stops, resumed until all is done: each change exactly once in effect, and every count right.

A seed that fails is in the test's name; with it the run is repeated exactly.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random

import pytest

from services.applier.apply import Stop
from services.applier.changing import Changing
from shared.bus.lease import LeaseLost
from shared.errors import AetherError
from shared.events.facts import OutcomeRecorded
from shared.plan.change import Change, ChangeClass
from tests.unit.applier.applying_bench import (
    ANSWERED_500,
    NO_ROOM,
    UNAUTHORIZED,
    UNKNOWN,
    UNREACHABLE,
    Bench,
    bench,
    now,
    slow_down,
)
from tests.unit.applier.fake_target import ANY, Fault
from tests.unit.plan.plan_builder import change

C = ChangeClass
RESUMES_MAX = 60
ENDLESS = 4_000.0


def house(rng: Random) -> Bench:
    numbers = rng.sample(range(1, 190), 60)
    changes = [
        *(change(n) for n in numbers[:30]),
        *(change(n, C.SUSPEND) for n in numbers[30:45]),
        *(change(n, C.DELETE) for n in numbers[45:50]),
        *(change(n, C.CREATE) for n in range(500, 515)),
    ]
    one = bench(*changes, in_flight=rng.choice([1, 2, 5, 16]), seed=rng.randrange(10**6))
    one.target.seconds = rng.choice([0.0, 0.05])
    one.journal.seconds = rng.choice([0.0, 0.02])
    one.target.shows_after_seconds = rng.choice([0.0, 0.0, 0.9])
    return one


def make_trouble(one: Bench, rng: Random) -> None:
    """Faults for the next attempt: for single requests, and for stretches of time."""
    share = rng.choice([0.0, 0.05, 0.3])
    outage_from, outage_seconds = rng.uniform(0, 30) + now(), rng.choice([0.0, 0.0, 40.0, 1_000.0])
    stop_at = now() + rng.choice([rng.uniform(0, 3), rng.uniform(0, 60), ENDLESS])
    errors: list[AetherError] = [UNREACHABLE, slow_down(rng.uniform(0.1, 20)), slow_down(None)]
    writing = [UNKNOWN, ANSWERED_500]

    def mood(kind: str, _: str) -> AetherError | None:
        if outage_from <= now() < outage_from + outage_seconds:
            return UNREACHABLE
        if rng.random() > share:
            return None
        if rng.random() < 0.02:
            return UNAUTHORIZED
        if kind == "write" and rng.random() < 0.03:
            return NO_ROOM
        return rng.choice(errors)

    one.target.mood = mood
    one.target.faults.clear()
    for _ in range(200):
        fault = Fault()
        if rng.random() < share:
            fault = Fault(rng.choice(writing), is_done=rng.random() < 0.5)
        one.target.faults[ANY].append(fault)
    how = rng.choice(["pause", "lease", "crash", "nothing"])
    one.is_pause_asked = lambda: how == "pause" and now() >= stop_at
    one.is_held = lambda: not (how == "lease" and now() >= stop_at)
    one.journal.refuses_outcomes = None
    if how == "crash":
        one.crashes_at = stop_at


async def attempt(one: Bench) -> Stop | str | None:
    """One applier's life: to its end, or to its death."""
    applying = asyncio.create_task(one.resume())
    if one.crashes_at is not None:
        await asyncio.wait([applying], timeout=max(one.crashes_at - now(), 0.01))
        one.crashes_at = None
        if not applying.done():
            applying.cancel()
            with suppress(asyncio.CancelledError):
                await applying
            one.known = one.journal.durable()
            return "died"
    try:
        return await applying
    except LeaseLost:
        one.known = one.journal.durable()
        return "fenced"


async def lives(seed: int) -> Bench:
    """A plan, carried out by one applier after the other until all of it is done."""
    rng = Random(seed)
    one = house(rng)
    ended: Stop | str | None = "not begun"
    for number in range(RESUMES_MAX):
        if number < RESUMES_MAX - 3:
            make_trouble(one, rng)
        else:
            calm(one)
        ended = await attempt(one)
        # What is durable is what is known: nobody forgets an outcome, and nobody invents one.
        assert one.journal.durable().outcomes == one.known.outcomes
        if ended is None:
            break
    assert ended is None
    return one


def check(one: Bench) -> None:
    """Everything that must hold when all is done."""
    results = one.results()
    assert set(results) <= {"applied", "failed"}
    assert sum(results.values()) == len(one.changes)
    done = sorted(entry[0] for entry in one.target.journal)
    assert len(done) == len(set(done)), "a change took effect twice"
    assert done == sorted(each.change_id for each in one.changes if one.result(each) == "applied")
    assert set(one.target.sent) <= set(one.journal.attempts), "a write without an intent"
    for each in one.changes:
        if one.result(each) == "failed":
            assert one.code(each) in {"APL_UNREACHABLE", "APL_UNKNOWN_OUTCOME"}


@pytest.mark.parametrize("seed", range(200))
async def test_each_change_takes_effect_exactly_once_whatever_happens(seed: int) -> None:
    check(await lives(seed))


async def test_harness_sees_a_write_that_is_sent_again_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Changing.look

    async def blind(self: Changing, of: Change) -> OutcomeRecorded | None:
        return None if of.change_id in self._known.attempts else await look(self, of)

    monkeypatch.setattr(Changing, "look", blind)
    seen = 0
    for seed in range(20):
        one = await lives(seed)
        try:
            check(one)
        except AssertionError:
            seen += 1
    assert seen > 0


def calm(one: Bench) -> None:
    one.target.mood = lambda *_: None
    one.target.faults.clear()
    one.is_pause_asked = lambda: False
    one.is_held = lambda: True
    one.crashes_at = None
