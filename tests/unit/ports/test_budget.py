"""The arithmetic of a rate budget: however many take from it and whatever a system says, never more than the rate."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ports.budget import (
    AHEAD_SECONDS_MAX,
    RATE_SHARE_MIN,
    RETRY_SECONDS,
    RETRY_SECONDS_MAX,
    Budget,
    fitted,
    new_budget,
    opens_at,
    recovered,
    reserve,
    slowed,
    told,
)
from shared.ports.pacing import Allowance

NOW = 1_790_000_000.0
ROUNDING = 1e-5
"""Moments of this size are exact to a quarter of a microsecond."""


def fresh(rate: float = 50.0) -> Budget:
    return new_budget("alerts", rate_max=rate, now=NOW)


def taken(budget: Budget, now: float, n: int, within: float = AHEAD_SECONDS_MAX) -> tuple[Budget, tuple[float, ...]]:
    return reserve(budget, now, n, within_seconds=within)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(1, 200), st.floats(0, 60)),
        st.tuples(st.just("slowed"), st.one_of(st.none(), st.floats(allow_nan=True)), st.none()),
        st.tuples(st.just("told"), st.floats(), st.floats()),
        st.tuples(st.just("wait"), st.floats(0, 90), st.none()),
        st.tuples(st.just("fitted"), st.none(), st.none()),
    ),
    max_size=60,
)


@given(rate=st.floats(0.05, 2000), steps=steps, seconds=st.floats(0.001, 60))
def test_no_stretch_of_time_holds_more_slots_than_the_rate_allows(
    rate: float, steps: list[tuple[str, float | None, float | None]], seconds: float
) -> None:
    budget, now = fresh(rate), NOW
    starts: list[float] = []
    for kind, first, second in steps:
        match kind:
            case "reserve":
                budget, more = reserve(budget, now, int(first or 1), within_seconds=second or 0.0)
                assert all(now <= start <= now + AHEAD_SECONDS_MAX for start in more)
                starts += more
            case "slowed":
                budget = slowed(budget, now, first)
            case "told":
                budget = told(budget, now, Allowance(first or 0.0, second or 0.0))
            case "wait":
                now += first or 0.0
            case _:
                budget = fitted(budget, rate_max=rate, now=now)
        assert rate * RATE_SHARE_MIN * (1 - 1e-9) <= budget.rate <= rate
        assert Budget.model_validate_json(budget.model_dump_json()) == budget
    assert all(before < after for before, after in pairwise(starts)), "each slot lies behind every earlier one"
    most = math.ceil(rate * seconds) + 1
    for position, start in enumerate(starts[most:]):
        assert start - starts[position] > seconds - ROUNDING, f"{most + 1} slots within {seconds} s"


def test_slots_are_one_interval_apart_and_follow_those_of_others() -> None:
    budget, mine = taken(fresh(50), NOW, 3)
    budget, theirs = taken(budget, NOW, 2)
    assert [round(start - NOW, 6) for start in (*mine, *theirs)] == [0, 0.02, 0.04, 0.06, 0.08]


def test_time_in_which_nobody_asked_is_not_saved_up() -> None:
    budget, _ = taken(fresh(50), NOW, 1)
    _, starts = taken(budget, NOW + 3600, 3)
    assert [round(start - NOW - 3600, 6) for start in starts] == [0, 0.02, 0.04]


def test_only_slots_within_reach_are_given() -> None:
    budget, starts = taken(fresh(10), NOW, 100, within=0.55)
    assert len(starts) == 6
    assert taken(budget, NOW, 1, within=0.55) == (budget, ())
    assert taken(slowed(budget, NOW, 120), NOW, 5)[1] == ()


def test_refusal_closes_the_line_for_as_long_as_it_says_and_lowers_the_rate_once_a_second() -> None:
    budget = slowed(slowed(fresh(50), NOW, 7.0), NOW + 0.2, 2.0)
    assert budget.not_before == NOW + 7
    assert budget.rate == pytest.approx(35)
    assert taken(budget, NOW + 1, 1)[1] == (NOW + 7,)
    again = slowed(budget, NOW + 7.5, 1.0)
    assert again.rate == pytest.approx((35 + 0.5 * 2.5) * 0.7), "half a second of recovery, then the second cut"


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [
        (None, RETRY_SECONDS),
        (math.nan, RETRY_SECONDS),
        (-3.0, RETRY_SECONDS),
        (0.0, 0.0),
        (86_400.0, RETRY_SECONDS_MAX),
        (math.inf, RETRY_SECONDS),
    ],
)
def test_wait_that_was_asked_for_is_obeyed_within_bounds(seconds: float | None, wait: float) -> None:
    assert slowed(fresh(), NOW, seconds).not_before == NOW + wait


def test_rate_comes_back_by_a_twentieth_a_second_up_to_the_full_one() -> None:
    budget = slowed(fresh(100), NOW, 1.0)
    assert recovered(budget, NOW + 1).rate == pytest.approx(70), "no recovery while nothing may be asked"
    assert recovered(budget, NOW + 3).rate == pytest.approx(80)
    assert recovered(recovered(budget, NOW + 2), NOW + 3).rate == pytest.approx(80)
    assert recovered(budget, NOW + 3600).rate == 100


def test_nothing_left_waits_for_the_refill_and_little_left_is_stretched_over_the_time() -> None:
    assert opens_at(told(fresh(50), NOW, Allowance(0, 12.0)), NOW) == NOW + 12
    assert told(fresh(50), NOW, Allowance(100, 10.0)).rate == pytest.approx(10)
    assert told(fresh(50), NOW, Allowance(5000, 10.0)) == fresh(50), "the rate is never raised by what a system says"


@pytest.mark.parametrize(
    ("remaining", "resets"),
    [(math.nan, 1), (-1, 5), (10, -1), (10, 0), (math.inf, 1), (5, math.nan), (5, math.inf), (1e300, 1)],
)
def test_numbers_that_make_no_sense_change_nothing(remaining: float, resets: float) -> None:
    assert told(fresh(), NOW, Allowance(remaining, resets)) == fresh()


def test_line_that_a_wrong_clock_has_written_is_begun_anew() -> None:
    lost = fresh(50).model_copy(update={"next_at": NOW + 3600, "not_before": NOW + 7200, "lowered_at": NOW + 50})
    healed = fitted(lost, rate_max=50, now=NOW)
    assert opens_at(healed, NOW) == NOW
    assert slowed(healed, NOW + 1, 0.0).rate == pytest.approx(35)
    agreed = slowed(fresh(50), NOW, 900)
    assert fitted(agreed, rate_max=50, now=NOW).not_before == NOW + 900, "an agreed wait is no garbage"


def test_line_of_a_slow_connection_is_no_garbage() -> None:
    budget, _ = taken(slowed(fresh(0.05), NOW, 0.0), NOW, 1)
    assert fitted(budget, rate_max=0.05, now=NOW).next_at == budget.next_at > NOW + 20


def test_new_rate_of_the_settings_holds_at_once_when_lower_and_by_and_by_when_higher() -> None:
    assert fitted(fresh(50), rate_max=10, now=NOW).rate == 10
    raised = fitted(fresh(50), rate_max=100, now=NOW)
    assert (raised.rate, raised.rate_max) == (50, 100)
    assert recovered(raised, NOW + 2).rate == pytest.approx(60)
