"""What may stand in a label."""

from __future__ import annotations

import pytest

from services.monitor.labels import CODES, OTHER, OUTCOMES, Names, known
from shared.telemetry.figures import FIGURES, LABELS


@pytest.mark.parametrize("name", ["titanhst-staff", "a", "hr_2", "x" * 63])
def test_a_name_of_a_definition_stands_for_itself(name: str) -> None:
    assert Names()(name) == name


@pytest.mark.parametrize(
    "text", [None, "", "Ana", "ana@example.org", "Ana Maria", "x" * 64, "12345", "a\n", "a.b", "señor", "a b"]
)
def test_what_is_no_name_is_other(text: str | None) -> None:
    assert Names()(text) == OTHER


def test_names_beyond_the_bound_are_other_and_earlier_ones_stay() -> None:
    names = Names(names_max=2)
    assert [names(one) for one in ("a", "b", "c", "a", "c")] == ["a", "b", OTHER, "a", OTHER]


def test_a_code_outside_the_catalogue_is_other() -> None:
    assert known("SYS_SECRET", CODES) == "SYS_SECRET"
    assert known("SYS_MADE_UP", CODES) == OTHER


def test_the_nine_outcomes_are_the_nine_parts() -> None:
    assert len(OUTCOMES) == 9
    assert "planned" not in OUTCOMES


def test_every_figure_has_labels_of_the_list_and_a_name_as_prometheus_wants_it() -> None:
    names = [row.name for row in FIGURES]
    assert len(names) == len(set(names))
    for row in FIGURES:
        assert set(row.labels) <= LABELS, row.name
        assert row.name.endswith("_total") == (row.kind == "counter"), row.name
        assert row.help.endswith("."), row.name
    assert set().union(*(row.labels for row in FIGURES)) == LABELS
