"""Answers with a live stream: one topic of the hub, as server-sent events, for as long as its visitor is signed in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final

from fastapi import Request
from fastapi.responses import StreamingResponse

from services.console.live import WATCHERS_MAX, TooManyWatchers
from services.console.visiting import console_of

SEEN_CHARS_MAX: Final = 64
_HEADERS: Final = {"x-accel-buffering": "no"}
"""A proxy that gathers answers before it hands them on would make a live page a late one."""


def live_answer(request: Request, topic: str, *, seen: Mapping[str, str]) -> StreamingResponse:
    """The events of a topic; `TooManyWatchers` before anything is sent.

    `seen` holds, by event, the stamp of what the page shows already: the stream begins with the present state, and what
    the page has would only make it load itself again.
    """
    console = console_of(request)
    if console.live.watchers >= WATCHERS_MAX:
        raise TooManyWatchers
    cookie = request.cookies.get(console.cookie_name, "")

    async def may_go_on() -> bool:
        # Not a use of the session: an open page keeps nobody signed in.
        open_now: bool = await console.accounts.is_open(cookie)
        return open_now

    events = console.live.watch(topic, may_go_on=may_go_on, seen=seen)
    return StreamingResponse(_closing(events), media_type="text/event-stream", headers=_HEADERS)


async def _closing(events: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The events, and the hub hears of the end however the page goes away."""
    async with aclosing(events):
        async for part in events:
            yield part
