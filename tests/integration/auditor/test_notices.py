"""What the auditor recorded is told to people, once, however often the monitor dies: on the real bus and databases."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest_asyncio
from prometheus_client import CollectorRegistry
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from services.monitor.notices.channels import SlackChannel
from services.monitor.notices.delivery import NotDelivered
from services.monitor.notices.reading import Reader
from services.monitor.notices.running import LEASE_SUBJECT, AnyChannel, Notices
from services.monitor.notices.wording import House as Told
from services.monitor.notices.wording import Notice
from shared.audit import tables
from shared.audit.opening import read_only_engine
from shared.bus.broker import BusBroker
from shared.bus.commit import Committer
from shared.bus.connect import leave
from shared.bus.lease import acquire, release
from shared.bus.wiring import Service
from shared.clock import SystemClock, to_text
from shared.events import facts
from shared.events.documents import FailureNote
from shared.events.operating import NoticeSent
from shared.ids import RandomIds
from shared.run.alarms import alarm_subject
from shared.run.counts import NineCounts
from shared.run.states import RunStatus
from shared.settings import ServiceSettings
from tests.integration.auditor.house import House, new_run, run_state
from tests.support.bus import until

CHANNEL = SlackChannel.model_validate({"name": "chat", "kind": "slack", "url": "env:NOT_READ_HERE"})
CANARY = "Ana-María Canary <canary.person@example.org>"


@dataclass
class Post:
    """What people were told, whoever told it."""

    got: list[Notice] = field(default_factory=list)
    is_up: bool = True

    async def send(self, notice: Notice, *, now: datetime) -> str:
        if not self.is_up:
            raise NotDelivered("the post is closed")
        self.got.append(notice)
        return "taken"

    def titles(self) -> list[str]:
        return [notice.title.removeprefix("[aether staging] ") for notice in self.got]

    def times(self) -> Counter[str]:
        return Counter(notice.id for notice in self.got)


@dataclass
class Monitors:
    """Monitors of one house that tell on one channel."""

    house: House
    engine: AsyncEngine
    post: Post = field(default_factory=Post)
    running: list[tuple[Notices, asyncio.Task[None]]] = field(default_factory=list)

    async def start(self) -> Notices:
        """Another monitor."""
        client = await self.house.bus.connect_as("monitor")
        clock, registry = SystemClock(), CollectorRegistry()
        js = client.jetstream()
        settings = ServiceSettings(nats_url="", nats_password="")
        service = _OnClient(
            "monitor", settings, _no_broker(), Committer(js, service="monitor", clock=clock), registry, clock,
            RandomIds(),
        )  # fmt: skip
        object.__setattr__(service, "client_js", js)
        one = Notices(
            service=service, engine=self.engine, channels=[CHANNEL], house=Told("staging", None), lease_seconds=2,
            standby_seconds=0.05, look_seconds=0.2, pause_seconds=0.05, back_off_seconds=0.05, sender=self._sender,
        )  # fmt: skip
        self.running.append((one, asyncio.create_task(one.run())))
        return one

    def _sender(self, channel: AnyChannel) -> Post:
        return self.post

    async def kill(self, one: Notices) -> None:
        """End one at once, without its giving anything back."""
        for pair in [pair for pair in self.running if pair[0] is one]:
            self.running.remove(pair)
            await leave(pair[0].service.js._nc)  # it cannot say goodbye
            pair[1].cancel()
            with contextlib.suppress(BaseException):
                await pair[1]

    async def leave(self) -> None:
        for _, task in self.running:
            task.cancel()
        await asyncio.gather(*(task for _, task in self.running), return_exceptions=True)


class _OnClient(Service):
    """A service on a plain connection, for no handler is needed here."""

    @property
    def js(self):  # type: ignore[no-untyped-def,override]  # noqa: ANN201 -- as its parent says
        return self.client_js  # type: ignore[attr-defined]  # set at its making


def _no_broker() -> BusBroker:
    return None  # type: ignore[return-value]  # nothing here asks for it
