"""Connectors: how fresh each is, its contract in words, its tables and releases; dry-runs and declared changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from services.console.definitions import Known
from services.console.pages.answers import errors
from services.console.pages.connectors_view import (
    TABLE_ROWS_SHOWN,
    ConnectorPage,
    ConnectorRow,
    TablePage,
    table_page,
)
from services.console.pages.house_reading import answered, connector_rows, whole_connector
from services.console.rendering import page
from services.console.visiting import Operator, SignedIn, Steward, console_of
from shared.asking.problem import CommandFailed
from shared.clock import to_text
from shared.contract.describing import differences
from shared.errors import NeedsPerson
from shared.events.commands import DeclareDelta, RequestRun, WithdrawDelta
from shared.events.queries import DeclaredQuery
from shared.ids import is_name
from shared.policy.limits import CHANGE_CLASSES

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["connectors"])

VALUES_CHARS_MAX: Final = 4_000
OFFSET_MAX: Final = 1_000_000
Text = Annotated[str, Query(max_length=100)]
Offset = Annotated[int, Query(ge=0, le=OFFSET_MAX)]
FormText = Annotated[str, Form(max_length=200)]
Value = TypeVar("Value")


class ConnectorList(BaseModel):
    """Every connector."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    connectors: tuple[ConnectorRow, ...]


