"""What a handler wants done: which documents a decision looks at, and which messages follow from it.

A decision is a function from stored messages to the messages that follow; they are published together or not at all,
bound to what was read (`shared.bus.commit`). Pure: nothing is read or published here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shared.errors import StopRun
from shared.events.envelope import body_of, decode
from shared.events.model import Event
from shared.events.stored import Stored
from shared.run.state import RunState, state_subject


@dataclass(frozen=True)
class Message:
    """One event to publish."""

    subject: str
    event: Event
    message_id: str
    """Equal for the same fact however often it is published; the stream keeps one."""
    about: str
    """CloudEvents subject: the run, or what else it is about."""


@dataclass(frozen=True)
class Decision:
    """What a decision leads to: messages, published together; one on a subject that was read replaces what was read."""

    messages: tuple[Message, ...] = ()


NOTHING = Decision()


@dataclass(frozen=True)
class Move:
    """What a handler wants done on CORE."""

    reads: tuple[str, ...]
    """Subjects whose last message the decision looks at."""
    decide: Callable[[Mapping[str, Stored | None]], Decision] = field(repr=False)
    """Pure. May raise an `AetherError`: then nothing is published."""


def move_run(run: str, decide: Callable[[RunState], Decision]) -> Move:
    """A move that looks at one run's document and nothing else."""
    subject = state_subject(run)

    def from_stored(stored: Mapping[str, Stored | None]) -> Decision:
        return decide(run_state_in(run, stored[subject]))

    return Move(reads=(subject,), decide=from_stored)


def run_state_in(run: str, stored: Stored | None) -> RunState:
    """The run's document in a stored message; `StopRun` when there is no such run."""
    if stored is None:
        raise StopRun("APV_UNKNOWN_RUN", f"there is no run {run}; `aether runs` lists them", run=run)
    return decode(RunState, data=stored.data, headers=stored.headers, subject=stored.subject)


def state_message(state: RunState) -> Message:
    """The message that replaces a run's document."""
    return Message(
        subject=state_subject(state.run),
        event=state,
        # The document's own content makes the id: an equal document published twice is one message.
        message_id=f"{state.run}.state.{len(state.history)}.{hash_of(state)}",
        about=state.run,
    )


def hash_of(event: Event) -> str:
    """A short digest of an event, for message ids."""
    return hashlib.sha256(body_of(event)).hexdigest()[:16]
