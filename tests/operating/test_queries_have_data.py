"""Every query of every dashboard is asked of a real Prometheus that watched a real house, and answers with data."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path
from typing import Any, Final

import pytest

from deploy.grafana.boards import DASHBOARDS
from deploy.grafana.building.model import Panel, Query, Stat, Table
from deploy.grafana.building.queries import family_of, figures_of
from tests.operating.prometheus import why_not
from tests.operating.watched import Watched, watched_house

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(why_not("prometheus") is not None, reason=str(why_not("prometheus"))),
]

ONLY_UNDER_FAULT: Final = {
    "aether_alarms_total": ("nothing was forged", "tests/operating/test_queries_under_fault.py"),
    "aether_bus_dead_letters_total": (
        "every message could be worked off",
        "tests/operating/test_queries_under_fault.py",
    ),
    "aether_bus_permission_refusals_total": ("no program tried it", "tests/operating/test_queries_under_fault.py"),
    "aether_connection_quarantined": ("no credential was refused", "tests/operating/test_queries_under_fault.py"),
    "aether_credential_expiry_timestamp_seconds": (
        "the tokens of the demonstration do not end",
        "tests/operating/test_queries_under_fault.py",
    ),
    "aether_notices_total": ("no channel is configured", "tests/operating/test_queries_under_fault.py"),
    "aether_rate_limit_wait_seconds": ("no connection has a rate", "tests/operating/test_queries_under_fault.py"),
}
"""Figures that a house without a fault does not have: why, and which test shows queries over them with data."""
ASKED_AGAIN: Final = 15
SPANS: Final = {"$__rate_interval": "15s", "$__range": "5m", "$connector": ".*"}


def queries() -> list[tuple[str, Panel, Query]]:
    """Every query of every dashboard, and where it stands."""
    return [
        (f"{dashboard.title}: {panel.title}", panel, query)
        for dashboard in DASHBOARDS
        for panel in dashboard.panels()
        if isinstance(panel, Panel)
        for query in panel.queries
    ]


def as_asked(expr: str) -> str:
    """A query with what Grafana puts in the place of its variables."""
    for variable, value in SPANS.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    # The house is minutes old: what is asked of a day or an hour is asked of the minutes there are.
    return re.sub(r"\[(?:1h|1d|7d)\]", "[2m]", re.sub(r"\[1h\] offset (?:10m|1h|1d|7d)", "[1h] offset 5m", expr))


def is_under_fault_only(query: Query) -> bool:
    """Whether it asks for what only a fault brings."""
    families = {row.name for name in figures_of(query.expr) if (row := family_of(name)) is not None}
    return bool(families & set(ONLY_UNDER_FAULT))


def has_data(series: list[dict[str, Any]]) -> bool:
    """Whether any of its points is a number."""
    points = [point for one in series for point in one.get("values", [one.get("value")])]
    return any(not math.isnan(float(value)) for _, value in points)


async def series_of(watched: Watched, panel: Panel, query: Query) -> list[dict[str, Any]]:
    """What the panel would show: as of now, or since the house began."""
    now = float((await watched.prometheus.instant("time()"))[0]["value"][1])
    expr = as_asked(query.expr)
    if isinstance(panel, Stat | Table):
        return await watched.prometheus.instant(expr)
    return await watched.prometheus.over(expr, begin=watched.began, end=now, step_seconds=2)


async def test_every_query_of_every_dashboard_has_data(tmp_path: Path) -> None:
    async with watched_house(tmp_path) as watched:
        for target in await watched.prometheus.targets():
            assert target["health"] == "up", target["lastError"]
        assert await watched.prometheus.instant("nonsense_of_no_program") == []
        empty: list[str] = []
        for _ in range(ASKED_AGAIN):
            empty = [
                f"{where}: {query.expr}"
                for where, panel, query in queries()
                if not is_under_fault_only(query) and not has_data(await series_of(watched, panel, query))
            ]
            if not empty:
                break
            await asyncio.sleep(1)
        assert not empty, "\n".join(empty)
        for where, panel, query in queries():
            if isinstance(panel, Table):
                for one in await series_of(watched, panel, query):
                    assert set(one["metric"]) == set(panel.labels), f"{where}: rows by {sorted(one['metric'])}"


def test_a_figure_that_only_a_fault_brings_is_shown_by_a_test_that_brings_it() -> None:
    for figure, (_, test) in ONLY_UNDER_FAULT.items():
        path = Path(__file__).resolve().parents[2] / test
        assert path.exists(), f"{figure}: {test} is not there"
        assert figure in path.read_text(encoding="utf-8"), f"{test} does not speak of {figure}"
