"""A list that is cut by positions is read whole or not at all, whatever happens to it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StopRun
from systems.aeries_api.positions import Stretch, whole_list

Meanwhile = Callable[[int, list[int]], None]


def read(records: list[int], *, at_once: int, meanwhile: Meanwhile = lambda number, records: None) -> list[int]:
    """What is read of a list of which `meanwhile` may change the records before each question."""
    asked = 0

    async def ask(first: int, last: int) -> Stretch:
        nonlocal asked
        meanwhile(asked, records)
        asked += 1
        items = records[first - 1 : last]
        return Stretch(list(items), [(item,) for item in items], "")

    found = asyncio.run(whole_list(ask, place="list", records=at_once, stretches_max=1_000))
    return [item for stretch in found for item in stretch.items if isinstance(item, int)]


@given(length=st.integers(0, 60), at_once=st.integers(2, 12))
def test_a_list_that_stands_still_is_read_whole(length: int, at_once: int) -> None:
    records = list(range(length))
    assert read(records, at_once=at_once) == records


@given(
    length=st.integers(1, 40),
    at_once=st.integers(2, 9),
    moment=st.integers(0, 20),
    place=st.integers(0, 60),
    is_added=st.booleans(),
)
def test_one_record_more_or_less_meanwhile_is_never_hidden(
    length: int, at_once: int, moment: int, place: int, is_added: bool
) -> None:
    records = list(range(length))
    before = list(records)

    def change(number: int, live: list[int]) -> None:
        if number == moment:
            if is_added:
                live.insert(min(place, len(live)), 1_000)
            elif live:
                del live[min(place, len(live) - 1)]

    try:
        found = read(records, at_once=at_once, meanwhile=change)
    except StopRun as error:
        assert error.code == "SRC_UNSTABLE"
    else:
        assert found in (before, records), "neither what it was nor what it is"


@given(length=st.integers(1, 40), at_once=st.integers(2, 9), cut=st.integers(0, 20), missing=st.integers(1, 9))
def test_an_answer_cut_short_is_made_up_for_or_noticed(length: int, at_once: int, cut: int, missing: int) -> None:
    records, asked = list(range(length)), 0

    async def ask(first: int, last: int) -> Stretch:
        nonlocal asked
        items = records[first - 1 : last]
        if asked == cut:
            items = items[: max(0, len(items) - missing)]
        asked += 1
        return Stretch(list(items), [(item,) for item in items], "")

    try:
        found = asyncio.run(whole_list(ask, place="list", records=at_once, stretches_max=1_000))
    except StopRun as error:
        assert error.code == "SRC_UNSTABLE"
    else:
        got = [item for stretch in found for item in stretch.items]
        assert got == records


def test_a_server_that_heeds_no_positions_is_found_out() -> None:
    async def everything(first: int, last: int) -> Stretch:
        return Stretch([1, 2, 3], [(1,), (2,), (3,)], "")

    with pytest.raises(StopRun, match="3 records came where 2 were asked for") as caught:
        asyncio.run(whole_list(everything, place="list", records=2, stretches_max=9))
    assert caught.value.code == "SRC_WRONG_SHAPE"
    with pytest.raises(StopRun, match="another record stands at position 3"):
        asyncio.run(whole_list(everything, place="list", records=3, stretches_max=9))


def test_a_list_without_end_is_left() -> None:
    async def endless(first: int, last: int) -> Stretch:
        items = list(range(first, last + 1))
        return Stretch(list(items), [(item,) for item in items], "")

    with pytest.raises(StopRun, match="not at its end after 5 questions") as caught:
        asyncio.run(whole_list(endless, place="list", records=3, stretches_max=5))
    assert caught.value.code == "SRC_INCOMPLETE"
