"""A small sound connector and the worked example, each in a folder of its own, to be broken one line at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.contract import worked_example

DEFINITION = """\
schema_version: 1
name: small
version: 1.0.0
title: Small
lifecycle: draft
target: {system: shop, connection: shop}
sources:
  person: {system: hr, connection: hr, entity: people}
  job: {system: hr, connection: hr, entity: jobs}
entities:
  users:
    from:
      source: person
    joins:
      - source: job
        on: {left: {column: person.id}, right: {column: person_id}}
        order: [{column: seq}]
    key: id
    correlate: [mail]
    fields:
      id: {from: [person.id]}
      mail: {from: [person.mail], format: email}
      role: {from: [job.code], steps: [upper], map: roles}
      active: {constant: true, format: boolean}
    removal: {ladder: suspend, suspended: {active: false}}
"""
ROLES = "code,role\nA1,TEACHER\nB2,OFFICE\n"
COLUMNS = {
    ("hr", "people"): ["id", "mail"],
    ("hr", "jobs"): ["person_id", "seq", "code"],
    ("shop", "users"): ["target_id", "id", "mail", "role", "active"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the small connector."""
    folder = tmp_path / "small"
    (folder / "tables").mkdir(parents=True)
    (folder / "connector.yaml").write_text(DEFINITION, encoding="utf-8")
    (folder / "tables" / "roles.csv").write_text(ROLES, encoding="utf-8")
    return folder


@pytest.fixture
def columns() -> dict[tuple[str, str], list[str]]:
    """What the systems of the small connector declare."""
    return dict(COLUMNS)


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    """The folder of the worked example."""
    folder = tmp_path / worked_example.NAME
    for name, text in worked_example.FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder
