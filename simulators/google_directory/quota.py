"""How many calls are admitted: per subject and minute, creations per domain and second, units per customer and second.

Windows are fixed stretches of the clock that only grows, as quotas per minute are counted. A call refused here counts
too. Rules Q1 to Q4.
"""

from collections.abc import Callable

from simulators.google_directory.errors import Refused
from simulators.google_directory.methods import Method
from simulators.google_directory.switches import GoogleSwitches

COUNTERS_MAX = 10_000


class Quota:
    """The counters of one account."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}  # name and owner; window and count
        self._calls = 0

    def admit_call(self, *, subject: str, switches: GoogleSwitches) -> None:
        """Count a call, and refuse it where the subject has had too many or refusals are switched on."""
        if switches.refuse_with is not None:
            self._calls += 1
            if self._calls % switches.refuse_every == 0:
                raise Refused(switches.refuse_with)
        else:
            self._calls = 0
        self._count("queries", subject, seconds=60, most=switches.queries_per_minute, reason="userRateLimitExceeded")

    def admit_write(self, method: Method, *, domain: str, switches: GoogleSwitches) -> None:
        """Count a creation of a user or a write of a unit, and refuse it where there were too many in this second."""
        if method.name == "users.insert":
            most = switches.user_creations_per_second
            self._count("creations", domain, seconds=1, most=most, reason="backendError")
        if method.name in {"orgunits.insert", "orgunits.update", "orgunits.patch"}:
            most = switches.orgunit_writes_per_second
            self._count("orgunits", "", seconds=1, most=most, reason="quotaExceeded")

    def _count(self, name: str, owner: str, *, seconds: int, most: int | None, reason: str) -> None:
        window = int(self._monotonic() // seconds)
        known_window, count = self._counts.get((name, owner), (window, 0))
        count = count + 1 if known_window == window else 1
        if len(self._counts) >= COUNTERS_MAX:
            self._counts.clear()
        self._counts[name, owner] = (window, count)
        if most is not None and count > most:
            raise Refused(reason)
