"""Asking again: a read that meets a busy or broken system is repeated, within bounds, at growing distances."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from shared.errors import TryLater
from shared.ports.surroundings import Surroundings

T = TypeVar("T")

TRIES_MAX: Final = 5
"""Of one request that finds nobody or a broken server."""
RATE_WAITS_MAX: Final = 20
"""Of one request that is told to slow down; these use up no try."""
WAIT_SECONDS_FIRST: Final = 1.0
WAIT_SECONDS_MAX: Final = 60.0


async def patiently(ask: Callable[[], Awaitable[T]], *, surroundings: Surroundings) -> T:
    """What `ask` returns, asked again after each `TryLater` until the tries are used up; not for writes."""
    tries, rate_waits = 0, 0
    while True:
        try:
            return await ask()
        except TryLater as later:
            if later.failure.category == "rate_limited":
                rate_waits += 1
            else:
                tries += 1
            if tries >= TRIES_MAX or rate_waits > RATE_WAITS_MAX:
                raise
            await surroundings.sleep(_wait_seconds(tries + rate_waits, later.retry_after_seconds, surroundings))


def _wait_seconds(attempt: int, asked: float | None, surroundings: Surroundings) -> float:
    # Full jitter on top of nothing, or on top of what was asked, so that many readers do not return at once.
    ceiling = min(WAIT_SECONDS_FIRST * 2 ** (attempt - 1), WAIT_SECONDS_MAX)
    jitter = surroundings.rng.uniform(0, ceiling)
    return jitter if asked is None else asked + min(jitter, WAIT_SECONDS_FIRST)
