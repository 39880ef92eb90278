"""The stopwatch: how many requests came, when, and how many in the busiest second, by the simulator's own clock.

It judges whether a client kept to a rate and how much of it it used. It counts every request that reached the gateway,
also those that the rate refused, and nothing of the control plane. Memory is bounded by the requests of one second.
"""

from collections import Counter, deque
from collections.abc import Callable

WINDOW_SECONDS = 1.0
WINDOW_REQUESTS_MAX = 100_000
"""A second with more requests than this is told as so many."""


class Stopwatch:
    """Counts since its start, or since it was started anew."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._window: deque[float] = deque(maxlen=WINDOW_REQUESTS_MAX)
        self._statuses: Counter[int] = Counter()
        self._requests = 0
        self._busiest = 0
        self._first: float | None = None
        self._last: float | None = None

    def saw_request(self) -> None:
        """Count a request that comes now."""
        now = self._monotonic()
        self._requests += 1
        self._first = now if self._first is None else self._first
        self._last = now
        self._window.append(now)
        while now - self._window[0] >= WINDOW_SECONDS:
            self._window.popleft()
        self._busiest = max(self._busiest, len(self._window))

    def answered(self, status: int) -> None:
        """Count an answer; a connection that is cut has none."""
        self._statuses[status] += 1

    def start_anew(self) -> None:
        """Forget everything."""
        self._window.clear()
        self._statuses.clear()
        self._requests = self._busiest = 0
        self._first = self._last = None

    def document(self) -> dict[str, object]:
        """Describe what was seen; moments are seconds of a clock that only grows."""
        return {
            "requests": self._requests,
            "first": self._first,
            "last": self._last,
            "seconds": self._last - self._first if self._first is not None and self._last is not None else 0.0,
            "busiest_second": self._busiest,
            "too_many_requests": self._statuses[429],
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
        }
