"""What a system's `quality.yaml` claims, against what the suites have shown: neither more nor less."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.ports.quality import AUTHORITY, RULES, Quality, Tier, missing_for, rules_for, tier_of
from tests.conformance.rules import REGISTRY, cases

ROOT = Path(__file__).resolve().parents[2]
SUITES = {rule.name for rule in RULES if rule.tier < Tier.PLATINUM}
"""Rules that the suites can show."""


@pytest.mark.parametrize("system", REGISTRY.names())
def test_every_rule_is_answered_for_once_and_no_other(system: str) -> None:
    asked = {rule.name for rule in rules_for(REGISTRY.manifest(system))}
    quality = REGISTRY.quality(system)
    assert {*quality.kept, *quality.lacks} == asked
    for rule, file in quality.elsewhere.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        assert system in text, f"{rule} is said to be shown by {file}, which never speaks of {system}"
    assert all(len(why) > 10 for why in quality.lacks.values()), "say why"


@pytest.mark.parametrize("system", REGISTRY.names())
def test_what_is_claimed_was_shown_and_what_was_shown_is_claimed(
    system: str, results: dict[str, dict[str, list[str]]], left_out: set[str]
) -> None:
    told = results.get(system)
    if not told or system in left_out:
        pytest.skip("not all tests of this system were run")
    roles = ["source"] + (["target"] if any(system == each for each, _ in cases("target")) else [])
    asked = {rule.name for rule in RULES if rule.role in roles} & SUITES
    shown = {
        rule for rule in asked if (outcomes := told.get(rule)) and "failed" not in outcomes and "passed" in outcomes
    }
    quality = REGISTRY.quality(system)
    assert set(quality.shown) - shown == set(), "claimed and not shown"
    assert shown - set(quality.shown) - set(quality.elsewhere) == set(), "shown and not claimed"


@pytest.mark.parametrize("system", REGISTRY.names())
def test_no_system_is_below_what_the_house_lets_it_do(system: str) -> None:
    manifest, quality = REGISTRY.manifest(system), REGISTRY.quality(system)
    assert tier_of(quality, manifest, role="source") >= Tier.BRONZE, missing_for(Tier.BRONZE, quality, manifest)
    if "target" in manifest.capabilities:
        assert tier_of(quality, manifest, role="target") >= Tier.GOLD, missing_for(Tier.GOLD, quality, manifest)


def test_tiers_are_computed_from_the_rules_alone() -> None:
    manifest = REGISTRY.manifest("titanhst")
    everything = tuple(rule.name for rule in RULES)
    assert tier_of(Quality(shown=everything), manifest, role="target") is Tier.PLATINUM
    assert tier_of(Quality(), manifest, role="source") is Tier.NONE
    for rule in RULES:
        lacking = Quality(shown=tuple(name for name in everything if name != rule.name))
        assert tier_of(lacking, manifest, role="target") is Tier(rule.tier - 1), rule.name
        assert rule.name in missing_for(Tier.PLATINUM, lacking, manifest)
    assert set(AUTHORITY) == set(Tier)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"shown": ["no_such_rule"]}, "is no rule"),
        ({"shown": ["wire_is_pure"], "lacks": {"wire_is_pure": "it is not"}}, "2 times"),
    ],
)
def test_a_rule_is_known_and_kept_or_not(document: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Quality.model_validate(document)
