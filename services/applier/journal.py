"""The journal of one run: intents and outcomes made durable together, always under the fence of the lease.

Whatever is handed in while a batch is under way goes out as the next batch, all or nothing (group commit). One batch
is under way at a time: each costs the server a few waits for its disk, of whatever size it is, so that two small ones
at once are slower than one large one after the other. A batch is refused as a whole when the fence is another's, and
from the first failure on nothing is taken any more: without a journal nothing may be written. It decides nothing about
changes and never reads what it was given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import structlog
from nats.js import JetStreamContext

from services.applier.outcomes import Known, read_known
from shared.bus.commit import Committer
from shared.bus.publishing import Fence, Outgoing, PublishFailed, publish_batch
from shared.events.facts import IntentRecorded, OutcomeRecorded, change_subject
from shared.run.moves import Message

log = structlog.get_logger(__name__)

BATCH_MAX: Final = 500
"""Messages of one group commit."""

_Entry = tuple[Outgoing, asyncio.Future[None]]


class Journal:
    """Intents and outcomes of one run."""

    def __init__(
        self,
        js: JetStreamContext,
        committer: Committer,
        *,
        run: str,
        token: int,
        fence: Fence,
        wait_seconds: float = 0.0,
    ) -> None:
        self.token = token
        """The fencing token that intents and outcomes carry."""
        self._js = js
        self._committer = committer
        self._run = run
        self._fence = fence
        self._wait_seconds = wait_seconds
        self._queue: deque[_Entry] = deque()
        """Bounded by the caller: who hands in waits, or counts what is not durable yet."""
        self._publishing: asyncio.Task[None] | None = None
        self._failure: Exception | None = None

    async def read(self) -> Known:
        """Everything that is known of the run's changes."""
        return await read_known(self._js, self._run)

    async def intend(self, change_id: str, attempt: int) -> None:
        """Make an intent durable; `Conflict` when the fence is another's."""
        await self._durable(
            IntentRecorded(run=self._run, change_id=change_id, fencing_token=self.token, attempt=attempt)
        )

    async def conclude(self, outcome: OutcomeRecorded) -> None:
        """Make an outcome durable; `Conflict` when the fence is another's."""
        await self._durable(outcome)

    async def close(self) -> None:
        """Have everything published that was handed in, also by whoever was cancelled since.

        A failure is logged and not raised: who waited for his entry has been told, and nobody else relies on one.
        """
        if self._publishing is not None:
            await asyncio.shield(self._publishing)
        if self._failure is not None:
            log.warning("journal_failed", run=self._run, error=f"{type(self._failure).__name__}: {self._failure}")

    async def _durable(self, event: IntentRecorded | OutcomeRecorded) -> None:
        if self._failure is not None:
            raise self._failure
        outgoing = self._committer.outgoing(
            Message(
                subject=change_subject(self._run, event.change_id),
                event=event,
                message_id=message_id_of(event),
                about=self._run,
            ),
            fence=self._fence,
        )
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((outgoing, stored))
        if self._publishing is None:
            self._publishing = asyncio.create_task(self._publish(), name=f"journal {self._run}")
        await stored  # a cancellation here leaves the entry in the queue

    async def _publish(self) -> None:
        """Publish until the queue is empty; it ends then, and the next entry begins it anew."""
        batch: list[_Entry] = []
        try:
            while True:
                # Who is ready to hand in now still comes into this batch.
                await asyncio.sleep(self._wait_seconds)
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_MAX))]
                if not batch:
                    return
                await publish_batch(self._js, [outgoing for outgoing, _ in batch])
                for _, stored in batch:
                    if not stored.done():
                        stored.set_result(None)
        except Exception as failure:  # noqa: BLE001 - whatever it is, every waiting task must be told
            self._fail(failure, batch)
        except asyncio.CancelledError:
            ended = PublishFailed(f"the journal of run {self._run} was ended before its last entries were stored")
            self._fail(ended, batch)
            raise
        finally:
            self._publishing = None

    def _fail(self, failure: Exception, batch: list[_Entry]) -> None:
        self._failure = self._failure or failure
        for _, stored in (*batch, *self._queue):
            if not stored.done():
                stored.set_exception(failure)
        self._queue.clear()


def message_id_of(event: IntentRecorded | OutcomeRecorded) -> str:
    """What makes a repetition of the same entry harmless, and keeps different entries apart."""
    if isinstance(event, IntentRecorded):
        return f"{event.run}.{event.change_id}.intent.{event.fencing_token}.{event.attempt}"
    # With the token: a former holder's late outcome must meet the fence, not pass for the one that is stored.
    plain = f"{event.run}.{event.change_id}.outcome.{event.fencing_token}"
    # What the target does not show is told after it was told as applied, by the same holder.
    return f"{plain}.not_kept" if event.code == "VER_NOT_KEPT" else plain
