"""Shelves: what is put there comes back whole, few rows never touch the disk, and nothing is left behind."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

import services.extractor.spill as spill
from services.extractor.copartition import Matching, pieces_of
from services.extractor.spill import Shelves, SpillFile
from shared.errors import StopRun

SHELVES = 4
PAGES = st.lists(st.lists(st.tuples(st.integers(0, 9), st.none() | st.text(max_size=3)), max_size=12), max_size=8)


def by_id(frame: pl.DataFrame) -> pl.Series:
    return frame.get_column("id").cast(pl.Int64).cast(pl.UInt32) % SHELVES


def page(rows: Sequence[tuple[int, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), schema={"id": pl.Int64, "name": pl.String}, orient="row")


@settings(deadline=None)
@given(PAGES, st.integers(1, 20))
def test_every_row_comes_back_from_its_shelf_whatever_the_pages(
    pages: list[list[tuple[int, str | None]]], batch_rows: int
) -> None:
    with SpillFile() as file:
        shelves = Shelves(file, by_id, batch_rows)
        for rows in [[], *pages]:
            shelves.put(page(rows))
        whole = page([row for rows in pages for row in rows])
        assert shelves.rows == whole.height
        assert sum(shelves.rows_by_shelf().values()) == whole.height
        for number in range(SHELVES):
            wanted = whole.filter(by_id(whole) == number)
            assert shelves.rows_by_shelf().get(number, 0) == wanted.height
            assert_frame_equal(shelves.take([number]), wanted, check_row_order=False)
        assert_frame_equal(shelves.take([1, 3]), whole.filter(by_id(whole) % 2 == 1), check_row_order=False)
        batches = list(shelves.batches())
        assert_frame_equal(pl.concat(batches), whole, check_row_order=False)
        assert all(batch.height <= 2 * batch_rows + 12 for batch in batches)


def test_few_rows_never_touch_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_disk(*_: object, **__: object) -> None:
        raise AssertionError("a file was asked for")

    monkeypatch.setattr(tempfile, "TemporaryFile", no_disk)
    with SpillFile() as file:
        shelves = Shelves(file, by_id)
        for _ in range(24):
            shelves.put(page([(n, "x") for n in range(100)]))
        assert shelves.take(range(SHELVES)).height == 2_400
        assert not shelves.is_spilled


def test_many_rows_stand_on_the_disk_and_not_in_memory(tmp_path: Path) -> None:
    with SpillFile(tmp_path) as file:
        shelves = Shelves(file, by_id, batch_rows=100)
        for _ in range(50):
            shelves.put(page([(n, "x" * 50) for n in range(60)]))
        assert shelves.is_spilled
        assert file.written_bytes > 50 * 60 * 50 * 0.9
        assert shelves.rows == 3_000


def test_the_file_has_no_name_and_nothing_is_left_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"), SpillFile(tmp_path) as file:
        shelves = Shelves(file, by_id, batch_rows=1)
        shelves.put(page([(1, "personal"), (2, "personal")]))
        assert shelves.is_spilled
        assert list(tmp_path.iterdir()) == []
        raise RuntimeError("half-way")
    assert list(tmp_path.iterdir()) == []


def test_a_column_that_changes_its_type_on_the_way_moves_all_rows_to_what_fits() -> None:
    """A value written as 7 on one page and as "7" on another must be found on one shelf."""
    by = Matching("code", ())
    with SpillFile() as file:
        shelves = Shelves(file, lambda frame: pieces_of(frame, by), batch_rows=5)
        shelves.put(pl.DataFrame({"code": [None, None]}))
        shelves.put(pl.DataFrame({"code": list(range(20))}))
        shelves.put(pl.DataFrame({"code": [str(n) for n in range(20)], "late": ["x"] * 20}))
        assert shelves.schema == {"code": pl.String, "late": pl.String}
        shares = [shelves.take([number]) for number in shelves.rows_by_shelf()]
        assert sum(share.height for share in shares) == 42
        for share in shares:
            assert share.schema == shelves.schema
            assert (share.drop_nulls("code").get_column("code").value_counts().get_column("count") == 2).all()


def test_a_full_disk_stops_the_run_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with SpillFile(tmp_path) as file, pytest.raises(StopRun, match=r"No space left on device.*AETHER_SPILL_FOLDER"):
        Shelves(file, by_id, batch_rows=1).put(page([(1, "a"), (2, "b")]))


def test_what_one_side_may_take_on_the_disk_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "SPILL_BYTES_MAX", 10_000)
    rng = Random(3)
    with SpillFile() as file, pytest.raises(StopRun, match="more than 10000 bytes"):
        shelves = Shelves(file, by_id, batch_rows=10)
        for n in range(200):
            shelves.put(page([(n, rng.randbytes(100).hex())]))


def test_shelves_without_any_frame_have_no_columns_to_give() -> None:
    with SpillFile() as file, pytest.raises(ValueError, match="not even an empty frame"):
        Shelves(file, by_id).take([0])
