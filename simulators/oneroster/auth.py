"""Who may read a simulated provider: OAuth 2 client credentials, and for 1.1 requests signed with OAuth 1.0a.

It decides from headers, query and clock, and keeps the tokens given out and the nonces seen. It knows
nothing of the roster.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import parse_qsl, quote, unquote, unquote_plus

from simulators.kit.gateway import Call

TOKENS_MAX = 1_000
NONCES_MAX = 10_000
SIGNATURE_AGE_SECONDS_MAX = 300
FORM_FIELDS_MAX = 20
SCOPE_BASE = "https://purl.imsglobal.org/spec/or/v1p2/scope/"
CORE, ROSTER, DEMOGRAPHICS = (
    SCOPE_BASE + name for name in ("roster-core.readonly", "roster.readonly", "roster-demographics.readonly")
)
SCOPES_1P2 = frozenset({CORE, ROSTER, DEMOGRAPHICS})
_FORM = "application/x-www-form-urlencoded"
_PARAMETER = re.compile(r'\s*([A-Za-z_]+)="([^"]*)"\s*(?:,|$)')


class Denied(Exception):
    """Not let in: the status, an OAuth 2 error word for a token request, a text, and the rule when one was broken."""

    def __init__(self, status: int, word: str, text: str, rule: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.word = word
        self.rule = rule


@dataclass(frozen=True, slots=True)
class Token:
    """One bearer token."""

    expires_at: datetime
    scopes: frozenset[str]
    version: str


class Door:
    """Checks credentials; bounded in what it remembers."""

    def __init__(self, *, client_id: str, client_secret: str, scopes: frozenset[str]) -> None:
        self._id = client_id
        self._secret = client_secret
        self._scopes = scopes
        """What this client may have of 1.2."""
        self._tokens: OrderedDict[str, Token] = OrderedDict()
        self._nonces: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._given = 0

    def give_token(
        self, call: Call, *, version: str, client_auth: str, seconds: int, now: datetime
    ) -> dict[str, object]:
        """Answer a token request (O2, O3); `Denied` says what is wrong with it."""
        if not call.headers.get("content-type", "").startswith(_FORM):
            raise Denied(400, "invalid_request", f"the body must be {_FORM}", "O2")
        try:
            form = dict(parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX))
        except ValueError as error:
            raise Denied(400, "invalid_request", "the body is no form", "O2") from error
        if form.get("grant_type") != "client_credentials":
            raise Denied(400, "unsupported_grant_type", "grant_type must be client_credentials", "O2")
        self._check_client(call, form, client_auth=client_auth)
        asked = frozenset(form.get("scope", "").split())
        granted = asked & self._scopes if version == "1.2" else asked
        if version == "1.2" and not granted:
            raise Denied(400, "invalid_scope", "1.2 needs a scope that this client may have", "O3")
        self._given += 1
        text = hmac.new(self._secret.encode(), f"oneroster {self._given}".encode(), hashlib.sha256).hexdigest()
        self._tokens[text] = Token(now + timedelta(seconds=seconds), granted, version)
        if len(self._tokens) > TOKENS_MAX:
            self._tokens.popitem(last=False)
        return {
            "access_token": text,
            "token_type": "bearer",
            "expires_in": seconds,
            "scope": " ".join(sorted(granted)),
        }

    def check_bearer(self, call: Call, *, version: str, is_demographics: bool, now: datetime) -> None:
        """Let a bearer token in, or say why not (O2, O3)."""
        scheme, _, text = call.headers.get("authorization", "").partition(" ")
        token = self._tokens.get(text.strip()) if scheme.lower() == "bearer" else None
        if token is None or token.version != version or now >= token.expires_at:
            raise Denied(401, "invalid_token", "a valid token is needed")
        needed = {DEMOGRAPHICS} if is_demographics else {CORE, ROSTER}
        if version == "1.2" and not needed & token.scopes:
            raise Denied(403, "insufficient_scope", "the token has not the scope for this path", "O3")

    def check_signature(self, call: Call, *, now: datetime) -> None:
        """Let a request signed with OAuth 1.0a and HMAC-SHA256 in, or say why not (O4)."""
        _, _, text = call.headers.get("authorization", "").partition(" ")
        oauth = {unquote(name): unquote(value) for name, value in _PARAMETER.findall(text)}
        if oauth.get("oauth_signature_method") != "HMAC-SHA256":
            raise Denied(401, "invalid_request", "oauth_signature_method must be HMAC-SHA256", "O4")
        if oauth.get("oauth_version", "1.0") != "1.0":
            raise Denied(401, "invalid_request", "oauth_version must be 1.0", "O4")
        stamp, nonce = oauth.get("oauth_timestamp", ""), oauth.get("oauth_nonce", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or not nonce:
            raise Denied(401, "invalid_request", "oauth_timestamp and oauth_nonce are needed", "O4")
        if abs(now.timestamp() - int(stamp)) > SIGNATURE_AGE_SECONDS_MAX:
            raise Denied(401, "invalid_request", f"oauth_timestamp is off by over {SIGNATURE_AGE_SECONDS_MAX} s", "O4")
        if not hmac.compare_digest(oauth.get("oauth_consumer_key", "").encode(), self._id.encode()):
            raise Denied(401, "invalid_client", "the consumer key is not known")
        sent = oauth.get("oauth_signature", "").encode()
        rights = [self._signature(call, oauth, safe=safe) for safe in _PATH_FORMS]
        if not any(hmac.compare_digest(sent, right.encode()) for right in rights):
            raise Denied(401, "invalid_signature", "the signature is not right")
        if (stamp, nonce) in self._nonces:
            raise Denied(401, "invalid_request", "oauth_nonce was used before", "O4")
        self._nonces[stamp, nonce] = None
        if len(self._nonces) > NONCES_MAX:
            self._nonces.popitem(last=False)

    def _signature(self, call: Call, oauth: dict[str, str], *, safe: str) -> str:
        pairs = [(_encoded(name), _encoded(value)) for name, value in call.query.items()]
        pairs += [
            (_encoded(name), _encoded(value))
            for name, value in oauth.items()
            if name not in {"oauth_signature", "realm"}
        ]
        parameters = "&".join(f"{name}={value}" for name, value in sorted(pairs))
        host = call.headers.get("host", "").lower().removesuffix(":80")
        address = f"http://{host}/" + "/".join(quote(part, safe=safe) for part in call.segments)
        text = "&".join((call.method, _encoded(address), _encoded(parameters)))
        key = f"{_encoded(self._secret)}&".encode()
        return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()

    def _check_client(self, call: Call, form: dict[str, str], *, client_auth: str) -> None:
        basic = _basic(call.headers.get("authorization", ""))
        in_body = ("client_id" in form) or ("client_secret" in form)
        if basic is not None and in_body:
            raise Denied(400, "invalid_request", "the credentials must be sent in one place only", "O2")
        if (basic is None and client_auth == "basic") or (basic is not None and client_auth == "body"):
            raise Denied(401, "invalid_client", f"the credentials are taken from {client_auth} only", "O2")
        sent = basic if basic is not None else (form.get("client_id", ""), form.get("client_secret", ""))
        for part, right in zip(sent, (self._id, self._secret), strict=True):
            if not hmac.compare_digest(part.encode(), right.encode()):
                raise Denied(401, "invalid_client", "the client is not known")


_PATH_FORMS = ("", "!$&'()*+,;=:@")
"""A path may be sent, and is then signed, with or without percent-encoding of these."""


def _encoded(text: str) -> str:
    return quote(text, safe="-._~")


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, _, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return ("", "")
    # RFC 6749 2.3.1 has both form-encoded; plain ones without % or + come out the same.
    return unquote_plus(name), unquote_plus(secret)
