"""The auditor at work: takes every message of CORE, LEDGER and DLQ into the log, signs it, and seals ended runs.

One auditor writes, under a lease; the others stand by and answer questions. The order of each round is: record in one
transaction, acknowledge, sign, seal. It moves no run and judges none; what an entry holds is `recording`'s affair,
what order they have `merging`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import nats.errors
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats.aio.client import Client
from nats.js import JetStreamContext
from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from services.auditor import queries
from services.auditor.alarms import LOST_SUBJECT, MISMATCH_SUBJECT, MessagesLost
from services.auditor.checkpoint import Checkpoint, parse_and_verify_checkpoint, sign_checkpoint, verifier_key_of
from services.auditor.entries import RUN_SEALED
from services.auditor.lookups import Lookups
from services.auditor.merging import SETTLE_US, Arrived, release_ready
from services.auditor.plans import PlanViews
from services.auditor.pulling import StreamEnd, StreamPull
from services.auditor.recording import Projected, project, record
from services.auditor.sealing import mismatch, seal
from services.auditor.store import Batch, NewEntry, RecordAltered, Standing, Store, StreamProgress, WriterFenced
from services.auditor.tree import Frontier, append, root
from shared.bus.lease import LeaseHeld, LeaseHold, LeaseLost
from shared.bus.publishing import Conflict, Outgoing, PublishFailed, publish_one
from shared.bus.reading import StreamUnavailable
from shared.bus.topology import CONSUMERS
from shared.clock import Clock
from shared.errors import NeedsPerson
from shared.events.envelope import body_of, headers_of
from shared.events.model import Event
from shared.ids import Ids
from shared.run.state import RunState

SERVICE: Final = "auditor"
LEASE_SUBJECT: Final = "lease.auditor.writer"
LEASE_SECONDS: Final = 10
STANDBY_SECONDS: Final = 1.0
"""How often an auditor that stands by asks for the lease, and one that failed begins again."""
IDLE_SECONDS: Final = 1.0
"""Longest pause between two looks at the streams when no message rings the bell."""
CHECKPOINT_SECONDS: Final = 1.0
"""Least time between two checkpoints, unless a run ended."""
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


class Auditor:
    """One auditor: writes when it holds the lease, answers always."""

    def __init__(
        self,
        *,
        client: Client,
        js: JetStreamContext,
        store: Store,
        key: LogKey,
        clock: Clock,
        ids: Ids,
        registry: CollectorRegistry,
        batch_messages_max: int = 500,
        lease_seconds: int = LEASE_SECONDS,
    ) -> None:
        self._client = client
        self._js = js
        self._store = store
        self._lookups = Lookups(store.engine)
        self._key = key
        self._clock = clock
        self._ids = ids
        self._batch_messages_max = batch_messages_max
        self._lease_seconds = lease_seconds
        self._plans = PlanViews(js)
        self._is_ready = False
        self._is_writing = False
        self._entries = Counter("aether_audit_entries", "Entries added to the audit log.", registry=registry)
        self._checkpoints = Counter("aether_audit_checkpoints", "Checkpoints signed.", registry=registry)
        self._lag = Gauge("aether_audit_lag", "Messages not in the log yet.", ["stream"], registry=registry)

    def is_ready(self) -> bool:
        """Whether it writes, or stands by for one that does."""
        return self._is_ready

    def is_writing(self) -> bool:
        """Whether it is the one that writes."""
        return self._is_writing

    async def answer(self, subject: str, data: bytes) -> bytes:
        """The answer to one question of `aether.query.`."""
        return await queries.answer(
            subject, data, lookups=self._lookups, plans=self._plans, js=self._js, verifier_key=self._key.verifier_key
        )

    async def run(self) -> None:
        """Write whenever the lease can be had, until cancelled; a record that was altered ends it with an error."""
        holder = f"{SERVICE}-{self._ids.token(6)}"
        while True:
            try:
                async with LeaseHold(
                    self._js,
                    subject=LEASE_SUBJECT,
                    holder=holder,
                    ttl_seconds=self._lease_seconds,
                    ids=self._ids,
                    monotonic=self._clock.monotonic_seconds,
                ) as lease:
                    await self._write(lease)
            except LeaseHeld:
                self._is_ready = True
            except (LeaseLost, WriterFenced) as loss:
                log.warning("audit_writer_replaced", reason=str(loss))
            except (SQLAlchemyError, StreamUnavailable, PublishFailed, nats.errors.Error) as error:
                self._is_ready = False
                # The text of a database error may quote a row.
                log.error("audit_writing_failed", error=type(error).__name__)
            finally:
                self._is_writing = False
            await asyncio.sleep(STANDBY_SECONDS)

    async def _write(self, lease: LeaseHold) -> None:
        standing = await self._store.take_over(lease.token)
        await self._check_standing(standing)
        bell = asyncio.Event()
        pulls = [
            StreamPull(self._js, self._client, stream=spec.stream, consumer=spec.name, bell=bell)
            for spec in CONSUMERS
            if spec.service == SERVICE
        ]
        for pull in pulls:
            reached = standing.progress.get(pull.stream, StreamProgress())
            pull.lane.next_seq, pull.lane.last_time_us = reached.last_seq + 1, reached.last_time_us
        writing = _Writing(self._js, self._store, self._lookups, self._key, self._clock, lease, pulls, standing)
        writing.on_entries, writing.on_checkpoint = self._entries.inc, self._checkpoints.inc
        pulling = [asyncio.create_task(pull.run(), name=f"pull {pull.stream}") for pull in pulls]
        try:
            while True:
                bell.clear()
                taken, pause = await writing.round(self._batch_messages_max)
                for stream, number in writing.lag.items():
                    self._lag.labels(stream).set(number)
                self._is_ready = self._is_writing = True
                for task in pulling:
                    if task.done():
                        task.result()
                if not taken:
                    try:
                        await asyncio.wait_for(bell.wait() if pause is None else asyncio.sleep(pause), IDLE_SECONDS)
                    except TimeoutError:
                        continue
        finally:
            for task in pulling:
                task.cancel()
            await asyncio.gather(*pulling, return_exceptions=True)

    async def _check_standing(self, standing: Standing) -> None:
        """The stored log must lead to the root that was signed last, or nothing may be built on it."""
        if standing.checkpoint_text is None:
            return
        signed = parse_and_verify_checkpoint(standing.checkpoint_text, self._key.verifier_key)
        if await self._lookups.root_at(signed.size) != signed.root:
            raise RecordAltered(
                f"the stored log of {signed.size} entries does not lead to the root that was signed for it; "
                "export it, verify it, and restore the database from its backup"
            )


class _Writing:
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
    ) -> None:
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
        self.on_entries: Callable[[int], None] = _ignore
        self.on_checkpoint: Callable[[], None] = _ignore

    async def round(self, messages_max: int) -> tuple[int, float | None]:
        """Take what is there; returns how many entries were added, and how long to wait for what is held back."""
        ends = await asyncio.gather(*(pull.end() for pull in self._pulls))
        for pull, end in zip(self._pulls, ends, strict=True):
            await self._look(pull, end)
        released = release_ready([pull.lane for pull in self._pulls], messages_max=messages_max)
        if released:
            await self._record(released)
        for pull in self._pulls:
            await pull.acknowledge()
        await self._sign_if_due()
        for pull, end in zip(self._pulls, ends, strict=True):
            self.lag[pull.stream] = max(end.last_seq + 1 - pull.lane.next_seq, 0)
        if self._may_have_unsealed and not released and not any(self.lag.values()):
            await self._seal_ended()
        held_back = any(pull.lane.waiting for pull in self._pulls) or any(self.lag.values())
        return len(released), SETTLE_US / 2_000_000 if held_back else None

    async def _look(self, pull: StreamPull, end: StreamEnd) -> None:
        lane = pull.lane
        if end.last_seq + 1 < lane.next_seq:
            raise NeedsPerson(
                "AUD_UNAVAILABLE",
                f"stream {pull.stream} ends at {end.last_seq}, the log holds it up to {lane.next_seq - 1}: this is "
                "another bus, or it was restored from an older backup; give the auditor an empty database for it",
            )
        if end.first_seq > lane.next_seq:
            await self._report_lost(pull.stream, lane.next_seq, end.first_seq - 1)
            lane.skip_to(end.first_seq)
        await pull.fill_if_lacking(end, now_seconds=self._clock.monotonic_seconds())
        lane.hear_end(last_seq=end.last_seq, at_us=end.at_us)

    async def _record(self, released: Sequence[Arrived]) -> None:
        new: list[NewEntry] = []
        projected = Projected()
        for arrived in released:
            recorded = record(arrived, self._frontier.size + len(new))
            new.append(NewEntry(recorded.entry, recorded.body, recorded.leaf_hash))
            project(recorded, arrived, projected)
            if recorded.entry.type == RUN_SEALED:
                self._has_run_ended = True
            elif isinstance(recorded.event, RunState) and recorded.event.has_ended:
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
            sealed = seal(state, ledger, first_entry=entries[0], last_entry=entries[1])
            try:
                await self._publish(
                    sealed,
                    f"evt.auditor.run_sealed.{stored.run}",
                    f"{stored.run}.sealed",
                    about=stored.run,
                    is_first=True,
                )
            except Conflict:
                log.info("audit_run_sealed_before", run=stored.run)
        self._may_have_unsealed = len(unsealed) == SEALS_MAX

    async def _report_lost(self, stream: str, first: int, last: int) -> None:
        log.error("audit_messages_gone", stream=stream, first=first, last=last)
        lost = MessagesLost(stream=stream, first_seq=first, last_seq=last)
        await self._publish(lost, LOST_SUBJECT, f"lost-{stream}-{first}-{last}", about=stream)

    async def _publish(
        self, event: Event, subject: str, message_id: str, *, about: str, is_first: bool = False
    ) -> None:
        headers = headers_of(
            event, message_id=message_id, source=f"/services/{SERVICE}", subject=about, time=self._clock.now()
        )
        await publish_one(
            self._js, Outgoing(subject, body_of(event), message_id, headers, expected_last_seq=0 if is_first else None)
        )


def _ignore(number: int = 0) -> None:
    """What happens to a figure that nobody asked for."""
