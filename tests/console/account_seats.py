"""A console with accounts of its own, a clock that the test turns, and browsers that sign in as a person does.

The people: anna approves, adam is admin, olga is operator, stan is steward, ida audits, vera only looks.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest

from services.console.accounts.accounts import Accounts
from services.console.accounts.opening import open_accounts
from services.console.rendering import Templates
from services.console.telling import Telling
from shared.bus.publishing import PublishFailed
from shared.clock import SystemClock
from shared.ids import RandomIds
from tests.console.harness import ORIGIN, ConsoleUnderTest, console_under_test

PASSWORD = "granite otter lamp"
PEOPLE: dict[str, list[str]] = {
    "anna": ["approver"],
    "adam": ["admin"],
    "olga": ["operator"],
    "stan": ["steward"],
    "ida": ["auditor"],
    "vera": ["viewer"],
}
KEY = "0123456789abcdef0123456789abcdef"


class TurnedClock(SystemClock):
    """The machine's clock, set forward by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> Any:
        """The turned moment."""
        return super().now() + self.ahead

    def monotonic_seconds(self) -> float:
        """Grows as the test turns."""
        return super().monotonic_seconds() + self.ahead.total_seconds()


@dataclass
class Seats:
    """The console, and what it told."""

    under_test: ConsoleUnderTest
    accounts: Accounts
    clock: TurnedClock
    identities: Path
    bus: dict[str, bool]

    @property
    def told(self) -> list[tuple[str, str | None, str | None]]:
        """What was told: act, by whom, about whom."""
        return [(each["what"], each["actor"], each["subject"]) for each in self.under_test.told]

    def write_people(self, people: dict[str, list[str]]) -> None:
        """Put other people into the identities file."""
        write_people(self.identities, people)

    def browser(self, *, origin: str = ORIGIN, address: str = "192.0.2.1", **headers: str) -> httpx.AsyncClient:
        """A browser in which nobody is signed in."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(
                app=self.under_test.app, raise_app_exceptions=False, client=(address, 40_000)
            ),
            base_url=origin,
            headers={"origin": origin, **headers},
        )

    async def make(self, user: str, *, must_change: bool = False, password: str = PASSWORD) -> None:
        """An account with that password."""
        await self.accounts.put_first_password(user, password, actor=None, must_change=must_change)

    async def enrol(self, browser: httpx.AsyncClient) -> tuple[str, list[str]]:
        """Set up a second factor as a person does; its secret and the recovery codes."""
        page = await browser.get("/account/second-factor")
        assert page.status_code == 200, page.text
        secret = re.search(r"Secret: <code>(\w+)", page.text)
        sealed = re.search(r'name="sealed" value="([^"]+)"', page.text)
        assert secret is not None and sealed is not None
        form = {"csrf": csrf_in(page.text), "sealed": sealed[1], "code": self.code(secret[1])}
        done = await browser.post("/account/second-factor", data=form)
        assert done.status_code == 200, done.text
        return secret[1], re.findall(r"<li>([0-9a-f-]{23})</li>", done.text)

    def code(self, secret: str, *, steps: int = 0) -> str:
        """The code of the authenticator so many steps from now."""
        return pyotp.TOTP(secret).at(self.clock.now(), counter_offset=steps)

    def turn(self, **ahead: float) -> None:
        """Let time go by."""
        self.clock.ahead += timedelta(**ahead)


@cache
def _templates() -> Templates:
    """The pages' templates, compiled once for all tests."""
    return Templates(time_zone="America/Los_Angeles", clock=SystemClock())


def write_people(path: Path, people: dict[str, list[str]]) -> None:
    """The identities file."""
    path.write_text(json.dumps({"people": {user: {"roles": roles} for user, roles in people.items()}}))


def csrf_in(text: str) -> str:
    """The token that the forms of a page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', text)
    assert found is not None, text
    return found[1]


async def sign_in(
    browser: httpx.AsyncClient, user: str, password: str = PASSWORD, *, code: str = "", next_path: str = "/account"
) -> httpx.Response:
    """Open the form, fill it in, send it."""
    form = csrf_in((await browser.get("/sign-in")).text)
    return await browser.post(
        "/sign-in", data={"csrf": form, "user": user, "password": password, "code": code, "next": next_path}
    )


async def act(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Send a form of a page of the account, with its token."""
    token = csrf_in((await browser.get("/account")).text)
    return await browser.post(path, data={"csrf": token, **fields})


def cookie_of(browser: httpx.AsyncClient) -> str:
    """The secret of the session, as the browser holds it."""
    return browser.cookies["aether_session"]


@asynccontextmanager
async def seats_over(
    folder: Path, patch: pytest.MonkeyPatch, *, people: dict[str, list[str]] | None = None, **settings: Any
) -> AsyncIterator[Seats]:
    """A console with an empty database of its own; no house stands behind it."""
    identities = folder / "identities.json"
    write_people(identities, people or PEOPLE)
    patch.setenv("TEST_SESSION_KEY", KEY)
    (folder / "nothing").mkdir(exist_ok=True)
    chosen = {
        "connectors": folder / "nothing",  # accounts need neither, and reading them takes long
        "systems": folder / "nothing",
        "database_url": f"sqlite+aiosqlite:///{folder / 'console.db'}",
        "identities": identities,
        "session_key": "env:TEST_SESSION_KEY",
        **settings,
    }
    made = console_under_test(folder, **chosen)
    bus = {"is_away": False}

    async def publish(**fact: Any) -> None:
        if bus["is_away"]:
            raise PublishFailed("no answer of the bus")
        made.told.append(fact)

    made.console.telling = Telling(publish)
    made.console.templates = _templates()
    clock = TurnedClock()
    made.console.clock = clock
    opened = await open_accounts(made.console.settings, telling=made.console.telling, clock=clock, ids=RandomIds())
    made.console.accounts = opened
    try:
        yield Seats(made, opened, clock, identities, bus)
    finally:
        await opened.close()
        await made.console.local.close()
        await made.console.records.close()


def words_of(answers: Iterable[httpx.Response]) -> set[str]:
    """What notices of problems said."""
    return {said for answer in answers for said in re.findall(r'notice--bad"[^>]*>([^<]*)', answer.text)}
