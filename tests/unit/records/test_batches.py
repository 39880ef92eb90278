"""Batches: what is written is what is read, below the bound, and keys go where they always went."""

from __future__ import annotations

import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from shared.errors import RecordRefused, StopRun
from shared.records.batches import MESSAGE_BYTES_MAX, decode, encode, ordered, partition_of_keys

# The first is xxh3_64 of nothing, 0x2d06800538d394c2 in the algorithm's own test vectors, modulo 64.
# Written once and never to change: two programs of different releases meet in these numbers.
GOLDEN = {"": 2, "E1": 54, "000120": 7, "C000120": 12, "É🙂": 5}
ROWS = st.lists(st.tuples(st.none() | st.text(max_size=5), st.none() | st.text(max_size=5), st.none() | st.booleans()))


def frame_of(rows: list[tuple[str | None, str | None, bool | None]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"key": pl.String, "name": pl.String, "active": pl.Boolean}, orient="row")


def noise(rows: int, length: int = 200) -> pl.DataFrame:
    """Rows that no compression makes small."""
    rng = random.Random(4)
    return pl.DataFrame(
        {"key": [f"E{n:06d}" for n in range(rows)], "name": [rng.randbytes(length).hex() for _ in range(rows)]}
    )


def test_partitions_are_the_same_for_ever() -> None:
    found = partition_of_keys(pl.Series(list(GOLDEN), dtype=pl.String), 64)
    assert dict(zip(GOLDEN, found, strict=True)) == GOLDEN


def test_partitions_cover_their_range_and_leave_out_nobody() -> None:
    found = partition_of_keys(pl.Series([f"E{n}" for n in range(2_000)]), 64)
    assert set(found) == set(range(64))


def test_a_null_key_has_no_partition() -> None:
    assert partition_of_keys(pl.Series(["E1", None]), 1).to_list() == [0, None]


@pytest.mark.parametrize("partitions", [0, -1, 65])
def test_the_number_of_partitions_is_bounded(partitions: int) -> None:
    with pytest.raises(ValueError, match="allowed 1 to 64"):
        partition_of_keys(pl.Series(["E1"]), partitions)


@given(ROWS)
def test_what_is_written_is_read(rows: list[tuple[str | None, str | None, bool | None]]) -> None:
    frame = frame_of(rows)
    assert_frame_equal(decode(encode(frame)), ordered(frame))


@given(ROWS, st.randoms())
def test_equal_rows_give_equal_bytes(
    rows: list[tuple[str | None, str | None, bool | None]], rng: random.Random
) -> None:
    shuffled = list(rows)
    rng.shuffle(shuffled)
    assert encode(frame_of(rows)) == encode(frame_of(shuffled))


def test_every_message_stays_below_the_bound_and_none_is_needlessly_small() -> None:
    frame = noise(20_000)
    messages = encode(frame)
    assert max(map(len, messages)) <= MESSAGE_BYTES_MAX
    assert sum(map(len, messages)) / len(messages) > MESSAGE_BYTES_MAX / 2
    assert_frame_equal(decode(messages), frame)


def test_messages_may_arrive_in_any_order() -> None:
    frame = noise(300)
    messages = encode(frame, max_bytes=20_000)
    assert len(messages) > 2
    assert_frame_equal(decode(messages[::-1]), frame)


def test_no_rows_are_one_message_with_the_columns() -> None:
    empty = frame_of([])
    assert len(encode(empty)) == 1
    assert_frame_equal(decode(encode(empty)), empty)


def test_no_message_is_never_an_empty_snapshot() -> None:
    with pytest.raises(StopRun, match="not even an empty one") as caught:
        decode([])
    assert caught.value.code == "DIF_SNAPSHOT_GONE"


@pytest.mark.parametrize("damage", [b"", b"not arrow", encode(noise(50))[0][:-400]], ids=["empty", "other", "torn"])
def test_a_damaged_message_is_found(damage: bytes) -> None:
    with pytest.raises(StopRun, match="batch 2 of the snapshot cannot be read"):
        decode([encode(noise(2))[0], damage])


def test_batches_with_other_columns_are_refused() -> None:
    with pytest.raises(StopRun, match="batch 2 of 2 has other columns"):
        decode([encode(noise(2))[0], encode(frame_of([]))[0]])


def test_a_record_above_the_bound_is_named_by_its_digest_only() -> None:
    frame = pl.concat(
        [noise(3), pl.DataFrame({"key": ["secret-key"], "name": [random.Random(1).randbytes(9_000).hex()]})]
    )
    with pytest.raises(RecordRefused, match="allowed 4000") as caught:
        encode(frame, max_bytes=4_000)
    assert "secret-key" not in str(caught.value)
    assert caught.value.facts["key_digest"] == "85dbe15d75ef9308"
