"""The order of entities, and which change of a release decides another value of which field."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contract import worked_example
from shared.contract.connector import Connector
from shared.contract.loading import load_connector
from shared.contract.model import ConnectorDefinition
from shared.contract.ordering import clause_digests, cycle, needs, ranks


def definition(after: dict[str, list[str]], lookups: dict[str, str] | None = None) -> ConnectorDefinition:
    """Entities that wait for others by `after`, and one lookup each at most."""
    fields: dict[str, object] = {"id": {"from": ["row.id"]}}
    entities = {}
    for name, others in after.items():
        looked_up = (lookups or {}).get(name)
        found = {"ref": {"from": ["row.ref"], "lookup": {"entity": looked_up, "by": "id"}}} if looked_up else {}
        entities[name] = {"from": {"source": "row"}, "after": others, "key": "id", "fields": fields | found}
    return ConnectorDefinition.model_validate(
        {
            "schema_version": 1,
            "name": "order",
            "version": "1.0.0",
            "title": "Order",
            "lifecycle": "draft",
            "target": {"system": "shop", "connection": "shop"},
            "sources": {"row": {"system": "hr", "connection": "hr", "entity": "rows"}},
            "entities": entities,
        }
    )


def test_an_entity_stands_above_everything_that_it_waits_for() -> None:
    waiting = {"d": ["b", "c"], "c": ["b"], "b": ["a"], "a": [], "z": []}
    assert ranks(definition(waiting)) == {"d": 3, "c": 2, "b": 1, "a": 0, "z": 0}


def test_a_lookup_orders_like_after_except_in_the_entity_itself_and_outside_the_connector() -> None:
    assert ranks(definition({"users": [], "groups": []}, {"users": "groups"})) == {"users": 1, "groups": 0}
    assert ranks(definition({"users": []}, {"users": "users"})) == {"users": 0}
    assert ranks(definition({"users": []}, {"users": "elsewhere"})) == {"users": 0}


def test_an_entity_that_names_itself_orders_its_own_records_and_stands_where_it_stood() -> None:
    nested = definition({"units": ["units"], "users": ["units"]})
    assert ranks(nested) == {"units": 0, "users": 1}
    assert needs(nested) == {"units": ("units",), "users": ("units",)}


@pytest.mark.parametrize(
    ("after", "lookups", "ring"),
    [
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, {}, ("b", "c", "b")),
        ({"a": ["b"], "b": []}, {"b": "a"}, ("a", "b", "a")),
    ],
)
def test_a_ring_is_named(after: dict[str, list[str]], lookups: dict[str, str], ring: tuple[str, ...]) -> None:
    ringed = definition(after, lookups)
    assert cycle(ringed) == ring
    with pytest.raises(ValueError, match=" → ".join(ring)):
        ranks(ringed)


def touched(worked: Path, old: str, new: str, file: str = "connector.yaml") -> set[str]:
    """The fields of the users whose value is decided otherwise after the change."""
    before: Connector = load_connector(worked, worked_example.COLUMNS)
    path = worked / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")
    after: Connector = load_connector(worked, worked_example.COLUMNS)
    digests = (clause_digests(before, "users"), clause_digests(after, "users"))
    return {name for name in digests[0] if digests[0][name] != digests[1][name]}


@pytest.mark.parametrize(
    ("old", "new", "fields"),
    [
        ("steps: [{python: school_year}], clear: true", "clear: true", {"year"}),
        ('{text: "@example.org"}', '{text: "@example.com"}', {"mail"}),
        ("privileged: [staff]", "privileged: [student]", set()),
        ("pii: contact", "pii: identifier", set()),
        ("direction: desc", "direction: asc", {"number", "name", "mail", "kind", "year", "group_id"}),
        ("in: [staff, student]", "in: [staff]", set()),
        ("title: People of the district to the help desk", "title: X", set()),
    ],
)
def test_a_change_touches_the_fields_whose_value_it_decides(worked: Path, old: str, new: str, fields: set[str]) -> None:
    assert touched(worked, old, new) == fields


def test_a_table_touches_the_fields_that_are_mapped_through_it(worked: Path) -> None:
    before = clause_digests(load_connector(worked), "groups")
    path = worked / "tables" / "sites.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("Alder", "Maple"), encoding="utf-8")
    after = clause_digests(load_connector(worked), "groups")
    assert before["name"] != after["name"]
    assert before["code"] != after["code"]  # a condition on the rows asks the table as well


def test_a_transform_touches_the_fields_that_take_it(worked: Path, tmp_path: Path) -> None:
    source = 'VERSION = 1\nEXAMPLES = (("a", "a"),)\n\n\ndef transform(text):\n    return text\n'
    (tmp_path / "school_year.py").write_text(source, encoding="utf-8")
    before = clause_digests(load_connector(worked, transforms_folder=tmp_path), "users")
    (tmp_path / "school_year.py").write_text(source + "# other\n", encoding="utf-8")
    after = clause_digests(load_connector(worked, transforms_folder=tmp_path), "users")
    assert {name for name in before if before[name] != after[name]} == {"year"}
