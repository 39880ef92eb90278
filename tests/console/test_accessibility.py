"""axe-core finds nothing on any page, in light or dark; and the main walk can be done with the keyboard alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from cli.stack import Stack
from tests.console.browsing import browser, needs_browser, password_of, seat, user_of
from tests.console.nightly import connectors_with_a_schedule, write_calendar
from tests.console.places import PLACES, path_of
from tests.console.played import played_runs

RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
RULES_OF_COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
"""All of them that look at colours; the others look at elements and where they are, which dark must not change."""
SHAPE = """
[...document.querySelectorAll("body *")].map(each => {
  const box = each.getBoundingClientRect(), style = getComputedStyle(each);
  return [each.tagName, box.width > 0, box.height > 0, style.visibility, style.display].join(" ");
})
"""
INK = "getComputedStyle(document.body).color"
TABS_MAX = 80

pytestmark = [
    needs_browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.asyncio(loop_scope="module"),
]
Played = tuple[Stack, dict[str, str]]
"""A house, and its runs by state."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    """One house for all tests of this file, which look and change nothing."""
    folder = tmp_path_factory.mktemp("looked-at")
    write_calendar(folder / "data")
    connectors = connectors_with_a_schedule(folder / "connectors")
    async with Stack(folder / "data", is_demo=True, has_console=True, connectors=connectors) as stack:
        yield stack, await played_runs(stack)


async def test_axe_finds_nothing_on_any_page(played: Played) -> None:
    """Every rule in light, those of colours in dark as well."""
    stack, runs = played
    faults: list[str] = []
    async with browser() as running:
        for profile in dict.fromkeys(place.profile for place in PLACES):
            async with seat(running, stack, profile, scheme="light") as page:
                for place in (each for each in PLACES if each.profile == profile):
                    await page.emulate_media(color_scheme="light")
                    await page.goto(path_of(place, runs))
                    if place.act is not None:
                        await place.act(page)
                    faults += [f"{place.name}: {fault}" for fault in await _violations(page, RULES)]
                    shape, ink = await page.evaluate(SHAPE), await page.evaluate(INK)
                    await page.emulate_media(color_scheme="dark")
                    faults += [f"{place.name} (dark): {fault}" for fault in await _violations(page, RULES_OF_COLOURS)]
                    assert await page.evaluate(SHAPE) == shape, f"{place.name}: dark changes more than colours"
                    assert await page.evaluate(INK) != ink, f"{place.name}: dark is not dark"
    assert not faults, "\n".join(faults)


async def test_the_keyboard_alone_is_enough(played: Played) -> None:
    """Sign in, skip to the page, open a run, and sign out, with Tab, Enter and Space only."""
    stack, _ = played
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


async def _violations(page: Page, rules: Mapping[str, object]) -> list[str]:
    found = await Axe().run(page, options={"runOnly": rules, "resultTypes": ["violations"]})
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + "; ".join(node["target"][0] for node in each["nodes"][:3])
        for each in found.response["violations"]
    ]
