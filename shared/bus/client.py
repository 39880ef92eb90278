"""The NATS client of the house: the library's own, except that a cancellation is never lost in it.

Whoever cancels a task expects it to end. The library swallows some cancellations: `_flush_pending` catches them (a
burst of acknowledgements waits exactly there), and before Python 3.12 `asyncio.wait_for` drops one that arrives
together with the answer. A task that has swallowed its cancellation runs on for ever, and whoever waits for its end
does too. `heeding` says afterwards what the callee kept to itself. And whoever asked something on a connection that is
lost need not wait out the time for an answer that cannot come. It decides nothing.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import nats.errors
from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, Client, Srv
from nats.aio.msg import Msg

T = TypeVar("T")


async def heeding(work: Awaitable[T]) -> T:
    """Await `work`; CancelledError when this task was cancelled meanwhile, even if the work hid that.

    A cancellation that was taken back (`Task.uncancel`, as `asyncio.timeout` does with its own) does not count. What
    the work returned or raised instead is lost, as it is with every cancellation.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a cancellation can only be heeded inside a task")
    before = task.cancelling()
    try:
        result = await work
    except Exception:
        if task.cancelling() > before:
            raise asyncio.CancelledError from None
        raise
    if task.cancelling() > before:
        raise asyncio.CancelledError
    return result


class BusClient(Client):
    """A client whose calls end when their task is cancelled; so do its own tasks when it is closed."""

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,  # noqa: ASYNC109 - the library's signature
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """Ask and wait for the answer."""
        return await heeding(super().request(subject, payload, timeout, old_style, headers))

    async def flush(self, timeout: int = DEFAULT_FLUSH_TIMEOUT) -> None:  # noqa: ASYNC109 - the library's signature
        """Wait until the server has all that was written so far."""
        await heeding(super().flush(timeout))

    # Every publish, subscribe, unsubscribe and acknowledgement comes through here.
    async def _flush_pending(self, force_flush: bool = False) -> None:
        await heeding(super()._flush_pending(force_flush))

    async def _attempt_reconnect(self) -> None:
        # To the asker it is what it was before, a question without an answer; only sooner.
        for waiting in list(self._resp_map.values()):
            if not waiting.done():
                waiting.set_exception(nats.errors.TimeoutError())
                waiting.exception()  # an asker who gave up meanwhile must not leave a complaint behind
        await super()._attempt_reconnect()

    # These two end the task that reconnects. Going on after `close` it would try for ever, or open a second life.
    async def _connect_to_server(self, s: Srv) -> None:
        await heeding(super()._connect_to_server(s))

    async def _process_connect_init(self) -> None:
        await heeding(super()._process_connect_init())
