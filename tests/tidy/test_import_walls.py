"""The import walls hold, and each one stands: a module that breaks it is seen, and breaks that wall alone."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
PACKAGES: Final = ("cli", "services", "shared", "simulators", "systems")
CONTRACT: Final = "importlinter:contract:"
SYSTEMS_MAY_IMPORT: Final = {"clock", "errors", "failures", "http", "ports", "secrets", "sql_reading", "yaml_bounds"}
"""Rooms of shared that are open to a system."""
LINT: Final = """
import sys
from importlinter.cli import lint_imports_command
# The installed project is this tree; what has no __init__.py would be looked for in both.
real = sys.argv.pop()
sys.path = [place for place in sys.path if place != real]
lint_imports_command()
"""
LINT_SECONDS_MAX: Final = 60


class Seed(NamedTuple):
    """One line that must not stand in a module, and the wall it breaks."""

    wall: str
    module: str
    line: str


SEEDS: Final = (
    Seed("services-apart", "services/differ/pages.py", "import services.applier.settings"),
    Seed("systems-by-manifest", "services/extractor/extract.py", "import systems.http.wire"),
    Seed("systems-by-manifest", "cli/options.py", "from systems.http import wire"),
    Seed("systems-apart", "systems/http/wire.py", "import systems.aeries_sql.config"),
    Seed("systems-are-guests", "systems/http/wire.py", "import shared.bus.topology"),
    Seed("systems-are-guests", "systems/aeries_sql/source.py", "from shared.contract import model"),
    Seed("simulators-are-strangers", "simulators/kit/lines.py", "import shared.clock"),
    Seed("shared-below", "shared/bus/program.py", "import simulators.kit.lines"),
    Seed("shared-layers", "shared/hashing/merkle.py", "import shared.policy.limits"),
    Seed("one-broker", "services/extractor/handlers.py", "import faststream"),
    Seed("one-broker", "shared/bus/dispatch.py", "from faststream.nats import NatsBroker"),
    Seed("tests-are-ours-alone", "shared/bus/program.py", "import tests.support.bus"),
    Seed("cli-outside", "cli/outcome.py", "import services.auditor.merging"),
    Seed("cli-outside", "cli/outcome.py", "import polars"),
    Seed("pure-decisions", "services/differ/diff.py", "import random"),
    Seed("pure-decisions", "services/applier/preconditions.py", "import shared.bus.reading"),
    Seed("pure-decisions", "services/extractor/normalise.py", "from os import environ"),
    # Not in the decision itself, but in what it calls.
    Seed("pure-decisions", "shared/contract/columnar.py", "import httpx"),
    Seed("pure-wires", "systems/http/wire.py", "import httpx"),
)


def walls() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return parser


def names_of(walls: configparser.ConfigParser) -> dict[str, str]:
    """Sentence by name of every wall."""
    return {
        section.removeprefix(CONTRACT): walls[section]["name"]
        for section in walls.sections()
        if section.startswith(CONTRACT)
    }


def listed(wall: str, key: str) -> list[str]:
    return walls()[CONTRACT + wall][key].split()


def broken_in(folder: Path) -> set[str]:
    """The walls that import-linter finds broken in a tree."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", LINT, "--no-cache", "--no-logo", str(ROOT)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LINT_SECONDS_MAX,
        check=False,
        env={"PYTHONPATH": str(folder), "COLUMNS": "500", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    assert "Analyzed" in done.stdout, done.stdout + done.stderr
    verdicts = re.findall(r"^(.+?) (KEPT|BROKEN)\b", done.stdout, flags=re.MULTILINE)
    known = {sentence: name for name, sentence in names_of(walls()).items()}
    assert {known[sentence] for sentence, _ in verdicts} == set(known.values()), done.stdout
    return {known[sentence] for sentence, verdict in verdicts if verdict == "BROKEN"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, to break walls in."""
    folder = tmp_path_factory.mktemp("house")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", folder)
    return folder


def test_every_wall_of_the_house_stands(copy: Path) -> None:
    assert broken_in(copy) == set()


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"{seed.wall}: {seed.module}: {seed.line}")
def test_a_module_that_breaks_a_wall_is_seen(copy: Path, seed: Seed) -> None:
    module = copy / seed.module
    before = module.read_text(encoding="utf-8")
    try:
        module.write_text(f"{before}\n{seed.line}\n", encoding="utf-8")
        assert broken_in(copy) == {seed.wall}
    finally:
        module.write_text(before, encoding="utf-8")


def test_every_wall_is_broken_by_some_seed() -> None:
    assert {seed.wall for seed in SEEDS} == set(names_of(walls()))


def rooms_of_shared() -> set[str]:
    entries = (ROOT / "shared").iterdir()
    return {entry.stem for entry in entries if not entry.name.startswith("_") and (entry.is_dir() or entry.suffix)}


def test_every_room_of_shared_is_open_or_closed_to_systems() -> None:
    closed = {name.removeprefix("shared.") for name in listed("systems-are-guests", "forbidden_modules")}
    rooms = rooms_of_shared()
    assert rooms - closed - SYSTEMS_MAY_IMPORT == set(), "say for each whether a system may import it"
    assert closed & SYSTEMS_MAY_IMPORT == set()


def test_every_room_of_shared_has_a_layer() -> None:
    layers = {name.split(".")[1] for name in listed("shared-layers", "layers") if name not in "|:"}
    assert layers == rooms_of_shared()


def test_every_module_of_the_split_rooms_has_a_layer() -> None:
    named = set(listed("shared-layers", "layers"))
    for room in ("events", "run"):
        for module in (ROOT / "shared" / room).glob("[a-z]*.py"):
            assert f"shared.{room}.{module.stem}" in named, f"{module} stands in no layer of .importlinter"
