"""Measures how long each route takes to begin its answer, and tells browsers too.

Plain ASGI around the application: what it passes on, live pages above all, goes through no queue of its own.
"""

from __future__ import annotations

import time
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.telemetry.families import histogram

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Measured:
    """The application with a stopwatch."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        self._seconds = histogram("aether_console_request_seconds", registry, buckets=SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def measured_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                elapsed = time.perf_counter() - began
                # Known by now: the application has found its way to it, or there is none.
                name = getattr(scope.get("route"), "path", "none")
                self._seconds.labels(name, f"{message['status'] // 100}xx").observe(elapsed)
                MutableHeaders(scope=message)["server-timing"] = f"app;dur={elapsed * 1000:.1f}"
            await send(message)

        await self._app(scope, receive, measured_send)
