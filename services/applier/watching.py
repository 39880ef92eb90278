"""What people ask of a run while it is applied: its document, looked at from time to time.

It only looks. What is asked takes effect at the next change, which is the business of whoever carries the plan out.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import nats.errors

from services.applier.context import Context
from shared.bus.reading import StreamUnavailable
from shared.run.state import RunState

WATCH_SECONDS = 0.3
"""How often the run's document is looked at."""


@dataclass
class Wishes:
    """What people have asked of a run at work."""

    to_end: bool = False
    to_pause: bool = False

    def hear(self, state: RunState) -> None:
        """Take what stands in the run's document; what was asked once stays asked."""
        self.to_end = self.to_end or state.cancel_requested_by is not None
        self.to_pause = self.to_pause or state.pause_requested_by is not None


@asynccontextmanager
async def watched(run: str, context: Context) -> AsyncIterator[Wishes]:
    """Look from time to time what is asked of the run; what is given tells it at any moment."""
    wishes = Wishes()
    # Before the first change: it may have been asked while no applier was at work.
    wishes.hear(await context.committer.run_state(run))

    async def look() -> None:
        while not wishes.to_end:
            await asyncio.sleep(WATCH_SECONDS)
            with suppress(StreamUnavailable, nats.errors.Error):  # asked again at the next look
                wishes.hear(await context.committer.run_state(run))

    watching = asyncio.create_task(look(), name=f"watch {run}")
    try:
        yield wishes
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
