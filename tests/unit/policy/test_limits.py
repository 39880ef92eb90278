"""Limits: exact at their edges, complete over the classes, and replaced only by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.contract.loading import load_connector
from shared.contract.model import LimitOverride
from shared.errors import NeedsPerson
from shared.policy.connector_policy import check_policy
from shared.policy.limits import (
    CHANGE_CLASSES,
    DEFAULT_POLICY,
    LIMIT_NAMES,
    Limit,
    limit_named,
    policy_with,
    uncovered_classes,
)


@pytest.mark.parametrize("percent", [0.57, 1.1, 2.3, 0.07, 33.3])
def test_share_exactly_at_the_limit_does_not_trip(percent: float) -> None:
    """0.57 of 10,000 is a little less than 57 in binary fractions, and 57 records would be held."""
    exactly = round(percent * 1000)
    assert not Limit(percent=percent).is_tripped(exactly, 100_000)
    assert Limit(percent=percent).is_tripped(exactly + 1, 100_000)
    assert not Limit(warn_percent=percent).is_warned(exactly, 100_000)
    assert Limit(warn_percent=percent).is_warned(exactly + 1, 100_000)


def test_shares_are_percentages_and_numbers_are_no_debts() -> None:
    assert Limit(percent=100, warn_percent=100).percent == 100
    for wrong in ({"percent": 100.1}, {"warn_percent": 100.1}, {"percent": -1}, {"count": -1}, {"floor": -1}):
        with pytest.raises(ValidationError):
            Limit.model_validate(wrong)


def test_warning_holds_nothing_and_a_limit_warns_of_nothing() -> None:
    assert not Limit(warn_percent=1).is_tripped(99, 100)
    assert not Limit(percent=1).is_warned(99, 100)


def test_limit_that_is_off_allows_nothing() -> None:
    off = Limit(count=25, percent=1, floor=2, is_off=True)
    assert off.is_tripped(1, 10_000_000)
    assert not off.is_tripped(0, 0)
    assert off.in_words() == "allowed none; a connector that sets the limit is allowed 25 or 1 %, and 2 always"


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (Limit(count=1000, percent=25, floor=25), "allowed 1,000 or 25 %, and 25 always"),
        (Limit(count=3), "allowed 3"),
        (Limit(percent=2.5), "allowed 2.5 %"),
        (Limit(count=3, floor=2), "allowed 3"),
        (Limit(), "allowed any number"),
        (Limit(percent=10, floor=20, warn_percent=3), "allowed 10 %, and 20 always; warns above 3 %"),
    ],
)
def test_limit_in_words(limit: Limit, words: str) -> None:
    assert limit.in_words() == words


def test_a_week_allows_twice_the_limit_of_a_run_and_a_day_the_same() -> None:
    limit = Limit(count=100, percent=60, floor=5, warn_percent=3)
    assert limit.for_window("24h") == limit
    week = limit.for_window("7d")
    assert (week.count, week.percent, week.floor, week.warn_percent) == (200, 120, 5, 3)
    assert Limit(percent=1).for_window("7d").count is None
    assert Limit(count=1).for_window("7d").percent is None
    with pytest.raises(KeyError):
        limit.for_window("30d")


def test_limit_of_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no limit is named 'creates'; the names are ambiguous, create,"):
        policy_with({"creates": Limit(count=1)})


def test_every_limit_can_be_named_and_replaced_by_itself() -> None:
    told = Limit(count=7, percent=3, floor=1)
    seen: set[str] = set()
    for name in LIMIT_NAMES:
        assert limit_named(name) != told
        policy = policy_with({name: told})
        assert limit_named(name, policy) == told
        assert policy.digest not in seen | {DEFAULT_POLICY.digest}
        seen.add(policy.digest)
        follows = {"touched"} if name == "update" else set()
        for other in set(LIMIT_NAMES) - {name} - follows:
            assert limit_named(other, policy) == limit_named(other)


def test_limit_on_updates_stands_for_the_records_touched_unless_these_have_their_own() -> None:
    update, touched = Limit(count=5000), Limit(count=6000)
    assert policy_with({"update": update}).touched == update
    assert policy_with({"update": update, "touched": touched}).touched == touched
    assert policy_with({"touched": touched}).classes["update"] == DEFAULT_POLICY.classes["update"]


def test_setting_a_limit_turns_it_on() -> None:
    assert DEFAULT_POLICY.classes["delete"].is_off
    told = DEFAULT_POLICY.classes["delete"].model_copy(update={"count": 4})
    assert told.is_off
    assert policy_with({"delete": told}).classes["delete"] == Limit(count=4, percent=1, floor=2)


def test_overrides_stand_on_the_policy_that_is_given() -> None:
    house = policy_with({"create": Limit(count=1)})
    policy = policy_with({"suspend": Limit(count=2)}, house)
    assert (policy.classes["create"], policy.classes["suspend"]) == (Limit(count=1), Limit(count=2))


def test_default_policy_covers_every_class() -> None:
    assert uncovered_classes(DEFAULT_POLICY) == ()


@pytest.mark.parametrize("limit", [None, Limit(floor=10), Limit(percent=100, floor=10), Limit(warn_percent=5)])
@pytest.mark.parametrize("name", CHANGE_CLASSES)
def test_class_without_a_limit_that_can_trip_is_uncovered(name: str, limit: Limit | None) -> None:
    classes = {one: kept for one, kept in DEFAULT_POLICY.classes.items() if one != name}
    if limit is not None:
        classes[name] = limit
    assert uncovered_classes(DEFAULT_POLICY.model_copy(update={"classes": classes})) == (name,)


@pytest.mark.parametrize(
    "limit", [Limit(count=0), Limit(percent=99.9), Limit(percent=100, count=5), Limit(is_off=True)]
)
def test_limit_that_can_trip_covers_its_class(limit: Limit) -> None:
    classes = {**DEFAULT_POLICY.classes, "update": limit}
    assert uncovered_classes(DEFAULT_POLICY.model_copy(update={"classes": classes})) == ()


def test_connector_that_limits_what_does_not_exist_is_refused_with_the_names() -> None:
    folder = Path(__file__).parents[3] / "connectors" / "titanhst-staff"
    definition = load_connector(folder).definition
    check_policy(definition)
    misspelt = definition.model_copy(update={"guard": {"suspends": LimitOverride(count=5)}})
    with pytest.raises(NeedsPerson, match=r"suspends.*source_fell") as refused:
        check_policy(misspelt)
    assert refused.value.code == "CTR_INVALID"
