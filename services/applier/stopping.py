"""What may stop the work on a plan, and how soon: a person, a limit, an error that concerns more than one change.

And the end of this program, after which another applier goes on.

The first reason stays; only a person who wants the run to end outranks one who wants it to pause. Whoever waits wakes
within `WAKE_SECONDS` of a reason. It decides nothing about changes and touches no target.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final, Literal

from shared.events.documents import FailureNote
from shared.ports.system import Target

WAKE_SECONDS: Final = 0.2
"""How long at most a waiting task sleeps before it looks whether the work is to stop."""


@dataclass(frozen=True)
class Stop:
    """Why the work ended before its end."""

    kind: Literal["pause", "cancel", "stale", "hand over"]
    note: FailureNote


ASKED_TO_END: Final = Stop("cancel", FailureNote(code="SYS_CANCELLED", text="a person asked that the run end"))
ASKED_TO_PAUSE: Final = Stop("pause", FailureNote(code="SYS_PAUSED", text="a person asked that the run pause"))
HANDED_OVER: Final = Stop(
    "hand over",
    FailureNote(code="APL_LEASE_LOST", text="this applier is ending and gives its lease back; another goes on"),
)


@dataclass(frozen=True)
class Surroundings:
    """What the work is given."""

    require_held: Callable[[], None]
    """Raises `LeaseLost` when the lease is not certainly ours."""
    is_cancelled: Callable[[], bool]
    is_pause_asked: Callable[[], bool]
    throttled: Callable[[float, FailureNote | None], Awaitable[None]]
    """Told for how many seconds nothing is sent and why, again when it becomes longer, and with 0 when it is over."""
    reopened: Callable[[], Awaitable[Target]]
    """The target with its secrets read anew; asked for once, after a refused credential.

    The old one must stay open until the work has ended: others may be waiting for its answers.
    """
    sleep: Callable[[float], Awaitable[None]]
    monotonic_seconds: Callable[[], float]
    rng: Random
    in_flight: int
    """Changes worked on at once."""
    is_leaving: Callable[[], bool] = lambda: False
    """Whether this program was asked to end, so that another one has to go on."""


class Stopped(Exception):
    """The work is to stop before this step; what the step would have sent was not sent."""


class Stopping:
    """Whether the work is to stop, and why."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.stop: Stop | None = None

    def must_stop(self) -> bool:
        """Whether nothing more is to be begun."""
        if self.stop is None or self.stop is ASKED_TO_PAUSE:
            if self._around.is_cancelled():
                self.stop = ASKED_TO_END
            elif self.stop is None and self._around.is_pause_asked():
                self.stop = ASKED_TO_PAUSE
            elif self.stop is None and self._around.is_leaving():
                self.stop = HANDED_OVER
        return self.stop is not None

    @property
    def is_ending(self) -> bool:
        """Whether no resume is to follow."""
        return self.stop is not None and self.stop.kind not in ("pause", "hand over")

    def pause(self, note: FailureNote) -> None:
        """Have the run wait for a person; a reason that is there already stays."""
        self.stop = self.stop or Stop("pause", note)

    def end_stale(self, note: FailureNote) -> None:
        """Have the run end because too many records moved; a reason that is there already stays."""
        self.stop = self.stop or Stop("stale", note)

    async def sleep(self, seconds: float) -> None:
        """Wait; `Stopped` as soon as the work is to stop."""
        until = self._around.monotonic_seconds() + seconds
        while not self.must_stop():
            left = until - self._around.monotonic_seconds()
            if left <= 0:
                return
            await self._around.sleep(min(left, WAKE_SECONDS))
        raise Stopped
