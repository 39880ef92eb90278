"""One holding of the writer's lease: rounds of recording, acknowledging, signing and sealing.

Each round asks where the streams end, takes what can be put in order, and records it in one transaction before
anything is acknowledged. A run is sealed when the log holds all that the streams held after its end. It does not take
the lease, start the pulls or outlive a failure; that is `ingest`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.js import JetStreamContext
from opentelemetry import trace
from opentelemetry.context import Context

from services.auditor.continuing import another_bus
from services.auditor.merging import SETTLE_US, Arrived, release_ready
from services.auditor.notes import Notes
from services.auditor.pulling import StreamEnd, StreamPull
from services.auditor.recording import Projected, project, record
from services.auditor.sealing import mismatch, seal
from services.auditor.store import Batch, NewEntry, Standing, Store
from shared.audit.checkpoint import Checkpoint, sign_checkpoint, verifier_key_of
from shared.audit.entries import RUN_SEALED
from shared.audit.lookups import Lookups
from shared.audit.stored_tree import RecordAltered, StreamProgress
from shared.audit.tree import Frontier, append, root
from shared.bus.lease import LeaseHold
from shared.bus.publishing import Conflict, Outgoing, publish_one
from shared.bus.reading import last
from shared.clock import Clock
from shared.events.envelope import body_of, headers_of
from shared.events.facts import MessagesLost
from shared.events.model import Event
from shared.run.state import RunState, state_subject
from shared.telemetry.carrying import context_in, current_traceparent, span_in
from shared.telemetry.spans import phase

SERVICE: Final = "auditor"
CHECKPOINT_SECONDS: Final = 1.0
"""Least time between two checkpoints, unless a run ended."""
MISMATCH_SUBJECT: Final = "audit.auditor.mismatch"
LOST_SUBJECT: Final = "audit.auditor.messages_lost"
"""What the auditor reports itself lies on CORE, and so becomes entries of the log like everything else."""
SEALS_MAX: Final = 100
"""Most runs sealed in one round."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LogKey:
    """The key that signs the log, under the log's name."""

    private: Ed25519PrivateKey
    origin: str

    @property
    def verifier_key(self) -> str:
        """The public half as text, for whoever verifies the log."""
        return verifier_key_of(self.private, origin=self.origin)

    def sign(self, frontier: Frontier) -> str:
        """The checkpoint over a tree."""
        return sign_checkpoint(Checkpoint(self.origin, frontier.size, root(frontier)), self.private)


