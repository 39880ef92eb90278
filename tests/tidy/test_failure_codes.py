"""The catalogue of failures and the code agree: every code is used, and every code used is in the catalogue."""

from __future__ import annotations

import ast
import re
from typing import Final

from shared.failures import CATALOGUE
from shared.failures_document import PHASES
from tests.tidy.tree import python_files, shown

CODE: Final = re.compile(rf"\b(?:{'|'.join(PHASES)})_[A-Z][A-Z_]*\b")
ENDING: Final = re.compile(r"_[A-Z][A-Z_]*")
EITHER_SIDE: Final = ("SRC", "APL")
"""A system says `f"{use}_AUTH"` where `use` tells whether it was read as a source or for a write."""
LISTS: Final = {"failures.py", "failures_document.py"}


def codes_in(source: str) -> set[str]:
    """The codes that a module's texts name, comments and docstrings left out."""
    found: set[str] = set()
    tree = ast.parse(source)
    docstrings = {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            found.update(CODE.findall(node.value))
        if isinstance(node, ast.JoinedStr) and len(node.values) == 2 and isinstance(node.values[0], ast.FormattedValue):
            ending = node.values[1]
            if isinstance(ending, ast.Constant) and isinstance(ending.value, str) and ENDING.fullmatch(ending.value):
                found.update(f"{side}{ending.value}" for side in EITHER_SIDE)
    return found


def codes_of_the_house() -> dict[str, str]:
    """Every code that the programs name, and where."""
    return {
        code: shown(path)
        for path in python_files("cli", "services", "shared", "systems")
        if path.name not in LISTS
        for code in codes_in(path.read_text(encoding="utf-8"))
    }


def test_every_code_of_the_catalogue_is_used() -> None:
    assert sorted(set(CATALOGUE) - set(codes_of_the_house())) == []


def test_every_code_used_is_in_the_catalogue() -> None:
    assert {code: place for code, place in codes_of_the_house().items() if code not in CATALOGUE} == {}


def test_every_code_names_its_phase() -> None:
    assert {code.split("_")[0] for code in CATALOGUE} <= set(PHASES)


def test_codes_are_found_where_they_are_raised_and_not_where_they_are_told() -> None:
    source = '"""May raise APL_TOLD."""\nraise StopRun("APL_RAISED", f"{use}_JOINED", f"{use}_AUTH")\n# SRC_COMMENT\n'
    assert codes_in(source) == {"APL_RAISED", "SRC_JOINED", "APL_JOINED", "SRC_AUTH", "APL_AUTH"}
