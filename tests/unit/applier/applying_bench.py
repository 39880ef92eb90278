"""One plan, one target in memory and a journal in memory, around the work that is under test."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from services.applier.apply import Applying, Stop, Surroundings
from services.applier.journal import Journal
from services.applier.outcomes import Known, counts_of
from shared.bus.lease import LeaseLost
from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, TryLater
from shared.events.documents import FailureNote
from shared.events.facts import OutcomeRecorded
from shared.plan.change import Change
from shared.plan.document import EntityPlan
from shared.ports.system import Receipt, Target
from shared.ports.wire import Record, WireWrite
from tests.unit.applier.fake_target import FakeTarget
from tests.unit.plan.plan_builder import ENTITY, FIELDS, header, plan, record

UNREACHABLE = TryLater("APL_UNREACHABLE", "no connection")
UNKNOWN = OutcomeUnknown("APL_UNKNOWN_OUTCOME", "no answer")
ANSWERED_500 = OutcomeUnknown("APL_UNKNOWN_OUTCOME", "answered 500", status=500)
UNAUTHORIZED = NeedsPerson("APL_AUTH", "401")
NO_ROOM = RecordRefused("APL_CAPACITY", "no licence is left", status=402)

Mood = Callable[[str, str], AetherError | None]
"""Kind of request (`read` or `write`) and target id or path → what meets it; None: it goes well."""


def slow_down(seconds: float | None) -> TryLater:
    return TryLater("APL_RATE_LIMITED", "slow down", retry_after_seconds=seconds)


@dataclass
class MoodyTarget(FakeTarget):
    """A fake target whose requests may take a while and may all fail for a time."""

    mood: Mood = lambda kind, name: None
    seconds: float = 0.0
    """What a request takes."""
    requests: list[tuple[str, float]] = field(default_factory=list)
    """Kind and time of every request."""
    looked_at: list[str] = field(default_factory=list)
    """Target id or key of every read."""
    arrived: Counter[str] = field(default_factory=Counter)
    """How often each change's write was sent."""
    written_to: list[str] = field(default_factory=list)
    """Path of every write."""
    shows_after_seconds: float = 0.0
    """How long after a write the record is still shown as it was before the first of them."""
    before: dict[str, tuple[float, Record | None]] = field(default_factory=dict)
    """By id and by key: since when another record is there than what is shown."""
    under_way: int = 0
    most_under_way: int = 0

    async def _meet(self, kind: str, name: str) -> None:
        self.requests.append((kind, now()))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
        finally:
            self.under_way -= 1
        if (error := self.mood(kind, name)) is not None:
            raise error

    async def fetch(self, entity: str, *, target_id: str | None, key: str | None) -> Record | None:
        self.looked_at.append(target_id or key or "")
        await self._meet("read", target_id or key or "")
        since, shown = self.before.get(target_id or key or "", (0.0, None))
        live = await super().fetch(entity, target_id=target_id, key=key)
        return shown if since and now() < since + self.shows_after_seconds else live

    async def write(self, write: WireWrite, *, idempotency_key: str) -> Receipt:
        self.written_to.append(write.path)
        self.arrived[idempotency_key] += 1
        await self._meet("write", write.path)
        if self.shows_after_seconds:
            name = write.path.rpartition("/")[2] if write.method != "POST" else str((write.body or {})["external_id"])
            self.before.setdefault(name, (now() or 1e-9, self.records.get(name)))
        return await super().write(write, idempotency_key=idempotency_key)


class MemoryJournal(Journal):
    """A journal in memory that notes the order of what is made durable."""

    def __init__(self, known: Known, target: MoodyTarget) -> None:
        self.known = known
        self.token = 1
        self._target = target
        self.intents: list[str] = []
        self.attempts: dict[str, int] = {}
        self.concluded: list[OutcomeRecorded] = []
        self.sent_at_intent: dict[str, int] = {}
        self.refuses_intents: Exception | None = None
        self.refuses_outcomes: Exception | None = None
        self.seconds = 0.0
        """What it takes until an entry is durable."""
        self.waiting = self.most_waiting = 0

    async def read(self) -> Known:
        return self.known

    async def intend(self, change_id: str, attempt: int) -> None:
        await asyncio.sleep(self.seconds)
        if self.refuses_intents is not None:
            raise self.refuses_intents
        self.intents.append(change_id)
        self.attempts[change_id] = attempt
        self.sent_at_intent[change_id] = self._target.arrived[change_id]

    async def conclude(self, outcome: OutcomeRecorded) -> None:
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.waiting -= 1
        if self.refuses_outcomes is not None:
            raise self.refuses_outcomes
        self.concluded.append(outcome)

    async def close(self) -> None:
        return

    def durable(self) -> Known:
        """What a successor reads."""
        return Known(dict(self.attempts), {outcome.change_id: outcome for outcome in self.concluded})


