"""What the auditor itself reports: a record that does not agree, and messages that were gone before it read them.

They lie under `audit.auditor.` on CORE and so become entries of the log like everything else.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from shared.events.model import Event

MISMATCH_SUBJECT = "audit.auditor.mismatch"
LOST_SUBJECT = "audit.auditor.messages_lost"
FAULTS_MAX = 20


class RecordMismatch(Event):
    """A run's own counts differ from what the ledger of changes shows."""

    event_type: ClassVar[str] = "aether.audit.mismatch.v1"
    run: str
    faults: tuple[str, ...] = Field(max_length=FAULTS_MAX)
    """One sentence a fault: name, number of the run, number of the ledger."""
    faults_total: int = Field(ge=1)


class MessagesLost(Event):
    """Messages had been deleted from a stream before the auditor read them; the log says so and goes on."""

    event_type: ClassVar[str] = "aether.audit.messages_lost.v1"
    stream: str
    first_seq: int
    last_seq: int
