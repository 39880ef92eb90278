"""Schedules: the language of connectors has none, and the page says so; it shows how fresh each connector is."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from services.console.pages.house_reading import connector_rows
from services.console.rendering import page
from services.console.visiting import SignedIn, console_of
from shared.asking.problem import CommandFailed
from shared.errors import NeedsPerson

router = APIRouter()


@router.get("/schedules")
async def show(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The page."""
    try:
        rows = await connector_rows(console_of(request))
    except NeedsPerson as error:
        raise CommandFailed(error.message, action="Correct what the text names.", code=error.code) from None
    return page(request, "schedules.html", visitor=visitor, rows=rows)
