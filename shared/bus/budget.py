"""One rate budget a connection for the whole house: turns are taken from a document on the bus by compare-and-set.

Each program takes slots only for requests that already wait, so nothing is lost by taking too much; it takes them a
little before they are due, so nothing is lost by taking too late. What `shared.ports.budget` decides is kept here
under `budget.<connection>`; when the bus cannot be asked, nobody sends.

The document holds wall-clock time. Programs whose clocks differ by S seconds still share one line of slots, so the
mean rate holds; the one that is behind waits S seconds longer for its turns (and is told to try later where that is
too long), and its slots fall among those of the other, so a short stretch may hold up to S * rate more. Beyond about
90 seconds a program takes the line for garbage and begins it anew. A slot once taken is waited for by the monotonic
clock: a wall clock that jumps moves only what is taken afterwards. The stream acknowledges before the disk flush:
what a power failure loses is at worst a wait that was agreed, and the system then asks for it again.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import nats.errors
import structlog
from nats.js import JetStreamContext
from pydantic import ValidationError

from shared.bus.connect import PermissionRefused
from shared.bus.publishing import Conflict, Outgoing, PublishFailed, PublishRefused, publish_one
from shared.bus.reading import NotGenuine, StreamUnavailable, last
from shared.clock import Clock
from shared.errors import TryLater
from shared.ids import Ids
from shared.ports.budget import RETRY_SECONDS, Budget, fitted, new_budget, opens_at, reserve, slowed, told
from shared.ports.connections import Connection
from shared.ports.pacing import Allowance, Pacer, Unpaced, Use

STREAM: Final = "BUDGET"
BLOCK_SECONDS: Final = 0.25
"""How much of the line one program takes at once, at the present rate; also bounds what others wait behind it."""
LEAD_SECONDS: Final = 0.125
"""How long before its last slot is due a program takes the next ones."""
LATE_SECONDS: Final = 0.015
LATE_INTERVALS: Final = 0.75
"""A slot that is reached later than the larger of the two is lost, or requests held up together would go out together.
Within one interval no stretch of time gets more than one request beyond the rate; the seconds are what programs on a
busy machine need where the intervals are shorter than that."""
WAITERS_MAX: Final = 10_000
CONFLICTS_MAX: Final = 50
"""Lost races in a row before a turn is given up; each means that somebody else got on."""
SHARED_SECONDS: Final = 5.0
"""After a lost race the document is read before each writing for so long, instead of trusting what is remembered."""
BUS_SECONDS_MAX: Final = 2.0
"""How long the document is asked for and written before nobody sends."""
TOLD_SECONDS: Final = 1.0
"""What a system tells of a lower rate is written down at most so often."""

log = structlog.get_logger(__name__)

_Decision = Callable[[Budget, float], Budget]


class BudgetUnavailable(Exception):
    """The document cannot be read or written now."""


@dataclass(eq=False)
class _Waiter:
    """One request that waits for its turn."""

    until: float
    """Monotonic moment after which it does not wait for a slot any more."""
    slot: asyncio.Future[float] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Its slot, as a monotonic moment."""


