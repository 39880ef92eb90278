"""Piece by piece or all at once: the same snapshot, whatever the pieces, the pages and the order of rows."""

from __future__ import annotations

import io
from collections import defaultdict
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from services.extractor.copartition import Layout, layout_of, pieces_of
from services.extractor.gathering import used_columns
from services.extractor.normalise import (
    QUARANTINE_SCHEMA,
    Account,
    Rules,
    normalise_desired,
    normalise_existing,
    settle_duplicates,
)
from services.extractor.pipeline import Counts, SideInWork
from services.extractor.spill import Numbering, Shelves, SpillFile
from shared.contract.model import EntityContract
from shared.contract.tables import MappingTable
from shared.errors import StopRun
from shared.records.batches import decode, partition_of_keys
from shared.records.hashes import HASH_COLUMNS, KEY_HASH, compared_fields, with_hashes
from shared.records.live import live_column
from shared.records.subjects import OUTSIDE, QUARANTINE, UNKEYED

CONTRACT = EntityContract.model_validate(
    {
        "from": {
            "source": "person",
            "pick": {"by": {"column": "id", "steps": ["trim", "upper"]}, "order": [{"column": "edited"}]},
        },
        "joins": [
            {  # found by the value that is picked by: cut with the persons
                "source": "job",
                "on": {
                    "left": {"column": "person.id", "steps": ["trim", "upper"]},
                    "right": {"column": "who", "steps": ["upper"]},
                },
                "where": [{"column": "ended", "is_blank": True}],
                "order": [{"column": "since", "direction": "desc"}],
            },
            {  # found by another column of the person
                "source": "site",
                "on": {"left": {"column": "person.site"}, "right": {"column": "code"}},
                "order": [{"column": "name"}],
            },
            {  # found by a column of a joined source
                "source": "boss",
                "on": {"left": {"column": "job.boss"}, "right": {"column": "id"}},
                "order": [{"column": "name"}],
            },
        ],
        "scope": [{"column": "person.status", "not_in": ["X"]}],
        "key": "badge",
        "fields": {
            "badge": {"from": ["person.badge"], "steps": ["trim"]},
            "name": {"from": ["person.name"], "required": True},
            "role": {"from": ["job.role"], "map": "roles", "required": True},
            "site": {"from": ["site.name"]},
            "boss": {"from": ["boss.name"]},
            "email": {"from": ["person.email"], "format": "email", "on_invalid": "discard_value"},
            "active": {"constant": True, "format": "boolean"},
        },
    }
)
ROLES = MappingTable(
    name="roles", id_column="id", value_column="code", entries={"1": "TEACHER", "2": "CLERK"}, lines={"1": 2, "2": 3}
)
RULES = Rules(tables={"roles": ROLES})
FEW = st.sampled_from([None, "", "1", "2", "3"])
PERSONS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from([None, " ", *(f"e{n}" for n in range(12)), *(f" E{n}" for n in range(12))]),
            "edited": st.integers(0, 3),
            "badge": st.sampled_from([None, *(f"B{n}" for n in range(15))]),
            "name": st.sampled_from([None, "Ana", "Ben"]),
            "site": FEW,
            "status": st.sampled_from(["A", "A", "X", None]),
            "email": st.sampled_from([None, "a@b.example", "no address"]),
            "unused": st.just("x"),
        }
    ),
    max_size=40,
)
JOBS = st.lists(
    st.fixed_dictionaries(
        {
            "who": st.sampled_from([None, *(f"E{n}" for n in range(12))]),
            "role": FEW,
            "since": st.integers(0, 3),
            "ended": st.sampled_from([None, None, "2020"]),
            "boss": FEW,
        }
    ),
    max_size=40,
)
NAMED = st.lists(st.fixed_dictionaries({"id": FEW, "name": st.sampled_from(["North", "South", None])}), max_size=8)
SCHEMAS: dict[str, dict[str, type[pl.DataType]]] = {
    "person": {"id": pl.String, "edited": pl.Int64}
    | dict.fromkeys(("badge", "name", "site", "status", "email", "unused"), pl.String),
    "job": {"who": pl.String, "role": pl.String, "since": pl.Int64, "ended": pl.String, "boss": pl.String},
    "site": {"code": pl.String, "name": pl.String},
    "boss": {"id": pl.String, "name": pl.String},
}
Rows = list[dict[str, Any]]


