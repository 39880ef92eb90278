"""One plan, one target in memory and a ledger in memory, around the work that is under test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from services.applier.apply import Applying, Stop, Surroundings
from services.applier.outcomes import Known, RunLedger, counts_of
from shared.bus.lease import LeaseLost
from shared.errors import OutcomeUnknown, TryLater
from shared.events.facts import OutcomeRecorded
from shared.plan.change import Change
from tests.unit.applier.fake_target import FakeTarget
from tests.unit.plan.plan_builder import header, plan, record

UNREACHABLE = TryLater("APL_UNREACHABLE", "no connection")
UNKNOWN = OutcomeUnknown("APL_UNKNOWN_OUTCOME", "no answer")


def slow_down(seconds: float) -> TryLater:
    return TryLater("APL_RATE_LIMITED", "slow down", retry_after_seconds=seconds)


class MemoryLedger(RunLedger):
    """A ledger in memory that notes the order of what is made durable."""

    def __init__(self, known: Known, target: FakeTarget) -> None:
        self.known = known
        self._target = target
        self.intents: list[str] = []
        self.concluded: list[OutcomeRecorded] = []
        self.sent_at_intent: dict[str, int] = {}
        self.refuses_intents: Exception | None = None

    async def read(self) -> Known:
        return self.known

    async def intend(self, attempts: Mapping[str, int]) -> None:
        if self.refuses_intents is not None:
            raise self.refuses_intents
        for change_id in attempts:
            self.intents.append(change_id)
            self.sent_at_intent[change_id] = self._target.sent.count(change_id)

    async def conclude(self, outcomes: Sequence[OutcomeRecorded]) -> None:
        self.concluded += outcomes

    @property
    def token(self) -> int:
        return 1


@dataclass
class Bench:
    """One plan, one target, a clock that only waiting moves."""

    changes: list[Change]
    target: FakeTarget
    known: Known = field(default_factory=Known)
    in_flight: int = 4
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    throttled: list[float] = field(default_factory=list)
    is_cancelled: Callable[[], bool] = lambda: False
    is_held: Callable[[], bool] = lambda: True
    excluded: Sequence[Change] = ()

    def __post_init__(self) -> None:
        self.ledger = MemoryLedger(self.known, self.target)
        self.applying = self._applying()

    def _applying(self) -> Applying:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)
            self.seconds += seconds

        async def throttled(seconds: float) -> None:
            self.throttled.append(seconds)

        def require_held() -> None:
            if not self.is_held():
                raise LeaseLost("the lease is another's")

        head = plan(self.changes, excluded=self.excluded).header if self.excluded else header(self.changes)
        return Applying(
            target=self.target,
            header=head,
            ledger=self.ledger,
            known=self.known,
            around=Surroundings(
                require_held=require_held,
                is_cancelled=lambda: self.is_cancelled(),
                throttled=throttled,
                sleep=sleep,
                monotonic_seconds=lambda: self.seconds,
                rng=Random(1),
                in_flight=self.in_flight,
            ),
        )

    async def run(self) -> Stop | None:
        excluded = {one.change_id for one in self.excluded}
        return await self.applying.run([one for one in self.changes if one.change_id not in excluded])

    async def resume(self) -> Stop | None:
        """Another applier, later, with what is known by then."""
        self.applying = self._applying()
        return await self.run()

    def result(self, one: Change) -> str | None:
        outcome = self.known.outcomes.get(one.change_id)
        return None if outcome is None else outcome.result

    def results(self) -> dict[str, int]:
        counted = counts_of([one.change_id for one in self.changes], self.known).model_dump()
        return {name: number for name, number in counted.items() if number and name != "planned"}

    def code(self, one: Change) -> str | None:
        return self.known.outcomes[one.change_id].code


def bench(*changes: Change, live: int = 200, **more: object) -> Bench:
    target = FakeTarget({f"t-{n}": record(n) for n in range(live)})
    return Bench(list(changes), target, **more)  # type: ignore[arg-type]  # passed on as they are named


def stops_with(stop: Stop | None, kind: str, code: str) -> None:
    assert stop is not None
    assert (stop.kind, stop.note.code) == (kind, code)
