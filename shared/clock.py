"""The time, as a value that is passed in.

Decisions never ask for the time; the program that acts takes a `Clock` and hands times on as arguments.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        ...

    def monotonic_seconds(self) -> float:
        """Seconds that only ever grow; for durations and deadlines."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)

    def monotonic_seconds(self) -> float:
        """Seconds that only ever grow; for durations and deadlines."""
        return time.monotonic()


def to_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`: the one form in events, plans and audit entries."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def from_text(text: str) -> datetime:
    """The inverse of `to_text`; any RFC 3339 text with a zone is read. `ValueError` without one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        # The text is not repeated: anything may stand where a time should.
        raise ValueError("the text is no time; write it as 2026-01-31T08:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no zone; write it as 2026-01-31T08:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"time {text!r} lies outside of the years 1 to 9999 in UTC") from None
