"""Schedules: what runs by itself and when, four weeks of days, the calendar of the house; pausing and letting go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from services.console.pages.answers import errors
from services.console.pages.house_reading import answered, connector_rows
from services.console.pages.schedules_view import TIMES_ASKED, SchedulesPage, schedules_page, shown_times
from services.console.rendering import page
from services.console.visiting import Operator, SignedIn, Visitor, console_of
from shared.asking.problem import CommandFailed
from shared.errors import NeedsPerson
from shared.events.schedules import NameSchedule, ScheduleQuery

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["schedules"])

REASON_CHARS_MAX: Final = 500
Reason = Annotated[str, Form(min_length=1, max_length=REASON_CHARS_MAX)]


@router.get("/schedules")
async def show(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The page."""
    console = console_of(request)
    try:
        rows = await connector_rows(console)
    except NeedsPerson as error:
        raise CommandFailed(error.message, action="Correct what the text names.", code=error.code) from None
    model = await _page(console, visitor)
    return page(request, "schedules.html", visitor=visitor, model=model, rows=rows, shown_times=shown_times)


@router.post("/schedules/{name}/pause")
async def pause(request: Request, visitor: Operator, name: str, reason: Reason) -> RedirectResponse:
    """Let a connector run by itself no more."""
    async with console_of(request).acting.as_person(visitor) as person:
        await person.pause_schedule(NameSchedule(connector=name, reason=reason))
    return RedirectResponse("/schedules?done=schedule-paused", status_code=303)


@router.post("/schedules/{name}/resume")
async def resume(request: Request, visitor: Operator, name: str, reason: Reason) -> RedirectResponse:
    """Let a connector run by itself again."""
    async with console_of(request).acting.as_person(visitor) as person:
        await person.resume_schedule(NameSchedule(connector=name, reason=reason))
    return RedirectResponse("/schedules?done=schedule-resumed", status_code=303)


@api.get("/schedules", responses=errors())
async def schedules_as_json(request: Request, visitor: SignedIn) -> SchedulesPage:
    """What runs by itself, and when."""
    return await _page(console_of(request), visitor)


async def _page(console: Console, visitor: Visitor) -> SchedulesPage:
    answer, why_not = await answered(
        console, visitor, lambda person: person.schedules(ScheduleQuery(times=TIMES_ASKED))
    )
    return schedules_page(answer, why_not=why_not, now=console.clock.now(), zone=console.templates.zone)
