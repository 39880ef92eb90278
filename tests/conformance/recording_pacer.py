"""A pacer that lets everything go at once and notes what it was asked and told."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.errors import TryLater
from shared.ports.pacing import Allowance, Use


@dataclass
class RecordingPacer:
    """See `shared.ports.pacing.Pacer`."""

    turns: list[Use] = field(default_factory=list)
    refusals: list[float | None] = field(default_factory=list)
    """What was told to `slow_down`."""
    allowances: list[Allowance] = field(default_factory=list)
    refuses: bool = False
    """Whether no turn is given."""

    async def turn(self, use: Use) -> None:
        """Go, unless told to refuse."""
        if self.refuses:
            raise TryLater(f"{use}_RATE_LIMITED", "no turn in this test", retry_after_seconds=1.0)
        self.turns.append(use)

    async def slow_down(self, seconds: float | None) -> None:
        """Note it."""
        self.refusals.append(seconds)

    async def heard(self, allowance: Allowance) -> None:
        """Note it."""
        self.allowances.append(allowance)
