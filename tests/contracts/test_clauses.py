"""Clauses that cannot be meant: each is told once, at its place, with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contract import worked_example
from shared.contract.checking import cross_check
from shared.contract.column_uses import column_uses
from shared.contract.known import Known
from shared.contract.loading import load_connector
from shared.contract.model import ConnectorDefinition
from shared.contract.parts import parts
from shared.contract.positions import read_yaml
from shared.contract.problems import ContractInvalid
from shared.contract.words import ColumnRef, QualifiedColumnRef

PLACE = "▸"  # stands in the text below where the problem must point to
NO_FIELD = "the fields are enabled, group_id, kind, mail, name, number, year"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        # names in the new clauses
        (
            'column: person.login}, {text: "@students',
            'column: ▸person.user}, {text: "@students',
            "sis people has no column 'user'; the columns are",
        ),
        (
            "[{column: person.login, is_blank: true}]",
            "[{column: ▸people.login, is_blank: true}]",
            "there is no source 'people'; the sources are person",
        ),
        (
            "where: [{column: left_on, is_blank: true}]",
            "where: [{column: ▸gone_on, is_blank: true}]",
            "sis people has no column 'gone_on'",
        ),
        ("in_table: sites", "in_table: ▸schools", "there is no table 'schools'; the tables are sites or write"),
        ("{python: school_year}", "{python: ▸scool_year}", "there is no transform 'scool_year'; correct the name or"),
        (
            "[{column: left_on, is_blank: true}]",
            "[▸{column: left_on, matches: 'a{2,1}'}]",
            "entities.users.from.where.0: the pattern cannot be read: min repeat greater than max repeat",
        ),
        (
            "is_blank: true}]\n      pick:\n        by: {column: id,",
            "matches: ▸'(?P<a>x)(?P=a)'}]\n      pick:\n        by: {column: id,",
            "the pattern cannot be used: ",
        ),
        # entities and fields that are named
        (
            "lookup: {entity: groups, by: code}",
            "lookup: {entity: ▸teams, by: code}",
            "system helpdesk has no entity 'teams'; the entities are groups, users",
        ),
        ("by: code}", "by: ▸label}", "helpdesk groups has no column 'label'; the columns are code, name, target_id"),
        ("by: code}", "by: code, take: ▸id}", "helpdesk groups has no column 'id'"),
        (
            "after: [groups]",
            "after: [▸teams]",
            "'teams' is no entity of this connector; the entities are groups, users",
        ),
        ("after: [groups]", "after: [groups, ▸groups]", "'groups' is named a second time; name it once"),
        ("cohort: [kind]", "cohort: [▸site]", f"'site' is no field; {NO_FIELD}"),
        ("cohort: [kind]", "cohort: [▸number]", "the key makes every record a cohort of its own"),
        ("cohort: [kind]", "cohort: [kind, ▸kind]", "'kind' is named a second time; name it once"),
        ("correlate: [mail]", "correlate: [▸enabled]", "enabled is the same for many records"),
        (
            "    removal: {ladder: delete, suspended: {enabled: false}, delete_after_days: 90}",
            "    membership: {group: ▸team, member: number}",
            f"'team' is no field; {NO_FIELD}",
        ),
        (
            "    removal: {ladder: delete, suspended: {enabled: false}, delete_after_days: 90}",
            "    membership: {group: number, member: ▸number}",
            "'number' is both the group and the member",
        ),
        # rings
        (
            "    key: code\n",
            "    after: [▸users]\n    key: code\n",
            "entities wait for each other: groups → users → groups",
        ),
        # the key
        (
            "required: true, pii: identifier}",
            "▸managed: false}",
            "the key identifies the record, so `managed` cannot be",
        ),
        (
            "required: true, pii: identifier}",
            "▸protected: true}",
            "the key identifies the record, so `protected` cannot",
        ),
        (
            "required: true, pii: identifier}",
            "▸clear: true}",
            "the key identifies the record, so `clear` cannot be said",
        ),
        (
            "required: true, pii: identifier}",
            "map: sites, unmapped: ▸{default: X}}",
            "the key becomes the same for every id outside the table",
        ),
        # suspension
        (
            "suspended: {enabled: false}",
            "suspended: {enabled: ▸true}",
            "enabled is true for every desired record, which would make all of them suspended",
        ),
        (
            "suspended: {enabled: false}",
            "suspended: {kind: ▸gone}",
            "the value of kind is none of the values staff, student",
        ),
        ("suspended: {enabled: false}", "suspended: {▸number: x}", "a suspended record keeps its key"),
        (
            "year: {from: [person.school_year], steps: [{python: school_year}], clear: true}\n",
            "year: {from: [person.school_year], steps: [{python: school_year}], managed: false}\n",
            None,
        ),
        # values that are written out
        (
            "privileged: [staff]",
            "privileged: [▸admin]",
            "no record can have the privileged value 'admin'; the values of the field are staff, student",
        ),
        (
            "from: [person.site], steps: [trim], map: sites, required: true}",
            "from: [person.site], steps: [trim], map: sites, privileged: [▸Cedar]}",
            "no record can have the privileged value 'Cedar'; the codes of table sites are",
        ),
        ("pii: contact", "privileged: [▸boss]", "the privileged value 'boss' has not the form email"),
        (
            "values: [staff, student]\n        is_role: true\n        privileged: [staff]",
            "values: [staff]\n        map: sites\n        unmapped: {default: ▸guest}",
            "the default is none of the values staff",
        ),
        (
            "clear: true}",
            "format: date, date_formats: [▸'%m/%d']}",
            "date format '%m/%d' does not name year, month and day",
        ),
        (
            "- when: [{column: person.login, is_blank: true}]",
            "- {when: [{column: person.login, is_blank: true}], constant: ▸nobody}",
            None,
        ),
    ],
)
def test_one_fault_is_told_once_at_its_place(worked: Path, old: str, new: str, problem: str | None) -> None:
    path = worked / "connector.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    text = text.replace(old, new)
    path.write_text(text.replace(PLACE, ""), encoding="utf-8")
    if problem is None:  # near to a fault, and sound
        assert load_connector(worked, worked_example.COLUMNS).digest
        return
    with pytest.raises(ContractInvalid) as caught:
        load_connector(worked, worked_example.COLUMNS)
    before = text[: text.index(PLACE)].split("\n")
    place = f"helpdesk-people/connector.yaml:{len(before)}:{len(before[-1]) + 1}: "
    told = [str(each) for each in caught.value.problems if each.file.endswith("connector.yaml")]
    assert [line.startswith(place + problem) for line in told] == [True], told


def test_a_code_that_the_field_cannot_hold_is_told_at_the_line_of_the_table(worked: Path) -> None:
    path = worked / "connector.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("map: sites, required: true", "map: sites, format: integer"), encoding="utf-8")
    with pytest.raises(ContractInvalid) as caught:
        load_connector(worked, worked_example.COLUMNS)
    assert [str(problem).partition(";")[0] for problem in caught.value.problems] == [
        "helpdesk-people/tables/sites.csv:2:1: name 'Alder Elementary' is nothing that field name (integer) can hold",
        "helpdesk-people/tables/sites.csv:3:1: name 'Birch High' is nothing that field name (integer) can hold",
    ]


def test_an_id_that_the_steps_leave_nothing_of_is_told(worked: Path) -> None:
    (worked / "tables" / "sites.csv").write_text("site,name\n010,Alder\nx,Birch\n", encoding="utf-8")
    path = worked / "connector.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("steps: [trim], map", "steps: [{python: school_year}], map"), encoding="utf-8")
    with pytest.raises(ContractInvalid, match=r"sites\.csv:3:1: after the steps of field name, id 'x' is no value"):
        load_connector(worked, worked_example.COLUMNS)


def test_every_column_that_the_language_can_name_is_checked() -> None:
    definition = ConnectorDefinition.model_validate(
        read_yaml(worked_example.FILES["connector.yaml"], "connector.yaml").value
    )
    for name, contract in definition.entities.items():
        path = ("entities", name)
        used = {use.path for use in column_uses(contract, path)}
        written = {
            (*place, "column")
            for place, part in parts(contract, path)
            if isinstance(part, ColumnRef | QualifiedColumnRef)
        }
        assert written <= used


def test_nothing_is_said_of_systems_when_nothing_is_known_of_them(worked: Path) -> None:
    definition = load_connector(worked).definition
    connector = load_connector(worked)
    located = read_yaml((worked / "connector.yaml").read_text(encoding="utf-8"), "helpdesk-people/connector.yaml")
    known = Known(definition, connector.tables, connector.transforms, located, None)
    assert cross_check(known, folder_name="helpdesk-people") == []
    nothing = Known(definition, connector.tables, connector.transforms, located, {})
    told = {problem.text for problem in cross_check(nothing, folder_name="helpdesk-people")}
    assert told == {
        "system sis has no entity 'people'",
        "system helpdesk has no entity 'groups'",
        "system helpdesk has no entity 'users'",
    }
