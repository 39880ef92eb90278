"""`python -m tests.console.screenshots FOLDER [--all]`: a picture of each place, light and dark.

A house is played for it. Without `--all` only what the README shows. The data is a sample: no person in it exists.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Literal

from cli.stack import Stack
from tests.console.browsing import CHROMIUM, NO_BROWSER, browser, seat
from tests.console.nightly import connectors_with_a_schedule, write_calendar
from tests.console.places import PLACES, path_of
from tests.console.played import played_runs

SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
WIDTH = 1_280
HEIGHT_MIN = 800
HEIGHT_MAX = 2_000
"""Of a picture: a long page is cut."""


def main() -> int:
    """Make the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.console.screenshots", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true", help="every place, not only what the README shows")
    options = parser.parse_args()
    if CHROMIUM is None:
        sys.stderr.write(f"{NO_BROWSER}\n")
        return 1
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="aether-screenshots-") as data:
        asyncio.run(_made(options.folder, Path(data) / "house", is_all=options.all))
    return 0


async def _made(folder: Path, data: Path, *, is_all: bool) -> None:
    write_calendar(data)
    connectors = connectors_with_a_schedule(data.parent / "connectors")
    async with (
        Stack(data, is_demo=True, has_console=True, connectors=connectors) as stack,
        browser() as running,
    ):
        runs = await played_runs(stack)
        for scheme in SCHEMES:
            for profile in dict.fromkeys(place.profile for place in PLACES):
                async with seat(running, stack, profile, scheme=scheme) as page:
                    for place in PLACES:
                        if place.profile != profile or not (place.is_shown or is_all):
                            continue
                        await page.goto(path_of(place, runs))
                        if place.act is not None:
                            await place.act(page)
                        height = min(int(await page.evaluate("document.documentElement.scrollHeight")), HEIGHT_MAX)
                        # As high as the page, so that what stands still beside it does so from top to bottom.
                        await page.set_viewport_size({"width": WIDTH, "height": max(height, HEIGHT_MIN)})
                        target = folder / f"{place.name}-{scheme}.png"
                        await page.screenshot(path=target)
                        await page.set_viewport_size({"width": WIDTH, "height": HEIGHT_MIN})
                        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    sys.exit(main())
