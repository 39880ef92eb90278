"""From a message to a handler and back to the bus: what every service does around its handlers.

A handler is a plain async function: it takes an event and what the service gave it, and returns the move it wants
committed. This file decodes, calls, commits and answers. It knows no handler, no broker library and no service.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from shared.bus.commit import Committer
from shared.bus.delivery import Permanent
from shared.bus.identity import NotIdentified, requester_of
from shared.bus.publishing import PublishFailed
from shared.bus.reading import StreamUnavailable
from shared.clock import Clock, to_text
from shared.errors import AetherError, TryLater
from shared.events.commands import Reply
from shared.events.documents import FailureNote
from shared.events.envelope import Undecodable, decode, what_is_wrong
from shared.events.facts import CommandRefused
from shared.events.model import Document, Event
from shared.ids import Ids, is_run_id
from shared.run.alarms import ALARMING, alarm_message
from shared.run.moves import Decision, Message, Move, move_run, state_message
from shared.run.state import RunState
from shared.run.states import MOVES, RunStatus
from shared.telemetry.handlers import HandlerMetrics, Handling

log = structlog.get_logger(__name__)

BUS_RETRY_SECONDS = 3.0
COMMAND_BYTES_MAX = 262_144
OTHER = "other"
"""In figures: an event of which the service knows nothing."""

ContextT = TypeVar("ContextT")
EventHandler = Callable[[Any, ContextT], Awaitable[Move | None]]
RequestHandler = Callable[[Any, "Actor", ContextT], Awaitable["Asked"]]


@dataclass(frozen=True)
class Actor:
    """Who asks, as the bus asserts it."""

    name: str | None
    """None when the bus asserted nobody."""


@dataclass(frozen=True)
class Asked:
    """What a person's command leads to: a move on one run, or on what is declared."""

    run: str | None
    move: Move
    declaration: str | None = None
    """Id of the declared delta that the command is about."""


@dataclass(frozen=True)
class Route(Generic[ContextT]):
    """Which handler takes which event of the service's commands and facts."""

    event: type[Event]
    handler: EventHandler[ContextT]


@dataclass(frozen=True)
class RequestRoute(Generic[ContextT]):
    """Which handler takes which command of a person."""

    subject: str
    body: type[Document]
    handler: RequestHandler[ContextT]


