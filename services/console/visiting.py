"""Who is looking, and what they may do here: the dependencies that every page and act declares.

The roles are those of the identities file, which the bus has too. What a page refuses, the bus would refuse as well;
the refusal here spares a person the way.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request

if TYPE_CHECKING:
    from services.console.site import Console

COOKIE: Final = "aether_session"
"""Over TLS it is sent as `__Host-aether_session`."""
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf-token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who has signed in."""

    user: str
    """The name on the bus."""
    roles: frozenset[str]
    session: str
    """Id of the session; not the secret in the cookie."""
    csrf: str
    """What forms of this session must carry."""
    signed_in_at: datetime
    stepped_up_until: datetime | None = None
    """Until when the person counts as having proved again who they are."""

    def has(self, *roles: str) -> bool:
        """Whether the person holds one of the roles."""
        return bool(self.roles.intersection(roles))

    def is_stepped_up(self, now: datetime) -> bool:
        """Whether a destructive plan may be decided now without proving identity again."""
        return self.stepped_up_until is not None and now < self.stepped_up_until


class SignInNeeded(Exception):
    """Nobody is signed in; browsers are led to the sign-in and then back."""


class NotAllowed(Exception):
    """The person lacks the role."""

    def __init__(self, visitor: Visitor, roles: tuple[str, ...]) -> None:
        self.visitor = visitor
        self.roles = roles
        super().__init__(f"{visitor.user} lacks the role {' or '.join(roles)}")


class ForgedForm(Exception):
    """A form that does not come from a page of this session."""


class StepUpNeeded(Exception):
    """The act is destructive: the person must prove again who they are, and is led back to `path`."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(path)


def console_of(request: Request) -> Console:
    """The console that serves this request."""
    console: Console = request.app.state.console
    return console


async def signed_in(request: Request) -> Visitor:
    """The visitor; `SignInNeeded` when nobody is signed in, `ForgedForm` when an act carries no proof of its page."""
    console = console_of(request)
    cookie = request.cookies.get(console.cookie_name)
    visitor: Visitor | None = await console.accounts.visitor_of(cookie) if cookie else None
    if visitor is None:
        raise SignInNeeded
    if request.method not in SAFE_METHODS:
        await check_form(request, visitor.csrf)
    request.state.visitor = visitor
    return visitor


async def check_form(request: Request, expected: str) -> None:
    """`ForgedForm` unless the request comes from our own pages and carries the token of the session."""
    console = console_of(request)
    origin = request.headers.get("origin")
    if origin is not None and origin != console.origin:
        raise ForgedForm
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise ForgedForm
    token = request.headers.get(CSRF_HEADER)
    if token is None:
        kind = request.headers.get("content-type", "")
        is_form = kind.startswith(("application/x-www-form-urlencoded", "multipart/form-data"))
        value = (await request.form()).get(CSRF_FIELD) if is_form else None
        token = value if isinstance(value, str) else ""
    if not hmac.compare_digest(token.encode(), expected.encode()):
        raise ForgedForm


def allowed(*roles: str) -> Callable[[Request], Awaitable[Visitor]]:
    """A dependency: the visitor, who must hold one of the roles."""

    async def visitor_with_role(request: Request) -> Visitor:
        visitor = await signed_in(request)
        if not visitor.has(*roles):
            raise NotAllowed(visitor, roles)
        return visitor

    return visitor_with_role


SignedIn = Annotated[Visitor, Depends(signed_in)]
Operator = Annotated[Visitor, Depends(allowed("operator"))]
Approver = Annotated[Visitor, Depends(allowed("approver"))]
Steward = Annotated[Visitor, Depends(allowed("steward"))]
AuditReader = Annotated[Visitor, Depends(allowed("auditor", "admin"))]
Admin = Annotated[Visitor, Depends(allowed("admin"))]
Revealer = Annotated[Visitor, Depends(allowed("operator", "approver", "steward", "auditor"))]
"""Whoever may see a personal value, with a reason."""


def safe_path(given: str | None) -> str:
    """The path to lead back to; anything but a path of our own becomes `/`."""
    if not given or len(given) > 2_000 or any(ord(letter) < 33 or letter == "\\" for letter in given):
        return "/"
    try:
        parts = urlsplit(given)
    except ValueError:  # such as an address of six in brackets that do not close
        return "/"
    is_ours = not parts.scheme and not parts.netloc and given.startswith("/") and not given.startswith("//")
    return given if is_ours else "/"
