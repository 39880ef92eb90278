"""Metering: what a system asked of the outside, counted where an operator can see it, without any value of a record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from shared.ports.pacing import Use


@dataclass(frozen=True, slots=True)
class Request:
    """What may be told of one request: no path, for it holds ids; no query, no body, no statement, no header."""

    operation: str
    """The method of HTTP, or the kind of statement."""
    host: str | None = None
    port: int | None = None
    database: str | None = None
    """Which kind of database was asked, as OpenTelemetry names it; None for HTTP."""
    status: int | None = None
    """Of the answer of HTTP; None when there was none."""
    resend: int = 0
    """The how-manieth repetition of the same request this is."""
    error: str | None = None
    """The class of what went wrong; None for an answer."""


class Meter(Protocol):
    """The meter of one connection."""

    def saw(self, *, use: Use, outcome: str, seconds: float, request: Request | None = None) -> None:
        """A request has ended; to be called once for each, also for one that is repeated, where it was awaited.

        `outcome` is one of few words: `2xx` to `5xx` for an answer of HTTP, `done` or `refused` for a statement, and
        `no answer`.
        """
        ...


class Unmetered:
    """Nobody counts."""

    def saw(self, *, use: Use, outcome: str, seconds: float, request: Request | None = None) -> None:
        """Nothing."""
