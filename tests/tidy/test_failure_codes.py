"""The catalogue of failures, code, tests and runbooks agree: no code is idle, untested or without a page."""

from __future__ import annotations

import ast
import re
from typing import Final

import pytest

from shared.errors import StopRun
from shared.events.documents import FailureNote
from shared.events.facts import OutcomeRecorded
from shared.failures import CATALOGUE, UnknownFailureCode
from shared.failures_document import PHASES, RUNBOOKS
from shared.plan.document import Excluded
from tests.tidy.tree import ROOT, python_files, shown

CODE: Final = re.compile(rf"\b(?:{'|'.join(PHASES)})_[A-Z][A-Z_]*\b")
ENDING: Final = re.compile(r"_[A-Z][A-Z_]*")
EITHER_SIDE: Final = ("SRC", "APL")
"""A system says `f"{use}_AUTH"` where `use` tells whether it was read as a source or for a write."""
LISTS: Final = {"failures.py", "failures_document.py"}
NO_TESTS_OF_CODES: Final = {"test_failure_codes.py", "random_changes.py"}
"""What names codes without anything that meets them."""
SECTION: Final = re.compile(r"^### (\S+)$", re.MULTILINE)
PARTS: Final = ("See", "Likely", "Do", "Over when", "Not")
"""What each section says, in this order."""
SECTION_LINES_MAX: Final = 12


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


def codes_named(*packages: str, without: set[str]) -> dict[str, str]:
    """Every code that these packages name, and where."""
    return {
        code: shown(path)
        for path in python_files(*packages)
        if path.name not in without
        for code in codes_in(path.read_text(encoding="utf-8"))
    }


def codes_of_the_house() -> dict[str, str]:
    """Every code that the programs name, and where."""
    return codes_named("cli", "services", "shared", "systems", without=LISTS)


def sections_of(page: str) -> dict[str, str]:
    """The sections of a runbook's page, by their headings."""
    text = (ROOT / "docs" / "runbooks" / f"{page}.md").read_text(encoding="utf-8")
    _, *parts = SECTION.split(text)
    return dict(zip(parts[::2], parts[1::2], strict=True))


# --- code -----------------------------------------------------------------------------------------------------------


def test_every_code_of_the_catalogue_is_used() -> None:
    assert sorted(set(CATALOGUE) - set(codes_of_the_house())) == []


def test_every_code_used_is_in_the_catalogue() -> None:
    assert {code: place for code, place in codes_of_the_house().items() if code not in CATALOGUE} == {}


def test_every_code_names_its_phase() -> None:
    assert {code.split("_")[0] for code in CATALOGUE} <= set(PHASES)


def test_every_code_is_met_by_a_test() -> None:
    assert sorted(set(CATALOGUE) - set(codes_named("tests", without=NO_TESTS_OF_CODES))) == []


def test_codes_are_found_where_they_are_raised_and_not_where_they_are_told() -> None:
    source = '"""May raise APL_TOLD."""\nraise StopRun("APL_RAISED", f"{use}_JOINED", f"{use}_AUTH")\n# SRC_COMMENT\n'
    assert codes_in(source) == {"APL_RAISED", "SRC_JOINED", "APL_JOINED", "SRC_AUTH", "APL_AUTH"}


# --- what a program cannot say --------------------------------------------------------------------------------------


def test_a_code_outside_the_catalogue_cannot_be_raised_or_recorded() -> None:
    with pytest.raises(UnknownFailureCode):
        StopRun("APL_INVENTED", "…")
    with pytest.raises(UnknownFailureCode):
        FailureNote(code="APL_INVENTED", text="…")
    with pytest.raises(UnknownFailureCode):
        OutcomeRecorded(run="r", change_id="c", fencing_token=1, result="failed", code="APL_INVENTED")
    with pytest.raises(UnknownFailureCode):
        Excluded(change_id="c", code="APL_INVENTED")


def test_what_was_stored_under_a_code_that_was_retired_since_can_still_be_read() -> None:
    assert FailureNote.model_validate_json('{"code": "APL_NOT_KEPT", "text": "…"}').code == "APL_NOT_KEPT"


# --- runbooks -------------------------------------------------------------------------------------------------------


def test_every_phase_that_has_codes_has_a_runbook_and_no_other_page_lies_there() -> None:
    assert {code.split("_")[0] for code in CATALOGUE} == set(RUNBOOKS)
    pages = {path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == {*RUNBOOKS.values(), "README"}


@pytest.mark.parametrize("phase", RUNBOOKS)
def test_every_code_has_its_section_and_every_section_is_of_a_code(phase: str) -> None:
    wanted = [code for code in CATALOGUE if code.startswith(f"{phase}_")]
    assert sorted(sections_of(RUNBOOKS[phase])) == sorted(wanted)


@pytest.mark.parametrize("phase", RUNBOOKS)
def test_every_section_says_what_is_seen_what_to_do_when_it_is_over_and_what_not_to_do(phase: str) -> None:
    for code, text in sections_of(RUNBOOKS[phase]).items():
        assert re.findall(r"^- \*\*(.+?):\*\* \S", text, re.MULTILINE) == list(PARTS), code
        assert len(text.strip().splitlines()) <= SECTION_LINES_MAX, code


def test_the_catalogue_leads_to_every_section() -> None:
    printed = (ROOT / "docs" / "failures.md").read_text(encoding="utf-8")
    for code in CATALOGUE:
        assert f"[`{code}`](runbooks/{RUNBOOKS[code.split('_')[0]]}.md#{code.lower()})" in printed
