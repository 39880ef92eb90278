"""Carrying out changes: look, intend, write, conclude, wave by wave, each exactly once in effect.

An intent is durable before its write goes out and an outcome after it. A change with an intent and no outcome is
unknown: the target is read before anything is sent again. Everything that may stop the work (a person, a lost lease,
a target that does not answer, too many stale records) takes effect at the next change. It chooses nothing: what is
written stands in the plan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import structlog

from services.applier.outcomes import Known, RunLedger
from services.applier.preconditions import Standing, standing
from shared.errors import (
    AetherError,
    NeedsPerson,
    OutcomeUnknown,
    RecordRefused,
    StopRun,
    TargetMoved,
    TryLater,
)
from shared.events.documents import FailureNote
from shared.events.facts import OutcomeRecorded, Result
from shared.plan.change import DESTRUCTIVE, Change
from shared.plan.document import PlanHeader
from shared.ports.system import Target
from shared.ports.wire import Record, WireWrite

log = structlog.get_logger(__name__)

CHUNK_CHANGES = 64
"""Changes whose intents are committed together: the most that can be unknown after a crash."""
CANARY_CHANGES = 5
"""The first destructive changes of a run; they are read back before the others follow."""
TRIES_MAX = 5
BACK_OFF_SECONDS = 1.0
BACK_OFF_SECONDS_MAX = 60.0
WAITS_MAX = 200
"""How often one request obeys «slow down» before the run is paused; such waits use up no try."""
INTERNAL_ERRORS_MAX = 3
REFUSALS_ALIKE_MAX = 20
STALE_MIN, STALE_PERCENT = 5, 2


@dataclass(frozen=True)
class Stop:
    """Why the work ended before its end."""

    kind: Literal["pause", "cancel", "stale"]
    note: FailureNote


ASKED_TO_END = Stop("cancel", FailureNote(code="SYS_CANCELLED", text="a person asked that the run end"))


@dataclass(frozen=True)
class Surroundings:
    """What the work is given."""

    require_held: Callable[[], None]
    """Raises when the lease is not certainly ours."""
    is_cancelled: Callable[[], bool]
    throttled: Callable[[float], Awaitable[None]]
    """Told when the target asks for a wait of so many seconds, and with 0 when the wait is over."""
    sleep: Callable[[float], Awaitable[None]]
    monotonic_seconds: Callable[[], float]
    rng: Random
    in_flight: int


class Applying:
    """The work on one plan."""

    def __init__(
        self, *, target: Target, header: PlanHeader, ledger: RunLedger, known: Known, around: Surroundings
    ) -> None:
        self._target = target
        self._header = header
        self._ledger = ledger
        self._known = known
        self._around = around
        self._compared = {entity.entity: entity.compared_fields for entity in header.entities}
        self._gate = asyncio.Semaphore(around.in_flight)
        self._not_before = 0.0
        self._stop: Stop | None = None
        self._internal_errors = 0
        self._refusals: dict[str, int] = {}
        self.retries = 0
        self.rate_limited = 0

    async def run(self, changes: Sequence[Change]) -> Stop | None:
        """Carry out what is not concluded yet; the reason when it ends before its end."""
        await self._set_excluded_aside()
        todo = [change for change in changes if change.change_id not in self._known.outcomes]
        await self._waves(todo)
        if self._is_ending:
            await self._settle_unknown(todo)
        return self._stop

    async def _waves(self, todo: Sequence[Change]) -> None:
        for wave in sorted({change.wave for change in todo}):
            for chunk, is_canary in _chunks([change for change in todo if change.wave == wave]):
                await self._work(chunk, is_canary=is_canary)
                if self._stop is not None:
                    return

    async def _settle_unknown(self, todo: Sequence[Change]) -> None:
        """Before a run ends early: look up every write whose outcome is unknown; nothing is sent any more."""
        unknown = [change for change in todo if change.change_id in self._known.unknown]
        for chunk, _ in _chunks(unknown):
            found = await asyncio.gather(*(self._guarded(change, self._looked_up(change)) for change in chunk))
            await self._conclude([one for one in found if isinstance(one, OutcomeRecorded)])

    async def _looked_up(self, change: Change) -> OutcomeRecorded:
        live = await self._fetch(change)
        match standing(change, live, compared_fields=self._compared[change.entity]):
            case Standing.ALREADY:
                return self._outcome(change.change_id, "applied", target_id=_id_of(live), is_read_back=True)
            case Standing.AS_PLANNED:
                return self._outcome(change.change_id, "not_attempted", is_read_back=True, tries=0)
            case Standing.MOVED:
                return self._stale(change)

    async def _set_excluded_aside(self) -> None:
        excluded = [one for one in self._header.excluded if one.change_id not in self._known.outcomes]
        await self._conclude([self._outcome(one.change_id, "quarantined", code=one.code, tries=0) for one in excluded])

    async def _work(self, chunk: Sequence[Change], *, is_canary: bool) -> None:
        if self._must_stop():
            return
        looked = await asyncio.gather(*(self._guarded(change, self._look(change)) for change in chunk))
        await self._conclude([one for one in looked if isinstance(one, OutcomeRecorded)])
        ready = [change for change, found in zip(chunk, looked, strict=True) if found is Standing.AS_PLANNED]
        if self._stop is not None or not ready:
            return
        self._around.require_held()
        attempts = {change.change_id: self._known.attempts.get(change.change_id, 0) + 1 for change in ready}
        await self._ledger.intend(attempts)
        self._known.attempts.update(attempts)
        written = await asyncio.gather(*(self._guarded(change, self._write(change)) for change in ready))
        await self._conclude([one for one in written if isinstance(one, OutcomeRecorded)])
        if is_canary and self._stop is None:
            await self._read_back(ready)

    async def _guarded(
        self, change: Change, doing: Awaitable[OutcomeRecorded | Standing | None]
    ) -> OutcomeRecorded | Standing | None:
        """One change's step; errors that concern more than this change stop the work and conclude nothing."""
        async with self._gate:
            try:
                return await doing
            except (TryLater, NeedsPerson, StopRun, OutcomeUnknown) as error:
                self._pause(error)
                return None
            except RecordRefused as error:
                return self._refused(change, error)
            except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
                log.exception("change_failed", run=self._header.run)
                self._internal_errors += 1
                if self._internal_errors >= INTERNAL_ERRORS_MAX:
                    self._stop = self._stop or Stop(
                        "pause",
                        FailureNote(code="APL_INTERNAL", text=f"{self._internal_errors} changes met a defect of ours"),
                    )
                return self._outcome(change.change_id, "failed", code="APL_INTERNAL")

    # --- look -------------------------------------------------------------------------------------------------------

    async def _look(self, change: Change) -> OutcomeRecorded | Standing | None:
        if self._must_stop():
            return None
        was_intended = change.change_id in self._known.attempts
        live = await self._fetch(change)
        match standing(change, live, compared_fields=self._compared[change.entity]):
            case Standing.AS_PLANNED:
                return Standing.AS_PLANNED
            case Standing.ALREADY:
                # With an intent of ours on record it was our write that made it so.
                result: Result = "applied" if was_intended else "noop_already"
                return self._outcome(change.change_id, result, target_id=_id_of(live), is_read_back=True)
            case Standing.MOVED:
                return self._stale(change)

    async def _fetch(self, change: Change) -> Record | None:
        tries = waits = 0
        while True:  # bounded by TRIES_MAX and WAITS_MAX in `_wait_out`
            await self._wait_for_turn()
            tries += 1
            try:
                return await self._target.fetch(
                    change.entity,
                    target_id=change.target_id,
                    key=change.key if change.target_id is None else None,
                )
            except TryLater as error:
                if self._must_stop():
                    raise
                if error.retry_after_seconds is not None:
                    tries, waits = tries - 1, waits + 1
                await self._wait_out(error, tries=tries, waits=waits)

    # --- write ------------------------------------------------------------------------------------------------------

    async def _write(self, change: Change) -> OutcomeRecorded | None:
        write = WireWrite(method=change.write.method, path=change.write.path, body=change.write.body)
        tries = waits = 0
        while True:
            await self._wait_for_turn()
            if self._must_stop():
                # Intended and never sent: with a resume to come it is looked at again, otherwise it is told.
                return self._outcome(change.change_id, "not_attempted", tries=tries) if self._is_ending else None
            self._around.require_held()
            tries += 1
            try:
                receipt = await self._target.write(write, idempotency_key=change.change_id)
            except TryLater as error:
                if error.retry_after_seconds is not None:
                    tries, waits = tries - 1, waits + 1
                await self._wait_out(error, tries=tries, waits=waits)
            except OutcomeUnknown:
                self.retries += 1
                outcome = await self._settled(change, tries)
                if outcome is not None:
                    return outcome
                if tries >= TRIES_MAX:
                    raise
            except TargetMoved:
                return await self._settled(change, tries, is_ours=False) or self._stale(change, tries=tries)
            else:
                return self._outcome(change.change_id, "applied", target_id=receipt.target_id, tries=tries)

    async def _settled(self, change: Change, tries: int, *, is_ours: bool = True) -> OutcomeRecorded | None:
        """What became of a write whose answer does not tell, by reading the target; None when it was not done."""
        live = await self._fetch(change)
        match standing(change, live, compared_fields=self._compared[change.entity]):
            case Standing.ALREADY:
                return self._outcome(
                    change.change_id,
                    "applied" if is_ours or tries > 1 else "noop_already",
                    target_id=_id_of(live),
                    is_read_back=True,
                    tries=tries,
                )
            case Standing.AS_PLANNED:
                return None
            case Standing.MOVED:
                return self._stale(change, tries=tries)

    async def _read_back(self, changes: Sequence[Change]) -> None:
        """The canary: what was said to be done must be seen to be done, before more is taken away."""
        for change in changes:
            outcome = self._known.outcomes.get(change.change_id)
            if outcome is None or outcome.result != "applied":
                continue
            live = await self._fetch(change)
            if standing(change, live, compared_fields=self._compared[change.entity]) is not Standing.ALREADY:
                self._stop = Stop(
                    "pause",
                    FailureNote(
                        code="APL_NOT_KEPT",
                        text=f"{self._header.target} accepted change {change.change_id} and does not show it",
                    ),
                )
                return

    # --- waiting and stopping ---------------------------------------------------------------------------------------

    async def _wait_for_turn(self) -> None:
        while (seconds := self._not_before - self._around.monotonic_seconds()) > 0 and not self._must_stop():
            await self._around.sleep(min(seconds, 0.5))

    async def _wait_out(self, error: TryLater, *, tries: int, waits: int) -> None:
        """Wait as asked, or ever longer; raises the error when the tries, or the waits, are used up."""
        self.retries += 1
        if error.retry_after_seconds is not None:
            if waits > WAITS_MAX:
                raise error
            self.rate_limited += 1
            self._not_before = max(self._not_before, self._around.monotonic_seconds() + error.retry_after_seconds)
            await self._around.throttled(error.retry_after_seconds)
            await self._wait_for_turn()
            await self._around.throttled(0)
            return
        if tries >= TRIES_MAX or self._must_stop():
            raise error
        ceiling = min(BACK_OFF_SECONDS_MAX, BACK_OFF_SECONDS * 2 ** (tries - 1))
        await self._around.sleep(self._around.rng.uniform(0, ceiling))

    @property
    def _is_ending(self) -> bool:
        return self._stop is not None and self._stop.kind != "pause"

    def _must_stop(self) -> bool:
        if self._stop is None and self._around.is_cancelled():
            self._stop = ASKED_TO_END
        return self._stop is not None

    def _pause(self, error: AetherError) -> None:
        self._stop = self._stop or Stop("pause", FailureNote.of(error))

    # --- outcomes ---------------------------------------------------------------------------------------------------

    async def _conclude(self, outcomes: Sequence[OutcomeRecorded]) -> None:
        if not outcomes:
            return
        await self._ledger.conclude(outcomes)
        self._known.outcomes.update({outcome.change_id: outcome for outcome in outcomes})
        stale = sum(outcome.result == "stale_skipped" for outcome in self._known.outcomes.values())
        allowed = max(STALE_MIN, self._header.changes * STALE_PERCENT // 100)
        if stale > allowed:
            self._stop = self._stop or Stop(
                "stale",
                FailureNote(
                    code="APL_STALE", text=f"{stale} records of {self._header.changes} had moved, allowed {allowed}"
                ),
            )

    def _stale(self, change: Change, *, tries: int = 0) -> OutcomeRecorded:
        return self._outcome(change.change_id, "stale_skipped", code="APL_CONFLICT", is_read_back=True, tries=tries)

    def _refused(self, change: Change, error: RecordRefused) -> OutcomeRecorded:
        self._refusals[error.code] = self._refusals.get(error.code, 0) + 1
        if self._refusals[error.code] >= REFUSALS_ALIKE_MAX:
            self._pause(error)
        return self._outcome(change.change_id, "quarantined", code=error.code)

    def _outcome(
        self,
        change_id: str,
        result: Result,
        *,
        code: str | None = None,
        target_id: str | None = None,
        is_read_back: bool = False,
        tries: int = 1,
    ) -> OutcomeRecorded:
        return OutcomeRecorded(
            run=self._header.run,
            change_id=change_id,
            fencing_token=self._ledger.token,
            result=result,
            code=code,
            target_id=target_id,
            is_read_back=is_read_back,
            tries=tries,
        )


def _id_of(live: Record | None) -> str | None:
    target_id = None if live is None else live.get("target_id")
    return target_id if isinstance(target_id, str) else None


def _chunks(changes: Sequence[Change]) -> list[tuple[list[Change], bool]]:
    """Chunks in change-id order; destructive waves begin with the canary."""
    ordered = sorted(changes, key=lambda change: change.change_id)
    chunks: list[tuple[list[Change], bool]] = []
    if ordered and ordered[0].change_class in DESTRUCTIVE:
        chunks.append((ordered[:CANARY_CHANGES], True))
        ordered = ordered[CANARY_CHANGES:]
    chunks += [(ordered[at : at + CHUNK_CHANGES], False) for at in range(0, len(ordered), CHUNK_CHANGES)]
    return chunks
