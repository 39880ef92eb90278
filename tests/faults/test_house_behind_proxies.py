"""The whole house in bad weather: connections to its bus, its vendor and its databases are lost in every way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.faults.house_behind_proxies import CHANGES, PARTS, HouseBehindProxies, house_behind_proxies
from tests.support.postgres import PostgresServer, start_postgres

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.whole]

SEEDS = (1,)
"""More of them run for as long as one likes in the soak."""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The databases of the house."""
    with start_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> AsyncIterator[HouseBehindProxies]:
    """One house for all seeds."""
    async with house_behind_proxies(tmp_path_factory.mktemp("house"), postgres) as made:
        yield made


@pytest.mark.parametrize("seed", SEEDS)
async def test_fifty_changes_in_bad_weather_are_each_done_once(behind: HouseBehindProxies, seed: int) -> None:
    report = await behind.round(seed)
    assert report.violations == (), report
    assert report.changes == CHANGES
    bad = {
        kind: number
        for kind, number in report.faults.items()
        if kind.rpartition(".")[2] not in ("latency", "bandwidth")
    }
    for part in PARTS:
        assert any(kind.startswith(f"{part}.") for kind in bad), f"nothing befell the {part}: {report.faults}"
