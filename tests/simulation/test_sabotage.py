"""Each never-rule, broken on purpose, is found out by the simulation within a bounded number of seeds.

Every sabotage is tried in weather in which the rule matters, so that a few seeds are enough; `python -m
tests.simulation --sabotage NAME` tries it in ordinary weather.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from tests.simulation.nemesis import Weather
from tests.simulation.people import Habits
from tests.simulation.sabotage import SABOTAGES
from tests.simulation.seeds import run_seed
from tests.simulation.vendor import VendorChances

SEEDS_MAX: Final = 25


def worst_moments(weather: Weather) -> Weather:
    """Appliers sleep or die just when it hurts most, over a vendor that takes everything twice."""
    return replace(weather, worst_moment=0.2, vendor=VendorChances(), refuses_duplicates=False, has_auditor=False)


def lost_answers(weather: Weather) -> Weather:
    """The vendor does what it is told and often does not say so."""
    return replace(weather, vendor=VendorChances(lost_after=0.3), refuses_duplicates=False, has_auditor=False)


def impatience(weather: Weather) -> Weather:
    """Appliers die in mid-write, and people cancel what is paused or at work."""
    habits = Habits(cancels=0.9)
    return replace(worst_moments(weather), worst_moment=0.5, habits=habits, vendor=VendorChances(lost_after=0.3))


def forgers(weather: Weather) -> Weather:
    """Somebody tries what nobody may, before every decision."""
    return replace(weather, habits=Habits(forges=1.0), blows=(), has_auditor=False)


def choosers(weather: Weather) -> Weather:
    """People who leave changes out of nearly every approval, and somebody who names others than were signed."""
    return replace(weather, habits=Habits(leaves_out=1.0, forges=0.7), blows=(), has_auditor=False)


WHERE_IT_MATTERS: Final[dict[str, tuple[Callable[[Weather], Weather], str]]] = {
    "intent-after-the-write": (worst_moments, "without an intent"),
    "no-fence": (worst_moments, "was stored on LEDGER under fence"),
    "lease-not-looked-at": (worst_moments, "had planted the fence"),
    "blind-resend": (lost_answers, "took effect"),
    "no-look-before": (worst_moments, "took effect"),
    "approvals-not-checked": (forgers, "with approvals of"),
    "ended-without-a-look": (impatience, "is told as"),
    "left-out-carried-out": (choosers, "with approvals of"),
    "parts-not-examined": (choosers, "with other changes left out than were signed"),
}
"""The weather, and words of the violation that must be among those found."""


def test_every_sabotage_is_tried() -> None:
    assert set(WHERE_IT_MATTERS) == set(SABOTAGES)


@pytest.mark.parametrize("name", WHERE_IT_MATTERS)
def test_sabotage_is_found_out(name: str) -> None:
    change, words = WHERE_IT_MATTERS[name]
    for seed in range(1, SEEDS_MAX + 1):
        violations = run_seed(seed, sabotage=SABOTAGES[name], change=change, lines=0).violations
        if any(words in one for one in violations):
            return
    raise AssertionError(f"{name} was not found out in {SEEDS_MAX} seeds")


@pytest.mark.parametrize(
    "change", [worst_moments, lost_answers, impatience, forgers, choosers], ids=lambda change: change.__name__
)
def test_the_same_weather_without_sabotage_violates_nothing(change: Callable[[Weather], Weather]) -> None:
    for seed in range(1, 6):
        report = run_seed(seed, change=change)
        assert not report.violations, "\n".join([f"seed {seed}", *report.violations, *report.trace])
