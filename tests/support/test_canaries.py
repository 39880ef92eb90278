"""The search for secrets and people finds them where they may not be, and lets them be where they belong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.secrets import Secret
from simulators.district.__main__ import make
from tests.support.canaries import (
    BORN,
    LAST,
    MAIL,
    CanaryFound,
    Watching,
    canaries_of,
    hits_in_folder,
    plant,
)

TOKEN = "a-token-of-this-test-5c1d"


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a house leaves behind, with nothing in it that may not be."""
    data = tmp_path_factory.mktemp("left")
    make(out=data / "district", seed=7, staff=400)
    plant(data / "district")
    for file, text in {
        "secrets/titan.token": TOKEN,
        "bus/secrets/differ": "a-password-of-this-test",
        "bus/nats-server.conf": "password: a-password-of-this-test",
        "bus/store/jetstream/A/streams/SNAP/msgs/1.blk": f"a record of {LAST}, {MAIL}",
        "bus/store/jetstream/A/streams/CORE/msgs/1.blk": "a run",
        "titanhst/journal.jsonl": MAIL,
        "logs/differ.log": "all is well",
    }.items():
        (data / file).parent.mkdir(parents=True, exist_ok=True)
        (data / file).write_text(text)
    return data


def test_what_belongs_where_it_is_is_let_pass(left: Path) -> None:
    canaries = canaries_of(left)
    assert {one.text for one in canaries.secrets} == {TOKEN, "a-password-of-this-test"}
    assert {LAST, MAIL, BORN, "2785550199"} <= {one.text for one in canaries.people}
    assert len(canaries.people) > 20
    Watching().search(left, {"differ": b"aether_runs 1"})


@pytest.mark.parametrize(
    ("place", "text", "hit"),
    [
        ("logs/differ.log", f"sent Bearer {TOKEN}", "logs/differ.log: the secret secrets/titan.token"),
        ("logs/differ.log", f"read {LAST}", "logs/differ.log: the name of"),
        ("bus/nats-server.log", "a-password-of-this-test", "bus/nats-server.log: the secret secrets/differ"),
        ("bus/store/jetstream/A/streams/CORE/msgs/1.blk", MAIL, "stream CORE: mail of the person"),
        ("bus/store/jetstream/A/streams/DLQ/msgs/9.blk", "+12785550199", "stream DLQ: phone of the person"),
        ("bus/store/jetstream/A/streams/SNAP/msgs/1.blk", TOKEN, "stream SNAP: the secret"),
        ("bus/store/jetstream/A/streams/PLAN/msgs/1.blk", TOKEN, "stream PLAN: the secret"),
        ("auditor.db", f"born {BORN}", "auditor.db: birthday of the person"),
    ],
)
def test_what_stands_where_it_may_not_is_found_and_not_repeated(left: Path, place: str, text: str, hit: str) -> None:
    file = left / place
    before = file.read_bytes() if file.exists() else None
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    try:
        with pytest.raises(CanaryFound) as found:
            Watching().search(left, {})
        assert hit in str(found.value)
        assert text not in str(found.value)
    finally:
        if before is None:
            file.unlink()
        else:
            file.write_bytes(before)
    assert hits_in_folder(left, canaries_of(left)) == []


def test_a_figure_that_names_a_person_is_found(left: Path) -> None:
    with pytest.raises(CanaryFound, match="/metrics of differ: mail of"):
        Watching().search(left, {"differ": f'aether_runs{{who="{MAIL}"}} 1'.encode()})


def test_the_command_line_is_listened_to(left: Path) -> None:
    """`cli.main` is not run: what counts is how the command is called."""
    watching = Watching()
    watching.know(left)
    with pytest.MonkeyPatch.context() as patch:
        watching.begin(patch)
        command = [sys.executable, "-c", "import sys; print(sys.argv[2])", "cli.main"]
        subprocess.run([*command, "nothing"], capture_output=True, check=True)
        with pytest.raises(CanaryFound, match="command line printed"):
            subprocess.run([*command, MAIL], capture_output=True, text=True, check=True)


def test_a_test_that_logs_what_it_read_fails(left: Path) -> None:
    watching = Watching()
    watching.know(left)
    with pytest.MonkeyPatch.context() as patch:
        watching.begin(patch)
        Secret("a-secret-that-was-read")
    assert watching.hits_in_report([("Captured log call", "sent a-secret-that-was-read")]) == [
        "Captured log call: a secret that was read"
    ]
    assert watching.hits_in_report([("Captured stdout call", f"x {LAST}")])[0].startswith(
        "Captured stdout call: the name"
    )
    assert watching.hits_in_report([("Captured stdout call", "nothing")]) == []


_TEST = """
import logging
from shared.secrets import Secret

def test_it():
    logging.getLogger("x").warning("token %s", Secret("a-secret-that-is-logged"))
"""


def test_the_suite_itself_fails_so(tmp_path: Path) -> None:
    """Another run of pytest, with the conftest of the suite."""
    root = Path(__file__).resolve().parents[2]
    (tmp_path / "test_it.py").write_text(_TEST)
    (tmp_path / "conftest.py").write_text((root / "tests" / "conftest.py").read_text())
    said = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)],
        cwd=root, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert "1 failed" in said.stdout
    assert "Captured log call: a secret that was read" in said.stdout