class Dispatcher(Generic[ContextT]):
    """Carries messages to the handlers of one service."""

    def __init__(
        self,
        *,
        service: str,
        routes: tuple[Route[ContextT], ...],
        requests: tuple[RequestRoute[ContextT], ...],
        context: ContextT,
        committer: Committer,
        clock: Clock,
        ids: Ids,
        handled: HandlerMetrics | None = None,
    ) -> None:
        """`handled` measures the handlers; None: nobody looks."""
        self._handled = handled or HandlerMetrics(CollectorRegistry())
        self._service = service
        self._routes = {route.event.event_type: route for route in routes}
        self._requests = {route.subject: route for route in requests}
        self._context = context
        self._committer = committer
        self._clock = clock
        self._ids = ids

    async def dispatch(self, *, subject: str, headers: Mapping[str, str] | None, data: bytes) -> None:
        """Take one event. Returns when its effects are durable; raises for the delivery rule to decide.

        An error that no waiting can mend ends the event's run as failed, or pauses it once it has begun to write,
        before it is raised: a run must never stand still because its command lies among the dead letters.
        """
        event_type = (headers or {}).get("ce-type", "")
        with self._handled.handling(event_type if event_type in self._routes else OTHER) as handling:
            await self._dispatch(event_type, subject, headers, data, handling)

    async def _dispatch(
        self, event_type: str, subject: str, headers: Mapping[str, str] | None, data: bytes, handling: Handling
    ) -> None:
        handling.outcome = "refused"
        route = self._routes.get(event_type)
        if route is None:
            raise Undecodable(
                "SYS_UNDECODABLE",
                f"message on {subject}: {self._service} takes no event of type {event_type!r}",
                subject=subject,
            )
        event = decode(route.event, data=data, headers=headers, subject=subject)
        handling.outcome = "failed"
        try:
            move = await route.handler(event, self._context)
            if move is not None:
                await self._committer.commit(move)
            handling.outcome = "done"
        except TryLater:
            handling.outcome = "later"
            raise
        except (PublishFailed, StreamUnavailable) as error:
            handling.outcome = "later"
            # The bus does not answer: nothing was decided, and nothing is lost by waiting.
            raise TryLater("AUD_UNAVAILABLE", str(error), retry_after_seconds=BUS_RETRY_SECONDS) from error
        except AetherError as error:
            handling.outcome = "refused"
            await self._fail_run(event, FailureNote.of(error))
            await self._alarm(_run_in(event), FailureNote.of(error))
            raise
        except (AssertionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # A defect of ours; other exceptions (bus, network) are the delivery rule's to repeat.
            log.exception("handler_failed", subject=subject, event_type=event_type)
            await self._fail_run(
                event,
                FailureNote(code="SYS_HANDLER_FAILED", text=f"{event_type} failed with {type(error).__name__}"),
            )
            raise Permanent(f"{event_type} failed with {type(error).__name__}") from error

    async def answer(self, *, subject: str, headers: Mapping[str, str] | None, data: bytes) -> bytes:
        """Take one command of a person and answer it; a refusal is an answer and an audit fact, never an exception."""
        with self._handled.handling(subject if subject in self._requests else OTHER) as handling:
            return await self._answer(subject, headers, data, handling)

    async def _answer(self, subject: str, headers: Mapping[str, str] | None, data: bytes, handling: Handling) -> bytes:
        actor = actor_in(headers)
        route = self._requests[subject]
        run: str | None = None
        try:
            body = _body(route.body, data)
            asked = await route.handler(body, actor, self._context)
            run = asked.run
            decision = await self._committer.commit(asked.move)
            status = None if run is None else _status_in(decision, run)
            reply = Reply(is_accepted=True, run=run, status=status, declaration=asked.declaration)
            handling.outcome = "done"
        except AetherError as error:
            run = run or _run_id_fact(error.facts.get("run"))
            refusal = FailureNote.of(error)
            await self._record_refusal(subject, run=run, actor=actor, refusal=refusal)
            await self._alarm(run, refusal)
            reply = Reply(is_accepted=False, run=run, refusal=refusal)
            handling.outcome = "refused"
        return reply.model_dump_json().encode()

    async def _record_refusal(self, subject: str, *, run: str | None, actor: Actor, refusal: FailureNote) -> None:
        fact = CommandRefused(command=subject, run=run, actor=actor.name, refusal=refusal)
        message = Message(
            subject=f"audit.{self._service}.refused",
            event=fact,
            message_id=f"refused-{self._ids.token(20)}",
            about=run or subject,
        )
        await self._committer.commit(Move(reads=(), decide=lambda _: Decision((message,))))
        log.warning("command_refused", command=subject, run=run, code=refusal.code)

    async def _alarm(self, run: str | None, reason: FailureNote) -> None:
        """Tell of a refusal that is more than one; failing to tell must not hide what was refused."""
        if reason.code not in ALARMING:
            return
        log.critical("alarm", run=run, code=reason.code)
        message = alarm_message(
            self._service, run=run, reason=reason, message_id=f"alarm-{self._service}-{self._ids.token(20)}"
        )
        try:
            await self._committer.commit(Move(reads=(), decide=lambda _: Decision((message,))))
        except (AetherError, PublishFailed, StreamUnavailable):
            log.exception("alarm_not_published", run=run, code=reason.code)

    async def _fail_run(self, event: Event, failure: FailureNote) -> None:
        run = _run_in(event)
        if run is None:
            return
        now = to_text(self._clock.now())

        def decide(state: RunState) -> Decision:
            following = MOVES[state.status]
            if state.status is RunStatus.PAUSED or RunStatus.FAILED not in following:
                return Decision()
            # A run that has begun to write waits for a person: it must not end while an outcome is unknown.
            after = RunStatus.PAUSED if RunStatus.PAUSED in following else RunStatus.FAILED
            return Decision((state_message(state.moved(after, at=now, failure=failure)),))

        try:
            await self._committer.commit(move_run(run, decide))
        except AetherError as error:
            log.exception("run_not_failed", run=run, code=failure.code)
            await self._alarm(run, FailureNote.of(error))


def actor_in(headers: Mapping[str, str] | None) -> Actor:
    """The identity that the server put on a request; a client cannot set it, for the server replaces the header."""
    try:
        return Actor(name=requester_of(headers).user)
    except NotIdentified:
        return Actor(name=None)


def _run_in(event: Event) -> str | None:
    """The run that an event is about, if it is about one."""
    return _text_fact(getattr(event, "run", None))


def _body(model: type[Document], data: bytes) -> Document:
    if len(data) > COMMAND_BYTES_MAX:
        # What a person says becomes part of a run's document, which must fit in one message with all the rest.
        text = f"the command has {len(data):,} bytes, allowed {COMMAND_BYTES_MAX:,}; shorten what it says"
        raise Undecodable("APV_MALFORMED", text)
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        raise Undecodable("APV_MALFORMED", f"the command's body: {what_is_wrong(error)}") from None


def _status_in(decision: Decision, run: str) -> str | None:
    """The state that the decision gives this run; another run, superseded, may stand beside it."""
    for message in decision.messages:
        if isinstance(message.event, RunState) and message.event.run == run:
            return str(message.event.status)
    return None


def _run_id_fact(value: object) -> str | None:
    """A run named by whoever was refused; only what can be one goes on to the log and the answer."""
    return value if isinstance(value, str) and is_run_id(value) else None


def _text_fact(value: object) -> str | None:
    return value if isinstance(value, str) else None
