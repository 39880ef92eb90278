"""Every route of the console as data: how it is asked, and who may. A route without a line here fails the tests."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
from fastapi.routing import APIRoute

from services.console.accounts.opening import open_accounts
from services.console.pages import PAGES
from services.console.visiting import Visitor
from shared.clock import Clock
from shared.events.queries import (
    ConnectionAnswer,
    QuarantineAnswer,
    QuarantineItem,
    RevealChange,
    RevealedChange,
    RevealedField,
    SubsetAnswer,
    SubsetQuery,
)
from tests.console import local_tables
from tests.console.altering import run_in
from tests.console.harness import CSRF, ConsoleUnderTest, StubAccounts, console_under_test

ROLES: Final = ("viewer", "operator", "approver", "steward", "auditor", "admin")
EVERYBODY: Final = frozenset(ROLES)
OPERATORS: Final = frozenset({"operator"})
APPROVERS: Final = frozenset({"approver"})
STEWARDS: Final = frozenset({"steward"})
CHECKERS: Final = frozenset({"operator", "steward"})
REVEALERS: Final = frozenset({"operator", "approver", "steward", "auditor"})
AUDIT_READERS: Final = frozenset({"auditor", "admin"})
ADMINS: Final = frozenset({"admin"})
NOBODY_NEEDED: Final = frozenset({"GET /sign-in", "POST /sign-in", "GET /sign-in/provider", "GET /sign-in/answer"})
"""Asked before anybody is known."""

WHO_MAY: Final[Mapping[str, frozenset[str]]] = {
    "GET /step-up/provider": EVERYBODY,
    "POST /sign-out": EVERYBODY,
    "GET /step-up": EVERYBODY,
    "POST /step-up": EVERYBODY,
    "POST /theme": EVERYBODY,
    "GET /account": EVERYBODY,
    "POST /account/password": EVERYBODY,
    "GET /account/second-factor": EVERYBODY,
    "POST /account/second-factor": EVERYBODY,
    "POST /account/sessions/{session}/end": EVERYBODY,
    "GET /": EVERYBODY,
    "GET /live/inbox": EVERYBODY,
    "GET /api/v1/inbox": EVERYBODY,
    "GET /api/v1/openapi.json": EVERYBODY,
    "GET /runs": EVERYBODY,
    "POST /runs": OPERATORS,
    "GET /live/runs": EVERYBODY,
    "GET /api/v1/runs": EVERYBODY,
    "POST /api/v1/runs": OPERATORS,
    "GET /runs/{run}/plan": EVERYBODY,
    "POST /runs/{run}/plan/approve": APPROVERS,
    "POST /runs/{run}/plan/reject": APPROVERS,
    "POST /runs/{run}/plan/choose": APPROVERS,
    "POST /runs/{run}/plan/part": APPROVERS,
    "GET /runs/{run}/plan/part": EVERYBODY,
    "GET /runs/{run}/plan/changes/{change_id}": EVERYBODY,
    "POST /runs/{run}/plan/changes/{change_id}/reveal": REVEALERS,
    "GET /api/v1/runs/{run}/plan": EVERYBODY,
    "GET /api/v1/runs/{run}/plan/changes": EVERYBODY,
    "GET /api/v1/runs/{run}/plan/groups": EVERYBODY,
    "POST /api/v1/runs/{run}/approve": APPROVERS,
    "POST /api/v1/runs/{run}/reject": APPROVERS,
    "POST /api/v1/runs/{run}/plan/part": APPROVERS,
    "POST /api/v1/runs/{run}/plan/changes/{change_id}/reveal": REVEALERS,
    "GET /runs/{run}": EVERYBODY,
    "GET /live/runs/{run}": EVERYBODY,
    "POST /runs/{run}/pause": OPERATORS,
    "POST /runs/{run}/resume": OPERATORS,
    "POST /runs/{run}/cancel": OPERATORS,
    "POST /runs/{run}/retry": OPERATORS,
    "GET /api/v1/runs/{run}": EVERYBODY,
    "POST /api/v1/runs/{run}/pause": OPERATORS,
    "POST /api/v1/runs/{run}/resume": OPERATORS,
    "POST /api/v1/runs/{run}/cancel": OPERATORS,
    "POST /api/v1/runs/{run}/retry": OPERATORS,
    "GET /connectors": EVERYBODY,
    "GET /connectors/{name}": EVERYBODY,
    "GET /connectors/{name}/tables/{table}": EVERYBODY,
    "GET /connectors/{name}/releases/{version}": EVERYBODY,
    "POST /connectors/{name}/dry-run": OPERATORS,
    "POST /connectors/{name}/declare": STEWARDS,
    "POST /connectors/{name}/withdraw": STEWARDS,
    "GET /api/v1/connectors": EVERYBODY,
    "GET /api/v1/connectors/{name}": EVERYBODY,
    "GET /api/v1/connectors/{name}/tables/{table}": EVERYBODY,
    "GET /systems": EVERYBODY,
    "POST /systems/connections/{name}/check": CHECKERS,
    "GET /api/v1/systems": EVERYBODY,
    "GET /api/v1/connections": EVERYBODY,
    "POST /api/v1/connections/{name}/check": CHECKERS,
    "GET /quarantine": EVERYBODY,
    "GET /quarantine/{run}": EVERYBODY,
    "POST /quarantine/{run}/replay": OPERATORS,
    "GET /api/v1/quarantine": EVERYBODY,
    "GET /api/v1/quarantine/{run}": EVERYBODY,
    "GET /retention": EVERYBODY,
    "GET /api/v1/retention": EVERYBODY,
    "GET /schedules": EVERYBODY,
    "POST /schedules/{name}/pause": OPERATORS,
    "POST /schedules/{name}/resume": OPERATORS,
    "GET /api/v1/schedules": EVERYBODY,
    "GET /data": REVEALERS,
    "GET /data/{table}": REVEALERS,
    "POST /data/{table}/find": REVEALERS,
    "GET /data/{table}/{row_id}": REVEALERS,
    "POST /data/{table}/{row_id}/reveal": REVEALERS,
    "GET /api/v1/data": REVEALERS,
    "GET /api/v1/data/{table}": REVEALERS,
    "GET /api/v1/data/{table}/{row_id}": REVEALERS,
    "GET /person": REVEALERS,
    "POST /person": REVEALERS,
    "POST /api/v1/person": REVEALERS,
    "GET /audit": EVERYBODY,
    "GET /audit/lag": EVERYBODY,
    "GET /audit/verification": EVERYBODY,
    "POST /audit/verify": AUDIT_READERS,
    "POST /audit/export": AUDIT_READERS,
    "GET /audit/{index}": EVERYBODY,
    "POST /audit/{index}/proof": EVERYBODY,
    "GET /live/audit/verification": EVERYBODY,
    "GET /api/v1/audit/entries": EVERYBODY,
    "GET /api/v1/audit/entries/{index}": EVERYBODY,
    "GET /api/v1/audit/entries/{index}/proof": EVERYBODY,
    "GET /api/v1/audit/health": EVERYBODY,
    "GET /api/v1/audit/verification": EVERYBODY,
    "POST /api/v1/audit/verify": AUDIT_READERS,
    "GET /access": AUDIT_READERS,
    "POST /access/people/{user}/invite": ADMINS,
    "POST /access/people/{user}/close": ADMINS,
    "POST /access/people/{user}/open": ADMINS,
    "POST /access/review": AUDIT_READERS,
    "GET /access/export.csv": AUDIT_READERS,
    "GET /api/v1/access": AUDIT_READERS,
    "GET /help": EVERYBODY,
    "GET /api/v1/failures": EVERYBODY,
}

REASON: Final = "asked by a test of every route"
_BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "POST /theme": {"theme": "dark"},
    "POST /runs": {"connector": "titanhst-staff", "mode": "dry-run"},
    "POST /api/v1/runs": {"connector": "titanhst-staff", "mode": "dry-run"},
    "POST /runs/{run}/plan/approve": {"digest": "{digest}", "reason": REASON},
    "POST /runs/{run}/plan/reject": {"digest": "{digest}", "reason": REASON},
    "POST /runs/{run}/plan/part": {"leave_out": "{change_id}"},
    "POST /api/v1/runs/{run}/approve": {"digest": "{digest}", "reason": REASON},
    "POST /api/v1/runs/{run}/reject": {"digest": "{digest}", "reason": REASON},
    "POST /api/v1/runs/{run}/plan/part": {"left_out": ["{change_id}"]},
    "POST /connectors/{name}/declare": {
        "change_class": "update", "field": "location", "values": "10", "expected": "5", "reason": REASON,
        "valid_from": "2026-06-12T00:00", "valid_until": "2026-06-13T00:00",
    },
    "POST /connectors/{name}/withdraw": {"declaration": "d-1", "reason": REASON},
    "POST /data/{table}/find": {"key": "000019"},
    "POST /person": {"key": "000019"},
    "POST /api/v1/person": {"key": "000019"},
    "POST /audit/export": {"run": "{run}"},
}  # fmt: skip
"""What is sent; what is not here is sent a reason alone."""


@dataclass(frozen=True)
class Route:
    """One route, and how it is asked here."""

    name: str
    """As `GET /runs/{run}`."""
    path: str
    """With its parameters filled in."""
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """`GET` or `POST`."""
        return self.name.partition(" ")[0]

    @property
    def is_api(self) -> bool:
        """Whether it answers JSON."""
        return self.path.startswith("/api/")

    @property
    def is_live(self) -> bool:
        """Whether it answers a stream."""
        return self.path.startswith("/live/")

    async def ask(
        self, browser: httpx.AsyncClient, *, csrf: str | None = CSRF, headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Ask it; without a token when `csrf` is None."""
        given = dict(headers or {})
        if self.method == "GET":
            return await browser.get(self.path, headers=given)
        if self.is_api:
            token = {} if csrf is None else {"x-csrf-token": csrf}
            return await browser.post(self.path, json=dict(self.body), headers=token | given)
        token = {} if csrf is None else {"csrf": csrf}
        return await browser.post(self.path, data={**self.body, **token}, headers=given)


