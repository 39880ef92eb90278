"""What belongs to the project: its files, without what was made or installed in its folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MADE: Final = frozenset({".git", ".venv", ".tools", ".aether", "__pycache__", "dist"})
CODE: Final = ("bench", "cli", "deploy", "services", "shared", "simulators", "systems", "tests", "transforms")


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, sorted: what git tracks or would take; without git, what lies there."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        named = [ROOT / name for name in listing.stdout.decode().split("\0") if name]
    else:
        named = list(_walk(ROOT))
    return tuple(sorted(path for path in named if path.is_file()))


def python_files(*packages: str) -> list[Path]:
    """Every Python file of these top folders, or of all that hold code."""
    tops = set(packages or CODE)
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in tops]


def documents() -> list[Path]:
    """Every Markdown file."""
    return [path for path in files() if path.suffix == ".md"]


def shown(path: Path) -> str:
    """A path as a person would write it."""
    return path.relative_to(ROOT).as_posix()


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.name in MADE or (entry.name.startswith(".") and entry.name.endswith("_cache")):
            continue
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry
