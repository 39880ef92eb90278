"""Collects which rule held for which system while the suites run; `test_quality.py` judges it at their end."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Generator, Sequence
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.bench import Bench, Vendor
from tests.conformance.rules import bench_module

REPORT_VARIABLE = "AETHER_CONFORMANCE_REPORT"
"""Names the file to which the results are written as JSON, for the table of systems."""
JUDGE = "test_quality.py"
Results = dict[str, dict[str, list[str]]]
_results: Results = defaultdict(lambda: defaultdict(list))
_left_out: set[str] = set()
"""Systems of which a selection has left tests out."""
_without_vendor: set[str] = set()
"""Systems behind which a bench has found nobody over HTTP; their next benches are not opened only to say so."""
NO_VENDOR = "no simulator over HTTP stands behind this system"


@pytest_asyncio.fixture
async def bench(case: tuple[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """One entity of one system, set up for one test."""
    system, entity = case
    if system in _without_vendor and "vendor" in request.fixturenames:
        pytest.skip(NO_VENDOR)
    module = bench_module(system)
    assert module is not None
    async with module.opened(entity, tmp_path) as opened:
        if opened.vendor is None:
            _without_vendor.add(system)
        yield opened


@pytest.fixture
def vendor(bench: Bench) -> Vendor:
    """The control plane of the simulator behind the bench."""
    if bench.vendor is None:
        pytest.skip(NO_VENDOR)
    return bench.vendor


def system_of(item: pytest.Item) -> str | None:
    """The system that a test of the suites is about."""
    case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
    return str(case[0]) if isinstance(case, tuple) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever judges comes last."""
    items.sort(key=lambda item: item.path.name == JUDGE)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Note whose tests were left out."""
    _left_out.update(system for item in items if (system := system_of(item)) is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what became of a test that shows a rule."""
    report = yield
    rule, system = item.get_closest_marker("rule"), system_of(item)
    if rule is not None and system is not None and (report.when == "call" or report.outcome != "passed"):
        _results[system][rule.args[0]].append(report.outcome)
    return report


def pytest_sessionfinish() -> None:
    """Write the results down where they are asked for."""
    place = os.environ.get(REPORT_VARIABLE)
    if place:
        Path(place).write_text(json.dumps(_results, indent=1, sort_keys=True), encoding="utf-8")


@pytest.fixture(scope="session")
def results() -> Results:
    """System → rule → what became of its tests so far."""
    return _results


@pytest.fixture(scope="session")
def left_out() -> set[str]:
    """Systems of which not all tests were run."""
    return _left_out