class Writing:
    """One holding of the lease."""

    def __init__(
        self,
        js: JetStreamContext,
        store: Store,
        lookups: Lookups,
        key: LogKey,
        clock: Clock,
        lease: LeaseHold,
        pulls: Sequence[StreamPull],
        standing: Standing,
        notes: Notes,
        tracer: trace.Tracer,
    ) -> None:
        self._tracer = tracer
        self._notes = notes
        self._js = js
        self._store = store
        self._lookups = lookups
        self._key = key
        self._clock = clock
        self._lease = lease
        self._pulls = pulls
        self._frontier = standing.frontier
        self._signed_size = standing.checkpoint_size
        self._signed_at = -CHECKPOINT_SECONDS
        self._has_run_ended = False
        self._may_have_unsealed = True  # a writer before us may have ended between a run's end and its seal
        self.lag: dict[str, int] = {}
        self._sealed: set[str] = set()
        self.on_entries: Callable[[int], None] = _ignore
        self.on_lag: Callable[[str, int], None] = _ignore_lag
        self.on_plan: Callable[[], None] = _ignore
        self.on_checkpoint: Callable[[], None] = _ignore

    @property
    def size(self) -> int:
        """Entries in the log."""
        return self._frontier.size

    async def round(self, messages_max: int) -> tuple[int, float | None]:
        """Take what is there; returns how many entries were added, and how long to wait for what is held back."""
        ends = await asyncio.gather(*(pull.end() for pull in self._pulls))
        for pull, end in zip(self._pulls, ends, strict=True):
            await self._look(pull, end)
        # Told before it is recorded, too: what the database does not take waits, and nobody comes by below.
        self._tell_lag(ends)
        released = release_ready([pull.lane for pull in self._pulls], messages_max=messages_max)
        if released:
            await self._record(released)
        for pull in self._pulls:
            await pull.acknowledge()
        await self._sign_if_due()
        self._tell_lag(ends)
        if self._may_have_unsealed and not released and not any(self.lag.values()):
            await self._seal_ended()
        held_back = any(pull.lane.waiting for pull in self._pulls) or any(self.lag.values())
        return len(released), SETTLE_US / 2_000_000 if held_back else None

    def _tell_lag(self, ends: Sequence[StreamEnd]) -> None:
        for pull, end in zip(self._pulls, ends, strict=True):
            self.lag[pull.stream] = max(end.last_seq + 1 - pull.lane.next_seq, 0)
            self.on_lag(pull.stream, self.lag[pull.stream])

    async def _look(self, pull: StreamPull, end: StreamEnd) -> None:
        lane = pull.lane
        if end.last_seq + 1 < lane.next_seq:
            raise another_bus(pull.stream, f"ends at {end.last_seq}, the log holds it up to {lane.next_seq - 1}")
        if end.first_seq > lane.next_seq:
            await self._report_lost(pull.stream, lane.next_seq, end.first_seq - 1)
            lane.skip_to(end.first_seq)
        await pull.fill_if_lacking(end, now_seconds=self._clock.monotonic_seconds())
        lane.hear_end(last_seq=end.last_seq, at_us=end.at_us)

    async def _record(self, released: Sequence[Arrived]) -> None:
        new: list[NewEntry] = []
        projected = Projected()
        has_plan = False
        for arrived in released:
            recorded = record(arrived, self._frontier.size + len(new))
            new.append(NewEntry(recorded.entry, recorded.body, recorded.leaf_hash))
            project(recorded, arrived, projected)
            if recorded.entry.type == RUN_SEALED:
                self._has_run_ended = True
                if recorded.entry.run is not None:
                    self._sealed.add(recorded.entry.run)
            elif isinstance(recorded.event, RunState):
                has_plan = has_plan or recorded.event.plan is not None
                if recorded.event.has_ended:
                    self._has_run_ended = self._may_have_unsealed = True
        grown = append(self._frontier, [one.leaf_hash for one in new])
        reached = {
            pull.stream: StreamProgress(pull.lane.next_seq - 1, pull.lane.last_time_us)
            for pull in self._pulls
            if pull.lane.next_seq > 1
        }
        self._lease.require_held()
        await self._store.append(Batch(new, grown.completed, reached, projected), self._lease.token)
        self._frontier = grown.frontier
        self.on_entries(len(new))
        if has_plan:
            self.on_plan()
        await self._notes.tell({one.entry.run for one in new if one.entry.run is not None}, size=grown.frontier.size)

    async def _sign_if_due(self) -> None:
        if self._frontier.size == self._signed_size:
            return
        now = self._clock.monotonic_seconds()
        if not self._has_run_ended and now - self._signed_at < CHECKPOINT_SECONDS:
            return
        self._lease.require_held()
        await self._store.add_checkpoint(
            size=self._frontier.size, text=self._key.sign(self._frontier), token=self._lease.token
        )
        self._signed_size, self._signed_at, self._has_run_ended = self._frontier.size, now, False
        self.on_checkpoint()
        # Only now do these count as sealed.
        await self._notes.tell(self._sealed, size=self._signed_size)
        self._sealed.clear()

    async def _seal_ended(self) -> None:
        """Seal what has ended; only called when the log holds all that the streams held."""
        unsealed = await self._lookups.unsealed(limit=SEALS_MAX)
        for stored in unsealed:
            state = RunState.model_validate_json(stored.state)
            ledger = await self._lookups.ledger_counts(stored.run)
            entries = await self._lookups.entry_range(stored.run)
            if entries is None:
                raise RecordAltered(f"run {stored.run} is projected, but the log has no entry of it")
            if (difference := mismatch(state, ledger)) is not None:
                log.error("audit_mismatch", run=stored.run, faults=difference.faults)
                await self._publish(difference, MISMATCH_SUBJECT, f"{stored.run}.mismatch", about=stored.run)
            place = await self._trace_of(stored.run)
            sealed = seal(state, ledger, first_entry=entries[0], last_entry=entries[1])
            with phase("seal", tracer=self._tracer, context=place, run=stored.run):
                try:
                    await self._publish(
                        sealed,
                        f"evt.auditor.run_sealed.{stored.run}",
                        f"{stored.run}.sealed",
                        about=stored.run,
                        is_first=True,
                        traceparent=current_traceparent() if span_in(place).is_valid else None,
                    )
                except Conflict:
                    log.info("audit_run_sealed_before", run=stored.run)
        self._may_have_unsealed = len(unsealed) == SEALS_MAX

    async def _report_lost(self, stream: str, first: int, last: int) -> None:
        log.error("audit_messages_gone", stream=stream, first=first, last=last)
        lost = MessagesLost(stream=stream, first_seq=first, last_seq=last)
        await self._publish(lost, LOST_SUBJECT, f"lost-{stream}-{first}-{last}", about=stream)

    async def _trace_of(self, run: str) -> Context:
        """The place in the run's trace that its document names: the seal belongs there."""
        document = await last(self._js, "CORE", state_subject(run))
        return context_in({} if document is None else document.headers)

    async def _publish(
        self,
        event: Event,
        subject: str,
        message_id: str,
        *,
        about: str,
        is_first: bool = False,
        traceparent: str | None = None,
    ) -> None:
        headers = headers_of(
            event,
            message_id=message_id,
            source=f"/services/{SERVICE}",
            subject=about,
            time=self._clock.now(),
            traceparent=traceparent,
        )
        await publish_one(
            self._js, Outgoing(subject, body_of(event), message_id, headers, expected_last_seq=0 if is_first else None)
        )


def _ignore(number: int = 0) -> None:
    """What happens to a figure that nobody asked for."""


def _ignore_lag(stream: str, number: int) -> None:
    """The same, of a figure by stream."""
