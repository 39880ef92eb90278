"""When the breaker opens, what may pass while it is open, and when it closes."""

from __future__ import annotations

import pytest

from services.applier.breaker import Breaker, Kind


def opened(kind: Kind = "read", at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed(kind, now=at, is_probe=False)
    assert breaker.is_open
    return breaker


def test_ten_failures_in_a_row_open_it_and_nine_do_not() -> None:
    breaker = Breaker()
    for _ in range(9):
        breaker.failed("read", now=1.0, is_probe=False)
    assert (breaker.is_open, breaker.openings) == (False, 0)
    breaker.failed("read", now=1.0, is_probe=False)
    assert (breaker.is_open, breaker.openings) == (True, 1)


def test_success_between_begins_the_count_anew() -> None:
    breaker = Breaker()
    for _ in range(50):
        for _ in range(9):
            breaker.failed("write", now=1.0, is_probe=False)
        breaker.answered("write", is_probe=False)
    assert not breaker.is_open


def test_success_of_reads_says_nothing_about_writes() -> None:
    breaker = Breaker()
    for _ in range(10):
        breaker.failed("write", now=1.0, is_probe=False)
        breaker.answered("read", is_probe=False)
    assert breaker.is_open


def test_it_stays_open_ever_longer_until_a_person_must_look() -> None:
    breaker, now, waited = opened(at=0.0), 0.0, []
    while not breaker.is_used_up:
        waited.append(breaker.seconds_to_probe(now))
        now += waited[-1]
        assert breaker.seconds_to_probe(now) == 0
        breaker.failed("read", now=now, is_probe=True)
    assert waited == [5, 10, 20, 40, 60, 60]


def test_what_was_sent_before_it_opened_neither_closes_nor_prolongs_it() -> None:
    breaker = opened(at=100.0)
    breaker.answered("read", is_probe=False)
    breaker.failed("read", now=104.0, is_probe=False)
    assert breaker.is_open
    assert (breaker.seconds_to_probe(104.0), breaker.probes_failed) == (1.0, 0)


@pytest.mark.parametrize("kind", ["read", "write"])
def test_probe_of_the_kind_that_failed_closes_it(kind: Kind) -> None:
    breaker = opened(kind)
    seen = []
    other: Kind = "write" if kind == "read" else "read"
    for probe in (other, kind):
        breaker.answered(probe, is_probe=True)
        seen.append((breaker.is_open, breaker.seconds_to_probe(104.0)))
    assert seen == [(True, 1.0), (False, 0.0)]


def test_after_it_closed_everything_counts_from_nothing() -> None:
    breaker = opened()
    breaker.failed("read", now=105.0, is_probe=True)
    breaker.answered("read", is_probe=True)
    for _ in range(9):
        breaker.failed("read", now=200.0, is_probe=False)
    assert not breaker.is_open
    breaker.failed("read", now=200.0, is_probe=False)
    assert (breaker.openings, breaker.probes_failed, breaker.seconds_to_probe(200.0)) == (2, 0, 5)
