"""A console in this process over a record that a real house made: pages are asked as a browser would, without sockets.

Who is signed in is said by the test (`as_person`); accounts of their own have their own tests. Acts go to a recorder in
place of the bus; what a real bus does with them is shown by the walks in a real browser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from jinja2.bccache import Bucket, BytecodeCache
from prometheus_client import CollectorRegistry

from services.console.definitions import Definitions
from services.console.live import LiveHub
from services.console.records import Records
from services.console.rendering import Templates
from services.console.settings import ConsoleSettings
from services.console.site import Console, site
from services.console.telling import Telling
from services.console.visiting import COOKIE, Visitor
from shared.asking.problem import CommandFailed
from shared.clock import Clock, SystemClock
from shared.events.commands import Reply
from shared.events.operating import CredentialList
from shared.events.queries import DeclaredAnswer, HealthAnswer, QuarantineAnswer
from shared.events.schedules import ScheduleList
from shared.hashing.signing import generate, private_key_pem
from shared.ids import RandomIds

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = "http://console.test"
CSRF = "token-of-the-session"


class CompiledOnce(BytecodeCache):
    """Each template is compiled once in a process; that takes far longer than showing a page."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what was compiled from the same text."""
        if (kept := self._kept.get(bucket.key + bucket.checksum)) is not None:
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it."""
        self._kept[bucket.key + bucket.checksum] = bucket.bytecode_to_string()


COMPILED = CompiledOnce()


@cache
def _definitions(connectors: Path, systems: Path, connections: Path) -> Definitions:
    return Definitions(connectors=connectors, systems=systems, connections=connections)


def definitions_of(settings: ConsoleSettings) -> Definitions:
    """What the files say, for every console over the same files; a file that changes is read again all the same."""
    found = _definitions(settings.connectors, settings.systems, settings.connections)
    found._turn = asyncio.Lock()  # each test has a loop of its own, and no two of them ask at once
    return found


class StubAccounts:
    """The cookie names the person and the roles: `anna:approver,viewer`, with `!` behind for who has stepped up."""

    async def visitor_of(self, cookie: str) -> Visitor | None:
        """The visitor that the cookie spells."""
        user, _, roles = cookie.rstrip("!").partition(":")
        now = datetime.now(UTC)
        return Visitor(
            user=user,
            roles=frozenset(filter(None, roles.split(","))),
            session="session",
            csrf=CSRF,
            signed_in_at=now,
            stepped_up_until=now + timedelta(minutes=5) if cookie.endswith("!") else None,
        )

    async def is_open(self, cookie: str) -> bool:
        """Every session goes on."""
        return bool(cookie)


@dataclass
class RecordedClient:
    """In place of a person's connection: keeps what was asked, answers what the test says."""

    user: str
    asked: list[tuple[str, str, Any]]
    answers: dict[str, Callable[[Any], Any]]

    def __getattr__(self, name: str) -> Any:
        async def ask(body: Any = None) -> Any:
            self.asked.append((self.user, name, body))
            if name in self.answers:
                answer = self.answers[name](body)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            if name == "health":
                return HealthAnswer(entries=0, checkpoints=0, lag={}, dead_letters=(), dead_letters_total=0)
            if name == "declared":
                return DeclaredAnswer(declared=())
            if name == "credentials":
                return CredentialList(credentials=())
            if name == "schedules":
                return ScheduleList(schedules=())
            if name == "quarantine":
                return QuarantineAnswer(run=body.run, total=0, by_code={}, items=())
            return Reply(is_accepted=True, run="20260101T000000-abcdef", status="queued")

        return ask


@dataclass
class RecordedActing:
    """In place of `Acting`."""

    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    answers: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def as_person(self, visitor: Visitor) -> AsyncIterator[RecordedClient]:
        """The recorder, as that person."""
        yield RecordedClient(visitor.user, self.asked, self.answers)

    def approval_key_of(self, user: str) -> str | None:
        """A key of each approver's own."""
        return self.keys.setdefault(user, private_key_pem(generate()))

    def verifier_key(self) -> str | None:
        """The key that the house's profiles hold."""
        return self.keys.get("verifier")


@dataclass
class ConsoleUnderTest:
    """A console and what was done through it."""

    console: Console
    acting: RecordedActing
    told: list[dict[str, Any]]
    app: Any

    def as_person(self, user: str, *roles: str, stepped_up: bool = False) -> httpx.AsyncClient:
        """A browser in which that person is signed in; forms must carry `CSRF`."""
        cookie = f"{user}:{','.join(roles)}{'!' if stepped_up else ''}"
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app, raise_app_exceptions=False),
            base_url=ORIGIN,
            cookies={COOKIE: cookie},
            headers={"origin": ORIGIN},
        )

    def nobody(self) -> httpx.AsyncClient:
        """A browser in which nobody is signed in."""
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN)


def console_under_test(
    data: Path, *, audit_database: Path | None = None, clock: Clock | None = None, **settings: Any
) -> ConsoleUnderTest:
    """A console over the data folder of a house that has stopped; `audit_database` takes another file's record."""
    told: list[dict[str, Any]] = []

    async def publish(**fact: Any) -> None:
        told.append(fact)

    chosen = ConsoleSettings.model_validate(
        {
            "nats_url": "nats://127.0.0.1:1",
            "nats_password": "env:NOTHING",
            "database_url": "sqlite+aiosqlite:///:memory:",
            "session_key": "env:NOTHING",
            "audit_database_url": f"sqlite+aiosqlite:///{audit_database or data / 'auditor.db'}",
            "connectors": ROOT / "connectors",
            "systems": ROOT / "systems",
            "connections": data / "connections.demo.yaml",
            "identities": data / "identities.json",
            "profiles": data / "profiles",
            **settings,
        }
    )
    clock = clock or SystemClock()
    acting = RecordedActing()
    records = Records.open(chosen.audit_database_url)
    console = Console(
        settings=chosen,
        accounts=StubAccounts(),  # type: ignore[arg-type]  # says who is signed in, and no more
        acting=acting,  # type: ignore[arg-type]  # a recorder in its place
        records=records,
        definitions=definitions_of(chosen),
        telling=Telling(publish),
        live=LiveHub(records.lookups.size),
        templates=Templates(time_zone=chosen.time_zone, clock=clock, trace_url=chosen.trace_url),
        clock=clock,
        ids=RandomIds(),
        origin=ORIGIN,
        registry=CollectorRegistry(),
        environment="staging",
    )
    console.templates.environment.bytecode_cache = COMPILED
    return ConsoleUnderTest(console, acting, told, site(console))


def refusing(code: str, text: str) -> Callable[[Any], CommandFailed]:
    """An answer that refuses."""
    return lambda _: CommandFailed(text, action="Do something else.", code=code)
