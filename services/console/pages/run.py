"""The page of one run: where it stands, live; what became of each part of it; and what an operator may ask for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from services.console.charts import Part, compared_bar, stacked_bar
from services.console.live import Rendered, Stamped
from services.console.pages.answers import errors
from services.console.pages.run_view import ActName, PhaseLine, RunPage, acts_of
from services.console.pages.runs_reading import run_page_of, run_view_of
from services.console.rendering import duration, page
from services.console.streaming import SEEN_CHARS_MAX, live_answer
from services.console.visiting import Operator, SignedIn, Visitor, console_of
from shared.events.commands import NameRun, Reply
from shared.events.queries import RunView
from shared.ids import is_run_id
from shared.run.states import RunStatus, is_terminal

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["runs"])

REASON_CHARS_MIN: Final = 3
REASON_CHARS_MAX: Final = 500
NEW_SECONDS: Final = 120
"""So long after the moment in its id a run that the record does not hold counts as not recorded yet."""
SPREAD_MS_EACH: Final = 8
SPREAD_MS_MAX: Final = 3_000
"""Live pages do not all ask for their acts in the same moment: each adds as much as one answer takes."""
ACTS_ID: Final = "acts"
"""Of the part of the page that differs from person to person, and so is asked for and not sent."""
_DONE: Final[Mapping[ActName, str]] = {
    "pause": "paused", "resume": "resumed", "cancel": "cancelled", "retry": "retried",
}  # fmt: skip

Seen = Annotated[str, Query(max_length=SEEN_CHARS_MAX)]


class ActRequest(BaseModel):
    """Body of an act upon a run."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    reason: str = Field(min_length=REASON_CHARS_MIN, max_length=REASON_CHARS_MAX)
    """Why, in a sentence; it is kept in the audit log with the name of who asked."""


# --- pages ----------------------------------------------------------------------------------------------------------


@router.get("/runs/{run}")
async def show(request: Request, visitor: SignedIn, run: str) -> HTMLResponse:
    """The page; its acts alone where these ask for themselves, because the run has moved on."""
    console = console_of(request)
    spread = _place_in(min(SPREAD_MS_EACH * (console.live.watchers + 1), SPREAD_MS_MAX), request.state.nonce)
    context: dict[str, Any] = {"spread": spread, "may_act": visitor.has("operator")}
    if request.headers.get("hx-target") == ACTS_ID:
        # What all open pages were just sent is read once for all of them.
        kept = console.live.kept(f"run:{_checked(run)}")
        view = kept.run if isinstance(kept, RunPage) else await run_view_of(console.records.lookups, run)
        if view is not None:
            return page(request, "_run_acts.html", visitor=visitor, **context, **_acts_shown(view, console.clock.now()))
    model = await run_page_of(console.records.lookups, _checked(run), clock=console.clock)
    if model is None:
        if not _is_new(run, console.clock.now()):
            raise HTTPException(404, f"The record holds no run {run}.")
        return page(request, "run_awaited.html", visitor=visitor, run=run)
    context |= {"run": model.run, "acts": model.acts, "has_ended": model.has_ended}
    return page(request, "run.html", visitor=visitor, **context, **shown(model))


@router.get("/live/runs/{run}")
async def watch(request: Request, _: SignedIn, run: str, state: Seen = "", facts: Seen = "") -> StreamingResponse:
    """The page's live parts; `state` and `facts` are the stamps that the page has."""
    seen = {name: stamp for name, stamp in (("state", state), ("facts", facts)) if stamp}
    return live_answer(request, f"run:{_checked(run)}", seen=seen)


@router.post("/runs/{run}/pause")
async def pause(request: Request, visitor: Operator, run: str, reason: Annotated[str, Form()] = "") -> Response:
    """Ask for a pause."""
    return await _done(request, visitor, "pause", run, reason)


@router.post("/runs/{run}/resume")
async def resume(request: Request, visitor: Operator, run: str, reason: Annotated[str, Form()] = "") -> Response:
    """Ask that it go on."""
    return await _done(request, visitor, "resume", run, reason)


@router.post("/runs/{run}/cancel")
async def cancel(request: Request, visitor: Operator, run: str, reason: Annotated[str, Form()] = "") -> Response:
    """Ask that it end."""
    return await _done(request, visitor, "cancel", run, reason)


@router.post("/runs/{run}/retry")
async def retry(request: Request, visitor: Operator, run: str, reason: Annotated[str, Form()] = "") -> Response:
    """Ask for a run that tries again what failed."""
    return await _done(request, visitor, "retry", run, reason)


async def _done(request: Request, visitor: Visitor, name: ActName, run: str, reason: str) -> Response:
    reply = await ask(console_of(request), visitor, name, _checked(run), _reason(reason))
    return RedirectResponse(f"/runs/{reply.run or run}?done={_DONE[name]}", status_code=303)


# --- the same as JSON -----------------------------------------------------------------------------------------------


