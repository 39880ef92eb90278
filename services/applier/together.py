"""Tasks side by side, of which the first that fails ends all others.

Where several have failed, the error that says most is raised. Nothing here knows what the tasks do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Never

from shared.bus.lease import LeaseLost
from shared.bus.publishing import Conflict


async def together(tasks: Callable[[asyncio.TaskGroup], Iterable[Coroutine[None, None, None]]]) -> None:
    """Run tasks, and those that they begin in the group, until all have ended; raises the error of one that failed."""
    # In a task of its own: before Python 3.13 a group that fails leaves the task that waits for it counted as being
    # cancelled, and the lease would take that for somebody's wish.
    await asyncio.create_task(_in_one_group(tasks), name="together")


async def _in_one_group(tasks: Callable[[asyncio.TaskGroup], Iterable[Coroutine[None, None, None]]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for task in tasks(group):
                group.create_task(task)
    except BaseExceptionGroup as failed:
        _raise_one_of(failed)


def _raise_one_of(failed: BaseExceptionGroup[BaseException]) -> Never:
    """Raise the one error of several that says most: a lost lease explains whatever else came of it."""
    leaves: list[BaseException] = []
    groups: list[BaseExceptionGroup[BaseException]] = [failed]
    while groups:
        for one in groups.pop().exceptions:
            if isinstance(one, BaseExceptionGroup):
                groups.append(one)
            else:
                leaves.append(one)
    raise next((one for one in leaves if isinstance(one, LeaseLost | Conflict)), leaves[0])
