"""Signing in and out, proving again who one is, and one's own account."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.console.accounts import second_factor
from services.console.accounts.accounts import Accounts, CodeNeeded, Refused
from services.console.accounts.oidc import Provider, ProviderRefused
from services.console.rendering import THEME_COOKIE, THEMES, page
from services.console.visiting import SignedIn, StepUpNeeded, Visitor, check_form, console_of, safe_path
from shared.asking.problem import CommandFailed

if TYPE_CHECKING:
    from services.console.site import Console

router = APIRouter()

PRE: Final = "aether_pre"
"""Cookie that binds the form of the sign-in to the browser that asked for it."""
ATTEMPT: Final = "aether_attempt"
ANSWER: Final = "/sign-in/answer"
ATTEMPT_SECONDS: Final = 600
NOBODY: Final = "nobody yet"
"""For whom an attempt is sealed before anybody is known."""
TOKEN_BYTES: Final = 32
THEME_SECONDS: Final = 365 * 86_400

Text = Annotated[str, Form(max_length=500)]


@router.get("/sign-in")
async def form(request: Request) -> Response:
    """The form, and the way to the district's provider."""
    return _form(request, next_path=safe_path(request.query_params.get("next")))


@router.post("/sign-in")
async def sign_in(
    request: Request,
    user: Text = "",
    password: Text = "",
    code: Text = "",
    next_path: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Sign in with a local account."""
    console = console_of(request)
    await check_form(request, request.cookies.get(PRE) or secrets.token_urlsafe(TOKEN_BYTES))
    accounts: Accounts = console.accounts
    try:
        secret = await accounts.sign_in(
            user=user.strip(), password=password, code=code, agent=_agent(request), address=_address(request)
        )
    except CodeNeeded:
        return _form(request, next_path=safe_path(next_path), user=user, needs_code=True)
    except Refused as refused:
        return _form(request, next_path=safe_path(next_path), user=user, problem=str(refused), status=403)
    if (old := request.cookies.get(console.cookie_name)) is not None:
        await accounts.leave(old)
    # Whose roles do not count yet is led to where that is changed.
    is_whole = await accounts.what_is_missing(user.strip(), by="local") is None
    return _with_session(console, secret, safe_path(next_path) if is_whole else "/account")


@router.get("/sign-in/provider")
async def to_provider(request: Request) -> Response:
    """Lead the browser to the district's provider."""
    return await _to_provider(request, safe_path(request.query_params.get("next")), is_step_up=False, to="/sign-in")


@router.get("/step-up/provider")
async def prove_at_provider(request: Request, visitor: SignedIn) -> Response:
    """Lead the browser to the provider, to prove again who one is."""
    path = safe_path(request.query_params.get("next"))
    return await _to_provider(request, path, is_step_up=True, to="/step-up")


@router.get(ANSWER)
async def from_provider(request: Request) -> Response:
    """What the provider answered."""
    console = console_of(request)
    accounts: Accounts = console.accounts
    try:
        provider = _provider(console)
        asked = request.query_params
        sealed = accounts.unseal_for(NOBODY, request.cookies.get(ATTEMPT, ""))
        attempt = provider.attempt_in(sealed, state=asked.get("state", ""))
        if (error := asked.get("error")) is not None:
            raise ProviderRefused(f"The provider did not sign you in ({error[:100]}).")
        user = await provider.finish(attempt, code=asked.get("code", ""))
        cookie = request.cookies.get(console.cookie_name)
        if attempt.is_step_up:
            visitor = await accounts.visitor_of(cookie) if cookie else None
            if visitor is None or visitor.user != user:
                raise ProviderRefused("Somebody else than the person of this session proved who they are.")
            secret = await accounts.renew(visitor, by="oidc")
        else:
            secret = await accounts.sign_in_from_provider(user, agent=_agent(request))
            if cookie:
                await accounts.leave(cookie)
    except ProviderRefused as refused:
        await accounts.tell_refused(type(refused).__name__)
        answer = _form(request, next_path="/", problem=str(refused), status=403)
    except Refused as refused:
        answer = _form(request, next_path="/", problem=str(refused), status=403)
    else:
        answer = _with_session(console, secret, attempt.next)
    answer.delete_cookie(ATTEMPT, path=ANSWER)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, visitor: SignedIn) -> Response:
    """End the session, here and in the database."""
    console = console_of(request)
    await console.accounts.sign_out(visitor)
    answer = RedirectResponse("/sign-in", status_code=303)
    answer.delete_cookie(console.cookie_name, path="/", secure=console.is_secure, httponly=True)
    return answer


