"""Pairing two snapshots of one partition by key, by numbers instead of by fields.

Pure, over whole columns. Both sides carry the key's hash and the fingerprint of the compared fields
(`shared.records.hashes`) and lie in the order of the key's hash, so pairing is one pass of a binary search over
integers, and rows whose fingerprints agree are never looked at. What differs is told as row numbers; fetching and
judging it is for the caller. A join over all columns costs ten times as much and the memory of both sides again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from shared.records.hashes import KEY_HASH, ROW_HASHES

Rows = npt.NDArray[np.int64]
"""Row numbers in a frame."""


@dataclass(frozen=True)
class Paired:
    """Row numbers of both sides."""

    desired: Rows
    """Rows of the desired side that have a partner."""
    existing: Rows
    """Their partners, in the same order."""
    unequal: npt.NDArray[np.bool_]
    """For each pair, whether the fingerprints differ."""
    unmatched: Rows
    """Rows of the desired side without a partner."""
    absent: Rows
    """Rows of the existing side that nobody took."""


def pair(desired: pl.DataFrame, existing: pl.DataFrame) -> Paired:
    """Pair the rows by key; both frames have `key` (never null, unique) and the hash columns, in any order.

    Frames in the order of the key hash are not sorted again. Keys that share a hash are told apart by the keys.
    """
    wanted, wanted_order = _in_hash_order(desired)
    live, live_order = _in_hash_order(existing)
    if _repeats(wanted) or _repeats(live):
        return _pair_by_text(desired, existing)
    place = np.searchsorted(live, wanted)
    # The last place lies behind the end; its comparison with anything else than itself is false.
    place[place == live.size] = max(live.size - 1, 0)
    found = live[place] == wanted if live.size else np.zeros(wanted.size, dtype=np.bool_)
    taken = np.zeros(live.size, dtype=np.bool_)
    taken[place[found]] = True
    paired = _with_fingerprints(
        desired,
        existing,
        Paired(
            desired=_rows(np.flatnonzero(found), wanted_order),
            existing=_rows(place[found], live_order),
            unequal=np.empty(0, dtype=np.bool_),
            unmatched=_rows(np.flatnonzero(~found), wanted_order),
            absent=_rows(np.flatnonzero(~taken), live_order),
        ),
    )
    # Equal fingerprints cover the key as well; only unequal rows can be two keys that met in one hash.
    keys = desired.get_column("key").gather(paired.desired[paired.unequal])
    theirs = existing.get_column("key").gather(paired.existing[paired.unequal])
    return paired if (keys == theirs).all() else _pair_by_text(desired, existing)


def _in_hash_order(frame: pl.DataFrame) -> tuple[npt.NDArray[np.uint64], Rows | None]:
    """The key hashes in rising order, and which rows they are of; None when the frame has that order already."""
    column = frame.get_column(KEY_HASH)
    if column.null_count():
        raise ValueError(f"{column.null_count()} rows of a keyed partition have no key hash, allowed none")
    hashes = column.to_numpy()
    if bool(np.all(hashes[1:] >= hashes[:-1])):
        return hashes, None
    order = np.argsort(hashes, kind="stable")
    return hashes[order], order


def _rows(places: Rows, order: Rows | None) -> Rows:
    return places if order is None else order[places]


def _repeats(hashes: npt.NDArray[np.uint64]) -> bool:
    return bool(np.any(hashes[1:] == hashes[:-1]))


def _with_fingerprints(desired: pl.DataFrame, existing: pl.DataFrame, paired: Paired) -> Paired:
    unequal = np.zeros(paired.desired.size, dtype=np.bool_)
    for name in ROW_HASHES:
        ours = desired.get_column(name).to_numpy()
        theirs = existing.get_column(name).to_numpy()
        unequal |= ours[paired.desired] != theirs[paired.existing]
    return Paired(paired.desired, paired.existing, unequal, paired.unmatched, paired.absent)


def _pair_by_text(desired: pl.DataFrame, existing: pl.DataFrame) -> Paired:
    """The same by the keys themselves: for the partition in which two keys share a hash, once in many years."""
    ours = desired.select("key").with_row_index("ours")
    theirs = existing.select("key").with_row_index("theirs")
    both = ours.join(theirs, on="key", how="full").select("ours", "theirs")
    pairs = both.drop_nulls()

    def rows(frame: pl.DataFrame, name: str) -> Rows:
        return frame.get_column(name).cast(pl.Int64).to_numpy()

    return _with_fingerprints(
        desired,
        existing,
        Paired(
            desired=rows(pairs, "ours"),
            existing=rows(pairs, "theirs"),
            unequal=np.empty(0, dtype=np.bool_),
            unmatched=rows(both.filter(pl.col("theirs").is_null()), "ours"),
            absent=rows(both.filter(pl.col("ours").is_null()), "theirs"),
        ),
    )
