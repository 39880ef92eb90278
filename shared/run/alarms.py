"""Alarms: what never happens unless a program or a person does what must not be done, told where the auditor reads.

Pure. Says which failures are alarming and how an alarm looks. It refuses nothing itself: whoever meets such a failure
has refused it already, and publishes this beside the refusal.
"""

from __future__ import annotations

from typing import Final

from shared.events.documents import FailureNote
from shared.events.facts import AlarmRaised
from shared.run.moves import Message

ALARMING: Final = frozenset({"SYS_ILLEGAL_TRANSITION", "APL_PLAN_ALTERED", "APL_VERDICT_DIFFERS", "APV_BAD_SIGNATURE"})
"""Codes that mean a forgery or a defect, never an accident of operation."""


def alarm_subject(service: str) -> str:
    """Where the alarms of a service lie."""
    return f"audit.{service}.alarm"


def alarm_message(service: str, *, run: str | None, reason: FailureNote, message_id: str) -> Message:
    """The alarm, to be published with the refusal or after it."""
    return Message(
        subject=alarm_subject(service),
        event=AlarmRaised(service=service, run=run, reason=reason),
        message_id=message_id,
        about=run or service,
    )
