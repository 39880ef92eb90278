"""Signing in at an OpenID provider: authorization code with PKCE, and what of its answer is believed.

What a browser carries between the two halves (state, nonce, verifier) is sealed, bound to that browser by a cookie and
good for ten minutes. Tokens are used once, for who the person is, and kept nowhere.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import httpx
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from services.console.settings import ConsoleSettings
from shared.clock import Clock
from shared.errors import NeedsPerson, TryLater
from shared.secrets import forget_kept, resolve

ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Signatures of a key that the provider publishes; never `none`, never one made with a shared secret."""
SECONDS_MAX: Final = 10.0
BODY_BYTES_MAX: Final = 1_048_576
SKEW_SECONDS: Final = 60
ATTEMPT_SECONDS: Final = 600
KNOWN_SECONDS: Final = 3_600.0
"""How long the provider's description and keys are believed; an unknown key asks for them anew."""
RANDOM_BYTES: Final = 32

log = structlog.get_logger(__name__)


class ProviderRefused(Exception):
    """The provider cannot be asked, or its answer is not believed; the message may be shown."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One sign-in under way, as the browser carries it sealed."""

    state: str
    nonce: str
    verifier: str
    began: int
    next: str
    is_step_up: bool

    def text(self) -> str:
        """As it is sealed."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__})


class Provider:
    """One OpenID provider."""

    def __init__(self, settings: ConsoleSettings, *, redirect: str, clock: Clock) -> None:
        if settings.oidc_issuer is None or settings.oidc_client_id is None:
            raise ValueError("an OpenID provider needs AETHER_OIDC_ISSUER and AETHER_OIDC_CLIENT_ID")
        self._settings = settings
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._client_id = settings.oidc_client_id
        self._redirect = redirect
        self._clock = clock
        self._description: dict[str, Any] = {}
        self._keys: KeySet | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def begin(self, *, next_path: str, is_step_up: bool) -> tuple[str, Attempt]:
        """Where to lead the browser, and what it carries meanwhile."""
        await self._learn()
        attempt = Attempt(
            state=secrets.token_urlsafe(RANDOM_BYTES),
            nonce=secrets.token_urlsafe(RANDOM_BYTES),
            verifier=secrets.token_urlsafe(RANDOM_BYTES),
            began=int(self._clock.now().timestamp()),
            next=next_path,
            is_step_up=is_step_up,
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(attempt.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": self._redirect,
            "scope": "openid profile email",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if is_step_up:
            asked |= {"prompt": "login", "max_age": "0"}
        where = str(self._description["authorization_endpoint"])
        return f"{where}{'&' if '?' in where else '?'}{urlencode(asked)}", attempt

    def attempt_in(self, text: str | None, *, state: str) -> Attempt:
        """The attempt that the browser carried; `ProviderRefused` when it is missing, old or another's."""
        try:
            attempt = Attempt(**json.loads(text or ""))
        except (ValueError, TypeError):
            raise ProviderRefused("This browser did not begin a sign-in here, or did so too long ago.") from None
        if not secrets.compare_digest(attempt.state.encode(), state.encode()):
            raise ProviderRefused("The provider's answer belongs to another sign-in than this browser's.")
        if self._clock.now().timestamp() - attempt.began > ATTEMPT_SECONDS:
            raise ProviderRefused(f"The sign-in took longer than {ATTEMPT_SECONDS // 60} minutes.")
        return attempt

    async def finish(self, attempt: Attempt, *, code: str) -> str:
        """The name of the person on the bus, by the provider's word; `ProviderRefused` when it is not believed."""
        await self._learn()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": attempt.verifier,
            "client_id": self._client_id,
        }
        where, credential = str(self._description["token_endpoint"]), await self._credential()
        try:
            answer = await self._ask("POST", where, data=form, auth=credential)
        except ProviderRefused:
            forget_kept()  # the client secret may have been renewed since it was read
            raise
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderRefused("The provider's answer holds no identity.")
        claims = await self._claims(token)
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), attempt.nonce.encode()):
            raise ProviderRefused("The identity was made for another sign-in.")
        if attempt.is_step_up:
            self._check_freshness(claims, attempt)
        name = claims.get(self._settings.oidc_user_claim)
        if not isinstance(name, str) or not name:
            raise ProviderRefused(f"The identity has no {self._settings.oidc_user_claim}, which names the person here.")
        return name

    async def _credential(self) -> tuple[str, str] | None:
        """What the console proves itself with to the provider; read at each sign-in, so that it may be renewed."""
        reference = self._settings.oidc_client_secret
        if reference is None:
            return None
        try:
            secret = await asyncio.to_thread(resolve, reference)  # some secrets lie with a server
        except (NeedsPerson, TryLater) as error:
            log.error("console_client_secret_unreadable", code=error.code, problem=error.message)
            raise ProviderRefused(
                "This house cannot prove itself to the provider; its admin finds the reason in the console's log."
            ) from None
        # Both are form-encoded before they are joined: RFC 6749, 2.3.1.
        return quote_plus(self._client_id), quote_plus(secret)

    def _check_freshness(self, claims: dict[str, Any], attempt: Attempt) -> None:
        at = claims.get("auth_time")
        if not isinstance(at, int) or at < attempt.began - SKEW_SECONDS:
            raise ProviderRefused("The provider does not say that you proved who you are just now.")

    async def _claims(self, token: str) -> dict[str, Any]:
        rules = jwt.JWTClaimsRegistry(
            now=lambda: int(self._clock.now().timestamp()),
            leeway=SKEW_SECONDS,
            iss={"essential": True, "value": str(self._description["issuer"])},
            aud={"essential": True, "value": self._client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        for is_last in (False, True):
            if self._keys is None:
                raise ProviderRefused("The provider's keys are not known.")
            try:
                decoded = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
                rules.validate(decoded.claims)
            except (JoseError, ValueError) as error:
                if is_last:
                    raise ProviderRefused(f"The provider's identity does not hold ({type(error).__name__}).") from None
                await self._learn(is_anew=True)  # its keys may have changed since
            else:
                claims: dict[str, Any] = dict(decoded.claims)
                audience = claims["aud"]
                if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._client_id:
                    raise ProviderRefused("The identity was made for several parties, and not for us by name.")
                return claims
        raise AssertionError("the second round returns or raises")

    async def _learn(self, *, is_anew: bool = False) -> None:
        """Know the provider's description and keys."""
        async with self._reading:
            now = self._clock.monotonic_seconds()
            if not is_anew and now - self._read_at < KNOWN_SECONDS:
                return
            described = await self._ask("GET", f"{self._issuer}/.well-known/openid-configuration")
            if str(described.get("issuer", "")).rstrip("/") != self._issuer:
                raise ProviderRefused("The provider calls itself by another name than AETHER_OIDC_ISSUER.")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                self._check_address(described.get(name), name)
            keys = await self._ask("GET", str(described["jwks_uri"]))
            try:
                self._keys = KeySet.import_key_set(keys)  # type: ignore[arg-type]  # what is wrong with it is told
            except (JoseError, ValueError, KeyError, TypeError) as error:
                raise ProviderRefused(f"The provider's keys cannot be read ({type(error).__name__}).") from None
            self._description, self._read_at = described, now

    def _check_address(self, address: object, name: str) -> None:
        schemes = ("https://", "http://") if self._settings.oidc_insecure_http else ("https://",)
        if not isinstance(address, str) or not address.startswith(schemes):
            raise ProviderRefused(f"The provider's {name} is no address over TLS.")

    async def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        self._check_address(url, "address")
        try:
            async with (
                asyncio.timeout(SECONDS_MAX),  # the whole answer: one that drips in would hold everybody's sign-in
                httpx.AsyncClient(timeout=SECONDS_MAX, follow_redirects=False, trust_env=False) as client,
            ):
                async with client.stream(method, url, **options) as answer:
                    body = b""
                    async for part in answer.aiter_bytes():
                        body += part
                        if len(body) > BODY_BYTES_MAX:
                            raise ProviderRefused("The provider's answer is too large.")
                if answer.status_code != 200:
                    raise ProviderRefused(f"The provider refused ({answer.status_code}).")
                document = json.loads(body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError, RecursionError) as error:
            raise ProviderRefused(
                f"The provider cannot be asked ({type(error).__name__}); try again shortly."
            ) from None
        if not isinstance(document, dict):
            raise ProviderRefused("The provider's answer has another shape.")
        return document
