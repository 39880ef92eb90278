"""Speaks HTTP with Google's directory: the only file of this system that knows the protocol.

One call, one request: nothing is retried, no redirect is followed. A refusal becomes an error of the house by the
reason it gives (`reasons`). For a write the question is always the same: was it surely not done, surely refused, or is
it unknown? Whatever leaves doubt is `OutcomeUnknown`. Neither bodies nor paths are logged, for both hold personal
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved, TryLater
from shared.http import HttpSettings
from shared.http.credentials import Fixed, Granted
from shared.http.exchange import JSON_TYPE, Exchange, Received
from shared.http.shape import Json, WrongShape
from shared.ports.pacing import Use
from shared.ports.surroundings import Surroundings
from shared.ports.wire import ChangeVerb, WireWrite
from systems.google_directory.account import Granting, ServiceAccount
from systems.google_directory.config import GoogleDirectoryConfig
from systems.google_directory.entities import ORG_UNITS, USERS, scopes_of
from systems.google_directory.reasons import PERMISSIONS, Said, Verb, meaning_of, said_in

_DONE: Final[Mapping[ChangeVerb, frozenset[int]]] = {
    # 202 for a user means that a conflict is being settled, and no user is there.
    "create": frozenset({200, 201}),
    "update": frozenset({200, 201}),
    "delete": frozenset({200, 204}),
}


@dataclass(frozen=True)
class Answer:
    """What came of a write that was accepted."""

    status: int
    body: Json
    """None for an answer without one."""


class Spacing:
    """A least time between requests of one kind, so that a limit of the vendor is not run into."""

    def __init__(self, per_second: float, *, surroundings: Surroundings) -> None:
        self._seconds = 1.0 / per_second
        self._surroundings = surroundings
        self._next_at = 0.0

    async def turn(self) -> None:
        """Wait for the next one's time."""
        now = self._surroundings.clock.monotonic_seconds()
        wait, self._next_at = self._next_at - now, max(now, self._next_at) + self._seconds
        if wait > 0:
            await self._surroundings.sleep(wait)


