"""The demonstration holds, as `make demo ONCE=1` plays it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.stack import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_demonstration_played_once_holds_from_dry_run_to_proof(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cli.demo", "--once", "--data", str(tmp_path / "demo")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=360, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("held:") == 8
    assert done.stdout.count("mirrored for three weeks") == 1
    assert "all held, in " in done.stdout

    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert again.returncode == 1
    assert "holds an earlier demonstration" in again.stderr
