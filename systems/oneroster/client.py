"""Speaks HTTP with a roster service: the only file of this system that knows tokens, pages and what answers mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

import httpx

from shared.errors import NeedsPerson, StopRun
from shared.http.credentials import Fixed, Granted, Token
from shared.http.exchange import JSON_TYPE, Exchange, Received
from shared.http.grants import basic, secret_of, token_in
from shared.http.rows import Rows
from shared.http.shape import Json, WrongShape, at
from shared.ports.surroundings import Surroundings
from shared.secrets import Secret
from systems.oneroster.config import BASE_PATHS, SCOPES_1P2, OneRosterConfig
from systems.oneroster.fields import Collection
from systems.oneroster.records import rows_of_json

TOTAL_HEADER: Final = "X-Total-Count"
TOKEN_LIVES_SECONDS: Final = 600.0
"""Assumed of a token whose answer does not tell."""
_TOTAL_DIGITS_MAX: Final = 12
_REASONS: Final = frozenset(
    {
        "invalid_sort_field",
        "invalid_selection_field",
        "invalid_filter_field",
        "invaliddata",
        "unauthorisedrequest",
        "forbidden",
        "server_busy",
        "unknownobject",
        "internal_server_error",
    }
)
"""Words of the specification for what is wrong; any other text of an error is not told on."""


@dataclass(frozen=True)
class RosterPage:
    """One page of a list."""

    rows: Rows
    total: int | None
    """Of the list, as this page tells; None when it does not."""
    sha256: str


class OneRosterClient:
    """A connection to one roster service."""

    def __init__(self, config: OneRosterConfig, surroundings: Surroundings) -> None:
        """Reads the secret now; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot be used."""
        self._config = config
        self._client_id = config.client_id or ""
        self._secret = partial(secret_of, config.client_secret or "", surroundings)
        self._secret()  # what cannot be read is told at the opening
        self._base = config.base_path if config.base_path is not None else BASE_PATHS[config.version]
        self._granting = Exchange(config.http(), credential=Fixed({}), surroundings=surroundings, headers={})
        credential = Granted(self._token, clock=surroundings.clock)
        self._exchange = Exchange(
            config.http(), credential=credential, surroundings=surroundings, headers={"Accept": JSON_TYPE}
        )

    async def page(self, collection: Collection, *, offset: int, limit: int) -> RosterPage:
        """The records from `offset` on, in the order of their ids. Raises `TryLater`, `NeedsPerson` or `StopRun`."""
        query: dict[str, str | int] = {"limit": limit, "offset": offset, "sort": "sourcedId", "orderBy": "asc"}
        received = await self._exchange.ask("GET", f"{self._base}/{collection.path}", use="SRC", query=query)
        if received.status != httpx.codes.OK:
            raise await self._refusal(received, collection)
        if not received.is_whole or received.media_type != JSON_TYPE:
            raise self._exchange.odd(received, use="SRC")
        try:
            rows = rows_of_json(at(received.json(), f"/{collection.path}"), collection)
        except WrongShape as wrong:
            raise StopRun(
                "SRC_WRONG_SHAPE",
                f"{collection.path}: {wrong}; check version ({self._config.version}) and ask the provider",
                pointer=wrong.pointer,
            ) from None
        return RosterPage(rows, _total_of(received), received.sha256)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._exchange.close()
        await self._granting.close()

    async def _token(self, use: str) -> Token:
        scope = self._config.scope if self._config.scope is not None else ""
        if self._config.scope is None and self._config.version == "1.2":
            scope = SCOPES_1P2
        form = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        headers: dict[str, str] = {}
        if self._config.client_auth == "form":
            form |= {"client_id": self._client_id, "client_secret": str(self._secret())}
        else:
            # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
            secret = Secret(quote(self._secret(), safe=""))
            headers["Authorization"] = basic(quote(self._client_id, safe=""), secret)
        path = self._config.token_path if self._config.token_path is not None else f"{self._base}/token"
        received = await self._granting.ask("POST", path, use="SRC", form=form, headers=headers)
        return await token_in(
            received,
            exchange=self._granting,
            use="SRC",
            life_names=("expires_in",),
            lives_seconds=TOKEN_LIVES_SECONDS,
        )

    async def _refusal(self, received: Received, collection: Collection) -> Exception:
        status, reason = received.status, _reason_of(received)
        told = f"{status} ({reason})" if reason else str(status)
        if status == httpx.codes.TOO_MANY_REQUESTS or reason == "server_busy":
            return await self._exchange.too_many(received, use="SRC")
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            is_permission = status == httpx.codes.FORBIDDEN
            text = "the token does not open this list; widen the scopes" if is_permission else "the token was refused"
            return NeedsPerson(
                "SRC_AUTH", f"{collection.path}: {told}: {text}", status=status, is_permission=is_permission
            )
        if status == httpx.codes.REQUEST_TIMEOUT or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            return self._exchange.unavailable(received, use="SRC")
        if status == httpx.codes.NOT_FOUND:
            return NeedsPerson(
                "SRC_CONFIG",
                f"{collection.path}: {told}: there is no such list; correct base_url, version or base_path",
                status=status,
            )
        if status == httpx.codes.BAD_REQUEST:
            return NeedsPerson(
                "SRC_CONFIG",
                f"{collection.path}: {told}: the service refuses to be asked so; lower page_limit "
                f"({self._config.page_limit}) or ask the provider whether it sorts by sourcedId",
                status=status,
            )
        return self._exchange.odd(received, use="SRC")


def _total_of(received: Received) -> int | None:
    text = str(received.headers.get(TOTAL_HEADER, "")).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _TOTAL_DIGITS_MAX else None


def _reason_of(received: Received) -> str | None:
    """The word of the specification for what is wrong; some services wrap what it stands in."""
    if not received.is_whole or received.media_type != JSON_TYPE:
        return None
    try:
        body: Json = received.json()
        if isinstance(body, dict) and "imsx_StatusInfo" in body:
            body = body["imsx_StatusInfo"]
        fields = at(body, "/imsx_CodeMinor/imsx_codeMinorField")
    except WrongShape:
        return None
    for each in fields if isinstance(fields, list) else [fields]:
        word = each.get("imsx_codeMinorFieldValue") if isinstance(each, dict) else None
        if word in _REASONS:
            return str(word)
    return None
