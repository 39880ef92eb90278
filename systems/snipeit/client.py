"""Speaks Snipe-IT's REST API: the only file of this system that knows HTTP.

One call, one request: nothing is retried, no redirect is followed. Every answer becomes a decoded body or an error of
the house, by what `answers` says that it means. For a write the question is always the same: was it surely not done,
surely refused, or is it unknown? Whatever leaves doubt is `OutcomeUnknown`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from shared.errors import AetherError, NeedsPerson, OutcomeUnknown, RecordRefused, StopRun, TargetMoved
from shared.http.credentials import Referenced, plain
from shared.http.exchange import JSON_TYPE, Exchange, Received
from shared.http.limits import AllowanceHeaders, allowance_of
from shared.http.shape import Json, WrongShape
from shared.ports.pacing import Allowance, Use
from shared.ports.surroundings import Surroundings
from shared.ports.wire import WireWrite
from systems.snipeit.answers import Said, said_of, sensible_wait
from systems.snipeit.config import SnipeitConfig

_ALLOWANCE: Final = (AllowanceHeaders(remaining="X-RateLimit-Remaining", reset="X-RateLimit-Reset"),)
_RETRY_AFTER: Final = "Retry-After"


@dataclass(frozen=True)
class Answer:
    """An answer that says done."""

    status: int
    body: Mapping[str, Json]
    sha256: str
    """Hex digest of the body's bytes."""


class SnipeitClient:
    """A connection to one Snipe-IT with one token."""

    def __init__(self, config: SnipeitConfig, surroundings: Surroundings, *, may_write: bool) -> None:
        """Reads the token now; `NeedsPerson` (SYS_SECRET) names the reference of one that cannot be used."""
        self._surroundings = surroundings
        reference = (config.write_token or config.token) if may_write else config.token

        def proof() -> dict[str, str]:
            return {"Authorization": f"Bearer {plain(surroundings.resolve(reference), reference=reference)}"}

        self._exchange = Exchange(
            config,
            credential=Referenced(proof),
            surroundings=surroundings,
            # Without it failures come as redirects and pages in HTML (issues #10631 and #14653, read 2026-11-22).
            headers={"Accept": JSON_TYPE},
            allowance_of=self._allowance_of,
        )

    async def get(
        self, path: str, *, entity: str, use: Use, query: Mapping[str, str | int] | None = None
    ) -> Answer | None:
        """What lies at `path`; None when Snipe-IT says that there is no such record.

        Raises `TryLater`, `NeedsPerson` or `StopRun`.
        """
        received = await self._exchange.ask("GET", path, use=use, query=query)
        body = _json_of(received)
        said = said_of(received.status, body, location=received.headers.get("Location"), entity=entity)
        match said.meaning:
            case "done" if isinstance(body, dict):
                return Answer(received.status, body, received.sha256)
            case "missing":
                return None
            case "rate":
                raise await self._too_many(received, said, use=use)
            case "busy" | "maintenance":
                raise self._exchange.unavailable(received, use=use)
            case "refused" | "moved":
                raise StopRun(
                    f"{use}_WRONG_SHAPE",
                    f"entity {entity}: Snipe-IT refuses to show it in words that are not known here; set the language "
                    "of the token's user to English, by whose sentences a missing record is told",
                    status=received.status,
                )
            case _:
                raise self._barred(received, said, use=use) or self._exchange.odd(received, use=use)

    async def send(self, write: WireWrite, *, entity: str) -> Answer:
        """Sends one write once; see `shared.ports.system.Target.write` for what it raises."""
        received = await self._exchange.send(
            write.method, write.path, body=None if write.body is None else dict(write.body)
        )
        body = _json_of(received)
        said = said_of(received.status, body, location=received.headers.get("Location"), entity=entity)
        if said.meaning == "done" and isinstance(body, dict) and body.get("status") == "success":
            return Answer(received.status, body, received.sha256)
        if said.meaning == "rate":
            raise await self._too_many(received, said, use="APL")
        raise self._write_error(write, received, said)

    async def close(self) -> None:
        """Gives connections back; may be called twice."""
        await self._exchange.close()

    def _write_error(self, write: WireWrite, received: Received, said: Said) -> AetherError:
        status = received.status
        if (barred := self._barred(received, said, use="APL")) is not None:
            return barred
        match said.meaning:
            case "maintenance":
                return self._exchange.unavailable(received, use="APL")
            case "missing" | "moved":
                return TargetMoved(
                    "APL_CONFLICT",
                    f"{write.method}: the record is gone, taken or in another state; read the record",
                    status=status,
                )
            case "refused":
                return RecordRefused(
                    "APL_REFUSED_RECORD",
                    f"the target refused the record ({status}); {said.why}",
                    status=status,
                    fields=",".join(said.fields),
                )
            case "strange" if 400 <= status < 500:
                return StopRun("APL_WRONG_SHAPE", f"status {status}: {said.why or 'not agreed upon'}", status=status)
            case _:
                # Server errors, redirects, and a status that means done over a body that does not say so.
                return OutcomeUnknown(
                    "APL_UNKNOWN_OUTCOME",
                    f"{write.method} was answered with {status} and no word of whether it was done; "
                    "read the record first",
                    status=status,
                )

    def _barred(self, received: Received, said: Said, *, use: Use) -> NeedsPerson | None:
        """The error for an answer that keeps everybody with this connection out; nothing was done."""
        status = received.status
        match said.meaning:
            case "auth":
                text = "the token is not known, has expired, or its user was deleted; make a new one"
            case "login":
                text = "it sends us to its login page; the token, or something between, drops our headers"
            case "permission":
                text = "the token's user may not do this; give that user the right to"
            case "foreign":
                text = f"{received.media_type or 'no media type'} comes from there, and not from Snipe-IT's interface"
                return NeedsPerson(f"{use}_CONFIG", f"{status}: {text}; check base_url", status=status)
            case "no_route":
                text = "Snipe-IT has no such path or verb here; check base_url (the address without /api/v1)"
                return NeedsPerson(f"{use}_CONFIG", f"{status}: {text}", status=status)
            case _:
                return None
        return NeedsPerson(
            f"{use}_AUTH", f"{status}: {text}", status=status, is_permission=said.meaning == "permission"
        )

    async def _too_many(self, received: Received, said: Said, *, use: Use) -> AetherError:
        """By the header, then by the body; by neither, as release 8.1.4, the waits of whoever asks again must do."""
        text = received.headers.get(_RETRY_AFTER)
        seconds = sensible_wait(text)
        if seconds is None and text is not None:
            seconds = self._exchange.retry_after(received)  # a date
        return await self._exchange.too_many(
            received, use=use, seconds=said.wait_seconds if seconds is None else seconds
        )

    def _allowance_of(self, headers: Mapping[str, str]) -> Allowance | None:
        return allowance_of(headers, _ALLOWANCE, now=self._surroundings.clock.now())


def _json_of(received: Received) -> Json:
    if not received.is_whole or received.media_type != JSON_TYPE:
        return None
    try:
        return received.json()
    except WrongShape:
        return None
