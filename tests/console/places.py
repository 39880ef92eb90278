"""Every place of the console, with who looks at it: what the auditor of accessibility sees and screenshots show."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from playwright.async_api import Page

LOOKED_UP: Final = "C006180"
"""One of the people who get another name at the end of the play."""
Act = Callable[[Page], Awaitable[None]]


@dataclass(frozen=True)
class Place:
    """One page in one state."""

    name: str
    path: str
    """With `{succeeded}` and the like where the id of a run in that state belongs."""
    profile: str | None
    """Who looks; None: nobody is signed in."""
    act: Act | None = None
    """What is done on the page before it is looked at."""
    is_shown: bool = False
    """Whether the README shows it."""


async def _person_looked_up(page: Page) -> None:
    await page.locator("main input[type='text'], main input[type='search']").first.fill(LOOKED_UP)
    await page.locator("main form button").first.click()
    await page.wait_for_load_state("load")


async def _first_change(page: Page) -> None:
    await page.locator("main a[href*='/plan/changes/']").first.click()
    await page.wait_for_load_state("load")


PLACES: Final[tuple[Place, ...]] = (
    Place("sign-in", "/sign-in", None, is_shown=True),
    Place("inbox", "/", "approver", is_shown=True),
    Place("inbox-operator", "/", "operator"),
    Place("runs", "/runs", "operator", is_shown=True),
    Place("runs-none", "/runs?text=nothing-of-that-name", "viewer"),
    Place("run-planned", "/runs/{planned}", "operator"),
    Place("run-waiting", "/runs/{waiting}", "approver"),
    Place("run-succeeded", "/runs/{succeeded}", "operator", is_shown=True),
    Place("run-rejected", "/runs/{rejected}", "viewer"),
    Place("run-no-changes", "/runs/{no_changes}", "viewer"),
    Place("plan-waiting", "/runs/{waiting}/plan", "approver", is_shown=True),
    Place("plan-alike", "/runs/{waiting}/plan?by=alike", "approver"),
    Place("plan-requester", "/runs/{waiting}/plan", "operator"),
    Place("plan-applied", "/runs/{succeeded}/plan", "auditor"),
    Place("plan-change", "/runs/{waiting}/plan", "approver", act=_first_change),
    Place("connectors", "/connectors", "steward", is_shown=True),
    Place("connector", "/connectors/titanhst-staff", "steward", is_shown=True),
    Place("connector-draft", "/connectors/aeries-google-students", "viewer"),
    Place("systems", "/systems", "operator", is_shown=True),
    Place("quarantine", "/quarantine", "steward", is_shown=True),
    Place("quarantine-run", "/quarantine/{succeeded}", "steward"),
    Place("schedules", "/schedules", "operator", is_shown=True),
    Place("data", "/data", "steward", is_shown=True),
    Place("person", "/person", "auditor"),
    Place("person-found", "/person", "auditor", act=_person_looked_up, is_shown=True),
    Place("audit", "/audit", "auditor", is_shown=True),
    Place("audit-entry", "/audit/20", "auditor", is_shown=True),
    Place("retention", "/retention", "auditor"),
    Place("access", "/access", "admin", is_shown=True),
    Place("account", "/account", "approver"),
    Place("step-up", "/step-up", "approver"),
    Place("help", "/help", "viewer", is_shown=True),
    Place("not-there", "/nothing-of-that-name", "viewer"),
    Place("not-allowed", "/access", "viewer"),
)


def path_of(place: Place, runs: Mapping[str, str]) -> str:
    """The address of a place in a house with these runs, by state."""
    return place.path.format_map(runs)
