"""The service account: who signs, for whom it acts, and what the token endpoint says when it says no.

A token is asked for with an assertion (a JWT with `sub`, RFC 7523) that google-auth signs; it is sent over our own
exchange, so that it takes its turn, is bounded and measured like every other request. No error tells an address or what
the endpoint wrote: its descriptions name people.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import orjson
from google.auth import crypt, jwt

from shared.clock import Clock
from shared.errors import NeedsPerson
from shared.http.credentials import Token
from shared.http.exchange import Exchange, Received
from shared.http.shape import WrongShape
from shared.ports.pacing import Use
from shared.secrets import Secret

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS: Final = 3_600
"""The longest that the endpoint takes."""
TOKEN_CHARACTERS_MAX: Final = 16_384
_NO_SCOPE: Final = "the scopes of this entity are not delegated to the service account, or not yet (up to 24 hours)"
_CAUSES: Final[Mapping[str, str]] = {
    "unauthorized_client": f"{_NO_SCOPE}; delegate them to its client id in the admin console",
    "invalid_scope": "a scope is not known there; this release and the interface do not fit together",
    "access_denied": "an administrator has denied the service account access; have it allowed",
    "admin_policy_enforced": "a policy of the account forbids these scopes; have its administrator allow them",
}
"""What the errors of the endpoint mean (vendor's page on service accounts, read 2026-11-22)."""
_PERMISSIONS: Final = frozenset({"unauthorized_client", "access_denied", "admin_policy_enforced"})
_GRANTS: Final[Mapping[str, str]] = {
    "signature": "the key is not one of the service account's; store a valid key file",
    "account not found": "the service account does not exist any more; store the key file of another",
    "email or user id": "the subject is no active user of the account; correct `subject`",
    "timeframe": "our clock and theirs differ too much; set ours",
    "audience": "token_uri is not the one that the assertion is for; correct token_uri",
    "aud ": "token_uri is not the one that the assertion is for; correct token_uri",
}
_GRANT: Final = "subject, key or clock are not right; check `subject`, the key file and the time of this machine"


@dataclass(frozen=True)
class ServiceAccount:
    """A key file, as far as it is used."""

    reference: str
    """Where it lies."""
    token_uri: str
    info: Mapping[str, Any]
    """The whole file, for the signer; holds the key."""

    @cached_property
    def signer(self) -> Any:
        """Made when it is first needed: to read a key is to check it, which takes longer than to sign."""
        try:
            return crypt.RSASigner.from_service_account_info(self.info)  # type: ignore[no-untyped-call] # google-auth has no types
        except (ValueError, TypeError):
            raise _no_key(self.reference, "holds no private key that can be read") from None

    def __repr__(self) -> str:
        return f"ServiceAccount({self.reference})"

    @classmethod
    def of(cls, secret: Secret, *, reference: str) -> ServiceAccount:
        """Read a key file; `NeedsPerson` (SYS_SECRET) names the reference of one that is none."""
        try:
            info = orjson.loads(secret.encode())
        except ValueError:
            raise _no_key(reference, "is no JSON") from None
        if not isinstance(info, dict) or info.get("type") != "service_account":
            raise _no_key(reference, "is not of the type service_account")
        for name in ("client_email", "private_key", "private_key_id", "token_uri"):
            if not isinstance(info.get(name), str) or not info[name]:
                raise _no_key(reference, f"has no {name}")
        return cls(reference=reference, token_uri=info["token_uri"], info=info)


class Granting:
    """Asks for tokens of certain scopes."""

    def __init__(self, account: ServiceAccount, *, subject: str, scopes: str, exchange: Exchange, clock: Clock) -> None:
        """`exchange` leads to the token endpoint."""
        self._account = account
        self._subject = subject
        self._scopes = scopes
        self._exchange = exchange
        self._clock = clock

    async def token(self, use: Use) -> Token:
        """A new token; `NeedsPerson` (AUTH) says which of the causes it is that there is none."""
        form = {"grant_type": GRANT_TYPE, "assertion": self._assertion()}
        received = await self._exchange.ask("POST", "", use=use, form=form)
        if received.status == 429:
            raise await self._exchange.too_many(received, use=use)
        if received.status >= 500 or received.status == 408:
            raise self._exchange.unavailable(received, use=use)
        body = self._body(received, use)
        if received.status != 200:
            raise self._refused(received, body, use)
        token, lives = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not _is_header(token) or not isinstance(lives, int | float):
            raise self._exchange.odd(received, use=use)
        return Token(token, lives_seconds=float(lives))

    def _assertion(self) -> str:
        issued = int(self._clock.now().timestamp())
        claims = {
            "iss": self._account.info["client_email"],
            "sub": self._subject,
            "scope": self._scopes,
            "aud": self._account.token_uri,
            "iat": issued,
            "exp": issued + ASSERTION_SECONDS,
        }
        encoded: bytes = jwt.encode(self._account.signer, claims)  # type: ignore[no-untyped-call] # google-auth has no types
        return encoded.decode("ascii")

    def _body(self, received: Received, use: Use) -> dict[str, Any]:
        try:
            body = received.json() if received.is_whole else None
        except WrongShape:
            body = None
        if not isinstance(body, dict):
            raise self._exchange.odd(received, use=use)
        return body

    def _refused(self, received: Received, body: Mapping[str, Any], use: Use) -> Exception:
        error, told = body.get("error"), str(body.get("error_description", ""))[:1_000].casefold()
        if not isinstance(error, str):
            if received.status not in (400, 401, 403):
                return self._exchange.odd(received, use=use)
            error = ""
        if error == "invalid_grant":
            text = next((text for sign, text in _GRANTS.items() if sign in told), _GRANT)
        else:
            text = _CAUSES.get(error, "the token endpoint refuses the service account; check the key file")
        name = error if error in _CAUSES or error == "invalid_grant" else "no known error"
        return NeedsPerson(
            f"{use}_AUTH",
            f"no token ({name}): {text}",
            error=name,
            is_permission=error in _PERMISSIONS,
        )


def _is_header(token: str) -> bool:
    return 0 < len(token) <= TOKEN_CHARACTERS_MAX and token.isascii() and token.isprintable() and " " not in token


def _no_key(reference: str, text: str) -> NeedsPerson:
    return NeedsPerson("SYS_SECRET", f"{reference}: {text}; store the key file of a service account there, as it is")