@api.get("/runs/{run}", responses=errors(404, 422))
async def run_as_json(request: Request, _: SignedIn, run: str) -> RunPage:
    """One run: what its page shows."""
    console = console_of(request)
    model = await run_page_of(console.records.lookups, _checked(run), clock=console.clock)
    if model is None:
        raise HTTPException(404, f"the record holds no run {run}")
    return model


@api.post("/runs/{run}/pause", responses=errors(403, 404, 409, 422))
async def pause_by_api(request: Request, visitor: Operator, run: str, asked: ActRequest) -> Reply:
    """Ask that a run stop at its next change and wait."""
    return await ask(console_of(request), visitor, "pause", _checked(run), _reason(asked.reason))


@api.post("/runs/{run}/resume", responses=errors(403, 404, 409, 422))
async def resume_by_api(request: Request, visitor: Operator, run: str, asked: ActRequest) -> Reply:
    """Ask that a paused run go on."""
    return await ask(console_of(request), visitor, "resume", _checked(run), _reason(asked.reason))


@api.post("/runs/{run}/cancel", responses=errors(403, 404, 409, 422))
async def cancel_by_api(request: Request, visitor: Operator, run: str, asked: ActRequest) -> Reply:
    """Ask that a run end."""
    return await ask(console_of(request), visitor, "cancel", _checked(run), _reason(asked.reason))


@api.post("/runs/{run}/retry", responses=errors(403, 404, 409, 422))
async def retry_by_api(request: Request, visitor: Operator, run: str, asked: ActRequest) -> Reply:
    """Ask that what failed in an ended run be tried again; the reply names the new run."""
    return await ask(console_of(request), visitor, "retry", _checked(run), _reason(asked.reason))


async def ask(console: Console, visitor: Visitor, name: ActName, run: str, reason: str) -> Reply:
    """One act upon a run, as the visitor; `CommandFailed` when it is refused."""
    command = NameRun(run=run, reason=reason)
    async with console.acting.as_person(visitor) as person:
        match name:
            case "pause":
                return await person.pause(command)
            case "resume":
                return await person.resume(command)
            case "cancel":
                return await person.cancel(command)
            case "retry":
                return await person.retry(command)


# --- live -----------------------------------------------------------------------------------------------------------


def live(console: Console) -> None:
    """Register what live pages of a run are sent."""

    async def render(run: str) -> Rendered:
        model = await run_page_of(console.records.lookups, run, clock=console.clock)
        if model is None:
            return {}
        console.live.keep(f"run:{run}", model)
        context = shown(model)
        pieces: dict[str, str | Stamped] = {
            name: console.templates.render(f"_run_{name}.html", **context) for name in ("head", "counts", "phases")
        }
        facts = Stamped(model.facts_stamp, console.templates.render("_run_facts.html", **context))
        return pieces | {"facts": facts, "state": model.acts_stamp}

    console.live.renders("run", render)


def shown(model: RunPage) -> dict[str, Any]:
    """What the templates of a run take: the model and its bars."""
    parts = [Part(line.kind, line.name.replace("_", " "), float(line.number)) for line in model.counts]
    largest = max((max(line.seconds or 0.0, line.usual_seconds or 0.0) for line in model.phases), default=0.0)
    return {
        "model": model,
        "counts_bar": stacked_bar(parts, title=f"Of {model.planned:,} changes"),
        "phase_bars": [_phase_bar(line, largest) for line in model.phases],
    }


def _acts_shown(view: RunView, now: datetime) -> dict[str, Any]:
    return {"run": view, "acts": acts_of(view, now=now), "has_ended": is_terminal(RunStatus(view.status))}


def _phase_bar(line: PhaseLine, largest: float) -> str:
    if line.seconds is None:
        return ""
    usual = f", usually {duration(line.usual_seconds)}" if line.usual_seconds is not None else ""
    is_slow = line.usual_seconds is not None and line.seconds > 2 * max(line.usual_seconds, 1.0)
    title = f"{line.status.replace('_', ' ')}: {duration(line.seconds)}{usual}"
    return compared_bar(
        line.seconds, line.usual_seconds, largest=largest, title=title, kind="warn" if is_slow else "info"
    )


# --- asked for ------------------------------------------------------------------------------------------------------


def _checked(run: str) -> str:
    if not is_run_id(run):
        raise HTTPException(404, f"{run[:60]!r} is no run id; ids look like 20261122T083455-4k7zq2.")
    return run


def _reason(text: str) -> str:
    reason = " ".join(text.split())
    if not REASON_CHARS_MIN <= len(reason) <= REASON_CHARS_MAX:
        raise HTTPException(
            422,
            f"The reason has {len(reason)} characters, {REASON_CHARS_MIN} to {REASON_CHARS_MAX} are needed; "
            "say in a sentence why, it is kept in the audit log.",
        )
    return reason


def _place_in(spread_ms: int, nonce: str) -> int:
    """A place for one page among all, in milliseconds."""
    return zlib.crc32(nonce.encode()) % spread_ms


def _is_new(run: str, now: datetime) -> bool:
    """Whether the id was made so shortly ago that the auditor may not have the run yet."""
    try:
        made = datetime.strptime(run[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs(now - made) <= timedelta(seconds=NEW_SECONDS)
