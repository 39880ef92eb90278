"""What is present and what was told, as the channels of one monitor see it between two looks.

It decides nothing: the look puts up what it found, each channel's courier waits here for what is new.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.monitor.notices.conditions import Condition
from services.monitor.notices.told import Told


@dataclass(slots=True)
class Board:
    """The state that all couriers share."""

    told: Told
    present: Mapping[str, Condition] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)
    """Where the runs of conditions that were told stand now."""
    is_known: bool = False
    """Whether a look succeeded: before that nothing has ended."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def put_up(self, present: Mapping[str, Condition], *, told: Told, statuses: Mapping[str, str]) -> None:
        """Show what a look found."""
        self.present, self.told, self.statuses, self.is_known = present, told, statuses, True
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait_for_news(self, *, seconds: float) -> None:
        """Return at the next look, or when the time is up."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
