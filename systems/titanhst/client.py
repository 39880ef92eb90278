"""Speaks HTTP with TitanHST: the only file of this system that knows the protocol.

One call, one request: nothing is retried, no redirect is followed. Every answer becomes a decoded body or an error of
the house. For a write the question is always the same: was it surely not done (`TryLater`), surely refused, or is it
unknown? Whatever leaves doubt is `OutcomeUnknown`. Neither bodies nor paths are logged, for both hold personal values.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
import orjson

from shared.errors import (
    AetherError,
    NeedsPerson,
    OutcomeUnknown,
    RecordRefused,
    StopRun,
    TargetMoved,
    TryLater,
)
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.ports.wire import WireWrite
from shared.secrets import Secret
from systems.titanhst.config import HttpDescription, TitanhstConfig
from systems.titanhst.limits import allowance_of, retry_after_of
from systems.titanhst.lines import Lines
from systems.titanhst.wire import Json, WrongShape, at, entity_at, refused_fields

TIMEOUTS_PER_REQUEST_MAX = 4
"""A whole request may last this many times `timeout_seconds`: a body that drips is a silence too."""

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every address, and ours hold people's ids

_NO_WHOLE_ANSWER = (httpx.HTTPError, httpx.InvalidURL, UnicodeError)
"""What httpx raises about an answer; the last two about the address of a redirect, which it reads and never follows."""
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Answer:
    """An answer of a described status and shape."""

    status: int
    body: Json
    """None for an answer without one."""
    sha256: str
    """Hex digest of the body's bytes."""


@dataclass(frozen=True)
class _Received:
    status: int
    headers: httpx.Headers
    content: bytes
    is_whole: bool
    """False when the answer is longer than allowed; the rest was not read."""


