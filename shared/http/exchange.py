"""One request, one answer: sends it in its turn, reads the answer within bounds, and says what it means when none came.

Nothing is retried (but a request that bore a token which had just ended), no redirect is followed. What an answer means
is for the system that asked. Neither bodies nor paths are logged, for both hold personal values.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import httpx
import orjson

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, StopRun, TryLater
from shared.http.credentials import Credential
from shared.http.limits import retry_after_of
from shared.http.lines import Lines
from shared.http.settings import HttpSettings
from shared.http.shape import Json, parsed
from shared.ports.metering import Request
from shared.ports.pacing import Allowance, Use
from shared.ports.surroundings import Surroundings

TIMEOUTS_PER_REQUEST_MAX: Final = 4
"""A whole request may last this many times `timeout_seconds`: a body that drips is a silence too."""
JSON_TYPE: Final = "application/json"

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every address, and ours hold people's ids

_NO_WHOLE_ANSWER = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What httpx raises about an answer; the last two about the address of a redirect, which it reads and never follows."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Received:
    """One answer."""

    status: int
    headers: httpx.Headers
    content: bytes
    is_whole: bool
    """False when the answer is longer than allowed, whose rest was not read, or calls itself a part."""

    @cached_property
    def media_type(self) -> str:
        """In lower case and without parameters; empty when none was told."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()[:100]

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the body's bytes."""
        return hashlib.sha256(self.content).hexdigest()

    def json(self) -> Json:
        """The decoded body; `WrongShape` when it is no JSON."""
        return parsed(self.content)


