"""The quarantine of a connection whose credential was refused: when it begins, how it is tried, when it ends.

While a connection is in quarantine no change is sent over it. Whoever wants to tries it with one harmless check first
(half-open), and so does `Probing` from time to time; the first good check ends the quarantine. A check is made under
the target's lease, so that replicas do not wear out a credential together. Runs that were paused stay so: a person
resumes them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import nats.errors
import structlog

from services.applier.context import Context, lease_on
from shared.bus.lease import LeaseHeld, LeaseLost
from shared.bus.publishing import Conflict, PublishFailed
from shared.bus.reading import StreamUnavailable, last
from shared.clock import to_text
from shared.errors import AetherError
from shared.events.documents import FailureNote
from shared.events.envelope import decode
from shared.events.facts import ConnectionHealth, connection_health_subject
from shared.events.stored import Stored
from shared.failures import failure_of
from shared.ports.system import Target
from shared.run.moves import NOTHING, Decision, Message, Move, hash_of

log = structlog.get_logger(__name__)

PROBES_MAX: Final = 1_000_000
"""A counter of probes stands still here; the pauses between them stopped growing long before."""
LOOKS_PER_PROBE: Final = 4
"""How often the background task looks whether a probe is due, in the shortest pause between two."""


# --- decisions ------------------------------------------------------------------------------------------------------


def quarantines(note: FailureNote) -> bool:
    """Whether a run that stops for this reason takes its connection into quarantine."""
    # The one that says «in quarantine» is no new refusal by the target.
    return note.code != "APL_QUARANTINED" and failure_of(note.code).category == "auth"


def quarantined(
    present: ConnectionHealth | None, *, connection: str, reason: FailureNote, run: str, at: str
) -> Decision:
    """The connection in quarantine; nothing when it is there already, so that «since» stays true."""
    if present is not None and present.status == "quarantined":
        return NOTHING
    return _told(
        ConnectionHealth(connection=connection, status="quarantined", since=at, reason=reason, run=run, probes=0)
    )


def probed(present: ConnectionHealth | None, *, is_good: bool, run: str | None, at: str) -> Decision:
    """The connection after a check: healthy again, or still in quarantine with one probe more."""
    if present is None or present.status == "healthy":
        return NOTHING
    if is_good:
        return _told(
            ConnectionHealth(connection=present.connection, status="healthy", since=at, reason=None, run=run, probes=0)
        )
    return _told(present.model_copy(update={"probes": min(present.probes + 1, PROBES_MAX)}))


def health_in(stored: Stored | None) -> ConnectionHealth | None:
    """The connection's document in a stored message; None when it was never in quarantine."""
    if stored is None:
        return None
    return decode(ConnectionHealth, data=stored.data, headers=stored.headers, subject=stored.subject)


def note_of(health: ConnectionHealth) -> FailureNote:
    """Why nothing is sent over a connection in quarantine."""
    why = "" if health.reason is None else f" ({health.reason.code})"
    return FailureNote(
        code="APL_QUARANTINED",
        text=f"connection {health.connection} is in quarantine since {health.since}{why}; "
        f"probed {health.probes} times, its credential is still refused",
    )


@dataclass(frozen=True)
class Pace:
    """How often a connection in quarantine is probed."""

    seconds: float = 60.0
    """After the first refusal; twice as long after each further one."""
    seconds_max: float = 900.0

    def after(self, probes: int) -> float:
        """The pause after so many probes."""
        return min(self.seconds_max, self.seconds * 2.0 ** min(probes, 32))

    def is_due(self, health: ConnectionHealth, *, written_at: datetime, now: datetime) -> bool:
        """Whether the next probe is due; every probe writes the document, so its time is that of the last one.

        A document from the future (a clock that jumped) is due as soon as it is as far away as a pause is long.
        """
        return abs((now - written_at).total_seconds()) >= self.after(health.probes)


def _told(health: ConnectionHealth) -> Decision:
    return Decision(
        (
            Message(
                subject=connection_health_subject(health.connection),
                event=health,
                message_id=f"{health.connection}.health.{hash_of(health)}",
                about=health.connection,
            ),
        )
    )


# --- acts -----------------------------------------------------------------------------------------------------------


async def health_of(connection: str, context: Context) -> ConnectionHealth | None:
    """The connection's document."""
    return health_in(await last(context.js, "CORE", connection_health_subject(connection)))


async def try_half_open(target: Target, health: ConnectionHealth, *, run: str | None, context: Context) -> bool:
    """Try a connection in quarantine with one harmless check, and write down what came of it.

    To be called under the target's lease.
    """
    findings = await target.check()
    is_good = all(finding.is_good for finding in findings)
    await _write_probe(health.connection, is_good=is_good, run=run, context=context)
    return is_good


async def _write_probe(connection: str, *, is_good: bool, run: str | None, context: Context) -> None:
    subject, at = connection_health_subject(connection), to_text(context.clock.now())
    await context.committer.commit(
        Move(reads=(subject,), decide=lambda read: probed(health_in(read[subject]), is_good=is_good, run=run, at=at))
    )
    log.info("connection_probed", connection=connection, is_good=is_good)


class Probing:
    """Probes quarantined connections as long as the program runs; the work beside the handlers."""

    def __init__(self, context: Context, *, pace: Pace) -> None:
        self._context = context
        self._pace = pace

    async def run(self) -> None:
        """Look at every connection again and again; ends only with the program."""
        while True:
            await self.round()
            await asyncio.sleep(self._pace.seconds / LOOKS_PER_PROBE)

    async def round(self) -> None:
        """Probe the connections that are due; whatever stands in the way of one is for the next round."""
        for name in self._context.connections.names():
            try:
                if await self._is_due(name):
                    async with lease_on(name, self._context):
                        await self._probe(name)
            except (LeaseHeld, LeaseLost, Conflict, PublishFailed, StreamUnavailable, AetherError) as hindered:
                log.warning("connection_not_probed", connection=name, error=type(hindered).__name__)
            except nats.errors.Error as error:
                log.warning("connection_not_probed", connection=name, error=type(error).__name__)
            except (AssertionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                # A defect of one system's check is no reason to end a program that writes to others.
                log.exception("connection_not_probed", connection=name)

    async def _is_due(self, name: str) -> bool:
        stored = await last(self._context.js, "CORE", connection_health_subject(name))
        health = health_in(stored)
        if stored is None or health is None or health.status == "healthy":
            return False
        return self._pace.is_due(health, written_at=stored.time, now=self._context.clock.now())

    async def _probe(self, name: str) -> None:
        # Asked again under the lease: another replica may have been here before.
        health = await health_of(name, self._context)
        if health is None or not await self._is_due(name):
            return
        try:
            target = self._context.registry.open_target(self._context.connections.named(name))
        except AetherError:
            # The secret cannot be read, so the credential is as bad as before; counted, or it would be tried at once.
            await _write_probe(name, is_good=False, run=None, context=self._context)
            return
        try:
            await try_half_open(target, health, run=None, context=self._context)
        finally:
            await target.close()
