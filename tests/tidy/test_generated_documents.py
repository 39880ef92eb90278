"""Documents that are printed from code are as the code prints them now; `make documents` prints them anew."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from deploy.documents import asyncapi, connector_language, figures, interface_language, settings, systems
from shared import failures_document
from shared.bus import documents
from shared.contract import schema
from shared.ports.registry import Registry, installed_systems_folder
from tests.tidy.tree import ROOT


@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("docs/bus.md", documents.render_markdown),
        ("docs/failures.md", failures_document.render_markdown),
        ("docs/schemas/connector.schema.json", schema.schema_text),
        ("docs/connector-language.md", connector_language.render_markdown),
        ("docs/asyncapi.yaml", asyncapi.document_text),
        ("docs/http-interface.md", interface_language.render_markdown),
        ("docs/configuration.md", settings.render_markdown),
        ("docs/figures.md", figures.render_markdown),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_generated_document_is_current(name: str, printed: Callable[[], str]) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == printed(), f"{name} is out of date; run: make documents"


def test_the_table_of_systems_is_current() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    printed = systems.table(Registry(installed_systems_folder()))
    assert text == systems.with_table(text, printed), "the table of systems is out of date; run: make documents"
    with pytest.raises(ValueError, match="marks"):
        systems.with_table("no marks", printed)


def test_every_variable_of_the_code_stands_in_the_reference() -> None:
    told = set(re.findall(r"`(AETHER_[A-Z_]+)`", settings.render_markdown()))
    assert settings.variables() <= told
    found = {
        (path.relative_to(ROOT), name)
        for folder in ("cli", "services", "shared", "systems")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\bAETHER_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert len(found) > 30
    assert {(path, name) for path, name in found if name not in told} == set()


def test_make_documents_writes_every_generated_document() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in (
        "docs/bus.md",
        "docs/failures.md",
        "docs/schemas/connector.schema.json",
        "docs/connector-language.md",
        "docs/asyncapi.yaml",
        "docs/http-interface.md",
        "docs/configuration.md",
        "docs/figures.md",
    ):
        assert f"$(TOOLS)/document {name}" in makefile
    assert "deploy.documents.systems README.md" in makefile
    assert "shared.events.schemas export" in makefile  # compares itself, in tests/contracts/events
