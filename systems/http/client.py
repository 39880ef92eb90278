"""Speaks HTTP as an interface document describes it: the only file of the family that knows what an answer means.

One call, one request: nothing is retried, no redirect is followed. Every answer becomes a decoded body or an error of
the house, by what the body says before what the status says. For a write the question is always the same: was it surely
not done (`TryLater`), surely refused, or is it unknown? Whatever leaves doubt is `OutcomeUnknown`. Neither bodies nor
paths are logged, for both hold personal values.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Literal

import httpx

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.http.exchange import Exchange, Received
from shared.http.limits import allowance_of
from shared.http.shape import Json, WrongShape, at
from shared.ports.pacing import Allowance, Use
from shared.ports.surroundings import Surroundings
from shared.ports.wire import ChangeVerb, WireWrite
from systems.http.credential import credential_of
from systems.http.description import HttpInterface, ReasonClause
from systems.http.settings import InterfaceSettings
from systems.http.wire import refused_fields

Meaning = Literal[
    "done",
    "rate",
    "auth",
    "permission",
    "missing",
    "not_done",
    "busy",
    "moved",
    "refused",
    "capacity",
    "contradiction",
    "strange",
    "doubtful",
]
"""What an answer says. `busy`: not now, whatever was done; `contradiction`: a status that means done, a body that does
not; `strange`: nobody of the interface speaks so; `doubtful`: the same, where the status leaves open what was done."""

QueryValues = Mapping[str, str | int]


@dataclass(frozen=True)
class Answer:
    """An answer of a described status and shape."""

    status: int
    body: Json
    """None for an answer without one."""
    sha256: str
    """Hex digest of the body's bytes."""
    headers: Mapping[str, str]
    is_empty: bool = False
    """Whether it had no body at all; one of `null` is no record."""


