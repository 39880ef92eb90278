"""How many requests a customer of Klaxon Alerts may make: a rate for reads, a rate for writes, a sum for the day."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from simulators.alerts.switches import Tier
from simulators.kit.gateway import TokenBucket


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What a tier admits."""

    reads_per_second: int
    writes_per_second: int
    requests_per_day: int | None = None


TIERS: dict[Tier, Allowance] = {
    "bronze": Allowance(reads_per_second=10, writes_per_second=20, requests_per_day=50_000),
    "silver": Allowance(reads_per_second=20, writes_per_second=35),
    "gold": Allowance(reads_per_second=35, writes_per_second=50),
}


class Rates:
    """The buckets of the tier that is set; another tier begins with full ones."""

    def __init__(self, *, clock: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._tier: Tier = "none"
        self._buckets: dict[bool, TokenBucket] = {}
        self._day = date.min
        self._day_count = 0

    def admits(self, tier: Tier, *, is_write: bool) -> bool:
        """Count one request and say whether it may pass."""
        if tier != self._tier:
            self._tier = tier
            self._buckets = {}
            self._day_count = 0
        allowance = TIERS.get(tier)
        if allowance is None:
            return True
        today = self._clock().date()
        if today != self._day:
            self._day, self._day_count = today, 0
        if allowance.requests_per_day is not None and self._day_count >= allowance.requests_per_day:
            return False
        bucket = self._buckets.get(is_write)
        if bucket is None:
            per_second = allowance.writes_per_second if is_write else allowance.reads_per_second
            # The size of a burst is not known; one second's worth is chosen here.
            bucket = TokenBucket(per_second=per_second, burst=per_second, monotonic=self._monotonic)
            self._buckets[is_write] = bucket
        if bucket.wait_seconds():
            return False
        self._day_count += 1
        return True
