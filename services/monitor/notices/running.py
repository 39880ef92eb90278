"""Runs the notices: whoever holds the lease looks, and tells people what is new; others stand by.

The log is the memory. A new holder publishes that it has taken over and waits until the auditor has recorded that: all
that an earlier holder had stored as told is then in the log, and is read before anything is sent. It decides nothing
about what is told (`conditions`, `deciding`) or how (`courier`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.monitor.notices.board import Board
from services.monitor.notices.channels import EmailChannel, SlackChannel, WebhookChannel, load_channels
from services.monitor.notices.conditions import present
from services.monitor.notices.courier import BACK_OFF_SECONDS, Courier
from services.monitor.notices.delivery import Sender
from services.monitor.notices.mail import Mail
from services.monitor.notices.past import LogPast
from services.monitor.notices.reading import Reader
from services.monitor.notices.settings import NoticeSettings
from services.monitor.notices.told import Told
from services.monitor.notices.web import Slack, Webhook
from services.monitor.notices.wording import House
from shared.bus.client import heeding
from shared.bus.commit import CORE, Committer
from shared.bus.connect import client_of
from shared.bus.lease import LeaseHeld, LeaseHold, LeaseLost
from shared.bus.publishing import Outgoing, PublishFailed, PublishRefused, publish_one
from shared.bus.reading import StreamUnavailable
from shared.bus.topology import AUDIT_NOTE
from shared.bus.wiring import Service
from shared.clock import Clock
from shared.events.operating import NOTICE_SENT_SUBJECT, NOTICES_TAKEN_OVER_SUBJECT, NoticeSent, NoticesTakenOver
from shared.ids import Ids
from shared.run.moves import Message, hash_of
from shared.telemetry.families import counter

LEASE_SUBJECT: Final = "lease.monitor.notices"
LEASE_SECONDS: Final = 15
STANDBY_SECONDS: Final = 2.0
"""How often a monitor that stands by asks for the lease, and one that failed begins again."""
LOOK_SECONDS: Final = 10.0
"""How old a look may become when a note of the auditor is lost."""
PAUSE_SECONDS: Final = 2.0
"""Between two looks, however much is noted."""
UNSTORED_MAX: Final = 1_000
"""Facts that could not be stored yet and are kept, oldest first."""

AnyChannel = EmailChannel | WebhookChannel | SlackChannel

log = structlog.get_logger(__name__)


async def run(*, service: Service, engine: AsyncEngine, settings: NoticeSettings) -> None:
    """Tell people until cancelled; returns at once where no channels are named.

    `engine` reads the auditor's database.
    """
    total = counter("aether_notices_total", service.metrics)
    if settings.notices is None:
        log.info("no_notices", reason="AETHER_NOTICES names no file")
        return
    channels = load_channels(settings.notices)
    house = House(service.settings.environment, settings.console_url)
    await Notices(
        js=service.js,
        committer=service.committer,
        clock=service.clock,
        ids=service.ids,
        total=total,
        engine=engine,
        channels=channels,
        house=house,
    ).run()


def sender_of(channel: AnyChannel) -> Sender:
    """What sends on a channel."""
    match channel:
        case EmailChannel():
            return Mail(channel)
        case WebhookChannel():
            return Webhook(channel)
        case SlackChannel():
            return Slack(channel)


@dataclass(slots=True)
class Notices:
    """The notices of one monitor."""

    js: JetStreamContext
    committer: Committer
    clock: Clock
    ids: Ids
    total: Counter
    """Counts notices by channel and outcome."""
    engine: AsyncEngine
    """The auditor's database."""
    channels: Sequence[AnyChannel]
    house: House
    lease_seconds: int = LEASE_SECONDS
    standby_seconds: float = STANDBY_SECONDS
    look_seconds: float = LOOK_SECONDS
    pause_seconds: float = PAUSE_SECONDS
    back_off_seconds: float = BACK_OFF_SECONDS
    sender: Callable[[AnyChannel], Sender] = sender_of
    is_telling: bool = False
    """Whether this monitor holds the lease and knows what was told."""
    _unstored: list[NoticeSent] = field(default_factory=list)
    _told: Told = field(default_factory=Told)
    """What this program itself has told or read, kept from one holding to the next."""
    _storing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _bell: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Tell whenever the lease can be had, until cancelled."""
        holder = f"monitor-{self.ids.token(6)}"

        async def hear(_: Msg) -> None:
            self._bell.set()  # what it says is looked up, not believed

        client = client_of(self.js)
        await client.subscribe(AUDIT_NOTE, cb=hear)
        while True:
            try:
                await heeding(self._tell_under_lease(holder))
            except LeaseHeld:
                pass
            except LeaseLost as loss:
                log.warning("notices_replaced", reason=str(loss))
            except (SQLAlchemyError, StreamUnavailable, PublishFailed, PublishRefused, nats.errors.Error) as error:
                if client.is_closed:
                    raise  # for good: trying again would only spin
                # The text of a database error may quote a row.
                log.error("notices_failed", error=type(error).__name__)
            finally:
                self.is_telling = False
            await asyncio.sleep(self.standby_seconds)

    async def _tell_under_lease(self, holder: str) -> None:
        async with LeaseHold(
            self.js,
            subject=LEASE_SUBJECT,
            holder=holder,
            ttl_seconds=self.lease_seconds,
            ids=self.ids,
            monotonic=self.clock.monotonic_seconds,
        ) as lease:
            await self._tell(lease, holder)

    async def _tell(self, lease: LeaseHold, holder: str) -> None:
        taken = Message(
            subject=NOTICES_TAKEN_OVER_SUBJECT,
            event=NoticesTakenOver(holder=holder, fencing_token=lease.token),
            message_id=f"notices-taken-over-{lease.token}",
            about="notices",
        )
        await self.store(())  # what an earlier holding of ours could not
        published = await publish_one(self.js, self.committer.outgoing(taken))
        reader = Reader(self.engine, LogPast(told=self._told))
        await reader.wait_until_recorded(CORE, published.seq)
        board = Board(self._told)
        couriers = [
            asyncio.create_task(self._courier(channel, board, lease).run(), name=f"notices {channel.name}")
            for channel in self.channels
        ]
        try:
            while True:
                self._bell.clear()
                await self._look(reader, board)
                self.is_telling = True
                for task in couriers:
                    if task.done():
                        task.result()
                await asyncio.sleep(self.pause_seconds)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self.look_seconds):
                        await self._bell.wait()
        finally:
            for task in couriers:
                task.cancel()
            await asyncio.gather(*couriers, return_exceptions=True)

    async def _look(self, reader: Reader, board: Board) -> None:
        """Put up what the record says; what cannot be read now leaves the board as it is."""
        now = self.clock.now()
        try:
            look = await reader.look(now=now)
            found = present(look, now=now)
            statuses = await reader.statuses(self._told.open_runs())
        except (SQLAlchemyError, OSError, ValueError, KeyError, TypeError) as error:
            log.warning("record_not_read", error=type(error).__name__)
            return
        board.put_up(found, told=self._told, statuses=statuses)

    def _courier(self, channel: AnyChannel, board: Board, lease: LeaseHold) -> Courier:
        for outcome in ("sent", "summarised", "failed", "given_up"):
            self.total.labels(channel.name, outcome)  # a figure that is not there yet cannot be seen to rise

        def count(outcome: str) -> None:
            self.total.labels(channel.name, outcome).inc()

        return Courier(
            channel.interest, self.sender(channel), channel.notices_a_minute, board, self.house, self.clock,
            self.store, lease.is_held, count, self.back_off_seconds,
        )  # fmt: skip

    async def store(self, facts: Sequence[NoticeSent]) -> None:
        """Store what was told, with what could not be stored before; what cannot be now is kept."""
        self._unstored += facts
        async with self._storing:
            # One by one: of a batch, one message that is stored already would keep out the others.
            while self._unstored:
                fact = self._unstored[0]
                try:
                    await publish_one(self.js, self._outgoing(fact))
                except (PublishFailed, PublishRefused, nats.errors.Error) as error:
                    del self._unstored[:-UNSTORED_MAX]
                    log.error("notices_not_stored", count=len(self._unstored), error=type(error).__name__)
                    return
                self._unstored.remove(fact)

    def _outgoing(self, fact: NoticeSent) -> Outgoing:
        message = Message(
            subject=NOTICE_SENT_SUBJECT, event=fact, message_id=f"notice-{hash_of(fact)}", about=fact.run or "notices"
        )
        return self.committer.outgoing(message)