class Exchange:
    """The way to one address with one credential."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        credential: Credential,
        surroundings: Surroundings,
        headers: Mapping[str, str],
        allowance_of: Callable[[Mapping[str, str]], Allowance | None] | None = None,
    ) -> None:
        """`headers` go with every request; `allowance_of` reads what answers say is left of a rate."""
        self._settings = settings
        self._address = _address_of(settings.base_url)
        self._credential = credential
        self._surroundings = surroundings
        self._allowance_of = allowance_of
        self._lines = Lines(
            headers={
                # A compressed body can be far larger than what its length says.
                "Accept-Encoding": "identity",
                "User-Agent": "aether-integrator",
                **headers,
            },
            timeout_seconds=settings.timeout_seconds,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        use: Use,
        query: Mapping[str, str | int] | None = None,
        body: Json = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Received:
        """A request that has no effect. `TryLater` when no whole answer came, `NeedsPerson` for a certificate.

        `path` is put behind `base_url` and is escaped already; `body` is sent as JSON, `form` as a form.
        """
        try:
            return await self._with_credential(method, path, use, query, _encoded(body, form, headers))
        except _NO_WHOLE_ANSWER as problem:
            raise unreachable(problem, use=use) from None
        except TimeoutError:
            raise TryLater(f"{use}_UNREACHABLE", "the answer took too long; see timeout_seconds") from None

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
    ) -> Received:
        """A request that has an effect, once. `TryLater` when it surely was not sent, else `OutcomeUnknown`."""
        try:
            return await self._with_credential(method, path, "APL", query, _encoded(body, None, headers))
        except _NOT_SENT as problem:
            raise unreachable(problem, use="APL") from None
        except (*_NO_WHOLE_ANSWER, TimeoutError) as problem:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"{method} was sent and no whole answer came ({type(problem).__name__}); read the record first",
            ) from None

    async def too_many(self, received: Received, *, use: Use, seconds: float | None = None) -> TryLater:
        """The error for an answer that means too many requests, once everybody who shares the rate has been told.

        `seconds` is the wait that it asked for where that does not stand in `Retry-After`.
        """
        wait = self.retry_after(received) if seconds is None else seconds
        await self._surroundings.pacer.slow_down(wait)
        return TryLater(
            f"{use}_RATE_LIMITED",
            f"the other side answers {received.status}: too many requests; wait and ask again",
            retry_after_seconds=wait,
            status=received.status,
        )

    def unavailable(self, received: Received, *, use: Use) -> TryLater:
        """The error for an answer that says: not now."""
        return TryLater(
            f"{use}_UNREACHABLE",
            f"the other side answers {received.status}; wait and ask again",
            retry_after_seconds=self.retry_after(received),
            status=received.status,
        )

    def odd(self, received: Received, *, use: Use, wanted: str = JSON_TYPE) -> StopRun:
        """The error for an answer that nobody agreed upon."""
        place = received.headers.get("Location")
        if httpx.codes.MULTIPLE_CHOICES <= received.status < httpx.codes.BAD_REQUEST and place is not None:
            text = f"status {received.status} sends us elsewhere; correct base_url or the credential"
        elif received.status == httpx.codes.PARTIAL_CONTENT:
            text = "status 206: a part of an answer, which nobody asked for; look at what stands between"
        elif not received.is_whole:
            text = f"status {received.status} with a body over {self._settings.body_bytes_max} bytes (body_bytes_max)"
        else:
            text = (
                f"status {received.status} with {received.media_type or 'no media type'} where "
                f"{wanted} of the described shape was due; check base_url"
            )
        return StopRun(f"{use}_WRONG_SHAPE", text, status=received.status)

    def retry_after(self, received: Received) -> float | None:
        """The seconds that `Retry-After` asks for; None when it says nothing."""
        return retry_after_of(received.headers.get("Retry-After"), now=self._surroundings.clock.now())

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._lines.close()

    async def _with_credential(
        self, method: str, path: str, use: Use, query: Mapping[str, str | int] | None, sent: _Sent
    ) -> Received:
        proof = await self._credential.headers(use)
        received = await self._in_turn(method, path, use, query, sent.with_headers(proof))
        if received.status == httpx.codes.UNAUTHORIZED and self._credential.forget(proof):
            # Who is not let in has done nothing: a token that ended between two requests costs one more.
            renewed = sent.with_headers(await self._credential.headers(use))
            received = await self._in_turn(method, path, use, query, renewed, resend=1)
        return received

    async def _in_turn(
        self,
        method: str,
        path: str,
        use: Use,
        query: Mapping[str, str | int] | None,
        sent: _Sent,
        *,
        resend: int = 0,
    ) -> Received:
        async with self._lines.one() as line:
            await self._surroundings.pacer.turn(use)
            received = await self._metered(line, method, path, use, query, sent, resend=resend)
        allowance = None if self._allowance_of is None else self._allowance_of(received.headers)
        if allowance is not None:
            await self._surroundings.pacer.heard(allowance)
        return received

    async def _metered(
        self,
        line: httpx.AsyncClient,
        method: str,
        path: str,
        use: Use,
        query: Mapping[str, str | int] | None,
        sent: _Sent,
        *,
        resend: int,
    ) -> Received:
        began, outcome = self._surroundings.clock.monotonic_seconds(), "no answer"
        request = Request(method, host=self._address.host, port=self._address.port, resend=resend)
        try:
            received = await self._exchange(line, method, path, query, sent)
            outcome, request = f"{received.status // 100}xx", replace(request, status=received.status)
            return received
        except BaseException as problem:
            request = replace(request, error=type(problem).__name__)
            raise
        finally:
            seconds = self._surroundings.clock.monotonic_seconds() - began
            self._surroundings.meter.saw(use=use, outcome=outcome, seconds=seconds, request=request)

    async def _exchange(
        self, line: httpx.AsyncClient, method: str, path: str, query: Mapping[str, str | int] | None, sent: _Sent
    ) -> Received:
        async with (
            asyncio.timeout(self._settings.timeout_seconds * TIMEOUTS_PER_REQUEST_MAX),
            line.stream(
                method,
                self._settings.base_url + path,
                params=dict(query) if query is not None else None,
                content=sent.content,
                headers=sent.headers,
            ) as response,
        ):
            chunks: list[bytes] = []
            length = 0
            async for chunk in response.aiter_bytes():
                length += len(chunk)
                if length > self._settings.body_bytes_max:
                    return Received(response.status_code, response.headers, b"", is_whole=False)
                chunks.append(chunk)
            # Nobody here asks for parts: whoever sends one has kept the rest back.
            is_whole = response.status_code != httpx.codes.PARTIAL_CONTENT
            return Received(response.status_code, response.headers, b"".join(chunks), is_whole=is_whole)


@dataclass(frozen=True)
class _Address:
    """What of the address may be told: whom we ask, never for what."""

    host: str | None
    port: int | None


def _address_of(base_url: str) -> _Address:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        return _Address(None, None)  # whoever asks is told so by the request itself
    return _Address(url.host or None, url.port or {"http": 80, "https": 443}.get(url.scheme))


@dataclass(frozen=True)
class _Sent:
    """What goes out beside method and path."""

    content: bytes | None
    headers: dict[str, str]

    def with_headers(self, more: Mapping[str, str]) -> _Sent:
        return _Sent(self.content, {**more, **self.headers})


def _encoded(body: Json, form: Mapping[str, str] | None, headers: Mapping[str, str] | None) -> _Sent:
    sent = dict(headers or {})
    if form is not None:
        return _Sent(str(httpx.QueryParams(dict(form))).encode(), _typed(sent, "application/x-www-form-urlencoded"))
    if body is not None:
        return _Sent(orjson.dumps(body), _typed(sent, JSON_TYPE))
    return _Sent(None, sent)


def _typed(headers: dict[str, str], media_type: str) -> dict[str, str]:
    return headers if "Content-Type" in headers else {**headers, "Content-Type": media_type}


def unreachable(problem: Exception, *, use: Use) -> AetherError:
    """What it means that httpx could not get an answer."""
    cause: BaseException | None = problem
    for _ in range(5):  # httpx wraps httpcore wraps ssl
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NeedsPerson(
                f"{use}_CONFIG", "the other side's certificate is not trusted; correct base_url or the trust store"
            )
        cause = cause.__cause__ or cause.__context__ if cause is not None else None
    return TryLater(f"{use}_UNREACHABLE", f"no answer ({type(problem).__name__}); check base_url and the network")
