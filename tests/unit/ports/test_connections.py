"""The connections document: every problem has its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import NeedsPerson
from shared.ports.connections import ConnectionsInvalid, load_connections

GOOD = """\
connections:
  titanhst:
    system: titanhst
    environment: staging
    settings:
      base_url: https://alerts.example
  hr:
    system: ocde_hr_sql
    environment: production
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "connections.yaml"
    path.write_text(text)
    return path


def problems(tmp_path: Path, text: str) -> list[str]:
    path = write(tmp_path, text)
    with pytest.raises(ConnectionsInvalid) as caught:
        load_connections(path)
    assert caught.value.code == "SRC_CONFIG"
    return [str(problem).removeprefix(f"{path}:") for problem in caught.value.problems]


def test_connection_is_found_by_the_name_of_its_key(tmp_path: Path) -> None:
    connections = load_connections(write(tmp_path, GOOD))
    assert connections.names() == ["hr", "titanhst"]
    titanhst = connections.named("titanhst")
    assert (titanhst.name, titanhst.system, titanhst.environment) == ("titanhst", "titanhst", "staging")
    assert titanhst.settings == {"base_url": "https://alerts.example"}
    assert connections.named("hr").settings == {}


def test_unknown_name_is_refused_with_a_near_one(tmp_path: Path) -> None:
    with pytest.raises(NeedsPerson, match="did you mean titanhst"):
        load_connections(write(tmp_path, GOOD)).named("titanhts")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("environment: staging", "environment: test", "4:5: connections.titanhst.environment"),
        ("    environment: staging\n", "", "2:3: connections.titanhst.environment: Field required"),
        ("    settings:", "    setings:", "5:5: connections.titanhst.setings"),
        ("  titanhst:", "  Titan HST:", "2:3: connections.Titan HST"),
        ("    system: titanhst", "    name: other\n    system: titanhst", "3:5: name is the key; leave it out"),
        ("  hr:", "  titanhst:", "7:3: found duplicate key"),
        ("connections:", "conections:", "1:1: conections"),
    ],
)
def test_every_problem_names_line_and_column(tmp_path: Path, old: str, new: str, expected: str) -> None:
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert any(problem.startswith(expected) for problem in found), found


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, GOOD.replace("staging", "test").replace("production", "live"))) == 2


@pytest.mark.parametrize(("text", "words"), [("- a\n", "mapping"), ("a: [", "1:5"), ("\x00", "not valid YAML")])
def test_text_that_is_no_document_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert words in problem


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConnectionsInvalid, match=r"none\.yaml:1:1: cannot be read"):
        load_connections(tmp_path / "none.yaml")
