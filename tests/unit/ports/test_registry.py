"""The registry: systems are found by their manifest, opened by their settings, and loaded nowhere else."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest

from shared.errors import NeedsPerson
from shared.ports.connections import Connection
from shared.ports.discovery import ManifestInvalid
from shared.ports.metering import Unmetered
from shared.ports.pacing import Pacer, Unpaced
from shared.ports.quality import RULES, Tier
from shared.ports.registry import Registry, installed_systems_folder
from shared.ports.surroundings import Surroundings
from shared.ports.system import Source, Target
from shared.secrets import Secret

NUMBERS = count(1)
BRONZE = [rule.name for rule in RULES if rule.tier is Tier.BRONZE]
REPOSITORY = installed_systems_folder().parent

MANIFEST = """\
name: paper
title: Paper
summary: A system of a test.
entities:
  sheets: {roles: [source], key: id}
capabilities: [source]
config: "config:PaperConfig"
columns: "source:columns_of"
source: "source:build_source"
confirmed_with_vendor: false
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of systems that is a package of its own name, so that no other test sees it."""
    name = f"systems_of_test_{next(NUMBERS)}"
    paper = tmp_path / name / "paper"
    paper.mkdir(parents=True)
    (paper / "manifest.yaml").write_text(MANIFEST)
    (paper / "quality.yaml").write_text(f"shown: [{', '.join(BRONZE)}]\n")
    (paper / "config.py").write_text(
        "from pydantic import BaseModel\nclass PaperConfig(BaseModel, extra='forbid'):\n    size: int\n"
    )
    (paper / "source.py").write_text("def build_source(config, surroundings):\n    return (config, surroundings)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / name


def paper(**settings: object) -> Connection:
    return Connection(name="desk", system="paper", environment="staging", settings=settings)


def installed() -> Registry:
    return Registry(installed_systems_folder(), surroundings=Surroundings(resolve=lambda _: Secret("token")))


def test_source_is_built_from_validated_settings_and_surroundings(folder: Path) -> None:
    surroundings = Surroundings()
    built = cast(Any, Registry(folder, surroundings=surroundings).open_source(paper(size=4)))
    config, given = built
    assert (config.size, given) == (4, surroundings)


def test_connection_that_is_opened_gets_its_own_pacer_and_nothing_else_changes(folder: Path) -> None:
    surroundings, asked, pacer = Surroundings(), list[Connection](), Unpaced()

    def pacers(connection: Connection) -> Pacer:
        asked.append(connection)
        return pacer

    built = cast(Any, Registry(folder, surroundings=surroundings, pacers=pacers).open_source(paper(size=4)))
    assert built[1] == replace(surroundings, pacer=pacer)
    assert built[1].pacer is pacer
    assert asked == [paper(size=4)]


def test_wrong_setting_names_connection_and_field_and_never_its_value(folder: Path) -> None:
    with pytest.raises(NeedsPerson) as caught:
        Registry(folder).open_source(paper(size="hunter2", colour="hunter2"))
    assert caught.value.code == "SRC_CONFIG"
    assert "connection desk: settings.size: " in caught.value.message
    assert "connection desk: settings.colour: " in caught.value.message
    assert "hunter2" not in str(caught.value)


def test_settings_are_checked_without_reading_a_secret() -> None:
    def fail(_: str) -> Secret:
        raise AssertionError("no secret may be read")

    registry = Registry(installed_systems_folder(), surroundings=Surroundings(resolve=fail))
    settings = {"base_url": "https://alerts.example", "token": "env:TOKEN"}
    good = Connection(name="alerts", system="titanhst", environment="staging", settings=settings)
    registry.check_settings(good)
    with pytest.raises(NeedsPerson, match=r"settings\.token"):
        registry.check_settings(good.model_copy(update={"settings": {**settings, "token": "the-token-itself"}}))


def test_connection_that_is_opened_gets_its_own_meter(folder: Path) -> None:
    meter = Unmetered()
    built = cast(Any, Registry(folder, meters=lambda _: meter).open_source(paper(size=4)))
    assert built[1].meter is meter


def test_system_that_shows_too_little_is_not_opened(folder: Path) -> None:
    (folder / "paper" / "quality.yaml").write_text(f"shown: [{', '.join(BRONZE[1:])}]\n")
    with pytest.raises(NeedsPerson, match=f"is of the tier none, and a source must be bronze.*{BRONZE[0]}") as caught:
        Registry(folder).open_source(paper(size=4))
    assert caught.value.code == "SRC_CONFIG"
    (folder / "paper" / "quality.yaml").unlink()
    assert Registry(folder).tier("paper", role="source") is Tier.NONE, "who shows nothing is trusted with nothing"


def test_broken_quality_is_told_with_its_place(folder: Path) -> None:
    (folder / "paper" / "quality.yaml").write_text("shown: [no_such_rule]\n")
    with pytest.raises(ManifestInvalid, match=r"quality\.yaml:1:1: .*no_such_rule is no rule"):
        Registry(folder).open_source(paper(size=4))


def test_source_cannot_be_opened_as_target_or_wire(folder: Path) -> None:
    registry = Registry(folder)
    with pytest.raises(NeedsPerson, match="cannot be a target") as caught:
        registry.open_target(paper(size=4))
    assert caught.value.code == "APL_CONFIG"
    with pytest.raises(NeedsPerson, match="cannot be written"):
        registry.wire("paper")


def test_unknown_system_is_refused_by_name(folder: Path) -> None:
    with pytest.raises(NeedsPerson, match="system plastic: is not installed; there are: paper"):
        Registry(folder).manifest("plastic")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title: Paper\n", "", "manifest.yaml:1:1: title: Field required"),
        ("name: paper", "name: stone", "manifest.yaml:1:1: name: is stone, but the folder is paper"),
        ("capabilities: [source]", "capabilities: [source, target]", "capability target goes together with"),
        ("roles: [source]", "roles: [target]", "entity sheets has role target"),
        ('"source:build_source"', '"os.path:join"', "manifest.yaml:9:1: source"),
        ("key: id}", "key: id, keys: x}", "manifest.yaml:5:38: entities.sheets.keys"),
    ],
)
def test_broken_manifest_is_refused_at_once_with_its_place(folder: Path, old: str, new: str, expected: str) -> None:
    (folder / "paper" / "manifest.yaml").write_text(MANIFEST.replace(old, new))
    with pytest.raises(ManifestInvalid) as caught:
        Registry(folder)
    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("entry", "words"), [("nowhere:build_source", "is missing"), ("source:nothing", "has no nothing")]
)
def test_manifest_that_names_missing_code_is_refused_when_opened(folder: Path, entry: str, words: str) -> None:
    (folder / "paper" / "manifest.yaml").write_text(MANIFEST.replace("source:build_source", entry))
    with pytest.raises(NeedsPerson, match=words):
        Registry(folder).open_source(paper(size=4))


def test_code_from_another_folder_of_the_same_name_is_never_run(folder: Path, tmp_path: Path) -> None:
    twin = tmp_path / "twin" / folder.name
    (twin / "paper").mkdir(parents=True)
    (twin / "paper" / "manifest.yaml").write_text(MANIFEST)
    (twin / "paper" / "quality.yaml").write_text(f"shown: [{', '.join(BRONZE)}]\n")
    (twin / "paper" / "config.py").write_text("class PaperConfig: ...")
    with pytest.raises(NeedsPerson, match="is loaded from"):
        Registry(twin).open_source(paper(size=4))


def test_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NeedsPerson, match="is no folder"):
        Registry(tmp_path / "none")


def test_every_installed_system_says_truly_what_it_offers() -> None:
    registry = installed()
    assert {"aeries_sql", "ocde_hr_sql", "titanhst"} <= set(registry.names())
    samples: dict[str, dict[str, object]] = {
        "aeries_sql": {"url": "sqlite:////nowhere/aeries.db"},
        "ocde_hr_sql": {"url": "sqlite:////nowhere/hr.db"},
        "titanhst": {"base_url": "https://alerts.example", "token": "env:TOKEN"},
    }
    for name, settings in samples.items():
        manifest = registry.manifest(name)
        connection = Connection(name="sample", system=name, environment="staging", settings=settings)
        source = registry.open_source(connection)
        assert isinstance(source, Source)
        for entity, described in manifest.entities.items():
            assert described.key in [column.name for column in source.columns(entity)], (name, entity)
        if "target" in manifest.capabilities:
            target = registry.open_target(connection)
            assert isinstance(target, Target)
            assert "target_id" in [column.name for column in target.columns("contacts")]
            registry.wire(name)


def test_writing_and_planning_need_no_columnar_engine() -> None:
    program = (
        "import sys; sys.modules['polars'] = None\n"
        "from shared.ports.connections import Connection\n"
        "from shared.ports.registry import Registry, installed_systems_folder\n"
        "from shared.ports.surroundings import Surroundings\n"
        "from shared.secrets import Secret\n"
        "registry = Registry(installed_systems_folder(), surroundings=Surroundings(resolve=lambda _: Secret('t')))\n"
        "registry.open_target(Connection(name='a', system='titanhst', environment='staging',\n"
        "    settings={'base_url': 'https://alerts.example', 'token': 'env:T'}))\n"
        "sys.modules['httpx'] = None\n"
        "print(registry.wire('titanhst').write_for('contacts', verb='suspend', target_id='c-1', values={}).method)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "PATCH"), done.stderr
