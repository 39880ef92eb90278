"""Quarantine: records that a run set aside, why, who acts; and the replay that shows if a correction takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from services.console.pages.answers import errors
from services.console.pages.house_reading import answered, reading_of, runs_of
from services.console.pages.quarantine_view import (
    ITEMS_READ_MAX,
    ITEMS_SHOWN,
    ItemsFilter,
    QuarantinePage,
    RunQuarantine,
    quarantine_page,
    run_quarantine,
)
from services.console.rendering import page
from services.console.visiting import Operator, SignedIn, Visitor, console_of
from shared.audit.views import run_view
from shared.events.commands import RequestRun
from shared.events.queries import ITEMS_MAX, QuarantineAnswer, QuarantineItem, QuarantineQuery, RunView

if TYPE_CHECKING:
    from services.console.site import Console
    from shared.asking.client import PersonClient

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["quarantine"])

RUNS_LOOKED_AT: Final = 40
RUN_CHARS_MAX: Final = 64
OFFSET_MAX: Final = 1_000_000
Text = Annotated[str, Query(max_length=100)]
Offset = Annotated[int, Query(ge=0, le=OFFSET_MAX)]


@router.get("/quarantine")
async def show_list(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The runs and connections in quarantine."""
    model = await _page(console_of(request), visitor)
    return page(request, "quarantine.html", visitor=visitor, model=model)


@router.get("/quarantine/{run}")
async def show(
    request: Request, visitor: SignedIn, run: str, code: Text = "", entity: Text = "", field: Text = "",
    offset: Offset = 0,
) -> HTMLResponse:  # fmt: skip
    """What one run set aside."""
    console = console_of(request)
    view = await _view(console, run)
    wanted = ItemsFilter(code=code, entity=entity, field=field)
    answer, why_not = await answered(console, visitor, lambda person: _items(person, run))
    model = None if answer is None else _model(answer, view, wanted, offset)
    return page(
        request, "quarantine_run.html", visitor=visitor, run=view, model=model, why_not=why_not, wanted=wanted,
        offset=offset, limit=ITEMS_SHOWN,
    )  # fmt: skip


@router.post("/quarantine/{run}/replay")
async def replay(request: Request, visitor: Operator, run: str) -> RedirectResponse:
    """Ask for a dry-run of the connector as it is now over the rows that a run read."""
    console = console_of(request)
    view = await _view(console, run)
    async with console.acting.as_person(visitor) as person:
        reply = await person.request_run(RequestRun(connector=view.connector, mode="dry-run", replay_of=run))
    return RedirectResponse(f"/runs/{reply.run}?done=requested" if reply.run else "/runs", status_code=303)


@api.get("/quarantine", responses=errors())
async def quarantine_as_json(request: Request, visitor: SignedIn) -> QuarantinePage:
    """What is in quarantine."""
    return await _page(console_of(request), visitor)


@api.get("/quarantine/{run}", responses=errors(404, 409, 422))
async def run_quarantine_as_json(
    request: Request, visitor: SignedIn, run: str, code: Text = "", entity: Text = "", field: Text = "",
    offset: Offset = 0,
) -> RunQuarantine:  # fmt: skip
    """What one run set aside, without values; at most 100 items from the offset on."""
    console = console_of(request)
    view = await _view(console, run)
    async with console.acting.as_person(visitor) as person:
        answer = await _items(person, run)
    return _model(answer, view, ItemsFilter(code=code, entity=entity, field=field), offset)


def _model(answer: QuarantineAnswer, view: RunView, wanted: ItemsFilter, offset: int) -> RunQuarantine:
    return run_quarantine(answer, connector=view.connector, wanted=wanted, offset=offset, limit=ITEMS_SHOWN)


async def _page(console: Console, visitor: Visitor) -> QuarantinePage:
    lookups = console.records.lookups
    views = await runs_of(lookups, None, limit=RUNS_LOOKED_AT)
    runs = [(view, await reading_of(lookups, view)) for view in views]
    health, why_not = await answered(console, visitor, lambda person: person.health())
    return quarantine_page(runs, connections=None if health is None else health.quarantined, why_not=why_not)


async def _view(console: Console, run: str) -> RunView:
    lookups = console.records.lookups
    stored = await lookups.run(run) if len(run) <= RUN_CHARS_MAX else None
    if stored is None:
        raise HTTPException(404, f"There is no run {run[:RUN_CHARS_MAX]!r}; the page Runs lists those there are.")
    return await run_view(stored, lookups, 0)


async def _items(person: PersonClient, run: str) -> QuarantineAnswer:
    """The run's items, page by page, up to what is searched."""
    items: list[QuarantineItem] = []
    while True:  # bounded by ITEMS_READ_MAX
        answer = await person.quarantine(QuarantineQuery(run=run, offset=len(items), limit=ITEMS_MAX))
        items += answer.items
        if not answer.items or len(items) >= min(answer.total, ITEMS_READ_MAX):
            return answer.model_copy(update={"items": tuple(items)})
