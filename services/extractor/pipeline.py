"""One side of an entity from its raw rows to the messages of its snapshot, piece by piece and in little memory.

Acts on the disk through its shelves and on nothing else. First every piece of the raw rows is normalised and its
records are laid on the shelves of their key; then, shelf by shelf, duplicates are settled and the records become
messages. The result is that of normalising everything at once, whatever the pieces are: a record's rows stand in one
piece, and a key's records on one shelf. It stands between `services.extractor.reading` and the bus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from services.extractor.copartition import grouped
from services.extractor.normalise import (
    Account,
    Normalised,
    Rules,
    merge_accounts,
    normalise_desired,
    normalise_existing,
    refuse_blocked,
    settle_duplicates,
)
from services.extractor.piecewise import pieces
from services.extractor.spill import BATCH_ROWS, Shelves, SpillFile, apart
from shared.contract.model import EntityContract
from shared.errors import StopRun
from shared.records.batches import encoded, ordered, partition_of_keys
from shared.records.hashes import compared_fields, key_hashes, with_hashes
from shared.records.live import live_column
from shared.records.subjects import OUTSIDE, QUARANTINE, UNKEYED

KEY_SHELVES_MIN = 64
"""Partitions are cut further, by ranges of the key hash, until there are so many shelves: what stands in memory does
not depend on how few partitions a connector asks for."""


@dataclass(frozen=True)
class Batch:
    """One message of a snapshot."""

    partition: str
    rows: int
    message: bytes


@dataclass(frozen=True)
class Counts:
    """What became of the records of one side."""

    records: int
    quarantined: int
    """Records set aside: distinct keys, and the items that have none."""
    keyless: int
    """Of these, the items without a key."""
    by_code: Mapping[str, int]
    """Items by code."""


class SideInWork:
    """The snapshot of one side while it is made: `take_desired` or `take_existing`, then `batches`, then `counts`."""

    def __init__(
        self, contract: EntityContract, *, partitions: int, file: SpillFile, batch_rows: int = BATCH_ROWS
    ) -> None:
        self._contract = contract
        self._partitions = partitions
        self._batch_rows = batch_rows
        self._ranges = _ranges_for(partitions)
        self._records = Shelves(file, self._key_shelves, batch_rows)
        self._items = Shelves(file, self._key_shelves, batch_rows)
        self._settled_items = Shelves(file, _one_shelf, batch_rows)
        self._outside = Shelves(file, _one_shelf, batch_rows)
        self._is_source = False
        self._records_made = 0
        self._keys_set_aside = 0
        self._codes: Counter[str] = Counter()
        self._keyless = 0

    # --- first half: from raw rows to records by key ----------------------------------------------------------------

    def take_desired(self, shelves: Mapping[str, Shelves], rules: Rules) -> Account:
        """Normalise all rows of the sources. `StopRun` when their shape is not as agreed or an id must be mapped."""
        self._is_source = True
        accounts = []
        for frames in pieces(self._contract, shelves, transforms=rules.transforms, batch_rows=self._batch_rows):
            made = normalise_desired(self._contract, rules, frames)
            self._keep(made, made.records)
            self._outside.put(apart(made.outside_keys.alias("key").to_frame()))
            accounts.append(made.account)
        account = merge_accounts(accounts)
        refuse_blocked(account.blocked)
        return account

    def take_existing(self, shelves: Shelves) -> Account:
        """Normalise all records of the target. `StopRun` when columns are missing or it shows a record twice."""
        accounts, ids = [], []
        fields = list(self._contract.fields)
        for group in grouped(shelves.rows_by_shelf(), rows_max=self._batch_rows):
            frame = shelves.take(group)
            made = normalise_existing(self._contract, frame)
            ids.append(frame.get_column("target_id").cast(pl.String).drop_nulls().hash())
            # The record as the target showed it stands beside its normalised form: preconditions speak of the former.
            live = frame.select(
                pl.col("target_id").cast(pl.String), *(pl.col(name).alias(live_column(name)) for name in fields)
            ).unique("target_id", keep="first")
            self._keep(made, made.records.join(live, on="target_id", how="left", nulls_equal=True))
            accounts.append(made.account)
        _refuse_repeated(pl.concat(ids))
        return merge_accounts(accounts)

    def _keep(self, made: Normalised, records: pl.DataFrame) -> None:
        self._records.put(with_hashes(records, compared_fields(self._contract)))
        self._items.put(apart(made.quarantined))

    # --- second half: from records by key to messages ---------------------------------------------------------------

    def batches(self) -> Iterator[Batch]:
        """Every message of the snapshot, partition after partition; each has at least one, also when empty."""
        rows = Counter(self._records.rows_by_shelf())
        rows.update(self._items.rows_by_shelf())
        for number in range(self._partitions):
            yield from messages(str(number), self._settled(number, rows))
        yield from messages(UNKEYED, self._settled(self._partitions, rows))
        yield from messages(QUARANTINE, (ordered(frame) for frame in self._settled_items.batches()))
        if self._is_source:
            yield from messages(OUTSIDE, (_by_key(frame) for frame in self._outside.batches()))

    def counts(self) -> Counts:
        """What became of the records; right once `batches` has come to its end."""
        return Counts(
            records=self._records_made,
            quarantined=self._keys_set_aside + self._keyless,
            keyless=self._keyless,
            by_code=dict(sorted(self._codes.items())),
        )

    def _settled(self, number: int, rows: Mapping[int, int]) -> Iterator[pl.DataFrame]:
        """The records of a partition in order, a shelf or several at a time; settles their duplicates on the way."""
        first = number * self._ranges
        of_partition = {shelf: rows.get(first + shelf, 0) for shelf in range(self._ranges)}
        for group in grouped(of_partition, rows_max=self._batch_rows, pieces=self._ranges):
            shelves = [first + shelf for shelf in group]
            claimed = self._records.take(shelves)
            records, items = settle_duplicates(claimed, self._items.take(shelves), contract=self._contract)
            self._count(records, items)
            self._settled_items.put(apart(items))
            yield ordered(records)

    def _count(self, records: pl.DataFrame, items: pl.DataFrame) -> None:
        keys = items.get_column("key")
        self._records_made += records.height
        self._keys_set_aside += keys.drop_nulls().n_unique()
        self._keyless += keys.null_count()
        self._codes.update(dict(items.get_column("code").value_counts().iter_rows()))

    def _key_shelves(self, frame: pl.DataFrame) -> pl.Series:
        """The shelf of a record or an item: its partition, and within it the range of its key hash.

        Without a key the record has the partition behind the last, cut by its id in the target.
        """
        keys = frame.get_column("key")
        width = 2**64 // self._ranges
        range_of_key = key_hashes(keys) // width if self._ranges > 1 else pl.repeat(0, frame.height, eager=True)
        by_id = pl.col("target_id").hash() // width if "target_id" in frame.columns and self._ranges > 1 else pl.lit(0)
        number = pl.when(pl.col("key").is_null()).then(by_id).otherwise(range_of_key).cast(pl.UInt32)
        partition = partition_of_keys(keys, self._partitions).fill_null(self._partitions)
        return frame.select((partition * self._ranges + number).alias("shelf")).get_column("shelf")


def _ranges_for(partitions: int) -> int:
    """Into how many ranges of the key hash a partition is cut: a power of two."""
    ranges = 1
    while partitions * ranges < KEY_SHELVES_MIN:
        ranges *= 2
    return ranges


def messages(partition: str, frames: Iterable[pl.DataFrame]) -> Iterator[Batch]:
    """The messages of a partition; frames without rows give none, except that there is always one."""
    empty: pl.DataFrame | None = None
    row_bytes: float | None = None
    for frame in frames:
        if frame.is_empty():
            empty = frame
            continue
        for one in encoded(frame, row_bytes=row_bytes):
            yield Batch(partition, one.rows, one.message)
            row_bytes = len(one.message) / one.rows
    if row_bytes is None and empty is not None:
        for one in encoded(empty):
            yield Batch(partition, one.rows, one.message)


def _by_key(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort("key", nulls_last=True)


def _one_shelf(frame: pl.DataFrame) -> pl.Series:
    return pl.repeat(0, frame.height, dtype=pl.UInt32, eager=True)


def _refuse_repeated(ids: pl.Series) -> None:
    repeated = ids.len() - ids.n_unique()
    if repeated:
        raise StopRun(
            "SRC_INCOMPLETE",
            f"the target shows {repeated} of {ids.len()} records more than once, allowed none; "
            "its pages may have shifted while they were read: run again",
            repeated=repeated,
        )