def names_in_code() -> Iterator[str]:
    """Every route of every module of pages, as the application mounts them."""
    yield "GET /api/v1/openapi.json"
    for module in PAGES:
        for router in (module.router, getattr(module, "api", None)):
            for route in router.routes if router is not None else ():
                assert isinstance(route, APIRoute), route
                for method in sorted((route.methods or set()) - {"HEAD"}):
                    yield f"{method} {route.path}"


def routes(record: Path) -> list[Route]:
    """Every route that needs somebody signed in, filled in from a record."""
    filled = filled_from(record)
    return [_route(name, filled) for name in WHO_MAY]


def filled_from(record: Path) -> dict[str, str]:
    """Values for the parameters of addresses that the played house has."""
    run = run_in(record, "awaiting_approval")
    with sqlite3.connect(record) as database:
        (change,) = database.execute("SELECT change_id FROM plan_change WHERE run = ?", (run,)).fetchone()
        (state,) = database.execute("SELECT state FROM run WHERE run = ?", (run,)).fetchone()
    return {
        "run": run,
        "change_id": str(change),
        "digest": str(json.loads(state)["plan"]["plan_digest"]),
        "session": "session-of-nobody",
        "name": "titanhst-staff",
        "version": "1.0.0",
        "table": "staff",
        "row_id": "1",
        "index": "20",
        "user": "viewer",
    }


