"""The arithmetic of a connection's rate budget: which moments the next requests get, and what refusals change.

A budget is a line of slots in time, one request each, evenly apart. Whoever wants to send takes slots at the line's
end, so however many take, no stretch of T seconds holds more than `rate_max * T + 1` of them, and time in which
nobody asked is not saved up. It decides from values alone: `shared.bus.budget` keeps the document and tells the time.
"""

from __future__ import annotations

import math
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from shared.ports.pacing import Allowance

AHEAD_SECONDS_MAX: Final = 30.0
"""No slot is given out that lies further ahead."""
RETRY_SECONDS: Final = 1.0
"""The wait after a refusal that named none."""
RETRY_SECONDS_MAX: Final = 900.0
"""Longer waits are taken for this; what is then still refused says so again."""
SLOWED_SHARE: Final = 0.7
"""What a refusal leaves of the rate, at most once in `SLOWED_SECONDS`: many refusals of one moment are one."""
SLOWED_SECONDS: Final = 1.0
RECOVERED_SHARE: Final = 0.05
"""How much of the full rate comes back in each second without refusal."""
RATE_SHARE_MIN: Final = 0.01
"""The rate never falls below this share of the full one: whoever wants nothing at all refuses, and is waited for."""
STRANGE_SECONDS: Final = 60.0
"""A line whose end lies further ahead than slots are given, and this, was written by a clock that was wrong."""


class Budget(BaseModel):
    """The budget of one connection; moments are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    connection: str
    rate: float = Field(gt=0)
    """Requests a second at present."""
    rate_max: float = Field(gt=0)
    """Requests a second that the connection's settings allow."""
    next_at: float = Field(ge=0)
    """The first moment that nobody has taken."""
    not_before: float = Field(ge=0)
    """Until when the system wants no request at all."""
    lowered_at: float = Field(ge=0)
    """When the rate was lowered last because of a refusal."""
    counted_at: float = Field(ge=0)
    """Up to when recovery is counted in `rate`."""


def new_budget(connection: str, *, rate_max: float, now: float) -> Budget:
    """A budget of which nothing is taken."""
    return Budget(
        connection=connection,
        rate=rate_max,
        rate_max=rate_max,
        next_at=now,
        not_before=now,
        lowered_at=0.0,
        counted_at=now,
    )


def fitted(budget: Budget, *, rate_max: float, now: float) -> Budget:
    """The budget under the full rate of the present settings, without moments that only a wrong clock can have set."""
    slowest_seconds = 1 / (rate_max * RATE_SHARE_MIN)
    next_at = budget.next_at
    if next_at > now + AHEAD_SECONDS_MAX + STRANGE_SECONDS + slowest_seconds:
        next_at = now
    return budget.model_copy(
        update={
            "rate": max(min(budget.rate, rate_max), rate_max * RATE_SHARE_MIN),
            "rate_max": rate_max,
            "next_at": next_at,
            "not_before": budget.not_before if budget.not_before <= now + RETRY_SECONDS_MAX else now,
            "lowered_at": min(budget.lowered_at, now),
            "counted_at": min(budget.counted_at, now + RETRY_SECONDS_MAX),
        }
    )


def opens_at(budget: Budget, now: float) -> float:
    """The moment of the next slot."""
    return max(now, budget.next_at, budget.not_before)


def reserve(budget: Budget, now: float, n: int, *, within_seconds: float) -> tuple[Budget, tuple[float, ...]]:
    """Takes up to `n` slots that begin within so many seconds (at most `AHEAD_SECONDS_MAX`); none when it opens later.

    The slots ascend and are one interval apart; the first is the next free one.
    """
    budget = recovered(budget, now)
    interval, first = 1 / budget.rate, opens_at(budget, now)
    latest = now + min(within_seconds, AHEAD_SECONDS_MAX)
    fitting = math.floor((latest - first) / interval) + 1 if first <= latest else 0
    starts = tuple(first + position * interval for position in range(min(n, fitting)))
    if not starts:
        return budget, ()
    return budget.model_copy(update={"next_at": starts[-1] + interval}), starts


def recovered(budget: Budget, now: float) -> Budget:
    """The rate after the time without refusal until now; it grows to the full one and never beyond."""
    seconds = now - budget.counted_at
    if seconds <= 0:
        return budget
    rate = min(budget.rate_max, budget.rate + RECOVERED_SHARE * budget.rate_max * seconds)
    return budget.model_copy(update={"rate": rate, "counted_at": now})


def slowed(budget: Budget, now: float, seconds: float | None) -> Budget:
    """After a refusal for too many requests, with the wait it asked for; a wait that is no number counts as none."""
    wait = RETRY_SECONDS if seconds is None or not _is_amount(seconds) else min(seconds, RETRY_SECONDS_MAX)
    after = recovered(budget, now).model_copy(update={"not_before": max(budget.not_before, now + wait)})
    if now - budget.lowered_at < SLOWED_SECONDS:
        return after
    rate = max(after.rate * SLOWED_SHARE, after.rate_max * RATE_SHARE_MIN)
    # Recovery begins when asking begins again, not in the time in which nothing is asked.
    return after.model_copy(update={"rate": rate, "lowered_at": now, "counted_at": after.not_before})


def told(budget: Budget, now: float, allowance: Allowance) -> Budget:
    """After an answer that told what is left: nothing left closes the line, little left lowers the rate.

    The rate is never raised by what a system says, and numbers that make no sense change nothing.
    """
    remaining, resets = allowance.remaining, allowance.resets_in_seconds
    if not (_is_amount(remaining) and _is_amount(resets)) or resets <= 0:
        return budget
    if remaining < 1:
        return budget.model_copy(update={"not_before": max(budget.not_before, now + min(resets, RETRY_SECONDS_MAX))})
    present = recovered(budget, now)
    sustainable = max(remaining / resets, budget.rate_max * RATE_SHARE_MIN)
    if sustainable >= present.rate:
        return budget
    return present.model_copy(update={"rate": sustainable})


def _is_amount(number: float) -> bool:
    """Whether a number out of a header can be an amount: finite, not negative, not absurd."""
    return math.isfinite(number) and 0 <= number <= 1e12
