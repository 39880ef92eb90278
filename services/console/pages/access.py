"""Who may do what here: people, roles, accounts, sessions; reviews of it and their export."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.console.pages.access_view import AccessPage, access_page
from services.console.pages.answers import errors
from services.console.rendering import page
from services.console.visiting import Admin, AuditReader, console_of
from shared.asking.problem import CommandFailed

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["access"])

REVIEWS_MAX: Final = 20
NOTE_CHARACTERS_MIN: Final = 10
COLUMNS: Final = (
    "user", "roles", "duties", "conflict", "signs_with", "account", "has_second_factor", "signed_in_at", "sessions",
)  # fmt: skip

Text = Annotated[str, Form(max_length=500)]


@router.get("/access")
async def access(request: Request, visitor: AuditReader) -> Response:
    """The page."""
    return page(request, "access.html", visitor=visitor, model=await _model(request), first=None)


@router.post("/access/people/{user}/invite")
async def invite(request: Request, visitor: Admin, user: str) -> Response:
    """Make an account, or reset one; the first password is shown this once."""
    password = await console_of(request).accounts.invite(visitor, user)
    return page(request, "access.html", visitor=visitor, model=await _model(request), first=(user, password))


@router.post("/access/people/{user}/close")
async def close(request: Request, visitor: Admin, user: str) -> Response:
    """Close an account; its sessions end."""
    await console_of(request).accounts.set_closed(visitor, user, is_closed=True)
    return RedirectResponse("/access?done=disabled", status_code=303)


@router.post("/access/people/{user}/open")
async def reopen(request: Request, visitor: Admin, user: str) -> Response:
    """Open a closed account."""
    await console_of(request).accounts.set_closed(visitor, user, is_closed=False)
    return RedirectResponse("/access?done=enabled", status_code=303)


@router.post("/access/review")
async def review(request: Request, visitor: AuditReader, digest: Text = "", note: Text = "") -> Response:
    """Record that somebody looked at who may do what, and what they found."""
    console = console_of(request)
    model = await _model(request)
    if digest != model.digest:
        raise CommandFailed(
            "who may do what has changed since the page was shown, so nothing was recorded",
            action="Look at the page again; then record the review.",
        )
    if len(note.strip()) < NOTE_CHARACTERS_MIN:
        raise CommandFailed(
            f"the note has {len(note.strip())} characters, at least {NOTE_CHARACTERS_MIN} are needed",
            action="Say in a sentence what you found and what is to be changed.",
        )
    await console.telling.tell("access_reviewed", actor=visitor, digest=digest, people=str(len(model.people)))
    await console.accounts.store.add_review(
        at=console.clock.now(), by=visitor.user, digest=digest, people=len(model.people), note=note.strip()
    )
    return RedirectResponse("/access?done=reviewed", status_code=303)


@router.get("/access/export.csv")
async def export(request: Request, visitor: AuditReader) -> Response:
    """Who may do what, as a table for a spreadsheet."""
    model = await _model(request)
    await console_of(request).telling.tell("exported", actor=visitor, subject="access", digest=model.digest)
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for one in model.people:
        row = one.model_dump(mode="json")
        table.writerow([_cell(row[name]) for name in COLUMNS])
    headers = {"content-disposition": 'attachment; filename="access.csv"'}
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


@api.get("/access", responses=errors(401, 403))
async def access_as_json(request: Request, visitor: AuditReader) -> AccessPage:
    """Who may do what, with the digest that a review binds."""
    return await _model(request)


async def _model(request: Request) -> AccessPage:
    console = console_of(request)
    accounts = console.accounts
    return access_page(
        accounts.people.all(),
        await accounts.store.accounts(),
        await accounts.store.sessions(),
        await accounts.store.reviews(limit=REVIEWS_MAX),
        now=console.clock.now(),
    )


def _cell(value: object) -> str:
    """A cell; what a spreadsheet would take for a formula is shown as text."""
    text = "; ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
    return f"'{text}" if text[:1] in "=+-@\t\r\n" and text else text
