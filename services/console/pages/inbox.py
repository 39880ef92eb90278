"""The inbox: what needs a person now, the most urgent first; and how fresh each connector is where nothing does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import structlog
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from services.console.pages.answers import errors
from services.console.pages.inbox_view import (
    InboxPage,
    counts_of,
    credential_items,
    for_visitor,
    freshness,
    health_items,
    inbox_page,
    schedule_items,
    stamp_of_items,
)
from services.console.pages.runs_reading import recent_views, record_needs
from services.console.rendering import page
from services.console.streaming import SEEN_CHARS_MAX, live_answer
from services.console.visiting import SignedIn, Visitor, console_of
from shared.asking.problem import CommandFailed
from shared.events.operating import CredentialList
from shared.events.queries import HealthAnswer
from shared.events.schedules import ScheduleList, ScheduleQuery

if TYPE_CHECKING:
    from services.console.site import Console

AnswerT = TypeVar("AnswerT")

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["inbox"])

HEALTH_SECONDS_MAX: Final = 1.5
"""How long the page waits for the health of the house; without it the list says so."""

log = structlog.get_logger(__name__)


@router.get("/")
async def show(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The page."""
    return page(request, "inbox.html", visitor=visitor, model=await _inbox(console_of(request), visitor))


@router.get("/live/inbox")
async def watch(
    request: Request, _: SignedIn, changed: Annotated[str, Query(max_length=SEEN_CHARS_MAX)] = ""
) -> StreamingResponse:
    """That the list has changed, and how many of each kind there are; `changed` is the stamp that the page has."""
    return live_answer(request, "inbox", seen={"changed": changed})


@api.get("/inbox", responses=errors())
async def inbox_as_json(request: Request, visitor: SignedIn) -> InboxPage:
    """What needs a person, as this visitor meets it."""
    return await _inbox(console_of(request), visitor)


async def _inbox(console: Console, visitor: Visitor) -> InboxPage:
    views = await recent_views(console.records.lookups)
    recorded = await record_needs(console.records.lookups, views, now=console.clock.now())
    health, credentials, schedules = await _asked(console, visitor)
    items = (
        *recorded,
        *health_items(health),
        *credential_items(credentials, console.clock.now()),
        *schedule_items(schedules),
    )
    fresh = freshness(views, console.definitions.names())
    return inbox_page(for_visitor(items, visitor), fresh=fresh, stamp=stamp_of_items(recorded))


async def _asked(
    console: Console, visitor: Visitor
) -> tuple[HealthAnswer | None, CredentialList | None, ScheduleList | None]:
    """How the house is, asked as the visitor; None for what nobody answers in time."""
    try:
        async with asyncio.timeout(2 * HEALTH_SECONDS_MAX), console.acting.as_person(visitor) as person:
            return await asyncio.gather(
                _in_time(person.health()),
                _in_time(person.credentials()),
                _in_time(person.schedules(ScheduleQuery(times=1))),
            )
    except (CommandFailed, TimeoutError) as error:
        log.warning("inbox_without_health", error=type(error).__name__)
        return None, None, None


async def _in_time(asked: Awaitable[AnswerT]) -> AnswerT | None:
    try:
        async with asyncio.timeout(HEALTH_SECONDS_MAX):
            return await asked
    except (CommandFailed, TimeoutError) as error:
        log.warning("inbox_without_health", error=type(error).__name__)
        return None


def live(console: Console) -> None:
    """Register what live inboxes are sent: the same for everybody."""

    async def render(_: str) -> Mapping[str, str]:
        lookups = console.records.lookups
        items = await record_needs(lookups, await recent_views(lookups), now=console.clock.now())
        counts = console.templates.render("_inbox_told.html", counts=counts_of(items))
        return {"told": counts, "changed": stamp_of_items(items)}

    console.live.renders("inbox", render)
