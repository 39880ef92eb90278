"""Child processes of the embedded stack: start, wait until ready, stop, and bring back what died.

A child dies with this process, leads a session of its own (so that Ctrl-C in a terminal reaches only us, who then stop
the children in order) and writes to its own log. Start children from the main thread: on Linux a child is told to
stop when the thread that started it ends.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.children import die_with_parent

POLL_SECONDS = 0.02
STOP_SECONDS_MAX = 20.0
"""How long a service may drain; then it is killed, which it must survive anyway."""
RESTART_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Before the first, second, … restart in a row; the last one repeats."""
RESTARTS_MAX = 12
"""Restarts in a row; after them the child is given up."""
SETTLED_SECONDS = 60.0
"""A child that ran this long starts again with a short pause."""
LOG_TAIL_CHARACTERS = 2_000


class ChildFailed(Exception):
    """A child ended or did not become ready; the message quotes the end of its log."""


@dataclass(slots=True)
class Child:
    """One program, with its environment, its log and the file in which it says that it is ready."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    ready_file: Path
    stays_down: bool = False
    """Whether it is left alone when it is not running."""
    restarts: int = 0
    """In a row."""
    _process: subprocess.Popen[bytes] | None = None
    _started_at: float = 0.0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start it; a no-op while it runs."""
        if self.pid is not None:
            return
        self.ready_file.unlink(missing_ok=True)
        self.stays_down = False
        self._started_at = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs
                list(self.arguments),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509 - calls nothing but prctl, looked up before the fork
            )

    def ready(self) -> dict[str, Any] | None:
        """What it wrote into its ready file since it was started, once it has."""
        try:
            document = json.loads(self.ready_file.read_bytes())
        except (OSError, ValueError):
            return None
        is_own = isinstance(document, dict) and document.get("pid") == self.pid and self.pid is not None
        return document if is_own else None

    async def wait_ready(self, *, seconds_max: float) -> dict[str, Any]:
        """Wait until it is ready; `ChildFailed` when it ends before or takes too long."""
        deadline = time.monotonic() + seconds_max
        while (document := self.ready()) is None:
            if self.pid is None:
                code = self._process.returncode if self._process is not None else "never started"
                raise ChildFailed(f"{self.name} ended while starting ({code}); its log ends: {self.log_tail()}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} was not ready after {seconds_max:g} s; its log ends: {self.log_tail()}")
            await asyncio.sleep(POLL_SECONDS)
        return document

    def ask_to_stop(self) -> None:
        """Send SIGTERM: it drains and ends."""
        self._signal(signal.SIGTERM)

    def kill(self, *, stays_down: bool) -> None:
        """End it as a crash would."""
        self.stays_down = stays_down
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    async def stop(self) -> None:
        """Ask it to stop, insist after a while, and wait until it is gone."""
        self.stays_down = True
        self.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while self.pid is not None:
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
                deadline = float("inf")
            await asyncio.sleep(POLL_SECONDS)
        self.ready_file.unlink(missing_ok=True)

    def pause_before_restart(self) -> float | None:
        """How long to wait before bringing it back; None when it is given up."""
        if time.monotonic() - self._started_at > SETTLED_SECONDS:
            self.restarts = 0
        if self.restarts >= RESTARTS_MAX:
            return None
        pause = RESTART_PAUSES_SECONDS[min(self.restarts, len(RESTART_PAUSES_SECONDS) - 1)]
        self.restarts += 1
        return pause

    def log_tail(self) -> str:
        """The end of its log, for a message."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:].strip() or "(empty)"
        except OSError:
            return "(no log)"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


@asynccontextmanager
async def asked_to_stop() -> AsyncIterator[asyncio.Event]:
    """An event that Ctrl-C or SIGTERM sets while the block runs."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
