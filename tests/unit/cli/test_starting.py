"""A house that cannot start says why, first and without a trace; a demonstration leaves something to try."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from cli.demo import PENDING_CHANGES, leave_changes_pending
from cli.demo import main as demo_main
from cli.main import exit_code
from cli.options import Session
from cli.stack import folder_held
from cli.verbs.house import what_to_try
from simulators.district.__main__ import make


def test_folder_that_cannot_be_made_is_told_without_a_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert exit_code(["up", "--data", str(tmp_path / "file" / "below")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"aether: {tmp_path}/file/below: Not a directory")
    assert "--data" in said


def test_port_that_is_taken_is_the_first_thing_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert exit_code(["up", "--data", str(tmp_path / "d"), "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"aether: port {port} cannot be used for the bus: Address already in use")
    assert "--port" in said


def test_demonstration_on_a_folder_in_use_is_no_demonstration_that_did_not_hold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with folder_held(tmp_path):
        assert demo_main(["--once", "--data", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "is held by process" in said
    assert "DID NOT HOLD" not in said


def test_demonstration_leaves_changes_of_people_of_whom_the_truth_says_nothing(tmp_path: Path) -> None:
    make(out=tmp_path, seed=7, staff=400)
    truth = json.loads((tmp_path / "truth.json").read_bytes())
    contacts = json.loads((tmp_path / "titanhst.json").read_bytes())["contacts"]
    assert leave_changes_pending(tmp_path, contacts, truth) == PENDING_CHANGES


@pytest.mark.parametrize("data", ["/somewhere/else", "with blank"])
def test_printed_commands_name_the_data_folder_that_is_not_the_default(data: str) -> None:
    session = Session(data=Path(data), profile="operator", is_json=False)
    for is_demo in (True, False):
        lines = what_to_try(session, is_demo=is_demo, connections="c.yaml")
        commands = [line for line in lines if "aether " in line and "connector list" not in line]  # reads no folder
        assert commands
        assert all(session.as_options in line for line in commands)
    assert (f"--data '{data}'" if " " in data else f"--data {data}") in session.as_options
