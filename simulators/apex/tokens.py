"""Tokens of a simulated Apex: how one is asked for, how long it is good, and whom it lets in.

A token is asked for with HTTP Basic and the same credentials in the JSON body, both at once. Tokens are made from the
secret and a counter, so a run can be repeated; expiry is by the simulator's clock.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections import OrderedDict
from datetime import datetime, timedelta

TOKENS_MAX = 1_000
"""Good tokens kept; the oldest is forgotten when another is given."""


class Tokens:
    """The tokens that were given out."""

    def __init__(self, *, client_id: str, client_secret: str) -> None:
        self._client_id = client_id
        self._client_secret = client_secret
        self._expiry: OrderedDict[str, datetime] = OrderedDict()
        self._given = 0

    def wrong_with_request(self, *, authorization: str, body: bytes) -> tuple[str, bool] | None:
        """Say what is wrong with a request for a token, and whether a rule was broken (and not only a secret wrong)."""
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return "the body is not JSON", True
        if not isinstance(document, dict) or document.get("grant_type") != "client_credentials":
            return "grant_type must be client_credentials", True
        basic = _basic(authorization)
        if basic is None or "client_id" not in document or "client_secret" not in document:
            return "the credentials must be sent with HTTP Basic and in the body", True  # A2
        right = (self._client_id, self._client_secret)
        for sent in (basic, (document["client_id"], document["client_secret"])):
            if not all(hmac.compare_digest(str(a).encode(), b.encode()) for a, b in zip(sent, right, strict=True)):
                return "the client is not known", False
        return None

    def give(self, *, now: datetime, seconds: int) -> str:
        """Give out a new token."""
        self._given += 1
        token = hmac.new(self._client_secret.encode(), f"apex {self._given}".encode(), hashlib.sha256).hexdigest()
        self._expiry[token] = now + timedelta(seconds=seconds)
        if len(self._expiry) > TOKENS_MAX:
            self._expiry.popitem(last=False)
        return token

    def lets_in(self, authorization: str, *, now: datetime) -> bool:
        """Tell whether a request comes with a token that is known and not over."""
        scheme, _, token = authorization.partition(" ")
        expiry = self._expiry.get(token.strip()) if scheme.lower() == "bearer" else None
        return expiry is not None and now < expiry


def _basic(authorization: str) -> tuple[str, str] | None:
    scheme, _, text = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, secret) if colon else None
