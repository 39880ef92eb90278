"""Several requests of one moment as one: for systems that take many records at once, whoever asks for them one by one.

The first request opens a gathering; those that come while it waits, or while the one before is under way, join it. Each
asker gets its own answer or its own error. It decides nothing about what is gathered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gathering(Generic[Item, Result]):
    """Turns single calls into calls of many."""

    def __init__(
        self,
        do: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        items_max: int,
        wait_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`do` takes at most `items_max` items and returns as many results, in their order; what it raises, all get.

        `wait_seconds` is how long the first of a gathering waits for others to join.
        """
        self._do = do
        self._items_max = items_max
        self._wait_seconds = wait_seconds
        self._sleep = sleep
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._working: asyncio.Task[None] | None = None

    async def put(self, item: Item) -> Result:
        """The result of one item; raises what `do` had for it.

        A caller that is cancelled leaves its item to the others: it may be under way, and what becomes of it is not
        known to the caller.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._work(), name="gathering")
        return await answer

    async def close(self) -> None:
        """Wait until what was put is done."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)

    async def _work(self) -> None:
        while self._waiting:
            if len(self._waiting) < self._items_max:
                await self._sleep(self._wait_seconds)
            # Who has left before its item went out wants it no more.
            members = [(item, answer) for item, answer in self._waiting if not answer.done()][: self._items_max]
            taken = {id(answer) for _, answer in members}
            self._waiting = [one for one in self._waiting if id(one[1]) not in taken and not one[1].done()]
            if members:
                await self._done(members)

    async def _done(self, members: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._do([item for item, _ in members])
            if len(results) != len(members):
                raise RuntimeError(f"{len(results)} results came for {len(members)} items")
        except Exception as error:  # noqa: BLE001 - every asker gets it, none is left waiting
            results = [error] * len(members)
        for (_, answer), result in zip(members, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, Exception):
                answer.set_exception(result)
            else:
                answer.set_result(result)
