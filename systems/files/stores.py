"""Where files lie: what the family asks of a folder or a server, and what every one of them counts and tells.

A store says what it saw; it knows no rows. The meaning of what goes wrong is decided here once, by what was under way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, StopRun, TryLater
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Seen:
    """What can be seen of a file without reading it."""

    size: int
    """In bytes."""
    modified: float
    """When it was last written, in seconds since 1970 as its own side counts them."""


class FileMoved(Exception):
    """A file is no longer what a new one was made from; nothing was replaced."""


class Store(Protocol):
    """A place with files."""

    @property
    def place(self) -> str:
        """What it is, for messages."""
        ...

    async def look(self, file: str, *, use: Use) -> Seen | None:
        """What can be seen of a file; None when it is not there."""
        ...

    async def read(self, file: str, *, use: Use, bytes_max: int) -> bytes | None:
        """A file's bytes as they are now; None when it is not there."""
        ...

    async def replace(self, file: str, content: bytes, *, instead_of: str | None) -> None:
        """Put a new file in the place of one whose SHA-256 is `instead_of` (None: of none), in one step.

        `FileMoved` when another is there. What fails before that step has changed nothing: `TryLater`, `NeedsPerson`,
        `RecordRefused`. What fails in it is `OutcomeUnknown`.
        """
        ...

    async def may_write(self) -> str | None:
        """What keeps us from writing, as far as that shows without writing; None when nothing does."""
        ...

    async def close(self) -> None:
        """Give connections back; may be called twice."""
        ...


class Turns:
    """Takes the turn of each request, and counts it."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    async def take(self, use: Use, act: Callable[[], Awaitable[Answer]]) -> Answer:
        """What `act` gives, in its turn."""
        await self._surroundings.pacer.turn(use)
        began, outcome = self._surroundings.clock.monotonic_seconds(), "no answer"
        try:
            answer = await act()
            outcome = "done"
            return answer
        except (TryLater, OutcomeUnknown):
            raise
        except (AetherError, FileMoved):
            outcome = "refused"
            raise
        finally:
            seconds = self._surroundings.clock.monotonic_seconds() - began
            self._surroundings.meter.saw(use=use, outcome=outcome, seconds=seconds)


def too_large(file: str, *, bytes_max: int, use: Use) -> StopRun:
    """A file that is larger than allowed."""
    return StopRun(
        f"{use}_CONFIG", f"file {file}: larger than {bytes_max} bytes (file_bytes_max); raise it, or correct the file"
    )


def no_file(file: str, place: str, *, use: Use, left_over: str = "") -> NeedsPerson:
    """A file that is not there."""
    return NeedsPerson(
        f"{use}_CONFIG",
        f"file {file}: is not in {place}; {left_over or 'correct its name, or find out why it was not exported'}",
        file=file,
    )
