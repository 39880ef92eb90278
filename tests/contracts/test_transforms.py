"""Registered transforms: what may be one, what is told of one that may not, and those that ship."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from shared.contract.loading import load_connector
from shared.contract.problems import ContractInvalid, Problem
from shared.contract.transforms import Transform, installed_transforms_folder, read_transform, transform_of

SOUND = '''\
"""Turns a code around."""
VERSION = 3
EXAMPLES = (("ab", "ba"), ("", None))


def transform(text):
    if text == "x":
        raise ValueError("x is no code")
    return text[::-1] or None
'''
INSTALLED = sorted(path.stem for path in installed_transforms_folder().glob("*.py"))


def made(source: str, name: str = "turned") -> tuple[Transform | None, list[Problem]]:
    return transform_of(name, source.encode(), file=f"transforms/{name}.py")


def test_a_sound_transform_can_be_called() -> None:
    transform, problems = made(SOUND)
    assert problems == []
    assert transform is not None
    assert (transform.version, transform("abc"), transform("")) == (3, "cba", None)
    with pytest.raises(ValueError, match="x is no code"):
        transform("x")


def test_two_loads_of_the_same_bytes_give_one_module_and_no_entry_among_the_modules() -> None:
    before = set(sys.modules)
    source = SOUND + "\nSEEN = []\n"
    first, second = made(source)[0], made(source)[0]
    assert first is not None
    assert second is not None
    assert first.function is second.function
    assert set(sys.modules) == before


def test_other_bytes_are_another_transform() -> None:
    first, second = made(SOUND)[0], made(SOUND + "# remark\n")[0]
    assert first is not None
    assert second is not None
    assert first.sha256 != second.sha256


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('("ab", "ba")', '("ab", "ab")', "3:1: example 'ab' should become 'ab' and becomes 'ba'"),
        ('("ab", "ba")', '("x", "x")', "3:1: example 'x' should become 'x' and raises ValueError: x is no code"),
        ('(("ab", "ba"), ("", None))', "()", "1:1: EXAMPLES is no tuple of 1 to 500 pairs"),
        ('("ab", "ba")', '("ab", 1)', "1:1: EXAMPLES[0] is no pair of a text and the text, or None, that it becomes"),
        ("VERSION = 3", "VERSION = True", "1:1: VERSION is no whole number of 1 or more"),
        ("def transform", "def other", "1:1: it defines no function transform(text)"),
        ("VERSION = 3", "VERSION = 3 +", "2:14: this is not Python: invalid syntax"),
        ("VERSION = 3", "VERSION = 3 // 0", "2:1: loading it fails: ZeroDivisionError: integer division or modulo"),
        ("VERSION = 3", "import os\nVERSION = 3", "2:1: it imports os"),
        ("VERSION = 3", "from shared import ids\nVERSION = 3", "2:1: it imports shared"),
        ("VERSION = 3", "from . import other\nVERSION = 3", "2:1: it imports ."),
        ("VERSION = 3", "VERSION = len(open('x').read())", "2:15: it calls open()"),
        ("return text", "import datetime; datetime.date.today(); return text", "9:22: it asks a clock with today()"),
        ("return text", "return text.__class__() or text", "9:12: it reaches for __class__"),
    ],
)
def test_a_faulty_transform_is_told_with_its_line(old: str, new: str, problem: str) -> None:
    assert SOUND.count(old) == 1
    transform, problems = made(SOUND.replace(old, new))
    assert transform is None
    assert [each.code for each in problems] == ["CTR_TRANSFORM"]
    assert str(problems[0]).startswith(f"transforms/turned.py:{problem}")


def test_a_definition_loads_only_the_transforms_that_it_names(worked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "transforms"
    folder.mkdir()
    (folder / "school_year.py").write_text(SOUND, encoding="utf-8")
    (folder / "broken.py").write_text("not Python", encoding="utf-8")
    assert load_connector(worked, transforms_folder=folder).transforms.keys() == {"school_year"}


def test_a_failing_example_refuses_the_connector_with_the_code_of_transforms(worked: Path, tmp_path: Path) -> None:
    folder = tmp_path / "transforms"
    folder.mkdir()
    (folder / "school_year.py").write_text(SOUND.replace('"ba"', '"bb"'), encoding="utf-8")
    with pytest.raises(ContractInvalid, match="example 'ab' should become 'bb'") as caught:
        load_connector(worked, transforms_folder=folder)
    assert caught.value.code == "CTR_TRANSFORM"
    assert len(caught.value.problems) == 1


def test_a_transform_that_is_not_there_is_told_at_the_step(worked: Path, tmp_path: Path) -> None:
    with pytest.raises(ContractInvalid) as caught:
        load_connector(worked, transforms_folder=tmp_path)
    (problem,) = caught.value.problems
    assert problem.text == "there is no transform 'school_year'"
    lines = (worked / "connector.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[problem.line - 1][problem.column - 1 :].startswith("school_year")


def test_the_digest_of_a_release_changes_with_the_text_of_a_transform(worked: Path, tmp_path: Path) -> None:
    (tmp_path / "school_year.py").write_text(SOUND, encoding="utf-8")
    before = load_connector(worked, transforms_folder=tmp_path).digest
    (tmp_path / "school_year.py").write_text(SOUND + "\n", encoding="utf-8")
    assert load_connector(worked, transforms_folder=tmp_path).digest != before


@pytest.mark.parametrize("name", INSTALLED)
def test_every_transform_that_ships_is_sound(name: str) -> None:
    transform, problems = read_transform(installed_transforms_folder(), name)
    assert problems == []
    assert transform is not None


@pytest.mark.parametrize("text", ["2026", "2026-2028", "26-25", "2027-2026", "twenty-six", "2026-2027-2028", "٢٦-٢٧"])
def test_what_is_no_school_year_is_refused(text: str) -> None:
    transform, _ = read_transform(installed_transforms_folder(), "school_year")
    assert transform is not None
    with pytest.raises(ValueError, match="school year"):
        transform(text)


@pytest.mark.parametrize("first", [1999, 2000, 2009, 2026, 2098, 2099])
def test_a_school_year_is_the_same_in_all_its_spellings(first: int) -> None:
    transform, _ = read_transform(installed_transforms_folder(), "school_year")
    assert transform is not None
    second = first + 1
    spelt = {
        transform(f"{first}-{second}"),
        transform(f"{first}/{second % 100:02}"),
        transform(f"SY{first} - {second}"),
    }
    assert spelt == {f"{first}-{second}"}
