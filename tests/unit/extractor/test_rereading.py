"""Which broken readings are begun anew, how often, and after what pause."""

from __future__ import annotations

import pytest

from services.extractor.rereading import PAUSE_SECONDS_FIRST, REREADS_MAX, is_read_anew, pause_seconds, told
from shared.failures import CATALOGUE


def test_only_records_that_moved_are_worth_another_reading() -> None:
    worth = {code for code in CATALOGUE if is_read_anew(code, rereads=0)}
    assert worth == {"SRC_UNSTABLE"}
    assert not is_read_anew(None, rereads=0)


def test_a_list_that_never_stands_still_is_left_after_two_more_readings() -> None:
    assert [is_read_anew("SRC_UNSTABLE", rereads=rereads) for rereads in range(4)] == [True, True, False, False]
    assert REREADS_MAX == 2


@pytest.mark.parametrize("rereads", range(REREADS_MAX))
def test_pauses_grow_and_differ_by_chance(rereads: int) -> None:
    middle = PAUSE_SECONDS_FIRST * 2**rereads
    pauses = [pause_seconds(rereads, chance=chance) for chance in (0.0, 0.5, 0.999)]
    assert pauses[0] == middle / 2
    assert pauses[1] == middle
    assert middle < pauses[2] < middle * 1.5


def test_the_reason_says_how_often_it_was_tried() -> None:
    assert told("the total moved", rereads=2) == "the total moved (read 3 times)"
