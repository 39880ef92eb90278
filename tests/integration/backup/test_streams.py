"""A house's bus and databases on the real server: what comes back is what was there, or nothing does."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyrage
import pytest
from nats.js import JetStreamContext

from deploy.backup import streams
from deploy.backup.__main__ import main
from deploy.backup.house import Made, make, restore
from deploy.backup.manifest import MANIFEST
from deploy.backup.problem import BackupFailed
from deploy.backup.settings import BackupSettings
from shared.bus.provision import provision
from shared.bus.publishing import Outgoing, publish_one
from shared.bus.topology import PROVISIONER, STREAMS
from shared.clock import SystemClock
from tests.support.bus import BusUnderTest, until

MESSAGES = 1200
TAKEN = 700


def message(number: int) -> Outgoing:
    return Outgoing(f"evt.extractor.told.r{number}", b"synthetic " * 30, f"told-{number}", {"ce-id": f"{number}"})


async def tell(bus: BusUnderTest) -> None:
    """Messages on CORE."""
    js = await bus.js_as("extractor")
    for number in range(MESSAGES):
        await js.publish_async(*_published(message(number)), headers=_headers(message(number)))
    await js.publish_async_completed()


async def fill(bus: BusUnderTest) -> None:
    """Messages, a consumer that is part of the way, and a stream that was emptied."""
    await tell(bus)
    auditor = await bus.connect_as("auditor")
    pulled = await auditor.jetstream().pull_subscribe_bind("auditor_core", stream="CORE")
    for taken in await pulled.fetch(TAKEN, timeout=10):
        await taken.ack()
    applier = await bus.js_as("applier")
    for number in range(3):
        await applier.publish("lease.target.one", b"{}", headers={"Nats-TTL": "1s"})
        await applier.publish("led.r.changes.c", b"{}", headers={"Nats-Msg-Id": f"led-{number}"})
    provisioner = await bus.js_as(PROVISIONER)
    await until(lambda: _is_empty(provisioner, "LEASE"))

    async def is_settled() -> bool:
        position = await provisioner.consumer_info("CORE", "auditor_core")
        return bool(position.ack_floor.stream_seq == TAKEN)

    await until(is_settled)


def _published(one: Outgoing) -> tuple[str, bytes]:
    return one.subject, one.body


def _headers(one: Outgoing) -> dict[str, str]:
    return {**one.headers, "Nats-Msg-Id": one.message_id}


async def _is_empty(js: JetStreamContext, stream: str) -> bool:
    messages: int = (await js.stream_info(stream)).state.messages
    return messages == 0


def settings_for(bus: BusUnderTest, **more: Any) -> BackupSettings:
    """How the command would be told; the password of the embedded server lies in a file."""
    password = bus.server.secrets_dir / PROVISIONER
    return BackupSettings(nats_url=bus.server.url, nats_password=f"file:{password}", **more)


async def states(bus: BusUnderTest) -> dict[str, tuple[int, int, int]]:
    js = await bus.js_as(PROVISIONER)
    found = {}
    for stream in STREAMS:
        state = (await js.stream_info(stream.name)).state
        found[stream.name] = (state.first_seq, state.last_seq, state.messages)
    return found


async def made(bus: BusUnderTest, folder: Path, **more: Any) -> Made:
    return await make(folder, settings_for(bus, **more), clock=SystemClock())


async def test_streams_come_back_with_sequences_times_consumers_and_known_messages(
    own_bus: BusUnderTest, empty_bus: BusUnderTest, tmp_path: Path
) -> None:
    await fill(own_bus)
    backup = await made(own_bus, tmp_path / "backup")
    before = await states(own_bus)
    restored = await restore(tmp_path / "backup", settings_for(empty_bus))
    assert restored.differences == ()
    after = await states(empty_bus)
    assert {name: last for name, (_, last, _) in after.items()} == {name: last for name, (_, last, _) in before.items()}
    assert (after["CORE"], after["LEDGER"]) == ((1, MESSAGES, MESSAGES), (1, 3, 3))
    assert after["LEASE"] == (4, 3, 0), "an emptied stream must not begin again: its sequences are fencing tokens"
    old, new = await own_bus.js_as(PROVISIONER), await empty_bus.js_as(PROVISIONER)
    for sequence in (1, 500, MESSAGES):
        was, is_now = await old.get_msg("CORE", sequence), await new.get_msg("CORE", sequence)
        assert (was.subject, was.data, was.headers, was.time) == (
            is_now.subject, is_now.data, is_now.headers, is_now.time,
        )  # fmt: skip
    position = await new.consumer_info("CORE", "auditor_core")
    assert (position.ack_floor.stream_seq, position.num_pending) == (TAKEN, MESSAGES - TAKEN)
    report = await provision(new)
    assert (report.created, report.updated, report.unknown) == ([], [], [])
    assert backup.manifest.bus_version.startswith("2.")
    # The server learns which messages it has seen when it starts.
    await empty_bus.leave()
    await empty_bus.server.restart_async()
    again = await publish_one(await empty_bus.js_as("extractor"), message(MESSAGES - 1))
    assert again.seq == MESSAGES
    assert (await states(empty_bus))["CORE"] == (1, MESSAGES, MESSAGES)


async def test_the_files_are_those_of_the_nats_program(own_bus: BusUnderTest, tmp_path: Path) -> None:
    await made(own_bus, tmp_path / "backup")
    about = json.loads((tmp_path / "backup/streams/CORE/backup.json").read_bytes())
    assert set(about) == {"config", "state"}
    assert about["config"]["name"] == "CORE"
    # The first chunk of an S2 or Snappy stream, as its format says.
    assert (tmp_path / "backup/streams/CORE/stream.tar.s2").read_bytes()[:4] == b"\xff\x06\x00\x00"


async def test_an_encrypted_backup_needs_its_key(
    own_bus: BusUnderTest, empty_bus: BusUnderTest, tmp_path: Path
) -> None:
    await tell(own_bus)
    secret = pyrage.x25519.Identity.generate()
    key, database = tmp_path / "identity", tmp_path / "console.db"
    key.write_text(f"{secret}\n")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE account (name TEXT)")
        connection.execute("INSERT INTO account VALUES ('Maria-Example-1984')")
        connection.commit()
    here = {"backup_databases": {"console": f"sqlite+aiosqlite:///{database}"}}
    there = {"backup_databases": {"console": f"sqlite+aiosqlite:///{tmp_path / 'there' / 'console.db'}"}}
    folder = tmp_path / "backup"
    await made(own_bus, folder, backup_recipients=(str(secret.to_public()),), **here)
    stored = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.suffix for path in stored} == {".age", ".json"}
    assert not any(b"Maria-Example" in path.read_bytes() or b"synthetic" in path.read_bytes() for path in stored)
    with pytest.raises(BackupFailed, match="no secret key is given"):
        await restore(folder, settings_for(empty_bus, **there))
    (tmp_path / "other").write_text(f"{pyrage.x25519.Identity.generate()}\n")
    with pytest.raises(BackupFailed, match="the given key belongs to age1"):
        await restore(folder, settings_for(empty_bus, backup_identity=f"file:{tmp_path / 'other'}", **there))
    await restore(folder, settings_for(empty_bus, backup_identity=f"file:{key}", **there))
    assert (await states(empty_bus))["CORE"] == (1, MESSAGES, MESSAGES)
    with closing(sqlite3.connect(tmp_path / "there" / "console.db")) as connection:
        assert connection.execute("SELECT name FROM account").fetchall() == [("Maria-Example-1984",)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def drop_last_part(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.parametrize("harm", [flip, drop_last_part])
async def test_a_damaged_backup_is_refused_by_name_and_nothing_is_restored(
    own_bus: BusUnderTest, empty_bus: BusUnderTest, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    await tell(own_bus)
    await made(own_bus, tmp_path / "backup")
    harm(tmp_path / "backup/streams/CORE/stream.tar.s2")
    with pytest.raises(BackupFailed, match=r"streams/CORE/stream\.tar\.s2"):
        await restore(tmp_path / "backup", settings_for(empty_bus))
    assert await streams.names_on(await empty_bus.connect_as(PROVISIONER)) == []


@pytest.mark.parametrize("harm", [flip, drop_last_part])
async def test_a_stream_that_the_server_refuses_leaves_nothing_behind(
    own_bus: BusUnderTest, empty_bus: BusUnderTest, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    """The hashes are believed here: the harm was done before they were taken."""
    await tell(own_bus)
    backup = await made(own_bus, tmp_path / "backup")
    harm(tmp_path / "backup/streams/CORE/stream.tar.s2")
    client = await empty_bus.connect_as(PROVISIONER)
    with pytest.raises(BackupFailed, match="the server said"):
        await streams.restore_stream(client, backup.manifest.streams[0], tmp_path / "backup", None, replicas=None)
    assert await streams.names_on(client) == []


async def test_nothing_is_restored_onto_what_exists(
    own_bus: BusUnderTest, empty_bus: BusUnderTest, tmp_path: Path
) -> None:
    database, taken = tmp_path / "a.db", tmp_path / "taken.db"
    for path in (database, taken):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE one (name TEXT)")
            connection.commit()
    folder = tmp_path / "backup"
    backup = await made(own_bus, folder, backup_databases={"auditor": f"sqlite:///{database}"})
    assert [one.name for one in backup.manifest.databases] == ["auditor"]
    with pytest.raises(BackupFailed, match="has the streams BUDGET, CORE"):
        await restore(folder, settings_for(own_bus), without=("auditor",))
    with pytest.raises(BackupFailed, match=r"taken\.db exists"):
        await restore(folder, settings_for(empty_bus, backup_databases={"auditor": f"sqlite:///{taken}"}))
    with pytest.raises(BackupFailed, match="nobody said where they go"):
        await restore(folder, settings_for(empty_bus))
    with pytest.raises(BackupFailed, match="the backup has no database differ"):
        await restore(folder, settings_for(empty_bus, backup_databases={"differ": f"sqlite:///{tmp_path / 'd.db'}"}))
    with pytest.raises(BackupFailed, match="the backup is of staging"):
        await restore(folder, settings_for(empty_bus, environment="production"))
    with pytest.raises(BackupFailed, match="exists"):
        await made(own_bus, folder)
    assert await streams.names_on(await empty_bus.connect_as(PROVISIONER)) == []


async def test_a_backup_that_fails_leaves_no_folder(empty_bus: BusUnderTest, tmp_path: Path) -> None:
    with pytest.raises(BackupFailed, match="the bus lacks the streams CORE"):
        await made(empty_bus, tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_the_command_verifies_and_says_what_to_do(
    own_bus: BusUnderTest, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings_for(own_bus).model_dump(mode="json", include={"nats_url", "nats_password"}).items():
        monkeypatch.setenv(f"AETHER_{name.upper()}", value)
    folder = str(tmp_path / "backup")
    command = [sys.executable, "-m", "deploy.backup", "make", "--to", folder, "--json"]
    document = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=60).stdout)
    assert [stream["name"] for stream in document["streams"]] == list(streams.ORDER)
    assert main(["verify", "--from", folder]) == 0
    assert document["manifest_sha256"] in capsys.readouterr().out
    assert main(["restore", "--from", folder]) == 1
    assert "Restore into an empty bus" in capsys.readouterr().err
    (tmp_path / "backup" / MANIFEST).unlink()
    assert main(["verify", "--from", folder, "--json"]) == 1
    assert "is no backup" in json.loads(capsys.readouterr().out)["error"]
