"""Hashes: equal rows have equal ones wherever they are made, and different rows do not meet."""

from __future__ import annotations

import subprocess
import sys

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.contract.model import EntityContract
from shared.records.hashes import HASH_COLUMNS, HASH_VERSION, KEY_HASH, ROW_HASHES, compared_fields, with_hashes

COMPARED = ("name", "site", "active")
TEXTS = st.none() | st.text(alphabet="ab", max_size=3)
ROWS = st.lists(st.tuples(TEXTS, TEXTS, TEXTS, st.none() | st.booleans()), max_size=30)


def frame_of(rows: list[tuple[str | None, str | None, str | None, bool | None]]) -> pl.DataFrame:
    schema = {"key": pl.String, "name": pl.String, "site": pl.String, "active": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")


def row_hash(**values: str | bool | None) -> tuple[int, ...]:
    schema = {name: pl.Boolean if isinstance(value, bool) else pl.String for name, value in values.items()}
    frame = pl.DataFrame({"key": ["E1"], **{name: [value] for name, value in values.items()}}, schema_overrides=schema)
    return with_hashes(frame, tuple(values)).select(ROW_HASHES).row(0)


@settings(deadline=None)
@given(ROWS)
def test_rows_have_equal_hashes_exactly_when_their_compared_fields_are_equal(
    rows: list[tuple[str | None, str | None, str | None, bool | None]],
) -> None:
    hashed = with_hashes(frame_of(rows), COMPARED)
    for half in ROW_HASHES:
        meetings = set(zip(hashed.get_column(half), [row[1:] for row in rows], strict=True))
        assert len(meetings) == len({row[1:] for row in rows}) == len({value for value, _ in meetings})


@settings(deadline=None)
@given(ROWS, st.randoms(use_true_random=False))
def test_a_row_has_the_same_hashes_in_whatever_company(
    rows: list[tuple[str | None, str | None, str | None, bool | None]], rng: object
) -> None:
    frame = frame_of(rows).with_row_index("n").with_columns(pl.lit("beside").alias("live name"))
    alone = [with_hashes(frame.slice(n, 1), COMPARED) for n in range(frame.height)]
    together = with_hashes(frame.reverse(), COMPARED).sort("n")
    assert pl.concat([together.clear(), *alone]).equals(together)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a": "ab", "b": "c"}, {"a": "a", "b": "bc"}),
        ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}),
        ({"a": None, "b": ""}, {"a": "", "b": None}),
        ({"a": None}, {"a": ""}),
        ({"a": "true"}, {"a": True}),
        ({"a": None, "b": None}, {"a": None}),
        ({"a": "x" * 300}, {"a": "x" * 299 + "y"}),
        ({"a": "é"}, {"a": "e\u0301"}),
    ],
)
def test_what_differs_has_other_hashes_in_both_halves(
    left: dict[str, str | bool | None], right: dict[str, str | bool | None]
) -> None:
    ours, theirs = row_hash(**left), row_hash(**right)
    assert all(one != other for one, other in zip(ours, theirs, strict=True))


def test_the_two_halves_and_the_key_have_nothing_in_common() -> None:
    frame = pl.DataFrame({"key": [f"E{n}" for n in range(5_000)], "name": [f"E{n}" for n in range(5_000)]})
    hashed = with_hashes(frame, ("name",))
    assert len({value for name in HASH_COLUMNS for value in hashed.get_column(name)}) == 15_000
    # Independent halves agree in half of their 64 bits, give or take little.
    agreeing = [64 - (a ^ b).bit_count() for a, b in hashed.select(ROW_HASHES).iter_rows()]
    assert 31 < sum(agreeing) / len(agreeing) < 33


def test_a_null_key_has_no_key_hash_and_an_empty_one_has() -> None:
    hashes = with_hashes(pl.DataFrame({"key": [None, ""], "name": ["a", "a"]}), ("name",)).get_column(KEY_HASH)
    assert hashes[0] is None
    assert hashes[1] is not None


def test_hashes_that_are_there_are_made_anew() -> None:
    frame = pl.DataFrame({"key": ["E1"], "name": ["a"]})
    changed = with_hashes(frame, ("name",)).with_columns(pl.lit("b").alias("name"))
    assert with_hashes(changed, ("name",)).equals(with_hashes(frame.with_columns(pl.lit("b").alias("name")), ("name",)))


@pytest.mark.parametrize("compared", [(), ("name",)])
def test_a_frame_without_rows_or_compared_fields_has_the_columns(compared: tuple[str, ...]) -> None:
    frame = pl.DataFrame({"key": ["E1", "E2"], "name": ["a", "b"]})
    assert with_hashes(frame.clear(), compared).schema == with_hashes(frame, compared).schema
    assert with_hashes(frame, ()).get_column(ROW_HASHES[0]).n_unique() == 1


def test_another_process_makes_the_same_hashes_and_says_so() -> None:
    program = (
        "import polars as pl; from shared.records.hashes import *;"
        "print(HASH_VERSION, with_hashes(pl.DataFrame({'key': ['E1'], 'a': ['x'], 'b': [True]}), ('a', 'b'))"
        ".select(HASH_COLUMNS).row(0))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    frame = pl.DataFrame({"key": ["E1"], "a": ["x"], "b": [True]})
    assert told == f"{HASH_VERSION} {with_hashes(frame, ('a', 'b')).select(HASH_COLUMNS).row(0)}"
    assert pl.__version__ in HASH_VERSION


def test_unmanaged_and_protected_fields_are_not_compared() -> None:
    contract = EntityContract.model_validate(
        {
            "from": {"source": "person"},
            "key": "id",
            "fields": {
                "id": {"from": ["person.id"]},
                "password": {"from": ["person.word"], "managed": False},
                "email": {"from": ["person.email"], "protected": True},
                "name": {"from": ["person.name"]},
            },
        }
    )
    assert compared_fields(contract) == ("id", "name")
