"""docs/adding-a-vendor.md, followed to the letter: its commands run one after the other, and do what it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "adding-a-vendor.md"
SECONDS_MAX = 150

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS_MAX + 30)]


def test_every_command_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 7
    script = tmp_path / "page.sh"
    script.write_text("set -euo pipefail\nset -m\n" + "\n".join(blocks), encoding="utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AETHER_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    # A session of its own: whatever happens, nothing that the page has started outlives the test.
    process = subprocess.Popen(
        ["bash", str(script)],
        cwd=folder,
        env={**kept, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=SECONDS_MAX)
    finally:
        for group in _groups_of(process.pid):
            os.killpg(group, signal.SIGKILL)
    logs = "\n".join(file.read_text(errors="replace")[-2_000:] for file in sorted(folder.glob("*.log")))
    assert process.returncode == 0, f"{out}\n{logs}"
    checked = out[out.index("connection klaxon: system klaxon, staging") :]
    assert "FAULT" not in checked
    assert all(word in checked for word in ("network", "authentication", "contacts: can be read, 2 records"))
    assert re.search(r"klaxon\s+contacts\s+source, target\s+external_id\s+bronze", out), out


def _groups_of(session: int) -> list[int]:
    """Process groups of a session that are still there."""
    found: set[int] = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parts = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(parts[3]) == session:
            found.add(int(parts[2]))
    return sorted(found)
