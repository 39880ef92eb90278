"""The OAuth token endpoint: a signed assertion in, an access token out; and who stands behind a token (rules A).

Tokens live in memory only and are never shown in state or journal. A token says on whose behalf and for which scopes;
whether that person may do something is decided at each call.
"""

import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from simulators.google_directory.keys import ServiceAccount
from simulators.google_directory.methods import SCOPES
from simulators.google_directory.switches import GoogleSwitches

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTION_SECONDS_MAX = 3_600
SKEW_SECONDS_MAX = 300
TOKENS_MAX = 10_000
FORM_FIELDS_MAX = 10
ASSERTION_LENGTH_MAX = 16_384
VENDOR_AUDIENCES = frozenset(
    {
        "https://oauth2.googleapis.com/token",
        "https://www.googleapis.com/oauth2/v4/token",
        "https://accounts.google.com/o/oauth2/token",
    }
)
_CODES = {"unauthorized_client": 401, "access_denied": 403}
_SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)
_UNAUTHORISED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the "
    "scopes requested."
)


class NoToken(Exception):
    """The token endpoint says no; `rule` is set where the request broke a documented rule."""

    def __init__(self, error: str, description: str, *, rule: str = "") -> None:
        super().__init__(f"{error}: {description}")
        self.code = _CODES.get(error, 400)
        self.document = {"error": error, "error_description": description}
        self.rule = rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """What a token stands for."""

    subject: str
    """The id of the user on whose behalf it acts; empty where the account acts for itself."""
    scopes: frozenset[str]
    expires: datetime


class TokenDesk:
    """Gives tokens out and knows them again."""

    def __init__(
        self,
        *,
        accounts: tuple[ServiceAccount, ...],
        clock: Callable[[], datetime],
        find_subject: Callable[[str], str | None],
    ) -> None:
        self._accounts = {account.client_email: (account, account.public_key()) for account in accounts}
        self._clock = clock
        self._find_subject = find_subject
        self._tokens: OrderedDict[str, Access] = OrderedDict()
        self._issued = 0

    def exchange(self, body: bytes, *, own_address: str, switches: GoogleSwitches) -> dict[str, Any]:
        """Answer a token request; `NoToken` when there is none."""
        try:
            form = parse_qs(body.decode("utf-8", errors="replace"), max_num_fields=FORM_FIELDS_MAX)
        except ValueError as error:
            raise NoToken("invalid_request", f"over {FORM_FIELDS_MAX} fields", rule="A1") from error
        if form.get("grant_type") != [GRANT]:
            raise NoToken("unsupported_grant_type", "Invalid grant_type", rule="A1")
        if switches.token_refusal is not None:
            raise NoToken(switches.token_refusal, "The administrator does not allow this.")
        claims = self._checked_claims(form.get("assertion", [""])[0])
        if claims.get("aud") not in VENDOR_AUDIENCES | {own_address}:
            raise NoToken("invalid_grant", "Invalid JWT: aud is not this endpoint", rule="A3")
        self._check_times(claims)
        account, _ = self._accounts[claims["iss"]]
        scopes = frozenset(str(claims.get("scope", "")).split())
        if not scopes or scopes - SCOPES:
            raise NoToken("invalid_scope", "Some requested scopes were invalid or empty.", rule="A6")
        if scopes - account.delegated_scopes:
            raise NoToken("unauthorized_client", _UNAUTHORISED)
        subject = self._find_subject(str(claims["sub"])) if "sub" in claims else ""
        if subject is None:
            raise NoToken("invalid_grant", "Invalid email or User ID")
        self._issued += 1
        mark = hashlib.sha256(f"{self._issued} {form['assertion'][0]}".encode()).hexdigest()
        token = f"ya29.simulated-{mark}"
        expires = self._clock() + timedelta(seconds=switches.token_seconds)
        self._tokens[token] = Access(subject=subject, scopes=scopes, expires=expires)
        while len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        return {"access_token": token, "expires_in": switches.token_seconds, "token_type": "Bearer"}

    def access(self, authorization: str) -> Access | None:
        """Say what the token of an Authorization header stands for, if it still stands for anything."""
        scheme, _, token = authorization.partition(" ")
        access = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        return access if access is not None and access.expires > self._clock() else None

    def _checked_claims(self, assertion: str) -> dict[str, Any]:
        """Read an assertion whose signature is good (A2)."""
        parts = assertion.split(".")
        if len(parts) != 3 or len(assertion) > ASSERTION_LENGTH_MAX:
            raise NoToken("invalid_grant", "Invalid JWT: it has not three parts", rule="A1")
        try:
            header, claims = (json.loads(_decoded(part)) for part in parts[:2])
            signature = _decoded(parts[2])
        except (ValueError, binascii.Error, RecursionError) as error:
            raise NoToken("invalid_grant", "Invalid JWT: it cannot be read", rule="A1") from error
        if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "RS256":
            raise NoToken("invalid_grant", "Invalid JWT: alg must be RS256", rule="A2")
        known = self._accounts.get(str(claims.get("iss")))
        if known is None:
            raise NoToken("invalid_grant", "Invalid grant: account not found")
        try:
            signed = f"{parts[0]}.{parts[1]}".encode()
            known[1].verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise NoToken("invalid_grant", "Invalid JWT Signature.") from error
        return claims

    def _check_times(self, claims: dict[str, Any]) -> None:
        """Refuse an assertion that is too long-lived, not yet or no longer good (A4)."""
        issued, expires = claims.get("iat"), claims.get("exp")
        now = self._clock().timestamp()
        is_good = (
            isinstance(issued, int)
            and isinstance(expires, int)
            and 0 < expires - issued <= ASSERTION_SECONDS_MAX
            and issued <= now + SKEW_SECONDS_MAX
            and expires > now - SKEW_SECONDS_MAX
        )
        if not is_good:
            raise NoToken("invalid_grant", _SHORT_LIVED)


def own_token_address(host: str) -> str:
    """Say what the token endpoint is called from outside."""
    return urlsplit(f"http://{host}/token").geturl()


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