class SharedPacer:
    """The turns of one connection in this program; see `shared.ports.pacing.Pacer`."""

    def __init__(
        self,
        js: JetStreamContext,
        *,
        connection: str,
        rate_per_second: float,
        clock: Clock,
        ids: Ids,
        wait_seconds_max: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        on_wait: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        """`on_wait` hears how many seconds each request waited, also one that got no turn."""
        self._document = _Document(js, connection=connection, rate_max=rate_per_second, clock=clock, ids=ids)
        self._connection = connection
        self._clock = clock
        self._wait_seconds_max = wait_seconds_max
        """Whoever asks has looked at its lease before: the wait must fit into what a lease leaves as margin."""
        self._late_seconds_max = max(LATE_SECONDS, LATE_INTERVALS / rate_per_second)
        self._sleep = sleep
        self._on_wait = on_wait
        self._waiters: deque[_Waiter] = deque()
        self._spare: list[float] = []
        """Slots of requests that were given up, still to come."""
        self._taken_until = -math.inf
        self._closed_until = -math.inf
        """Until when the system wants nothing, as this program has heard itself."""
        self._told_at = -math.inf
        self._taking: asyncio.Task[None] | None = None

    async def turn(self, use: Use) -> None:
        """Wait until one request may go out; first come, first served within this program."""
        began = self._clock.monotonic_seconds()
        try:
            await self._turn(use, until=began + self._wait_seconds_max)
        finally:
            self._on_wait(self._clock.monotonic_seconds() - began)

    async def _turn(self, use: Use, *, until: float) -> None:
        is_first = True
        try:
            async with asyncio.timeout(self._wait_seconds_max):
                while True:
                    slot = await self._slot(use, until=until, is_first=is_first)
                    await self._until(slot)
                    late = self._clock.monotonic_seconds() - slot
                    if slot >= self._closed_until and late <= self._late_seconds_max:
                        return
                    is_first = False
        except TimeoutError:
            seconds = max(self._taken_until - self._clock.monotonic_seconds(), RETRY_SECONDS)
            text = f"connection {self._connection}: no turn within {self._wait_seconds_max:g} s; fewer requests at once"
            raise _later(use, text, seconds) from None

    async def slow_down(self, seconds: float | None) -> None:
        """Close the line for as long as the system asked, for every program, and lower the rate."""
        wait = slowed(self._document.guess(), self._clock.now().timestamp(), seconds).not_before
        self._close_until(wait)
        await self._changed(lambda budget, now: slowed(budget, now, seconds))

    async def heard(self, allowance: Allowance) -> None:
        """Keep to what the system says is left, for every program."""
        guess, now = self._document.guess(), self._clock.now().timestamp()
        after = told(guess, now, allowance)
        if after.not_before > guess.not_before:
            self._close_until(after.not_before)
        elif after.rate >= guess.rate or self._clock.monotonic_seconds() < self._told_at + TOLD_SECONDS:
            return
        self._told_at = self._clock.monotonic_seconds()
        await self._changed(lambda budget, now: told(budget, now, allowance))

    async def _slot(self, use: Use, *, until: float, is_first: bool) -> float:
        if len(self._waiters) >= WAITERS_MAX:
            raise _later(use, f"connection {self._connection}: {WAITERS_MAX} requests wait already", RETRY_SECONDS)
        waiter = _Waiter(until)
        # Who has lost its slot through no fault of its own comes before those who have not had one.
        (self._waiters.append if is_first else self._waiters.appendleft)(waiter)
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take_while_wanted(), name=f"pacer-{self._connection}")
        try:
            return await waiter.slot
        except _NoTurn as no_turn:
            raise _later(use, str(no_turn), no_turn.seconds) from None
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.slot.done() and not waiter.slot.cancelled() and waiter.slot.exception() is None:
                self._spare.append(waiter.slot.result())
            raise

    async def _until(self, slot: float) -> None:
        try:
            while (left := slot - self._clock.monotonic_seconds()) > 0:
                await self._sleep(left)
        except asyncio.CancelledError:
            self._spare.append(slot)
            raise

    async def _take_while_wanted(self) -> None:
        """Give every waiter its slot, and end when nobody waits."""
        while self._waiters:
            now = self._clock.monotonic_seconds()
            self._give_spare(now)
            if not self._waiters:
                return
            early = self._taken_until - LEAD_SECONDS - now
            if early > 0:
                await self._sleep(early)
                continue
            try:
                await self._take()
            except BudgetUnavailable as unavailable:
                text = f"connection {self._connection}: its rate budget cannot be asked: {unavailable}"
                self._refuse_all(_NoTurn(text, RETRY_SECONDS))
            except Exception as defect:  # noqa: BLE001 - handed to those who wait; a silent end would hang them for ever
                self._refuse_all(defect)

    async def _take(self) -> None:
        """Take slots for those who wait now, as many as this program may hold at once."""
        starts: tuple[float, ...] = ()
        wall = mono = opens = 0.0
        within = max(self._waiters[0].until - self._clock.monotonic_seconds(), 0.0)
        wanted = len(self._waiters)

        def decide(budget: Budget, now: float) -> Budget:
            nonlocal starts, wall, mono, opens
            wall, mono = now, self._clock.monotonic_seconds()
            if self._closed_until > mono:  # it may be that nobody has been able to write it down
                closed = max(budget.not_before, wall + self._closed_until - mono)
                budget = budget.model_copy(update={"not_before": closed})
            block = max(1, int(BLOCK_SECONDS * budget.rate))
            after, starts = reserve(budget, now, min(wanted, block), within_seconds=within)
            opens = opens_at(budget, now) - now
            return after if starts else budget

        await self._document.change(decide)
        if not starts:
            self._refuse_all(_NoTurn(f"connection {self._connection}: the next turn is {opens:.1f} s away", opens))
            return
        slots = [mono + (start - wall) for start in starts]
        self._taken_until = slots[-1]
        self._spare += slots
        self._give_spare(mono)

    def _give_spare(self, now: float) -> None:
        slots = deque(sorted(slot for slot in self._spare if slot >= max(now, self._closed_until)))
        while slots and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.slot.done():  # given up in this very moment
                waiter.slot.set_result(slots.popleft())
        self._spare = list(slots)

    def _refuse_all(self, why: Exception) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.slot.done():
                waiter.slot.set_exception(why)

    def _close_until(self, wall: float) -> None:
        monotonic = self._clock.monotonic_seconds() + wall - self._clock.now().timestamp()
        self._closed_until = max(self._closed_until, monotonic)

    async def _changed(self, decide: _Decision) -> None:
        try:
            await self._document.change(decide)
        except BudgetUnavailable as unavailable:
            # This program obeys all the same; the others hear it from the system.
            log.warning("budget_not_written", connection=self._connection, why=str(unavailable))


