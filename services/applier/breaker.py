"""When a target is asked no more because one request after the other fails, and when it is asked again.

Pure. Ten failures of one kind (reads or writes) without a success of that kind between them open the breaker: nothing
is sent. After a while, ever longer, one request at a time goes out as a probe; a success of the kind that had failed
closes the breaker, a failure opens it anew. Times are given in; it waits for nothing and sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["read", "write"]
"""A target may answer reads and refuse every write, as in maintenance; so the two are counted apart."""

FAILURES_MAX: Final = 10
"""Failures in a row that open the breaker."""
OPEN_SECONDS: Final = 5.0
"""How long it stays open at first; twice as long after each failed probe."""
OPEN_SECONDS_MAX: Final = 60.0
PROBES_MAX: Final = 6
"""Failed probes after which a person must look."""


@dataclass
class Breaker:
    """The state of one target's breaker."""

    openings: int = 0
    """How often it has opened; a failed probe is no opening of its own."""
    probes_failed: int = 0
    """In a row, since it opened."""
    _in_a_row: dict[Kind, int] = field(default_factory=lambda: {"read": 0, "write": 0})
    _opened_by: Kind | None = None
    _open_until: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether only a probe may go out."""
        return self._opened_by is not None

    @property
    def is_used_up(self) -> bool:
        """Whether as many probes have failed as may."""
        return self.probes_failed >= PROBES_MAX

    def seconds_to_probe(self, now: float) -> float:
        """How long until a probe may go out; 0 when one may."""
        return max(0.0, self._open_until - now) if self.is_open else 0.0

    def failed(self, kind: Kind, *, now: float, is_probe: bool) -> None:
        """A request was not answered as it should be; what was sent before the breaker opened says nothing new."""
        if self.is_open:
            if is_probe:
                self.probes_failed += 1
                self._stay_open(now)
            return
        self._in_a_row[kind] += 1
        if self._in_a_row[kind] >= FAILURES_MAX:
            self._opened_by = kind
            self.openings += 1
            self.probes_failed = 0
            self._stay_open(now)

    def answered(self, kind: Kind, *, is_probe: bool) -> None:
        """A request was answered, be it with a refusal of that one record."""
        if not self.is_open:
            self._in_a_row[kind] = 0
        elif is_probe and kind == self._opened_by:
            # A read that succeeds while writes had failed proves nothing: the next request is a probe as well.
            self._opened_by = None
            self._in_a_row = {"read": 0, "write": 0}
            self.probes_failed = 0

    def _stay_open(self, now: float) -> None:
        self._open_until = now + min(OPEN_SECONDS_MAX, OPEN_SECONDS * 2**self.probes_failed)
