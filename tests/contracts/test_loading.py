"""Loading a connector: a faulty definition is told in full, each fault with its place and its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contract.catalog import Connectors
from shared.contract.loading import ContractInvalid, load_connector
from shared.errors import NeedsPerson

Columns = dict[tuple[str, str], list[str]]


def changed(folder: Path, old: str, new: str, file: str = "connector.yaml") -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def told(folder: Path, columns: Columns | None = None) -> list[str]:
    with pytest.raises(ContractInvalid) as caught:
        load_connector(folder, columns)
    problems = [str(problem) for problem in caught.value.problems]
    assert caught.value.code == "CTR_INVALID"
    assert all(problem in str(caught.value) for problem in problems)
    return problems


def test_a_sound_definition_is_loaded_with_its_tables(folder: Path, columns: Columns) -> None:
    connector = load_connector(folder, columns)
    assert connector.definition.partitions == 8
    assert connector.tables["roles"].entries == {"A1": "TEACHER", "B2": "OFFICE"}
    assert connector.digest.startswith("sha256:")


PLACE = "▸"  # stands in the text below where the problem must point to


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("title: Small", "title: Small\n▸titel: Typo", "key 'titel' is not part of the language; correct or remove it"),
        (
            "schema_version: 1\nname: small\nversion: 1.0.0\n",
            "▸schema_version: 1\nname: small\n",
            "'version' is missing; add it",
        ),
        ("version: 1.0.0", "version: ▸1.0", "version: Input should be a valid string (found 1.0); correct it"),
        (
            "title: Small",
            "title: Small\n▸title: Again",
            "key 'title' stands here a second time (first in line 4); keep one of them",
        ),
        (
            "title: Small",
            "title: [Small\nlifecycle▸: x",
            "this is not YAML: expected ',' or ']', but got ':'; correct the text here",
        ),
        (
            "title: Small",
            "title: ▸!!set Small",
            "tag tag:yaml.org,2002:set is not part of the language; write a plain value",
        ),
        (
            "steps: [upper]",
            "steps: [▸shout]",
            "entities.users.fields.role.steps.0: Input should be 'trim', "
            "'collapse_whitespace', 'nfc', 'lower', 'upper', 'digits', 'strip_country_code', 'unescape_html' or "
            "'proper_name' (found 'shout'); correct it",
        ),
        (
            "format: email",
            "format: ▸mail",
            "entities.users.fields.mail.format: Input should be 'text', 'email', 'e164', "
            "'boolean', 'date', 'integer', 'grade' or 'enum' (found 'mail'); correct it",
        ),
        (
            "{from: [person.id]}",
            "▸{}",
            "entities.users.fields.id: a field has exactly one of `from`, `constant`, `concat` and `cases`; correct it",
        ),
        (
            "{constant: true, format: boolean}",
            "▸{constant: true}",
            "entities.users.fields.active: a constant true or false has `format: boolean`, and "
            "only such a one; correct it",
        ),
        (
            "{from: [job.code], steps: [upper], map: roles}",
            "▸{from: [job.code], unmapped: block}",
            "entities.users.fields.role: `unmapped` says something only beside `map` or `lookup`; correct it",
        ),
        (
            "{from: [person.mail], format: email}",
            "▸{from: [person.mail], required: true, clear: true}",
            "entities.users.fields.mail: a required field is never empty, so `clear` cannot "
            "stand beside `required`; correct it",
        ),
        (
            "{ladder: suspend, suspended: {active: false}}",
            "▸{ladder: suspend}",
            "entities.users.removal: `suspended` names the "
            "field values of a suspended record exactly when the ladder reaches suspend; correct it",
        ),
        (
            "order: [{column: seq}]",
            "order: [{column: seq}]\n        where: [▸{column: seq, in: [1], is_blank: true}]",
            "entities.users.joins.0.where.0: a condition has 2 comparisons; give exactly one of "
            "in, not_in, equals, starts_with, matches, in_table, is_blank, is_not_blank; correct it",
        ),
        ("[person.mail]", "[▸persons.mail]", "there is no source 'persons'; the sources are job, person"),
        ("[person.mail]", "[person.mail, ▸person.email]", "hr people has no column 'email'; the columns are id, mail"),
        (
            "[{column: seq}]",
            "[{column: ▸sequence}]",
            "hr jobs has no column 'sequence'; the columns are code, person_id, seq",
        ),
        (
            "left: {column: person.id}",
            "left: {column: ▸job.code}",
            "source 'job' is not joined here; the sources are person",
        ),
        ("map: roles", "map: ▸rolls", "there is no table 'rolls'; the tables are roles or write tables/rolls.csv"),
        ("key: id", "key: ▸ident", "the key 'ident' is no field; the fields are active, id, mail, role"),
        (
            "id: {from: [person.id]}",
            "▸id: {constant: x}",
            "the key is the same for many records; take it from a column, as text",
        ),
        ("[mail]", "[mail, ▸phone]", "'phone' is no field; the fields are active, id, mail, role"),
        ("[mail]", "[▸id]", "records are matched by their key anyway; remove it here"),
        (
            "suspended: {active: false}",
            "suspended: {active: ▸'no'}",
            "active is boolean, the value is not; write a value of that form",
        ),
        (
            "suspended: {active: false}",
            "suspended: {▸on: false}",
            "'on' is no field; the fields are active, id, mail, role",
        ),
        (
            "name: small",
            "name: ▸large",
            "the connector is named 'large' and its folder 'small'; give both the same name",
        ),
        ("entity: jobs", "entity: ▸posts", "system hr has no entity 'posts'; the entities are jobs, people"),
        ("  users:", "  ▸clients:", "system shop has no entity 'clients'; the entities are users"),
        (
            "      mail: {",
            "      ▸target_id: {from: [person.id]}\n      mail: {",
            "'target_id' is a column of every snapshot; give the field another name",
        ),
        (
            "      mail: {",
            "      ▸phone: {from: [person.mail]}\n      mail: {",
            "shop users has no column 'phone'; the columns are active, id, mail, role, target_id",
        ),
        (
            "sources:",
            "sources:\n  ▸spare: {system: hr, connection: hr, entity: people}",
            "source 'spare' is used nowhere; remove it",
        ),
        (
            "{from: [job.code], steps: [upper], map: roles}",
            "{constant: ▸tomorrow, format: date}",
            "the constant has not the form date; write the finished value",
        ),
    ],
)
def test_one_fault_is_told_once_at_its_place(folder: Path, columns: Columns, old: str, new: str, problem: str) -> None:
    changed(folder, old, new)
    path = folder / "connector.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(PLACE, ""), encoding="utf-8")
    before = text[: text.index(PLACE)].split("\n")
    assert told(folder, columns) == [f"small/connector.yaml:{len(before)}:{len(before[-1]) + 1}: {problem}"]


def test_all_faults_are_told_at_once(folder: Path, columns: Columns) -> None:
    changed(folder, "key: id", "key: ident")
    changed(folder, "map: roles", "map: rolls")
    changed(folder, "[person.mail]", "[person.email]")
    changed(folder, "B2,OFFICE", "A1,OFFICE", "tables/roles.csv")
    assert [problem.split(" ")[0] for problem in told(folder, columns)] == [
        "small/connector.yaml:18:10:",
        "small/connector.yaml:22:21:",
        "small/connector.yaml:23:53:",
        "small/tables/roles.csv:3:1:",
    ]


def test_faults_of_shape_and_of_tables_come_together(folder: Path) -> None:
    changed(folder, "title: Small\n", "")
    changed(folder, "lifecycle: draft", "lifecycle: sleeping")
    changed(folder, "B2,OFFICE", "B2", "tables/roles.csv")
    assert len(told(folder)) == 3


def test_an_alias_is_refused(folder: Path) -> None:
    changed(folder, "{from: [person.id]}", "&one {from: [person.id]}")
    changed(folder, "{from: [person.mail], format: email}", "*one")
    (problem,) = told(folder)
    assert problem.endswith(": an alias repeats another part of the document; write the part out")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "",
            "1:1: the header has 0 columns, at least 2 are needed; name the columns in the first "
            "line, such as site_code,location",
        ),
        ("A1,TEACHER\n", "1:1: 'A1' is no column name; name the columns in the first line, such as site_code,location"),
        (
            "code,code\n",
            "1:1: the header names a column twice; name the columns in the first line, such as site_code,location",
        ),
        ("code,role\nA1,X\n\nA1,Y\n", "4:1: code 'A1' stands here a second time (first in line 2); keep one of them"),
        (
            "code,role\nA1,X\na1,Y\n",
            "3:1: after the steps of field role, ids 'A1' (line 2) and 'a1' are the same, with "
            "different codes; keep one of them",
        ),
        ("code,role\nA1\n", "2:1: the line has 1 cells, the header 2; make them equal"),
        ("code,role\nA1,\n", "2:1: role is empty; fill it or remove the line"),
        ('code,role\n"A1"x,Y\n', "2:1: this is not CSV: ',' expected after '\"'; correct the quotes in this line"),
    ],
)
def test_a_faulty_table_is_told_with_its_line(folder: Path, text: str, problem: str) -> None:
    (folder / "tables" / "roles.csv").write_text(text, encoding="utf-8")
    assert told(folder) == [f"small/tables/roles.csv:{problem}"]


def test_a_table_that_is_no_text_is_told(folder: Path) -> None:
    (folder / "tables" / "roles.csv").write_bytes(b"code,role\nA1,\xff\n")
    assert told(folder) == ["small/tables/roles.csv:1:1: byte 13 is not UTF-8; save the file as UTF-8 text"]


def test_a_folder_without_definition_is_told(folder: Path) -> None:
    (folder / "connector.yaml").unlink()
    assert told(folder) == ["small/connector.yaml:1:1: the file does not exist; write the definition"]


def test_ids_that_are_the_same_after_the_steps_may_have_the_same_code(folder: Path) -> None:
    (folder / "tables" / "roles.csv").write_text("code,role\nA1,X\na1,X\n", encoding="utf-8")
    assert len(load_connector(folder).tables["roles"].entries) == 2


def test_the_digest_is_that_of_the_meaning_not_of_the_layout(folder: Path) -> None:
    before = load_connector(folder).digest
    changed(folder, "title: Small", "title: 'Small'   # a remark\npartitions: 8")
    changed(
        folder, "code,role\nA1,TEACHER\nB2,OFFICE", "id,to,remark\nB2 ,OFFICE,x\n\nA1,TEACHER,y", "tables/roles.csv"
    )
    assert load_connector(folder).digest == before


@pytest.mark.parametrize(
    ("old", "new", "file"),
    [
        ("title: Small", "title: Small\npartitions: 9", "connector.yaml"),
        ("format: email}", "format: email, clear: true}", "connector.yaml"),
        ("B2,OFFICE", "B2,AIDE", "tables/roles.csv"),
    ],
)
def test_the_digest_changes_with_the_meaning(folder: Path, old: str, new: str, file: str) -> None:
    before = load_connector(folder).digest
    changed(folder, old, new, file)
    assert load_connector(folder).digest != before


def test_the_digest_changes_with_the_order_of_fields(folder: Path) -> None:
    before = load_connector(folder).digest
    path = folder / "connector.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[21], lines[23] = lines[23], lines[21]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert load_connector(folder).digest != before


def test_connectors_are_found_by_name(folder: Path, columns: Columns) -> None:
    connectors = Connectors(folder.parent, columns)
    assert connectors.names() == ("small",)
    assert connectors.load("small").definition.name == "small"
    for name in ("other", "../small", ""):
        with pytest.raises(NeedsPerson, match="the connectors are small") as caught:
            connectors.load(name)
        assert caught.value.code == "CTR_UNKNOWN"


def test_the_list_of_connectors_shows_faulty_ones_with_their_problems(folder: Path) -> None:
    broken = folder.parent / "broken"
    broken.mkdir()
    (broken / "connector.yaml").write_text("schema_version: 2\n", encoding="utf-8")
    faulty, sound = Connectors(folder.parent).listings()
    assert (faulty.name, faulty.lifecycle, faulty.problems[0].line) == ("broken", None, 1)
    assert (sound.name, sound.version, sound.lifecycle, sound.problems) == ("small", "1.0.0", "draft", ())


def test_an_entity_without_the_companion_of_its_writes_is_refused(folder: Path, columns: Columns) -> None:
    columns["shop", "users"].append("leave_date")
    companions = {("shop", "users"): ["leave_date", "mail"]}
    with pytest.raises(ContractInvalid) as caught:
        load_connector(folder, columns, companions)
    (problem,) = caught.value.problems
    assert "shop empties users 'leave_date' whenever a change leaves it out" in problem.text
    assert "managed: false" in problem.fix
    assert (folder / "connector.yaml").read_text().splitlines()[problem.line - 1].strip() == "fields:"
    changed(
        folder,
        "      active: {constant",
        "      leave_date: {from: [person.mail], managed: false}\n      active: {constant",
    )
    assert load_connector(folder, columns, companions).definition.name == "small"
