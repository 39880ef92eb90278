"""Asks a Prometheus for what the panels of dashboards show, as Grafana would."""

from __future__ import annotations

import math
from typing import Any, Final

from deploy.grafana.boards import DASHBOARDS
from deploy.grafana.building.model import Panel, Query, Stat, Table
from tests.operating.watched import Watched

VALUES: Final = {"$__rate_interval": "15s", "$__range": "5m", "$connector": ".*"}
"""What stands for Grafana's variables here; the house is scraped each second."""
STEP_SECONDS: Final = 2

Series = list[dict[str, Any]]


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
    """A query with values in the place of variables."""
    for variable, value in VALUES.items():
        expr = expr.replace(variable, value)
    assert "$" not in expr, expr
    return expr


def has_data(series: Series) -> bool:
    """Whether any of its points is a number."""
    points = [point for one in series for point in one.get("values", [one.get("value")])]
    return any(not math.isnan(float(value)) for _, value in points)


async def series_of(watched: Watched, panel: Panel, query: Query) -> Series:
    """What the panel would show: as of now, or since the house began."""
    expr = as_asked(query.expr)
    if isinstance(panel, Stat | Table):
        return await watched.prometheus.instant(expr)
    now = float((await watched.prometheus.instant("time()"))[0]["value"][1])
    return await watched.prometheus.over(expr, begin=watched.began, end=now, step_seconds=STEP_SECONDS)