@router.get("/step-up")
async def step_up_form(request: Request, visitor: SignedIn) -> Response:
    """Ask again who one is."""
    return await _step_up(request, visitor, safe_path(request.query_params.get("next")))


@router.post("/step-up")
async def step_up(
    request: Request,
    visitor: SignedIn,
    password: Text = "",
    code: Text = "",
    next_path: Annotated[str, Form(alias="next")] = "/",
) -> Response:
    """Prove again who one is, with a local account."""
    console = console_of(request)
    try:
        secret = await console.accounts.step_up(visitor, password=password, code=code, address=_address(request))
    except Refused as refused:
        return await _step_up(request, visitor, safe_path(next_path), problem=str(refused), status=403)
    return _with_session(console, secret, safe_path(next_path))


@router.post("/theme")
async def theme(
    request: Request, visitor: SignedIn, theme: Text = "auto", next_path: Annotated[str, Form(alias="next")] = "/"
) -> Response:
    """Choose the colours for this browser."""
    answer = RedirectResponse(safe_path(next_path), status_code=303)
    chosen = theme if theme in THEMES else "auto"
    secure = console_of(request).is_secure
    answer.set_cookie(THEME_COOKIE, chosen, max_age=THEME_SECONDS, secure=secure, httponly=True, samesite="lax")
    return answer


@router.get("/account")
async def account(request: Request, visitor: SignedIn) -> Response:
    """One's own account and sessions."""
    return await _account(request, visitor)


@router.post("/account/password")
async def change_password(
    request: Request, visitor: SignedIn, old: Text = "", new: Text = "", again: Text = ""
) -> Response:
    """Change one's own password."""
    try:
        if new != again:
            raise Refused("The two new passwords differ.")
        await console_of(request).accounts.change_password(visitor, old=old, new=new)
    except Refused as refused:
        return await _account(request, visitor, problem=str(refused), status=422)
    return RedirectResponse("/account?done=saved", status_code=303)


@router.get("/account/second-factor")
async def second_factor_form(request: Request, visitor: SignedIn) -> Response:
    """Set up a second factor: a picture for the phone."""
    accounts: Accounts = console_of(request).accounts
    try:
        must_prove = await accounts.must_prove_first(visitor)
    except Refused as refused:
        return await _account(request, visitor, problem=str(refused), status=403)
    if must_prove:
        raise StepUpNeeded(request.url.path)
    return _second_factor(request, visitor, secret=second_factor.new_secret())


@router.post("/account/second-factor")
async def set_up(request: Request, visitor: SignedIn, sealed: Text = "", code: Text = "") -> Response:
    """Take the second factor into use."""
    accounts: Accounts = console_of(request).accounts
    secret = accounts.unseal_for(visitor.user, sealed)
    if secret is None:
        raise CommandFailed("the form is not whole", action="Begin again at your account.")
    try:
        codes = await accounts.set_up_second_factor(visitor, secret=secret, code=code)
    except Refused as refused:
        return _second_factor(request, visitor, secret=secret, problem=str(refused), status=422)
    return page(request, "recovery_codes.html", visitor=visitor, codes=codes)


@router.post("/account/sessions/{session}/end")
async def end_session(request: Request, visitor: SignedIn, session: str) -> Response:
    """End one of one's own sessions."""
    await console_of(request).accounts.end_session(visitor, session)
    return RedirectResponse("/account?done=ended", status_code=303)


