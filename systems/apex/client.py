"""Speaks HTTP with Apex: the only file of this system that knows its token, its pages and what its answers mean.

One call, one request; nothing is retried. A write that got an answer in which nothing can be relied upon is
`OutcomeUnknown`; one that was surely turned away is said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import httpx

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.http.credentials import Fixed, Granted, Token
from shared.http.exchange import JSON_TYPE, Exchange, Received
from shared.http.grants import basic, secret_of, token_in
from shared.http.shape import Json, WrongShape
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from systems.apex.answers import NO_RESULTS, items_in, meaning_of, own_words
from systems.apex.config import ApexConfig

TOKEN_LIVES_SECONDS: Final = 600.0
"""Assumed of a token whose answer does not tell."""
PAGE_HEADER: Final = "page"
TOTAL_HEADER: Final = "total-pages"
_PAGE_DIGITS_MAX: Final = 7

Items = Sequence[Mapping[str, Json]]


@dataclass(frozen=True)
class ListPage:
    """One page of a list."""

    items: list[Json]
    pages: int
    """How many there are, as this page tells; 0 for a list of which the other side says that it has no results."""
    sha256: str


class ApexClient:
    """A connection to one Apex with one credential."""

    def __init__(self, config: ApexConfig, surroundings: Surroundings, *, may_write: bool) -> None:
        """Reads the secret now; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot be used."""
        self._client_id = (config.write_client_id if may_write else None) or config.client_id
        reference = (config.write_client_secret if may_write else None) or config.client_secret
        self._secret = partial(secret_of, reference, surroundings)
        self._secret()  # what cannot be read is told at the opening
        self._base = f"/{config.path_prefix}" if config.path_prefix else ""
        self._granting = Exchange(config, credential=Fixed({}), surroundings=surroundings, headers={})
        credential = Granted(self._token, clock=surroundings.clock)
        self._exchange = Exchange(
            config, credential=credential, surroundings=surroundings, headers={"Accept": JSON_TYPE}
        )

    async def get(self, path: str, *, use: Use) -> Json:
        """What lies at `path`; None when the interface itself says that there is nothing.

        Raises `TryLater`, `NeedsPerson` or `StopRun`.
        """
        received = await self._exchange.ask("GET", self._base + path, use=use)
        return None if await self._is_missing(received, use=use) else self._json(received, use=use)

    async def page(
        self,
        path: str,
        number: int,
        *,
        use: Use,
        query: Mapping[str, str] | None = None,
        may_be_missing: bool = False,
    ) -> ListPage:
        """One page of the list at `path`, the first being 1.

        `may_be_missing`: whether "no results" may stand for an empty list there.
        """
        received = await self._exchange.ask(
            "GET", self._base + path, use=use, query=query, headers={PAGE_HEADER: str(number)}
        )
        if await self._is_missing(received, use=use):
            if may_be_missing:
                return ListPage([], 0, received.sha256)
            raise self._exchange.odd(received, use=use)
        body = self._json(received, use=use)
        if not isinstance(body, list):
            raise StopRun(f"{use}_WRONG_SHAPE", "a list of Apex is no JSON list; check base_url and path_prefix")
        told = str(received.headers.get(TOTAL_HEADER, "")).strip()
        if not (told.isascii() and told.isdigit() and len(told) <= _PAGE_DIGITS_MAX):
            raise StopRun(
                f"{use}_WRONG_SHAPE", f"a list of Apex came without a number in its header {TOTAL_HEADER}; ask Apex"
            )
        return ListPage(body, int(told), received.sha256)

    async def batch_results(self, path: str, *, heading: str) -> Items | None:
        """The results of a batch; None while it is being carried out. `OutcomeUnknown` for any other answer."""
        received = await self._exchange.ask("GET", self._base + path, use="APL")
        if received.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._no_access(received, use="APL")
        if received.status == httpx.codes.TOO_MANY_REQUESTS:
            raise await self._exchange.too_many(received, use="APL")
        if received.status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._exchange.unavailable(received, use="APL")
        body = _json_or_none(received)
        items = items_in(body, heading=heading)
        if items is None and "processing" not in (own_words(body) or ""):
            raise OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME",
                f"a batch was answered with {received.status} and neither results nor word of its progress",
            )
        return items

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Json = None,
        headers: Mapping[str, str] | None = None,
        heading: str | None = None,
    ) -> tuple[Received, Items, Json]:
        """Sends one write once: the answer, the results in it by item, and its body; no results in an answer of a
        success that has none. For what it raises see `shared.ports.system.Target.write`.
        """
        received = await self._exchange.send(method, self._base + path, body=body, headers=headers)
        status = received.status
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._no_access(received, use="APL")
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise await self._exchange.too_many(received, use="APL")
        answered = _json_or_none(received)
        items = items_in(answered, heading=heading)
        is_success = httpx.codes.OK <= status < httpx.codes.MULTIPLE_CHOICES
        is_refusal = httpx.codes.BAD_REQUEST <= status < httpx.codes.INTERNAL_SERVER_ERROR
        if items is not None and (is_success or is_refusal):
            return received, items, answered
        if is_success:
            if not received.is_whole or (answered is None and received.content):
                raise OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME",
                    f"{method} was accepted with {status} and an answer that cannot be read; read the record first",
                    status=status,
                    is_wrong_shape=True,
                )
            return received, [], answered
        raise self._refusal(method, received, answered)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._exchange.close()
        await self._granting.close()

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _token(self, use: Use) -> Token:
        """A new token; Apex wants the credentials by HTTP Basic and in the body as well."""
        secret = self._secret()
        received = await self._granting.ask(
            "POST",
            "/token",
            use=use,
            body={
                "grant_type": "client_credentials",
                "client_id": self._client_id,
                "client_secret": str(secret),
            },
            headers={"Authorization": basic(self._client_id, secret)},
        )
        return await token_in(
            received,
            exchange=self._granting,
            use=use,
            life_names=("expire_in", "expires_in"),  # the first is how Apex spells it
            lives_seconds=TOKEN_LIVES_SECONDS,
        )

    async def _is_missing(self, received: Received, *, use: Use) -> bool:
        """Whether the answer to a read says that there is nothing; raises what any other answer but a success means."""
        status = received.status
        if status == httpx.codes.NO_CONTENT:
            return True
        if status == httpx.codes.OK:
            return False
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise self._no_access(received, use=use)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            raise await self._exchange.too_many(received, use=use)
        if status == httpx.codes.REQUEST_TIMEOUT or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._exchange.unavailable(received, use=use)
        said = own_words(_json_or_none(received))
        if status in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST) and said == NO_RESULTS:
            return True
        if status == httpx.codes.NOT_FOUND:
            raise NeedsPerson(
                f"{use}_CONFIG", "404: Apex has no such path; correct base_url or path_prefix", status=status
            )
        raise self._exchange.odd(received, use=use)

    def _json(self, received: Received, *, use: Use) -> Json:
        body = _json_or_none(received)
        if body is None:
            raise self._exchange.odd(received, use=use)
        return body

    def _refusal(self, method: str, received: Received, answered: Json) -> AetherError:
        """What an answer to a write means that holds neither a success nor results."""
        status, said = received.status, own_words(answered)
        if status == httpx.codes.PAYMENT_REQUIRED:
            return no_room(status)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR or status < httpx.codes.BAD_REQUEST:
            # Redirects too: many programs redirect after they have done it.
            return OutcomeUnknown(
                "APL_UNKNOWN_OUTCOME", f"{method} was answered with {status}; read the record first", status=status
            )
        if status == httpx.codes.REQUEST_TIMEOUT:
            return OutcomeUnknown("APL_UNKNOWN_OUTCOME", "408 for a write; read the record first", status=status)
        if said == NO_RESULTS:
            return moved(status)
        if said is not None and status in (
            httpx.codes.BAD_REQUEST,
            httpx.codes.CONFLICT,
            httpx.codes.REQUEST_ENTITY_TOO_LARGE,
            httpx.codes.UNPROCESSABLE_ENTITY,
        ):
            meaning = meaning_of({"Code": status, "Message": said})
            return {"moved": moved, "capacity": no_room}.get(meaning, refused)(status)
        return self._exchange.odd(received, use="APL")

    def _no_access(self, received: Received, *, use: Use) -> NeedsPerson:
        is_permission = received.status == httpx.codes.FORBIDDEN
        text = (
            "the client may not do this; give it the right to"
            if is_permission
            else "the client is not known or its token was refused; renew client_id and client_secret"
        )
        return NeedsPerson(
            f"{use}_AUTH", f"{received.status}: {text}", status=received.status, is_permission=is_permission
        )


def moved(status: int) -> TargetMoved:
    """The record is there already, or is gone."""
    return TargetMoved(
        "APL_CONFLICT", "Apex says that the record is there already, or is not there: read it", status=status
    )


def no_room(status: int) -> RecordRefused:
    """No order with a free seat."""
    return RecordRefused(
        "APL_CAPACITY", "Apex has no available order: no licence seat is free; free or buy some", status=status
    )


def refused(status: int) -> RecordRefused:
    """One record that Apex does not take, for a reason that may hold personal values and is not told."""
    return RecordRefused(
        "APL_REFUSED_RECORD",
        f"Apex refused the record ({status}); look at its fields and its organisation",
        status=status,
    )


def _json_or_none(received: Received) -> Json:
    """The decoded body; None when it is not whole, not JSON or of another program."""
    if not received.is_whole or received.media_type != JSON_TYPE:
        return None
    try:
        return received.json()
    except WrongShape:
        return None