@router.get("/connectors")
async def show_list(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The list."""
    rows = await _rows(console_of(request))
    return page(request, "connectors.html", visitor=visitor, rows=rows)


@router.get("/connectors/{name}")
async def show(request: Request, visitor: SignedIn, name: str) -> HTMLResponse:
    """One connector."""
    console = console_of(request)
    known = await _known(console, name)
    model = await whole_connector(console, known)
    declared, why_not = await answered(
        console, visitor, lambda person: person.declared(DeclaredQuery(connector=known.name))
    )
    return page(
        request,
        "connector.html",
        visitor=visitor,
        model=model,
        declared=() if declared is None else declared.declared,
        declared_why_not=why_not,
        classes=CHANGE_CLASSES,
    )


@router.get("/connectors/{name}/tables/{table}")
async def show_table(
    request: Request, visitor: SignedIn, name: str, table: str, q: Text = "", offset: Offset = 0
) -> HTMLResponse:
    """A mapping table, page by page."""
    console = console_of(request)
    found = _table(await _known(console, name), table, text=q, offset=offset)
    return page(
        request, "connector_table.html", visitor=visitor, name=name, table=found, q=q, offset=offset,
        limit=TABLE_ROWS_SHOWN,
    )  # fmt: skip


@router.get("/connectors/{name}/releases/{version}")
async def show_release(request: Request, visitor: SignedIn, name: str, version: str) -> HTMLResponse:
    """What differs between a release and the connector as its folder has it now."""
    console = console_of(request)
    known = await _known(console, name)
    if version not in known.versions or known.connector is None:
        raise HTTPException(404, f"There is no release {version[:40]} of {name} to compare with.")
    try:
        release = await console.definitions.release(name, version)
        told = differences(release, known.connector)
    except NeedsPerson as error:
        raise _failed(error) from None
    return page(
        request, "connector_release.html", visitor=visitor, name=name, version=version,
        current=known.connector.definition.version, told=told,
    )  # fmt: skip


# --- acts -----------------------------------------------------------------------------------------------------------


@router.post("/connectors/{name}/dry-run")
async def dry_run(
    request: Request, visitor: Operator, name: str, version: FormText = "", rows_of: FormText = ""
) -> RedirectResponse:
    """Ask for a dry-run, of a release or of the folder's connector, over new rows or over those of another run."""
    console = console_of(request)
    await _known(console, name)
    wanted = _valid(
        lambda: RequestRun(connector=name, mode="dry-run", version=version or None, replay_of=rows_of or None)
    )
    async with console.acting.as_person(visitor) as person:
        reply = await person.request_run(wanted)
    return RedirectResponse(f"/runs/{reply.run}?done=requested" if reply.run else "/runs", status_code=303)


@router.post("/connectors/{name}/declare")
async def declare(
    request: Request,
    visitor: Steward,
    name: str,
    change_class: FormText,
    field: FormText,
    values: Annotated[str, Form(max_length=VALUES_CHARS_MAX)],
    expected: Annotated[int, Form(ge=1, le=10_000_000)],
    valid_from: FormText,
    valid_until: FormText,
    reason: FormText,
    entity: FormText = "",
    tolerance_percent: Annotated[float, Form(ge=0, le=100)] = 0.0,
) -> RedirectResponse:
    """Declare a change of many records in advance."""
    console = console_of(request)
    await _known(console, name)
    delta = _valid(
        lambda: DeclareDelta(
            connector=name,
            entity=entity or None,
            change_class=change_class,
            where={field: tuple(part.strip() for part in values.replace("\n", ",").split(",") if part.strip())},
            expected=expected,
            tolerance_percent=tolerance_percent,
            valid_from=_moment(console, valid_from, "from"),
            valid_until=_moment(console, valid_until, "until"),
            reason=reason,
        )
    )
    async with console.acting.as_person(visitor) as person:
        await person.declare(delta)
    return RedirectResponse(f"/connectors/{name}?done=declared#declared", status_code=303)


@router.post("/connectors/{name}/withdraw")
async def withdraw(
    request: Request, visitor: Steward, name: str, declaration: FormText, reason: FormText = ""
) -> RedirectResponse:
    """Take a declaration back."""
    console = console_of(request)
    await _known(console, name)
    async with console.acting.as_person(visitor) as person:
        await person.withdraw(WithdrawDelta(declaration=declaration, reason=reason))
    return RedirectResponse(f"/connectors/{name}?done=withdrawn#declared", status_code=303)


# --- as JSON --------------------------------------------------------------------------------------------------------


@api.get("/connectors", responses=errors(409))
async def connectors_as_json(request: Request, _: SignedIn) -> ConnectorList:
    """Every connector, valid or not."""
    return ConnectorList(connectors=await _rows(console_of(request)))


@api.get("/connectors/{name}", responses=errors(404, 409))
async def connector_as_json(request: Request, _: SignedIn, name: str) -> ConnectorPage:
    """One connector with its contract in words."""
    console = console_of(request)
    return await whole_connector(console, await _known(console, name))


@api.get("/connectors/{name}/tables/{table}", responses=errors(404, 409, 422))
async def table_as_json(
    request: Request, _: SignedIn, name: str, table: str, q: Text = "", offset: Offset = 0
) -> TablePage:
    """A part of a mapping table."""
    return _table(await _known(console_of(request), name), table, text=q, offset=offset)


async def _rows(console: Console) -> tuple[ConnectorRow, ...]:
    try:
        return await connector_rows(console)
    except NeedsPerson as error:
        raise _failed(error) from None


async def _known(console: Console, name: str) -> Known:
    try:
        known = await console.definitions.named(name) if is_name(name) else None
    except NeedsPerson as error:
        raise _failed(error) from None
    if known is None:
        raise HTTPException(404, f"There is no connector {name[:60]!r}; the page Connectors lists those there are.")
    return known


def _table(known: Known, table: str, *, text: str, offset: int) -> TablePage:
    found = None
    if known.connector is not None:
        found = table_page(known.connector, table, text=text, offset=offset, limit=TABLE_ROWS_SHOWN)
    if found is None:
        raise HTTPException(404, f"The connector {known.name} has no mapping table {table[:60]!r}.")
    return found


def _moment(console: Console, text: str, name: str) -> str:
    """A moment as a form gives it, in the district's zone where it names none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise HTTPException(422, f"{name}: {text[:40]!r} is no moment; write it as 2026-06-12T00:00.") from None
    return to_text(at if at.tzinfo is not None else at.replace(tzinfo=console.templates.zone))


def _valid(make: Callable[[], Value]) -> Value:
    try:
        return make()
    except ValidationError as invalid:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
            for fault in invalid.errors(include_url=False, include_input=False)
        )
        raise HTTPException(422, f"The form cannot be read: {faults}.") from None


def _failed(error: NeedsPerson) -> CommandFailed:
    return CommandFailed(
        error.message, action="Correct what the text names, then load this page again.", code=error.code
    )