class Pacers:
    """The pacers of one program, one a connection; a connection without a rate is not paced."""

    def __init__(
        self,
        js: JetStreamContext,
        *,
        clock: Clock,
        ids: Ids,
        wait_seconds_max: float,
        on_wait: Callable[[str, float], None] = lambda connection, seconds: None,
    ) -> None:
        """`on_wait` hears of each request over which connection it waited for its turn, and how many seconds."""
        self._js = js
        self._on_wait = on_wait
        self._clock = clock
        self._ids = ids
        self._wait_seconds_max = wait_seconds_max
        self._pacers: dict[tuple[str, float], SharedPacer] = {}

    def __call__(self, connection: Connection) -> Pacer:
        """The one pacer of that connection."""
        rate = connection.rate_per_second
        if rate is None:
            return Unpaced()
        key = (connection.name, rate)
        if key not in self._pacers:
            self._pacers[key] = SharedPacer(
                self._js,
                connection=connection.name,
                rate_per_second=rate,
                clock=self._clock,
                ids=self._ids,
                wait_seconds_max=self._wait_seconds_max,
                on_wait=partial(self._on_wait, connection.name),
            )
        return self._pacers[key]


class _NoTurn(Exception):
    """A waiter gets no slot."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text)
        self.seconds = seconds


class _Document:
    """The budget on the bus: read, decide, write if nobody else has, or once more."""

    def __init__(self, js: JetStreamContext, *, connection: str, rate_max: float, clock: Clock, ids: Ids) -> None:
        self._js = js
        self._connection = connection
        self._subject = f"budget.{connection}"
        self._rate_max = rate_max
        self._clock = clock
        self._ids = ids
        self._known: tuple[Budget, int] | None = None
        """What was last seen, and its sequence."""
        self._shared_until = -math.inf
        self._one_at_a_time = asyncio.Lock()

    def guess(self) -> Budget:
        """The budget as last seen."""
        now = self._clock.now().timestamp()
        if self._known is None:
            return new_budget(self._connection, rate_max=self._rate_max, now=now)
        return fitted(self._known[0], rate_max=self._rate_max, now=now)

    async def change(self, decide: _Decision) -> None:
        """Write what is decided upon the newest budget; `decide` may be asked more than once. `BudgetUnavailable`."""
        try:
            async with asyncio.timeout(BUS_SECONDS_MAX), self._one_at_a_time:
                for _ in range(CONFLICTS_MAX):
                    if await self._try_to(decide):
                        return
        except TimeoutError:
            raise BudgetUnavailable(f"no answer of the bus in {BUS_SECONDS_MAX:g} s") from None
        except (PublishFailed, PublishRefused, PermissionRefused, StreamUnavailable, NotGenuine) as error:
            raise BudgetUnavailable(str(error)) from error
        except nats.errors.Error as error:
            raise BudgetUnavailable(f"the bus failed ({type(error).__name__})") from error
        raise BudgetUnavailable(f"others were quicker {CONFLICTS_MAX} times")

    async def _try_to(self, decide: _Decision) -> bool:
        if self._known is None or self._clock.monotonic_seconds() < self._shared_until:
            self._known = await self._read()
        before, seq = self._known
        now = self._clock.now().timestamp()
        after = decide(fitted(before, rate_max=self._rate_max, now=now), now)
        if after == before:
            return True
        self._known = None  # until it is known what became of it
        try:
            published = await publish_one(self._js, self._outgoing(after, seq), BUS_SECONDS_MAX)
        except Conflict:
            self._shared_until = self._clock.monotonic_seconds() + SHARED_SECONDS
            return False
        self._known = after, published.seq
        return True

    async def _read(self) -> tuple[Budget, int]:
        stored = await last(self._js, STREAM, self._subject)
        fresh = new_budget(self._connection, rate_max=self._rate_max, now=self._clock.now().timestamp())
        if stored is None:
            return fresh, 0
        try:
            return Budget.model_validate_json(stored.data), stored.seq
        except ValidationError as invalid:
            log.error("budget_is_replaced", connection=self._connection, problems=invalid.error_count())
            return fresh, stored.seq

    def _outgoing(self, budget: Budget, seq: int) -> Outgoing:
        return Outgoing(
            subject=self._subject,
            body=budget.model_dump_json().encode(),
            message_id=f"{self._subject}-{self._ids.token(16)}",
            expected_last_seq=seq,
        )


def _later(use: Use, text: str, seconds: float) -> TryLater:
    return TryLater(f"{use}_RATE_LIMITED", text, retry_after_seconds=seconds)