class Snapshot:
    """What the messages of one side hold."""

    def __init__(self, work: SideInWork) -> None:
        messages: defaultdict[str, list[bytes]] = defaultdict(list)
        self.rows: defaultdict[str, int] = defaultdict(int)
        for batch in work.batches():
            messages[batch.partition].append(batch.message)
            self.rows[batch.partition] += batch.rows
        self.sent = {
            partition: pl.concat([pl.read_ipc_stream(io.BytesIO(body)) for body in bodies])
            for partition, bodies in messages.items()
        }
        """As it was sent; `decode` would bring it into order."""
        self.frames = {partition: decode(bodies) for partition, bodies in messages.items()}
        self.counts: Counts = work.counts()

    def records(self) -> pl.DataFrame:
        return pl.concat([frame for partition, frame in self.frames.items() if partition.isdigit()])


def shelved(frames: dict[str, pl.DataFrame], file: SpillFile, *, batch_rows: int, page: int) -> dict[str, Shelves]:
    layout, used = layout_of(CONTRACT), used_columns(CONTRACT)
    shelves: dict[str, Shelves] = {}
    for alias, frame in frames.items():
        shelves[alias] = Shelves(file, _numbering(layout, alias), batch_rows)
        kept = frame.select(used[alias])
        for rows in [kept.clear(), *kept.iter_slices(page)]:
            shelves[alias].put(rows)
    return shelves


def _numbering(layout: Layout, alias: str) -> Numbering:
    if alias in layout.whole:
        return lambda rows: pl.repeat(0, rows.height, dtype=pl.UInt32, eager=True)
    return lambda rows: pieces_of(rows, layout.cut_by[alias])


def desired(
    frames: dict[str, pl.DataFrame], *, partitions: int, batch_rows: int, page: int
) -> tuple[Snapshot, Account]:
    with SpillFile() as file:
        work = SideInWork(CONTRACT, partitions=partitions, file=file, batch_rows=batch_rows)
        account = work.take_desired(shelved(frames, file, batch_rows=batch_rows, page=page), RULES)
        return Snapshot(work), account


def sorted_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort(frame.columns, nulls_last=True)


def frames_of(persons: Rows, jobs: Rows, sites: Rows, bosses: Rows) -> dict[str, pl.DataFrame]:
    renamed = [{"code": row["id"], "name": row["name"]} for row in sites]
    rows = {"person": persons, "job": jobs, "site": renamed, "boss": bosses}
    return {alias: pl.DataFrame(rows[alias], schema=SCHEMAS[alias]) for alias in rows}


@settings(max_examples=60, deadline=None)
@given(PERSONS, JOBS, NAMED, NAMED, st.integers(1, 4), st.integers(1, 12), st.integers(1, 9))
def test_the_snapshot_of_pieces_is_that_of_the_whole(
    persons: Rows, jobs: Rows, sites: Rows, bosses: Rows, partitions: int, batch_rows: int, page: int
) -> None:
    frames = frames_of(persons, jobs, sites, bosses)
    whole = normalise_desired(CONTRACT, RULES, frames)
    records, items = settle_duplicates(whole.records, whole.quarantined, contract=CONTRACT)

    snapshot, account = desired(frames, partitions=partitions, batch_rows=batch_rows, page=page)

    assert_frame_equal(sorted_rows(snapshot.records()), sorted_rows(with_hashes(records, compared_fields(CONTRACT))))
    assert_frame_equal(sorted_rows(snapshot.frames[QUARANTINE]), sorted_rows(items))
    outside = snapshot.frames[OUTSIDE].get_column("key").unique().sort()
    assert outside.to_list() == whole.outside_keys.sort().to_list()
    assert (account.unmapped, account.discarded, account.out_of_scope, account.drift, account.blocked) == (
        whole.unmapped, whole.discarded, whole.out_of_scope, whole.drift, whole.blocked,
    )  # fmt: skip
    assert snapshot.counts.records == records.height
    assert snapshot.counts.keyless == items.get_column("key").null_count()
    assert snapshot.counts.quarantined == items.get_column("key").drop_nulls().n_unique() + snapshot.counts.keyless
    assert sum(snapshot.counts.by_code.values()) == items.height


