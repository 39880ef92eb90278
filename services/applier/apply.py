"""Carrying out changes: look, intend, write, conclude, wave by wave, each exactly once in effect.

Some changes are under way at once, and each goes its own pace. An intent is durable before its write goes out; an
outcome is handed to the journal after it and is durable before the wave ends. A change with an intent and no outcome
is unknown: the target is read before anything is sent again. Everything that may stop the work (a person, a lost
lease, a target that does not answer, too many stale records) takes effect at the next change. It chooses nothing: what
is written stands in the plan.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import groupby
from typing import Final

import structlog

from services.applier.changing import LOOK_WAIT_SECONDS, Changing, id_of
from services.applier.dependencies import verdict_on
from services.applier.journal import Journal
from services.applier.outcomes import Known
from services.applier.preconditions import Standing
from services.applier.requests import DEFECTS, Exhausted, Requests, Tries
from services.applier.stopping import ASKED_TO_END, ASKED_TO_PAUSE, Stop, Stopped, Stopping, Surroundings
from services.applier.together import together
from services.applier.verifying import looked_back, sample_of
from shared.errors import AetherError, RecordRefused
from shared.events.documents import FailureNote
from shared.events.facts import OutcomeRecorded
from shared.plan.change import DESTRUCTIVE, Change, ChangeClass
from shared.plan.dependencies import Dependencies
from shared.plan.document import Excluded, PlanHeader
from shared.ports.system import Target
from shared.telemetry.spans import phase

__all__ = ["ASKED_TO_END", "ASKED_TO_PAUSE", "Applying", "Stop", "Surroundings"]

log = structlog.get_logger(__name__)

OUTCOMES_PENDING_MAX: Final = 512
"""Outcomes that are decided and not durable yet; with so many no further change is begun."""
CANARY_CHANGES: Final = 5
"""Destructive changes of a run that must be read back before all others follow."""
REFUSALS_ALIKE_MAX: Final = 20
STALE_MIN, STALE_PERCENT = 5, 2
PASSES_MAX: Final = 4
"""How often a change is taken up again that failed while the whole target was out of order."""


class Applying:
    """The work on one plan."""

    def __init__(
        self, *, target: Target, header: PlanHeader, journal: Journal, known: Known, around: Surroundings
    ) -> None:
        self._header = header
        self._journal = journal
        self._known = known
        self._around = around
        self._stopping = Stopping(around)
        self._requests = Requests(target, around=around, stopping=self._stopping)
        self._changing = Changing(
            header=header, token=journal.token, requests=self._requests, stopping=self._stopping, known=known
        )
        self._dependencies = Dependencies((), ())
        self._always_read_back = {one.entity for one in header.entities if one.read_back == "always"}
        self._room = asyncio.Semaphore(OUTCOMES_PENDING_MAX)
        self._stale = sum(outcome.result == "stale_skipped" for outcome in known.outcomes.values())
        self._proven = 0
        self._refusals: Counter[tuple[object, ...]] = Counter()
        self._full: dict[tuple[str, ChangeClass], FailureNote] = {}
        self._suspects: list[tuple[Change, Exhausted]] = []

    @property
    def retries(self) -> int:
        """How often a request was repeated, or its outcome looked up."""
        return self._requests.retries

    @property
    def rate_limited(self) -> int:
        """How often the target asked for fewer requests."""
        return self._requests.rate_limited

    # --- the whole --------------------------------------------------------------------------------------------------

    async def set_aside(self, excluded: Sequence[Excluded], deferred: Sequence[str] = ()) -> None:
        """Conclude what the plan itself set aside, and what its approvals left out."""
        await self._conclude(
            OutcomeRecorded(
                run=self._header.run,
                change_id=change_id,
                fencing_token=self._journal.token,
                result="deferred",
                tries=0,
            )
            for change_id in deferred
            if change_id not in self._known.outcomes
        )
        await self._conclude(
            OutcomeRecorded(
                run=self._header.run,
                change_id=one.change_id,
                fencing_token=self._journal.token,
                result="quarantined",
                code=one.code,
                tries=0,
            )
            for one in excluded
            if one.change_id not in self._known.outcomes
        )

    async def run(self, changes: Sequence[Change]) -> Stop | None:
        """Carry out what is not concluded yet; the reason when it ends before its end.

        Everything concluded is durable when this returns. What the journal or the lease raise passes through, and
        nothing is sent after it.
        """
        self._dependencies = Dependencies(changes, self._header.entities)
        self._proven = sum(
            change.change_class in DESTRUCTIVE
            and (outcome := self._known.outcomes.get(change.change_id)) is not None
            and outcome.result == "applied"
            and outcome.is_read_back
            for change in changes
        )
        todo = [change for change in changes if change.change_id not in self._known.outcomes]
        self._heed_stale()
        await self._waves(todo)
        if self._stopping.stop is not None:
            self._stopping.must_stop()  # a person may want the end by now, and not the pause any more
        if self._stopping.is_ending:
            with phase("settle unknown"):
                await self._settle_unknown(todo)
        elif self._stopping.stop is ASKED_TO_PAUSE and all(one.change_id in self._known.outcomes for one in todo):
            self._stopping.stop = None  # it was asked when the last change was under way: nothing is left to pause
        if self._full and self._stopping.stop is None:
            self._stopping.pause(self._note_of_full(todo))
        if self._stopping.stop is None:
            await self._requests.over()
        return self._stopping.stop

    async def verify(self, changes: Sequence[Change]) -> None:
        """Read a sample of what was applied back; what the target does not show is concluded anew, as failed.

        An error while looking loses nothing: see `verifying.looked_back`.
        """

        async def is_shown(change: Change) -> bool:
            target_id = self._known.outcomes[change.change_id].target_id
            return await self._changing.is_shown(change, target_id=target_id)

        sample = sample_of(changes, self._known.outcomes)
        with phase("verify", changes=len(sample)):
            findings = await looked_back(sample, is_shown, at_once=self._around.in_flight)
        log.info(
            "verified",
            run=self._header.run,
            looked_at=findings.shown + len(findings.not_shown),
            not_shown=len(findings.not_shown),
            errors=findings.errors,
        )
        told = ((change, self._known.outcomes[change.change_id]) for change in findings.not_shown)
        await self._conclude(
            self._changing.not_kept(change, target_id=before.target_id, tries=before.tries) for change, before in told
        )

    # --- waves, and what is done twice ------------------------------------------------------------------------------

    async def _waves(self, todo: Sequence[Change]) -> None:

        def place(change: Change) -> tuple[int, bool, int]:
            generation = self._dependencies.generation(change.change_id)
            return change.wave, change.change_class in DESTRUCTIVE, generation

        ordered = sorted(todo, key=lambda change: (*place(change), change.change_id))
        for (wave, is_destructive, _), group in groupby(ordered, key=place):
            changes = deque(group)
            while is_destructive and changes and self._proven < CANARY_CHANGES:
                canary = [changes.popleft() for _ in range(min(len(changes), CANARY_CHANGES - self._proven))]
                with phase("apply canary", wave=wave, changes=len(canary)):
                    await self._passes(canary, is_canary=True)
                if self._stopping.stop is not None:
                    return
            if changes:
                with phase("apply wave", wave=wave, changes=len(changes)):
                    await self._passes(changes)
            if self._stopping.stop is not None:
                return

    async def _passes(self, changes: Iterable[Change], *, is_canary: bool = False) -> None:
        """Take the changes up, and those again that met nothing but a target out of order."""
        todo = list(changes)
        for number in range(1, PASSES_MAX + 1):
            await self._at_once(todo, partial(self._carried_out, is_canary=is_canary))
            if self._stopping.stop is not None or not self._suspects:
                return
            todo = await self._judged(is_last=number == PASSES_MAX)

    async def _judged(self, *, is_last: bool) -> list[Change]:
        """Whether the change or the target was to blame, of those for which that could not be told; those to repeat.

        The target was when the breaker has opened since; otherwise the change is given up.
        """
        suspects, self._suspects = self._suspects, []
        if not any(self._requests.has_opened_since(exhausted) for _, exhausted in suspects):
            await self._ask_for_another({change.change_id for change, _ in suspects})
        again = []
        given_up = []
        for change, exhausted in suspects:
            if self._requests.has_opened_since(exhausted) and not is_last:
                again.append(change)
            elif (outcome := self._given_up(change, exhausted)) is not None:
                given_up.append(outcome)
        await self._conclude(given_up)
        return [] if self._stopping.must_stop() else again

    async def _ask_for_another(self, suspects: set[str]) -> None:
        """Read a record that is none of the suspects': if that fails as well, the breaker opens over it."""
        another = next((change for change in self._dependencies.changes if change.change_id not in suspects), None)
        if another is not None:
            try:
                await self._requests.fetch(another, Tries())
            except (AetherError, Exhausted, Stopped, *DEFECTS) as error:
                log.info("target_does_not_answer_for_another_either", run=self._header.run, error=str(error))

    async def _settle_unknown(self, todo: Sequence[Change]) -> None:
        """Before a run ends early: look up every write whose outcome is unknown; nothing is sent any more."""
        unknown = self._known.unknown
        left = [change for change in todo if change.change_id in unknown]
        for wait in (*LOOK_WAIT_SECONDS, None):
            late: list[Change] = []
            look_up = partial(self._looked_up, late=None if wait is None else late)
            await self._at_once(left, look_up, is_ending=True)
            if wait is None or not late:
                return
            await self._around.sleep(wait)
            left = late

    async def _looked_up(self, change: Change, *, late: list[Change] | None) -> OutcomeRecorded:
        """What the target shows of a change; put in `late` when its write may only not show yet."""
        try:
            live = await self._requests.fetch_once(change)
        except (AetherError, *DEFECTS) as error:
            log.warning("outcome_stays_unknown", run=self._header.run, change=change.change_id, error=str(error))
            raise Stopped from error
        match self._changing.standing(change, live):
            case Standing.ALREADY:
                return self._changing.outcome(change, "applied", target_id=id_of(live), is_read_back=True)
            case Standing.AS_PLANNED:
                if late is not None and change.change_id in self._changing.in_doubt:
                    late.append(change)
                    raise Stopped
                return self._changing.outcome(change, "not_attempted", is_read_back=True, tries=0)
            case Standing.MOVED:
                return self._changing.stale(change)

    # --- one change -------------------------------------------------------------------------------------------------

    async def _carried_out(self, change: Change, *, is_canary: bool) -> OutcomeRecorded:
        """The outcome of one change; `Stopped` when it is left without one."""
        match verdict_on(change.change_id, self._dependencies, self._known.outcomes):
            case "skip":
                return self._changing.outcome(change, "dependency_skipped", code="APL_DEPENDENCY", tries=0)
            case "wait":
                raise Stopped
            case "go":
                pass
        self._leave_if_full(change)
        outcome = await self._guarded(change, self._changing.look(change))
        if outcome is not None:
            return outcome
        self._leave_if_full(change)
        if self._stopping.must_stop():
            raise Stopped
        self._around.require_held()
        attempt = self._known.attempts.get(change.change_id, 0) + 1
        await self._journal.intend(change.change_id, attempt)
        self._known.attempts[change.change_id] = attempt
        reads_back = is_canary or change.entity in self._always_read_back
        outcome = await self._guarded(change, self._changing.write(change, reads_back=reads_back))
        if outcome is None:
            raise Stopped
        if is_canary and outcome.code == "VER_NOT_KEPT":
            text = f"{self._header.target} accepted change {change.change_id} and does not show it"
            self._stopping.pause(FailureNote(code="VER_NOT_KEPT", text=text))
        return outcome

    async def _guarded(self, change: Change, doing: Awaitable[OutcomeRecorded | None]) -> OutcomeRecorded | None:
        """One step of one change; errors that concern more than this change stop the work and conclude nothing."""
        try:
            return await doing
        except Exhausted as exhausted:
            if not self._requests.has_answered_since(exhausted) or self._requests.has_opened_since(exhausted):
                self._suspects.append((change, exhausted))
                raise Stopped from exhausted
            if (outcome := self._given_up(change, exhausted)) is None:
                raise Stopped from exhausted
            return outcome
        except AetherError as error:
            if error.failure.category == "capacity":
                self._full.setdefault((change.entity, change.change_class), FailureNote.of(error))
            elif isinstance(error, RecordRefused):
                return self._refused(change, error)
            else:
                self._stopping.pause(FailureNote.of(error))
            raise Stopped from error
        except DEFECTS as error:
            outcome = self._changing.defect(change, error)
            if change.change_id in self._known.attempts:
                # Its write may have been done, and nothing tells: it must not count as failed.
                self._stopping.pause(
                    FailureNote(code="APL_INTERNAL", text="a defect of ours hides what became of a write")
                )
                raise Stopped from error
            return outcome

    def _given_up(self, change: Change, exhausted: Exhausted) -> OutcomeRecorded | None:
        """The outcome of a change that has used up its tries; None, and a pause, when its write may have been done."""
        if exhausted.is_in_doubt:
            self._stopping.pause(FailureNote.of(exhausted.error))
            return None
        return self._changing.outcome(change, "failed", code=exhausted.error.code, tries=exhausted.tries.used)

    def _refused(self, change: Change, error: RecordRefused) -> OutcomeRecorded:
        alike = (error.code, error.facts.get("status"), error.facts.get("fields"))
        self._refusals[alike] += 1
        if self._refusals[alike] >= REFUSALS_ALIKE_MAX:
            self._stopping.pause(FailureNote.of(error))
        return self._changing.outcome(change, "quarantined", code=error.code)

    def _leave_if_full(self, change: Change) -> None:
        if (change.entity, change.change_class) in self._full:
            raise Stopped

    def _note_of_full(self, todo: Sequence[Change]) -> FailureNote:
        waiting = Counter(
            (change.entity, change.change_class) for change in todo if change.change_id not in self._known.outcomes
        )
        named = (f"{waiting[full]} changes ({full[1]} of {full[0]})" for full in self._full)
        first = next(iter(self._full.values()))
        return FailureNote(code=first.code, text=f"no room for {', '.join(named)}: {first.text}")

    # --- side by side -----------------------------------------------------------------------------------------------

    async def _at_once(
        self,
        changes: Sequence[Change],
        each: Callable[[Change], Awaitable[OutcomeRecorded]],
        *,
        is_ending: bool = False,
    ) -> None:
        """Take the changes in order, `in_flight` at once; returns when every outcome is durable."""
        waiting = deque(changes)

        async def work(group: asyncio.TaskGroup) -> None:
            while waiting and (is_ending or not self._stopping.must_stop()):
                change = waiting.popleft()
                try:
                    outcome = await each(change)
                except Stopped:
                    continue
                self._take(change, outcome)
                await self._room.acquire()
                group.create_task(self._recorded(outcome))

        await together(lambda group: (work(group) for _ in range(min(self._around.in_flight, len(waiting)))))

    async def _conclude(self, outcomes: Iterable[OutcomeRecorded]) -> None:
        """Make these outcomes durable."""

        async def all_of_them(group: asyncio.TaskGroup) -> None:
            for outcome in outcomes:
                self._known.outcomes[outcome.change_id] = outcome
                await self._room.acquire()
                group.create_task(self._recorded(outcome))

        await together(lambda group: (all_of_them(group),))

    async def _recorded(self, outcome: OutcomeRecorded) -> None:
        try:
            await self._journal.conclude(outcome)
        finally:
            self._room.release()

    def _take(self, change: Change, outcome: OutcomeRecorded) -> None:
        self._known.outcomes[change.change_id] = outcome
        if outcome.result == "stale_skipped":
            self._stale += 1
            self._heed_stale()
        elif outcome.result == "applied" and outcome.is_read_back and change.change_class in DESTRUCTIVE:
            self._proven += 1

    def _heed_stale(self) -> None:
        allowed = max(STALE_MIN, self._header.changes * STALE_PERCENT // 100)
        if self._stale > allowed:
            text = f"{self._stale} records of {self._header.changes} had moved, allowed {allowed}"
            self._stopping.end_stale(FailureNote(code="APL_STALE", text=text))
