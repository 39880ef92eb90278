"""The verbs of a connector's making: what they write, what they refuse, and what they exit with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli.definitions import EXAMPLES_MODULE, installed_connectors_folder
from cli.main import exit_code

NAME = "titanhst-staff"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of connectors that holds a copy of one, unpublished."""
    home = tmp_path / "connectors"
    shutil.copytree(installed_connectors_folder() / NAME, home / NAME, ignore=shutil.ignore_patterns("releases"))
    return home


def document(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def verb(home: Path, *arguments: str) -> int:
    return exit_code(["connector", *arguments, "--connectors", str(home), "--json"])


def edit(home: Path, old: str, new: str, file: str = "connector.yaml") -> None:
    path = home / NAME / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_examples_that_hold_are_a_clean_end(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb(folder, "test", NAME) == 0
    found = document(capsys)
    (connector,) = found["connectors"]
    files = sorted(path.name for path in (folder / NAME / "examples").glob("*.yaml"))
    assert [one["file"] for one in connector["examples"]] == [f"examples/{name}" for name in files]
    assert (found["is_sound"], found["exit_code"]) == (True, 0)
    assert verb(folder, "test") == 0


def test_example_that_does_not_hold_is_told_with_its_difference(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(folder, "steps: [trim, lower]\n        format: email", "steps: [trim, upper]\n        format: email")
    assert verb(folder, "test", NAME) == 1
    (connector,) = document(capsys)["connectors"]
    told = [fault for one in connector["examples"] for fault in one["faults"]]
    assert told and all(fault.startswith("examples/") for fault in told)
    assert exit_code(["connector", "test", NAME, "--connectors", str(folder)]) == 1
    assert "DIFFERS" in capsys.readouterr().out


def test_connector_without_an_example_is_not_sound(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / NAME / "examples")
    assert verb(folder, "test", NAME) == 1
    assert document(capsys)["is_sound"] is False
    assert verb(folder, "publish", NAME, "--by", "Ana") == 1
    assert "there is no example" in document(capsys)["error"]["text"]


def test_examples_run_in_a_program_of_their_own_that_exists() -> None:
    module = Path(__file__).parents[3].joinpath(*EXAMPLES_MODULE.split(".")).with_suffix(".py")
    assert module.is_file()


def test_published_version_is_kept_for_ever_and_another_meaning_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb(folder, "publish", NAME, "--by", "Ana") == 0
    first = document(capsys)
    stored = json.loads(Path(first["file"]).read_text(encoding="utf-8"))
    assert (stored["digest"], stored["published_by"], first["was_published"]) == (first["digest"], "Ana", False)
    assert verb(folder, "publish", NAME, "--by", "Ben") == 0
    again = document(capsys)
    assert (again["digest"], again["was_published"]) == (first["digest"], True)
    edit(folder, "title: Staff to", "title: All staff to")
    assert verb(folder, "publish", NAME, "--by", "Ben") == 1
    assert "raise the version" in document(capsys)["error"]["text"]
    edit(folder, "version: 1.0.0", "version: 1.1.0")
    assert verb(folder, "publish", NAME, "--by", "Ben") == 0
    next_one = document(capsys)
    assert next_one["earlier"] == ["1.0.0"]
    assert any(told.startswith("title: ") for told in next_one["differences"])


def test_releases_are_compared_by_name_version_and_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb(folder, "publish", NAME, "--by", "Ana") == 0
    edit(folder, "version: 1.0.0", "version: 1.1.0")
    edit(folder, "ladder: suspend", "ladder: suspend\n      strikes: 3")
    capsys.readouterr()
    assert verb(folder, "diff", f"{NAME}@1.0.0", NAME) == 2
    found = document(capsys)
    assert found["differences"] == ["version: 1.0.0 → 1.1.0", "contacts: removal.strikes: 2 → 3"]
    assert (found["old"]["version"], found["new"]["version"], found["exit_code"]) == ("1.0.0", "1.1.0", 2)
    assert verb(folder, "diff", f"{NAME}@1.1.0", str(folder / NAME)) == 0
    assert document(capsys)["differences"] == []
    assert verb(folder, "diff", f"{NAME}@9.9.9", NAME) == 1
    assert "the releases are: 1.0.0" in document(capsys)["error"]["text"]


def test_new_draft_is_valid_and_its_example_holds(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wish = ["--from", "ocde_hr_sql:people", "--to", "titanhst:contacts", "--key", "external_id=employee_id"]
    assert verb(folder, "new", "my-draft", *wish) == 0
    made = document(capsys)
    assert verb(folder, "validate", "my-draft") == 0
    assert document(capsys)["digest"] == made["digest"]
    assert verb(folder, "test", "my-draft") == 0
    capsys.readouterr()
    before = (folder / "my-draft" / "connector.yaml").read_bytes()
    assert verb(folder, "new", "my-draft", *wish) == 1
    assert "exists already" in document(capsys)["error"]["text"]
    assert (folder / "my-draft" / "connector.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"name": "No Name"}, "is no name"),
        ({"--from": "nowhere:people"}, "no installed system has 'nowhere:people'"),
        ({"--from": "ocde_hr_sql"}, "write system:entity"),
        ({"--to": "ocde_hr_sql:people"}, "cannot be written"),
        ({"--key": "external_id"}, "not of the form FIELD=COLUMN"),
        ({"--key": "badge=employee_id"}, "has no field 'badge'"),
        ({"--key": "external_id=badge"}, "has no column 'badge'"),
    ],
)
def test_draft_of_what_no_system_has_is_a_usage_error_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str], told: str
) -> None:
    wish = {
        "name": "my-draft",
        "--from": "ocde_hr_sql:people",
        "--to": "titanhst:contacts",
        "--key": "external_id=employee_id",
        **changed,
    }
    name = wish.pop("name")
    assert verb(folder, "new", name, *(part for pair in wish.items() for part in pair)) == 64
    error = document(capsys)["error"]
    assert told in f"{error['text']} {error['action']}".lower() or told in f"{error['text']} {error['action']}"
    assert sorted(path.name for path in folder.iterdir()) == [NAME]


def test_faulty_definition_is_told_by_its_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(folder, "map: roles", "map: rolls")
    for arguments in (["publish", NAME, "--by", "Ana"], ["diff", NAME, NAME], ["test", NAME]):
        assert verb(folder, *arguments) == 1
        error = document(capsys)["error"]
        assert error["code"] == "CTR_INVALID"
        assert f"{NAME}/connector.yaml:" in error["text"]
