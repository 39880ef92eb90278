"""The answer to a request for a bearer token (OAuth 2, client credentials): the token and its life, or what went wrong.

It asks for nothing itself: how a system wants to be asked differs, what the answers mean does not.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Final

import httpx

from shared.errors import NeedsPerson
from shared.http.credentials import Token
from shared.http.exchange import Exchange, Received
from shared.http.shape import WrongShape, at
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.secrets import Secret

TOKEN_CHARACTERS_MAX: Final = 16_384
_LIFE_SECONDS_MAX: Final = 1e9


async def token_in(
    received: Received, *, exchange: Exchange, use: Use, life_names: Sequence[str], lives_seconds: float
) -> Token:
    """The token that an answer grants; raises `NeedsPerson`, `TryLater` or `StopRun` for any other answer.

    `life_names` are the members that may tell its life in seconds, the first found counts; `lives_seconds` is what is
    assumed where none does.
    """
    status = received.status
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise await exchange.too_many(received, use=use)
    if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise NeedsPerson(
            f"{use}_AUTH",
            f"{status} for a token: client_id and client_secret are not known, or may not have this scope",
            status=httpx.codes.UNAUTHORIZED,
        )
    if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
        raise exchange.unavailable(received, use=use)
    if status not in (httpx.codes.OK, httpx.codes.CREATED) or not received.is_whole:
        raise exchange.odd(received, use=use)
    try:
        body = received.json()
        text = at(body, "/access_token")
    except WrongShape:
        raise exchange.odd(received, use=use) from None
    if not isinstance(text, str) or not text or len(text) > TOKEN_CHARACTERS_MAX:
        raise exchange.odd(received, use=use)
    if not text.isascii() or not text.isprintable() or " " in text:
        raise exchange.odd(received, use=use)
    return Token(text, lives_seconds=_life(body, life_names, lives_seconds))


def basic(user: str, password: Secret) -> str:
    """The value of an `Authorization` header for HTTP Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def secret_of(reference: str, surroundings: Surroundings) -> Secret:
    """The secret behind a reference; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot be sent."""
    secret = surroundings.resolve(reference)
    if not secret or not secret.isprintable():
        raise NeedsPerson("SYS_SECRET", f"{reference}: is blank or holds control characters; store it anew")
    return secret


def _life(body: object, names: Sequence[str], otherwise: float) -> float:
    for name in names:
        told = body.get(name) if isinstance(body, dict) else None
        if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) <= len("999999999"):
            return float(told)
        if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told <= _LIFE_SECONDS_MAX:
            return float(told)
    return otherwise
