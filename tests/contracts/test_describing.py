"""What is said about the change from one release to the next: everything, and in words that name it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.contract import worked_example
from shared.contract.connector import Connector, release_digest
from shared.contract.describing import differences
from shared.contract.loading import load_connector
from shared.contract.model import ConnectorDefinition
from shared.contract.parts import parts
from shared.contract.positions import Path as Place
from shared.contract.positions import read_yaml
from shared.contract.words import Document

# One of these is valid in every place of the language that can hold more than one value.
CANDIDATES: Final[list[Any]] = [
    *(True, False, 1, 2, 7, 1.5, "x", "true", "person.other", "2.0.0", "a[b]", "", "_"),
    *(
        "desc",
        "retired",
        "date",
        "block",
        "evolve",
        "contact",
        "delete",
        "preserve",
        "discard_value",
        "boolean",
        "always",
        "15 3 * * MON-FRI",
        "Europe/Berlin",
        "apply",
        "none",
        "every_day",
        "run",
    ),
    *(["trim"], ["x"], [], ["a", "b"], ["person.other"], ["%m/%d/%Y"], [{"python": "other"}]),
    *({"column": "other"}, {"column": "person.other"}, {"text": "other"}, {"default": "other"}, {"reason": "x"}),
    *([{"column": "other"}], [{"column": "person.other", "is_blank": True}], [{"column": "other", "is_blank": True}]),
    {"parts": [{"column": "person.other"}, {"text": "y"}]},
    [{"column": "person.other"}, {"text": "y"}],
    [{"when": [], "from": ["person.other"]}],
    {"by": {"column": "other"}, "order": [{"column": "other"}]},
    {"entity": "other", "by": "other"},
    {"group": "code", "member": "name"},
    {"ladder": "suspend", "suspended": {"enabled": False}, "strikes": 3},
    {"enabled": True},
    {"count": 3},
    {"suspend": {"count": 3}},
    {"valid_hours": 3},
    {"cron": "15 3 * * *", "time_zone": "UTC"},
    {"system": "other", "connection": "other"},
    {"system": "other", "connection": "other", "entity": "other"},
    {"person": {"system": "other", "connection": "other", "entity": "other"}},
    {"source": "other"},
    {"other": {"from": {"source": "person"}, "key": "id", "fields": {"id": {"from": ["person.id"]}}}},
    {"from": {"source": "person"}, "key": "id", "fields": {"id": {"from": ["person.id"]}}},
    {"left": {"column": "person.other"}, "right": {"column": "other"}},
    [
        {
            "source": "job",
            "on": {"left": {"column": "person.id"}, "right": {"column": "id"}},
            "order": [{"column": "id"}],
        }
    ],
    {"code": {"from": ["person.other"]}},
]
ONE_VALUE_ONLY: Final = {
    ("ConnectorDefinition", "schema_version"),
    ("EntityContract", "target_managed"),
    ("Join", "keep"),
    *((kind, name) for kind in ("Condition", "QualifiedCondition") for name in ("is_blank", "is_not_blank")),
}
"""Clauses with one value, or one value when they are there, in whose place another clause must stand."""
JOINED: Final = """\
schema_version: 1
name: joined
version: 1.0.0
title: Every clause that the worked example does without
lifecycle: draft
target: {system: shop, connection: shop}
sources:
  person: {system: hr, connection: hr, entity: people}
  job: {system: hr, connection: hr, entity: jobs}
entities:
  roles:
    from:
      source: person
      where:
        - {column: kind, in: [A]}
        - {column: kind, not_in: [B]}
        - {column: kind, equals: C}
        - {column: kind, starts_with: [D]}
        - {column: kind, matches: E}
        - {column: kind, in_table: roles}
    scope:
      - {column: person.kind, in: [A]}
      - {column: person.kind, not_in: [B]}
      - {column: person.kind, equals: C}
      - {column: person.kind, starts_with: [D]}
      - {column: person.kind, matches: E}
      - {column: person.kind, in_table: roles}
    joins:
      - source: job
        on: {left: {column: person.id}, right: {column: person_id}}
        where: [{column: code, starts_with: [A]}]
        order: [{column: seq}]
    key: id
    fields:
      id: {from: [person.id]}
      born: {from: [person.born], format: date}
      enabled: {constant: true, format: boolean}
      role: {from: [job.code], map: roles, unmapped: {default: OTHER}}
    membership: {group: role, member: id}
