"""The server: it listens in a thread of its own, and ends with everything it has opened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from simulators.kit.staging import Stage
from simulators.kit.switches import Switchboard
from simulators.tds.certificate import certificate_files
from simulators.tds.connection import Connection
from simulators.tds.faults import Faults
from simulators.tds.house import House, TdsSwitches
from simulators.tds.store import TdsStore
from simulators.tds.wire import Wire

START_SECONDS_MAX: Final = 30.0
CONNECTIONS_MAX: Final = 200
BACKLOG_CONNECTIONS_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TdsConfig:
    """One simulated SQL Server: from a seed, or from a folder written before."""

    seed: Any = None
    """Schema and rows, as README.md describes them."""
    store: Path | None = None
    """The folder with the files; with a seed they are made there, without a folder in a temporary one."""
    schema_file: Path | None = None
    """The schema, when it does not lie in the folder."""
    host: str = "127.0.0.1"
    port: int = 0
    switches: TdsSwitches = field(default_factory=TdsSwitches)
    stage: Stage = field(default_factory=Stage)
    """Only its clock is used."""


class TdsServer:
    """A running server."""

    def __init__(self, house: House, listener: socket.socket) -> None:
        self.house = house
        self.host, self.port = listener.getsockname()[:2]
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._connections: set[asyncio.Task[None]] = set()
        self._context: ssl.SSLContext | None = None
        self._ready = threading.Event()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._serve, name="simulators.tds", daemon=True)

    @property
    def faults(self) -> Faults:
        """Where tests arm what goes wrong."""
        return self.house.faults

    @property
    def store(self) -> TdsStore:
        """The rows."""
        return self.house.store

    @property
    def violations(self) -> list[dict[str, Any]]:
        """What clients did that a read-only login may not."""
        return list(self.house.violations)

    @property
    def certificate_file(self) -> Path:
        """The certificate the server shows, for clients that check it."""
        return certificate_files(self.house.store.folder)[0]

    def start(self) -> None:
        """Listen; returns once clients can connect."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS_MAX):
            raise TimeoutError(f"the TDS server on port {self.port} did not start within {START_SECONDS_MAX:.0f} s")

    def stop(self) -> None:
        """End all connections and the thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(START_SECONDS_MAX)
        if self._thread.is_alive():
            raise TimeoutError(f"the TDS server on port {self.port} did not stop within {START_SECONDS_MAX:.0f} s")

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._until_stopped())
        finally:
            self._loop.close()

    async def _until_stopped(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listener)
        self._ready.set()
        await self._stopping.wait()
        server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        if len(self._connections) >= CONNECTIONS_MAX:
            wire.reset()
            return
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        with contextlib.suppress(asyncio.CancelledError):
            await Connection(self.house, wire, tls=self._tls).serve()

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            # TDS 7.x wraps the handshake in its own packets, and TLS 1.3 goes on shaking hands after it.
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_TICKET
            certificate, key = certificate_files(self.house.store.folder)
            context.load_cert_chain(certificate, key)
            self._context = context
        return self._context


@contextlib.contextmanager
def serving_tds(config: TdsConfig) -> Iterator[TdsServer]:
    """Serve from a thread until the block ends; port 0 takes a free port."""
    with contextlib.ExitStack() as stack:
        folder = config.store
        if folder is None:
            if config.seed is None:
                raise ValueError("a TDS server needs a seed or a folder that was made from one")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="simulators-tds-")))
        if config.seed is not None:
            store = TdsStore.create(folder, config.seed)
        else:
            store = TdsStore.open(folder, config.schema_file)
        house = House(store=store, switchboard=Switchboard(config.switches), clock=config.stage.clock)
        listener = socket.create_server((config.host, config.port), backlog=BACKLOG_CONNECTIONS_MAX)
        stack.callback(listener.close)
        server = TdsServer(house, listener)
        server.start()
        stack.callback(server.stop)
        yield server


def address_of(server: TdsServer) -> dict[str, object]:
    """Describe where a server listens."""
    return {"host": server.host, "port": server.port, "pid": os.getpid()}
