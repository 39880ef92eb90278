"""What the conventions ask for and no linter looks at."""

from __future__ import annotations

import re
from typing import Final

import pytest

from tests.tidy.tree import files, python_files, shown

LINES_MAX: Final = 500
NAMELESS: Final = re.compile(r"(?:^|_)(?:utils?|helpers?|commons?|managers?|misc)(?:_|$)")
"""What has no better name yet has no home yet."""
BYTES_MAX: Final = 2_000_000
NOT_OURS: Final = {"uv.lock", "test_style.py"}
"""Written by a tool, which names where packages come from; and this file, which names what it looks for."""
MACHINE_PATHS: Final = re.compile(r"(?<![\w.])/(?:root|home|Users|work|opt|mnt)/[\w.]")
REGISTRIES: Final = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|registry\.npmjs\.org|ghcr\.io|quay\.io|gcr\.io|docker\.io)\b"
)


def texts() -> list[tuple[str, str]]:
    """Every text of the project with its name."""
    found = []
    for path in files():
        if path.name in NOT_OURS:
            continue
        content = path.read_bytes()
        assert len(content) <= BYTES_MAX, f"{shown(path)} has {len(content)} bytes, allowed {BYTES_MAX}"
        if b"\0" not in content:
            found.append((shown(path), content.decode()))
    return found


def places(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:120]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_module_is_too_long_to_read() -> None:
    long = {shown(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}


def test_every_module_has_a_name_that_says_something() -> None:
    named = {part for path in python_files() for part in (*path.relative_to(path.parents[-2]).parts[:-1], path.stem)}
    assert sorted(name for name in named if NAMELESS.search(name)) == []


@pytest.mark.parametrize("name", ["utils", "text_helpers", "common", "lease_manager", "misc"])
def test_a_name_that_says_nothing_is_seen(name: str) -> None:
    assert NAMELESS.search(name)


def test_no_file_names_a_place_of_one_machine() -> None:
    assert places(MACHINE_PATHS) == []


def test_a_place_of_one_machine_is_seen() -> None:
    for place in ("/root/.cache", "cd /home/ada", "x=/Users/ada/x"):
        assert MACHINE_PATHS.search(place)
    for text in ("systems/home/x", "https://example.org/home/x", "/home"):
        assert not MACHINE_PATHS.search(text)


def test_no_file_names_a_host_that_packages_come_from() -> None:
    assert places(REGISTRIES) == []
