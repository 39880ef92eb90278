"""Live pages: what changed is rendered once and sent to everybody who looks at it.

The auditor says which runs changed once that is in its database; whatever is watched of these is rendered anew, at
once after quiet and then at most every `PAUSE_SECONDS_MIN`, and put into the hands of its watchers, made once for all
of them. Who is slow gets the newest only. A note that was lost costs at most `LOOK_SECONDS`: then the hub looks by
itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

PAUSE_SECONDS_MIN: Final = 0.1
"""Between two renderings of one topic; the first after a while of quiet is made at once."""
PAUSE_SECONDS_MAX: Final = 0.5
PAUSE_SHARE: Final = 1.0
"""A topic rests so many times as long as its rendering took: however many are busy, half of the time is for pages and
acts."""
HEARTBEAT_SECONDS: Final = 15.0
LOOK_SECONDS: Final = 2.0
WATCHERS_MAX: Final = 500
"""Live pages of one process."""


@dataclass(frozen=True, slots=True)
class Stamped:
    """HTML that counts as changed only when its stamp does."""

    stamp: str
    html: str


Rendered = Mapping[str, str | Stamped]
"""HTML (or text) by the name of the event under which the page takes it."""
Render = Callable[[str], Awaitable[Rendered]]
"""What a topic shows, from what follows the colon of its name."""

log = structlog.get_logger(__name__)


class TooManyWatchers(Exception):
    """This process serves as many live pages as it may."""


@dataclass(frozen=True, slots=True)
class _Event:
    stamp: str
    sent: bytes

    @classmethod
    def of(cls, name: str, data: str | Stamped) -> _Event:
        text, stamp = (data.html, data.stamp) if isinstance(data, Stamped) else (data, data)
        return cls(stamp, _as_sent(name, text))


@dataclass(eq=False)
class _Watcher:
    seen: dict[str, str]
    """Stamps of what the page shows already, by event, until something came under that name."""
    waiting: dict[str, bytes] = field(default_factory=dict)
    bell: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, name: str, event: _Event) -> None:
        """Have something to send; what the page has already would only make it load itself again."""
        if self.seen.pop(name, None) != event.stamp:
            self.waiting[name] = event.sent
            self.bell.set()


@dataclass(eq=False)
class _Topic:
    name: str
    watchers: set[_Watcher] = field(default_factory=set)
    shown: dict[str, _Event] = field(default_factory=dict)
    kept: object = None
    is_stale: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class LiveHub:
    """Every live page of one process."""

    def __init__(self, size: Callable[[], Awaitable[int]]) -> None:
        """`size` tells how long the audit log is: when it grew and no note came, everything is looked at anew."""
        self._size = size
        self._renders: dict[str, Render] = {}
        self._topics: dict[str, _Topic] = {}
        self._seen_size = -1
        self._is_ending = asyncio.Event()

    def renders(self, kind: str, render: Render) -> None:
        """Say what topics `kind` or `kind:…` show."""
        self._renders[kind] = render

    def keep(self, name: str, model: object) -> None:
        """Have what a topic was rendered from at hand, for as long as somebody watches it."""
        if (topic := self._topics.get(name)) is not None:
            topic.kept = model

    def kept(self, name: str) -> object:
        """What the topic was rendered from last; None where nobody watches it, or nothing was kept."""
        topic = self._topics.get(name)
        return None if topic is None else topic.kept

    @property
    def watchers(self) -> int:
        """Live pages now."""
        return sum(len(topic.watchers) for topic in self._topics.values())

    def hear(self, runs: Iterable[str], *, is_all: bool = False) -> None:
        """Take a note: these runs changed, or so many that everything counts as changed."""
        changed = {f"run:{run}" for run in runs}
        for topic in self._topics.values():
            # What is no page of one run may show any of them.
            if is_all or topic.name in changed or not topic.name.startswith("run:"):
                topic.is_stale.set()

    async def watch(
        self, name: str, *, may_go_on: Callable[[], Awaitable[bool]], seen: Mapping[str, str] | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Server-sent events of a topic, the present state first; ends when `may_go_on` says so or the house does.

        `seen` holds, by event, the stamp of what the page shows already.
        `TooManyWatchers` when this process has its fill; KeyError for a topic that nobody renders.
        """
        if self.watchers >= WATCHERS_MAX:
            raise TooManyWatchers
        render = self._renders[name.partition(":")[0]]
        topic = self._topics.setdefault(name, _Topic(name))
        watcher = _Watcher(dict(seen or {}))
        for event, shown in topic.shown.items():
            watcher.take(event, shown)
        topic.watchers.add(watcher)
        if topic.task is None:
            topic.is_stale.set()
            topic.task = asyncio.create_task(self._keep(topic, render), name=f"live {name}")
        try:
            yield b"retry: 1000\n\n"
            while not self._is_ending.is_set():
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await watcher.bell.wait()
                except TimeoutError:
                    if not await may_go_on():
                        yield _as_sent("ended", "")
                        return
                    yield b": still here\n\n"
                    continue
                watcher.bell.clear()
                waiting, watcher.waiting = watcher.waiting, {}
                if waiting:
                    yield b"".join(waiting.values())
        finally:
            topic.watchers.discard(watcher)
            if not topic.watchers:
                self._topics.pop(name, None)
                if topic.task is not None:
                    topic.task.cancel()

    async def run(self) -> None:
        """Look by oneself from time to time, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._topics:
                continue
            try:
                size = await self._size()
            except Exception as error:  # noqa: BLE001 - a page that waits for the database must not end the hub
                log.warning("live_size_unknown", error=type(error).__name__)
                continue
            if size != self._seen_size:
                self._seen_size = size
                self.hear((), is_all=True)

    def end(self) -> None:
        """Let every live page end; browsers come back to whoever serves then."""
        self._is_ending.set()
        for topic in self._topics.values():
            for watcher in topic.watchers:
                watcher.bell.set()

    async def _keep(self, topic: _Topic, render: Render) -> None:
        """Render a topic whenever it is stale, for as long as somebody watches."""
        while True:
            await topic.is_stale.wait()
            topic.is_stale.clear()
            began = time.monotonic()
            try:
                rendered = await render(topic.name.partition(":")[2])
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - told by its kind only: a text may quote a row
                log.error("live_page_failed", topic=topic.name.partition(":")[0], error=type(error).__name__)
                rendered = {}
            for name, data in rendered.items():
                before = topic.shown.get(name)
                if before is not None and before.stamp == (data.stamp if isinstance(data, Stamped) else data):
                    continue
                topic.shown[name] = event = _Event.of(name, data)
                for watcher in topic.watchers:
                    watcher.take(name, event)
            # The watchers' sends stand in the same loop: a pause that begins before them would hide what they take.
            await asyncio.sleep(0)
            pause = PAUSE_SHARE * (time.monotonic() - began)
            await asyncio.sleep(min(max(pause, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX))


def _as_sent(name: str, data: str) -> bytes:
    lines = data.splitlines() or [""]
    return (f"event: {name}\n" + "".join(f"data: {line}\n" for line in lines) + "\n").encode()
