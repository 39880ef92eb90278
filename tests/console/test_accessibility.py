"""axe-core finds nothing on any page, in light or dark; and the main walk can be done with the keyboard alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from cli.stack import Stack
from tests.console.browsing import browser, needs_browser, password_of, seat, user_of
from tests.console.nightly import connectors_with_a_schedule, write_calendar
from tests.console.places import PLACES, path_of
from tests.console.played import played_runs

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TABS_MAX = 80

pytestmark = [needs_browser, pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    write_calendar(tmp_path / "data")
    connectors = connectors_with_a_schedule(tmp_path / "connectors")
    async with Stack(tmp_path / "data", is_demo=True, has_console=True, connectors=connectors) as running:
        yield running


async def test_axe_finds_nothing_on_any_page(stack: Stack) -> None:
    runs = await played_runs(stack)
    faults: list[str] = []
    schemes: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
    async with browser() as running:
        for scheme in schemes:
            for profile in dict.fromkeys(place.profile for place in PLACES):
                async with seat(running, stack, profile, scheme=scheme) as page:
                    for place in (each for each in PLACES if each.profile == profile):
                        await page.goto(path_of(place, runs))
                        if place.act is not None:
                            await place.act(page)
                        faults += [f"{place.name} ({scheme}): {fault}" for fault in await _violations(page)]
    assert not faults, "\n".join(faults)


async def test_the_keyboard_alone_is_enough(stack: Stack) -> None:
    """Sign in, skip to the page, open a run, and sign out, with Tab, Enter and Space only."""
    await played_runs(stack)
    async with browser() as running, seat(running, stack, None) as page:
        await page.goto("/sign-in")
        await _tab_to(page, "input[autocomplete~='username']")
        await page.keyboard.type(user_of(stack, "viewer"))
        await _tab_to(page, "input[type=password]")
        await page.keyboard.type(password_of(stack, "viewer"))
        await page.keyboard.press("Enter")
        await page.get_by_role("navigation", name="Main").wait_for()
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the page"
        await _tab_to(page, "nav a[href='/runs']")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/runs")
        await _tab_to(page, "tbody a[href^='/runs/']")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/runs/2*")
        await _tab_to(page, "form[action='/sign-out'] button")
        await page.keyboard.press("Space")
        await page.wait_for_url("**/sign-in**")


async def _tab_to(page: Page, selector: str) -> None:
    for _ in range(TABS_MAX):
        await page.keyboard.press("Tab")
        focused: dict[str, Any] = await page.evaluate(
            "s => { const at = document.activeElement;"
            " return {is: at.matches(s), outline: getComputedStyle(at).outlineStyle}; }",
            selector,
        )
        if focused["is"]:
            assert focused["outline"] != "none", f"{selector}: nothing shows that it has the focus"
            return
    raise AssertionError(f"{selector} was not reached with {TABS_MAX} presses of Tab on {page.url}")


async def _violations(page: Page) -> list[str]:
    found = await Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}})
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(node["target"][0] for node in each["nodes"][:3])
        for each in found.response["violations"]
    ]
