"""The drop box: who may enter, what an upload does, every switch and every fault; asyncssh's own client asks here.

The judge, OpenSSH's `sftp`, has a module of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import ValidationError

import simulators.kit
from simulators.sftp.faults import SftpFault
from simulators.sftp.server import RunningSftp, SftpConfig, serving_sftp, standing

USER, PASSWORD = "district", "drop-box-of-the-tests"
KEY = asyncssh.generate_private_key("ssh-ed25519")
STAFF = b"id,school\r\n1,010\r\n"


def config(**settings: Any) -> SftpConfig:
    seed = {"folders": ["/incoming"], "files": {"/incoming/old.csv": "old"}}
    keys = [KEY.export_public_key().decode()]
    return SftpConfig(**{"user": USER, "password": PASSWORD, "authorized_keys": keys, "seed": seed} | settings)


@pytest.fixture
def server() -> Iterator[RunningSftp]:
    with serving_sftp(config()) as running:
        yield running


@asynccontextmanager
async def client(server: RunningSftp, **options: Any) -> AsyncIterator[asyncssh.SFTPClient]:
    known = asyncssh.import_known_hosts(server.known_hosts_line)
    proof = options or {"password": PASSWORD}
    async with (
        asyncssh.connect(
            server.host,
            server.port,
            username=proof.pop("username", USER),
            known_hosts=known,
            config=None,
            agent_path=None,
            client_keys=proof.pop("client_keys", None),
            **proof,
        ) as connection,
        connection.start_sftp_client() as sftp,
    ):
        yield sftp


async def put(sftp: asyncssh.SFTPClient, path: str, content: bytes = STAFF) -> None:
    async with sftp.open(path, "wb") as file:
        await file.write(content)


async def read(sftp: asyncssh.SFTPClient, path: str) -> bytes:
    async with sftp.open(path, "rb") as file:
        got: str | bytes = await file.read()
    assert isinstance(got, bytes)
    return got


def effects(server: RunningSftp) -> list[tuple[str | None, str]]:
    return [(entry["external_id"], entry["effect"]) for entry in server.box.entries(effects_only=True)]


def content(server: RunningSftp, path: str) -> bytes:
    return (server.box.root / path.lstrip("/")).read_bytes()


async def test_a_password_and_a_key_open_the_door_and_nothing_else_does(server: RunningSftp) -> None:  # D1, D2, D3
    async with client(server) as sftp:
        assert set(await sftp.listdir("/incoming")) - {".", ".."} == {"old.csv"}
    async with client(server, client_keys=[KEY]) as sftp:
        assert await sftp.exists("/incoming")
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    for proof in ({"password": "wrong"}, {"client_keys": [stranger]}, {"username": "other", "password": PASSWORD}):
        with pytest.raises(asyncssh.PermissionDenied):
            async with client(server, **proof):
                pass
    refused = [entry["query"]["form"] for entry in server.box.entries() if entry["status"] == 3]
    assert set(refused) == {"password", "key"}
    assert PASSWORD not in json.dumps(server.box.entries())


async def test_a_form_of_proof_may_be_switched_off(server: RunningSftp) -> None:  # D2, D3
    server.box.switch(takes_password=False)
    with pytest.raises(asyncssh.PermissionDenied):
        async with client(server):
            pass
    server.box.switch(takes_password=True, takes_key=False)
    with pytest.raises(asyncssh.PermissionDenied):
        async with client(server, client_keys=[KEY]):
            pass


async def test_the_host_key_is_the_one_that_was_given() -> None:  # D1
    key = asyncssh.generate_private_key("ssh-ed25519")
    with serving_sftp(config(host_key=key.export_private_key().decode())) as server:
        assert key.export_public_key().decode().strip() in server.known_hosts_line
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            await asyncssh.connect(
                server.host, server.port, known_hosts=asyncssh.import_known_hosts(f"[127.0.0.1]:{server.port} {other}")
            )


async def test_an_upload_has_its_effect_when_it_is_closed(server: RunningSftp) -> None:  # D4
    async with client(server) as sftp:
        await put(sftp, "/incoming/new.csv")
        await put(sftp, "/incoming/new.csv", b"other")
        await put(sftp, "/incoming/new.csv", b"other")
        assert await read(sftp, "/incoming/new.csv") == b"other"
    assert effects(server) == [
        ("/incoming/new.csv", "created /incoming/new.csv"),
        ("/incoming/new.csv", "updated /incoming/new.csv [content]"),
    ]
    first = next(entry for entry in server.box.entries() if entry["method"] == "CLOSE")
    assert first["query"] == {"bytes": str(len(STAFF)), "sha256": hashlib.sha256(STAFF).hexdigest()}


async def test_names_folders_and_removals_are_journaled(server: RunningSftp) -> None:  # D5
    async with client(server) as sftp:
        await sftp.mkdir("/incoming/today")
        await sftp.rename("/incoming/old.csv", "/incoming/today/older.csv")
        await sftp.remove("/incoming/today/older.csv")
        await sftp.rmdir("/incoming/today")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await sftp.remove("/incoming/nothing.csv")
    assert [effect for _, effect in effects(server)] == [
        "created /incoming/today",
        "created /incoming/today/older.csv",
        "deleted /incoming/today/older.csv",
        "deleted /incoming/today",
    ]
    last = server.box.entries()[-1]
    assert (last["method"], last["status"], last["effect"]) == ("REMOVE", asyncssh.FX_NO_SUCH_FILE, "none")


async def test_nobody_leaves_the_root(server: RunningSftp) -> None:  # D12
    async with client(server) as sftp:
        await put(sftp, "/../../escaped.csv")
        for link in (sftp.symlink, sftp.link):
            with pytest.raises(asyncssh.SFTPOpUnsupported):
                await link("/etc/hostname", "/incoming/link")
    assert content(server, "/escaped.csv") == STAFF


async def test_a_rename_refuses_a_target_unless_switched(server: RunningSftp) -> None:  # D10
    async with client(server) as sftp:
        await put(sftp, "/incoming/new.csv")
        with pytest.raises(asyncssh.SFTPFailure):
            await sftp.rename("/incoming/new.csv", "/incoming/old.csv")
        assert content(server, "/incoming/old.csv") == b"old"
        server.box.switch(is_rename_overwriting=True)
        await sftp.rename("/incoming/new.csv", "/incoming/old.csv")
    assert content(server, "/incoming/old.csv") == STAFF


async def test_a_posix_rename_replaces_and_may_not_be_offered(server: RunningSftp) -> None:  # D11
    async with client(server) as sftp:
        await put(sftp, "/incoming/new.csv")
        await sftp.posix_rename("/incoming/new.csv", "/incoming/old.csv")
    assert effects(server)[-1] == ("/incoming/old.csv", "updated /incoming/old.csv [content]")
    server.box.switch(has_posix_rename=False)
    async with client(server) as sftp:
        assert await sftp.exists("/incoming/old.csv")  # the shortened greeting is understood
        with pytest.raises(asyncssh.SFTPOpUnsupported):
            await sftp.posix_rename("/incoming/old.csv", "/incoming/older.csv")
    assert content(server, "/incoming/old.csv") == STAFF


async def test_names_the_import_does_not_look_for_are_noted(server: RunningSftp) -> None:  # D20
    server.box.switch(file_names=["StaffExport.csv"])
    async with client(server) as sftp:
        await put(sftp, "/incoming/staffexport.csv")
        await sftp.rename("/incoming/staffexport.csv", "/incoming/StaffExport.csv")
    noted = server.box.read_state()["violations"]
    assert [(each["rule"], each["path"]) for each in noted] == [("D20", "/incoming/staffexport.csv")]


async def test_a_file_over_the_limit_is_refused(server: RunningSftp) -> None:  # D21
    server.box.switch(file_bytes_max=10)
    async with client(server) as sftp:
        with pytest.raises(asyncssh.SFTPFailure):
            await put(sftp, "/incoming/new.csv")


async def test_a_good_credential_may_be_refused(server: RunningSftp) -> None:
    server.arm("auth_refused")
    with pytest.raises(asyncssh.PermissionDenied):
        async with client(server):
            pass
    async with client(server) as sftp:
        assert await sftp.exists("/incoming")


async def test_a_cut_in_a_transfer_leaves_a_part_behind(server: RunningSftp) -> None:  # D6
    server.arm("disconnect", path_pattern="new", after_bytes=50_000)
    with pytest.raises((asyncssh.SFTPConnectionLost, asyncssh.ConnectionLost)):
        async with client(server) as sftp:
            await put(sftp, "/incoming/new.csv", b"x" * 200_000)
    await until(lambda: bool(effects(server)))
    assert content(server, "/incoming/new.csv") == b"x" * 50_000
    cut = [entry for entry in server.box.entries() if entry["fault"] == "disconnect"]
    assert [entry["status"] for entry in cut] == [None]
    assert effects(server) == [("/incoming/new.csv", "created /incoming/new.csv")]


async def test_a_cut_after_a_rename_leaves_it_done_and_untold(server: RunningSftp) -> None:
    server.arm("disconnect_after_effect", operation="rename")
    with pytest.raises((asyncssh.SFTPConnectionLost, asyncssh.ConnectionLost)):
        async with client(server) as sftp:
            await sftp.rename("/incoming/old.csv", "/incoming/new.csv")
    assert content(server, "/incoming/new.csv") == b"old"
    assert [(entry["method"], entry["status"]) for entry in server.box.entries(effects_only=True)] == [("RENAME", None)]


async def test_a_full_disk_keeps_what_fitted(server: RunningSftp) -> None:
    server.arm("disk_full", after_bytes=5)
    async with client(server) as sftp:
        with pytest.raises(asyncssh.SFTPFailure, match="space"):
            await put(sftp, "/incoming/new.csv")
    await until(lambda: bool(effects(server)))
    assert content(server, "/incoming/new.csv") == STAFF[:5]


async def test_a_silent_truncation_says_that_all_is_well(server: RunningSftp) -> None:
    server.arm("silent_truncation", after_bytes=5)
    async with client(server) as sftp:
        await put(sftp, "/incoming/new.csv", b"x" * 100_000)
        assert (await sftp.stat("/incoming/new.csv")).size == 5


@pytest.mark.parametrize(
    ("kind", "error"),
    [("no_permission", asyncssh.SFTPPermissionDenied), ("unsupported", asyncssh.SFTPOpUnsupported)],
)
async def test_one_operation_may_be_refused(server: RunningSftp, kind: str, error: type[Exception]) -> None:
    server.arm(kind, operation="rename")
    async with client(server) as sftp:
        with pytest.raises(error):
            await sftp.rename("/incoming/old.csv", "/incoming/new.csv")
        await sftp.rename("/incoming/old.csv", "/incoming/new.csv")
    assert server.box.faults.struck == {kind: 1}


async def test_an_operation_may_be_late(server: RunningSftp) -> None:
    server.arm("slow", operation="list", seconds=0.2)
    async with client(server) as sftp:
        started = time.monotonic()
        await sftp.listdir("/incoming")
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "slow", "after_bytes": 5},
        {"kind": "disk_full", "operation": "rename"},
        {"kind": "disconnect", "seconds": 1},
        {"kind": "no_permission", "path_pattern": "("},
        {"kind": "sunshine"},
    ],
)
def test_a_fault_that_could_never_strike_is_refused(fault: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SftpFault.model_validate(fault)


def test_the_state_can_be_taken_out_and_put_back() -> None:
    with standing(config()) as box:
        (box.root / "incoming" / "raw.bin").write_bytes(b"\xff\xfe")
        state = box.read_state()
        (box.root / "incoming" / "old.csv").unlink()
        box.write_state(state)
        assert box.read_state() == state
        assert state["files"] == {"/incoming/old.csv": "old", "/incoming/raw.bin": {"base64": "//4="}}


@pytest.mark.parametrize(
    ("seed", "named"),
    [
        ([], "state"),
        ({"people": {}}, "state"),
        ({"folders": ["incoming"]}, r"folders\[0\]"),
        ({"files": {"/../x": ""}}, "files"),
        ({"files": {"/x": 5}}, r"files\['/x'\]"),
    ],
)
def test_a_seed_that_cannot_be_is_refused_by_place(seed: Any, named: str) -> None:
    with pytest.raises(ValueError, match=named), standing(config(seed=seed)):
        pass


def test_a_drop_box_without_any_proof_is_refused() -> None:
    with pytest.raises(ValueError, match="password or keys"), standing(SftpConfig(user=USER)):
        pass


def test_the_program_serves_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    ready_file = tmp_path / "ready.json"
    command = [sys.executable, "-m", "simulators.sftp", "--user", USER, "--password-file", str(tmp_path / "password")]
    command += ["--ready-file", str(ready_file), "--root", str(tmp_path), "--journal-file", str(tmp_path / "j.jsonl")]
    root = Path(simulators.kit.__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stderr=subprocess.PIPE, env=os.environ | {"HOME": str(tmp_path)}
    ) as process:
        try:
            deadline = time.monotonic() + 20
            while not ready_file.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline
                time.sleep(0.01)
            ready = json.loads(ready_file.read_text())

            async def upload() -> None:
                known = asyncssh.import_known_hosts(ready["known_hosts"])
                async with (
                    asyncssh.connect(
                        ready["host"], ready["port"], username=USER, password=PASSWORD, known_hosts=known, config=None
                    ) as connection,
                    connection.start_sftp_client() as sftp,
                ):
                    await put(sftp, "/new.csv")

            asyncio.run(upload())
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert (tmp_path / "new.csv").read_bytes() == STAFF
    assert '"created /new.csv"' in (tmp_path / "j.jsonl").read_text()


async def until(is_so: Any) -> None:
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
