"""Slows down guessing from one address, whatever names it tries: so many failed tries in five minutes, then none.

It decides only; what a failed try does to the account is no matter of it. Kept in memory: a console that starts anew
begins anew, while the locks of accounts stay.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

ADDRESS_FAILURES_MAX: Final = 30
ADDRESS_SECONDS: Final = 300.0
ADDRESSES_KEPT: Final = 10_000


class Throttle:
    """The failed tries of late, by address."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def is_shut(self, address: str, *, now: float) -> bool:
        """Whether an address must wait; `now` in seconds that only grow."""
        failed = self._failed.get(address)
        while failed and now - failed[0] > ADDRESS_SECONDS:
            failed.popleft()
        return failed is not None and len(failed) >= ADDRESS_FAILURES_MAX

    def count(self, address: str, *, now: float) -> None:
        """A try from this address has failed."""
        failed = self._failed.setdefault(address, deque(maxlen=ADDRESS_FAILURES_MAX))
        failed.append(now)
        self._failed.move_to_end(address)
        while len(self._failed) > ADDRESSES_KEPT:
            self._failed.popitem(last=False)
