"""Examples of connectors: how they are read, and how what came out is compared with what they say."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from shared.contract import worked_example
from shared.contract.examples import Example, differences, read_example
from shared.contract.loading import load_connector
from shared.contract.model import ConnectorDefinition
from shared.contract.positions import read_yaml

TEXT = worked_example.FILES["examples/student.yaml"]
QUARANTINED = pl.DataFrame(
    [
        {
            "key": "E2",
            "source": "person",
            "field": "group_id",
            "code": "NRM_LOOKUP",
            "value_class": "text(3)",
            "rule": "lookup: groups.code",
        }
    ]
)


@pytest.fixture
def definition() -> ConnectorDefinition:
    return ConnectorDefinition.model_validate(read_yaml(worked_example.FILES["connector.yaml"], "x").value)


def example(definition: ConnectorDefinition, text: str = TEXT) -> Example:
    found, problems = read_example(text, "student.yaml", definition)
    assert problems == []
    assert found is not None
    return found


def test_an_example_gives_every_column_that_the_contract_uses_and_no_other(definition: ConnectorDefinition) -> None:
    frame = example(definition).frames()["person"]
    assert sorted(frame.columns) == [
        *("edited_at", "first", "id", "kind", "last", "left_on", "login", "school_year", "site"),
    ]
    assert frame.get_column("school_year").to_list() == ["26-27", None]
    looked_up = example(definition).looked_up()
    assert looked_up["groups"].to_dicts() == [{"code": "010", "target_id": "g-1"}]


def test_an_alias_without_rows_is_an_empty_source(definition: ConnectorDefinition) -> None:
    text = "title: Nobody\nentity: users\nsources: {}\nrecords: []\nquarantined: []\nout_of_scope: 0\n"
    assert example(definition, text).frames()["person"].height == 0


def test_the_entity_may_be_left_out_where_there_is_one(worked: Path) -> None:
    text = "title: Nobody\nsources: {}\nrecords: []\nquarantined: []\nout_of_scope: 0\n"
    path = Path(__file__).parents[2] / "connectors" / "titanhst-staff"
    assert example(load_connector(path).definition, text).entity == "contacts"
    found, problems = read_example(text, "x", load_connector(worked).definition)
    assert found is None
    assert [problem.text for problem in problems] == ["the connector has several entities"]


PLACE = "▸"  # stands in the text below where the problem must point to


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("title: A student", "▸titel: x\ntitle: A student", "key 'titel' is not part of the language"),
        ("entity: users", "entity: ▸people", "'people' is no entity of this connector; the entities are groups, users"),
        ("  person:", "  ▸persons:", "the contract of users uses no 'persons'; the sources are person"),
        ("{id: s7", "{▸ids: s7", "the contract of users uses no column 'ids' of person; the columns are"),
        ("  groups:", "  ▸teams:", "the contract of users uses no 'teams'; the target are groups"),
        ('target_id: g-1}', '▸name: x}', "the contract of users uses no column 'name' of groups"),
        ("{key: S7, number: S7,", "▸{key: S7,", "the record leaves number out; write it, or null"),
        ("{key: S7, number", "{key: S7, ▸phone: x, number", "'phone' is no field of users"),
        ("out_of_scope: 0", "out_of_scope: ▸none", "out_of_scope: Input should be a valid integer"),
        ("{id: s7", "{id: 7", "column 'id' of person holds values of several types: int, str"),
    ],
)  # fmt: skip
def test_a_faulty_example_is_told_with_its_place(
    definition: ConnectorDefinition, old: str, new: str, problem: str
) -> None:
    assert TEXT.count(old) == 1
    text = TEXT.replace(old, new)
    found, problems = read_example(text.replace(PLACE, ""), "student.yaml", definition)
    assert found is None
    (told,) = problems
    assert told.text.startswith(problem) or f"{told.text}; {told.fix}".startswith(problem), told
    if PLACE in text:
        before = text[: text.index(PLACE)].split("\n")
        assert (told.line, told.column) == (len(before), len(before[-1]) + 1)


def test_what_came_out_as_the_example_says_has_no_differences(definition: ConnectorDefinition) -> None:
    said = example(definition)
    records = pl.DataFrame(said.document.records)
    assert differences(said, records, QUARANTINED, 0) == ()
    assert differences(said, records.with_columns(pl.lit(None, pl.String).alias("left alone")), QUARANTINED, 0) == ()


def test_each_difference_is_said(definition: ConnectorDefinition) -> None:
    said = example(definition)
    records = pl.DataFrame(said.document.records)
    other = records.with_columns(year=pl.lit("2027-2028"))
    row = "key: S7, number: S7, name: Ana De la Cruz, mail: adelacruz@students.example.org, kind: student, year: "
    end = ", group_id: g-1, enabled: True"
    assert differences(said, other, QUARANTINED, 2) == (
        f"student.yaml: there is no record {row}2026-2027{end}",
        f"student.yaml: there is a record too many: {row}2027-2028{end}",
        "student.yaml: out of scope are 2 records, the example says 0",
    )
    (sentence,) = differences(said, records, QUARANTINED.clear(), 0)
    assert sentence.startswith("student.yaml: there is no quarantine item key: E2, source: person, field: group_id")
    (sentence,) = differences(said, pl.concat([records, records]), QUARANTINED, 0)
    assert sentence.startswith("student.yaml: there is a record too many: key: S7")


@pytest.mark.parametrize("change", [pl.lit(1).alias("enabled"), pl.lit("mail").alias("left alone")])
def test_what_only_looks_alike_is_a_difference(definition: ConnectorDefinition, change: pl.Expr) -> None:
    said = example(definition)
    records = pl.DataFrame(said.document.records).with_columns(change)
    assert len(differences(said, records, QUARANTINED, 0)) == 2


def test_records_in_another_order_are_a_difference(definition: ConnectorDefinition) -> None:
    row = "{key: K, number: K, name: N, mail: null, kind: staff, year: null, group_id: null, enabled: true}"
    rows = [row.replace("K", key) for key in ("A", "B")]
    text = f"title: T\nentity: users\nsources: {{}}\nrecords: [{', '.join(rows)}]\nquarantined: []\nout_of_scope: 0\n"
    said = example(definition, text)
    records = pl.DataFrame(said.document.records)
    assert differences(said, records, QUARANTINED.clear(), 0) == ()
    assert differences(said, records.reverse(), QUARANTINED.clear(), 0) == (
        "student.yaml: the records come in another order than that of their keys",
    )