class HttpClient:
    """A connection to one system with one credential."""

    def __init__(
        self, http: HttpInterface, settings: InterfaceSettings, surroundings: Surroundings, *, may_write: bool
    ) -> None:
        """Reads the secrets now; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot be used."""
        self._http = http
        self._surroundings = surroundings
        credential, self._granting = credential_of(http, settings, surroundings, may_write=may_write)
        self._exchange = Exchange(
            settings,
            credential=credential,
            surroundings=surroundings,
            headers={"Accept": http.media_type, **http.headers},
            allowance_of=self._allowance_of,
        )
        given = settings.given_parameters
        self._query = {name: _filled(text, given) for name, text in http.query.items()}
        self._error_types = {http.media_type, http.error.media_type or http.media_type}
        self._has_reasons = http.reasons != ReasonClause()
        self._together = asyncio.Semaphore(http.requests_at_once) if http.requests_at_once is not None else None

    async def get(
        self, path: str, *, use: Use, query: QueryValues | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer | None:
        """What lies at `path`; None when the other side says, in its own words, that there is nothing.

        Raises `TryLater`, `NeedsPerson` or `StopRun`.
        """
        async with self._turn():
            received = await self._exchange.ask("GET", path, use=use, query=self._whole_query(query), headers=headers)
        match self._meaning(received, verb=None):
            case "done":
                return self._answer(received, use=use)
            case "missing":
                return None
            case "rate":
                raise await self._exchange.too_many(received, use=use)
            case "auth" | "permission" as meaning:
                raise _refused_access(received, meaning, use=use)
            case "not_done" | "busy":
                raise self._exchange.unavailable(received, use=use)
            case _:
                raise self._exchange.odd(received, use=use, wanted=self._http.media_type)

    async def send(
        self,
        write: WireWrite,
        *,
        entity: str,
        verb: ChangeVerb,
        idempotency_key: str,
        body: Json = None,
        accepted: tuple[int, ...] = (),
    ) -> Answer:
        """Sends one write once; see `shared.ports.system.Target.write` for what it raises.

        `body` goes out in place of the write's own, for several writes that are joined; `accepted` are the statuses
        that mean done, where they are not those of the verb.
        """
        sent = write.body if body is None else body
        headers = {} if sent is None else {"Content-Type": self._http.media_type}
        if self._http.idempotency_header is not None:
            headers[self._http.idempotency_header] = idempotency_key
        async with self._turn():
            received = await self._exchange.send(
                write.method,
                write.path,
                query=self._whole_query(None),
                body=sent,
                headers=headers,
            )
        meaning = self._meaning(received, verb=verb, successes=accepted)
        if meaning == "done":
            if not received.content and (
                received.status == httpx.codes.NO_CONTENT or self._http.written.shows == "nothing"
            ):
                return Answer(received.status, None, hashlib.sha256(b"").hexdigest(), received.headers, is_empty=True)
            try:
                return self._answer(received, use="APL")
            except StopRun as wrong:
                # It says that it was done, in a shape in which nothing can be relied upon.
                raise OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME",
                    f"{wrong.message}; read the record first",
                    status=received.status,
                    is_wrong_shape=True,
                ) from None
        if meaning == "rate":
            raise await self._exchange.too_many(received, use="APL")
        raise self._write_error(write.method, meaning, received, entity=entity)

    def error_of_item(self, status: int) -> AetherError | None:
        """What the status of one item of a batch means; None when it was done, as a create or as a change."""
        if status in (*self._http.success.create, *self._http.success.update):
            return None
        statuses = self._http.statuses
        if status in statuses.moved:
            return _moved("an item of a batch", status)
        if status in statuses.refused:
            return RecordRefused("APL_REFUSED_RECORD", f"the target refused the record ({status})", status=status)
        if status in statuses.capacity:
            return _no_room(status)
        return _unknown("an item of a batch", status)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._exchange.close()
        if self._granting is not None:
            await self._granting.close()

    def _write_error(self, method: str, meaning: Meaning, received: Received, *, entity: str) -> AetherError:
        status = received.status
        error: AetherError
        match meaning:
            case "auth" | "permission":
                error = _refused_access(received, meaning, use="APL")
            case "not_done":
                error = self._exchange.unavailable(received, use="APL")
            case "moved" | "missing":
                error = _moved(method, status)
            case "capacity":
                error = _no_room(status)
            case "refused":
                names = refused_fields(_json(received), http=self._http, entity=entity)
                error = RecordRefused(
                    "APL_REFUSED_RECORD",
                    f"the target refused the record ({status}); fields: {', '.join(names) or 'not named'}",
                    status=status,
                    fields=",".join(names),
                )
            case "strange":
                error = self._exchange.odd(received, use="APL", wanted=self._http.media_type)
            case _:
                error = _unknown(method, status)
        return error

    def _meaning(self, received: Received, *, verb: ChangeVerb | None, successes: tuple[int, ...] = ()) -> Meaning:
        """What an answer says to a read (no verb) or to a write."""
        status = received.status
        is_success = status in (successes or self._successes(verb))
        # A page of many records is not read twice where nothing in it could turn its status over.
        own = self._own_words(received) if self._has_reasons or not is_success else None
        meaning = self._by_reason(own, verb)
        if meaning is not None:
            return meaning
        if is_success:
            return "done" if self._says_done(received) else "contradiction"
        if status == httpx.codes.TOO_MANY_REQUESTS or self._is_quota(status, own):
            return "rate"
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return "auth" if status == httpx.codes.UNAUTHORIZED else "permission"
        if verb is None:
            return self._of_read(status, is_own=own is not None)
        return self._of_write(status, verb, is_own=own is not None)

    def _of_read(self, status: int, *, is_own: bool) -> Meaning:
        if status in self._http.statuses.retry_read:
            return "busy"
        return "missing" if status == httpx.codes.NOT_FOUND and is_own else "strange"

    def _of_write(self, status: int, verb: ChangeVerb, *, is_own: bool) -> Meaning:
        statuses = self._http.statuses
        meanings: tuple[tuple[Meaning, tuple[int, ...], bool], ...] = (
            ("not_done", statuses.not_done, True),
            # A create that finds no path is a wrong address, not a record that is gone.
            ("moved", statuses.moved, is_own and not (verb == "create" and status == httpx.codes.NOT_FOUND)),
            ("capacity", statuses.capacity, is_own),
            ("refused", statuses.refused, is_own),
        )
        for meaning, listed, may_be in meanings:
            if may_be and status in listed:
                return meaning
        is_refusal = httpx.codes.BAD_REQUEST <= status < httpx.codes.INTERNAL_SERVER_ERROR
        # 5xx, 408, an unexpected 2xx, and redirects too: many programs redirect after they have done it.
        return "strange" if is_refusal and status != httpx.codes.REQUEST_TIMEOUT else "doubtful"

    def _by_reason(self, own: Json, verb: ChangeVerb | None) -> Meaning | None:
        if own is None or self._http.error.reason is None:
            return None
        try:
            reason = at(own, self._http.error.reason)
        except WrongShape:
            return None
        for meaning in ReasonClause.model_fields:
            listed = getattr(self._http.reasons, meaning)
            if any(type(one) is type(reason) and one == reason for one in listed):
                return _of_reason(meaning, verb)
        return None

    def _successes(self, verb: ChangeVerb | None) -> tuple[int, ...]:
        success = self._http.success
        match verb:
            case None:
                return success.read
            case "create":
                return success.create
            case "delete":
                return success.delete
            case _:
                return success.update

    def _says_done(self, received: Received) -> bool:
        says = self._http.success.says
        if says is None or received.status == httpx.codes.NO_CONTENT:
            return True
        try:
            said = at(_json(received), says.pointer)
        except WrongShape:
            return False
        return type(said) is type(says.equals) and said == says.equals

    def _own_words(self, received: Received) -> Json:
        """The body in which the interface itself speaks, and not a proxy, a firewall or another program there."""
        if not received.is_whole or received.media_type not in self._error_types:
            return None
        try:
            body = received.json()
            return body if isinstance(at(body, self._http.error.message), str) else None
        except WrongShape:
            return None

    def _is_quota(self, status: int, own: Json) -> bool:
        quota = self._http.quota
        if quota is None or own is None or status != quota.status:
            return False
        try:
            return at(own, quota.reason) in quota.values
        except WrongShape:
            return False

    def _answer(self, received: Received, *, use: Use) -> Answer:
        if not received.is_whole or received.media_type != self._http.media_type:
            raise self._exchange.odd(received, use=use, wanted=self._http.media_type)
        try:
            body = received.json()
        except WrongShape:
            raise StopRun(
                f"{use}_WRONG_SHAPE", f"status {received.status} with a body that is no JSON", status=received.status
            ) from None
        return Answer(received.status, body, received.sha256, received.headers)

    def _whole_query(self, query: QueryValues | None) -> QueryValues | None:
        # Ours last: a link to the next page must not lead into another customer's records.
        return {**(query or {}), **self._query} or None

    def _turn(self) -> AsyncExitStack | asyncio.Semaphore:
        return self._together if self._together is not None else AsyncExitStack()

    def _allowance_of(self, headers: Mapping[str, str]) -> Allowance | None:
        return allowance_of(headers, self._http.allowance, now=self._surroundings.clock.now())


