"""An event loop whose time is virtual, and processes that can die or freeze between any two of its steps.

When nothing is ready, time jumps to the next timer: an hour of waiting costs nothing, and what happens depends on the
seed alone. A process is everything that was started in its context. One that is dead never takes another step, not
even to clean up; one that is frozen takes its steps later, all at once, as a machine that slept does.
"""

from __future__ import annotations

import asyncio
import heapq
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

T = TypeVar("T")

STEPS_MAX: Final = 3_000_000
"""Steps of one seed before it counts as spinning."""
BURIAL_ROUNDS_MAX: Final = 200
"""How often the tasks of the dead are told to end, once the seed is over."""

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class NothingLeft(RuntimeError):
    """Somebody waits, and nothing will ever happen again."""


class Spinning(RuntimeError):
    """More steps than a seed may take: something does not end."""


class ProcessIsDead(asyncio.CancelledError):
    """What the outside answers to a process that is no more; only met while the dead are buried."""


@dataclass(eq=False)
class Process:
    """One process of the house."""

    name: str
    context: Context = field(default_factory=copy_context, repr=False)
    is_alive: bool = True
    is_frozen: bool = False
    steps: int = 0
    dies_at_step: int | None = None
    """The step before which it dies; None: it lives."""
    on_death: Callable[[], None] = field(default=lambda: None, repr=False)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list, repr=False)
    held: list[events.Handle] = field(default_factory=list, repr=False)
    """Steps that wait for a frozen process to wake; of a dead one, for its burial."""

    def __post_init__(self) -> None:
        self.context.run(PROCESS.set, self)

    def die(self) -> None:
        """Never take another step."""
        if self.is_alive:
            self.is_alive = False
            self.on_death()


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop that never sleeps and has no files, sockets or threads."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._ready: deque[events.Handle] = deque()
        self._scheduled: list[events.TimerHandle] = []
        self.steps = 0
        self.world = copy_context()
        """The context of what belongs to no process: the bus, the vendor, people."""
        self.set_task_factory(_task_of_process)  # type: ignore[arg-type]  # it takes a context where one is given

    def time(self) -> float:
        """The virtual time in seconds; 0 at the start."""
        return self._now

    def later(self, seconds: float, what: Callable[..., object], *arguments: Any) -> events.TimerHandle:
        """Have something happen outside all processes."""
        return self.call_later(seconds, what, *arguments, context=self.world)

    def start(self, process: Process, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Begin work that belongs to a process."""
        return self.create_task(work, name=name, context=process.context)

    def thaw(self, process: Process) -> None:
        """Let a frozen process do all that it has missed."""
        process.is_frozen = False
        if process.is_alive:
            held, process.held = process.held, []
            self._ready.extend(held)

    def run_in_executor(self, executor: object, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # the same to a caller
        """Do it here and now; threads have no place in virtual time."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - the caller's to handle, whatever it is
            future.set_exception(error)
        return future

    def bury(self, processes: list[Process]) -> None:
        """End the tasks of the dead; only when nobody looks at the world any more."""
        self._is_burying = True
        for process in processes:
            self._ready.extend(process.held)
        for _ in range(BURIAL_ROUNDS_MAX):
            left = [task for process in processes for task in process.tasks if not task.done()]
            if not left:
                return
            for task in left:
                task.cancel()
            self.run_until_complete(asyncio.sleep(0.01))
        names = sorted({task.get_name() for task in left})
        raise Spinning(f"{len(left)} tasks of dead processes do not end: {names[:5]}")

    _is_burying = False

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            while scheduled and scheduled[0].cancelled():
                heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]  # as the base class does
            if not scheduled:
                raise NothingLeft("nothing is ready, no timer is set, and the seed has not ended")
            self._now = max(self._now, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]  # as the base class does
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                self._step(handle)

    def _step(self, handle: events.Handle) -> None:
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise Spinning(f"{STEPS_MAX} steps at {self._now:.3f} s and no end")
        context: Context = handle._context  # type: ignore[attr-defined]  # where a handle keeps it
        process = context.get(PROCESS)
        if process is not None and not self._is_burying:
            process.steps += 1
            if process.steps == process.dies_at_step:
                process.die()
            if process.is_frozen or not process.is_alive:
                process.held.append(handle)
                return
        handle._run()

    def _write_to_self(self) -> None:
        """Nobody sleeps, so nobody need be woken."""


def _task_of_process(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], context: Context | None = None
) -> asyncio.Task[T]:
    context = context if context is not None else copy_context()
    task = asyncio.Task(work, loop=loop, context=context)
    process = context.get(PROCESS)
    if process is not None:
        # Held here, or a dead one's task would be collected and its `finally` would run after all.
        process.tasks.append(task)
    else:
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # people and faults end with the seed
    return task