# --- how --------------------------------------------------------------------------------------------------------------


def _form(
    request: Request, *, next_path: str, user: str = "", problem: str = "", needs_code: bool = False, status: int = 200
) -> Response:
    console = console_of(request)
    token = request.cookies.get(PRE) or secrets.token_urlsafe(TOKEN_BYTES)
    answer = page(
        request,
        "sign_in.html",
        visitor=None,
        status=status,
        token=token,
        next_path=next_path,
        user=user,
        problem=problem,
        needs_code=needs_code,
        has_provider=console.settings.oidc_issuer is not None,
        has_local=console.settings.local_accounts,
        provider_query=urlencode({"next": next_path}),
    )
    answer.set_cookie(PRE, token, secure=console.is_secure, httponly=True, samesite="strict", path="/sign-in")
    return answer


async def _to_provider(request: Request, path: str, *, is_step_up: bool, to: str) -> Response:
    console = console_of(request)
    accounts: Accounts = console.accounts
    try:
        where, attempt = await _provider(console).begin(next_path=path, is_step_up=is_step_up)
    except ProviderRefused as refused:
        return _form(request, next_path=path, problem=str(refused), status=503)
    answer = RedirectResponse(where, status_code=303)
    answer.set_cookie(
        ATTEMPT,
        accounts.seal_for(NOBODY, attempt.text()),
        max_age=ATTEMPT_SECONDS,
        secure=console.is_secure,
        httponly=True,
        samesite="lax",  # it must come along when the provider leads back
        path=ANSWER,
    )
    return answer


def _provider(console: Console) -> Provider:
    if console.settings.oidc_issuer is None:
        raise ProviderRefused("No provider is set up here; sign in with a local account.")
    if console.provider is None:
        console.provider = Provider(console.settings, redirect=f"{console.origin}{ANSWER}", clock=console.clock)
    return console.provider


def _with_session(console: Console, secret: str, path: str) -> Response:
    answer = RedirectResponse(path, status_code=303)
    answer.set_cookie(
        console.cookie_name,
        secret,
        max_age=console.settings.session_hours * 3_600,
        secure=console.is_secure,
        httponly=True,
        samesite="lax",
        path="/",
    )
    return answer


async def _step_up(
    request: Request, visitor: Visitor, next_path: str, *, problem: str = "", status: int = 200
) -> Response:
    console = console_of(request)
    known = await console.accounts.store.account(visitor.user)
    return page(
        request,
        "step_up.html",
        visitor=visitor,
        status=status,
        next_path=next_path,
        problem=problem,
        has_local=known is not None,
        has_code=known is not None and known.sealed_secret is not None,
        has_provider=console.settings.oidc_issuer is not None,
        provider_query=urlencode({"next": next_path}),
        minutes=console.settings.step_up_minutes,
    )


async def _account(request: Request, visitor: Visitor, *, problem: str = "", status: int = 200) -> Response:
    accounts: Accounts = console_of(request).accounts
    sessions = await accounts.store.sessions(visitor.user)
    mine = next((each for each in sessions if each.id == visitor.session), None)
    shown: Mapping[str, Any] = {
        "account": await accounts.store.account(visitor.user),
        "sessions": sessions,
        "missing": await accounts.what_is_missing(visitor.user, by=mine.by if mine is not None else "local"),
        "roles": sorted(accounts.people.roles_of(visitor.user) or ()),
        "problem": problem,
    }
    return page(request, "account.html", visitor=visitor, status=status, **shown)


def _second_factor(
    request: Request, visitor: Visitor, *, secret: str, problem: str = "", status: int = 200
) -> Response:
    accounts: Accounts = console_of(request).accounts
    return page(
        request,
        "second_factor.html",
        visitor=visitor,
        status=status,
        picture=second_factor.picture_of(secret, user=visitor.user),
        secret=secret,
        sealed=accounts.seal_for(visitor.user, secret),
        problem=problem,
    )


def _agent(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"
