"""A real browser on a real console: Debian's chromium, driven by Playwright; who has none is told and skips."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from cli.stack import Stack

CHROMIUM: Final = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
NO_BROWSER: Final = "no chromium on this machine (Debian: apt-get install chromium): nothing was looked at in a browser"
WAIT_MS: Final = 20_000

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    async with async_playwright() as playwright:
        # Root has no other choice than a browser without its own sandbox; it loads our own pages only.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else ["--disable-dev-shm-usage"]
        running = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield running
        finally:
            await running.close()


@asynccontextmanager
async def seat(
    running: Browser,
    stack: Stack,
    profile: str | None,
    *,
    scheme: Literal["light", "dark"] = "light",
    has_script: bool = True,
) -> AsyncIterator[Page]:
    """A page in a browser profile of its own, signed in as that person (None: as nobody)."""
    context: BrowserContext = await running.new_context(
        base_url=stack.console_url,
        color_scheme=scheme,
        java_script_enabled=has_script,
        viewport={"width": 1360, "height": 900},
        locale="en-US",
    )
    context.set_default_timeout(WAIT_MS)
    try:
        page = await context.new_page()
        if profile is not None:
            await sign_in(page, user_of(stack, profile), password_of(stack, profile))
        yield page
    finally:
        await context.close()


async def sign_in(page: Page, user: str, password: str) -> None:
    """Sign in by the form."""
    await page.goto("/sign-in")
    await page.get_by_label("Name").fill(user)
    await page.get_by_label("Password", exact=True).fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.get_by_role("navigation", name="Main").wait_for()


def user_of(stack: Stack, profile: str) -> str:
    """The name of a profile's person."""
    from shared.asking.profiles import load_profile

    return load_profile(stack.layout.data, profile).user


def password_of(stack: Stack, profile: str) -> str:
    """The first password of a profile's person."""
    return Path(stack.layout.console_password(profile)).read_text(encoding="utf-8").strip()