def _route(name: str, filled: Mapping[str, str]) -> Route:
    path = name.partition(" ")[2]
    values = dict(filled)
    if "/connections/" in path:
        values["name"] = "titanhst"
    if "/connectors/" in path:
        values["table"] = "locations"
    body = _BODIES.get(name, {"reason": REASON})
    put = {key: _put(value, filled) for key, value in body.items()}
    return Route(name, re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path), put)


def _put(value: Any, filled: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_put(one, filled) for one in value]
    return filled.get(value[1:-1], value) if value.startswith("{") else value


class SpelledAccounts(StubAccounts):
    """Real accounts over a database, but the cookie spells who is signed in."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def visitor_of(self, cookie: str) -> Visitor | None:
        """The visitor that the cookie spells; none for a cookie without a name."""
        return await super().visitor_of(cookie) if ":" in cookie else None

    async def sign_out(self, visitor: Visitor) -> None:
        """Nothing ends: the next request spells its person again."""


async def whole_console(
    data: Path, folder: Path, *, audit_database: Path | None = None, clock: Clock | None = None, **settings: Any
) -> ConsoleUnderTest:
    """A console with everything that a page can show: accounts, local tables, and services that answer; `settings`
    take the place of those of the console."""
    key = folder / "session.key"
    key.write_text("0123456789abcdef" * 4)
    record = audit_database or data / "auditor.db"
    filled = filled_from(record)
    local = folder / "local.db"
    address = f"sqlite+aiosqlite:///{local}"
    if not local.exists():
        address = local_tables.make(local, key="000019", change_id=filled["change_id"])
    made = console_under_test(
        data,
        audit_database=record,
        clock=clock,
        session_key=f"file:{key}",
        local_table_prefix="aether_",
        **{
            "database_url": f"sqlite+aiosqlite:///{folder / 'console.db'}",
            "local_database_url": address,
            **settings,
        },
    )
    console = made.console
    console.accounts = SpelledAccounts(  # type: ignore[assignment]  # asks the real ones
        await open_accounts(console.settings, telling=console.telling, clock=console.clock, ids=console.ids)
    )
    made.told.clear()
    made.acting.answers |= {
        "reveal_change": _revealed,
        "subset": _subset,
        "check_connection": lambda name: ConnectionAnswer(
            connection=name, system="titanhst", environment="staging", tier="read", findings=()
        ),
        "quarantine": lambda asked: QuarantineAnswer(
            run=asked.run, total=1, by_code={"NRM_BAD_FORMAT": 1}, items=(ITEM,)
        ),
    }  # fmt: skip
    console.live.end()  # streams end after what they begin with: there is no socket here to close
    return made


async def close(made: ConsoleUnderTest) -> None:
    """Close every database of a whole console."""
    console = made.console
    await console.verifying.ended()
    await console.local.close()
    await console.accounts.close()
    await console.records.close()


ITEM: Final = QuarantineItem(
    side="source", entity="contacts", key="000019", source="person", field="email", code="NRM_BAD_FORMAT",
    value_class="text(12)", rule="is a mail address",
)  # fmt: skip


def _revealed(asked: RevealChange) -> RevealedChange:
    field = RevealedField(name="first_name", before="Marigold", after="Oak", is_personal=True)
    return RevealedChange(
        run=asked.run, change_id=asked.change_id, entity="contacts", change_class="update", key="000019",
        fields=(field,),
    )  # fmt: skip


def _subset(asked: SubsetQuery) -> SubsetAnswer:
    return SubsetAnswer(run=asked.run, problem="the rest builds on what would be left out")
