"""Which traces are kept, and which requests to outside systems get a span of their own.

A trace is kept or dropped as a whole, at its beginning: whoever begins it decides, everybody after that keeps to it.
Within a kept trace every request has its span until there have been `REQUESTS_WHOLE`, which no run of a thousand
changes reaches; from there on so many a minute, and the next one told says how many were not. A run of a hundred
thousand changes is told by its waves, not by half a million spans.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from opentelemetry.sdk.trace.sampling import ParentBased, Sampler, TraceIdRatioBased

REQUESTS_WHOLE: Final = 5_000
"""A change takes a look, a write, sometimes a look back: a thousand changes with their repetitions stay below."""
REQUESTS_A_MINUTE: Final = 60
TRACES_REMEMBERED_MAX: Final = 64
"""Traces for which requests are counted at once; the one not heard of for longest is forgotten first."""
MINUTE_SECONDS: Final = 60.0


def sampler(ratio: float) -> Sampler:
    """Keeps that share of the traces that begin here, and of all others what their beginner kept."""
    return ParentBased(TraceIdRatioBased(ratio))


@dataclass(slots=True)
class _Told:
    requests: int = 0
    minute_began: float = 0.0
    in_minute: int = 0
    not_shown: int = 0


class RequestBudget:
    """Counts requests by trace and says which of them are told."""

    def __init__(
        self,
        monotonic_seconds: Callable[[], float],
        *,
        whole: int = REQUESTS_WHOLE,
        a_minute: int = REQUESTS_A_MINUTE,
    ) -> None:
        self._now = monotonic_seconds
        self._whole = whole
        self._a_minute = a_minute
        self._traces: OrderedDict[int, _Told] = OrderedDict()

    def take(self, trace_id: int) -> int | None:
        """None when the request is not told; else how many were not since the last one that was."""
        told = self._traces.get(trace_id)
        if told is None:
            told = self._traces[trace_id] = _Told()
            if len(self._traces) > TRACES_REMEMBERED_MAX:
                self._traces.popitem(last=False)
        else:
            self._traces.move_to_end(trace_id)
        told.requests += 1
        if told.requests > self._whole and not self._has_room(told):
            told.not_shown += 1
            return None
        not_shown, told.not_shown = told.not_shown, 0
        return not_shown

    def _has_room(self, told: _Told) -> bool:
        now = self._now()
        if not told.in_minute or now - told.minute_began >= MINUTE_SECONDS:
            told.minute_began, told.in_minute = now, 0
        if told.in_minute >= self._a_minute:
            return False
        told.in_minute += 1
        return True
