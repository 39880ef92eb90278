"""Rows find their partners by key whatever their order, and whatever their hashes do."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.differ.engine import Paired, pair
from shared.records.hashes import KEY_HASH, with_hashes

KEYS = st.lists(st.integers(0, 30), unique=True, max_size=20)


def side(rows: dict[str, str | None]) -> pl.DataFrame:
    frame = pl.DataFrame(
        {"key": list(rows), "value": list(rows.values())}, schema={"key": pl.String, "value": pl.String}
    )
    return with_hashes(frame, ("key", "value"))


def by_key(desired: pl.DataFrame, existing: pl.DataFrame, paired: Paired) -> dict[str, object]:
    """The outcome by keys instead of by row numbers."""
    ours, theirs = desired.get_column("key"), existing.get_column("key")
    assert ours.gather(paired.desired).to_list() == theirs.gather(paired.existing).to_list()
    return {
        "equal": set(ours.gather(paired.desired[~paired.unequal])),
        "unequal": set(ours.gather(paired.desired[paired.unequal])),
        "unmatched": set(ours.gather(paired.unmatched)),
        "absent": set(theirs.gather(paired.absent)),
    }


def expected(desired: dict[str, str | None], existing: dict[str, str | None]) -> dict[str, object]:
    both = desired.keys() & existing.keys()
    return {
        "equal": {key for key in both if desired[key] == existing[key]},
        "unequal": {key for key in both if desired[key] != existing[key]},
        "unmatched": desired.keys() - existing.keys(),
        "absent": existing.keys() - desired.keys(),
    }


@st.composite
def _rows(draw: st.DrawFn) -> dict[str, str | None]:
    return {f"E{n}": draw(st.sampled_from(["a", "b", "", None])) for n in draw(KEYS)}


@settings(max_examples=100, deadline=None)
@given(desired=_rows(), existing=_rows(), is_sorted=st.booleans())
def test_rows_find_their_partners(
    desired: dict[str, str | None], existing: dict[str, str | None], is_sorted: bool
) -> None:
    ours, theirs = side(desired), side(existing)
    if is_sorted:
        ours, theirs = ours.sort(KEY_HASH), theirs.sort(KEY_HASH)
    assert by_key(ours, theirs, pair(ours, theirs)) == expected(desired, existing)


@settings(max_examples=100, deadline=None)
@given(desired=_rows(), existing=_rows(), buckets=st.integers(1, 4))
def test_keys_that_share_a_hash_are_told_apart(
    desired: dict[str, str | None], existing: dict[str, str | None], buckets: int
) -> None:
    """Key hashes with so few values that nearly all collide: also between one key of each side only."""

    def crowded(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns((pl.col(KEY_HASH) % buckets).alias(KEY_HASH)).sort(KEY_HASH)

    ours, theirs = crowded(side(desired)), crowded(side(existing))
    assert by_key(ours, theirs, pair(ours, theirs)) == expected(desired, existing)


def test_two_different_keys_with_one_hash_are_no_pair() -> None:
    ours = side({"E1": "a"}).with_columns(pl.lit(7, pl.UInt64).alias(KEY_HASH))
    theirs = side({"E2": "a"}).with_columns(pl.lit(7, pl.UInt64).alias(KEY_HASH))
    paired = pair(ours, theirs)
    assert (paired.desired.size, list(paired.unmatched), list(paired.absent)) == (0, [0], [0])


@pytest.mark.parametrize("name", ["row hash a", "row hash b"])
def test_rows_differ_when_either_half_of_the_fingerprint_does(name: str) -> None:
    ours = side({"E1": "a", "E2": "b"}).sort(KEY_HASH)
    theirs = ours.with_columns(
        pl.when(pl.col("key") == "E2").then(pl.col(name) + 1).otherwise(pl.col(name)).alias(name)
    )
    paired = pair(ours, theirs)
    assert ours.get_column("key").gather(paired.desired[paired.unequal]).to_list() == ["E2"]


def test_keyless_row_in_a_keyed_partition_is_refused() -> None:
    ours = with_hashes(pl.DataFrame({"key": ["E1", None]}), ("key",))
    with pytest.raises(ValueError, match="1 rows of a keyed partition have no key hash"):
        pair(ours, ours)


def test_largest_hashes_are_paired() -> None:
    """The search ends behind the last place for a hash above all others."""
    top = np.iinfo(np.uint64).max
    ours = side({"E1": "a"}).with_columns(pl.lit(top, pl.UInt64).alias(KEY_HASH))
    theirs = side({"E2": "a"}).with_columns(pl.lit(5, pl.UInt64).alias(KEY_HASH))
    assert pair(ours, theirs).desired.size == 0
    assert list(pair(ours, ours).desired) == [0]
