"""What calls itself pure stands behind the wall, and asks neither clock nor file in a way that imports do not show."""

from __future__ import annotations

import ast
import configparser
import re
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
OUTSIDE: Final = {"open", "print", "input", "exec", "eval", "__import__", "breakpoint"}
"""Built-in functions that reach outside, or hide what does."""
CLOCKS: Final = {"now", "utcnow", "today"}
MADE_WITH: Final = {"datetime", "date"}


def pure_files() -> list[Path]:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    found: set[Path] = set()
    for wall in ("pure-decisions", "pure-wires"):
        for name in parser[f"importlinter:contract:{wall}"]["source_modules"].split():
            place = name.replace(".", "/")
            found.update([*ROOT.glob(f"{place}.py"), *ROOT.glob(f"{place}/**/*.py")])
    return sorted(found)


def reaches_outside(source: str) -> list[str]:
    """Calls that reach outside without an import that would show it."""
    faults = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in OUTSIDE:
            faults.append(f"line {node.lineno}: {called.id}()")
        if (
            isinstance(called, ast.Attribute)
            and called.attr in CLOCKS
            and isinstance(called.value, ast.Name)
            and called.value.id in MADE_WITH
        ):
            faults.append(f"line {node.lineno}: {called.value.id}.{called.attr}()")
    return faults


@pytest.mark.parametrize("path", pure_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_decision_asks_neither_clock_nor_file(path: Path) -> None:
    assert reaches_outside(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("line", ["datetime.now(UTC)", "date.today()", "open('x')", "print(1)", "eval('1')"])
def test_a_call_to_the_outside_is_seen(line: str) -> None:
    assert len(reaches_outside(f"def decide():\n    return {line}\n")) == 1


def test_what_calls_itself_pure_stands_behind_the_wall() -> None:
    behind = set(pure_files())
    for package in ("cli", "services", "shared", "systems"):
        for path in sorted((ROOT / package).rglob("[a-z]*.py")):
            told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            if re.search(r"(?:^|\. |\n)Pure\b", told):
                assert path in behind, f"{path.relative_to(ROOT)} calls itself pure; name it in .importlinter"
