"""Single requests go out together, and each asker gets its own answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.errors import RecordRefused
from shared.ports.gathering import Gathering


class Batches:
    """Doubles numbers, refuses 13 and remembers what came together."""

    def __init__(self) -> None:
        self.together: list[list[int]] = []
        self.broken: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def do(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.together.append(list(items))
        await self.go_on.wait()
        if self.broken is not None:
            raise self.broken
        return [RecordRefused("APL_REFUSED_RECORD", "thirteen") if one == 13 else one * 2 for one in items]

    def gathering(self, items_max: int = 100) -> Gathering[int, int]:
        return Gathering(self.do, items_max=items_max, wait_seconds=0.01)


async def test_what_is_asked_in_one_moment_goes_out_together() -> None:
    batches = Batches()
    gathering = batches.gathering()
    assert await asyncio.gather(*(gathering.put(n) for n in range(20, 40))) == [n * 2 for n in range(20, 40)]
    assert batches.together == [list(range(20, 40))]


async def test_no_batch_is_larger_than_allowed_and_the_rest_follows() -> None:
    batches = Batches()
    gathering = batches.gathering(items_max=8)
    assert await asyncio.gather(*(gathering.put(n) for n in range(20, 40))) == [n * 2 for n in range(20, 40)]
    assert [len(one) for one in batches.together] == [8, 8, 4]


async def test_one_that_is_refused_spoils_nothing_for_the_others() -> None:
    batches = Batches()
    answers = await asyncio.gather(*(batches.gathering().put(n) for n in (12, 13)), return_exceptions=True)
    assert answers[0] == 24
    assert isinstance(answers[1], RecordRefused)


async def test_what_befalls_the_batch_befalls_each_of_it_and_the_next_is_sound() -> None:
    batches = Batches()
    gathering = batches.gathering()
    batches.broken = ConnectionError("cut")
    answers = await asyncio.gather(*(gathering.put(n) for n in range(3)), return_exceptions=True)
    assert [type(one) for one in answers] == [ConnectionError] * 3
    batches.broken = None
    assert await gathering.put(4) == 8


async def test_too_few_results_are_an_error_for_all_and_nobody_waits_for_ever() -> None:
    async def forgetful(items: Sequence[int]) -> Sequence[int]:
        return items[1:]

    gathering: Gathering[int, int] = Gathering(forgetful, items_max=10, wait_seconds=0.0)
    answers = await asyncio.wait_for(asyncio.gather(gathering.put(1), gathering.put(2), return_exceptions=True), 5)
    assert [str(one) for one in answers] == ["1 results came for 2 items"] * 2


async def test_those_who_come_while_a_batch_is_under_way_form_the_next() -> None:
    batches = Batches()
    batches.go_on.clear()
    gathering = batches.gathering()
    first = asyncio.create_task(gathering.put(1))
    while not batches.together:
        await asyncio.sleep(0.001)
    later = [asyncio.create_task(gathering.put(n)) for n in (2, 3)]
    await asyncio.sleep(0)
    batches.go_on.set()
    assert await asyncio.gather(first, *later) == [2, 4, 6]
    assert batches.together == [[1], [2, 3]]


async def test_who_left_before_its_item_went_out_is_left_out() -> None:
    batches = Batches()
    batches.go_on.clear()
    gathering = batches.gathering()
    first = asyncio.create_task(gathering.put(1))
    while not batches.together:
        await asyncio.sleep(0.001)
    leaver, stayer = asyncio.create_task(gathering.put(2)), asyncio.create_task(gathering.put(3))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    batches.go_on.set()
    assert list(await asyncio.gather(first, stayer)) == [2, 6]
    assert batches.together == [[1], [3]]
