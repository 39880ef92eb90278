"""Wires the bus to FastStream: the broker of one service, its consumers, its answers, and the delivery rule.

The only file of shared/ that knows FastStream. Nothing is declared here: streams and consumers are provisioned
apart, and a missing one stops the start with its name. Messages are acknowledged, retried or laid among the dead
letters by `delivery.decide`; a heartbeat keeps a long handler's message from going to a second one.
"""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final

import nats.errors
import structlog
from fast_depends.exceptions import ValidationError as ArgumentsInvalid
from faststream import AckPolicy, BaseMiddleware
from faststream.message import StreamMessage
from faststream.nats import JStream, NatsBroker, PullSub
from faststream.nats.prometheus.provider import NatsMetricsSettingsProvider
from faststream.prometheus import ConsumeAttrs
from faststream.prometheus.middleware import PrometheusMiddleware
from faststream.response import PublishCommand
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from shared.bus.connect import (
    BusSettings,
    PermissionRefused,
    Refusals,
    Watch,
    client_of,
    close_for_good,
    connect_watched,
)
from shared.bus.delivery import (
    STANDARD_BACK_OFF,
    Ack,
    BackOff,
    DeadLetter,
    Delivery,
    RetryIn,
    Undecodable,
    dead_letter_message,
    decide,
)
from shared.bus.publishing import PublishFailed, PublishRefused, publish_one
from shared.bus.reading import foreign_marks
from shared.bus.topology import (
    CONSUMERS,
    REQUESTS,
    ConsumerSpec,
    consumer_spec,
    inbox_prefix,
    matches,
    stream_spec,
    subject_shape,
)
from shared.clock import Clock
from shared.ids import is_run_id
from shared.telemetry import spans
from shared.telemetry.carrying import context_in, span_in
from shared.telemetry.families import counter, histogram

FETCH_SECONDS: Final = 1.0
"""How long one pull waits: longer ones stall as long after a reconnect."""
HEARTBEATS_PER_ACK_WAIT: Final = 3
HANDLER_SECONDS_MAX: Final = 4 * 3600.0
"""After this long without an end a handler counts as hung: its heartbeat stops and the message goes elsewhere."""
SHUTDOWN_SECONDS_MAX: Final = 15.0
PAUSE_AFTER_SHUTDOWN_SECONDS: Final = 1.0
PAUSE_AFTER_LOST_DEAD_LETTER_SECONDS: Final = 30.0
DEAD_LETTER_STREAM: Final = "DLQ"
WAIT_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Buckets of how long messages waited for their first delivery."""

log = structlog.get_logger(__name__)


class NotProvisioned(Exception):
    """A consumer of the table is not on the server."""


class DeliveryMetrics:
    """What became of the messages of this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.verdicts = counter("aether_bus_verdicts_total", registry)
        self.dead_letters = counter("aether_bus_dead_letters_total", registry)
        self.waits = histogram("aether_bus_wait_seconds", registry, buckets=WAIT_SECONDS)
        self.refusals = counter("aether_bus_permission_refusals_total", registry)


