"""Who may what, route by route: the table in `every_route` against what the application does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from services.console.visiting import SAFE_METHODS
from tests.console.every_route import NOBODY_NEEDED, ROLES, WHO_MAY, Route, close, names_in_code, routes, whole_console
from tests.console.harness import ConsoleUnderTest, console_under_test

LACKS = "needs the role"
READ_ONLY = frozenset({"health", "declared", "quarantine", "credentials", "schedules"})
"""What pages ask of services to show something."""
TAKEN_ALONG = frozenset({"GET /access/export.csv", "GET /api/v1/audit/entries/{index}/proof"})
"""Looked at only to be taken along: that is told."""
WITHOUT_PROVIDER = frozenset({"GET /step-up/provider"})
"""This console has no provider, and says so with 503."""


@pytest.fixture
async def console(house_data: Path, tmp_path: Path) -> AsyncIterator[ConsoleUnderTest]:
    """A console with everything that a page can show."""
    made = await whole_console(house_data, tmp_path)
    yield made
    await close(made)


@pytest.fixture
def every(house_data: Path) -> list[Route]:
    """Every route that needs somebody."""
    return routes(house_data / "auditor.db")


def test_every_route_has_a_line_that_says_who_may() -> None:
    assert sorted(names_in_code()) == sorted([*WHO_MAY, *NOBODY_NEEDED])


def test_pages_are_all_that_the_application_serves(house_data: Path) -> None:
    """Nothing is mounted past the modules of pages but the static files and the description of the API."""
    app = console_under_test(house_data).app
    while not isinstance(app, FastAPI):
        app = app._app  # what stands around the application
    assert {getattr(route, "path", None) for route in app.routes} - {None} == {"/static", "/api/v1/openapi.json"}


async def test_nobody_is_led_to_the_sign_in_from_everywhere(console: ConsoleUnderTest, every: list[Route]) -> None:
    faults = []
    async with console.nobody() as browser:
        for route in every:
            answer = await route.ask(browser)
            if route.is_api:
                is_right = answer.status_code == 401 and answer.json()["error"]["text"] == "nobody is signed in"
            else:
                where = answer.headers.get("location", "")
                is_right = answer.status_code == 303 and where.startswith("/sign-in?next=%2F")
            if not is_right:
                faults.append(f"{route.name}: {answer.status_code}")
    assert not faults, "\n".join(faults)
    assert console.acting.asked == []
    assert console.told == []


@pytest.mark.parametrize("role", [*ROLES, None])
async def test_who_lacks_the_role_is_refused_and_who_has_it_is_not(
    console: ConsoleUnderTest, every: list[Route], role: str | None
) -> None:
    """None: a person whose roles do not count (yet), who may only what everybody may."""
    faults = []
    user = {"auditor": "audit-reader", None: "viewer"}.get(role, role) or ""
    async with console.as_person(user, *([role] if role else []), stepped_up=True) as browser:
        for route in every:
            console.acting.asked.clear()
            console.told.clear()
            answer = await route.ask(browser)
            may = WHO_MAY[route.name] >= set(ROLES) or role in WHO_MAY[route.name]
            is_refused = answer.status_code == 403 and LACKS in answer.text
            if is_refused == may:
                faults.append(f"{route.name}: {answer.status_code}, may: {may}")
            if is_refused and (console.acting.asked or console.told):
                faults.append(f"{route.name}: refused, but {console.acting.asked} {console.told}")
            if answer.status_code >= 500 and route.name not in WITHOUT_PROVIDER:
                faults.append(f"{route.name}: {answer.status_code} {answer.text[-300:]}")
            if route.method in SAFE_METHODS and route.name not in TAKEN_ALONG and console.told:
                faults.append(f"{route.name}: looking alone told {console.told}")
            if answer.headers.get("location", "").startswith("/sign-in?"):
                faults.append(f"{route.name}: led to the sign-in")
            if route.method in SAFE_METHODS and not {name for _, name, _ in console.acting.asked} <= READ_ONLY:
                faults.append(f"{route.name}: looking alone asked {console.acting.asked}")
    assert not faults, "\n".join(faults)


async def test_acts_go_out_in_the_name_of_who_is_signed_in(console: ConsoleUnderTest, every: list[Route]) -> None:
    """No form and no body can say in whose name something is asked."""
    async with console.as_person("olga", "operator", "approver", "steward", stepped_up=True) as browser:
        for route in every:
            pretended = {**route.body, "user": "admin", "actor": "admin", "approver": "admin", "requester": "admin"}
            await Route(route.name, f"{route.path}?user=admin&actor=admin", pretended).ask(browser)
    assert {user for user, _, _ in console.acting.asked} == {"olga"}
    told = {(fact["actor"], fact["what"]) for fact in console.told}
    assert {each for each in told if each[0] != "olga"} <= {(None, "sign_in_refused")}, told
