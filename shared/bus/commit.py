"""Committing a step: the run's next document together with everything that follows from it, or nothing.

A handler says what it wants as a `Move`: which documents the decision looks at, and a pure function from them to the
messages to publish. This file reads the documents, calls the function and publishes the answer as one atomic batch
bound to the sequences read; when somebody was quicker, it reads again and decides again. It decides nothing itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from nats.js import JetStreamContext
from opentelemetry import trace

from shared.bus.publishing import Conflict, Fence, Outgoing, publish_batch
from shared.bus.reading import last
from shared.bus.topology import subject_shape
from shared.clock import Clock
from shared.errors import StopRun
from shared.events.envelope import body_of, headers_of
from shared.events.facts import AlarmRaised
from shared.events.stored import Stored
from shared.ids import is_run_id
from shared.run.moves import Decision, Message, Move, run_state_in
from shared.run.state import RunState, state_subject
from shared.telemetry import spans
from shared.telemetry.carrying import (
    TRACE_PARENT,
    current_traceparent,
    document_context,
    span_in,
    trace_id_of,
    traceparent_of,
)

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
            sending = _Sending(self._tracer, decision.messages, read)
            try:
                await publish_batch(self._js, [self._outgoing(message, read, sending) for message in decision.messages])
            except Conflict:
                # A lost race is no publication: its spans are never ended, and so never told.
                await asyncio.sleep(random.uniform(0, min(0.2, 0.005 * (attempt + 1))))  # noqa: S311 -- not a secret
                continue
            except BaseException as error:
                sending.end(error)
                raise
            sending.end()
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

    def _outgoing(self, message: Message, read: Mapping[str, Stored | None], sending: _Sending) -> Outgoing:
        expected: int | None = None
        if message.subject in read:
            stored = read[message.subject]
            expected = 0 if stored is None else stored.seq
        span = sending.span_of(message)
        event = message.event
        if isinstance(event, RunState) and event.trace is None and span is not None:
            # The run's document says in which trace the run is, for whoever shows it.
            message = replace(message, event=event.model_copy(update={"trace": trace_id_of(span)}))
        return self.outgoing(message, expected_last_seq=expected, span=span)

    def outgoing(
        self,
        message: Message,
        *,
        expected_last_seq: int | None = None,
        fence: Fence | None = None,
        span: trace.Span | None = None,
    ) -> Outgoing:
        """One event as it goes out, with its headers and the trace of that span, or the present one."""
        return Outgoing(
            subject=message.subject,
            body=body_of(message.event),
            headers=headers_of(
                message.event,
                message_id=message.message_id,
                source=self._source,
                subject=message.about,
                time=self._clock.now(),
                traceparent=current_traceparent() if span is None else traceparent_of(span),
            ),
            message_id=message.message_id,
            expected_last_seq=expected_last_seq,
            fence=fence,
        )


class _Sending:
    """The spans of one batch: one for each trace that its messages belong to, which is mostly one."""

    def __init__(self, tracer: trace.Tracer, messages: Sequence[Message], read: Mapping[str, Stored | None]) -> None:
        self._read = read
        self._spans: dict[str, trace.Span] = {}
        here = trace.get_current_span().get_span_context()
        by_trace: dict[str, list[Message]] = {}
        for message in messages:
            by_trace.setdefault(self._trace_of(message), []).append(message)
        for named, those in by_trace.items():
            # What is told of a run stays in the run's trace, although a person asked in another.
            context, links = document_context({TRACE_PARENT: named} if named else {})
            if not here.is_valid and (context is None or not span_in(context).is_valid):
                continue  # outside every trace: a publication alone begins none
            shapes = [subject_shape(message.subject) for message in those]
            span = spans.begin_publishing(tracer, shapes=shapes, context=context, links=links)
            self._spans[named] = span
            if span.is_recording():
                _tell(span, those)

    def span_of(self, message: Message) -> trace.Span | None:
        """The span that the message bears; None outside every trace."""
        return self._spans.get(self._trace_of(message))

    def end(self, error: BaseException | None = None) -> None:
        """The batch was published, or could not be."""
        for span in self._spans.values():
            if error is not None:
                spans.fail(span, spans.error_type(error))
            span.end()

    def _trace_of(self, message: Message) -> str:
        document = self._read.get(state_subject(message.about))
        return "" if document is None else document.headers.get(TRACE_PARENT, "")


def _tell(span: trace.Span, messages: Sequence[Message]) -> None:
    """Of which run the messages are, and into which states it came with them."""
    runs = {message.about for message in messages if is_run_id(message.about)}
    if len(runs) == 1:
        span.set_attribute(spans.RUN, runs.pop())
    for message in messages:
        if isinstance(message.event, RunState):
            span.add_event(spans.STATUS_EVENT, {spans.STATUS: message.event.status.value})
