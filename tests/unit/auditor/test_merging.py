"""The one order of the log, whatever order messages arrive in."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.auditor.merging import SETTLE_US, Arrived, Lane, release_ready


def message(stream: str, seq: int, time_us: int) -> Arrived:
    return Arrived(stream, seq, f"s.{seq}", {}, b"", time_us)


def places(released: list[Arrived]) -> list[tuple[str, int]]:
    return [(one.stream, one.seq) for one in released]


def test_a_message_waits_until_nothing_earlier_can_come() -> None:
    core, ledger = Lane("CORE"), Lane("LEDGER")
    core.offer(message("CORE", 1, 1_000_000))
    assert release_ready([core, ledger], messages_max=10) == []
    ledger.hear_end(last_seq=0, at_us=1_000_000 + SETTLE_US - 1)
    assert release_ready([core, ledger], messages_max=10) == []
    ledger.hear_end(last_seq=0, at_us=1_000_000 + SETTLE_US)
    assert places(release_ready([core, ledger], messages_max=10)) == [("CORE", 1)]


def test_an_end_that_was_not_reached_proves_nothing() -> None:
    core, ledger = Lane("CORE"), Lane("LEDGER")
    core.offer(message("CORE", 1, 10))
    ledger.hear_end(last_seq=1, at_us=10**12)
    assert release_ready([core, ledger], messages_max=10) == []


def test_a_gap_holds_a_stream_back_and_is_never_jumped() -> None:
    core = Lane("CORE")
    core.offer(message("CORE", 2, 20))
    assert release_ready([core], messages_max=10) == []
    core.offer(message("CORE", 1, 10))
    assert places(release_ready([core], messages_max=10)) == [("CORE", 1), ("CORE", 2)]


def test_what_the_log_holds_is_not_taken_again() -> None:
    core = Lane("CORE", next_seq=5)
    assert not core.offer(message("CORE", 4, 10))
    assert core.waiting == {}


def test_a_clock_that_goes_back_does_not_change_the_order_within_a_stream() -> None:
    core, ledger = Lane("CORE"), Lane("LEDGER")
    for seq, time_us in ((1, 100), (2, 50)):
        core.offer(message("CORE", seq, time_us))
    ledger.offer(message("LEDGER", 1, 70))
    ledger.offer(message("LEDGER", 2, 200))
    assert places(release_ready([core, ledger], messages_max=10)) == [("LEDGER", 1), ("CORE", 1), ("CORE", 2)]


def test_a_batch_is_bounded() -> None:
    core = Lane("CORE")
    for seq in range(1, 6):
        core.offer(message("CORE", seq, seq))
    assert len(release_ready([core], messages_max=3)) == 3
    assert len(release_ready([core], messages_max=3)) == 2


@given(
    times=st.lists(st.lists(st.integers(1, 20), max_size=8), min_size=3, max_size=3),
    seed=st.integers(0, 2**32),
    step=st.integers(1, 5),
)
def test_the_order_is_the_same_whatever_the_order_of_arrival(times: list[list[int]], seed: int, step: int) -> None:
    streams = ["CORE", "DLQ", "LEDGER"]
    stored = {
        stream: [message(stream, seq, time_us * 1000) for seq, time_us in enumerate(found, start=1)]
        for stream, found in zip(streams, times, strict=True)
    }
    everything = [one for messages in stored.values() for one in messages]

    def merged(order: list[Arrived], at_once: int) -> list[tuple[str, int]]:
        lanes = [Lane(stream) for stream in streams]
        by_stream = {lane.stream: lane for lane in lanes}
        result: list[Arrived] = []
        for start in range(0, len(order), at_once):
            for one in order[start : start + at_once]:
                by_stream[one.stream].offer(one)
            result += release_ready(lanes, messages_max=2)
        while len(result) < len(everything):
            for lane in lanes:
                lane.hear_end(last_seq=len(stored[lane.stream]), at_us=10**9)
            result += release_ready(lanes, messages_max=2)
        return places(result)

    shuffled = list(everything)
    Random(seed).shuffle(shuffled)
    assert merged(everything, 100) == merged(shuffled, step)
