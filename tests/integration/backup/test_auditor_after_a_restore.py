"""After a restore the auditor goes on with the same log, or says that the bus is not the one it was written from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.backup.databases import Database, restore_database, save_database
from deploy.backup.house import make, restore
from deploy.backup.settings import BackupSettings
from services.auditor.store import Store
from shared.audit.lookups import Lookups
from shared.bus.topology import PROVISIONER
from shared.clock import SystemClock
from shared.errors import NeedsPerson
from shared.run.states import RunStatus
from tests.integration.auditor.house import House, new_run, run_state
from tests.support.bus import BusUnderTest, until

LEASE_SECONDS = 2
"""The lease of the house that is gone comes back with the streams, and must run out first."""


def settings_for(bus: BusUnderTest, database: Path | None = None) -> BackupSettings:
    databases = {} if database is None else {"auditor": f"sqlite+aiosqlite:///{database}"}
    password = bus.server.secrets_dir / PROVISIONER
    return BackupSettings(
        nats_url=bus.server.url, nats_password=f"file:{password}", backup_databases=databases
    )  # fmt: skip


@pytest_asyncio.fixture
async def house(own_bus: BusUnderTest, tmp_path: Path) -> AsyncIterator[House]:
    """A house that has recorded a run."""
    store = await opened(tmp_path / "audit.db")
    made = await House.made(own_bus, store)
    auditor = await made.auditor(lease_seconds=LEASE_SECONDS)
    run = new_run()
    await made.whole_run(run)
    await made.until_sealed(auditor, run)
    await made.until_recorded()
    yield made
    await made.leave()
    await store.close()


async def opened(path: Path) -> Store:
    store = Store.open(f"sqlite+aiosqlite:///{path}")
    await store.migrate()
    return store


async def stopped(house: House) -> None:
    for auditor, _ in list(house.auditors):
        await house.stop(auditor)


async def test_an_older_database_catches_up_from_the_restored_streams(
    house: House, empty_bus: BusUnderTest, tmp_path: Path
) -> None:
    before = Lookups(house.store.engine)
    older = Database.at("auditor", f"sqlite:///{tmp_path / 'audit.db'}")
    facts = save_database(older, tmp_path, [], None)
    older_size = await before.size()
    await house.whole_run(new_run())
    await house.until_recorded()
    size = await before.size()
    root = await before.root_at(size)
    await stopped(house)
    await make(tmp_path / "backup", settings_for(house.bus), clock=SystemClock())
    await restore(tmp_path / "backup", settings_for(empty_bus))
    restore_database(Database.at("auditor", f"sqlite:///{tmp_path / 'there.db'}"), facts, tmp_path, None, None)
    store = await opened(tmp_path / "there.db")
    there = await House.made(empty_bus, store)
    assert await Lookups(store.engine).size() == older_size < size
    auditor = await there.auditor(lease_seconds=LEASE_SECONDS)
    await there.until_recorded()
    assert await Lookups(store.engine).root_at(size) == root, "the same streams give the same log"
    report = await there.verified(auditor)
    assert report.is_valid, report.first_failure
    await there.leave()
    await store.close()


@pytest.mark.parametrize("grows_again", [False, True])
async def test_a_newer_database_is_not_gone_on_with_on_an_older_bus(
    house: House, empty_bus: BusUnderTest, tmp_path: Path, grows_again: bool
) -> None:
    await make(tmp_path / "backup", settings_for(house.bus), clock=SystemClock())
    await house.whole_run(new_run())
    await house.until_recorded()
    await stopped(house)
    await restore(tmp_path / "backup", settings_for(empty_bus))
    there = await House.made(empty_bus, house.store)
    if grows_again:  # the numbers that the log knows are given a second time, and more
        for _ in range(3):
            await there.whole_run(new_run())
    size = await Lookups(house.store.engine).size()
    auditor = await there.idle_auditor(lease_seconds=LEASE_SECONDS)
    with pytest.raises(NeedsPerson, match="another message at" if grows_again else "ends at") as refused:
        await auditor.run()
    assert "restore both from one backup" in refused.value.message
    assert await Lookups(house.store.engine).size() == size


async def test_one_backup_gives_a_house_that_goes_on(house: House, empty_bus: BusUnderTest, tmp_path: Path) -> None:
    """Taken while the auditor writes: database first, streams after."""
    await make(tmp_path / "backup", settings_for(house.bus, tmp_path / "audit.db"), clock=SystemClock())
    size = await Lookups(house.store.engine).size()
    root = await Lookups(house.store.engine).root_at(size)
    await restore(tmp_path / "backup", settings_for(empty_bus, tmp_path / "there.db"))
    store = await opened(tmp_path / "there.db")
    there = await House.made(empty_bus, store)
    auditor = await there.auditor(lease_seconds=LEASE_SECONDS)
    await until(auditor.is_writing)
    assert await Lookups(store.engine).root_at(size) == root
    await there.say_state(run_state(new_run(), RunStatus.QUEUED))
    await there.until_recorded()
    assert await Lookups(store.engine).size() == size + 1
    assert (await there.verified(auditor)).is_valid
    await there.leave()
    await store.close()
