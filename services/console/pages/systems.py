"""Systems and connections: what is installed, what is set up, how it stands; and the harmless try of a connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict

from services.console.pages.answers import errors
from services.console.pages.connectors_view import RunLine, run_line
from services.console.pages.house_reading import answered, runs_of, system_titles
from services.console.pages.systems_view import (
    ConnectionCard,
    SystemCard,
    SystemsPage,
    connection_card,
    system_card,
)
from services.console.rendering import page
from services.console.visiting import SignedIn, Visitor, allowed, console_of
from shared.errors import NeedsPerson
from shared.events.queries import ConnectionAnswer

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()
api = APIRouter(prefix="/api/v1", tags=["systems"])

may_check = allowed("operator", "steward")


class SystemList(BaseModel):
    """Every system that is installed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    systems: tuple[SystemCard, ...]


class ConnectionList(BaseModel):
    """Every connection."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    connections: tuple[ConnectionCard, ...]
    fault: str | None
    """Why they cannot be listed."""
    health_why_not: str | None
    """Why nothing is known about quarantine."""


@router.get("/systems")
async def show(request: Request, visitor: SignedIn) -> HTMLResponse:
    """The page."""
    model = await systems_page(console_of(request), visitor)
    return page(request, "systems.html", visitor=visitor, model=model)


@router.post("/systems/connections/{name}/check")
async def check(request: Request, name: str, visitor: Visitor = Depends(may_check)) -> HTMLResponse:  # noqa: B008
    """Try a connection and show what was found; nothing is kept, so there is nothing to be led back to."""
    return page(
        request, "connection_check.html", visitor=visitor, answer=await _checked(console_of(request), visitor, name)
    )


@api.get("/systems", responses=errors())
async def systems_as_json(request: Request, _: SignedIn) -> SystemList:
    """Every system that is installed."""
    return SystemList(systems=await _cards(console_of(request)))


@api.get("/connections", responses=errors())
async def connections_as_json(request: Request, visitor: SignedIn) -> ConnectionList:
    """Every connection; of credentials only where they are kept."""
    model = await systems_page(console_of(request), visitor)
    return ConnectionList(
        connections=model.connections, fault=model.connections_fault, health_why_not=model.health_why_not
    )


@api.post("/connections/{name}/check", responses=errors(403, 404, 409))
async def check_as_json(
    request: Request,
    name: str,
    visitor: Visitor = Depends(may_check),  # noqa: B008
) -> ConnectionAnswer:
    """Have the extractor try a connection: network, credential, permission, shape; it writes nothing."""
    return await _checked(console_of(request), visitor, name)


async def systems_page(console: Console, visitor: Visitor) -> SystemsPage:
    """Everything that the page shows."""
    health, why_not = await answered(console, visitor, lambda person: person.health())
    quarantined = None if health is None else {one.connection: one for one in health.quarantined}
    ages, _ = await answered(console, visitor, lambda person: person.credentials())
    ends = {
        (one.connection, one.setting): one.ends_at
        for one in (ages.credentials if ages is not None else ())
        if one.ends_at is not None
    }
    connections: tuple[ConnectionCard, ...] = ()
    fault = None
    try:
        known = await console.definitions.known_connections()
        used = await _used(console)
    except NeedsPerson as error:
        fault = error.message
    else:
        newest = {name: await _newest(console, name) for names in used.values() for name in names}
        titles = system_titles(console)
        connections = tuple(
            connection_card(
                one,
                titles,
                quarantined=quarantined,
                connectors=(names := used.get(one.connection.name, ())),
                last_run=max(
                    (line for name in names if (line := newest[name]) is not None),
                    key=lambda line: line.requested_at,
                    default=None,
                ),
                now=console.clock.now(),
                ends=ends,
            )
            for one in known
        )
    return SystemsPage(
        systems=await _cards(console), connections=connections, connections_fault=fault, health_why_not=why_not
    )


async def _cards(console: Console) -> tuple[SystemCard, ...]:
    registry = console.definitions.registry
    # The first question reads a document of each system.
    return await asyncio.to_thread(lambda: tuple(system_card(registry, name) for name in registry.names()))


async def _used(console: Console) -> dict[str, tuple[str, ...]]:
    """The connectors that use a connection, by its name."""
    used: dict[str, list[str]] = {}
    for known in await console.definitions.known():
        if known.connector is None:
            continue
        definition = known.connector.definition
        names = {definition.target.connection, *(source.connection for source in definition.sources.values())}
        for name in names:
            used.setdefault(name, []).append(known.name)
    return {name: tuple(sorted(connectors)) for name, connectors in used.items()}


async def _newest(console: Console, connector: str) -> RunLine | None:
    views = await runs_of(console.records.lookups, connector, limit=1)
    return run_line(views[0]) if views else None


async def _checked(console: Console, visitor: Visitor, name: str) -> ConnectionAnswer:
    try:
        known = {one.connection.name for one in await console.definitions.known_connections()}
    except NeedsPerson:
        known = {name}  # the extractor has a document of its own, and says what is wrong with it
    if name not in known:
        raise HTTPException(404, f"There is no connection {name[:60]!r}; the page Systems lists those there are.")
    async with console.acting.as_person(visitor) as person:
        return await person.check_connection(name)
