"""The list of runs: what ran, what became of it, how that looks over days; and the form that asks for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.console.pages.answers import errors
from services.console.pages.run_view import stamp_of
from services.console.pages.runs_reading import active_rows, outcomes, run_rows
from services.console.pages.runs_view import (
    CHART_RUNS_MAX,
    ROWS_MAX,
    BadFilter,
    Outcome,
    RunsFilter,
    RunsPage,
    checked,
    counts_bar,
    days_chart,
    durations_chart,
    failures_chart,
    figures_of,
    outcome_names,
)
from services.console.rendering import page
from services.console.streaming import SEEN_CHARS_MAX, live_answer
from services.console.visiting import Operator, SignedIn, Visitor, console_of
from shared.events.commands import Reply, RequestRun
from shared.run.states import RunStatus

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["runs"])

ROWS: Final = 25
FILTER_CHARS_MAX: Final = 512
Text = Annotated[str, Query(max_length=FILTER_CHARS_MAX)]


class RunRequest(BaseModel):
    """Body of a request for a run."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    connector: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    mode: Literal["dry-run", "apply"] = "dry-run"
    version: str | None = Field(default=None, pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")
    """A published release, as `1.2.0`; null takes the connector as its folder has it."""
    replay_of: str | None = Field(default=None, pattern=r"^\d{8}T\d{6}-[0-9a-z]{6}$")
    """A run whose kept rows are taken instead of reading the systems; only for a dry-run."""


# --- pages ----------------------------------------------------------------------------------------------------------


@router.get("/runs")
async def show(
    request: Request, visitor: SignedIn, connector: Text = "", status: Text = "", mode: Text = "",
    requester: Text = "", text: Text = "", since: Text = "", until: Text = "", before: Text = "",
) -> HTMLResponse:  # fmt: skip
    """The page."""
    console = console_of(request)
    wanted = RunsFilter(
        connector=connector, status=status, mode=mode, requester=requester, text=text, since=since, until=until,
        before=before,
    )  # fmt: skip
    try:
        model, read = await _page(console, checked(wanted), limit=ROWS)
        problem = ""
    except BadFilter as bad:
        problem = f"{bad}."
        model, read = await _page(console, RunsFilter(), limit=ROWS)
    active = await active_rows(console.records.lookups)
    return page(
        request,
        "runs.html",
        visitor=visitor,
        status=422 if problem else 200,
        model=model,
        given=wanted,
        problem=problem,
        active=active,
        stamp=await _stamp(console),
        counts_bar=counts_bar,
        charts=_charts(model, read),
        outcome_names=outcome_names(),
        connectors=console.definitions.names(),
        statuses=[each.value for each in RunStatus],
        may_request=visitor.has("operator"),
        runs_read_max=CHART_RUNS_MAX,
    )


@router.post("/runs")
async def ask_for_run(
    request: Request, visitor: Operator, connector: Annotated[str, Form()] = "",
    mode: Annotated[str, Form()] = "dry-run", version: Annotated[str, Form()] = "",
    replay_of: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Ask for a run, and lead to its page."""
    try:
        asked = RunRequest.model_validate(
            {"connector": connector, "mode": mode, "version": version or None, "replay_of": replay_of or None}
        )
    except ValidationError as error:
        places = ", ".join(sorted({str(fault["loc"][0]) for fault in error.errors()}))
        raise HTTPException(
            422,
            f"The request for a run cannot be read ({places}): choose a connector of the list, dry-run or apply, and a "
            "release such as 1.2.0 or none.",
        ) from None
    reply = await _asked(console_of(request), visitor, asked)
    return RedirectResponse(f"/runs/{reply.run}?done=requested", status_code=303)


@router.get("/live/runs")
async def watch(
    request: Request, _: SignedIn, changed: Annotated[str, Query(max_length=SEEN_CHARS_MAX)] = ""
) -> StreamingResponse:
    """The runs under way, and that the list has changed; `changed` is the stamp that the page has."""
    return live_answer(request, "runs", seen={"changed": changed})


# --- the same as JSON -----------------------------------------------------------------------------------------------


@api.get("/runs", responses=errors(422))
async def runs_as_json(
    request: Request, _: SignedIn, connector: Text = "", status: Text = "", mode: Text = "", requester: Text = "",
    text: Text = "", since: Text = "", until: Text = "", before: Text = "",
    limit: Annotated[int, Query(ge=1, le=ROWS_MAX)] = ROWS,
) -> RunsPage:  # fmt: skip
    """Runs, the newest first, and what they say together."""
    wanted = RunsFilter(
        connector=connector, status=status, mode=mode, requester=requester, text=text, since=since, until=until,
        before=before,
    )  # fmt: skip
    try:
        model, _read = await _page(console_of(request), checked(wanted), limit=limit)
    except BadFilter as bad:
        raise HTTPException(422, str(bad)) from None
    return model


@api.post("/runs", status_code=202, responses=errors(403, 409, 422))
async def request_by_api(request: Request, visitor: Operator, asked: RunRequest) -> Reply:
    """Ask for a run; the reply names it."""
    return await _asked(console_of(request), visitor, asked)


async def _asked(console: Console, visitor: Visitor, asked: RunRequest) -> Reply:
    async with console.acting.as_person(visitor) as person:
        return await person.request_run(RequestRun.model_validate(asked.model_dump()))


# --- how ------------------------------------------------------------------------------------------------------------


async def _page(console: Console, wanted: RunsFilter, *, limit: int) -> tuple[RunsPage, tuple[Outcome, ...]]:
    lookups, zone = console.records.lookups, console.templates.zone
    rows, goes_on = await run_rows(lookups, wanted, limit=limit, zone=zone)
    read = await outcomes(lookups, connector=wanted.connector or None, zone=zone)
    today = console.clock.now().astimezone(zone).date()
    return RunsPage(wanted=wanted, rows=rows, goes_on=goes_on, figures=figures_of(read, today=today)), read


def _charts(model: RunsPage, read: tuple[Outcome, ...]) -> dict[str, str]:
    return {
        "days": days_chart(model.figures),
        "durations": durations_chart(read),
        "failures": failures_chart(model.figures),
    }


def live(console: Console) -> None:
    """Register what the live list is sent."""

    async def render(_: str) -> Mapping[str, str]:
        active = await active_rows(console.records.lookups)
        shown = console.templates.render("_runs_active.html", active=active, counts_bar=counts_bar)
        return {"active": shown, "changed": await _stamp(console)}

    console.live.renders("runs", render)


async def _stamp(console: Console) -> str:
    """Changes when a run comes, or one moves on; not with each change that is applied."""
    newest = await console.records.lookups.runs(limit=ROWS)
    return stamp_of(*(f"{one.run}{_status_in(one.state)}" for one in newest))


def _status_in(state: str) -> str:
    return str(_StatusOnly.model_validate_json(state).status)


class _StatusOnly(BaseModel):
    status: str
