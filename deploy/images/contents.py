"""What each image holds: the dependency groups of pyproject.toml and the folders of the house.

The Dockerfile asks here (`groups`, `copy`), so that one file builds every image and no image holds another program's
code or dependencies. A folder that is not named is not in the image. Run with the standard library alone.

    python contents.py groups SERVICE           the options for `uv sync`
    python contents.py copy SERVICE FROM TO     copy the folders, and write down which release they are of
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

_OF_EVERY_IMAGE = ("shared", "deploy/images")
_DEFINITIONS = ("systems", "connectors", "transforms")
"""What a program needs that reads connectors: systems with their manifests, definitions and the house's transforms."""
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.sqlite", "screenshots")


@dataclass(frozen=True)
class Image:
    """One image: what is installed into it and what is copied into it."""

    groups: tuple[str, ...]
    """Dependency groups beside the project's own dependencies."""
    folders: tuple[str, ...]
    """Files and folders of the house besides those of every image."""


IMAGES: dict[str, Image] = {
    "extractor": Image(("extractor",), ("services/extractor", *_DEFINITIONS)),
    "differ": Image(("differ",), ("services/differ", "deploy/postgres", *_DEFINITIONS)),
    "applier": Image(("applier",), ("services/applier", "systems")),
    "auditor": Image(("auditor",), ("services/auditor", "deploy/postgres")),
    "console": Image(("console",), ("services/console", "deploy/postgres", "docs", *_DEFINITIONS)),
    "monitor": Image(("monitor",), ("services/monitor", *_DEFINITIONS)),
    "tools": Image(("tools",), ("cli", "deploy/setup", "deploy/postgres", *_DEFINITIONS)),
    "backup": Image(("backup",), ("deploy/backup",)),
    "simulators": Image(("simulators",), ("simulators",)),
}
"""By the value of the build argument SERVICE."""


def image_of(service: str) -> Image:
    """The image of that name; `SystemExit` names those that there are."""
    try:
        return IMAGES[service]
    except KeyError:
        raise SystemExit(
            f"SERVICE={service or '(empty)'}: there is no such image; choose {', '.join(IMAGES)}"
        ) from None


def files_of(service: str) -> tuple[str, ...]:
    """Every path that is copied into the image."""
    image = image_of(service)
    parents = ("services/__init__.py",) if any(one.startswith("services/") for one in image.folders) else ()
    return (*_OF_EVERY_IMAGE, *parents, *image.folders)


def copy(service: str, source: Path, target: Path) -> None:
    """Copy what the image holds; a path that is not there ends the build."""
    for name in files_of(service):
        found, to = source / name, target / name
        if found.is_dir():
            shutil.copytree(found, to, ignore=_LEFT_OUT, dirs_exist_ok=True)
        elif found.is_file():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, to)
        else:
            raise SystemExit(f"{name} is not there; correct {Path(__file__).name}, or what .dockerignore keeps out")
    write_release(source, target)


def write_release(source: Path, target: Path) -> None:
    """Write down name and version where Python looks for them: the project itself is not installed in an image."""
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = str(project["name"]), str(project["version"])
    folder = target / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Entry point."""
    match arguments:
        case ["groups", service]:
            sys.stdout.write(" ".join(f"--group {group}" for group in image_of(service).groups) + "\n")
        case ["copy", service, source, target]:
            copy(service, Path(source), Path(target))
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
