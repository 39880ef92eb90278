"""OpenSSH's `sftp`, unmodified, judges the drop box over a real socket; without it there is no judgement.

It logs in by key and by password (through the askpass program), uploads, lists, renames, downloads and removes in batch
mode, and takes a rename over an existing file as its server's extensions allow.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from simulators.sftp.server import RunningSftp, SftpConfig, serving_sftp

USER, PASSWORD = "district", "drop-box-of-the-tests"
SECONDS_MAX = 30
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
def server(key: asyncssh.SSHKey) -> Iterator[RunningSftp]:
    settings = SftpConfig(
        user=USER,
        password=PASSWORD,
        authorized_keys=[key.export_public_key().decode()],
        seed={"folders": ["/incoming"], "files": {"/incoming/old.csv": "old\n"}},
    )
    with serving_sftp(settings) as running:
        yield running


@pytest.fixture
def run(server: RunningSftp, key: asyncssh.SSHKey, tmp_path: Path) -> Run:
    program = shutil.which("sftp")
    if program is None:
        pytest.skip("this machine has no OpenSSH sftp; test_sftp_box.py asks with asyncssh's own client")
    identity, known = tmp_path / "identity", tmp_path / "known"
    identity.write_bytes(key.export_private_key())
    identity.chmod(0o600)
    known.write_text(f"{server.known_hosts_line}\n")
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
    askpass.chmod(0o700)

    def sftp(*lines: str, form: str = "publickey", host_key: str | None = None) -> subprocess.CompletedProcess[str]:
        if host_key is not None:
            known.write_text(f"[{server.host}]:{server.port} {host_key}\n")
        batch = tmp_path / "batch"
        batch.write_text("\n".join(lines) + "\n")
        options = {
            "UserKnownHostsFile": str(known),
            "GlobalKnownHostsFile": str(known),
            "StrictHostKeyChecking": "yes",
            "IdentityFile": str(identity),
            "IdentitiesOnly": "yes",
            "PreferredAuthentications": form,
            "BatchMode": "no",
            "NumberOfPasswordPrompts": "1",
        }
        command = [program, "-F", "none", "-P", str(server.port)]
        command += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command += ["-b", str(batch), f"{USER}@{server.host}"]
        environment = {"PATH": "/usr/bin:/bin", "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False, env=environment, cwd=tmp_path
        )

    return sftp


@pytest.mark.parametrize("form", ["publickey", "password"])
def test_openssh_logs_in_uploads_renames_and_downloads(
    server: RunningSftp, run: Run, tmp_path: Path, form: str
) -> None:
    (tmp_path / "StaffExport.csv").write_bytes(b"id,school\r\n" * 20_000)
    done = run(
        "put StaffExport.csv /incoming/.part",
        "rename /incoming/.part /incoming/StaffExport.csv",
        "ls -l /incoming",
        "get /incoming/StaffExport.csv back.csv",
        "mkdir /incoming/done",
        "rename /incoming/old.csv /incoming/done/old.csv",
        "rm /incoming/done/old.csv",
        "rmdir /incoming/done",
        form=form,
    )
    assert done.returncode == 0, done.stderr
    assert "StaffExport.csv" in done.stdout
    assert (tmp_path / "back.csv").read_bytes() == (tmp_path / "StaffExport.csv").read_bytes()
    assert [entry["effect"] for entry in server.box.entries(effects_only=True)] == [
        "created /incoming/.part",
        "created /incoming/StaffExport.csv",
        "created /incoming/done",
        "created /incoming/done/old.csv",
        "deleted /incoming/done/old.csv",
        "deleted /incoming/done",
    ]


def test_openssh_replaces_by_the_extension_and_not_without_it(server: RunningSftp, run: Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("new\n")
    upload, replace = "put new.csv /incoming/new.csv", "rename /incoming/new.csv /incoming/old.csv"
    server.box.switch(has_posix_rename=False)
    refused = run(upload, replace)
    assert refused.returncode != 0
    # It asked in the plain way, so it had not been offered the other one.
    assert [e["status"] for e in server.box.entries() if e["method"] == "RENAME"] == [asyncssh.FX_FAILURE]
    assert (server.box.root / "incoming" / "old.csv").read_text() == "old\n"
    server.box.switch(has_posix_rename=True)
    assert run(upload, replace).returncode == 0
    assert (server.box.root / "incoming" / "old.csv").read_text() == "new\n"


def test_openssh_refuses_another_host_key(run: Run) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    done = run("ls", host_key=other)
    assert done.returncode != 0
    assert "host key" in done.stderr.lower()


def test_openssh_reports_a_full_disk_and_a_cut(server: RunningSftp, run: Run, tmp_path: Path) -> None:
    (tmp_path / "big.csv").write_bytes(b"x" * 500_000)
    server.arm("disk_full", after_bytes=100_000)
    assert run("put big.csv /incoming/big.csv").returncode != 0
    server.arm("disconnect", after_bytes=100_000)
    assert run("put big.csv /incoming/big.csv").returncode != 0
    assert server.box.faults.struck == {"disk_full": 1, "disconnect": 1}
