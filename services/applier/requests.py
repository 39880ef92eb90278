"""Sends requests to the target, and does what is done about each kind of failure that is not one record's own.

What is surely not done is repeated: after the wait that the target asks for, which uses up no try, or after a growing
one, which does. A refused credential is read anew once. Where one request after the other fails the breaker opens, and
only probes go out. What this file cannot settle (an unknown outcome, a refusal, a person needed) it passes on; it
never decides what becomes of a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

import structlog

from services.applier.breaker import Breaker, Kind
from services.applier.stopping import ASKED_TO_PAUSE, Stopped, Stopping, Surroundings
from shared.bus.lease import LeaseLost
from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, TargetMoved, TryLater
from shared.events.documents import FailureNote
from shared.plan.change import Change
from shared.ports.system import Receipt, Target
from shared.ports.wire import Record, WireWrite
from shared.telemetry.spans import resending

log = structlog.get_logger(__name__)

T = TypeVar("T")

TRIES_MAX: Final = 5
BACK_OFF_SECONDS: Final = 1.0
BACK_OFF_SECONDS_MAX: Final = 60.0
WAITS_MAX: Final = 200
"""How often one request obeys «slow down» before the run is paused; such waits use up no try."""
ASKED_WAIT_SECONDS_MAX: Final = 900.0
"""A target that asks for more is asked again after this time."""
TOLD_AGAIN_SECONDS: Final = 1.0
"""A wait that becomes longer by less than this is not told anew."""


@dataclass
class Tries:
    """What one step of one change has used up."""

    used: int = 0
    waits: int = 0
    answers_before: tuple[int, int] | None = None
    """Reads and writes that had been answered when the first failure came."""
    openings_before: int = 0
    """How often the breaker had opened by then."""


Heeds = Literal["every stop", "an end", "no stop"]
"""Which stop keeps a request from going out at once. One that would have to wait goes out in no case.

`an end` is for a write whose intent is durable: who wants a pause lets it pass. `no stop` is for the read that
concludes a change.
"""


class Defect(Exception):
    """The system's own code failed: a defect of ours, and no word of the target."""


