"""Sends what is due on one channel, at its own pace: one message after the other, and none twice without need.

A channel that does not take its messages is tried again ever more slowly and holds up no other. A message is stored as
told once it was handed over, so a program that dies between the two tells twice, and none tells never. What is due is
computed anew for every message; a courier keeps no queue.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import structlog

from services.monitor.notices.board import Board
from services.monitor.notices.deciding import Due, Interest, due_on, next_to_send
from services.monitor.notices.delivery import NotDelivered, Sender
from services.monitor.notices.told import ToldNotice
from services.monitor.notices.wording import House, notice_of
from shared.clock import Clock, to_text
from shared.events.operating import NoticeSent

MINUTE_SECONDS: Final = 60.0
BACK_OFF_SECONDS: Final = 5.0
"""After the first failure; doubled with each that follows."""
BACK_OFF_SECONDS_MAX: Final = 300.0
END_GIVEN_UP_SECONDS: Final = 24 * 3600.0
"""How long the end of a condition is tried; its beginning is tried for as long as it is present."""
IDLE_SECONDS: Final = 30.0
LEASE_SECONDS: Final = 0.5
"""Between two questions whether the lease is ours again."""
TRIES_KEPT_MAX: Final = 5_000

Outcome = Literal["sent", "summarised", "given_up"]
Store = Callable[[Sequence[NoticeSent]], Awaitable[None]]

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Tries:
    """Tries of one notice in vain."""

    number: int
    first_at: float


@dataclass(slots=True)
class Courier:
    """One channel and what it was given lately."""

    interest: Interest
    sender: Sender
    a_minute: int
    board: Board
    house: House
    clock: Clock
    store: Store
    """Makes facts last; raises nothing, and returns when they do or when they cannot now."""
    is_held: Callable[[], bool]
    """Whether the right to send is certainly ours at this moment."""
    count: Callable[[str], None]
    """Told the outcome of every notice."""
    back_off_seconds: float = BACK_OFF_SECONDS
    _sent: deque[float] = field(default_factory=deque)
    """When the messages of the last minute went out."""
    _tries: dict[str, _Tries] = field(default_factory=dict)
    _failures: int = 0
    """In a row, of whatever notices."""

    async def run(self) -> None:
        """Send for ever, until cancelled."""
        while True:
            seconds = await self.step()
            if seconds is None:
                await self.board.wait_for_news(seconds=IDLE_SECONDS)
            elif seconds > 0:
                await asyncio.sleep(seconds)

    async def step(self) -> float | None:
        """Send at most one message; returns how long to wait before the next step, None for the next news."""
        if not self.board.is_known:
            return None
        if not self.is_held():
            return LEASE_SECONDS
        now, moment = self.clock.now(), self.clock.monotonic_seconds()
        while self._sent and self._sent[0] <= moment - MINUTE_SECONDS:
            self._sent.popleft()
        due = due_on(self.interest, self.board.present, self.board.told, statuses=self.board.statuses)
        self._forget_what_is_not_due(due)
        given_up = [one for one in due if one.change == "ended" and self._is_too_late(one, moment)]
        if given_up:
            await self._told(given_up, "given_up", now)
            return 0
        tries = {key: tried.number for key, tried in self._tries.items()}
        items = next_to_send(due, tries=tries, sent_lately=len(self._sent), a_minute=self.a_minute, now=now)
        if not items:
            return self._sent[0] + MINUTE_SECONDS - moment if due and self._sent else None
        return await self._send(items, now)

    async def _send(self, items: tuple[Due, ...], now: datetime) -> float:
        notice = notice_of(items, channel=self.interest.channel, house=self.house, at=to_text(now))
        try:
            await self.sender.send(notice, now=now)
        except NotDelivered as failure:
            self._failures += 1
            self.count("failed")
            moment = self.clock.monotonic_seconds()
            for one in items:
                if one.key in self._tries:
                    self._tries[one.key].number += 1
                elif len(self._tries) < TRIES_KEPT_MAX:
                    self._tries[one.key] = _Tries(1, moment)
            wait = self._wait(failure)
            channel = self.interest.channel
            log.warning("notice_not_sent", name=channel, reason=failure.reason, attempt=self._failures,
                        delay_seconds=wait)  # fmt: skip
            return wait
        self._failures = 0
        self._sent.append(self.clock.monotonic_seconds())
        await self._told(items, "sent" if len(items) == 1 else "summarised", now)
        return 0

    async def _told(self, items: Sequence[Due], outcome: Outcome, now: datetime) -> None:
        facts = []
        for due in items:
            tried = self._tries.pop(due.key, None)
            condition = due.condition
            tries = (0 if tried is None else tried.number) + (outcome != "given_up")
            facts.append(
                NoticeSent(
                    condition=condition.id, kind=condition.kind, change=due.change, channel=self.interest.channel,
                    outcome=outcome, tries=max(tries, 1), at=to_text(now), since=condition.since,
                    connector=condition.connector, run=condition.run, connection=condition.connection,
                    code=condition.code,
                )
            )  # fmt: skip
            self.count(outcome)
        for fact in facts:
            # Own memory first: what cannot be stored now is at least not said twice by us.
            self.board.told.take(ToldNotice.from_fact(fact))
        await self.store(facts)

    def _wait(self, failure: NotDelivered) -> float:
        wait = min(self.back_off_seconds * 2.0 ** min(self._failures - 1, 20), BACK_OFF_SECONDS_MAX)
        return max(wait, failure.retry_after_seconds or 0.0)

    def _is_too_late(self, due: Due, moment: float) -> bool:
        tried = self._tries.get(due.key)
        return tried is not None and moment - tried.first_at >= END_GIVEN_UP_SECONDS

    def _forget_what_is_not_due(self, due: Sequence[Due]) -> None:
        keys = {one.key for one in due}
        for key in [key for key in self._tries if key not in keys]:
            del self._tries[key]
