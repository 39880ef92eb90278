"""The NATS client of the house: the library's own, except that a cancellation is never lost in it.

Whoever cancels a task expects it to end. The library swallows some cancellations: `_flush_pending` catches them (a
burst of acknowledgements waits exactly there), and before Python 3.12 `asyncio.wait_for` drops one that arrives
together with the answer. A task that has swallowed its cancellation runs on for ever, and whoever waits for its end
does too. `heeding` says afterwards what the callee kept to itself. And whoever asked something on a connection that is
lost need not wait out the time for an answer that cannot come. And no end of a connection is waited for that does not
come (`BusTransport`). It decides nothing.
"""

import asyncio
import ssl
from collections.abc import Awaitable
from typing import Any, Final, TypeVar
from urllib.parse import ParseResult

import nats.errors
from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, Client, Srv
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport

PASSWORD_REFUSED: Final = "authorization violation"  # noqa: S105 - what the server says, no password
"""As the library hands on what the server says."""
CLOSE_SECONDS_MAX: Final = 2.0
"""How long the other side may take to end an encrypted connection; one that was cut off never does."""

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


class BusTransport(TcpTransport):
    """A connection whose end is waited for only where it comes.

    The library waits for the end of the plain connection after an attempt to encrypt it has failed, which belongs to
    nobody by then: a server with a wrong certificate, or one killed at that moment, would hold a client for ever. And
    asyncio gives the other side half a minute to end an encrypted connection, in which nobody reconnects.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library types this class in part
        self._is_abandoned = False

    def __bool__(self) -> bool:
        # The library puts one of its own in the place of one that was never connected.
        return True

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        """Open the connection, plainly."""
        self._is_abandoned = False
        # An attempt that the server refused leaves its connection open, and the next takes its place.
        self._abort()
        await super().connect(uri, buffer_size, connect_timeout)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        """Encrypt the connection."""
        try:
            await super().connect_tls(uri, ssl_context, buffer_size, connect_timeout)
        except BaseException:
            self._is_abandoned = True
            self._abort()
            raise

    async def wait_closed(self) -> None:
        """Wait until the connection is closed, or close it."""
        if self._is_abandoned:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await super().wait_closed()  # type: ignore[no-untyped-call]
        except TimeoutError:
            self._abort()

    def _abort(self) -> None:
        if self._io_writer is not None:
            self._io_writer.transport.abort()


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

    async def _process_err(self, err_msg: str) -> None:
        if PASSWORD_REFUSED in err_msg and self.is_connected:
            # Said to whom was let in before, it means that the password has been changed. The library would close for
            # good; a password that is read for each attempt (`BusSettings.password`) is another one by then.
            await self._process_op_err(nats.errors.AuthorizationError())
            return
        await super()._process_err(err_msg)

    # These two end the task that reconnects. Going on after `close` it would try for ever, or open a second life.
    async def _connect_to_server(self, s: Srv) -> None:
        if self._transport is None:
            self._transport = BusTransport()
        await heeding(super()._connect_to_server(s))

    async def _process_connect_init(self) -> None:
        await heeding(super()._process_connect_init())
