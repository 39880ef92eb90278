"""The connectors that ship: sound, known to their systems, and true to their examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from services.extractor.gathering import used_columns
from services.extractor.normalise import normalise_desired, normalise_existing
from shared.contract.loading import Connector, load_connector
from shared.contract.positions import read_yaml
from shared.contract.problems import ContractInvalid
from shared.ports.registry import Registry, installed_systems_folder

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


def test_the_systems_deliver_the_columns_that_are_promised_here() -> None:
    declared = Registry(installed_systems_folder()).columns()
    for place, names in columns().items():
        assert set(names) <= set(declared[place]), place


def test_misspelt_column_is_told_with_its_place_and_the_right_name() -> None:
    columns = Registry(installed_systems_folder()).columns()
    columns["ocde_hr_sql", "assignments"] = tuple(
        "site_kode" if name == "site_code" else name for name in columns["ocde_hr_sql", "assignments"]
    )
    with pytest.raises(ContractInvalid) as caught:
        load_connector(FOLDER / "titanhst-staff", columns)
    assert any("site_code" in problem.text and "site_kode" in problem.fix for problem in caught.value.problems)


def read(path: Path) -> dict[str, Any]:
    located = read_yaml(path.read_text(encoding="utf-8"), path.name)
    assert not located.problems, located.problems
    assert set(located.value) == {"title", "sources", "records", "quarantined", "out_of_scope"}
    return dict(located.value)


def frame(rows: list[dict[str, Any]], columns: list[str]) -> pl.DataFrame:
    """Rows of an example with every column that the contract uses; what a row leaves out is null."""
    foreign = {name for row in rows for name in row} - set(columns)
    assert not foreign, f"the contract does not use {sorted(foreign)}"
    return pl.DataFrame({name: [row.get(name) for row in rows] for name in columns})


def only_entity(connector: Connector) -> Any:
    (contract,) = connector.definition.entities.values()
    return contract


@pytest.mark.parametrize("folder", CONNECTORS, ids=lambda folder: folder.name)
def test_every_connector_is_sound_and_names_only_columns_of_its_systems(folder: Path) -> None:
    assert load_connector(folder, columns()).definition.name == folder.name


@pytest.mark.parametrize("folder", CONNECTORS, ids=lambda folder: folder.name)
def test_every_connector_has_examples_of_success_and_of_quarantine(folder: Path) -> None:
    examples = [read(path) for path in EXAMPLES if path.is_relative_to(folder)]
    assert any(example["records"] for example in examples)
    assert any(example["quarantined"] for example in examples)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_an_example_holds(path: Path) -> None:
    example, connector = read(path), load_connector(path.parent.parent)
    contract = only_entity(connector)
    frames = {alias: frame(example["sources"][alias], columns) for alias, columns in used_columns(contract).items()}
    result = normalise_desired(contract, connector.tables, frames)
    assert result.records.to_dicts() == example["records"]
    assert result.quarantined.to_dicts() == example["quarantined"]
    assert result.out_of_scope == example["out_of_scope"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.parent.name}/{path.stem}")
def test_what_an_example_desires_is_what_the_target_would_then_show(path: Path) -> None:
    connector = load_connector(path.parent.parent)
    contract = only_entity(connector)
    frames = {alias: frame(read(path)["sources"][alias], columns) for alias, columns in used_columns(contract).items()}
    desired = normalise_desired(contract, connector.tables, frames).records
    shown = desired.drop("key").with_columns(target_id=pl.lit("c-1"))
    assert normalise_existing(contract, shown).records.drop("target_id").equals(desired)
