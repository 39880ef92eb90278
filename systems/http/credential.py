"""How requests of a connection prove who asks, as the interface document says; the secrets are read here."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import assert_never
from urllib.parse import quote

import httpx

from shared.errors import NeedsPerson
from shared.http.credentials import Credential, Fixed, Granted, Referenced, Token, plain
from shared.http.exchange import Exchange, Received
from shared.http.shape import WrongShape, at
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.secrets import Secret
from systems.http.description import BasicAuth, BearerAuth, HeaderAuth, HttpInterface, NoAuth, OauthAuth
from systems.http.settings import BasicSettings, BearerSettings, HeaderSettings, InterfaceSettings, OauthSettings

TOKEN_CHARACTERS_MAX = 16_384


def credential_of(
    http: HttpInterface, settings: InterfaceSettings, surroundings: Surroundings, *, may_write: bool
) -> tuple[Credential, Exchange | None]:
    """The credential that reads or the one that writes, and the way to where its tokens are given, if they are."""
    match http.auth, settings:
        case NoAuth(), _:
            return Fixed({}), None
        case BasicAuth(), BasicSettings():
            user = (settings.write_user if may_write else None) or settings.user
            reference = (settings.write_password if may_write else None) or settings.password
            return Referenced(lambda: {"Authorization": _basic(user, _secret(reference, surroundings))}), None
        case HeaderAuth(name=name), HeaderSettings():
            reference = (settings.write_key if may_write else None) or settings.key
            return Referenced(lambda: {name: plain(surroundings.resolve(reference), reference=reference)}), None
        case BearerAuth(), BearerSettings():
            reference = (settings.write_token if may_write else None) or settings.token

            def bearer() -> dict[str, str]:
                return {"Authorization": f"Bearer {plain(surroundings.resolve(reference), reference=reference)}"}

            return Referenced(bearer), None
        case OauthAuth() as auth, OauthSettings():
            client_id = (settings.write_client_id if may_write else None) or settings.client_id
            reference = (settings.write_client_secret if may_write else None) or settings.client_secret
            address = settings.model_copy(update={"base_url": settings.token_base_url or settings.base_url})
            exchange = Exchange(address, credential=Fixed({}), surroundings=surroundings, headers={})
            secret = partial(_secret, reference, surroundings)
            secret()  # what cannot be read is told at the opening
            granting = _Granting(auth, client_id, secret, exchange)
            return Granted(granting.token, clock=surroundings.clock), exchange
    raise AssertionError("the settings were made for another interface")


@dataclass(frozen=True)
class _Granting:
    """Asks for tokens with one client's credentials."""

    auth: OauthAuth
    client_id: str
    client_secret: Callable[[], Secret]
    """Reads it anew for each token, of which a run may need several."""
    exchange: Exchange

    async def token(self, use: Use) -> Token:
        """A new token."""
        asked = {"grant_type": "client_credentials"}
        if self.auth.scope is not None:
            asked["scope"] = self.auth.scope
        secret = self.client_secret()
        proof = {"client_id": self.client_id, "client_secret": str(secret)}
        match self.auth.send:
            case "form":
                received = await self.exchange.ask("POST", self.auth.token_path, use=use, form={**asked, **proof})
            case "json":
                received = await self.exchange.ask("POST", self.auth.token_path, use=use, body={**asked, **proof})
            case "basic":
                # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
                header = _basic(quote(self.client_id, safe=""), Secret(quote(secret, safe="")))
                received = await self.exchange.ask(
                    "POST", self.auth.token_path, use=use, form=asked, headers={"Authorization": header}
                )
            case _ as never:
                assert_never(never)
        return await self._read(received, use)

    async def _read(self, received: Received, use: Use) -> Token:
        status = received.status
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise await self.exchange.too_many(received, use=use)
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise NeedsPerson(
                f"{use}_AUTH",
                f"{status} for a token: client_id and client_secret are not known, or may not have this scope",
                status=httpx.codes.UNAUTHORIZED,
            )
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status == httpx.codes.REQUEST_TIMEOUT:
            raise self.exchange.unavailable(received, use=use)
        if status not in (httpx.codes.OK, httpx.codes.CREATED) or not received.is_whole:
            raise self.exchange.odd(received, use=use)
        try:
            body = received.json()
            text = at(body, self.auth.token)
        except WrongShape:
            raise self.exchange.odd(received, use=use) from None
        if not isinstance(text, str) or not text.isascii() or not text.isprintable() or " " in text or not text:
            raise self.exchange.odd(received, use=use)
        if len(text) > TOKEN_CHARACTERS_MAX:
            raise self.exchange.odd(received, use=use)
        return Token(text, lives_seconds=self._lives_seconds(body))

    def _lives_seconds(self, body: object) -> float:
        for pointer in self.auth.expires:
            try:
                told = at(body, pointer)
            except WrongShape:
                continue
            if isinstance(told, str) and told.isascii() and told.isdigit() and len(told) <= 9:
                return float(told)
            if isinstance(told, int | float) and not isinstance(told, bool) and 0 <= told <= 1e9:
                return float(told)
        return float(self.auth.lives_seconds)


def _secret(reference: str, surroundings: Surroundings) -> Secret:
    secret = surroundings.resolve(reference)
    if not secret or not secret.isprintable():
        raise NeedsPerson("SYS_SECRET", f"{reference}: is blank or holds control characters; store it anew")
    return secret


def _basic(user: str, password: Secret) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")