DEFECTS: Final = (Defect, ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
"""What a defect of ours raises, in the system's own code or around it."""


class Exhausted(Exception):
    """A change has used up its tries."""

    def __init__(self, error: AetherError, *, kind: Kind, tries: Tries, is_in_doubt: bool) -> None:
        self.error = error
        self.kind: Kind = kind
        self.tries = tries
        self.is_in_doubt = is_in_doubt
        """Whether a write of it may have been done."""
        super().__init__(str(error))


class Requests:
    """The way to one target."""

    def __init__(self, target: Target, *, around: Surroundings, stopping: Stopping) -> None:
        self._target = target
        self._around = around
        self._stopping = stopping
        self._generation = 0
        self._reopening = asyncio.Lock()
        self._probing = asyncio.Lock()
        self._telling = asyncio.Lock()
        self._told_until: float | None = None
        self._not_before = 0.0
        self._answers: dict[Kind, int] = {"read": 0, "write": 0}
        self.breaker = Breaker()
        self.retries = 0
        self.rate_limited = 0

    async def fetch(
        self, change: Change, tries: Tries, *, target_id: str | None = None, heeds: Heeds = "every stop"
    ) -> Record | None:
        """The live record of a change.

        `Stopped` when it did not go out, `Exhausted` when its tries are used up.
        """
        return await self._repeated("read", lambda target: _read(target, change, target_id), tries, heeds=heeds)

    async def fetch_once(self, change: Change) -> Record | None:
        """The live record of a change, asked for once and without any wait: for whoever ends a run."""
        return await self._once("read", lambda target: _read(target, change, None), is_probe=False)

    async def write(self, change: Change, tries: Tries, *, heeds: Heeds = "every stop") -> Receipt:
        """Send the change's write, again as long as it is surely not done and tries are left."""
        write = WireWrite(method=change.write.method, path=change.write.path, body=change.write.body)

        async def send(target: Target) -> Receipt:
            self._around.require_held()
            return await target.write(write, idempotency_key=change.change_id)

        return await self._repeated("write", send, tries, heeds=heeds)

    def has_answered_since(self, exhausted: Exhausted) -> bool:
        """Whether the target has answered a request of that kind since the first failure."""
        return self._is_bad_itself(exhausted.kind, exhausted.tries)

    def has_opened_since(self, exhausted: Exhausted) -> bool:
        """Whether the breaker has opened since the first failure, so that the target was to blame."""
        return self.breaker.openings > exhausted.tries.openings_before

    async def over(self) -> None:
        """Tell that nothing is waited for any more."""
        await self._tell(0, None)

    # --- one request, again and again -------------------------------------------------------------------------------

    async def _repeated(
        self, kind: Kind, request: Callable[[Target], Awaitable[T]], tries: Tries, *, heeds: Heeds
    ) -> T:
        resends = -1
        while True:  # bounded by TRIES_MAX, WAITS_MAX and the breaker's PROBES_MAX
            resends += 1
            is_probe = await self._turn(heeds=heeds)
            generation = self._generation
            tries.used += 1
            try:
                with resending(resends):
                    return await self._once(kind, request, is_probe=is_probe, tries=tries)
            except TryLater as error:
                self._note(tries)
                problem = error
            except OutcomeUnknown:
                self._note(tries)
                self.retries += 1
                if self.breaker.is_open:
                    tries.used -= 1
                    await self._tell_open()
                raise
            except NeedsPerson as error:
                if error.failure.category != "auth" or not await self._reopened(generation):
                    raise
                tries.used -= 1
                continue
            await self._wait_out(problem, kind, tries)

    async def _once(
        self, kind: Kind, request: Callable[[Target], Awaitable[T]], *, is_probe: bool, tries: Tries | None = None
    ) -> T:
        try:
            answer = await request(self._target)
        except (TryLater, OutcomeUnknown) as error:
            # A change that fails on while others of its kind succeed is bad itself: it says nothing of the target.
            if not _asks_for_a_wait(error) and (is_probe or not self._is_bad_itself(kind, tries)):
                self.breaker.failed(kind, now=self._around.monotonic_seconds(), is_probe=is_probe)
            raise
        except (RecordRefused, TargetMoved):
            self._answered(kind, is_probe=is_probe)
            raise
        except (AetherError, LeaseLost):
            raise
        except Exception as error:
            raise Defect from error
        else:
            self._answered(kind, is_probe=is_probe)
            return answer
        finally:
            if is_probe:
                self._probing.release()

    def _is_bad_itself(self, kind: Kind, tries: Tries | None) -> bool:
        before = None if tries is None else tries.answers_before
        return before is not None and self._answers[kind] > before[kind == "write"]

    def _answered(self, kind: Kind, *, is_probe: bool) -> None:
        self._answers[kind] += 1
        self.breaker.answered(kind, is_probe=is_probe)

    def _note(self, tries: Tries) -> None:
        if tries.answers_before is None:
            tries.answers_before = (self._answers["read"], self._answers["write"])
            # The failure that has just come may be the one that opened it.
            tries.openings_before = self.breaker.openings - self.breaker.is_open

    async def _reopened(self, generation: int) -> bool:
        """Whether the request may be repeated, with another credential than the refused one."""
        async with self._reopening:
            if self._generation != generation:
                return True  # somebody else has had it read anew since
            if self._generation:
                return False
            try:
                self._target = await self._around.reopened()
            except AetherError as error:
                log.warning("credential_not_read_anew", code=error.code)
                return False
            self._generation += 1
            return True

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def _turn(self, *, heeds: Heeds) -> bool:
        """Wait until a request may go out; True when it goes as the probe, whose lock the request then gives back."""
        while True:
            if self._is_kept_by_a_stop(heeds):
                raise Stopped
            if self.breaker.is_open:
                if self._stopping.must_stop():
                    raise Stopped
                if await self._is_the_probe():
                    return True
                continue
            seconds = self._not_before - self._around.monotonic_seconds()
            if seconds <= 0:
                if self._told_until is not None:
                    await self.over()
                return False
            await self._stopping.sleep(seconds)

    def _is_kept_by_a_stop(self, heeds: Heeds) -> bool:
        if not self._stopping.must_stop() or heeds == "no stop":
            return False
        return heeds == "every stop" or self._stopping.stop is not ASKED_TO_PAUSE

    async def _is_the_probe(self) -> bool:
        """Wait in line for the probe; False, with the lock given back, when the breaker has closed meanwhile."""
        await self._probing.acquire()
        is_probe = False
        try:
            while self.breaker.is_open:
                now = self._around.monotonic_seconds()
                seconds = max(self.breaker.seconds_to_probe(now), self._not_before - now)
                if seconds <= 0 and not self._stopping.must_stop():
                    is_probe = True
                    break
                await self._stopping.sleep(seconds)
        finally:
            if not is_probe:
                self._probing.release()
        return is_probe

    async def _wait_out(self, error: TryLater, kind: Kind, tries: Tries) -> None:
        self.retries += 1
        if _asks_for_a_wait(error):
            tries.used -= 1
            tries.waits += 1
            if tries.waits > WAITS_MAX:
                self._stopping.pause(FailureNote.of(error))
                raise Stopped
            self.rate_limited += 1
            asked = error.retry_after_seconds
            if asked is None:
                asked = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** min(tries.waits - 1, 10))
            seconds = min(asked, ASKED_WAIT_SECONDS_MAX)
            self._not_before = max(self._not_before, self._around.monotonic_seconds() + seconds)
            await self._tell(seconds, FailureNote.of(error))
        elif self.breaker.is_open:
            tries.used -= 1
            await self._tell_open()
        elif tries.used >= TRIES_MAX:
            raise Exhausted(error, kind=kind, tries=tries, is_in_doubt=False)
        else:
            ceiling = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** (tries.used - 1))
            await self._stopping.sleep(self._around.rng.uniform(0, ceiling))

    async def _tell_open(self) -> None:
        """Tell that the breaker is open, or have the run paused when too many probes have failed."""
        note = FailureNote(
            code="APL_SYSTEMIC",
            text=f"one request after the other failed; {self.breaker.probes_failed} probes have failed since",
        )
        if self.breaker.is_used_up:
            self._stopping.pause(note)
            return
        await self._tell(self.breaker.seconds_to_probe(self._around.monotonic_seconds()), note)

    async def _tell(self, seconds: float, note: FailureNote | None) -> None:
        """Tell of a wait, unless as long a one was told already; with 0, that it is over, unless none was told."""
        async with self._telling:
            if seconds <= 0:
                if self._told_until is None or self.breaker.is_open:
                    return
                self._told_until = None
                await self._around.throttled(0, None)
                return
            until = self._around.monotonic_seconds() + seconds
            if self._told_until is None or until >= self._told_until + TOLD_AGAIN_SECONDS:
                self._told_until = until
                await self._around.throttled(seconds, note)


def _asks_for_a_wait(error: TryLater | OutcomeUnknown) -> bool:
    """Whether the target is well and wants fewer requests."""
    return isinstance(error, TryLater) and (
        error.retry_after_seconds is not None or error.failure.category == "rate_limited"
    )


async def _read(target: Target, change: Change, target_id: str | None) -> Record | None:
    known_id = target_id or change.target_id
    return await target.fetch(change.entity, target_id=known_id, key=change.key if known_id is None else None)