def people(count: int) -> dict[str, pl.DataFrame]:
    ids = [f"E{n}" for n in range(count)]
    persons = [{"id": one, "edited": 1, "badge": f"B{one}", "name": "Ana", "site": "1", "status": "A"} for one in ids]
    jobs = [{"who": one, "role": "1", "since": 1, "boss": "1"} for one in ids]
    return frames_of(persons, jobs, [{"id": "1", "name": "North"}], [{"id": "1", "name": "Cy"}])


def test_every_partition_is_there_and_sorted_by_key_hash_and_holds_its_keys() -> None:
    snapshot, _ = desired(people(3_000), partitions=3, batch_rows=500, page=200)
    assert list(snapshot.frames) == ["0", "1", "2", UNKEYED, QUARANTINE, OUTSIDE]
    for number in range(3):
        frame = snapshot.frames[str(number)]
        assert frame.height == snapshot.rows[str(number)] > 900
        assert frame.columns == ["key", *CONTRACT.fields, "left alone", *HASH_COLUMNS]
        assert set(partition_of_keys(frame.get_column("key"), 3)) == {number}
        assert snapshot.sent[str(number)].get_column(KEY_HASH).is_sorted()
    assert [snapshot.rows[name] for name in (UNKEYED, QUARANTINE, OUTSIDE)] == [0, 0, 0]
    assert snapshot.frames[QUARANTINE].schema == QUARANTINE_SCHEMA


def test_what_stands_whole_beside_the_pieces_is_joined_to_every_record_that_it_belongs_to() -> None:
    frames = people(300)
    frames["person"] = frames["person"].with_columns((pl.int_range(pl.len()) % 7).cast(pl.String).alias("site"))
    frames["job"] = frames["job"].with_columns((pl.int_range(pl.len()) % 5).cast(pl.String).alias("boss"))
    frames["site"] = pl.DataFrame({"code": [str(n) for n in range(9)], "name": [f"Site {n}" for n in range(9)]})
    frames["boss"] = pl.DataFrame({"id": [str(n) for n in range(9)], "name": [f"Boss {n}" for n in range(9)]})
    snapshot, _ = desired(frames, partitions=2, batch_rows=30, page=20)
    found = {row["key"]: (row["site"], row["boss"]) for row in snapshot.records().iter_rows(named=True)}
    assert found == {f"BE{n}": (f"Site {n % 7}", f"Boss {n % 5}") for n in range(300)}


def test_the_order_of_rows_changes_no_message() -> None:
    frames = people(400)
    shuffled = {alias: frame.sample(fraction=1, shuffle=True, seed=5) for alias, frame in frames.items()}
    messages = []
    for one in (frames, shuffled):
        with SpillFile() as file:
            work = SideInWork(CONTRACT, partitions=2, file=file, batch_rows=50)
            work.take_desired(shelved(one, file, batch_rows=50, page=30), RULES)
            messages.append([batch.message for batch in work.batches() if batch.partition.isdigit()])
    assert messages[0] == messages[1]


def test_an_id_that_must_be_mapped_stops_the_run_with_the_counts_of_all_pieces() -> None:
    fields = {name: field.model_dump(by_alias=True, exclude_unset=True) for name, field in CONTRACT.fields.items()}
    fields["role"]["unmapped"] = "block"
    contract = EntityContract.model_validate(
        CONTRACT.model_dump(by_alias=True, exclude_unset=True) | {"fields": fields}
    )
    frames = people(300)
    frames["job"] = frames["job"].with_columns(pl.lit("9").alias("role"))
    with SpillFile() as file, pytest.raises(StopRun, match="field role: 300 records have 1 ids"):
        work = SideInWork(contract, partitions=2, file=file, batch_rows=20)
        work.take_desired(shelved(frames, file, batch_rows=20, page=10), RULES)