@dataclass
class Bench:
    """One plan, one target, and a clock that only waiting moves."""

    changes: list[Change]
    target: MoodyTarget
    known: Known = field(default_factory=Known)
    in_flight: int = 4
    throttled: list[float] = field(default_factory=list)
    notes: list[FailureNote | None] = field(default_factory=list)
    is_cancelled: Callable[[], bool] = lambda: False
    is_pause_asked: Callable[[], bool] = lambda: False
    is_leaving: Callable[[], bool] = lambda: False
    is_held: Callable[[], bool] = lambda: True
    excluded: Sequence[Change] = ()
    entities: Sequence[EntityPlan] = (EntityPlan(entity=ENTITY, compared_fields=FIELDS, personal_fields=()),)
    reopened: int = 0
    reopening_fails: AetherError | None = None
    seed: int = 1
    crashes_at: float | None = None

    def __post_init__(self) -> None:
        self.journal = MemoryJournal(self.known, self.target)
        self.applying = self._applying()

    def _applying(self) -> Applying:
        async def throttled(seconds: float, note: FailureNote | None) -> None:
            self.throttled.append(round(seconds, 3))
            self.notes.append(note)

        async def reopened() -> Target:
            self.reopened += 1
            if self.reopening_fails is not None:
                raise self.reopening_fails
            return self.target

        def require_held() -> None:
            if not self.is_held():
                raise LeaseLost("the lease is another's")

        head = plan(self.changes, excluded=self.excluded).header if self.excluded else header(self.changes)
        return Applying(
            target=self.target,
            header=head.model_copy(update={"entities": tuple(self.entities)}),
            journal=self.journal,
            known=self.known,
            around=Surroundings(
                require_held=require_held,
                is_cancelled=lambda: self.is_cancelled(),
                is_pause_asked=lambda: self.is_pause_asked(),
                is_leaving=lambda: self.is_leaving(),
                throttled=throttled,
                reopened=reopened,
                sleep=asyncio.sleep,
                monotonic_seconds=now,
                rng=Random(self.seed),
                in_flight=self.in_flight,
            ),
        )

    async def run(self) -> Stop | None:
        excluded = {one.change_id for one in self.excluded}
        return await self.applying.run([one for one in self.changes if one.change_id not in excluded])

    async def resume(self) -> Stop | None:
        """Another applier, later, with what is known by then."""
        self.known = Known(dict(self.known.attempts), dict(self.known.outcomes))
        self.applying = self._applying()
        return await self.run()

    async def verify(self) -> None:
        await self.applying.verify(self.changes)

    def result(self, one: Change) -> str | None:
        outcome = self.known.outcomes.get(one.change_id)
        return None if outcome is None else outcome.result

    def results(self) -> dict[str, int]:
        counted = counts_of([one.change_id for one in self.changes], self.known).model_dump()
        return {name: number for name, number in counted.items() if number and name != "planned"}

    def code(self, one: Change) -> str | None:
        return self.known.outcomes[one.change_id].code

    def times(self, kind: str) -> list[float]:
        return [at for one, at in self.target.requests if one == kind]


def now() -> float:
    """The test's virtual time."""
    return asyncio.get_running_loop().time()


def bench(*changes: Change, live: int = 200, **more: Any) -> Bench:
    target = MoodyTarget({f"t-{n}": record(n) for n in range(live)})
    return Bench(list(changes), target, **more)


def stops_with(stop: Stop | None, kind: str, code: str) -> None:
    assert stop is not None
    assert (stop.kind, stop.note.code) == (kind, code)
