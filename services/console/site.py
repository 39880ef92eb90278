"""The console put together: what pages stand on, which pages there are, and what is shown when one cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from services.console.accounts.accounts import Accounts
from services.console.accounts.oidc import Provider
from services.console.acting import Acting
from services.console.definitions import Definitions
from services.console.live import LiveHub, TooManyWatchers
from services.console.local.house import LocalHouse
from services.console.log.days import EntryDays
from services.console.log.verifying import Verifying
from services.console.measuring import Measured
from services.console.pages import PAGES
from services.console.records import Records
from services.console.rendering import Templates, page
from services.console.security import Guarded
from services.console.settings import ConsoleSettings
from services.console.telling import Telling
from services.console.visiting import (
    COOKIE,
    ForgedForm,
    NotAllowed,
    SignedIn,
    SignInNeeded,
    StepUpNeeded,
    Visitor,
    safe_path,
)
from shared.asking.problem import CommandFailed, NoAnswer
from shared.clock import Clock
from shared.failures import CATALOGUE
from shared.ids import Ids
from shared.telemetry.families import gauge

API: Final = "/api/"
STATIC: Final = Path(__file__).parent / "static"

log = structlog.get_logger(__name__)


@dataclass
class Console:
    """What every page stands on."""

    settings: ConsoleSettings
    accounts: Accounts
    acting: Acting
    records: Records
    definitions: Definitions
    telling: Telling
    live: LiveHub
    templates: Templates
    clock: Clock
    ids: Ids
    origin: str
    """Scheme, host and port as browsers name it."""
    registry: CollectorRegistry
    provider: Provider | None = None
    """The district's OpenID provider, once somebody signed in there."""
    environment: str = ""
    """Named on every page, so that nobody takes staging for production."""
    local: LocalHouse = field(init=False)
    """The district's local tables."""
    verifying: Verifying = field(init=False)
    """The verification of the whole audit log, if one was asked for."""
    entry_days: EntryDays = field(init=False)

    def __post_init__(self) -> None:
        self.local = LocalHouse.of(self.settings, self.definitions)
        self.verifying = Verifying(self.records.lookups, clock=self.clock, on_change=lambda: self.live.hear(()))
        self.entry_days = EntryDays(self.records.engine, self.templates.zone)

    @property
    def is_secure(self) -> bool:
        """Whether browsers come over TLS."""
        return self.origin.startswith("https://")

    @property
    def cookie_name(self) -> str:
        """The session cookie; over TLS bound to this host by its name."""
        return f"__Host-{COOKIE}" if self.is_secure else COOKIE


def site(console: Console) -> ASGIApp:
    """The application."""
    app = FastAPI(
        title="Aether Integrator",
        summary="What the console's pages show and do, as JSON.",
        version="1",
        openapi_url=None,  # served below, to who is signed in
        docs_url=None,
        redoc_url=None,
    )
    app.state.console = console
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    for module in PAGES:
        app.include_router(module.router, include_in_schema=False)
        if (api := getattr(module, "api", None)) is not None:
            app.include_router(api)
        if (live := getattr(module, "live", None)) is not None:
            live(console)
    _describe(app)
    _tell_problems(app)
    watchers = gauge("aether_console_live_pages", console.registry)
    watchers.set_function(lambda: console.live.watchers)
    return Guarded(Measured(app, registry=console.registry), is_secure=console.is_secure)


def _describe(app: FastAPI) -> None:
    @app.get(f"{API}v1/openapi.json", include_in_schema=False)
    async def described(_: SignedIn) -> JSONResponse:
        return JSONResponse(app.openapi())


# --- when a page cannot be shown ------------------------------------------------------------------------------------


def _tell_problems(app: FastAPI) -> None:
    @app.exception_handler(SignInNeeded)
    async def sign_in(request: Request, _: SignInNeeded) -> Response:
        if request.url.path.startswith(API):
            return _json(401, None, "nobody is signed in", "Sign in in a browser; the API takes its session.")
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return _led(request, f"/sign-in?next={quote(safe_path(here) if request.method == 'GET' else '/', safe='')}")

    @app.exception_handler(StepUpNeeded)
    async def step_up(request: Request, needed: StepUpNeeded) -> Response:
        if request.url.path.startswith(API):
            return _json(403, "APV_NOT_AUTHORISED", "prove again who you are", "Do so at /step-up, then ask again.")
        return _led(request, f"/step-up?next={quote(safe_path(needed.path), safe='')}")

    @app.exception_handler(NotAllowed)
    async def not_allowed(request: Request, refused: NotAllowed) -> Response:
        text = f"This needs the role {' or '.join(refused.roles)}, which {refused.visitor.user} does not have."
        return _problem(request, 403, "APV_NOT_AUTHORISED", text, "Ask a person who has it.", visitor=refused.visitor)

    @app.exception_handler(ForgedForm)
    async def forged(request: Request, _: ForgedForm) -> Response:
        text = "The form does not come from a page of this session, so nothing was done."
        return _problem(request, 403, None, text, "Load the page again and send the form once more.")

    @app.exception_handler(CommandFailed)
    async def failed(request: Request, error: CommandFailed) -> Response:
        status = 503 if isinstance(error, NoAnswer) else 403 if error.code == "APV_NOT_AUTHORISED" else 409
        return _problem(request, status, error.code, error.text, error.action)

    @app.exception_handler(TooManyWatchers)
    async def too_many(request: Request, _: TooManyWatchers) -> Response:
        return _problem(request, 503, None, "too many live pages are open", "Close some, or load this one by hand.")

    @app.exception_handler(SQLAlchemyError)
    async def unreadable(request: Request, error: SQLAlchemyError) -> Response:
        # The text of a database error may quote a row.
        log.error("console_database_failed", error=type(error).__name__)
        text = "The database cannot be read at the moment."
        return _problem(request, 503, "AUD_UNAVAILABLE", text, "Load the page again shortly.")

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        return _problem(request, 422, None, f"The request cannot be read: {faults}.", "Correct the address or form.")

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        told = {"Not Found": "There is no such page.", "Method Not Allowed": "This page cannot be asked that way."}
        text = told.get(str(error.detail), str(error.detail))
        return _problem(request, error.status_code, None, text, "Go back, or begin at the inbox.")

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        log.error("console_page_failed", path=_route_of(request), error=type(error).__name__)
        text = "The console met something that it does not understand; nothing was done."
        return _problem(request, 500, None, text, "Tell the platform's owner, with the time of this page.")


def _route_of(request: Request) -> str:
    return str(getattr(request.scope.get("route"), "path", "none"))


def _led(request: Request, path: str) -> Response:
    """Lead a browser elsewhere; a part of a page that asked by itself makes the whole page go."""
    if request.headers.get("hx-request") == "true":
        return Response(status_code=204, headers={"hx-redirect": path})
    return RedirectResponse(path, status_code=303)


def _problem(
    request: Request, status: int, code: str | None, text: str, action: str, *, visitor: Visitor | None = None
) -> Response:
    if request.url.path.startswith(API):
        return _json(status, code, text, action)
    known: Visitor | None = visitor or getattr(request.state, "visitor", None)
    return page(
        request,
        "problem.html",
        visitor=known,
        status=status,
        code=code if code in CATALOGUE else None,
        text=text,
        action=action,
    )


def _json(status: int, code: str | None, text: str, action: str) -> Response:
    return JSONResponse({"error": {"code": code, "text": text, "action": action}}, status_code=status)
