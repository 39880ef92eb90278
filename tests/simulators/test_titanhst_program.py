"""The simulated TitanHST as a program: ready file, clean end, kill and restart, speed, and whom it imports."""

import ast
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import simulators.kit
import simulators.titanhst

WRITER = {"Authorization": "Bearer write-token-of-the-tests"}
PLAIN = {"firstName": "Ada", "lastName": "Sample", "role": "TEACHER", "locationCode": "TL-010"}
START_SECONDS_MAX = 20.0


@contextmanager
def program(folder: Path, token_files: tuple[Path, Path], *more: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Run the program until the block ends; yields the process and what the ready file said."""
    seed = {"locations": [{"code": "TL-010", "name": "North"}], "contacts": [PLAIN | {"externalId": "E1"}]}
    (folder / "seed.json").write_text(json.dumps(seed))
    ready_file = folder / "ready.json"
    ready_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "simulators.titanhst", "--state", str(folder / "seed.json")]
    command += ["--read-token-file", str(token_files[0]), "--write-token-file", str(token_files[1])]
    command += ["--ready-file", str(ready_file), *more]
    root = Path(simulators.kit.__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + START_SECONDS_MAX
            while not ready_file.exists():
                assert process.poll() is None, process.stderr.read() if process.stderr else ""
                assert time.monotonic() < deadline, "the program was not ready in time"
                time.sleep(0.01)
            yield process, json.loads(ready_file.read_text())
        finally:
            process.kill()


def test_the_ready_file_names_the_address_and_sigterm_is_a_clean_end(
    tmp_path: Path, token_files: tuple[Path, Path]
) -> None:
    with program(tmp_path, token_files) as (process, ready):
        assert ready == {"url": f"http://127.0.0.1:{ready['port']}", "port": ready["port"], "pid": process.pid}
        assert httpx.get(f"{ready['url']}/_sim/health", trust_env=False).json()["status"] == "ok"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stderr.read() == b""
        assert not (tmp_path / "ready.json").exists()


def test_a_killed_program_restarts_with_its_state_and_its_journal(
    tmp_path: Path, token_files: tuple[Path, Path]
) -> None:
    options = ["--keep-file", str(tmp_path / "state.jsonl"), "--journal-file", str(tmp_path / "journal.jsonl")]
    with program(tmp_path, token_files, *options) as (process, ready):
        url = f"{ready['url']}/api/v1/contacts"
        assert httpx.post(url, json=PLAIN | {"externalId": "X"}, headers=WRITER, trust_env=False).status_code == 201
        process.kill()
        process.wait(10)
    with program(tmp_path, token_files, *options) as (_, ready):
        url = f"{ready['url']}/api/v1/contacts"
        assert httpx.get(f"{url}/external/X", headers=WRITER, trust_env=False).status_code == 200
        assert httpx.delete(f"{url}/c-000002", headers=WRITER, trust_env=False).status_code == 204
        effects = httpx.get(f"{ready['url']}/_sim/effects", trust_env=False).json()["effects"]
        assert effects == {"X": ["created c-000002", "deleted c-000002"]}


def test_the_rate_of_the_command_line_is_obeyed(tmp_path: Path, token_files: tuple[Path, Path]) -> None:
    with program(tmp_path, token_files, "--rate-per-second", "0.001", "--burst", "2") as (_, ready):
        url = f"{ready['url']}/api/v1/roles"
        assert [httpx.get(url, headers=WRITER, trust_env=False).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("broken", ["seed", "token", "same tokens"])
def test_a_program_that_cannot_start_says_why_and_ends_with_1(
    tmp_path: Path, token_files: tuple[Path, Path], capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    from simulators.titanhst.__main__ import main

    (tmp_path / "seed.json").write_text("{}" if broken != "seed" else '{"contacts": [7]}')
    if broken == "token":
        token_files[0].write_text("\n")
    if broken == "same tokens":
        token_files[0].write_text(token_files[1].read_text())
    options = ["--state", str(tmp_path / "seed.json")]
    assert main([*options, "--read-token-file", str(token_files[0]), "--write-token-file", str(token_files[1])]) == 1
    said = capsys.readouterr().err
    assert {"seed": "contacts[0]", "token": "holds no credential", "same tokens": "differ"}[broken] in said


def test_fifty_thousand_contacts_are_listed_quickly(start_titan: Any) -> None:
    contacts = [PLAIN | {"externalId": f"E{number}"} for number in range(50_000)]
    titan = start_titan(seed={"locations": [{"code": "TL-010", "name": "North"}], "contacts": contacts})
    started = time.process_time()
    ids = [
        item["id"]
        for offset in range(0, 50_000, 500)
        for item in titan.reader.get("/contacts", params={"offset": offset, "limit": 500}).json()["items"]
    ]
    seconds = time.process_time() - started
    assert ids == sorted(set(ids))
    assert len(ids) == 50_000
    assert seconds < 15.0, f"100 pages took {seconds:.1f} s of a processor, instead of one"


def test_answers_on_a_kept_connection_do_not_wait_for_acknowledgements(titan: Any) -> None:
    started = time.monotonic()
    for _ in range(100):
        assert titan.reader.get("/contacts/c-000001").status_code == 200
    seconds = time.monotonic() - started
    assert seconds < 3.0, f"100 requests took {seconds:.1f} s; with delayed acknowledgements they take over 4 s"


def test_simulators_import_nothing_of_the_product() -> None:
    allowed = sys.stdlib_module_names | {"starlette", "uvicorn", "pydantic", "simulators"}
    for package in (simulators.kit, simulators.titanhst):
        for path in Path(str(package.__file__)).parent.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    assert node.level == 0, f"{path} imports relatively"
                    names = [str(node.module)]
                strangers = [name for name in names if name.split(".")[0] not in allowed]
                assert strangers == [], f"{path} imports {strangers}"