def _filled(text: str, parameters: Mapping[str, str]) -> str:
    """A text with the connection's parameters in it."""
    for name, value in parameters.items():
        text = text.replace("{" + name + "}", value)
    return text


def _json(received: Received) -> Json:
    try:
        return received.json()
    except WrongShape:
        return None


def _of_reason(clause: str, verb: ChangeVerb | None) -> Meaning:
    """What a clause of `reasons` means to such a request."""
    match clause:
        case "rate" | "auth" | "permission":
            return clause
        case "missing":
            # A create that finds nothing has found a wrong address.
            return "strange" if verb == "create" else "missing"
        case "not_done":
            return "busy" if verb is None else "not_done"
        case "moved" | "refused" | "capacity" if verb is not None:
            return clause
        case _:
            return "strange"


def _refused_access(received: Received, meaning: Meaning, *, use: Use) -> NeedsPerson:
    is_permission = meaning == "permission"
    text = (
        "the credential may not do this; use one with the right to"
        if is_permission
        else "the credential is not known or has expired; renew it"
    )
    return NeedsPerson(f"{use}_AUTH", f"{received.status}: {text}", status=received.status, is_permission=is_permission)


def _moved(what: str, status: int) -> TargetMoved:
    return TargetMoved("APL_CONFLICT", f"{what} was answered with {status}: read the record", status=status)


def _no_room(status: int) -> RecordRefused:
    return RecordRefused(
        "APL_CAPACITY", f"the target has no room for the record ({status}); free or buy some", status=status
    )


def _unknown(what: str, status: int) -> OutcomeUnknown:
    return OutcomeUnknown(
        "APL_UNKNOWN_OUTCOME", f"{what} was answered with {status}; read the record first", status=status
    )
