"""Serving a simulated vendor over real sockets, with a wire that can be cut without an answer.

uvicorn has no way to close a connection unanswered, so its protocol is extended by one hook: each request's ASGI scope
carries a `Wire` that can reset the socket (RST, not a polite end) or hold the answer back. Stopping the server releases
every held answer, so a withheld request never delays the end of the process.
"""

import asyncio
import contextlib
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulators.kit.lines import replace_atomically

WIRE = "simulators.wire"
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 5
KEEP_ALIVE_SECONDS = 75
BACKLOG_CONNECTIONS_MAX = 2_048


class Wire:
    """The connection under one request."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._released = asyncio.Event()

    def cut(self) -> None:
        """Reset the connection at once; nothing still unsent leaves."""
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            # Lingering for zero seconds turns the close into a reset.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def hold(self, receive: Receive, *, seconds: float) -> None:
        """Wait until the time is over, the client has left or the server stops, whichever is first."""
        ends = [asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._released.wait())]
        try:
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    def release(self) -> None:
        """End a hold now."""
        self._released.set()


def wire_of(scope: Scope) -> Wire:
    """Find the wire under a request."""
    wire = scope.get("extensions", {}).get(WIRE)
    if not isinstance(wire, Wire):
        raise RuntimeError("no wire under this request: serve the simulator with simulators.kit.serve")
    return wire


class VendorServer(uvicorn.Server):
    """A uvicorn server that says when it is ready and lets go of held answers when it stops."""

    def __init__(self, config: uvicorn.Config, *, ready: threading.Event, ready_file: Path | None = None) -> None:
        super().__init__(config)
        self._ready = ready
        self._ready_file = ready_file

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then tell whoever waits."""
        await super().startup(sockets=sockets)
        if self._ready_file is not None and sockets:
            replace_atomically(self._ready_file, address_of(sockets[0]))
        self._ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Release every held answer, then stop as uvicorn does."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, _WiredProtocol):
                connection.wire.release()
        await super().shutdown(sockets=sockets)


def serve(app: ASGIApp, *, host: str, port: int, ready_file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT; both are a clean end."""
    listener = socket.create_server((host, port), backlog=BACKLOG_CONNECTIONS_MAX)
    server = VendorServer(_config(app), ready=threading.Event(), ready_file=ready_file)
    # uvicorn raises the signal again once it has stopped; asked to stop and stopped is no failure here.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _already_stopped)
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve from a thread on a free port of this machine and yield the base address; for tests and demonstrations."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG_CONNECTIONS_MAX)
    ready = threading.Event()
    server = VendorServer(_config(app), ready=ready)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulator", daemon=True)
    url = str(address_of(listener)["url"])
    thread.start()
    try:
        if not ready.wait(START_SECONDS_MAX):
            raise TimeoutError(f"the simulator at {url} did not start within {START_SECONDS_MAX:.0f} s")
        yield url
    finally:
        server.should_exit = True
        thread.join(START_SECONDS_MAX)
        listener.close()
        if thread.is_alive():
            raise TimeoutError(f"the simulator at {url} did not stop within {START_SECONDS_MAX:.0f} s")


def address_of(listener: socket.socket) -> dict[str, object]:
    """Describe where a listener listens: url, port and the process behind it."""
    host, port = listener.getsockname()[:2]
    return {"url": f"http://{host}:{port}", "port": port, "pid": os.getpid()}


class _WiredProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a `Wire` in every request's scope."""

    wire: Wire

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        wire = self.wire = Wire(transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # asyncio forgets this for listeners made by socket.create_server, and each answer would then wait 40 ms
            # for the client's delayed acknowledgement.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        inner = cast(ASGIApp, self.app)

        async def wired(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[WIRE] = wire
            await inner(scope, receive, send)

        self.app = wired


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_WiredProtocol,
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS_MAX,
        backlog=BACKLOG_CONNECTIONS_MAX,
    )


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _already_stopped(number: int, frame: FrameType | None) -> None:
    """Take the signal uvicorn raises again after its clean end, and do nothing."""
