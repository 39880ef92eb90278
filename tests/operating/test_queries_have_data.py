"""Every query of every dashboard is asked of a real Prometheus that watched a real house, and answers with data."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import pytest

from deploy.grafana.building.model import Query, Table
from deploy.grafana.building.queries import family_of, figures_of
from tests.operating.asking import has_data, queries, series_of
from tests.operating.prometheus import why_not
from tests.operating.under_fault import ONLY_UNDER_FAULT
from tests.operating.watched import watched_house

ASKED_AGAIN: Final = 15
"""Times; what the monitor and the bus tell may be ten seconds old."""


def is_under_fault_only(query: Query) -> bool:
    """Whether it asks for what only a fault brings."""
    return any(row.name in ONLY_UNDER_FAULT for name in figures_of(query.expr) if (row := family_of(name)) is not None)


@pytest.mark.skipif(why_not("prometheus") is not None, reason=str(why_not("prometheus")))
@pytest.mark.slow
@pytest.mark.timeout(300)
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


def test_a_panel_over_what_only_a_fault_brings_says_why_it_is_empty() -> None:
    panels = {where: panel for where, panel, query in queries() if is_under_fault_only(query)}
    assert panels
    assert {where for where, panel in panels.items() if not panel.why_empty} == set()
