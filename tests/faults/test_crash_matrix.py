"""Every program dies at every point of the table, and each run ends as if nothing had happened.

Points of different programs share a run. The suite takes every third round, `make faults` all of them;
`python -m tests.soak --point NAME` tries one point alone.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.crash_house import CrashHouse, Violated, crash_house, small_district
from tests.faults.crash_points import POINTS, TWICE, Deaths, all_deaths, point_named, rounds
from tests.faults.doomed import resolve

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUNDS = rounds()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broken_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CrashHouse]:
    """A running house of doomed programs."""
    folder = tmp_path_factory.mktemp("crashes")
    async with crash_house(small_district(folder / "district"), folder / "doomed") as made:
        yield made


@pytest.mark.parametrize("place", sorted({point.place for point in POINTS}))
async def test_every_place_is_a_function_of_the_house(place: str) -> None:
    resolve(place)


async def test_no_two_points_are_the_same() -> None:
    assert len({point.name for point in POINTS}) == len(POINTS)
    wheres = [
        (point.service, point.place, point.when, point.nth, point.subject, point.kind, point.status) for point in POINTS
    ]
    assert len(set(wheres)) == len(wheres)


async def test_every_point_is_died_at_in_some_round() -> None:
    died_at = {point.name for together in ROUNDS for deaths in together for point in deaths}
    assert died_at == {point.name for point in POINTS}
    assert all(point_named(first).service == point_named(second).service for first, second in TWICE)
    assert len(all_deaths()) == sum(len(together) for together in ROUNDS)


@pytest.mark.parametrize(
    "together",
    [pytest.param(one, marks=[pytest.mark.whole] if number % 3 else []) for number, one in enumerate(ROUNDS)],
    ids=lambda together: "+".join(deaths[-1].name for deaths in together),
)
async def test_run_ends_as_if_nobody_had_died(broken_house: CrashHouse, together: tuple[Deaths, ...]) -> None:
    trial = await broken_house.exercise(*together)
    sys.stdout.write(f"{sum(map(len, together))} of {len(POINTS)} points: {trial.run}, {trial.seconds:.1f} s\n")
    if trial.missed:
        raise Violated(f"run {trial.run}: nobody came by {', '.join(trial.missed)}")
