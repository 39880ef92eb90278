"""What the set-up refuses and what it renews: another environment, a sample district beside real people, keys."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.setup import __main__ as setup
from deploy.setup import demo, renew
from deploy.setup.demo_signs import CREDENTIALS, has_connections, refuse_demo
from deploy.setup.house import NotThisHouse, Wanted, make
from deploy.setup.places import NODES, House
from shared.bus.topology import Environment

NOW = datetime(2026, 8, 1, tzinfo=UTC)
NONE = "connections: {}\n"
REAL = "connections:\n  hr: {system: ocde_hr_sql, environment: production, settings: {url: x}}\n"
KEYS = (
    "bus/route",
    "bus/store-nats1",
    "databases/administrator",
    "secrets/commitment.key",
    "secrets/audit-signing.pem",
)


def given(root: Path, *, environment: Environment = "staging", connections: str = NONE) -> House:
    house = House(root)
    make(house, Wanted(environment=environment, connections=connections), now=NOW)
    return house


def contents(house: House) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in house.root.rglob("*") if path.is_file()}


def test_a_house_stays_of_the_environment_that_it_was_made_for(tmp_path: Path) -> None:
    house = given(tmp_path)
    before = contents(house)
    with pytest.raises(NotThisHouse, match="one of staging for ever"):
        given(tmp_path, environment="production")
    assert contents(house) == before


def test_the_sample_district_is_refused_beside_real_connections_and_in_production() -> None:
    refuse_demo(environment="staging", connections=NONE)
    with pytest.raises(NotThisHouse, match="connections of its own"):
        refuse_demo(environment="staging", connections=REAL)
    with pytest.raises(NotThisHouse, match="production"):
        refuse_demo(environment="production", connections=NONE)


@pytest.mark.parametrize(("text", "names_any"), [(NONE, False), ("", True), (REAL, True), ("connections: [", True)])
def test_a_connections_file_counts_as_real_unless_it_surely_names_none(text: str, *, names_any: bool) -> None:
    assert has_connections(text) is names_any


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """The set-up as a container runs it, with a connections file of that text."""
    root, connectors, connections = tmp_path / "house", tmp_path / "connectors", tmp_path / "connections.yaml"
    for folder in (root / "definitions", connectors):
        folder.mkdir(parents=True)
    for module in (setup, demo, renew):
        monkeypatch.setattr(module, "ROOT", root)
    for name, value in (("CONNECTORS", connectors), ("CONNECTIONS", connections), ("ENVIRONMENT", "staging")):
        monkeypatch.setenv(f"AETHER_{name}", str(value))

    def run(text: str) -> int:
        connections.write_text(text, encoding="utf-8")
        return setup.main()

    return run


def test_a_house_that_played_the_sample_district_takes_no_real_connections(
    at_home: Callable[[str], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert at_home(NONE) == 0
    (tmp_path / "house" / "all" / CREDENTIALS).mkdir()
    assert at_home(NONE) == 0
    assert at_home(REAL) == 1
    assert "has played the sample district" in capsys.readouterr().err


def test_the_sample_district_finds_real_connections_and_changes_nothing(
    at_home: Callable[[str], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert at_home(REAL) == 0
    before = contents(House(tmp_path / "house"))
    assert demo.main() == 1
    assert "connections of its own" in capsys.readouterr().err
    assert contents(House(tmp_path / "house")) == before


def test_a_renewed_password_is_another_one_everywhere(at_home: Callable[[str], int], tmp_path: Path) -> None:
    assert at_home(NONE) == 0
    house = House(tmp_path / "house")
    old = (house.of("applier") / "bus.password").read_text()
    others = (house.of("differ") / "bus.password").read_text()
    assert renew.main(["bus/applier", "databases/roles/aether_differ"]) == 0
    assert at_home(NONE) == 0
    new = (house.of("applier") / "bus.password").read_text()
    assert new != old and (house.of("differ") / "bus.password").read_text() == others
    for node in NODES:
        config = (house.of(node) / "nats-server.conf").read_text()
        assert new.strip() in config and old.strip() not in config


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_never_renewed_and_nothing_else_beside_it(
    at_home: Callable[[str], int], tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert at_home(NONE) == 0
    house = House(tmp_path / "house")
    assert (house.all / name).is_file(), "the name of a key that there is"
    before = contents(house)
    assert renew.main(["bus/applier", name]) == 1
    assert name in capsys.readouterr().err
    assert contents(house) == before


def test_what_can_be_renewed_is_listed(at_home: Callable[[str], int], capsys: pytest.CaptureFixture[str]) -> None:
    assert at_home(NONE) == 0
    capsys.readouterr()
    assert renew.main([]) == 0
    listed = capsys.readouterr().out.split()
    assert {"bus/applier", "databases/roles/aether_auditor", "people/operator"} <= set(listed)
    assert not set(KEYS) & set(listed)
