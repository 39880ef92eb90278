"""How a caller of Klaxon Alerts proves who it is: fetched token, Basic, key header, fixed bearer, or not at all."""

import base64
import hashlib
import hmac
import json
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_plus

from simulators.alerts.switches import AlertsSwitches
from simulators.kit.gateway import Answer, Call

TOKENS_MAX = 10_000
"""Tokens remembered; the oldest are forgotten first, which ends them early."""


class Doorkeeper:
    """Gives out tokens and judges what callers show."""

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        api_key: str,
        bearer_token: str,
        monotonic: Callable[[], float],
    ) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._api_key = api_key
        self._bearer_token = bearer_token
        self._monotonic = monotonic
        self._good_until: OrderedDict[str, float] = OrderedDict()
        self._given = 0

    def may_enter(self, call: Call, switches: AlertsSwitches) -> bool:
        """Say whether a call shows a proof that is taken now."""
        scheme, _, shown = call.headers.get("authorization", "").partition(" ")
        is_basic = scheme.lower() == "basic" and _basic(shown.strip()) == (self._client_id, self._client_secret)
        is_token = scheme.lower() == "bearer" and self._good_until.get(shown.strip(), -1.0) > self._monotonic()
        is_key = _same(call.headers.get(switches.key_header, ""), self._api_key)
        match switches.auth:
            case "none":
                return True
            case "basic":
                return is_basic
            case "header_key":
                return is_key
            case "bearer":
                return scheme.lower() == "bearer" and _same(shown.strip(), self._bearer_token)
            case "oauth2":
                return is_token
            case "documented":
                return is_basic or is_token or is_key

    def give_token(self, call: Call, switches: AlertsSwitches, *, pretend: bool) -> tuple[Answer, str | None]:
        """Answer a request for a token, and say which rule it broke, if one (K3, K4)."""
        if (
            call.headers.get("content-type", "").partition(";")[0].strip().lower()
            != "application/x-www-form-urlencoded"
        ):
            return _refused(400, "invalid_request", "the body must be a form"), "K3"
        form = dict(parse_qsl(call.body.decode("latin-1"), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "grant_type must be client_credentials"), "K3"
        scheme, _, shown = call.headers.get("authorization", "").partition(" ")
        in_body = "client_secret" in form
        in_header = scheme.lower() == "basic"
        if in_body and in_header:
            return _refused(400, "invalid_request", "the credentials stand in two places"), "K4"
        if (in_body and switches.proof_place == "basic") or (in_header and switches.proof_place == "body"):
            return _refused(401, "invalid_client", f"the credentials belong into the {switches.proof_place}"), "K4"
        pair = (form.get("client_id", ""), form.get("client_secret", "")) if in_body else _basic(shown.strip())
        if pair is None or not (_same(pair[0], self._client_id) and _same(pair[1], self._client_secret)):
            return _refused(401, "invalid_client", "the client is not known"), None
        token = self._new_token(switches.token_seconds, pretend=pretend)
        document = {"access_token": token, "token_type": "Bearer", "expires_in": switches.token_seconds}
        return Answer(status=200, body=json.dumps(document).encode(), headers={"Cache-Control": "no-store"}), None

    def _new_token(self, seconds: int, *, pretend: bool) -> str:
        self._given += 1
        seal = hmac.new(self._client_secret.encode(), str(self._given).encode(), hashlib.sha256).hexdigest()
        token = f"kx{self._given}.{seal}"
        if not pretend:
            self._good_until[token] = self._monotonic() + seconds
            if len(self._good_until) > TOKENS_MAX:
                self._good_until.popitem(last=False)
        return token


def _basic(shown: str) -> tuple[str, str] | None:
    try:
        name, colon, secret = base64.b64decode(shown, validate=True).decode().partition(":")
    except ValueError:
        return None
    # RFC 6749 2.3.1 has both form-encoded before they are joined; a client that does not is understood as well.
    return (unquote_plus(name), unquote_plus(secret)) if colon else None


def _same(shown: str, known: str) -> bool:
    return hmac.compare_digest(shown.encode(), known.encode())


def _refused(status: int, error: str, message: str) -> Answer:
    return Answer(status=status, body=json.dumps({"error": error, "message": message}).encode())
