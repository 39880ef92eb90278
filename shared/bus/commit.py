"""Committing a step: the run's next document together with everything that follows from it, or nothing.

A handler says what it wants as a `Move`: which documents the decision looks at, and a pure function from them to the
messages to publish. This file reads the documents, calls the function and publishes the answer as one atomic batch
bound to the sequences read; when somebody was quicker, it reads again and decides again. It decides nothing itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping

from nats.js import JetStreamContext
from opentelemetry import trace

from shared.bus.publishing import Conflict, Fence, Outgoing, publish_batch
from shared.bus.reading import last
from shared.clock import Clock
from shared.errors import StopRun
from shared.events.envelope import body_of, headers_of
from shared.events.facts import AlarmRaised
from shared.events.stored import Stored
from shared.run.moves import Decision, Message, Move, run_state_in
from shared.run.state import RunState, state_subject
from shared.telemetry.tracing import continuing, current_traceparent

CONFLICTS_MAX = 200
"""Decisions tried anew before we call it a defect; partitions of one run compete for one document."""
CORE = "CORE"


class Committer:
    """Commits moves for one service."""

    def __init__(
        self,
        js: JetStreamContext,
        *,
        service: str,
        clock: Clock,
        tracer_provider: trace.TracerProvider | None = None,
        on_alarm: Callable[[str], None] = lambda code: None,
    ) -> None:
        """`on_alarm` is told the code of every alarm that was published, whoever decided upon it."""
        self._js = js
        self._on_alarm = on_alarm
        self._tracer = trace.get_tracer(__name__, tracer_provider=tracer_provider)
        self._source = f"/services/{service}"
        self._clock = clock

    async def commit(self, move: Move) -> Decision:
        """Read, decide and publish until it holds; returns what was published.

        Errors of the decision pass through with nothing published.
        """
        for attempt in range(CONFLICTS_MAX):
            read = {subject: await last(self._js, CORE, subject) for subject in move.reads}
            decision = move.decide(read)
            if not decision.messages:
                return decision
            try:
                await publish_batch(self._js, [self._outgoing(message, read) for message in decision.messages])
            except Conflict:
                await asyncio.sleep(random.uniform(0, min(0.2, 0.005 * (attempt + 1))))  # noqa: S311 -- not a secret
                continue
            for message in decision.messages:
                if isinstance(message.event, AlarmRaised):
                    self._on_alarm(message.event.reason.code)
            return decision
        raise StopRun(
            "SYS_HANDLER_FAILED",
            f"{CONFLICTS_MAX} attempts to commit over {', '.join(move.reads)} met a newer document each",
        )

    async def run_state(self, run: str) -> RunState:
        """The run's present document; `StopRun` when there is none."""
        return run_state_in(run, await last(self._js, CORE, state_subject(run)))

    def _outgoing(self, message: Message, read: Mapping[str, Stored | None]) -> Outgoing:
        expected: int | None = None
        if message.subject in read:
            stored = read[message.subject]
            expected = 0 if stored is None else stored.seq
        # What is told of a run stays in the run's trace, although a person asked in another.
        document = read.get(state_subject(message.about))
        with continuing(self._tracer, "commit", {} if document is None else document.headers):
            return self.outgoing(message, expected_last_seq=expected)

    def outgoing(
        self, message: Message, *, expected_last_seq: int | None = None, fence: Fence | None = None
    ) -> Outgoing:
        """One event as it goes out, with its headers and the present trace."""
        return Outgoing(
            subject=message.subject,
            body=body_of(message.event),
            headers=headers_of(
                message.event,
                message_id=message.message_id,
                source=self._source,
                subject=message.about,
                time=self._clock.now(),
                traceparent=current_traceparent(),
            ),
            message_id=message.message_id,
            expected_last_seq=expected_last_seq,
            fence=fence,
        )
