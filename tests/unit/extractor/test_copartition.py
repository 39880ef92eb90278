"""How sources are cut: what one record is made of stands in one piece."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pytest

from services.extractor.copartition import PIECES, Matching, grouped, layout_of, pieces_of
from shared.contract.model import EntityContract

TRIMMED = ["trim", "upper"]


def contract_of(*joins: dict[str, Any], pick: dict[str, Any] | None = None) -> EntityContract:
    origin: dict[str, Any] = {"source": "person"} | ({} if pick is None else {"pick": pick})
    fields = {"id": {"from": ["person.id"]}}
    return EntityContract.model_validate({"from": origin, "joins": joins, "key": "id", "fields": fields})


def join(source: str, left: str, right: str, steps: list[str] | None = None) -> dict[str, Any]:
    left_ref = {"column": left, "steps": steps or []}
    return {
        "source": source,
        "on": {"left": left_ref, "right": {"column": right, "steps": TRIMMED}},
        "order": [{"column": right}],
    }


def test_a_pick_decides_and_joins_on_the_same_value_are_cut_with_it() -> None:
    pick = {"by": {"column": "id", "steps": TRIMMED}, "order": [{"column": "id"}]}
    layout = layout_of(
        contract_of(join("job", "person.id", "who", TRIMMED), join("site", "person.site", "code"), pick=pick)
    )
    by = Matching("id", ("trim", "upper"))
    assert layout.cut_by == {"person": by, "job": Matching("who", ("trim", "upper"))}
    assert list(layout.whole) == ["site"]


def test_a_join_that_compares_in_another_spelling_is_not_cut() -> None:
    pick = {"by": {"column": "id", "steps": TRIMMED}, "order": [{"column": "id"}]}
    layout = layout_of(contract_of(join("job", "person.id", "who", ["trim"]), pick=pick))
    assert list(layout.cut_by) == ["person"]
    assert list(layout.whole) == ["job"]


def test_without_a_pick_the_value_of_most_joins_decides() -> None:
    layout = layout_of(
        contract_of(
            join("site", "person.site", "code"), join("job", "person.id", "who"), join("pay", "person.id", "who")
        )
    )
    assert layout.cut_by["person"] == Matching("id", ())
    assert list(layout.cut_by) == ["person", "job", "pay"]
    assert list(layout.whole) == ["site"]


def test_what_is_joined_to_a_joined_source_stands_whole() -> None:
    layout = layout_of(contract_of(join("job", "person.id", "who"), join("site", "job.id", "code")))
    assert list(layout.whole) == ["site"]


def test_without_joins_any_piece_will_do() -> None:
    assert layout_of(contract_of()).cut_by == {"person": None}


def test_values_that_match_after_their_steps_have_one_piece() -> None:
    left = pieces_of(pl.DataFrame({"id": [" e1", "E2 ", "7"]}), Matching("id", ("trim", "upper")))
    right = pieces_of(pl.DataFrame({"who": ["E1", "e2", "x", "7"]}), Matching("who", ("trim", "upper")))
    numbers = pieces_of(pl.DataFrame({"who": [7]}), Matching("who", ()))
    assert left.to_list() == [right[0], right[1], right[3]]
    assert numbers[0] == left[2]


@pytest.mark.parametrize("by", [None, Matching("blank", ()), Matching("gone", ())])
def test_rows_that_match_nothing_are_dealt_out_evenly(by: Matching | None) -> None:
    frame = pl.DataFrame({"blank": [" "] * (10 * PIECES)})
    assert set(pieces_of(frame, by).value_counts().get_column("count")) == {10}


def test_keys_are_spread_over_all_pieces() -> None:
    frame = pl.DataFrame({"id": [f"E{n}" for n in range(64_000)]})
    counts = Counter(pieces_of(frame, Matching("id", ())))
    assert set(counts) == set(range(PIECES))
    assert all(800 < count < 1_200 for count in counts.values())


def test_pieces_are_put_together_up_to_the_bound_and_none_is_forgotten() -> None:
    rows = {0: 5, 1: 5, 2: 1, 3: 30, 5: 2}
    groups = grouped(rows, rows_max=10, pieces=8)
    assert groups == [[0, 1], [2], [3], [4, 5, 6, 7]]
    assert grouped({}, rows_max=10, pieces=3) == [[0, 1, 2]]
