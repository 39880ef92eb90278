"""Provisioning brings the real server to the table, again and again, and says what it cannot change."""

from dataclasses import replace
from pathlib import Path

import pytest
from nats.js import api

from shared.bus.embedded import EmbeddedServer
from shared.bus.provision import DriftError, Setting, differences, provision, stream_settings
from shared.bus.topology import CONSUMERS, PROVISIONER, STREAMS, consumer_spec, stream_spec
from tests.support.bus import BusUnderTest


async def test_first_call_creates_all_and_the_second_changes_nothing(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path / "bus") as server:
        bus = BusUnderTest(server)
        js = await bus.js_as(PROVISIONER)
        assert {found.setting for found in await differences(js)} == {"existence"}
        first = await provision(js)
        assert len(first.created) == len(STREAMS) + len(CONSUMERS)
        second = await provision(js)
        assert (second.created, second.updated, second.unknown) == ([], [], [])
        assert second.unchanged == first.created
        assert await differences(js) == []
        await bus.leave()


async def test_everything_is_as_provisioned_after_a_crash_of_the_server(own_bus: BusUnderTest) -> None:
    own_bus.server.kill()
    await own_bus.server.restart_async()
    assert await differences(await own_bus.js_as(PROVISIONER)) == []


async def test_changed_settings_are_seen_and_set_right(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as(PROVISIONER)
    config = (await js.stream_info("CORE")).config
    # What a client library does that "declares" a stream by its name only.
    await js.update_stream(config.evolve(duplicate_window=120, max_bytes=2**20))
    await js.add_consumer("CORE", api.ConsumerConfig(durable_name="differ", filter_subject="cmd.diff.>", ack_wait=30))
    found = {(one.place, one.setting) for one in await differences(js)}
    assert {("CORE", "duplicate_window"), ("CORE", "max_bytes"), ("CORE/differ", "ack_wait")} <= found
    assert ("CORE/differ", "filters") in found
    report = await provision(js)
    assert {(one.place, one.setting) for one in report.updated} == found
    assert await differences(js) == []


async def test_setting_that_cannot_be_changed_is_named_with_both_values(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as(PROVISIONER)
    await js.delete_stream("DLQ")
    await js.add_stream(
        api.StreamConfig(name="DLQ", subjects=["dlq.>"], storage=api.StorageType.MEMORY, max_bytes=2**20)
    )
    with pytest.raises(DriftError, match=r"DLQ: storage should be 'file' and is 'memory'.*The server said") as drift:
        await provision(js)
    assert "storage" in {difference.setting for difference in drift.value.differences}


async def test_missing_consumer_is_made_again_and_a_strangers_is_reported_and_left(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as(PROVISIONER)
    await js.delete_consumer("CORE", "applier")
    await js.add_stream(api.StreamConfig(name="OLD", subjects=["old.>"], max_bytes=2**20))
    await js.add_consumer("CORE", api.ConsumerConfig(durable_name="stranger"))
    report = await provision(js)
    assert report.created == ["CORE/applier"]
    assert sorted(report.unknown) == ["CORE/stranger", "OLD"]
    assert (await js.stream_info("OLD")).config.name == "OLD"


async def test_consumers_with_other_values_are_updated_to_them(own_bus: BusUnderTest) -> None:
    js = await own_bus.js_as(PROVISIONER)
    quick = tuple(replace(row, ack_wait_seconds=1) for row in CONSUMERS)
    report = await provision(js, consumers=quick)
    assert {(one.place, one.setting) for one in report.updated} == {
        (f"{row.stream}/{row.name}", "ack_wait") for row in CONSUMERS
    }
    assert consumer_spec("differ").ack_wait_seconds == 8


def test_stream_of_several_replicas_is_never_flushed_later() -> None:
    def mode(replicas: int) -> Setting:
        return stream_settings(stream_spec("BUDGET"), replicas)["persist_mode"]

    assert (mode(1), mode(3)) == ("async", "default")
