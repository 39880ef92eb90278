"""Pacing: when the next request to a system may go out, and what the system said about its own limits.

A connection's rate budget is one for the whole house, however many programs and runs use it; how it is shared is
decided behind this protocol (`shared.bus.budget`), so that a system only asks for its turn and reports what it heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Use = Literal["SRC", "APL"]
"""Whether a request belongs to reading or to applying; the first part of its failure codes."""


@dataclass(frozen=True)
class Allowance:
    """What an answer said about the budget that is left, in the words of its headers."""

    remaining: float
    """Requests that may still be sent before the budget is filled again."""
    resets_in_seconds: float
    """When it is filled again, from now."""


class Pacer(Protocol):
    """The turn of one connection."""

    async def turn(self, use: Use) -> None:
        """Wait until one request may go out. To be called once for each request, also for one that is repeated.

        Raises `TryLater` (`SRC_RATE_LIMITED`, `APL_RATE_LIMITED`) when the turn is too far off to be waited for here,
        or when the shared budget cannot be asked; nothing may be sent then.
        """
        ...

    async def slow_down(self, seconds: float | None) -> None:
        """The system refused a request because there were too many; `seconds` is what it asked us to wait."""
        ...

    async def heard(self, allowance: Allowance) -> None:
        """The system told what is left of its budget."""
        ...


class Unpaced:
    """No budget: every request may go out at once."""

    async def turn(self, use: Use) -> None:
        """Go."""

    async def slow_down(self, seconds: float | None) -> None:
        """The caller waits by itself."""

    async def heard(self, allowance: Allowance) -> None:
        """Nothing to keep."""