def contacts(rows: Rows) -> pl.DataFrame:
    columns = ("target_id", *CONTRACT.fields)
    return pl.DataFrame(rows, schema={name: pl.Boolean if name == "active" else pl.String for name in columns})


CONTACTS = st.lists(
    st.fixed_dictionaries(
        {
            "badge": st.sampled_from([None, "", *(f"B{n}" for n in range(10))]),
            "name": st.sampled_from([None, "Ana "]),
            "email": st.sampled_from([None, "A@b.example"]),
            "active": st.none() | st.booleans(),
        }
    ),
    max_size=30,
)


def existing(frame: pl.DataFrame, *, partitions: int, batch_rows: int, page: int) -> Snapshot:
    with SpillFile() as file:
        shelves = Shelves(file, lambda rows: pieces_of(rows, None), batch_rows)
        for rows in [frame.clear(), *frame.iter_slices(page)]:
            shelves.put(rows)
        work = SideInWork(CONTRACT, partitions=partitions, file=file, batch_rows=batch_rows)
        work.take_existing(shelves)
        return Snapshot(work)


@settings(max_examples=60, deadline=None)
@given(CONTACTS, st.integers(1, 4), st.integers(1, 12), st.integers(1, 9))
def test_the_targets_snapshot_of_pieces_is_that_of_the_whole(
    rows: Rows, partitions: int, batch_rows: int, page: int
) -> None:
    frame = contacts([{"target_id": f"t{n}", **row} for n, row in enumerate(rows)])
    whole = normalise_existing(CONTRACT, frame)
    records, items = settle_duplicates(whole.records, whole.quarantined, contract=CONTRACT)

    snapshot = existing(frame, partitions=partitions, batch_rows=batch_rows, page=page)

    found = pl.concat([snapshot.records(), snapshot.frames[UNKEYED]])
    live = [live_column(name) for name in CONTRACT.fields]
    assert found.columns == ["key", "target_id", *CONTRACT.fields, *live, *HASH_COLUMNS]
    wanted = with_hashes(records, compared_fields(CONTRACT))
    assert_frame_equal(sorted_rows(found.drop(live)), sorted_rows(wanted))
    raw = {row["target_id"]: row for row in frame.iter_rows(named=True)}
    for row in found.iter_rows(named=True):
        assert {name: row[live_column(name)] for name in CONTRACT.fields} == {
            name: raw[row["target_id"]][name] for name in CONTRACT.fields
        }
    assert_frame_equal(sorted_rows(snapshot.frames[QUARANTINE]), sorted_rows(items))
    assert list(snapshot.frames) == [*map(str, range(partitions)), UNKEYED, QUARANTINE]


def test_both_sides_have_equal_hashes_where_the_compared_fields_are_equal() -> None:
    source, _ = desired(people(50), partitions=1, batch_rows=100, page=100)
    rows = source.records().select("key", *CONTRACT.fields).rename({"key": "target_id"})
    target = existing(rows, partitions=1, batch_rows=7, page=5).records()
    both = source.records().join(target, on="key", suffix=" of target")
    assert both.height == 50
    for name in HASH_COLUMNS:
        assert both.get_column(name).equals(both.get_column(f"{name} of target"))


def test_a_target_that_shows_a_record_twice_is_not_believed() -> None:
    rows = [{"target_id": f"t{n % 40}", "badge": f"B{n}"} for n in range(41)]
    Random(1).shuffle(rows)
    with pytest.raises(StopRun, match="shows 1 of 41 records more than once") as caught:
        existing(contacts(rows), partitions=1, batch_rows=5, page=4)
    assert caught.value.code == "SRC_INCOMPLETE"
