"""The Makefile tells its targets, and what checks a change runs all of it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Final

from tests.tidy.tree import ROOT

HELP_SECONDS_MAX: Final = 30
INTERNAL: Final = {"FORCE"}


def test_help_lists_every_target_with_a_sentence() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=ROOT, capture_output=True, text=True, timeout=HELP_SECONDS_MAX, check=True
    ).stdout
    told = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)$", shown, re.MULTILINE))
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(told) == set(" ".join(targets).split()) - INTERNAL


def test_what_checks_a_change_runs_all_of_it_and_stops_at_a_fault() -> None:
    script = ROOT / ".ci" / "run"
    text = script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in text
    assert "make check\nmake test\n" in text
