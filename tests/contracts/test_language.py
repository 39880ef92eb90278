"""The language itself: its schema is published, and everything in it is described and has a meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import polars as pl
import pytest
from pydantic import ValidationError

from deploy.documents import connector_language
from shared.contract import columnar, model, transforms, worked_example
from shared.contract.examples import ExampleDocument
from shared.contract.parts import parts
from shared.contract.positions import read_yaml
from shared.contract.protected import ProtectedRecord
from shared.contract.schema import schema_text

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "schemas" / "connector.schema.json"
DOCUMENT = ROOT / "docs" / "connector-language.md"


def test_the_published_schema_is_current() -> None:
    told = "out of date; run: python -m shared.contract.schema > docs/schemas/connector.schema.json"
    assert SCHEMA.read_text(encoding="utf-8") == schema_text(), told


def test_the_published_schema_accepts_the_connectors_and_refuses_a_typing_error() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for path in sorted((ROOT / "connectors").glob("*/connector.yaml")):
        value = read_yaml(path.read_text(encoding="utf-8"), path.name).value
        validator.validate(value)
        assert not validator.is_valid(value | {"titel": "x"})


def test_everything_in_the_language_is_described() -> None:
    schema = json.loads(schema_text())
    places = {"ConnectorDefinition": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, part in places.items()
        for key, described in part.get("properties", {}).items()
        if "description" not in described and "$ref" not in described  # a reference to a part with the same text
    ]
    assert silent == []


def test_the_published_document_is_current() -> None:
    told = "out of date; run: python -m deploy.documents.connector_language > docs/connector-language.md"
    assert DOCUMENT.read_text(encoding="utf-8") == connector_language.render_markdown(), told


def test_the_document_tells_every_clause_with_its_meaning() -> None:
    sections = {
        section.partition("\n")[0]: section for section in DOCUMENT.read_text(encoding="utf-8").split("\n### ")[1:]
    }
    schemas = [kind.model_json_schema() for kind in (model.ConnectorDefinition, ProtectedRecord, ExampleDocument)]
    for schema in schemas:
        for name, part in {schema["title"]: schema, **schema["$defs"]}.items():
            for clause in part["properties"]:
                (row,) = [line for line in sections[name].splitlines() if line.startswith(f"| `{clause}` |")]
                cells = [cell.strip() for cell in row.replace("\\|", "").strip("|").split("|")]
                assert len(cells) == 4, row
                assert all(cells), row
    for word in (*get_args(model.NamedStep), *get_args(model.Format)):
        assert f"`{word}`" in sections["NamedStep"] + sections["Format"], word


def test_the_worked_example_uses_every_part_of_the_language_but_joins_and_memberships() -> None:
    definition = read_yaml(worked_example.FILES["connector.yaml"], "connector.yaml").value
    used = {type(part).__name__ for _, part in parts(model.ConnectorDefinition.model_validate(definition))}
    schema = model.ConnectorDefinition.model_json_schema()
    assert schema["$defs"].keys() - used == {"ColumnRef", "DefaultValue", "Join", "JoinOn", "Membership"} - used


def test_the_document_names_what_a_transform_may_import() -> None:
    text = " ".join(DOCUMENT.read_text(encoding="utf-8").split())
    assert all(f"`{name}`" in text for name in transforms.MODULES_ALLOWED)


def test_every_step_and_every_form_has_a_meaning() -> None:
    text = pl.DataFrame({"text": ["1"]})
    for step in get_args(model.NamedStep):
        assert text.select(columnar.stepped(pl.col("text"), [step])).item() == "1"
    for form in get_args(model.Format):
        assert text.select(columnar.formatted(pl.col("text"), form)).dtypes == [columnar.value_type(form)]


@pytest.mark.parametrize(
    ("step", "raw", "value"),
    [
        ("trim", " a b\u00a0", "a b"),
        ("collapse_whitespace", "a \t\n b\u3000c", "a b c"),
        ("nfc", "e\u0301", "é"),
        ("lower", "ÀÉ", "àé"),
        ("upper", "àéß", "ÀÉSS"),
        ("digits", "(1) 2-٣3", "123"),
        ("strip_country_code", "12345678901", "2345678901"),
        ("strip_country_code", "22345678901", "22345678901"),
        ("strip_country_code", "1234567890", "1234567890"),
    ],
)
def test_steps(step: model.Step, raw: str, value: str) -> None:
    assert columnar.stepped_texts([raw], [step]) == [value]


def test_steps_are_taken_from_left_to_right() -> None:
    assert columnar.stepped_texts(["+1 234 567 8901"], ["digits", "strip_country_code"]) == ["2345678901"]
    assert columnar.stepped_texts(["+1 234 567 8901"], ["strip_country_code", "digits"]) == ["12345678901"]


@pytest.mark.parametrize(
    ("form", "raw", "value"),
    [
        ("text", "  ", None),
        ("text", " a ", " a "),
        ("email", "a@b.org", "a@b.org"),
        ("email", "a@b.org ", None),
        ("email", "a@b.org\n", None),
        ("e164", "9165550152", "+19165550152"),
        ("e164", "+442079460958", "+442079460958"),
        ("e164", "+0123456789", None),
        ("e164", "916555015", None),
        ("boolean", "TRUE", True),
        ("boolean", "n", False),
        ("boolean", "2", None),
        ("date", "2026-02-29", None),
        ("date", "2028-02-29", "2028-02-29"),
        ("date", "2026-2-1x", None),
    ],
)
def test_forms(form: model.Format, raw: str, value: object) -> None:
    assert columnar.formatted_text(raw, form) == value


def test_a_definition_cannot_be_changed_after_loading() -> None:
    removal = model.Removal.model_validate({"ladder": "suspend", "suspended": {"active": False}})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(removal, "ladder", "preserve")  # noqa: B010 - the type checker refuses the plain form


@pytest.mark.parametrize(
    "approval", [{"valid_hours": 25}, {"valid_hours": 0}, {"valid_hours_high_risk": 5}, {"valid_days": 1}]
)
def test_a_connector_cannot_lengthen_an_approval(approval: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.Approval.model_validate(approval)


@pytest.mark.parametrize("limit", [{"percent": 101}, {"count": -1}, {"floor": -1}, {"level": "PASS"}])
def test_a_connector_cannot_invent_limits(limit: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.LimitOverride.model_validate(limit)
