"""Which notices are due on a channel, and which of them go out next, together or one by one.

Pure, and without a queue: what is due follows from what is present and what was told. A channel that was down for a
night has as many notices waiting as there are conditions then, and not one for everything that happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.monitor.notices.conditions import Condition
from services.monitor.notices.told import Change, Told, ToldNotice
from shared.clock import to_text
from shared.events.operating import ConditionKind

STANDING: Final = timedelta(days=7)
"""A condition that is older when it is first told was there before us: such ones are told together."""
TOGETHER_TRIES_MAX: Final = 10
"""After so many tries in vain they are told one by one, in case one of them is what the channel does not take."""
SUMMARY_ITEMS_MAX: Final = 400
"""Conditions of which one summary tells."""


@dataclass(frozen=True, slots=True)
class Interest:
    """What a channel wants to hear of."""

    channel: str
    kinds: frozenset[ConditionKind]
    connectors: frozenset[str] | None
    """None: of all, and of what concerns no connector."""

    def wants(self, condition: Condition) -> bool:
        """Whether this condition is told here."""
        if condition.kind not in self.kinds:
            return False
        return self.connectors is None or condition.connector in self.connectors


@dataclass(frozen=True, slots=True)
class Due:
    """One notice that is to be sent."""

    change: Change
    condition: Condition
    status_now: str | None = None
    """Of the run of a condition that ended."""

    @property
    def key(self) -> str:
        """The same for the same notice, on whatever channel and however often it is tried."""
        return f"{self.change}/{self.condition.id}"


def due_on(
    interest: Interest, present: Mapping[str, Condition], told: Told, *, statuses: Mapping[str, str]
) -> list[Due]:
    """What is due on one channel, ends first and then the oldest beginning.

    `statuses` says where runs stand now, by id. An end is told where the beginning was, whatever the channel wants
    today.
    """
    ended = [
        Due("ended", _as_told(notice), statuses.get(notice.run or ""))
        for notice in told.open_on(interest.channel)
        if notice.condition not in present
    ]
    began = [
        Due("began", condition)
        for condition in present.values()
        if interest.wants(condition) and not told.is_told(interest.channel, condition.id)
    ]
    return [*sorted(ended, key=_age), *sorted(began, key=_age)]


def next_to_send(
    due: Sequence[Due], *, tries: Mapping[str, int], sent_lately: int, a_minute: int, now: datetime
) -> tuple[Due, ...]:
    """What goes out next as one message: nothing while the minute is used up, one notice, or a summary of several.

    `tries` says how often each was tried in vain, by its key: what fails does not stand in the way of what was not
    tried. `sent_lately` is the number of messages of the last minute, of which `a_minute` are allowed.
    """
    left = a_minute - sent_lately
    if left <= 0 or not due:
        return ()
    waiting = sorted(due, key=lambda one: tries.get(one.key, 0))  # stable: the order stays among equals
    if left == 1:
        return tuple(waiting[:SUMMARY_ITEMS_MAX])
    oldest = to_text(now - STANDING)
    standing = [one for one in waiting if one.change == "began" and one.condition.since < oldest]
    if len(standing) > 1 and max(tries.get(one.key, 0) for one in standing) < TOGETHER_TRIES_MAX:
        return tuple(standing[:SUMMARY_ITEMS_MAX])
    return (waiting[0],)


def _as_told(notice: ToldNotice) -> Condition:
    return Condition(
        notice.condition, notice.kind, notice.since, connector=notice.connector, run=notice.run,
        connection=notice.connection, code=notice.code,
    )  # fmt: skip


def _age(due: Due) -> tuple[str, str]:
    return due.condition.since, due.condition.id