class GoogleDirectoryClient:
    """A connection to one account with one service account; a token for each kind of record, with its scopes only."""

    def __init__(self, config: GoogleDirectoryConfig, *, surroundings: Surroundings, may_write: bool) -> None:
        """Reads the key file now; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot be used."""
        reference = (config.write_service_account if may_write else None) or config.service_account
        self._config = config
        self._surroundings = surroundings
        self._may_write = may_write
        self._account = ServiceAccount.of(surroundings.resolve(reference), reference=reference)
        endpoint = HttpSettings(
            base_url=config.token_uri or self._account.token_uri, timeout_seconds=config.timeout_seconds
        )
        self._tokens = Exchange(endpoint, credential=Fixed({}), surroundings=surroundings, headers={})
        self._exchanges: dict[str, Exchange] = {}
        self._spacing = {
            USERS: Spacing(config.user_creations_per_second, surroundings=surroundings),
            ORG_UNITS: Spacing(config.org_unit_writes_per_second, surroundings=surroundings),
        }

    async def get(self, path: str, *, entity: str, use: Use, query: Mapping[str, str | int] | None = None) -> Json:
        """What lies at `path`; None when the interface says that there is nothing.

        Raises `TryLater`, `NeedsPerson` or `StopRun`.
        """
        exchange = self._exchange(entity)
        received = await exchange.ask("GET", path, use=use, query=query)
        if received.status == 200:
            return _body(received, exchange, use=use)
        said = _said(received)
        match meaning_of(received.status, said, entity=entity, verb=None):
            case "missing":
                return None
            case "rate":
                raise await exchange.too_many(received, use=use)
            case "auth" | "permission":
                raise _refused_access(received, said, use=use)
            case "busy" | "not_yet":
                raise exchange.unavailable(received, use=use)
            case _ if use == "SRC" and query is not None and "pageToken" in query and said is not None:
                raise StopRun("SRC_UNSTABLE", "the page token is not taken any more; read the list anew")
            case _:
                raise exchange.odd(received, use=use)

    async def send(self, write: WireWrite, *, entity: str, verb: ChangeVerb) -> Answer:
        """Sends one write once; see `shared.ports.system.Target.write` for what it raises."""
        exchange = self._exchange(entity)
        if entity in self._spacing and (verb == "create" or (entity == ORG_UNITS and verb == "update")):
            await self._spacing[entity].turn()
        body = None if write.body is None else dict(write.body)
        received = await exchange.send(write.method, write.path, body=body)
        if received.status in _DONE[verb]:
            if verb == "delete" and not received.content:
                return Answer(received.status, None)
            try:
                return Answer(received.status, _body(received, exchange, use="APL"))
            except StopRun as wrong:
                # It says that it was done, in a shape in which nothing can be relied upon.
                raise OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME",
                    f"{wrong.message}; read the record first",
                    status=received.status,
                    is_wrong_shape=True,
                ) from None
        raise await self._write_error(write.method, received, exchange, entity=entity, verb=verb)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        for exchange in (self._tokens, *self._exchanges.values()):
            await exchange.close()

    async def _write_error(
        self, method: str, received: Received, exchange: Exchange, *, entity: str, verb: Verb
    ) -> AetherError:
        status, said = received.status, _said(received)
        error: AetherError
        match meaning_of(status, said, entity=entity, verb=verb):
            case "rate":
                error = await exchange.too_many(received, use="APL")
            case "auth" | "permission":
                error = _refused_access(received, said, use="APL")
            case "not_yet":
                error = TryLater(
                    "APL_UNREACHABLE",
                    f"{status}: what this builds on was made a moment ago and is not finished; wait and send it again",
                    status=status,
                )
            case "moved":
                error = TargetMoved(
                    "APL_CONFLICT", f"{method} was answered with {status}: read the record", status=status
                )
            case "taken":
                error = refused_address(status)
            case "capacity":
                error = RecordRefused(
                    "APL_CAPACITY",
                    f"the account has no room for the record ({status}); buy or free some",
                    status=status,
                )
            case "refused":
                fields = said.fields if said is not None else ()
                error = RecordRefused(
                    "APL_REFUSED_RECORD",
                    f"the directory refused the record ({status}); fields: {', '.join(fields) or 'not named'}",
                    status=status,
                    fields=",".join(fields),
                )
            case "odd" | "missing":
                error = exchange.odd(received, use="APL")
            case _:
                error = OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME", f"{method} was answered with {status}; read the record first", status=status
                )
        return error

    def _exchange(self, entity: str) -> Exchange:
        scopes = scopes_of(entity, may_write=self._may_write)
        if scopes not in self._exchanges:
            granting = Granting(
                self._account,
                subject=self._config.subject,
                scopes=scopes,
                exchange=self._tokens,
                clock=self._surroundings.clock,
            )
            self._exchanges[scopes] = Exchange(
                self._config,
                credential=Granted(granting.token, clock=self._surroundings.clock),
                surroundings=self._surroundings,
                headers={"Accept": JSON_TYPE},
            )
        return self._exchanges[scopes]


def refused_address(status: int | None) -> RecordRefused:
    """The error for an address that belongs to somebody else."""
    return RecordRefused(
        "APL_REFUSED_RECORD",
        "the address is taken: by another user or group, by an alias that a renamed one kept, or by a user deleted "
        "less than 20 days ago; choose another or free it",
        status=status,
        fields="email",
    )


def _body(received: Received, exchange: Exchange, *, use: Use) -> Json:
    if not received.is_whole or received.media_type != JSON_TYPE:
        raise exchange.odd(received, use=use)
    try:
        body = received.json()
    except WrongShape:
        body = None
    if body is None:  # `null` is no record either, and None would say that there is none
        raise StopRun(
            f"{use}_WRONG_SHAPE", f"status {received.status} with a body that is no JSON value", status=received.status
        )
    return body


def _said(received: Received) -> Said | None:
    if not received.is_whole or received.media_type != JSON_TYPE:
        return None
    try:
        return said_in(received.json())
    except WrongShape:
        return None


def _refused_access(received: Received, said: Said | None, *, use: Use) -> NeedsPerson:
    if received.status == 401:
        text, reason = "the token is not accepted; check the service account", "authError"
    else:
        reason = said.reason if said is not None and said.reason in PERMISSIONS else "no known reason"
        text = PERMISSIONS.get(reason, "access is refused; check base_url, the subject's role and the delegated scopes")
    return NeedsPerson(
        f"{use}_AUTH",
        f"{received.status} ({reason}): {text}",
        status=received.status,
        is_permission=received.status != 401,
    )
