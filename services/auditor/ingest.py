"""The auditor at work: takes every message of CORE, LEDGER and DLQ into the log, signs it, and seals ended runs.

One auditor writes, under a lease; the others stand by and answer questions. The order of each round is: record in one
transaction, acknowledge, sign, seal. It moves no run and judges none; what an entry holds is `recording`'s affair,
what order they have `merging`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from opentelemetry import trace
from prometheus_client import CollectorRegistry
from sqlalchemy.exc import SQLAlchemyError

from services.auditor import queries
from services.auditor.continuing import require_same_bus
from services.auditor.listing import PlanListing
from services.auditor.notes import Notes
from services.auditor.plans import PlanViews
from services.auditor.pulling import StreamPull
from services.auditor.retention import ListingRetention
from services.auditor.revealing import Revealing
from services.auditor.store import Standing, Store, WriterFenced
from services.auditor.writing import SERVICE, LogKey, Writing
from shared.audit.checkpoint import parse_and_verify_checkpoint
from shared.audit.lookups import Lookups
from shared.audit.stored_tree import RecordAltered, StreamProgress
from shared.bus.client import heeding
from shared.bus.lease import LeaseHeld, LeaseHold, LeaseLost
from shared.bus.publishing import PublishFailed
from shared.bus.reading import StreamUnavailable
from shared.bus.topology import CONSUMERS
from shared.clock import Clock
from shared.ids import Ids
from shared.retention import LISTINGS_KEEP_DAYS
from shared.telemetry.families import counter, gauge

LEASE_SUBJECT: Final = "lease.auditor.writer"
LEASE_SECONDS: Final = 10
STANDBY_SECONDS: Final = 1.0
"""How often an auditor that stands by asks for the lease, and one that failed begins again."""
IDLE_SECONDS: Final = 1.0
"""Longest pause between two looks at the streams when no message rings the bell."""

__all__ = ["Auditor", "LogKey"]

log = structlog.get_logger(__name__)


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
        listings_keep_days: int = LISTINGS_KEEP_DAYS,
        traces: trace.TracerProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(__name__, tracer_provider=traces)
        self._client = client
        self._js = js
        self._store = store
        self._lookups = Lookups(store.engine)
        self._key = key
        self._clock = clock
        self._ids = ids
        self._batch_messages_max = batch_messages_max
        self._lease_seconds = lease_seconds
        self._listings_keep_days = listings_keep_days
        self._plans = PlanViews(js)
        self._revealing = Revealing(js, self._lookups, clock, ids)
        self._is_ready = False
        self._is_writing = False
        self._entries = counter("aether_audit_entries_total", registry)
        self._checkpoints = counter("aether_audit_checkpoints_total", registry)
        self._lag = gauge("aether_audit_lag", registry)

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

    async def reveal(self, headers: Mapping[str, str] | None, data: bytes) -> bytes:
        """The answer to one who asks to see the personal values of a change."""
        return await self._revealing.answer(headers, data)

    async def run(self) -> None:
        """Write whenever the lease can be had, until cancelled; a record that was altered ends it with an error."""
        holder = f"{SERVICE}-{self._ids.token(6)}"
        while True:
            try:
                # What a cancellation breaks off may fail in its own way; beginning again would outlive it.
                await heeding(self._write_under_lease(holder))
            except LeaseHeld:
                self._is_ready = True
            except (LeaseLost, WriterFenced) as loss:
                log.warning("audit_writer_replaced", reason=str(loss))
            except (SQLAlchemyError, StreamUnavailable, PublishFailed, nats.errors.Error) as error:
                self._is_ready = False
                if self._client.is_closed:
                    raise  # for good: trying again would only spin
                # The text of a database error may quote a row.
                log.error("audit_writing_failed", error=type(error).__name__)
            finally:
                self._is_writing = False
            await asyncio.sleep(STANDBY_SECONDS)

    async def _write_under_lease(self, holder: str) -> None:
        async with LeaseHold(
            self._js,
            subject=LEASE_SUBJECT,
            holder=holder,
            ttl_seconds=self._lease_seconds,
            ids=self._ids,
            monotonic=self._clock.monotonic_seconds,
        ) as lease:
            await self._write(lease)

    async def _write(self, lease: LeaseHold) -> None:
        # First: on a bus of the past every lease is older than the last one of the log, and nobody would say why.
        await require_same_bus(self._js, self._store.engine)
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
        notes = Notes(self._client)
        writing = Writing(
            self._js, self._store, self._lookups, self._key, self._clock, lease, pulls, standing, notes, self._tracer
        )
        writing.on_entries, writing.on_checkpoint = self._entries.inc, self._checkpoints.inc

        def on_lag(stream: str, number: int) -> None:
            self._lag.labels(stream).set(number)

        writing.on_lag = on_lag

        async def on_listed(run: str) -> None:
            await notes.tell((run,), size=writing.size)

        listing = PlanListing(self._js, self._store, self._lookups, self._clock, lease, on_listed=on_listed)
        writing.on_plan = listing.bell.set
        pulling = [asyncio.create_task(pull.run(), name=f"pull {pull.stream}") for pull in pulls]
        pulling.append(asyncio.create_task(listing.run(), name="list plans"))
        retention = ListingRetention(self._store, self._clock, lease, keep_days=self._listings_keep_days)
        pulling.append(asyncio.create_task(retention.run(), name="sweep old listings"))
        try:
            while True:
                bell.clear()
                taken, pause = await writing.round(self._batch_messages_max)
                self._is_ready = self._is_writing = True
                for task in pulling:
                    if task.done():
                        task.result()
                if not taken:
                    try:
                        async with asyncio.timeout(IDLE_SECONDS):
                            await (bell.wait() if pause is None else asyncio.sleep(pause))
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
