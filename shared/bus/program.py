"""Running a service: start the broker, serve its admin port, tell that it is ready, and drain when asked to end.

The admin port has /livez (the event loop turns), /readyz (the service takes work) and /metrics. It decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from shared.bus.broker import BusBroker
from shared.settings import ServiceSettings
from shared.telemetry.program import tell_program
from shared.telemetry.tracing import flush

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 16.0
"""How long after the signal to end the service's work may take: what runs beside the handlers and they themselves."""
COLLECT_AFTER_OBJECTS = 200_000
"""New objects after which the collector looks for cycles among them; some hundred megabytes at most."""
LEAVE_SECONDS = 2.0
"""How long leaving the bus may take at least, if the work took all of its time."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def run_program(
    broker: BusBroker,
    settings: ServiceSettings,
    registry: CollectorRegistry,
    *,
    is_ready: Callable[[], bool] = lambda: True,
    beside: Callable[[], Awaitable[None]] | None = None,
    tells: Mapping[str, str] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT; `beside` is work of the service that does not come as messages to handlers.

    `tells` stands in the ready file beside the admin address.

    When `beside` ends or fails, the program ends: half a service is worse than none.
    """
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    tell_program(registry, service=broker.service, places=settings.places())
    await broker.start()
    # Plans and pages are many small objects without cycles; looking for cycles after every 700 of them takes longer
    # than making them. What was imported stays for good and is looked at no more.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 50, 50)
    started = True

    def ready() -> bool:
        return started and not ending.is_set() and broker.is_connected and is_ready()

    server = _AdminServer(
        uvicorn.Config(
            _admin_app(ready, registry),
            host=settings.admin_host,
            port=settings.admin_port,
            log_level="warning",
            lifespan="off",
            ws="none",
        )
    )
    serving = asyncio.create_task(server.serve(), name="admin")
    working = asyncio.create_task(_forever(beside), name="beside")
    waiting = asyncio.create_task(ending.wait(), name="ending")
    try:
        await _say_ready(server, serving, settings, broker.service, tells or {})
        await asyncio.wait({serving, working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        log.info("service_ends", service=broker.service)
    finally:
        ending.set()
        if settings.ready_file is not None:
            settings.ready_file.unlink(missing_ok=True)
        waiting.cancel()
        # What runs beside the handlers ends while the bus is still there to end it properly.
        working.cancel()
        deadline = loop.time() + DRAIN_SECONDS
        await asyncio.wait({working}, timeout=DRAIN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(max(deadline, loop.time() + LEAVE_SECONDS)):
                await broker.stop()
        server.should_exit = True
        if not await asyncio.to_thread(flush, broker.traces):
            log.warning("traces_not_flushed", service=broker.service)
        ended, running = await asyncio.wait({serving, working}, timeout=LEAVE_SECONDS)
        for task in running:
            log.error("service_part_does_not_end", service=broker.service, part=task.get_name())
        for task in ended:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


async def _forever(work: Callable[[], Awaitable[None]] | None) -> None:
    if work is None:
        await asyncio.Event().wait()
    else:
        await work()


class _AdminServer(uvicorn.Server):
    """A server that leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    @property
    def port(self) -> int:
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port


async def _say_ready(
    server: _AdminServer,
    serving: asyncio.Task[None],
    settings: ServiceSettings,
    service: str,
    tells: Mapping[str, str],
) -> None:
    while not server.started:
        if serving.done():
            await serving
            raise RuntimeError(f"the admin port {settings.admin_host}:{settings.admin_port} could not be opened")
        await asyncio.sleep(0.01)
    url = f"http://{settings.admin_host}:{server.port}"
    log.info("service_ready", service=service, url=url)
    if settings.ready_file is not None:
        known = {"service": service, "admin_url": url, "pid": os.getpid()}
        _replace(settings.ready_file, json.dumps({**tells, **known}))


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _admin_app(
    ready: Callable[[], bool], registry: CollectorRegistry
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        accept = b",".join(value for name, value in scope["headers"] if name == b"accept").decode("latin-1")
        status, body, kind = _answer(scope["path"], ready, registry, accept=accept)
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind.encode())]})
        await send({"type": "http.response.body", "body": body})

    return app


def _answer(
    path: str, ready: Callable[[], bool], registry: CollectorRegistry, *, accept: str
) -> tuple[int, bytes, str]:
    plain = "text/plain; charset=utf-8"
    match path:
        case "/livez":
            return 200, b"alive\n", plain
        case "/readyz":
            return (
                (200, b"ready\n", plain)
                if ready()
                else (503, b"not ready: no connection to the bus, or ending\n", plain)
            )
        case "/metrics":
            # Only the form of OpenMetrics has exemplars, which name traces; Prometheus asks for it.
            encode, kind = choose_encoder(accept)
            return 200, encode(registry), kind
        case _:
            return 404, b"there are /livez, /readyz and /metrics\n", plain
