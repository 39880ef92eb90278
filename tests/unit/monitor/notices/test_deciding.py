"""Every condition is told once when it began and once when it ended, whatever is looked at, when, and who dies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.monitor.notices.board import Board
from services.monitor.notices.conditions import KINDS, Condition
from services.monitor.notices.courier import END_GIVEN_UP_SECONDS, Courier
from services.monitor.notices.deciding import Due, Interest, due_on, next_to_send
from services.monitor.notices.delivery import NotDelivered
from services.monitor.notices.told import Told, ToldNotice
from services.monitor.notices.wording import House, Notice
from shared.clock import to_text
from shared.events.operating import NoticeSent

START = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ALL = Interest("ops", frozenset(KINDS), None)


def condition(name: str, *, hours: float = 0, connector: str = "staff") -> Condition:
    since = to_text(START + timedelta(hours=hours))
    return Condition(f"run_held/{name}", "run_held", since, connector=connector, run=name)


def board_of(*conditions: Condition, told: Told | None = None) -> Board:
    board = Board(told or Told())
    board.put_up({one.id: one for one in conditions}, told=board.told, statuses={})
    return board


@dataclass
class Time:
    """A clock that is set by hand."""

    seconds: float = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic_seconds(self) -> float:
        return self.seconds


@dataclass
class Post:
    """Takes notices, or does not."""

    is_up: bool = True
    got: list[Notice] = field(default_factory=list)
    refuses: str | None = None
    """A text in the title of notices that are never taken."""

    async def send(self, notice: Notice, *, now: datetime) -> str:
        if not self.is_up or (self.refuses is not None and self.refuses in notice.document["condition"]["id"]):
            raise NotDelivered("the post is closed")
        self.got.append(notice)
        return "taken"

    def told(self) -> Counter[tuple[str, str]]:
        """How often each condition was told to have begun or ended."""
        found: Counter[tuple[str, str]] = Counter()
        for notice in self.got:
            document = notice.document
            if document["type"] == "summary":
                found.update((one["id"], one["change"]) for one in document["conditions"])
            else:
                found[document["condition"]["id"], document["type"].removeprefix("condition.")] += 1
        return found


@dataclass
class Office:
    """A courier whose facts lie in a log that outlasts it."""

    post: Post
    time: Time
    board: Board
    a_minute: int = 20
    log: list[NoticeSent] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    is_held: bool = True

    def __post_init__(self) -> None:
        self.hire()

    def hire(self) -> None:
        """Begin anew, with nothing but the log."""
        told = Told()
        for fact in self.log:
            told.take(ToldNotice.from_fact(fact))
        self.board = board_of(*self.board.present.values(), told=told)

        async def store(facts: Sequence[NoticeSent]) -> None:
            self.log += facts

        self.courier = Courier(
            ALL, self.post, self.a_minute, self.board, House("staging", None), self.time, store,
            lambda: self.is_held, lambda outcome: self.counted.update([outcome]),
        )  # fmt: skip

    def work(self, steps: int = 1_000) -> None:
        """Let it work until it waits for news, with the time that this takes."""

        async def working() -> None:
            for _ in range(steps):
                seconds = await self.courier.step()
                if seconds is None:
                    return
                self.time.seconds += seconds

        asyncio.run(working())

    def look(self, *conditions: Condition) -> None:
        self.board.put_up({one.id: one for one in conditions}, told=self.board.told, statuses={})


NAMES = ("a", "b", "c", "d", "e")
steps = st.one_of(
    st.tuples(st.just("look"), st.sets(st.sampled_from(NAMES))),
    st.tuples(st.just("post"), st.booleans()),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("work"), st.integers(1, 4)),
    st.tuples(st.just("wait"), st.integers(0, 200)),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=30), st.integers(1, 4))
def test_every_condition_is_told_once_begun_and_once_ended_whatever_the_order_of_looks(
    steps: list[tuple[str, object]], a_minute: int
) -> None:
    office = Office(Post(), Time(), board_of(), a_minute)
    present: set[str] = set()
    for what, value in steps:
        match what, value:
            case "look", set():
                present = {str(name) for name in value}
                office.look(*(condition(name) for name in sorted(present)))
            case "post", bool():
                office.post.is_up = value
            case "restart", _:
                office.hire()
            case "work", int():
                office.work(value)
            case "wait", int():
                office.time.seconds += value
    office.post.is_up = True
    office.work()
    told = office.post.told()
    assert set(told.values()) <= {1}
    for name in NAMES:
        began, ended = told[f"run_held/{name}", "began"], told[f"run_held/{name}", "ended"]
        assert began or not ended
        if name in present:
            assert began  # and if it was told to have ended, that occurrence is over for good
        else:
            assert began == ended


def test_a_condition_that_comes_and_goes_while_the_channel_is_down_is_not_told_at_all() -> None:
    office = Office(Post(is_up=False), Time(), board_of(condition("a")))
    office.work(5)
    office.look()
    office.post.is_up = True
    office.work()
    assert office.post.got == [] and office.log == []


def test_nothing_is_sent_before_a_look_nor_without_the_lease() -> None:
    office = Office(Post(), Time(), board_of(condition("a")))
    office.board.is_known = False
    office.work(3)
    office.board.is_known, office.is_held = True, False
    office.work(3)
    assert office.post.got == []
    office.is_held = True
    office.work()
    assert len(office.post.got) == 1


def test_a_flood_is_bounded_and_what_is_left_is_summed_up() -> None:
    office = Office(Post(), Time(), board_of(*(condition(f"r{number:03}") for number in range(100))), a_minute=5)
    office.work()
    assert office.time.seconds < 60
    *single, summary = office.post.got
    assert len(single) == 4 and summary.document["type"] == "summary"
    assert len(summary.document["conditions"]) == 96
    assert summary.lines[-1] == "and 76 more: the guard holds a run (76)"
    assert Counter(fact.outcome for fact in office.log) == {"sent": 4, "summarised": 96}
    assert set(office.post.told().values()) == {1}


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(1, 5))
@settings(deadline=None, max_examples=40)
def test_no_minute_has_more_messages_than_allowed(arrivals: list[int], a_minute: int) -> None:
    office = Office(Post(), Time(), board_of(), a_minute)
    sent_at: list[float] = []
    present: list[Condition] = []
    for number, seconds in enumerate(sorted(arrivals)):
        office.time.seconds = max(office.time.seconds, float(seconds))
        present.append(condition(f"r{number}"))
        office.look(*present)
        before = len(office.post.got)
        office.work(2)
        sent_at += [office.time.seconds] * (len(office.post.got) - before)
    for moment in sent_at:
        assert sum(moment <= other < moment + 60 for other in sent_at) <= a_minute


def test_what_is_old_when_it_is_first_seen_is_told_together() -> None:
    old = [condition(f"old{number}", hours=-24 * 8) for number in range(12)]
    office = Office(Post(), Time(), board_of(*old, condition("new")))
    office.work()
    summary, single = office.post.got
    assert len(summary.document["conditions"]) == 12
    assert single.document["condition"]["run"] == "new"
    assert office.post.told()[old[0].id, "began"] == 1


def test_a_notice_that_is_never_taken_does_not_stand_in_the_way_of_others() -> None:
    office = Office(Post(refuses="poison"), Time(), board_of(condition("poison"), condition("b"), condition("c")))
    office.work(20)
    assert {notice.document["condition"]["run"] for notice in office.post.got} == {"b", "c"}
    assert office.counted["failed"] >= 3


def test_a_channel_that_is_down_is_tried_ever_more_slowly() -> None:
    office = Office(Post(is_up=False), Time(), board_of(condition("a")))
    waits = []

    async def working() -> None:
        for _ in range(9):
            seconds = await office.courier.step()
            assert seconds is not None
            waits.append(seconds)
            office.time.seconds += seconds

    asyncio.run(working())
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    office.post.is_up = True
    office.work()
    assert [fact.tries for fact in office.log] == [10]


def test_an_end_is_given_up_after_a_day_and_a_beginning_is_not() -> None:
    office = Office(Post(), Time(), board_of(condition("a")))
    office.work()
    office.post.is_up = False
    office.look(condition("b"))
    office.work(3)
    office.time.seconds += END_GIVEN_UP_SECONDS
    office.work(3)
    assert [(fact.condition, fact.change, fact.outcome) for fact in office.log] == [
        ("run_held/a", "began", "sent"), ("run_held/a", "ended", "given_up"),
    ]  # fmt: skip
    office.post.is_up = True
    office.work()
    assert office.log[-1].condition == "run_held/b"


def test_a_channel_hears_of_its_own_conditions_and_connectors_and_of_the_end_of_all_that_it_heard() -> None:
    interest = Interest("ops", frozenset({"run_held"}), frozenset({"staff"}))
    quarantined = Condition("q", "connection_quarantined", "2026", connection="hst")
    here, elsewhere = condition("a"), condition("b", connector="students")
    present = {one.id: one for one in (here, elsewhere, quarantined)}
    assert [due.condition for due in due_on(interest, present, Told(), statuses={})] == [here]
    told = Told()
    told.take(ToldNotice("ops", "q", "began", "connection_quarantined", "2026", connection="hst"))
    told.take(ToldNotice("other", "z", "began", "run_held", "2026"))
    (due,) = due_on(interest, {}, told, statuses={})
    assert (due.change, due.condition.connection) == ("ended", "hst")


def test_the_state_of_the_run_is_told_with_the_end() -> None:
    told = Told()
    told.take(ToldNotice("ops", "run_held/r1", "began", "run_held", "2026", connector="staff", run="r1"))
    (due,) = due_on(ALL, {}, told, statuses={"r1": "rejected"})
    assert due.status_now == "rejected"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["began", "ended"])), max_size=12).flatmap(
    lambda facts: st.tuples(st.just(facts), st.permutations(facts))
))  # fmt: skip
def test_the_memory_is_the_same_in_whatever_order_it_hears(
    both: tuple[list[tuple[str, str]], list[tuple[str, str]]],
) -> None:
    memories = []
    for facts in both:
        told = Told()
        for name, change in facts:
            told.take(ToldNotice("ops", name, "began" if change == "began" else "ended", "run_held", "2026"))
        memories.append(({one.condition for one in told.open_on("ops")}, [told.is_told("ops", one) for one in "ab"]))
    assert memories[0] == memories[1]


@pytest.mark.parametrize("sent_lately", [3, 4])
def test_nothing_goes_out_while_the_minute_is_used_up(sent_lately: int) -> None:
    due = [Due("began", condition("a"))]
    assert next_to_send(due, tries={}, sent_lately=sent_lately, a_minute=3, now=START) == ()