class BusBroker(NatsBroker):
    """FastStream's broker on our own connection: our options, our watch, our check of what is provisioned."""

    def __init__(
        self,
        settings: BusSettings,
        *,
        service: str,
        registry: CollectorRegistry,
        clock: Clock,
        tracer_provider: trace.TracerProvider | None = None,
        exits_when_closed: bool = True,
        shutdown_seconds: float = SHUTDOWN_SECONDS_MAX,
        consumers: Sequence[ConsumerSpec] = CONSUMERS,
        back_off: BackOff = STANDARD_BACK_OFF,
    ) -> None:
        self.service = service
        self._settings = settings
        self._exits_when_closed = exits_when_closed
        self._consumers: set[str] = set()
        self._questions: set[str] = set()
        self.traces = tracer_provider or trace.get_tracer_provider()
        """What makes this program's spans; whoever runs the program ends it."""
        metrics = DeliveryMetrics(registry)
        self._watch = Watch(
            Refusals(settings.user, on_refusal=lambda refusal: metrics.refusals.labels(refusal.act).inc())
        )
        self.delivery_rule = DeliveryRule(
            service=service,
            jetstream=lambda: self.jetstream,
            clock=clock,
            metrics=metrics,
            consumers=consumers,
            back_off=back_off,
        )
        super().__init__(
            settings.url.split(","),
            middlewares=(
                # First in the list is outermost: it sees what decoding, telemetry and the handler raise.
                self.delivery_rule,
                Tracing(self.traces.get_tracer(__name__), is_question=self._is_question),
                PrometheusMiddleware(
                    settings_provider_factory=lambda _: _Metrics(), registry=registry, app_name=service
                ),
            ),
            graceful_timeout=shutdown_seconds,
            # Its own lines quote exceptions, and these may quote records; the rule logs without values.
            logger=None,
        )

    @property
    def refusals(self) -> Refusals:
        """What the bus refused to this program."""
        return self._watch.refusals

    @property
    def jetstream(self) -> JetStreamContext:
        """The JetStream context of this broker's connection, for publishing.py, reading.py and lease.py."""
        context: JetStreamContext = self.config.connection_state.stream
        return context

    @property
    def is_connected(self) -> bool:
        """Whether the bus answers at this moment."""
        client: Client = client_of(self.jetstream)
        return client.is_connected

    def expect(self, consumer: str) -> None:
        """Note a consumer whose absence must stop the start."""
        self._consumers.add(consumer)

    def expect_questions(self, pattern: str) -> None:
        """Note subjects on which only questions come: they begin no trace, however often a page asks."""
        self._questions.add(pattern)

    def _is_question(self, subject: str) -> bool:
        return any(matches(pattern, subject) for pattern in self._questions)

    async def start(self) -> None:
        """Connect, check that the consumers exist, and begin to pull; a failed start leaves no connection behind."""
        try:
            await self.connect()
            await self._require_consumers()
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def _require_consumers(self) -> None:
        for name in sorted(self._consumers):
            spec = consumer_spec(name)
            try:
                await self.jetstream.consumer_info(spec.stream, name)
            except (NotFoundError, nats.errors.TimeoutError) as error:
                raise NotProvisioned(
                    f"consumer {name} of stream {spec.stream} cannot be found by {self._settings.user}: "
                    "provision the bus first, and check the user's permissions"
                ) from error

    async def stop(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> None:
        """Let running handlers end and leave the bus on purpose, also when it is not there."""
        self._watch.is_leaving = True
        client = self._connection
        try:
            await super().stop(exc_type, exc_val, exc_tb)
        except* (nats.errors.Error, TimeoutError) as errors:
            # Nothing is lost with it: what was not acknowledged is delivered again.
            log.warning(
                "bus_not_left_in_order",
                user=self._settings.user,
                errors=sorted({type(error).__name__ for error in errors.exceptions}),
            )
        finally:
            if client is not None and not client.is_closed:
                await close_for_good(client)
            self._connection = None
            self.config.disconnect()

    async def _connect(self) -> Client:
        self._watch.is_leaving = False
        client = await connect_watched(self._settings, self._watch, exits_when_closed=self._exits_when_closed)
        self.config.connect(client)
        return client


def consume(broker: BusBroker, consumer: str, handler: Callable[..., Any], *, parallel: int = 1) -> None:
    """Let a handler take a consumer's messages, one at a time in each of `parallel` pulls.

    Each pull fetches one message: what is fetched is being worked on and has a heartbeat. ValueError when the
    consumer belongs to another service.
    """
    spec = consumer_spec(consumer)
    if spec.service != broker.service:
        raise ValueError(f"the consumer {consumer} belongs to {spec.service}, not to {broker.service}")
    if not 1 <= parallel <= spec.max_ack_pending:
        raise ValueError(f"{consumer}: {parallel} pulls; from 1 to {spec.max_ack_pending} are allowed")
    broker.expect(consumer)
    for number in range(parallel):
        broker.subscriber(
            # Only a name for documents: what the consumer delivers was fixed when it was provisioned.
            spec.filters[0] if len(spec.filters) == 1 else ">",
            stream=JStream(spec.stream, declare=False),
            durable=spec.name,
            pull_sub=PullSub(batch_size=1, timeout=FETCH_SECONDS),
            # The broker's own inbox prefix is not used for pulls; without this nothing ever arrives.
            inbox_prefix=f"{inbox_prefix(broker.service)}.".encode(),
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            title=consumer,
            include_in_schema=number == 0,
        )(handler)


def answer(broker: BusBroker, subject: str, handler: Callable[..., Any], *, parallel: int = 1) -> None:
    """Let a handler answer a request subject of the table; replicas share it as one queue group.

    The handler returns the answer and turns its own errors into one: an exception leaves the asker waiting.
    """
    row = next((row for row in REQUESTS if row.subject == subject), None)
    if row is None or row.service != broker.service:
        raise ValueError(f"{broker.service} does not answer {subject!r} in the table of the bus")
    broker.subscriber(subject, queue=broker.service, max_workers=parallel)(handler)


class DeliveryRule:
    """Applies the delivery rule to each message of a consumer; requests pass through untouched."""

    def __init__(
        self,
        *,
        service: str,
        jetstream: Callable[[], JetStreamContext],
        clock: Clock,
        metrics: DeliveryMetrics,
        consumers: Sequence[ConsumerSpec],
        back_off: BackOff,
    ) -> None:
        self.service = service
        self.back_off = back_off
        self.jetstream = jetstream
        self.clock = clock
        self.metrics = metrics
        self._ack_waits = {(row.stream, row.name): row.ack_wait_seconds for row in consumers}

    def heartbeat_seconds(self, delivery: Delivery) -> float:
        """How often to tell the server that a message is still being worked on."""
        return self._ack_waits[delivery.stream, delivery.consumer] / HEARTBEATS_PER_ACK_WAIT

    def __call__(self, msg: Any, /, *, context: Any) -> BaseMiddleware[Any, Any]:
        """Wrap one message; FastStream calls this for each."""
        if isinstance(msg, Msg) and msg.reply.startswith("$JS.ACK."):
            return _RuledDelivery(msg, context=context, rule=self)
        return BaseMiddleware(msg, context=context)


class Tracing:
    """Puts a span around the handling of each message, in the trace that the message names or in a new one."""

    def __init__(self, tracer: trace.Tracer, *, is_question: Callable[[str], bool]) -> None:
        self.tracer = tracer
        self.is_question = is_question

    def __call__(self, msg: Any, /, *, context: Any) -> BaseMiddleware[Any, Any]:
        """Wrap one message; FastStream calls this for each."""
        if isinstance(msg, Msg):
            return _TracedHandling(msg, context=context, tracing=self)
        return BaseMiddleware(msg, context=context)


class _TracedHandling(BaseMiddleware[Any, Any]):
    """One message with its span."""

    def __init__(self, msg: Msg, /, *, context: Any, tracing: Tracing) -> None:
        super().__init__(msg, context=context)
        self._message = msg
        self._tracing = tracing

    async def consume_scope(self, call_next: Callable[[Any], Any], msg: StreamMessage[Any]) -> Any:
        message, tracing = self._message, self._tracing
        headers = message.headers or {}
        parent = context_in(headers)
        if not span_in(parent).is_valid and tracing.is_question(message.subject):
            return await call_next(msg)
        attributes: dict[str, str | int] = {spans.BODY_SIZE: len(message.data)}
        if is_run_id(run := headers.get("ce-subject", "")):
            attributes[spans.RUN] = run
        if message.reply.startswith("$JS.ACK."):
            metadata = message.metadata
            attributes[spans.CONSUMER_GROUP] = metadata.consumer
            attributes[spans.DELIVERIES] = metadata.num_delivered
        shape = subject_shape(message.subject)
        with spans.handling(tracing.tracer, shape=shape, parent=parent, attributes=attributes):
            return await call_next(msg)


class _RuledDelivery(BaseMiddleware[Any, Any]):
    """One delivery: a heartbeat while it lasts, a verdict when it ends."""

    def __init__(self, msg: Msg, /, *, context: Any, rule: DeliveryRule) -> None:
        super().__init__(msg, context=context)
        metadata = msg.metadata
        self._rule = rule
        self._message = msg
        self._delivery = Delivery(
            stream=metadata.stream,
            consumer=metadata.consumer,
            subject=msg.subject,
            seq=metadata.sequence.stream,
            deliveries=metadata.num_delivered,
        )
        self._heart: asyncio.Task[None] | None = None

    async def on_receive(self) -> None:
        self._heart = asyncio.create_task(self._beat())
        if self._delivery.deliveries == 1:
            waited = self._rule.clock.now() - self._message.metadata.timestamp
            # Of the two clocks one may be ahead.
            self._rule.metrics.waits.labels(self._delivery.consumer).observe(max(waited.total_seconds(), 0.0))

    async def consume_scope(self, call_next: Callable[[Any], Any], msg: StreamMessage[Any]) -> Any:
        # The server's own ticks bear no marks of ours; they only say "look", so a copied one does no harm.
        is_ours = not stream_spec(self._delivery.stream).allow_schedules
        if is_ours and (why := foreign_marks(self._message.headers or {}, self._delivery.stream)) is not None:
            raise Undecodable(f"the message is not to be believed: {why}")
        return await call_next(msg)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool:
        if self._heart is not None:
            # Not awaited: a cancellation that came meanwhile would be taken for the heart's own.
            self._heart.cancel()
        if exc_val is not None and not isinstance(exc_val, Exception):
            # The program is ending: another replica may have the message in a moment.
            await self._say(self._message.nak(delay=PAUSE_AFTER_SHUTDOWN_SECONDS))
            return False
        error = exc_val
        if isinstance(error, ArgumentsInvalid):
            error = Undecodable("the body does not fit the parameters of its handler")
        await self._apply(error)
        return True

    async def _apply(self, error: Exception | None) -> None:
        metrics, delivery = self._rule.metrics, self._delivery
        match decide(error, delivery.deliveries, self._rule.back_off):
            case Ack():
                metrics.verdicts.labels(delivery.consumer, "ack").inc()
                await self._say(self._message.ack())
            case RetryIn(seconds):
                metrics.verdicts.labels(delivery.consumer, "retry").inc()
                log.warning("bus_retry", **self._facts(), seconds=seconds, error=type(error).__name__)
                await self._say(self._message.nak(delay=seconds))
            case DeadLetter() as letter:
                await self._bury(letter)

    async def _bury(self, letter: DeadLetter) -> None:
        """Store the dead letter, then let the original go; without the first, never the second."""
        metrics, delivery = self._rule.metrics, self._delivery
        log.error("bus_dead_letter", **self._facts(), code=letter.code, reason=letter.reason)
        # A dead letter that cannot be handled lies where dead letters lie; another one would go round for ever.
        if delivery.stream != DEAD_LETTER_STREAM:
            outgoing = dead_letter_message(
                service=self._rule.service,
                delivery=delivery,
                letter=letter,
                body=self._message.data,
                headers=self._message.headers or {},
                now=self._rule.clock.now(),
            )
            try:
                await publish_one(self._rule.jetstream(), outgoing)
            except (PublishFailed, PublishRefused, PermissionRefused, nats.errors.Error) as error:
                log.critical("bus_dead_letter_not_stored", **self._facts(), error=str(error))
                metrics.verdicts.labels(delivery.consumer, "retry").inc()
                await self._say(self._message.nak(delay=PAUSE_AFTER_LOST_DEAD_LETTER_SECONDS))
                return
        metrics.verdicts.labels(delivery.consumer, "dead_letter").inc()
        metrics.dead_letters.labels(delivery.consumer, letter.code).inc()
        await self._say(self._message.term())

    async def _say(self, acknowledging: Any) -> None:
        """Send an acknowledgement; one that cannot be sent means a second delivery, which handlers bear."""
        try:
            await acknowledging
        except nats.errors.Error as error:
            log.warning("bus_acknowledgement_not_sent", **self._facts(), error=type(error).__name__)

    async def _beat(self) -> None:
        seconds = self._rule.heartbeat_seconds(self._delivery)
        for _ in range(int(HANDLER_SECONDS_MAX / seconds)):
            await asyncio.sleep(seconds)
            await self._say(self._message.in_progress())
        log.critical("bus_handler_hangs", **self._facts(), seconds=HANDLER_SECONDS_MAX)

    def _facts(self) -> dict[str, str | int]:
        delivery = self._delivery
        return {
            "stream": delivery.stream,
            "consumer": delivery.consumer,
            "subject": delivery.subject,
            "seq": delivery.seq,
            "deliveries": delivery.deliveries,
        }


class _Metrics(NatsMetricsSettingsProvider):
    """Metric labels by the shape of a subject: run ids would make as many series as there are runs."""

    def get_consume_attrs_from_message(self, msg: StreamMessage[Msg]) -> ConsumeAttrs:
        attributes = super().get_consume_attrs_from_message(msg)
        return {**attributes, "destination_name": subject_shape(attributes["destination_name"])}

    def get_publish_destination_name_from_cmd(self, cmd: PublishCommand) -> str:
        return subject_shape(cmd.destination)
