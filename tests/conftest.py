"""The order of the suite: what is quick and says most precisely what broke comes first.

Within a folder the order stays as it is. A folder that is not named here comes last. And in every test: no secret and
no person in what it prints, logs or leaves behind (`tests.support.canaries`).
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.support.canaries import Watching

ORDER: Final = (
    "unit",
    "contracts",
    "tidy",
    "simulators",
    "conformance",
    "support",
    "integration",
    "poison",
    "simulation",
    "faults",
    "sessions",
    "e2e",
)
_HERE: Final = Path(__file__).parent
WATCHING: Final = Watching()
settings.register_profile("busy", parent=settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes says more of the machine than of the code


@pytest.fixture(scope="session", autouse=True)
def canaries() -> Iterator[Watching]:
    """Every house is searched when it stops."""
    with pytest.MonkeyPatch.context() as patch:
        WATCHING.begin(patch)
        yield WATCHING


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    hits = WATCHING.hits_in_report(report.sections)
    if hits and not report.failed:
        report.outcome = "failed"
        report.longrepr = "what this test printed or logged holds what it may not:\n" + "\n".join(hits)
    if report.when == "teardown":
        WATCHING.resolved.clear()
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _place(item.path))


def pytest_collection_finish() -> None:
    """What was collected stays to the end: to look through it for garbage over and over took an eighth of the time."""
    gc.collect()
    gc.freeze()


def _place(path: Path) -> int:
    folder = path.relative_to(_HERE).parts[0] if path.is_relative_to(_HERE) else ""
    return ORDER.index(folder) if folder in ORDER else len(ORDER)
