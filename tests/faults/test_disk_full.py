"""No room where the house must write: nothing is done that could not be recorded, and it goes on when there is room."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import polars as pl
import pytest

from services.auditor.store import Store
from services.extractor.spill import SpillFile
from shared.audit.lookups import Lookups
from shared.bus.embedded import EmbeddedServer
from shared.bus.topology import PROVISIONER
from shared.errors import StopRun
from tests.faults.slow_house import Promises, SlowHouse, slow_house
from tests.integration.auditor.house import House, new_run
from tests.support.bus import PEOPLE, BusUnderTest, until

DISK_BYTES = 48 * 2**20
ROOM_BYTES = 60_000
"""What is left for the ledger: intents of some of the changes."""
AUDITOR_DISK_BYTES = 4 * 2**20
AUDITOR_SECONDS_MAX = 60.0
CHANGES_UNRECORDED = 400
STILL_SECONDS = 1.5
"""How long nothing must be written to count as having stopped; an applier that waits tries again within a second."""


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes; skipped where we may not mount one."""
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=False)
    if done.returncode:
        pytest.skip("this machine does not let us mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    """Take all the room there is; the file to remove."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:  # until the disk is full
            file.write(b"x" * 4096)
    return filler


async def _has_stopped_writing(house: SlowHouse) -> None:
    """Wait until nothing is sent to the target any more, and see that it stays so."""
    sent = -1
    for _ in range(20):
        if sent == (sent := len(house.target.sent)):
            return
        await asyncio.sleep(STILL_SECONDS)
    pytest.fail("it writes on and on")


@asynccontextmanager
async def _bus_on(folder: Path) -> AsyncIterator[BusUnderTest]:
    async with EmbeddedServer(folder, PEOPLE) as server:
        under_test = BusUnderTest(server)
        await under_test.provision()
        yield under_test
        await under_test.leave()


async def test_full_disk_of_the_bus_stops_the_applier_and_room_lets_it_go_on(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        async with _bus_on(disk / "bus") as bus:
            house = await slow_house(bus, tmp_path / "house")
            await house.approved()
            promises = Promises()
            async with house.applying(promises, after_writes=20) as applying:
                filler = _fill(disk)
                await _has_stopped_writing(house)
                assert not applying.done()
                assert len(house.target.sent) < len(house.target.records), "it was filled too late"
                filler.unlink()
                # The server takes no more after a failed write until it is started anew, as its health tells.
                await bus.server.restart_async()
                await applying
            await house.assert_each_once(promises)
            await house.close()


async def test_full_ledger_stops_the_applier_and_room_lets_it_go_on(own_bus: BusUnderTest, tmp_path: Path) -> None:
    house = await slow_house(own_bus, tmp_path / "house")
    await house.approved()
    provisioner = await own_bus.js_as(PROVISIONER)
    info = await provisioner.stream_info("LEDGER")
    room = info.config.max_bytes
    promises = Promises()
    await provisioner.update_stream(info.config.evolve(max_bytes=info.state.bytes + ROOM_BYTES))
    async with house.applying(promises) as applying:
        await _has_stopped_writing(house)
        assert not applying.done()
        assert 0 < len(house.target.sent) < len(house.target.records)
        await house.assert_nothing_acknowledged_is_lost(promises)
        await provisioner.update_stream(info.config.evolve(max_bytes=room))
        await applying
    await house.assert_each_once(promises)
    await house.close()


def test_spill_folder_on_a_full_disk_stops_the_run_and_names_the_setting(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 2**20) as disk:
        _fill(disk)
        with (
            SpillFile(disk) as file,
            pytest.raises(StopRun, match=r"No space left on device.*AETHER_SPILL_FOLDER") as met,
        ):
            file.write(pl.DataFrame({"id": [f"E{n}" for n in range(1000)]}))
        assert met.value.code == "SYS_SPILL"


async def test_full_disk_of_the_auditor_loses_nothing_and_it_catches_up(own_bus: BusUnderTest, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", AUDITOR_DISK_BYTES) as disk:
        store = Store.open(f"sqlite+aiosqlite:///{disk / 'audit.db'}")
        await store.migrate()
        house = await House.made(own_bus, store)
        auditor = await house.auditor()
        before, after = new_run(), new_run()
        await house.whole_run(before)
        await house.until_sealed(auditor, before)
        filler = _fill(disk)
        await house.whole_run(after, changes=CHANGES_UNRECORDED)
        recorded = Lookups(store.engine)
        await until(lambda: not auditor.is_ready(), AUDITOR_SECONDS_MAX)  # as an orchestrator is told
        assert await recorded.size() < await house.stored(), "there was room all the same"
        filler.unlink()
        await house.until_sealed(auditor, after, AUDITOR_SECONDS_MAX)
        await house.until_recorded(seconds=AUDITOR_SECONDS_MAX)
        assert (await house.verified(auditor)).is_valid
        await house.leave()
        await store.close()
