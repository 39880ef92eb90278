"""The people of a house: named in a file, checked before anything is made, gone from every folder when they leave."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.embedded_setup import PEOPLE
from deploy.setup.house import Wanted, make
from deploy.setup.people import PeopleWrong, people_of
from deploy.setup.places import NODES, House
from shared.policy.identities import load_identities

NOW = datetime(2026, 8, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
FILE = """\
people:
  ada: {roles: [operator, viewer]}
  ben: {roles: [approver]}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "people.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def made(folder: Path, text: str) -> House:
    house = House(folder / "house")
    people = people_of(written(folder, text))
    make(house, Wanted(environment="staging", connections="connections: {}\n", people=people), now=NOW)
    return house


def test_while_the_file_names_nobody_there_are_the_first_people(tmp_path: Path) -> None:
    assert people_of(tmp_path / "none.yaml") == PEOPLE
    assert people_of(written(tmp_path, "people: {}\n")) == PEOPLE
    assert people_of(ROOT / "deploy/compose/house/people.yaml") == PEOPLE


def test_the_example_in_the_file_can_be_taken_as_it_is(tmp_path: Path) -> None:
    lines = (ROOT / "deploy/compose/house/people.yaml").read_text(encoding="utf-8").splitlines()
    example = "\n".join(line.removeprefix("# ") for line in lines if line.startswith(("# people:", "#   ")))
    found = people_of(written(tmp_path, example))
    assert sum(person.signs for person in found) >= 2


def test_a_person_has_a_user_of_the_bus_a_profile_a_password_and_when_they_approve_a_key(tmp_path: Path) -> None:
    house = made(tmp_path, FILE)
    for folder in (house.of("people"), house.of("console")):
        assert sorted(path.name for path in (folder / "profiles").iterdir()) == ["ada.json", "ben.json"]
        assert [path.name for path in (folder / "keys").iterdir()] == ["ben.pem"]
    assert sorted(path.name for path in (house.of("people") / "accounts").iterdir()) == ["ada", "ben"]
    people = load_identities(house.of("applier") / "identities.json").people
    assert people["ada"].approval_key is None and people["ben"].approval_key is not None
    for node in NODES:
        config = (house.of(node) / "nats-server.conf").read_text()
        assert (house.of("people") / "passwords" / "ada").read_text().strip() in config
        assert 'user: "operator"' not in config


def test_who_is_taken_out_of_the_file_is_gone_from_every_folder_of_a_program(tmp_path: Path) -> None:
    house = made(tmp_path, FILE)
    password = (house.of("people") / "passwords" / "ada").read_text().strip()
    made(tmp_path, FILE.replace("ada", "cleo"))
    for name in ("people", "console", "differ", "applier", *NODES):
        for path in house.of(name).rglob("*"):
            assert "ada" not in path.name
            assert path.is_dir() or password not in path.read_text(), path
    assert set(load_identities(house.of("differ") / "identities.json").people) == {"ben", "cleo"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("people:\n  ada: {roles: [opperator]}\n", "people.ada.roles.0"),
        ("people:\n  ada: {roles: []}\n", "people.ada.roles"),
        ("people:\n  ada: {roles: [operator], password: x}\n", "people.ada.password"),
        ("people:\n  Ada Lovelace: {roles: [operator]}\n", "is no name"),
        ("people:\n  applier: {roles: [operator]}\n", "the name of a program"),
        ("people:\n  ada: {roles: [approver, admin]}\n", "give them to different people"),
        ("people:\n  ada: {roles: [viewer]}\n  ada: {roles: [admin]}\n", "people.yaml:3"),
        ("nobody", "must be a mapping"),
    ],
)
def test_a_file_that_cannot_be_taken_says_where_and_why(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(PeopleWrong) as wrong:
        people_of(written(tmp_path, text))
    assert told in str(wrong.value)
