"""Speaks HTTP with Aeries: the only file of this system that knows what an answer means.

One call, one request: nothing is retried, no redirect is followed. Every request names its school year, for Aeries
answers from the current one otherwise. What a refusal means is taken from its words too, not from its status alone: 401
is a certificate that is not known, or an area that was not granted. Neither bodies nor messages are told: both may hold
personal values.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

import httpx

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.http import Exchange, Json, Received, WrongShape
from shared.http.credentials import Referenced, plain
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.ports.wire import WireWrite
from systems.aeries_api.config import AeriesApiConfig
from systems.aeries_api.wire import named_in

JSON: Final = "application/json"
_BUSY: Final = frozenset({408, 500, 502, 503, 504})
_DONE: Final = {"POST": frozenset({200, 201}), "PUT": frozenset({200})}
_NOT_GRANTED: Final = ("grant", "permission")
"""Words of a refusal that is about an area and not about the certificate."""
_TAKEN: Final = "already exist"
"""Words of a refusal of a new record whose number is somebody's."""


@dataclass(frozen=True)
class Answer:
    """A successful answer."""

    status: int
    body: Json
    sha256: str


class AeriesClient:
    """A connection to one district with one certificate."""

    def __init__(self, config: AeriesApiConfig, surroundings: Surroundings, *, may_write: bool) -> None:
        reference = (config.write_certificate if may_write else None) or config.certificate

        def proof() -> dict[str, str]:
            return {"AERIES-CERT": plain(surroundings.resolve(reference), reference=reference)}

        self._year = {"DatabaseYear": config.database_year}
        self._together = asyncio.Semaphore(config.requests_at_once)
        self._exchange = Exchange(
            config,
            credential=Referenced(proof),
            surroundings=surroundings,
            headers={"Accept": JSON},
        )

    async def get(self, path: str, *, use: Use, area: str, query: dict[str, str | int] | None = None) -> Answer | None:
        """What lies at `path`; None when Aeries says, in its own words, that there is nothing.

        `area` names for people what has to be granted. Raises `TryLater`, `NeedsPerson` or `StopRun`.
        """
        async with self._together:
            received = await self._exchange.ask("GET", path, use=use, query={**(query or {}), **self._year})
        status = received.status
        if status == httpx.codes.OK and received.is_whole and received.media_type == JSON:
            try:
                return Answer(status, received.json(), received.sha256)
            except WrongShape:
                raise StopRun(f"{use}_WRONG_SHAPE", f"{area}: status 200 with a body that is no JSON") from None
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise await self._exchange.too_many(received, use=use)
        if (refusal := _refused_access(received, use=use, area=area, verb="read")) is not None:
            raise refusal
        if status in _BUSY:
            # A rule of the district comes as 500 too; asking again ends with the tries.
            raise self._exchange.unavailable(received, use=use)
        if status == httpx.codes.NOT_FOUND and _own_words(received) is not None:
            return None
        raise _page(received, use=use) or self._exchange.odd(received, use=use)

    async def send(self, write: WireWrite) -> Answer:
        """Sends one write once; see `shared.ports.system.Target.write` for what it raises."""
        body = dict(write.body or {})
        async with self._together:
            received = await self._exchange.send(write.method, write.path, query=dict(self._year), body=body)
        status = received.status
        if status in _DONE.get(write.method, ()) and received.is_whole and received.media_type == JSON:
            try:
                return Answer(status, received.json(), received.sha256)
            except WrongShape:
                raise _unknown(f"{write.method} was answered with {status} and a body that is no JSON") from None
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise await self._exchange.too_many(received, use="APL")
        raise self._write_error(write.method, received)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._exchange.close()

    def _write_error(self, method: str, received: Received) -> AetherError:
        status, message = received.status, _own_words(received)
        refusal = _refused_access(received, use="APL", area="staff", verb="insert and update")
        if refusal is not None:
            return refusal
        if method == "PUT" and status == httpx.codes.CREATED:
            return _unknown(
                "PUT was answered with 201: there was no such record, and now there is one with nothing but the "
                "fields of this change; look at it and remove it by hand"
            )
        if status == httpx.codes.NOT_FOUND and message is not None and method == "PUT":
            return TargetMoved("APL_CONFLICT", "PUT was answered with 404: read the record", status=status)
        if status in (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY) and message is not None:
            return _refused_record(method, status, message)
        if status == httpx.codes.NOT_FOUND or status in (405, 406, 413, 415) or status == httpx.codes.BAD_REQUEST:
            return _page(received, use="APL") or self._exchange.odd(received, use="APL")
        # 5xx, 408, pages under 200 and redirects: it may have been done before the answer went wrong.
        return _unknown(f"{method} was answered with {status} and {received.media_type or 'no media type'}", status)


def _refused_record(method: str, status: int, message: str) -> AetherError:
    if method == "POST" and _TAKEN in message.lower():
        return TargetMoved("APL_CONFLICT", "the number of staff is taken already: read the record", status=status)
    names = named_in(message)
    text = f"Aeries refused the record ({status}); it names: {', '.join(names) or 'no property that we know'}"
    return RecordRefused("APL_REFUSED_RECORD", text, status=status, fields=",".join(names))


def _refused_access(received: Received, *, use: Use, area: str, verb: str) -> NeedsPerson | None:
    status, message = received.status, (_own_words(received) or "").lower()
    is_permission = status == httpx.codes.FORBIDDEN or any(word in message for word in _NOT_GRANTED)
    if status not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return None
    text = (
        f"{status}: the district has not granted {verb} on {area}; tick it for this certificate in API Security"
        if is_permission
        else f"{status}: the certificate is not known (32 letters and digits, upper and lower case differ); renew it"
    )
    return NeedsPerson(f"{use}_AUTH", text, status=status, is_permission=is_permission)


def _page(received: Received, *, use: Use) -> NeedsPerson | None:
    """The error for a page made for people; None for anything else."""
    if received.media_type not in ("text/html", "application/xhtml+xml"):
        return None
    return NeedsPerson(
        f"{use}_CONFIG",
        f"status {received.status} with a web page where JSON was due: base_url must end with the virtual directory "
        "of the district's Aeries, such as https://host/aeries; or Aeries is closed for maintenance",
        status=received.status,
    )


def _own_words(received: Received) -> str | None:
    """What Aeries itself says of a refusal; None when somebody else speaks: a proxy, a firewall, a web server."""
    if not received.is_whole or received.media_type != JSON:
        return None
    try:
        body = received.json()
    except WrongShape:
        return None
    message = body.get("Message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else None


def _unknown(text: str, status: int | None = None) -> OutcomeUnknown:
    return OutcomeUnknown("APL_UNKNOWN_OUTCOME", f"{text}; read the record first", status=status)
