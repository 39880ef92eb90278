"""Carrying out a plan against a target that fails in every way it can: each change exactly once in effect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from services.applier import apply as apply_module
from services.applier.apply import Applying, Stop, Surroundings
from services.applier.outcomes import Known, RunLedger, counts_of
from shared.bus.lease import LeaseLost
from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, TargetMoved, TryLater
from shared.events.facts import OutcomeRecorded
from shared.plan.change import Change, ChangeClass
from tests.unit.applier.fake_target import ANY, FakeTarget, Fault
from tests.unit.plan.plan_builder import RUN, change, header, plan, record

C = ChangeClass
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


async def test_intent_is_durable_before_its_write_and_outcome_after_it() -> None:
    one = bench(change(1), change(2), change(500, C.CREATE))
    assert await one.run() is None
    assert one.results() == {"applied": 3}
    assert set(one.ledger.sent_at_intent.values()) == {0}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(one.ledger.intents)
    assert one.target.records["t-1"]["first_name"] == "New1"
    assert one.known.outcomes[one.changes[2].change_id].target_id == "new-200"


async def test_nothing_is_written_when_the_intent_cannot_be_recorded() -> None:
    one = bench(change(1))
    one.ledger.refuses_intents = RuntimeError("the ledger is full")
    with pytest.raises(RuntimeError):
        await one.run()
    assert one.target.sent == []


async def test_nothing_is_written_without_the_lease() -> None:
    one = bench(change(1), is_held=lambda: False)
    with pytest.raises(LeaseLost):
        await one.run()
    assert (one.target.sent, one.ledger.intents) == ([], [])


async def test_lease_lost_between_intent_and_write_sends_nothing() -> None:
    one = bench(change(1))
    one.is_held = lambda: not one.ledger.intents
    with pytest.raises(LeaseLost):
        await one.run()
    assert one.target.sent == []
    assert one.results() == {"unknown": 1}


async def test_destructive_changes_come_last() -> None:
    one = bench(change(1, C.SUSPEND), change(2), change(300, C.CREATE), change(3, C.ROLE_CHANGE), in_flight=1)
    await one.run()
    assert [entry[0] for entry in one.target.journal][-1] == one.changes[0].change_id


async def test_record_that_is_as_wanted_already_is_not_written() -> None:
    one = bench(change(1), change(2, C.SUSPEND), change(3, C.CREATE), change(400, C.DELETE))
    one.target.records["t-1"]["first_name"] = "New1"
    one.target.records["t-2"]["active"] = False
    assert await one.run() is None
    assert one.results() == {"noop_already": 4}
    assert one.target.sent == one.ledger.intents == []


async def test_record_that_moved_is_skipped_and_told() -> None:
    one = bench(change(1), change(2))
    one.target.records["t-1"]["role"] = "NURSE"
    await one.run()
    assert (one.result(one.changes[0]), one.code(one.changes[0])) == ("stale_skipped", "APL_CONFLICT")
    assert one.result(one.changes[1]) == "applied"
    assert one.target.sent == [one.changes[1].change_id]


# --- waiting and trying again ---------------------------------------------------------------------------------------


async def test_request_to_slow_down_is_obeyed_and_uses_up_no_try() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(slow_down(30)) for _ in range(20))
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert one.seconds >= 20 * 30
    assert one.known.outcomes[one.changes[0].change_id].tries == 1
    assert one.throttled == [30, 0] * 20
    assert one.applying.rate_limited == 20


async def test_request_to_slow_down_holds_back_all_writes_to_the_target() -> None:
    one = bench(*(change(n) for n in range(1, 9)), in_flight=1)
    one.target.faults[ANY].append(Fault(slow_down(90)))
    at: list[float] = []
    write = one.target.write

    async def timed(*args: object, **kwargs: object) -> object:
        at.append(one.seconds)
        return await write(*args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    one.target.write = timed  # type: ignore[method-assign, assignment]  # looks at the clock and passes on
    await one.run()
    assert at[0] == 0
    assert all(second >= 90 for second in at[1:])


async def test_endless_requests_to_slow_down_pause_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply_module, "WAITS_MAX", 6)
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(slow_down(1)) for _ in range(40))
    stops_with(await one.run(), "pause", "APL_RATE_LIMITED")
    assert len(one.target.sent) == 7


async def test_slowing_down_while_looking_uses_up_no_try_either() -> None:
    one = bench(change(1))
    one.target.fetch_faults.extend([*(slow_down(2) for _ in range(7)), UNREACHABLE, UNREACHABLE])
    assert await one.run() is None
    assert one.results() == {"applied": 1}


async def test_five_tries_and_then_the_run_pauses() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(UNREACHABLE) for _ in range(9))
    stops_with(await one.run(), "pause", "APL_UNREACHABLE")
    assert len(one.target.sent) == 5
    assert len(one.waits) == 4
    assert all(wait <= ceiling for wait, ceiling in zip(one.waits, (1, 2, 4, 8), strict=True))
    assert one.results() == {"unknown": 1}
    one.target.faults.clear()
    assert await one.resume() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.journal) == 1


async def test_fourth_failure_is_survived() -> None:
    one = bench(change(1))
    one.target.faults[ANY].extend(Fault(UNREACHABLE) for _ in range(4))
    assert await one.run() is None
    assert one.known.outcomes[one.changes[0].change_id].tries == 5


async def test_target_that_cannot_be_read_pauses_the_run_before_any_intent() -> None:
    one = bench(change(1))
    one.target.fetch_faults.extend(UNREACHABLE for _ in range(9))
    stops_with(await one.run(), "pause", "APL_UNREACHABLE")
    assert one.ledger.intents == one.target.sent == []
    assert one.results() == {"not_attempted": 1}


# --- unknown outcomes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change_class", [C.CREATE, C.UPDATE, C.SUSPEND])
async def test_unknown_outcome_that_was_done_is_found_by_reading_and_not_sent_again(change_class: ChangeClass) -> None:
    number = 500 if change_class is C.CREATE else 1
    one = bench(change(number, change_class))
    one.target.faults[ANY].append(Fault(UNKNOWN, is_done=True))
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == len(one.target.journal) == 1
    assert one.known.outcomes[one.changes[0].change_id].is_read_back


@pytest.mark.parametrize("change_class", [C.CREATE, C.UPDATE])
async def test_unknown_outcome_that_was_not_done_is_sent_again_after_a_look(change_class: ChangeClass) -> None:
    one = bench(change(500 if change_class is C.CREATE else 1, change_class))
    one.target.faults[ANY].append(Fault(UNKNOWN))
    assert await one.run() is None
    assert one.results() == {"applied": 1}
    assert (len(one.target.sent), len(one.target.journal)) == (2, 1)


async def test_unknown_outcome_whose_record_moved_meanwhile_is_stale() -> None:
    one = bench(change(1))
    moved = record(1, role="NURSE")

    async def fails(*_: object, **__: object) -> object:
        one.target.records["t-1"] = moved
        raise UNKNOWN

    one.target.write = fails  # type: ignore[method-assign, assignment]  # moves the record and gives no answer
    assert await one.run() is None
    assert one.results() == {"stale_skipped": 1}
    assert one.target.records["t-1"] is moved


async def test_outcome_that_stays_unknown_pauses_the_run_and_resume_looks_first() -> None:
    one = bench(change(500, C.CREATE))
    one.target.faults[ANY].append(Fault(UNKNOWN, is_done=True))
    fetch = one.target.fetch
    looks = 0

    async def blind_after_write(*args: object, **kwargs: object) -> object:
        nonlocal looks
        looks += 1
        if one.target.sent and looks < 10:
            raise NeedsPerson("APL_AUTH", "the credential has expired")
        return await fetch(*args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    one.target.fetch = blind_after_write  # type: ignore[method-assign, assignment]  # fails for a while
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert one.results() == {"unknown": 1}
    looks = 10
    assert await one.resume() is None
    assert one.results() == {"applied": 1}
    assert len(one.target.sent) == len(one.target.journal) == 1
    assert one.known.outcomes[one.changes[0].change_id].target_id == "new-200"


async def test_intent_of_a_killed_applier_whose_write_went_out_counts_as_applied() -> None:
    one = bench(change(1), change(2))
    one.known.attempts[one.changes[0].change_id] = 1
    one.target.records["t-1"]["first_name"] = "New1"
    assert await one.run() is None
    assert one.results() == {"applied": 2}
    assert one.target.sent == [one.changes[1].change_id]


async def test_intent_of_a_killed_applier_whose_write_did_not_go_out_is_sent() -> None:
    one = bench(change(500, C.CREATE))
    one.known.attempts[one.changes[0].change_id] = 1
    assert await one.run() is None
    assert len(one.target.journal) == 1
    assert one.known.attempts[one.changes[0].change_id] == 2


# --- refusals -------------------------------------------------------------------------------------------------------


async def test_target_that_says_moved_and_shows_what_we_want_needs_nothing() -> None:
    one = bench(change(500, C.CREATE))
    one.target.faults[ANY].append(Fault(TargetMoved("APL_CONFLICT", "exists"), is_done=True))
    assert await one.run() is None
    assert one.results() == {"noop_already": 1}


async def test_target_that_says_moved_and_shows_something_else_is_stale() -> None:
    one = bench(change(1))
    one.target.faults[ANY].append(Fault(TargetMoved("APL_CONFLICT", "changed")))
    assert await one.run() is None
    assert one.results() == {"stale_skipped": 1}
    assert len(one.target.sent) == 1


async def test_refused_record_is_quarantined_and_the_others_go_on() -> None:
    one = bench(change(1), change(2))
    one.target.faults[one.changes[0].change_id].append(Fault(RecordRefused("APL_REFUSED_RECORD", "bad phone")))
    assert await one.run() is None
    assert one.results() == {"applied": 1, "quarantined": 1}
    assert one.code(one.changes[0]) == "APL_REFUSED_RECORD"


@pytest.mark.parametrize(("refused", "is_paused"), [(19, False), (20, True)])
async def test_twenty_refusals_alike_pause_the_run(refused: int, is_paused: bool) -> None:
    one = bench(*(change(n) for n in range(1, 151)), in_flight=1)
    one.target.faults[ANY].extend(Fault(RecordRefused("APL_REFUSED_RECORD", "bad")) for _ in range(refused))
    stop = await one.run()
    if is_paused:
        stops_with(stop, "pause", "APL_REFUSED_RECORD")
        assert len(one.target.sent) == 20
    else:
        assert stop is None
        assert one.results() == {"applied": 131, "quarantined": 19}


async def test_refused_credential_pauses_at_once() -> None:
    one = bench(*(change(n) for n in range(1, 100)), in_flight=1)
    one.target.faults[ANY].append(Fault(NeedsPerson("APL_AUTH", "401")))
    stops_with(await one.run(), "pause", "APL_AUTH")
    assert len(one.target.sent) == 1


@pytest.mark.parametrize(("defects", "is_paused"), [(2, False), (3, True)])
async def test_three_defects_of_ours_pause_the_run(defects: int, is_paused: bool) -> None:
    one = bench(*(change(n) for n in range(1, 11)), in_flight=1)
    one.target.faults[ANY].extend(Fault(KeyError("bug")) for _ in range(defects))
    stop = await one.run()
    if is_paused:
        stops_with(stop, "pause", "APL_INTERNAL")
        assert len(one.target.sent) == 3
    else:
        assert stop is None
        assert one.results() == {"applied": 8, "failed": 2}


# --- limits and people ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "stale", "is_stopped"), [(10, 5, False), (10, 6, True), (400, 8, False), (400, 9, True)]
)
async def test_more_stale_than_five_or_two_percent_stops(changes: int, stale: int, is_stopped: bool) -> None:
    one = bench(*(change(n) for n in range(changes)), live=changes)
    for each in sorted(one.changes, key=lambda each: each.change_id)[:stale]:
        one.target.records[str(each.target_id)]["role"] = "NURSE"
    stop = await one.run()
    if is_stopped:
        stops_with(stop, "stale", "APL_STALE")
        assert one.target.sent == []  # all of them were seen before the first write
    else:
        assert stop is None
        assert one.results() == {"applied": changes - stale, "stale_skipped": stale}


@pytest.mark.parametrize("after", [0, 1, 3])
async def test_cancel_takes_effect_at_the_next_change(after: int) -> None:
    one = bench(*(change(n) for n in range(1, 101)), in_flight=1)
    one.is_cancelled = lambda: len(one.target.sent) >= after
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert len(one.target.sent) == after
    counts = one.results()
    assert counts.get("applied", 0) == after
    assert counts["not_attempted"] == 100 - after
    assert "unknown" not in counts


async def test_cancel_ends_a_wait() -> None:
    one = bench(change(1), change(2), in_flight=1)
    one.target.faults[ANY].append(Fault(slow_down(800)))
    one.is_cancelled = lambda: one.seconds >= 2
    stops_with(await one.run(), "cancel", "SYS_CANCELLED")
    assert one.seconds < 4
    assert one.results() == {"not_attempted": 2}


async def test_canary_of_five_is_read_back_before_more_is_taken_away() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)), in_flight=30)
    fetched_after_write: list[int] = []
    fetch = one.target.fetch

    async def noted(*args: object, **kwargs: object) -> object:
        fetched_after_write.append(len(one.target.sent))
        return await fetch(*args, **kwargs)  # type: ignore[arg-type]  # passed on as it came

    one.target.fetch = noted  # type: ignore[method-assign, assignment]  # notes and passes on
    assert await one.run() is None
    assert one.results() == {"applied": 30}
    # Five looks, five writes, five looks back; then the others.
    assert fetched_after_write[:10] == [0] * 5 + [5] * 5


async def test_lying_target_pauses_after_the_canary() -> None:
    one = bench(*(change(n, C.SUSPEND) for n in range(1, 31)))
    one.target.faults[ANY].extend(Fault(is_kept=False) for _ in range(30))
    stops_with(await one.run(), "pause", "APL_NOT_KEPT")
    assert len(one.target.sent) == 5


async def test_changes_that_are_not_destructive_need_no_canary() -> None:
    one = bench(*(change(n) for n in range(1, 31)))
    one.target.faults[ANY].extend(Fault(is_kept=False) for _ in range(30))
    assert await one.run() is None
    assert len(one.target.sent) == 30


async def test_excluded_changes_are_quarantined_and_never_sent() -> None:
    kept, aside = change(1), change(2)
    one = bench(kept, aside, excluded=[aside])
    assert await one.run() is None
    assert one.results() == {"applied": 1, "quarantined": 1}
    assert one.target.sent == [kept.change_id]
    assert await one.resume() is None
    assert len(one.ledger.concluded) == 2


async def test_concluded_changes_are_not_looked_at_again() -> None:
    one = bench(change(1), change(2))
    await one.run()
    sent = list(one.target.sent)
    one.target.fetch_faults.append(AssertionError("nothing is left to look at"))
    assert await one.resume() is None
    assert one.target.sent == sent
    assert len(one.ledger.concluded) == 2


async def test_never_more_writes_under_way_than_allowed() -> None:
    one = bench(*(change(n) for n in range(1, 41)), in_flight=3)
    under_way = most = 0
    write: Callable[..., Awaitable[object]] = one.target.write

    async def counted(*args: object, **kwargs: object) -> object:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await write(*args, **kwargs)
        finally:
            under_way -= 1

    one.target.write = counted  # type: ignore[method-assign, assignment]  # counts and passes on
    await one.run()
    assert most == 3


@pytest.mark.parametrize("error", [UNREACHABLE, UNKNOWN, NeedsPerson("APL_AUTH", "401")])
async def test_paused_run_resumes_where_it_stopped_and_writes_everything_once(error: AetherError) -> None:
    one = bench(
        *(change(n) for n in range(1, 21)), change(500, C.CREATE), *(change(n, C.SUSPEND) for n in range(30, 45))
    )
    bad = one.changes[7].change_id
    one.target.faults[bad].extend(Fault(error) for _ in range(5))
    stop = await one.run()
    assert stop is not None
    assert stop.kind == "pause"
    one.target.faults.clear()
    assert await one.resume() is None
    assert one.results() == {"applied": len(one.changes)}
    assert sorted(entry[0] for entry in one.target.journal) == sorted(each.change_id for each in one.changes)
    assert all(outcome.run == RUN for outcome in one.ledger.concluded)
