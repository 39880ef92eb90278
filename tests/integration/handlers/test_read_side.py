"""A side that was read: its fact tells what lies on the bus, and what lies there can be read and normalised again."""

from __future__ import annotations

import pytest

from services.differ.snapshots import partition_of, snapshot_read
from shared.records.hashes import HASH_VERSION, KEY_HASH
from shared.records.subjects import OUTSIDE, QUARANTINE, UNKEYED
from shared.run.states import RunStatus
from tests.integration.handlers.small_house import SmallHouse
from tests.unit.applier.fake_target import FrameReading


async def _read(house: SmallHouse, side: str) -> None:
    await house.request()
    await (await house.replica("extractor")).deliver(await house.command(f"cmd.extract.{house.run}.{side}.contacts"))


async def test_the_fact_names_every_partition_and_the_hashes(house: SmallHouse) -> None:
    await _read(house, "source")
    differ = (await house.replica("differ")).js
    fact = await snapshot_read(differ, run=house.run, side="source", entity="contacts")
    assert [one.partition for one in fact.partitions] == ["0", "1", UNKEYED, QUARANTINE, OUTSIDE]
    assert fact.hash_version == HASH_VERSION
    frames = [await partition_of(differ, fact, number) for number in ("0", "1")]
    assert sum(frame.height for frame in frames) == fact.records == len(house.people)
    assert all(frame.get_column(KEY_HASH).is_sorted() for frame in frames)


async def test_quarantined_records_are_counted_and_their_rows_are_nowhere_in_the_snapshot(house: SmallHouse) -> None:
    house.people[2]["first"] = " "
    house.people[3]["id"] = None
    house.people[5]["id"] = house.people[4]["id"]
    await _read(house, "source")
    differ = (await house.replica("differ")).js
    fact = await snapshot_read(differ, run=house.run, side="source", entity="contacts")
    for one in fact.partitions:
        frame = await partition_of(differ, fact, one.partition)
        assert not any(text in frame.write_ndjson() for text in ("p3@example.org", "Name5", "Name6", "Name4"))
    assert (fact.records, fact.keyless, fact.quarantined_by_code["MAT_DUPLICATE_KEY"]) == (6, 1, 2)


async def test_a_target_that_shows_a_record_twice_blocks_the_run(
    house: SmallHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [page async for page in house.target.read("contacts")]
    twice = pages[0].rows.vstack(pages[0].rows.head(1))
    monkeypatch.setattr(house.target, "read", lambda _: FrameReading(twice, twice.height))
    await _read(house, "target")
    state = await house.state()
    assert state.status is RunStatus.BLOCKED
    assert state.failure is not None
    assert "more than once" in state.failure.text
