"""What a schedule has come to: the document under `connector.<name>.schedule`, replaced by compare-and-set.

It remembers the last time that was settled, so that no time is settled twice, and whether the schedule is paused.
"""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import Field

from shared.events.envelope import decode
from shared.events.model import Document, Event, FailureCode
from shared.events.stored import Stored

BAD_RUNS_MAX: Final = 2
"""Held, blocked or failed runs in a row after which a schedule pauses itself."""
ITSELF: Final = "schedule"
"""Who asks for the runs of schedules, and who pauses one that went wrong; no person may have this name."""


class Pause(Document):
    """Why a schedule does not run."""

    by: str
    """The person, or `schedule` when it paused itself."""
    at: str
    """RFC 3339."""
    reason: str


class ScheduleState(Event):
    """What the schedule of one connector has come to."""

    event_type: ClassVar[str] = "aether.schedule.state.v1"
    connector: str
    since: str
    """When the schedule was first seen as it is now (RFC 3339); times before are nobody's."""
    clause: str
    """Digest of the clause that these times follow from; with another one `since` begins anew."""
    settled: str | None = None
    """The last time that was settled, by a run or by a reason to leave it out (RFC 3339)."""
    last_run: str | None = None
    """The last run that was asked for."""
    last_code: FailureCode | None = None
    """Why the last time was left out; None when it led to a run."""
    is_counted: bool = True
    """Whether the end of the last run was counted."""
    bad_in_row: int = Field(default=0, ge=0)
    """Runs in a row that were held, blocked or failed."""
    paused: Pause | None = None
    number: int = Field(default=0, ge=0)
    """How often the document was replaced: what comes back to where it was is another document all the same."""


def schedule_subject(connector: str) -> str:
    """The subject under which it lies."""
    return f"connector.{connector}.schedule"


def schedule_state_in(stored: Stored | None) -> ScheduleState | None:
    """The schedule's document in a stored message."""
    if stored is None:
        return None
    return decode(ScheduleState, data=stored.data, headers=stored.headers, subject=stored.subject)
