"""Who may do what with a simulated Snipe-IT: its tokens, the users they act for, and the limit of requests a minute."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

WINDOW_SECONDS = 60
TOKENS_MAX = 100
ABSURD_BASE_SECONDS = 1_700_000_000
"""An absurd wait is of the size of a Unix time."""

AUTH_FIELDS = frozenset({"username", "email", "activated", "password", "permissions"})


class Rights(StrEnum):
    """What the user behind a token may do."""

    SUPERUSER = "superuser"
    EDIT_AUTH = "edit-auth"
    """Writes everything, and the fields of authentication of everybody but superusers."""
    EDIT = "edit"
    """Writes everything but the fields of authentication."""
    READ = "read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One personal access token."""

    secret: str = field(repr=False)
    rights: Rights
    user_id: int | None = None
    """The user of the state that the token acts for; None stands for an account outside the listed users."""

    def may_edit_auth(self, target: Mapping[str, Any]) -> bool:
        """Whether the token's user may change how this user signs in."""
        permissions = target.get("permissions") or {}
        if str(permissions.get("superuser", "0")) == "1":
            return self.rights is Rights.SUPERUSER
        return self.rights in {Rights.SUPERUSER, Rights.EDIT_AUTH}


def find_token(tokens: Sequence[Token], header: str) -> Token | None:
    """The token that an Authorization header holds."""
    scheme, _, sent = header.partition(" ")
    found = None
    for token in tokens:
        if scheme.lower() == "bearer" and hmac.compare_digest(token.secret.encode(), sent.strip().encode()):
            found = token
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """What the throttle says of one request."""

    limit: int
    remaining: int
    wait_seconds: int
    """0 where the request is let in."""


class Throttle:
    """Fixed windows of one minute, each beginning with a caller's first request."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}  # bounded by TOKENS_MAX and the one address

    def hit(self, caller: str, *, limit: int, now: float) -> Hit:
        """Count one request of a caller, unless it is over the limit."""
        began, count = self._windows.get(caller, (now, 0))
        if now >= began + WINDOW_SECONDS:
            began, count = now, 0
        if count >= limit:
            return Hit(limit=limit, remaining=0, wait_seconds=max(1, int(began + WINDOW_SECONDS - now + 0.999)))
        self._windows[caller] = (began, count + 1)
        return Hit(limit=limit, remaining=limit - count - 1, wait_seconds=0)