approval: {valid_hours: 12}
"""


def written(definition: ConnectorDefinition) -> Any:
    return definition.model_dump(mode="json", by_alias=True)


def definitions() -> list[ConnectorDefinition]:
    texts = (worked_example.FILES["connector.yaml"], JOINED)
    return [ConnectorDefinition.model_validate(read_yaml(text, "connector.yaml").value) for text in texts]


def with_value(document: Any, place: Place, value: Any) -> Any:
    changed = copy.deepcopy(document)
    part = changed
    for step in place[:-1]:
        part = part[step]
    part[place[-1]] = value
    return changed


def places(definition: ConnectorDefinition) -> Iterator[tuple[type[Document], str, Place]]:
    """Every clause of every part of a definition."""
    for path, part in parts(definition):
        for name, described in type(part).model_fields.items():
            yield type(part), name, (*path, described.alias or name)


def other_values(definition: ConnectorDefinition, place: Place) -> Iterator[ConnectorDefinition]:
    """The definition with every other value that the clause can have, of those above."""
    document = written(definition)
    for value in [*CANDIDATES, None]:
        try:
            changed = ConnectorDefinition.model_validate(with_value(document, place, value))
        except ValidationError:
            continue
        if written(changed) != document or changed != definition:
            yield changed


def connector_of(definition: ConnectorDefinition) -> Connector:
    return Connector(definition, {}, release_digest(definition, {}))


def test_no_clause_can_change_unsaid() -> None:
    changed: set[tuple[str, str]] = set()
    clauses: set[tuple[str, str]] = set()
    for definition in definitions():
        old = connector_of(definition)
        for kind, name, place in places(definition):
            clause = (kind.__name__, name)
            clauses.add(clause)
            if clause in changed:
                continue
            for other in other_values(definition, place):
                changed.add(clause)
                new = connector_of(other)
                assert differences(old, new) != (), place
                assert (new.digest == old.digest) == (name == "lifecycle"), place
    assert clauses - changed == ONE_VALUE_ONLY


@given(st.data())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_several_changes_are_said_and_no_change_is_not(data: st.DataObject) -> None:
    definition = data.draw(st.sampled_from(definitions()))
    old = connector_of(definition)
    assert differences(old, connector_of(definition)) == ()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from([place for _, _, place in places(definition)]))
        choices = list(other_values(definition, place))
        if choices:
            definition = data.draw(st.sampled_from(choices))
    new = connector_of(definition)
    if written(definition) != written(old.definition):
        assert differences(old, new) != ()
    if new.digest != old.digest:
        assert differences(new, old) != ()


def changed(folder: Path, old: str, new: str, file: str = "connector.yaml") -> tuple[str, ...]:
    before = load_connector(folder)
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), encoding="utf-8")
    return differences(before, load_connector(folder))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("version: 1.0.0", "version: 1.1.0", "version: 1.0.0 → 1.1.0"),
        ("entity: people", "entity: persons", "source person: entity: people → persons"),
        ("cohort: [kind]", "cohort: [kind, year]", 'users: cohort: ["kind"] → ["kind", "year"]'),
        ("ladder: delete", "ladder: suspend", "users: removal.ladder: delete → suspend"),
        ("privileged: [staff]", "", 'users, field kind: privileged: ["staff"] → nothing'),
        ("{from: [person.site], steps: [trim]}", "{from: [person.site]}", 'groups, field code: steps: ["trim"] → []'),
        ("is_rename: true", "is_rename: false", "users, field name: is_rename: true → false"),
        ("suspend: {count: 40}", "suspend: {count: 90}", "guard, check suspend: count: 40 → 90"),
        (
            "suspend: {count: 40}",
            "delete: {count: 40}",
            'guard, check suspend is gone; it was {"count": 40}|guard, check delete is new: {"count": 40}',
        ),
    ],
)
def test_a_change_is_said_in_the_words_of_the_language(worked: Path, old: str, new: str, sentence: str) -> None:
    assert "|".join(changed(worked, old, new)) == sentence


def test_true_is_not_one() -> None:
    definition = definitions()[1]
    place = ("entities", "roles", "joins", 0, "where", 0)
    document = with_value(written(definition), place, {"column": "code", "equals": True})
    one = with_value(document, (*place, "equals"), 1)
    old, new = (connector_of(ConnectorDefinition.model_validate(each)) for each in (document, one))
    assert differences(old, new) == ("roles: joins.1.where.1.equals: true → 1",)
    assert old.digest != new.digest


def test_changes_of_a_table_are_counted_and_named(worked: Path) -> None:
    found = changed(worked, "020,Birch High", "020,Birch\n030,Cedar", "tables/sites.csv")
    assert found == (
        "table sites: 1 id added: 030 → Cedar",
        "table sites: 1 id changed: 020: Birch High → Birch",
    )


def test_no_more_ids_are_named_than_a_person_reads(worked: Path) -> None:
    rows = "".join(f"{number},Site {number}\n" for number in range(100, 150))
    (sentence,) = changed(worked, "020,Birch High\n", f"020,Birch High\n{rows}", "tables/sites.csv")
    assert sentence.startswith("table sites: 50 ids added: 100 → Site 100; 101 → Site 101;")
    assert sentence.endswith("; 119 → Site 119 … and 30 more")


def test_a_record_that_is_protected_no_longer_is_named(worked: Path) -> None:
    (sentence,) = changed(worked, "  - {key: E1, reason: Administrator of the help desk}\n", "", "protected.yaml")
    assert sentence == 'users: 1 protected no longer: {"key": "E1", "reason": "Administrator of the help desk"}'


def test_another_text_of_a_transform_is_said(worked: Path) -> None:
    old = load_connector(worked)
    transform = replace(old.transforms["school_year"], version=2, sha256="0" * 64)
    new = replace(old, transforms={"school_year": transform})
    assert differences(old, new) == ("transform school_year: version 1 → 2, its text changed",)
    assert differences(old, replace(old, transforms={})) == ("transform school_year is used no longer",)
    assert differences(replace(old, transforms={}), old) == ("transform school_year is used now, version 1",)


def test_another_order_of_fields_is_said(worked: Path) -> None:
    text = "      enabled: {constant: true, format: boolean}\n"
    before = load_connector(worked)
    path = worked / "connector.yaml"
    moved = path.read_text(encoding="utf-8").replace(text, "").replace("      kind:\n", f"{text}      kind:\n")
    path.write_text(moved, encoding="utf-8")
    after = load_connector(worked)
    assert before.digest != after.digest
    assert differences(before, after) == (
        "users: the order of the fields is now number, name, mail, enabled, kind, year, group_id",
    )
