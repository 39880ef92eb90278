"""A backup of three servers comes back onto one, and that of one onto three: streams, positions and all copies."""

from __future__ import annotations

from pathlib import Path

from deploy.backup.house import make, restore
from deploy.backup.settings import BackupSettings
from shared.bus.topology import PROVISIONER, STREAMS
from shared.clock import SystemClock
from tests.support.bus import BusUnderTest, until
from tests.support.cluster import REPLICAS, ClusterUnderTest, cluster

MESSAGES = 300
TAKEN = 100


def settings_for(bus: BusUnderTest, folder: Path) -> BackupSettings:
    told = bus.settings_for(PROVISIONER)
    password = folder / f"password-{len(told.url)}"
    password.write_text(bus.server.password_of(PROVISIONER))
    return BackupSettings(nats_url=told.url, nats_password=f"file:{password}")


async def position(bus: BusUnderTest) -> tuple[int, int, int]:
    """Last sequence of CORE, and how far its auditor is."""
    js = await bus.js_as(PROVISIONER)
    core, auditor = await js.stream_info("CORE"), await js.consumer_info("CORE", "auditor_core")
    return core.state.last_seq, auditor.ack_floor.stream_seq, auditor.num_pending


async def are_all_current(bus: ClusterUnderTest) -> bool:
    """Whether every stream has three copies, and each of them all of it."""
    js = await bus.js_as(PROVISIONER)
    for stream in STREAMS:
        info = await js.stream_info(stream.name)
        others = info.cluster.replicas or [] if info.cluster is not None else []
        if len(others) != REPLICAS - 1 or not all(one.current for one in others):
            return False
    return True


async def test_three_servers_onto_one_and_back(tmp_path: Path, empty_bus: BusUnderTest) -> None:
    async with cluster(tmp_path / "cluster") as three:
        js = await three.js_as("extractor")
        for number in range(MESSAGES):
            await js.publish("evt.extractor.told.r", b"synthetic", headers={"Nats-Msg-Id": f"told-{number}"})
        auditor = await three.js_as("auditor")
        pulled = await auditor.pull_subscribe_bind("auditor_core", stream="CORE")
        for taken in await pulled.fetch(TAKEN, timeout=10):
            await taken.ack()
        wanted = (MESSAGES, TAKEN, MESSAGES - TAKEN)

        async def is_settled() -> bool:
            return await position(three) == wanted

        await until(is_settled)
        await make(tmp_path / "of-three", settings_for(three, tmp_path), clock=SystemClock())
        restored = await restore(tmp_path / "of-three", settings_for(empty_bus, tmp_path), replicas=1)
        assert restored.differences == ()
        assert await position(empty_bus) == wanted

        await make(tmp_path / "of-one", settings_for(empty_bus, tmp_path), clock=SystemClock())
        provisioner = await three.js_as(PROVISIONER)
        for stream in STREAMS:
            await provisioner.delete_stream(stream.name)
        restored = await restore(tmp_path / "of-one", settings_for(three, tmp_path), replicas=REPLICAS)
        assert restored.differences == ()
        await until(is_settled)  # whoever came to lead a consumer first counts what it has before it
        await until(lambda: are_all_current(three))
