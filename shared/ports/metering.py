"""Metering: what a system asked of the outside, counted where an operator can see it, without any value of a record."""

from __future__ import annotations

from typing import Protocol

from shared.ports.pacing import Use


class Meter(Protocol):
    """The meter of one connection."""

    def saw(self, *, use: Use, outcome: str, seconds: float) -> None:
        """A request has ended; to be called once for each, also for one that is repeated.

        `outcome` is one of few words: `2xx` to `5xx` for an answer of HTTP, `done` or `refused` for a statement, and
        `no answer`.
        """
        ...


class Unmetered:
    """Nobody counts."""

    def saw(self, *, use: Use, outcome: str, seconds: float) -> None:
        """Nothing."""
