"""The embedded server: private files, one server a folder, the same port again, and no orphan."""

import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from shared.bus.connect import EXIT_CODE_CLOSED, BusSettings, BusUnreachable, connect, leave
from shared.bus.embedded import EmbeddedPerson, EmbeddedServer, EmbeddedServerError
from shared.bus.topology import HOUSE_USERS

OTTO = EmbeddedPerson("otto", frozenset({"operator"}))
ROOT = Path(__file__).parents[3]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_running(server: EmbeddedServer) -> bool:
    return server.pid is not None


def test_passwords_are_random_private_and_kept(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "bus", [OTTO]) as server:
        users = (*HOUSE_USERS, "otto")
        passwords = {user: server.password_of(user) for user in users}
        assert len(set(passwords.values())) == len(users)
        assert {path.name for path in server.secrets_dir.iterdir()} == set(users)
        assert all(mode(path) == 0o600 for path in server.secrets_dir.iterdir())
        assert mode(tmp_path / "bus" / "nats-server.conf") == 0o600
        assert mode(tmp_path / "bus") == 0o700
    again = EmbeddedServer(tmp_path / "bus", [OTTO])
    assert {user: again.password_of(user) for user in users} == passwords


async def test_given_password_is_used_and_not_written(tmp_path: Path) -> None:
    given = "a given synthetic password"
    async with EmbeddedServer(tmp_path / "bus", [OTTO], {"otto": given}) as server:
        client = await connect(BusSettings(server.url, "otto", given), wait_seconds=5)
        await leave(client)
        assert not (server.secrets_dir / "otto").exists()
        client = await connect(BusSettings(server.url_for("applier"), "applier", server.password_of("applier")))
        await leave(client)


def test_second_server_on_a_folder_is_refused_and_the_first_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.embedded.LOCK_SECONDS_MAX", 0.1)
    with EmbeddedServer(tmp_path / "bus") as server:
        with pytest.raises(EmbeddedServerError, match=rf"already runs on {tmp_path}.*process {os.getpid()}"):
            EmbeddedServer(tmp_path / "bus").start()
        assert server.pid is not None
        with urllib.request.urlopen(f"{server.monitoring_url}/healthz", timeout=5) as answer:
            assert answer.status == 200
    EmbeddedServer(tmp_path / "bus").start().stop()


def test_restart_keeps_port_and_stop_ends_the_child(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "bus").start()
    url, monitoring, first = server.url, server.monitoring_url, server.pid
    server.kill()
    assert not is_running(server)
    server.restart()
    assert (server.url, server.monitoring_url) == (url, monitoring)
    second = server.pid
    assert second not in (None, first)
    server.stop()
    server.stop()
    assert second is not None
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


def test_server_that_cannot_start_quotes_its_log_and_frees_the_folder(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "one") as one:
        taken = int(one.url.rsplit(":", 1)[1])
        with pytest.raises(EmbeddedServerError, match="address already in use"):
            EmbeddedServer(tmp_path / "two", port=taken).start()
    EmbeddedServer(tmp_path / "two").start().stop()


def test_address_before_the_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="not been started"):
        _ = EmbeddedServer(tmp_path / "bus").url


def test_killed_parent_takes_its_server_along_and_leaves_the_folder_usable(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom shared.bus.embedded import EmbeddedServer\n"
        "server = EmbeddedServer(Path(sys.argv[1])).start()\nprint(server.pid, flush=True)\ntime.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "bus")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait(5)
    parent.stdout.close()
    # Starting waits for the old server to leave: its lock is held until then.
    with EmbeddedServer(tmp_path / "bus") as server:
        assert server.pid != child
        deadline = time.monotonic() + 5
        while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
            assert time.monotonic() < deadline
            time.sleep(0.01)


async def test_absent_bus_is_reported_after_the_time_given(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "bus").start()
    url, password = server.url, server.password_of("differ")
    server.stop()
    with pytest.raises(BusUnreachable, match=r"within 0\.3 s"):
        await connect(BusSettings(url, "differ", password), wait_seconds=0.3)


def test_service_whose_connection_is_closed_for_good_ends_its_process(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom shared.bus.connect import BusSettings, connect, leave\n"
        "async def main():\n"
        "    client = await connect(BusSettings(*sys.argv[1:4]), exits_when_closed=True)\n"
        "    if sys.argv[4] == 'leave':\n        await leave(client)\n    else:\n        await client.close()\n"
        "asyncio.run(main())\n"
    )
    with EmbeddedServer(tmp_path / "bus") as server:
        codes = [
            subprocess.run(
                [sys.executable, "-c", program, server.url, "differ", server.password_of("differ"), how],
                cwd=ROOT,
                timeout=20,
                check=False,
                capture_output=True,
            ).returncode
            for how in ("leave", "close")
        ]
    assert codes == [0, EXIT_CODE_CLOSED]
