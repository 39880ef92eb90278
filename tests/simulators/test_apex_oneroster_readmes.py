"""The README of each simulator has every rule its code and tests cite, once, and every switch it has."""

import re
from pathlib import Path

import pytest

import simulators.apex
import simulators.oneroster
from simulators.apex.switches import ApexSwitches
from simulators.kit.switches import Switches
from simulators.oneroster.switches import OneRosterSwitches

CASES = [
    (Path(str(simulators.apex.__file__)).parent, "A", ApexSwitches),
    (Path(str(simulators.oneroster.__file__)).parent, "O", OneRosterSwitches),
]


@pytest.mark.parametrize(("folder", "letter", "switches"), CASES)
def test_every_cited_rule_stands_in_the_table_once(folder: Path, letter: str, switches: type[Switches]) -> None:
    stated = re.findall(rf"^\| ({letter}[0-9]+) \|", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert stated == [f"{letter}{number}" for number in range(1, len(stated) + 1)]
    cited = {
        rule
        for path in folder.glob("*.py")
        for rule in re.findall(rf"\b{letter}[0-9]{{1,2}}\b", path.read_text(encoding="utf-8"))
    }
    assert cited
    assert cited <= set(stated), f"cited and not stated: {sorted(cited - set(stated))}"


@pytest.mark.parametrize(("folder", "letter", "switches"), CASES)
def test_every_switch_is_named(folder: Path, letter: str, switches: type[Switches]) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert [name for name in switches.model_fields if f"`{name}`" not in text] == []
    assert all(field.default is not None for field in switches.model_fields.values())