class TitanhstClient:
    """A connection to one TitanHST account with one credential."""

    def __init__(
        self, config: TitanhstConfig, *, http: HttpDescription, token: Secret, surroundings: Surroundings
    ) -> None:
        if not token.isascii() or not token.isprintable() or " " in token:
            raise NeedsPerson(
                "SYS_SECRET", f"{config.token}: is no token (blank, control or non-ASCII characters); store it anew"
            )
        self._config = config
        self._http = http
        self._surroundings = surroundings
        self._lines = Lines(
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": http.media_type,
                # A compressed body can be far larger than what its length says.
                "Accept-Encoding": "identity",
                "User-Agent": "aether-integrator",
            },
            timeout_seconds=config.timeout_seconds,
        )

    async def get(self, path: str, *, use: Use, query: Mapping[str, int] | None = None) -> Answer | None:
        """What lies at `path`; None when the other side says, in its own words, that there is nothing.

        Raises `TryLater`, `NeedsPerson` or `StopRun`.
        """
        try:
            received = await self._request("GET", path, use=use, query=query)
        except _NO_WHOLE_ANSWER as problem:
            raise _unreachable(problem, use=use) from None
        except TimeoutError:
            raise TryLater(f"{use}_UNREACHABLE", "the answer took too long; see timeout_seconds") from None
        status = received.status
        if status in self._http.success.read:
            return self._answer(received, use=use)
        if (later := await self._slowed(received, use=use)) is not None:
            raise later
        if (refusal := self._refused_access(received, use=use)) is not None:
            raise refusal
        if status in self._http.statuses.retry_read:
            raise self._unavailable(received, use=use)
        if status == httpx.codes.NOT_FOUND and self._is_own_error(received):
            return None
        raise StopRun(f"{use}_WRONG_SHAPE", self._oddity(received), status=status)

    async def send(self, write: WireWrite, *, idempotency_key: str) -> Answer:
        """Sends one write once; see `shared.ports.system.Target.write` for what it raises."""
        try:
            received = await self._request(
                write.method,
                write.path,
                use="APL",
                body=write.body,
                headers={self._http.idempotency_header: idempotency_key},
            )
        except _NOT_SENT as problem:
            raise _unreachable(problem, use="APL") from None
        except (*_NO_WHOLE_ANSWER, TimeoutError) as problem:
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"{write.method} was sent and no whole answer came ({type(problem).__name__}); read the record first",
            ) from None
        status = received.status
        if status in self._success_of(write.method):
            if status == httpx.codes.NO_CONTENT:
                return Answer(status, None, hashlib.sha256(b"").hexdigest())
            try:
                return self._answer(received, use="APL")
            except StopRun as wrong:
                # It says that it was done, in a shape in which nothing can be relied upon.
                raise OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME", f"{wrong.message}; read the record first", status=status, is_wrong_shape=True
                ) from None
        raise await self._slowed(received, use="APL") or self._write_error(write, received)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._lines.close()

    def _write_error(self, write: WireWrite, received: _Received) -> AetherError:
        statuses, status = self._http.statuses, received.status
        if (refusal := self._refused_access(received, use="APL")) is not None:
            return refusal
        if status in statuses.not_done:
            return self._unavailable(received, use="APL")
        is_own = self._is_own_error(received)
        # A POST that finds no path is a wrong address, not a record that is gone.
        if is_own and status in statuses.moved and not (write.method == "POST" and status == httpx.codes.NOT_FOUND):
            return TargetMoved(
                "APL_CONFLICT", f"{write.method} was answered with {status}: read the record", status=status
            )
        if is_own and status in (*statuses.refused, *statuses.capacity):
            return self._refused_record(write, received)
        if (
            httpx.codes.BAD_REQUEST <= status < httpx.codes.INTERNAL_SERVER_ERROR
            and status != httpx.codes.REQUEST_TIMEOUT
        ):
            return StopRun("APL_WRONG_SHAPE", self._oddity(received), status=status)
        # 5xx, 408, an unexpected 2xx, and redirects too: many programs redirect after they have done it.
        return OutcomeUnknown(
            "APL_UNKNOWN_OUTCOME", f"{write.method} was answered with {status}; read the record first", status=status
        )

    def _refused_record(self, write: WireWrite, received: _Received) -> RecordRefused:
        if received.status in self._http.statuses.capacity:
            return RecordRefused(
                "APL_CAPACITY",
                f"the target has no room for the record ({received.status}); free or buy some",
                status=received.status,
            )
        names = refused_fields(
            _parsed(received.content), http=self._http, entity=entity_at(self._http, write.path) or ""
        )
        return RecordRefused(
            "APL_REFUSED_RECORD",
            f"the target refused the record ({received.status}); fields: {', '.join(names) or 'not named'}",
            status=received.status,
            fields=",".join(names),
        )

    async def _request(
        self,
        method: str,
        path: str,
        *,
        use: Use,
        query: Mapping[str, int] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Received:
        async with self._lines.one() as line:
            await self._surroundings.pacer.turn(use)
            received = await self._exchange(line, method, path, query=query, body=body, headers=headers)
        allowance = allowance_of(received.headers, self._http.allowance, now=self._surroundings.clock.now())
        if allowance is not None:
            await self._surroundings.pacer.heard(allowance)
        return received

    async def _exchange(
        self,
        line: httpx.AsyncClient,
        method: str,
        path: str,
        *,
        query: Mapping[str, int] | None,
        body: Mapping[str, object] | None,
        headers: Mapping[str, str] | None,
    ) -> _Received:
        content = orjson.dumps(dict(body)) if body is not None else None
        sent_headers = dict(headers or {})
        if content is not None:
            sent_headers["Content-Type"] = self._http.media_type
        async with (
            asyncio.timeout(self._config.timeout_seconds * TIMEOUTS_PER_REQUEST_MAX),
            line.stream(
                method,
                self._config.base_url + path,
                params=dict(query) if query is not None else None,
                content=content,
                headers=sent_headers,
            ) as response,
        ):
            chunks: list[bytes] = []
            length = 0
            async for chunk in response.aiter_bytes():
                length += len(chunk)
                if length > self._config.body_bytes_max:
                    return _Received(response.status_code, response.headers, b"", is_whole=False)
                chunks.append(chunk)
            return _Received(response.status_code, response.headers, b"".join(chunks), is_whole=True)

    def _answer(self, received: _Received, *, use: Use) -> Answer:
        if not received.is_whole or not self._is_media_type(received):
            raise StopRun(f"{use}_WRONG_SHAPE", self._oddity(received), status=received.status)
        try:
            body = _parsed(received.content)
        except ValueError:
            raise StopRun(
                f"{use}_WRONG_SHAPE", f"status {received.status} with a body that is no JSON", status=received.status
            ) from None
        return Answer(received.status, body, hashlib.sha256(received.content).hexdigest())

    def _refused_access(self, received: _Received, *, use: Use) -> NeedsPerson | None:
        if received.status == httpx.codes.UNAUTHORIZED:
            text = "the token is not known or has expired; renew it"
        elif received.status == httpx.codes.FORBIDDEN:
            text = "the token may not do this; use one with the right to"
        else:
            return None
        return NeedsPerson(f"{use}_AUTH", f"{received.status}: {text}", status=received.status)

    async def _slowed(self, received: _Received, *, use: Use) -> TryLater | None:
        """The error for an answer that means too many requests, once everybody who shares the rate has been told."""
        if received.status != httpx.codes.TOO_MANY_REQUESTS and not self._is_quota(received):
            return None
        seconds = self._retry_after(received)
        await self._surroundings.pacer.slow_down(seconds)
        return TryLater(
            f"{use}_RATE_LIMITED",
            f"the other side answers {received.status}: too many requests; wait and ask again",
            retry_after_seconds=seconds,
            status=received.status,
        )

    def _is_quota(self, received: _Received) -> bool:
        quota = self._http.quota
        if received.status != quota.status or not self._is_own_error(received):
            return False
        try:
            return at(_parsed(received.content), quota.reason) in quota.values
        except WrongShape:
            return False

    def _unavailable(self, received: _Received, *, use: Use) -> TryLater:
        return TryLater(
            f"{use}_UNREACHABLE",
            f"the other side answers {received.status}; wait and ask again",
            retry_after_seconds=self._retry_after(received),
            status=received.status,
        )

    def _retry_after(self, received: _Received) -> float | None:
        return retry_after_of(received.headers.get("Retry-After"), now=self._surroundings.clock.now())

    def _success_of(self, method: str) -> tuple[int, ...]:
        match method:
            case "POST":
                return self._http.success.create
            case "DELETE":
                return self._http.success.delete
            case _:
                return self._http.success.update

    def _is_own_error(self, received: _Received) -> bool:
        """Whether the interface itself speaks, and not a proxy, a firewall or another program at that address."""
        if not received.is_whole or not self._is_media_type(received):
            return False
        try:
            return isinstance(at(_parsed(received.content), self._http.error.message), str)
        except (WrongShape, ValueError):
            return False

    def _is_media_type(self, received: _Received) -> bool:
        return _media_type(received) == self._http.media_type

    def _oddity(self, received: _Received) -> str:
        place = received.headers.get("Location")
        if httpx.codes.MULTIPLE_CHOICES <= received.status < httpx.codes.BAD_REQUEST and place is not None:
            return f"status {received.status} sends us elsewhere; correct base_url or the credential"
        if not received.is_whole:
            return f"status {received.status} with a body over {self._config.body_bytes_max} bytes (body_bytes_max)"
        return (
            f"status {received.status} with {_media_type(received) or 'no media type'} where "
            f"{self._http.media_type} of the described shape was due; check base_url"
        )


def _media_type(received: _Received) -> str:
    return str(received.headers.get("Content-Type", "")).partition(";")[0].strip().lower()[:100]


def _parsed(content: bytes) -> Json:
    parsed: Json = orjson.loads(content)  # its JSONDecodeError is a ValueError
    return parsed


def _unreachable(problem: Exception, *, use: Use) -> AetherError:
    cause: BaseException | None = problem
    for _ in range(5):  # httpx wraps httpcore wraps ssl
        if isinstance(cause, ssl.SSLCertVerificationError):
            return NeedsPerson(
                f"{use}_CONFIG", "the other side's certificate is not trusted; correct base_url or the trust store"
            )
        cause = cause.__cause__ or cause.__context__ if cause is not None else None
    return TryLater(f"{use}_UNREACHABLE", f"no answer ({type(problem).__name__}); check base_url and the network")
