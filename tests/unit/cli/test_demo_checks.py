"""The demonstration's checks see every kind of mismatch; a check that cannot fail would prove nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cli.demo_checks import changes_differ, counts_differ, effects_differ, quarantine_differs, state_differs

TRUTH: dict[str, Any] = {
    "counts": {"create": 1, "update": 1, "suspend": 1},
    "changes": {"create": ["E1"], "update": ["E2"], "suspend": ["E3"]},
    "left_scope": ["E3"],
    "fields": {
        "E1": {"external_id": [None, "E1"], "first_name": [None, "Ada"], "active": [None, True]},
        "E2": {"external_id": [None, "E2"], "role": ["AIDE", "NURSE"]},
        "E3": {"active": [True, False]},
    },
    "quarantine_counts": {"bad_format": 2, "ambiguous_match": 1},
}
EFFECTS = {"E1": ["created c-4"], "E2": ["updated c-2 [role]"], "E3": ["updated c-3 [active]"]}


def _contact(number: int, key: str | None, **values: Any) -> dict[str, Any]:
    blank = {"firstName": None, "lastName": None, "email": None, "mobilePhone": None, "role": None}
    given = {"id": f"c-{number}", "createdAt": "a", "updatedAt": "b"}
    return {**given, "externalId": key, **blank, "locationCode": None, "active": True, **values}


BEFORE = [_contact(1, None, firstName="Liaison"), _contact(2, None, role="AIDE"), _contact(3, "E3")]
AFTER = [
    _contact(1, None, firstName="Liaison"),
    _contact(2, "E2", role="NURSE", updatedAt="c"),
    _contact(3, "E3", active=False),
    _contact(4, "E1", firstName="Ada"),
]
PLANNED = [
    ("create", "E…(2)", [(name, "source_change") for name in ("external_id", "first_name", "active")]),
    ("update", "E2", [("external_id", "source_change"), ("role", "source_change")]),
    ("suspend", "E3", [("active", "scope_change")]),
]


def test_what_is_true_passes_every_check() -> None:
    assert counts_differ({"create": 1, "update": 1, "suspend": 1, "delete": 0}, truth=TRUTH) == []
    assert changes_differ(PLANNED, truth=TRUTH) == []
    assert quarantine_differs(source=2, ambiguous=1, truth=TRUTH) == []
    assert state_differs(BEFORE, AFTER, truth=TRUTH) == []
    assert effects_differ(EFFECTS, dropped=0, truth=TRUTH) == []


@pytest.mark.parametrize("found", [{"create": 1, "update": 1}, {**TRUTH["counts"], "delete": 1}, {}])
def test_other_counts_are_seen(found: dict[str, int]) -> None:
    assert counts_differ(found, truth=TRUTH)


@pytest.mark.parametrize(
    "planned",
    [
        PLANNED[1:],
        [*PLANNED, ("update", "E9", [("role", "source_change")])],
        [*PLANNED[:2], ("update", "E3", [("active", "scope_change")])],
        [*PLANNED[:2], ("suspend", "E3", [("active", "scope_change"), ("role", "scope_change")])],
        [*PLANNED[:2], ("suspend", "E3", [("active", "source_change")])],
        [PLANNED[0], ("update", "E2", [("external_id", "source_change"), ("role", "drift")]), PLANNED[2]],
        [PLANNED[0], *PLANNED],
        [("create", "F…(2)", PLANNED[0][2]), *PLANNED[1:]],
    ],
    ids=["missing", "extra", "class", "fields", "cause of removal", "cause", "twice", "masked"],
)
def test_other_changes_are_seen(planned: list[tuple[str, str, list[tuple[str, str]]]]) -> None:
    assert changes_differ(planned, truth=TRUTH)


@pytest.mark.parametrize(
    ("number", "values"),
    [
        (0, {"firstName": "Touched"}),
        (1, {"role": "AIDE"}),
        (1, {"externalId": None}),
        (2, {"active": True}),
        (3, {"firstName": "Adam"}),
        (3, {"email": "made.up@example.org"}),
        (3, {"externalId": "E8"}),
        (3, {"externalId": "E3"}),
    ],
)
def test_contact_that_is_not_as_it_should_be_is_seen(number: int, values: dict[str, Any]) -> None:
    after = copy.deepcopy(AFTER)
    after[number] |= values
    assert state_differs(BEFORE, after, truth=TRUTH)


def test_contact_that_is_gone_or_doubled_is_seen() -> None:
    assert state_differs(BEFORE, AFTER[1:], truth=TRUTH)
    assert state_differs(BEFORE, [*AFTER, _contact(5, "E1", firstName="Ada")], truth=TRUTH)


@pytest.mark.parametrize(
    "effects",
    [
        {**EFFECTS, "E1": ["created c-4", "created c-5"]},
        {**EFFECTS, "E9": ["updated c-9 [role]"]},
        {name: done for name, done in EFFECTS.items() if name != "E3"},
    ],
    ids=["twice", "untouchable", "missing"],
)
def test_effect_that_did_not_happen_exactly_once_is_seen(effects: dict[str, list[str]]) -> None:
    assert effects_differ(effects, dropped=0, truth=TRUTH)


def test_nothing_is_claimed_from_a_journal_with_gaps() -> None:
    assert effects_differ(EFFECTS, dropped=1, truth=TRUTH)


def test_quarantine_is_counted_apart_from_ambiguity() -> None:
    assert quarantine_differs(source=3, ambiguous=1, truth=TRUTH)
    assert quarantine_differs(source=2, ambiguous=0, truth=TRUTH)
