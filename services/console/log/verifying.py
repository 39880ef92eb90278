"""Verifies the whole audit log behind the pages: one verification at a time, in a thread, in bounded batches.

What is verified and how is `shared.audit.verify`; the key comes with the profiles and not from the log. The pages see
how far it is and what came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Literal

import structlog
from pydantic import BaseModel, ConfigDict

from shared.audit.checkpoint import CheckpointError
from shared.audit.lookups import Lookups
from shared.audit.verify import VerificationReport, verify_log
from shared.clock import Clock, to_text

BATCH: Final = 500
"""Entries, or checkpoints, that are read at a time."""
CHECKPOINTS_MAX: Final = 1_000_000
READ_SECONDS_MAX: Final = 60.0
"""For one batch."""

log = structlog.get_logger(__name__)


class Verification(BaseModel):
    """One verification of the whole log: how far it is, and what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["never", "running", "done", "failed"] = "never"
    """Of this process; `failed`: it could not be carried through, which says nothing of the log."""
    asked_by: str | None = None
    began_at: str | None = None
    ended_at: str | None = None
    read: int = 0
    """Entries read so far."""
    size: int = 0
    """Entries in the log when it began."""
    report: VerificationReport | None = None
    fault: str | None = None
    """Why it could not be carried through."""

    @property
    def percent(self) -> int:
        """How much is read."""
        return 100 if self.size == 0 else self.read * 100 // self.size


class Verifying:
    """The verifications of one process."""

    def __init__(self, lookups: Lookups, *, clock: Clock, on_change: Callable[[], None] = lambda: None) -> None:
        """`on_change` is called in the loop whenever `now` has changed."""
        self._lookups = lookups
        self._clock = clock
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self.now = Verification()

    def start(self, *, verifier_key: str, asked_by: str) -> bool:
        """Begin; False when one is running, which then goes on as it was."""
        if self.now.state == "running":
            return False
        self._set(Verification(state="running", asked_by=asked_by, began_at=to_text(self._clock.now())))
        self._task = asyncio.create_task(self._verify(verifier_key), name="verifying the log")
        return True

    async def ended(self) -> Verification:
        """Wait for the running one."""
        if self._task is not None:
            await self._task
        return self.now

    async def _verify(self, verifier_key: str) -> None:
        try:
            # Checkpoints first: all that they cover is in the log by the time its size is asked.
            checkpoints = await self._checkpoints()
            size = await self._lookups.size()
            self._set(self.now.model_copy(update={"size": size}))
            reading = _Reading(self._lookups, size, asyncio.get_running_loop(), self._read)
            report = await asyncio.to_thread(verify_log, reading.lines(), checkpoints, verifier_key)
        except CheckpointError as error:
            self._end(state="failed", fault=f"the verifier key of the profiles cannot be used: {error}")
        except Exception as error:  # noqa: BLE001 - told by its kind only: a text of the database may quote a row
            log.error("log_not_verified", error=type(error).__name__)
            self._end(state="failed", fault=f"the log could not be read to its end ({type(error).__name__})")
        else:
            self._end(state="done", report=report)

    async def _checkpoints(self) -> list[str]:
        found: list[str] = []
        while len(found) < CHECKPOINTS_MAX:
            part = await self._lookups.checkpoints(first=len(found), limit=BATCH)
            found += part
            if len(part) < BATCH:
                break
        return found

    def _read(self, number: int) -> None:
        self._set(self.now.model_copy(update={"read": number}))

    def _end(self, **ended: object) -> None:
        self._set(self.now.model_copy(update={"ended_at": to_text(self._clock.now()), **ended}))

    def _set(self, now: Verification) -> None:
        self.now = now
        self._on_change()


class _Reading:
    """The entries for a thread that verifies, read by the loop batch after batch."""

    def __init__(
        self, lookups: Lookups, size: int, loop: asyncio.AbstractEventLoop, tell: Callable[[int], None]
    ) -> None:
        self._lookups = lookups
        self._size = size
        self._loop = loop
        self._tell = tell

    def lines(self) -> Iterator[str]:
        """The first `size` entries; the list ends early when entries at the end are gone."""
        read = 0
        while read < self._size:
            limit = min(BATCH, self._size - read)
            asked: Awaitable[list[str]] = self._lookups.entries(first=read, limit=limit)
            batch = asyncio.run_coroutine_threadsafe(_awaited(asked), self._loop).result(READ_SECONDS_MAX)
            if not batch:
                return
            yield from batch
            # By index, not by number: when entries are missing the next batch must not bring old ones again.
            read += limit
            self._loop.call_soon_threadsafe(self._tell, min(read, self._size))


async def _awaited(asked: Awaitable[list[str]]) -> list[str]:
    return await asked
