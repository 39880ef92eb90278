"""The connectors that ship, and the one in the language's document: sound, known, and true to their examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from services.extractor.normalise import Normalised, normalise_desired, normalise_existing
from services.extractor.quarantine import settle_duplicates
from services.extractor.rules import Rules
from shared.contract import worked_example
from shared.contract.examples import Example, columns_used, differences, read_example
from shared.contract.loading import Connector, load_connector
from shared.contract.problems import ContractInvalid
from shared.contract.releases import load_release, released_versions
from tests.support.systems import installed_systems

FOLDER = Path(__file__).parents[2] / "connectors"
CONNECTORS = sorted(path.parent for path in FOLDER.glob("*/connector.yaml"))
EXAMPLES = sorted(FOLDER.glob("*/examples/*.yaml"))
# What the systems of the staff connector promise to deliver.
PROMISED = """
ocde_hr_sql people: person_id employee_id last first preferred_first middle suffix work_email personal_email mobile
    birth_date state_educator_id status_code hire_date last_day edited_at;
ocde_hr_sql assignments: employee_id seq position_id site_code job_class_code job_title bargaining_unit person_type fte
    is_primary start_date end_date supervisor_id edited_at;
aeries_sql staff: id hr_id last_name first_name middle_name email alternate_email cell title inactive_code
    primary_school state_educator_id hire_date leave_date;
titanhst contacts: target_id external_id first_name last_name email mobile role location active
"""


def columns() -> dict[tuple[str, str], list[str]]:
    promised = {}
    for part in PROMISED.split(";"):
        place, names = part.split(":")
        system, entity = place.split()
        promised[system, entity] = names.split()
    return promised


def example_of(path: Path, connector: Connector) -> Example:
    example, problems = read_example(path.read_text(encoding="utf-8"), path.name, connector.definition)
    assert problems == []
    assert example is not None
    return example


def outcome(example: Example, connector: Connector) -> Normalised:
    rules = Rules(tables=connector.tables, transforms=connector.transforms, lookups=example.looked_up())
    found = normalise_desired(example.contract, rules, example.frames())
    records, quarantined = settle_duplicates(found.records, found.quarantined, contract=example.contract)
    return replace(found, records=records, quarantined=quarantined)


def faults(example: Example, found: Normalised) -> tuple[str, ...]:
    return differences(example, found.records, found.quarantined, found.out_of_scope)


def examples() -> Iterator[Example]:
    for path in EXAMPLES:
        yield example_of(path, load_connector(path.parent.parent))


def test_the_systems_deliver_the_columns_that_are_promised_here() -> None:
    declared = installed_systems().columns()
    for place, names in columns().items():
        assert set(names) <= set(declared[place]), place


def test_misspelt_column_is_told_with_its_place_and_the_right_name() -> None:
    columns = installed_systems().columns()
    columns["ocde_hr_sql", "assignments"] = tuple(
        "site_kode" if name == "site_code" else name for name in columns["ocde_hr_sql", "assignments"]
    )
    with pytest.raises(ContractInvalid) as caught:
        load_connector(FOLDER / "titanhst-staff", columns)
    assert any("site_code" in problem.text and "site_kode" in problem.fix for problem in caught.value.problems)


@pytest.mark.parametrize("folder", CONNECTORS, ids=lambda folder: folder.name)
def test_every_connector_is_sound_and_names_only_columns_of_its_systems(folder: Path) -> None:
    systems = installed_systems()
    assert load_connector(folder, systems.columns(), systems.write_companions()).definition.name == folder.name


@pytest.mark.parametrize("folder", CONNECTORS, ids=lambda folder: folder.name)
def test_every_release_is_what_was_published(folder: Path) -> None:
    for version in released_versions(folder):
        assert load_release(folder / "releases" / f"{version}.json").definition.version == version


@pytest.mark.parametrize("folder", CONNECTORS, ids=lambda folder: folder.name)
def test_every_connector_has_examples_of_success_and_of_quarantine(folder: Path) -> None:
    connector = load_connector(folder)
    documents = [example_of(path, connector).document for path in EXAMPLES if path.is_relative_to(folder)]
    assert any(document.records for document in documents)
    assert any(document.quarantined for document in documents)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_an_example_holds(path: Path) -> None:
    connector = load_connector(path.parent.parent)
    example = example_of(path, connector)
    assert faults(example, outcome(example, connector)) == ()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_what_an_example_desires_is_what_the_target_would_then_show(path: Path) -> None:
    connector = load_connector(path.parent.parent)
    example = example_of(path, connector)
    desired = outcome(example, connector).records.select("key", *example.contract.fields).sort("key")
    shown = desired.drop("key").with_columns(target_id=pl.lit("c-1"))
    existing = normalise_existing(example.contract, shown).records.sort("key")
    assert existing.select(desired.columns).equals(desired)


def test_the_worked_example_is_sound_and_its_example_holds(worked: Path) -> None:
    connector = load_connector(worked, worked_example.COLUMNS)
    example = example_of(worked / "examples" / "student.yaml", connector)
    assert example.document.records
    assert example.document.quarantined
    assert faults(example, outcome(example, connector)) == ()


def test_an_example_that_does_not_hold_is_told(worked: Path) -> None:
    connector = load_connector(worked)
    path = worked / "examples" / "student.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("out_of_scope: 0", "out_of_scope: 3").replace("Ana De", "Ana de"), encoding="utf-8")
    example = example_of(path, connector)
    told = faults(example, outcome(example, connector))
    assert [sentence.partition(": ")[2][:24] for sentence in told] == [
        "there is no record key: ",
        "there is a record too ma",
        "out of scope are 0 recor",
    ]


def test_examples_use_every_source_that_their_contract_uses() -> None:
    for example in examples():
        assert example.document.sources.keys() == columns_used(example.contract).keys(), example.file
